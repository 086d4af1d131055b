"""The browser's Unigram tokenizer against Python's: any text, character map, pieces and rules."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.unigram import Metaspace, TextRule, UnigramVocabulary
from converters.vocabulary import AddedToken
from edgebert.encoding.tokenizer import Tokenizer
from tests.conftest import _missing_judge
from tests.edgebert.profiling.test_browser_tokenizer import Node, as_json
from tests.golden.character_maps import compile_map
from tests.golden.make_unigram_cases import entry_of, make_vocabularies

SPECIAL = ("<s>", "</s>", "<pad>", "<unk>")
CLUSTERS = [
    *"ab \r\n\u0001q_\u2581",
    *"\u0301\u0323\u200c\u200d\ufe0f\u00ad\ufffd\u00a9\u2764\U0001f600\U0001f1e9\U0001f3fd",
    *"\u1100\u115f\u1161\u11a8\uac00\uac01\ua960\ud7b0\ud7cb\u0e01\u0e33",
    *"\u0915\u0937\u094d\u093c\u093e\u0903\u0995\u09cd\u0600\U000110bd",
]
Input = tuple[str, int | None, str | None]


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    program = shutil.which("node")
    if program is None:
        _missing_judge("no node: on Debian, apt-get install nodejs")
    assert program is not None
    worker = Node(program)
    yield worker
    worker.close()


def assert_same(node: Node, tokenizer: Tokenizer, inputs: list[Input]) -> None:
    found = node.ask(inputs=inputs)["encodings"]
    for (text, max_length, pair), ours in zip(inputs, found, strict=True):
        ours.pop("utf16_offsets")
        assert ours == as_json(tokenizer.encode(text, pair, max_length)), (text, max_length, pair)


def joined(text: str) -> str:
    """The text as JavaScript has it: halves of a surrogate pair that meet are one character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


clusters = st.lists(st.sampled_from(CLUSTERS), max_size=12).map("".join)
parts = clusters | st.text(max_size=8) | st.text(st.characters(exclude_categories=()), max_size=4)
texts = st.lists(parts | st.sampled_from([" ", "  ", "<mask>", "<s>"]), max_size=6).map(
    lambda found: joined("".join(found))
)
short = st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=3).map("".join)


@st.composite
def vocabularies(draw: st.DrawFn) -> UnigramVocabulary:
    mark = draw(st.sampled_from(["\u2581", "_"]))
    charsmap = draw(st.dictionaries(short, clusters, max_size=12))
    rules = [TextRule("replace_spaces", content=draw(st.sampled_from([" ", mark, ""])))]
    rules.append(TextRule("strip", left=draw(st.booleans()), right=draw(st.booleans())))
    rules = draw(st.permutations(rules))[: draw(st.integers(0, 2))]
    if charsmap:
        rules.insert(draw(st.integers(0, len(rules))), TextRule("precompiled"))
    pieces = draw(st.lists(short | short.map(lambda piece: mark + piece), unique=True, max_size=20))
    pieces = [piece for piece in pieces if not {"\n", "\r"} & set(piece)]
    tokens = dict.fromkeys((*SPECIAL, mark, *pieces))
    score = st.sampled_from([-9.5, -3.0, -2.25, 0.0, 30.0]) | st.floats(-20, 40)
    scores = draw(st.lists(score, min_size=len(tokens), max_size=len(tokens)))
    return UnigramVocabulary(
        (*tokens, "<mask>"),
        tuple(scores),
        compile_map(charsmap) if charsmap else b"",
        normalizers=tuple(rules),
        whitespace_split=draw(st.booleans()),
        metaspace=Metaspace(
            mark, draw(st.sampled_from(["always", "first", "never"])), draw(st.booleans())
        ),
        pair_separators=draw(st.integers(1, 2)),
        second_segment=draw(st.integers(0, 1)),
        added_tokens=(AddedToken("<mask>", lstrip=True, normalized=draw(st.booleans())),),
    )


@settings(max_examples=150, deadline=None)
@given(
    vocabulary=vocabularies(),
    inputs=st.lists(
        st.tuples(texts, st.none() | st.integers(4, 20), st.none() | texts), min_size=1, max_size=8
    ),
)
def test_any_text_and_vocabulary(
    node: Node, vocabulary: UnigramVocabulary, inputs: list[Input]
) -> None:
    try:
        tokenizer = Tokenizer(vocabulary)
        node.ask(**entry_of(vocabulary))
    except RuntimeError as error:
        # The rules leave nothing of the mask, or something else that the library looks for.
        assert "tokens that differ and are not empty" in str(error)
        return
    assert_same(node, tokenizer, inputs)


Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: {"scores": None}, "scores of a Unigram vocabulary"),
        (lambda made: {"charsmap": ""}, "character map for the rule precompiled"),
        (lambda made: {"charsmap": "AAAA"}, "whole character map"),
        (lambda made: {"tokens": ["<s>"] * len(made["tokens"])}, "Expected"),
    ],
)
def test_what_is_no_unigram_vocabulary(node: Node, change: Change, message: str) -> None:
    made = entry_of(make_vocabularies()["xlm-roberta"])
    with pytest.raises(RuntimeError, match=message):
        node.ask(**{**made, **change(made)})
