"""The browser's tokenizer against Python's, and both against the golden cases."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.errors import ConversionError
from converters.vocabulary import AddedToken, Vocabulary, wordpiece_tokenizer
from edgebert.data.datasets import read_dataset
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from tests.conftest import _missing_judge
from tests.golden import make_wordpiece_cases

GOLDEN = Path(__file__).parents[2] / "golden"
WORKER = Path(__file__).with_name("browser_tokenizer.mjs")
SPECIAL = make_wordpiece_cases.SPECIAL
CODE_POINTS = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
MARKS = [chr(code) for code in CODE_POINTS[:0x30000] if unicodedata.combining(chr(code))]
Input = tuple[str, int | None, str | None]
"""A text, the length to cut to, and the other text of a pair."""


class Node:
    """The browser's tokenizer in a node process that stays."""

    def __init__(self, program: str) -> None:
        self._process = subprocess.Popen(
            [program, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.vocabulary: Vocabulary | None = None

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return dict(answer)

    def encode(self, vocabulary: Vocabulary, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        self.use(vocabulary)
        return list(self.ask(inputs=inputs)["encodings"])

    def use(self, vocabulary: Vocabulary) -> None:
        if self.vocabulary is not vocabulary:
            self.vocabulary = None
            self.ask(settings=vocabulary.to_settings(), tokens=vocabulary.tokens)
            self.vocabulary = vocabulary

    def close(self) -> None:
        self._process.communicate(timeout=10)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    program = shutil.which("node")
    if program is None:
        _missing_judge("no node: on Debian, apt-get install nodejs")
    assert program is not None
    worker = Node(program)
    yield worker
    worker.close()


def as_json(encoding: Encoding) -> dict[str, Any]:
    return {
        "token_ids": list(encoding.token_ids),
        "segment_ids": list(encoding.segment_ids),
        "offsets": [list(offsets) for offsets in encoding.offsets],
    }


def assert_same(node: Node, tokenizer: Tokenizer, inputs: Sequence[Input]) -> None:
    found = node.encode(tokenizer.vocabulary, inputs)
    for (text, max_length, pair), ours in zip(inputs, found, strict=True):
        ours.pop("utf16_offsets")
        expected = as_json(tokenizer.encode(text, pair, max_length))
        assert ours == expected, (text, max_length, pair)


def blocks_of(codes: Sequence[int], size: int) -> list[Sequence[int]]:
    return [codes[start : start + size] for start in range(0, len(codes), size)]


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def encoding_digest(encoding: Encoding) -> str:
    parts = (encoding.token_ids, encoding.segment_ids, encoding.offsets)
    return digest(json.dumps(parts, separators=(",", ":")))


# Golden cases


def golden_file() -> dict[str, Any]:
    return dict(json.loads((GOLDEN / "wordpiece_cases.json").read_bytes()))


def golden_vocabularies() -> dict[str, Vocabulary]:
    return {
        name: Vocabulary.from_settings(each["settings"], each["tokens"])
        for name, each in golden_file()["vocabularies"].items()
    }


TOKENIZERS = {name: Tokenizer(each) for name, each in golden_vocabularies().items()}


def test_python_gives_the_golden_cases() -> None:
    cases = golden_file()["cases"]
    assert len(cases) >= 600
    for case in cases:
        assert make_wordpiece_cases.made(TOKENIZERS[case["vocabulary"]], case) == case


def test_the_golden_file_is_what_its_script_makes() -> None:
    inputs = [
        {name: value for name, value in case.items() if name not in Encoding.__slots__}
        for case in golden_file()["cases"]
    ]
    assert inputs == list(make_wordpiece_cases.make_inputs())
    assert golden_vocabularies() == make_wordpiece_cases.make_vocabularies()


def test_the_browser_gives_the_golden_cases(node: Node) -> None:
    by_vocabulary: dict[str, list[dict[str, Any]]] = {}
    for case in golden_file()["cases"]:
        by_vocabulary.setdefault(case["vocabulary"], []).append(case)
    for name, cases in by_vocabulary.items():
        inputs = [(case["text"], case.get("max_length"), case.get("pair")) for case in cases]
        found = node.encode(TOKENIZERS[name].vocabulary, inputs)
        for case, ours in zip(cases, found, strict=True):
            ours.pop("utf16_offsets")
            assert case | ours == case


# Every character


@pytest.mark.parametrize("split_chinese", [False, True])
@pytest.mark.parametrize("strip_accents", [False, True])
@pytest.mark.parametrize("lowercase", [False, True])
def test_every_code_point_is_normalized_alike(
    node: Node, lowercase: bool, strip_accents: bool, split_chinese: bool
) -> None:
    vocabulary = Vocabulary(
        SPECIAL, lowercase, strip_accents, split_chinese_characters=split_chinese
    )
    normalize = wordpiece_tokenizer(vocabulary).normalizer.normalize_str
    rules = {
        "lowercase": lowercase,
        "stripAccents": strip_accents,
        "splitChinese": split_chinese,
    }

    def differing(codes: Sequence[int]) -> list[str]:
        blocks = blocks_of(codes, max(1, len(codes) // 64))
        texts = ["|".join(map(chr, block)) for block in blocks]
        with ThreadPoolExecutor(1) as pool:  # node works while Python does
            answer = pool.submit(node.ask, texts=texts, rules=rules)
            expected = [digest(normalize(text)) for text in texts]
        pairs = zip(blocks, answer.result()["digests"], expected, strict=True)
        wrong = [block for block, ours, theirs in pairs if ours != theirs]
        if len(codes) == len(blocks):
            return [f"U+{block[0]:04X}" for block in wrong]
        return differing(wrong[0]) if wrong else []

    assert differing(CODE_POINTS) == []


def test_every_code_point_splits_words_alike(node: Node) -> None:
    tokenizer = Tokenizer(Vocabulary((*SPECIAL, "a", "b", "##b"), lowercase=True))
    assert_every_code_point_alike(node, tokenizer, "a{}b ")


def test_every_code_point_touches_single_words_alike(node: Node) -> None:
    added = (AddedToken("x", single_word=True),)
    tokenizer = Tokenizer(Vocabulary((*SPECIAL, "x"), lowercase=False, added_tokens=added))
    assert_every_code_point_alike(node, tokenizer, "{}x ")


def assert_every_code_point_alike(node: Node, tokenizer: Tokenizer, pattern: str) -> None:
    node.use(tokenizer.vocabulary)
    blocks = [[pattern.format(chr(code)) for code in each] for each in blocks_of(CODE_POINTS, 4096)]
    texts = ["".join(block) for block in blocks]
    with ThreadPoolExecutor(1) as pool:  # node works while Python does
        answer = pool.submit(node.ask, texts=texts)
        expected = [encoding_digest(tokenizer.encode(text)) for text in texts]
    for block, ours, theirs in zip(blocks, answer.result()["digests"], expected, strict=True):
        if ours != theirs:
            assert_same(node, tokenizer, [(text, None, None) for text in (*block, "".join(block))])
            raise AssertionError("the digests differ, the encodings don't")


def test_marks_change_places_alike(node: Node) -> None:
    bare = Vocabulary(SPECIAL, lowercase=True)
    stripped = wordpiece_tokenizer(bare).normalizer.normalize_str
    staying = [mark for mark in MARKS if stripped(f"a{mark}") == f"a{mark}"]
    assert len(staying) > 50
    pieces = ("a", *(f"##{mark}" for mark in staying))
    tokenizer = Tokenizer(Vocabulary(SPECIAL + pieces, lowercase=True))
    node.use(tokenizer.vocabulary)
    texts = [
        " ".join(pattern.format(mark, stays) for mark in MARKS)
        for stays in staying
        for pattern in ("a{}{}", "{1}{0}b{1}")
    ]
    digests = node.ask(texts=texts)["digests"]
    for text, ours in zip(texts, digests, strict=True):
        if ours != encoding_digest(tokenizer.encode(text)):
            assert_same(node, tokenizer, [(word, None, None) for word in text.split(" ")])
            raise AssertionError("the digests differ, the encodings don't")


# Any text

COMPOSED = [chr(code) for code in CODE_POINTS[:0x30000] if unicodedata.decomposition(chr(code))]
GOLDEN_TEXTS = [case["text"] for case in golden_file()["cases"]]


def joined(text: str) -> str:
    """The text as JavaScript has it: halves of a surrogate pair that meet are one character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


any_characters = st.characters(exclude_categories=())
marked = st.lists(
    st.sampled_from(["a", "É", " ", "\u0345", "\u0334"]) | st.sampled_from(MARKS + COMPOSED)
).map("".join)
spliced = st.lists(
    st.sampled_from(GOLDEN_TEXTS).flatmap(
        lambda text: st.tuples(st.integers(0, 20), st.integers(0, 20)).map(
            lambda cut: text[cut[0] :][: cut[1]]
        )
    ),
    max_size=4,
).map("".join)
texts = (st.text() | st.text(any_characters) | marked | spliced).map(joined)


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from(sorted(TOKENIZERS)),
    inputs=st.lists(
        st.tuples(texts, st.none() | st.integers(3, 40), st.none() | texts), min_size=1, max_size=8
    ),
)
def test_any_text(node: Node, name: str, inputs: list[Input]) -> None:
    assert_same(node, TOKENIZERS[name], inputs)


@settings(max_examples=300, deadline=None)
@given(text=texts)
def test_offsets_as_javascript_counts(node: Node, text: str) -> None:
    tokenizer = TOKENIZERS["uncased, added tokens"]
    (found,) = node.encode(tokenizer.vocabulary, [(text, None, None)])
    units = text.encode("utf-16-le", "surrogatepass")
    for (start, end), (first, last) in zip(found["offsets"], found["utf16_offsets"], strict=True):
        there = units[2 * first : 2 * last].decode("utf-16-le", "surrogatepass")
        assert there == text[start:end]


letters = st.text(st.sampled_from("abAB é你 İ\u0301-_1🎉\u200b\ufffd"), min_size=1, max_size=4)


@st.composite
def vocabularies(draw: st.DrawFn) -> dict[str, Any]:
    content = letters.map(str.strip).filter(bool) | st.sampled_from(SPECIAL)
    contents = draw(st.lists(content, unique=True, max_size=6))
    flags = st.fixed_dictionaries(
        {
            name: st.booleans()
            for name in ("special", "normalized", "single_word", "lstrip", "rstrip")
        }
    )
    pieces = draw(st.lists(letters, unique=True, max_size=8))
    prefix = draw(st.sampled_from(["##", "a", "", "🎉"]))
    tokens = [*SPECIAL, *pieces, *(prefix + piece for piece in pieces), *contents]
    settings = Vocabulary(
        SPECIAL,
        lowercase=draw(st.booleans()),
        strip_accents=draw(st.none() | st.booleans()),
        split_chinese_characters=draw(st.booleans()),
        max_input_chars_per_word=draw(st.integers(1, 5)),
        continuing_prefix=prefix,
    ).to_settings()
    settings["added_tokens"] = [{"content": content, **draw(flags)} for content in contents]
    return {"settings": settings, "tokens": list(dict.fromkeys(tokens))}


@settings(max_examples=400, deadline=None)
@given(parts=st.lists(st.lists(letters).map("".join), max_size=6), made=vocabularies())
def test_any_vocabulary(node: Node, made: dict[str, Any], parts: list[str]) -> None:
    try:
        vocabulary = Vocabulary.from_settings(**made)
    except ConversionError:
        with pytest.raises(RuntimeError, match="tokens that differ and are not empty"):
            node.ask(**made)
        return
    tokenizer = Tokenizer(vocabulary)
    added = [token.content for token in vocabulary.added_tokens]
    texts = [*parts, *(" ".join(added) + part + "".join(added) for part in parts)]
    texts += [text.replace("\ufffd", "\ud800") for text in texts]
    assert_same(node, tokenizer, [(text, None, None) for text in texts])


# Real vocabularies and texts


def vocabulary_of(data_dir: Path, name: str, lowercase: bool) -> Vocabulary:
    content = (data_dir / "vocab" / f"bert_{name}_vocab.txt").read_text(encoding="utf-8")
    return Vocabulary(tuple(content.rstrip("\n").split("\n")), lowercase)


@pytest.fixture(scope="module")
def real_texts(data_dir: Path) -> list[str]:
    sets = ("sst2/test.tsv", "banking77/test.tsv", "clinc150/test.tsv", "agnews/test.tsv.gz")
    found = []
    for name in sets:
        found += read_dataset(data_dir / name, labels="none").texts[:1500]
    return found


@pytest.mark.parametrize("name", ["uncased", "cased"])
def test_real_texts(node: Node, data_dir: Path, real_texts: list[str], name: str) -> None:
    tokenizer = Tokenizer(vocabulary_of(data_dir, name, lowercase=name == "uncased"))
    node.use(tokenizer.vocabulary)
    digests = node.ask(texts=real_texts)["digests"]
    expected = map(encoding_digest, tokenizer.encode_batch(real_texts))
    wrong = [text for text, a, b in zip(real_texts, digests, expected, strict=True) if a != b]
    assert_same(node, tokenizer, [(text, None, None) for text in wrong])
    assert not wrong and len(real_texts) > 5000
    pairs = zip(real_texts[:800], real_texts[800:1600], strict=True)
    assert_same(node, tokenizer, [(text, 24, pair) for text, pair in pairs])


def test_cases_that_transformers_made(node: Node, data_dir: Path) -> None:
    golden = json.loads((GOLDEN / "tokenizer_cases.json").read_bytes())
    vocabulary = vocabulary_of(data_dir, "uncased", lowercase=True)
    assert vocabulary.sha256 == golden["vocabulary_sha256"]
    inputs = [(case["text"], case["max_length"], None) for case in golden["cases"]]
    found = node.encode(vocabulary, inputs)
    for case, ours in zip(golden["cases"], found, strict=True):
        assert (case["name"], ours["token_ids"]) == (case["name"], case["token_ids"])


# What is refused


def test_no_room_for_the_special_tokens(node: Node) -> None:
    vocabulary = TOKENIZERS["uncased"].vocabulary
    for refused in ([("the", 1, None)], [("the", -1, None)], [("the", 2, "the")]):
        with pytest.raises(RuntimeError, match=r"RangeError: Expected a maxLength of at least"):
            node.encode(vocabulary, refused)


def test_what_is_no_text(node: Node) -> None:
    vocabulary = TOKENIZERS["uncased"].vocabulary
    for refused in ((None, None, None), ("the", None, 3)):
        with pytest.raises(RuntimeError, match="TypeError: Expected a text"):
            node.encode(vocabulary, [refused])  # type: ignore[list-item]


def test_a_vocabulary_without_its_special_tokens(node: Node) -> None:
    vocabulary = TOKENIZERS["uncased"].vocabulary
    with pytest.raises(RuntimeError, match=r'Expected "\[UNK\]" among the tokens'):
        node.ask(settings=vocabulary.to_settings(), tokens=["[PAD]", "[CLS]", "[SEP]", "[MASK]"])
