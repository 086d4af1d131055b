"""The tokenizer against the reference, on any text, on golden cases and on real data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.vocabulary import AddedToken, Vocabulary, read_vocabulary
from edgebert.data.datasets import read_dataset
from edgebert.encoding.tokenizer import Encoding, Tokenizer, pad
from edgebert.errors import UsageError

GOLDEN = Path(__file__).parents[2] / "golden" / "tokenizer_cases.json"
PAD, UNK, CLS, SEP, MASK, PLAY, ING, THE, E, YOU, BANG = range(11)
SMALL = Vocabulary(
    ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "the", "e", "你", "!"),
    lowercase=True,
)
# Text as people may send it: any Unicode, halves of surrogate pairs and special tokens too.
texts = (
    st.text()
    | st.text(st.characters(exclude_categories=()))
    | st.lists(
        st.sampled_from(
            ["[SEP]", "[mask]", "[MASK]", " ", "unaffable", "É", "你", "\x00", "!", "😀"]
        )
    ).map("".join)
)


@pytest.fixture(scope="module")
def small() -> Tokenizer:
    return Tokenizer(SMALL)


@pytest.fixture(scope="session")
def minilm(minilm_dir: Path) -> Tokenizer:
    return Tokenizer(read_vocabulary(minilm_dir))


@pytest.fixture(scope="session")
def reference(minilm_dir: Path) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer.from_file(str(minilm_dir / "tokenizer.json"))
    backend.no_padding()
    backend.no_truncation()
    return backend


def without_surrogates(text: str) -> str:
    return "".join(
        "\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text
    )


def assert_same_encoding(ours: Encoding, theirs: tokenizers.Encoding) -> None:
    assert list(ours.token_ids) == theirs.ids
    assert list(ours.segment_ids) == theirs.type_ids
    assert list(ours.offsets) == theirs.offsets


# One text


def test_a_text(small: Tokenizer) -> None:
    encoding = small.encode("Playing  thé 你!")
    assert encoding.token_ids == (CLS, PLAY, ING, THE, YOU, BANG, SEP)
    assert encoding.segment_ids == (0,) * 7
    assert encoding.offsets == ((0, 0), (0, 4), (4, 7), (9, 12), (13, 14), (14, 15), (0, 0))
    assert len(encoding) == 7


def test_a_pair(small: Tokenizer) -> None:
    encoding = small.encode("the", "play!")
    assert encoding.token_ids == (CLS, THE, SEP, PLAY, BANG, SEP)
    assert encoding.segment_ids == (0, 0, 0, 1, 1, 1)
    assert encoding.offsets == ((0, 0), (0, 3), (0, 0), (0, 4), (4, 5), (0, 0))


@pytest.mark.parametrize("text", ["", " \t\n", "\x00\x01", "\ud800", "\ufffd", "\u200b"])
def test_empty_and_invisible_texts(small: Tokenizer, text: str) -> None:
    assert small.encode(text).token_ids == (CLS, SEP)
    assert small.encode(text, text).token_ids == (CLS, SEP, SEP)
    assert small.encode_batch([text, "the"], pairs=["the", text])[1].token_ids == (
        CLS,
        THE,
        SEP,
        SEP,
    )
    assert small.count_lengths([text, "the"]).tolist() == [2, 3]


def test_offsets_count_characters(small: Tokenizer) -> None:
    text = "😀\ud83d e\u0301 the"
    encoding = small.encode(text)
    assert encoding.token_ids == (CLS, UNK, E, THE, SEP)
    assert [text[start:end] for start, end in encoding.offsets[1:-1]] == ["😀", "e", "the"]


def test_special_tokens_in_a_text_are_special(small: Tokenizer) -> None:
    assert small.encode("the[SEP] [MASK]!").token_ids == (CLS, THE, SEP, MASK, BANG, SEP)
    assert UNK in small.encode("[sep]").token_ids


def test_rules_of_the_vocabulary() -> None:
    tokens = (*SMALL.tokens, "Th", "é")
    cased = Tokenizer(Vocabulary(tokens, lowercase=False))
    assert cased.encode("the The Th é e").token_ids[1:-1] == (THE, UNK, 11, 12, E)
    joined = Tokenizer(Vocabulary(tokens, lowercase=True, split_chinese_characters=False))
    assert joined.encode("你你 你").token_ids[1:-1] == (UNK, YOU)
    accents = Tokenizer(Vocabulary(tokens, lowercase=True, strip_accents=False))
    assert accents.encode("É").token_ids[1:-1] == (12,)
    short = Tokenizer(Vocabulary(tokens, lowercase=True, max_input_chars_per_word=6))
    assert short.encode("playing play").token_ids[1:-1] == (UNK, PLAY)


def test_added_tokens() -> None:
    added = (AddedToken("<user>", special=False, normalized=True),)
    tokenizer = Tokenizer(Vocabulary((*SMALL.tokens, "<user>"), lowercase=True, added_tokens=added))
    assert tokenizer.encode("the <User>!").token_ids == (CLS, THE, 11, BANG, SEP)


def test_other_types_are_errors(small: Tokenizer) -> None:
    for wrong in (None, 3, b"the", ["the"]):
        with pytest.raises(TypeError):
            small.encode(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            small.encode_batch([wrong])  # type: ignore[list-item]


# Cutting


@pytest.mark.parametrize(
    ("max_length", "expected"),
    [
        (2, (CLS, SEP)),
        (3, (CLS, PLAY, SEP)),
        (4, (CLS, PLAY, ING, SEP)),
        (5, (CLS, PLAY, ING, THE, SEP)),
        (6, (CLS, PLAY, ING, THE, SEP)),
    ],
)
def test_truncation(small: Tokenizer, max_length: int, expected: tuple[int, ...]) -> None:
    assert small.encode("playing the", max_length=max_length).token_ids == expected


def test_truncation_without_room_for_special_tokens(small: Tokenizer) -> None:
    for max_length in (1, 0, -1):
        with pytest.raises(UsageError, match="at least 2"):
            small.encode("the", max_length=max_length)
    with pytest.raises(UsageError, match="at least 3"):
        small.encode("the", "play", max_length=2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.sampled_from("the! "), max_size=30),
    pair=st.none() | st.text(st.sampled_from("the! "), max_size=30),
    max_length=st.integers(3, 30),
)
def test_truncation_equals_that_of_the_library(
    small: Tokenizer, text: str, pair: str | None, max_length: int
) -> None:
    from converters.vocabulary import wordpiece_tokenizer

    library = wordpiece_tokenizer(SMALL)
    library.enable_truncation(max_length, strategy="longest_first")
    assert_same_encoding(small.encode(text, pair, max_length), library.encode(text, pair))


# Any text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(text=texts, pair=st.none() | texts)
def test_any_text_is_encoded_as_by_the_reference(
    minilm: Tokenizer, reference: tokenizers.Tokenizer, text: str, pair: str | None
) -> None:
    clean_pair = pair if pair is None else without_surrogates(pair)
    expected = reference.encode(without_surrogates(text), clean_pair)
    encoding = minilm.encode(text, pair)
    assert_same_encoding(encoding, expected)
    for (start, end), part in zip(encoding.offsets, expected.sequence_ids, strict=True):
        assert 0 <= start <= end <= len((text, pair or "")[part or 0])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(texts, max_size=5), max_length=st.none() | st.integers(2, 8))
def test_a_batch_equals_single_encodings(
    minilm: Tokenizer, batch: list[str], max_length: int | None
) -> None:
    alone = [minilm.encode(text, max_length=max_length) for text in batch]
    assert minilm.encode_batch(batch, max_length) == alone
    if max_length is None:
        assert minilm.count_lengths(batch).tolist() == [len(encoding) for encoding in alone]


def test_a_batch_of_pairs(small: Tokenizer) -> None:
    firsts, seconds = ["the", "play the"], ["!", "the"]
    alone = [small.encode(a, b, 5) for a, b in zip(firsts, seconds, strict=True)]
    assert small.encode_batch(firsts, 5, pairs=seconds) == alone
    with pytest.raises(UsageError, match=r"each of 2 texts\. Received: 1"):
        small.encode_batch(firsts, pairs=["!"])


@given(text=texts, pair=texts)
def test_encodings_are_joined_to_a_pair(minilm: Tokenizer, text: str, pair: str) -> None:
    first, second = minilm.encode(text), minilm.encode(pair)
    assert minilm.join(first, second) == minilm.encode(text, pair)


def test_a_window_has_the_special_tokens_of_the_whole(small: Tokenizer) -> None:
    whole = small.encode("the playing !")
    assert whole.part(1, 3) == Encoding(
        (CLS, PLAY, ING, SEP), (0,) * 4, ((0, 0), (4, 8), (8, 11), (0, 0))
    )
    assert whole.part(0, 99) == whole
    assert whole.part(2, 2).token_ids == whole.part(50, 60).token_ids == (CLS, SEP)


def test_threads_may_share_a_tokenizer(small: Tokenizer) -> None:
    lengths = [3, 4, 5, None] * 100
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: len(small.encode("playing the !", max_length=n)), lengths))
    assert found == [n or 6 for n in lengths]


# Arrays


def test_pad(small: Tokenizer) -> None:
    arrays = pad([small.encode("the", "!"), small.encode("")], length=6, pad_id=9)
    assert {name: array.dtype for name, array in arrays.items()} == dict.fromkeys(
        ("token_ids", "padding_mask", "segment_ids"), np.dtype(np.int32)
    )
    assert arrays["token_ids"].tolist() == [[CLS, THE, SEP, BANG, SEP, 9], [CLS, SEP, 9, 9, 9, 9]]
    assert arrays["padding_mask"].tolist() == [[1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0]]
    assert arrays["segment_ids"].tolist() == [[0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0]]


def test_pad_nothing() -> None:
    assert {array.shape for array in pad([], 4).values()} == {(0, 4)}


def test_pad_too_long(small: Tokenizer) -> None:
    with pytest.raises(UsageError, match=r"at most 2 tokens\. Received: one of 3"):
        pad([small.encode(""), small.encode("the")], 2)


def test_count_lengths_of_nothing(small: Tokenizer) -> None:
    lengths = small.count_lengths([])
    assert lengths.shape == (0,) and lengths.dtype == np.int32


# The process


@pytest.mark.parametrize(("before", "after"), [(None, "false"), ("true", "true")])
def test_the_user_s_parallelism_setting_is_kept(before: str | None, after: str) -> None:
    code = (
        "import os, sys\n"
        "from converters.vocabulary import Vocabulary\n"
        "from edgebert.encoding.tokenizer import Tokenizer\n"
        "assert 'tokenizers' not in sys.modules and 'tensorflow' not in sys.modules\n"
        "names = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]')\n"
        "Tokenizer(Vocabulary(names, lowercase=True)).encode_batch(['a', 'b'])\n"
        "if not os.fork(): os._exit(0)\n"
        "os.wait()\n"
        "print(os.environ['TOKENIZERS_PARALLELISM'])\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TOKENIZERS_PARALLELISM"}
    if before is not None:
        environment["TOKENIZERS_PARALLELISM"] = before
    environment["PYTHONPATH"] = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout.strip(), done.stderr) == (after, "")


# Golden cases and real data


def golden_cases() -> list[dict[str, Any]]:
    return list(json.loads(GOLDEN.read_bytes())["cases"])


@pytest.mark.parametrize("case", golden_cases(), ids=lambda case: case["name"])
def test_golden_case(minilm: Tokenizer, case: dict[str, Any]) -> None:
    encoding = minilm.encode(case["text"], max_length=case["max_length"])
    assert list(encoding.token_ids) == case["token_ids"]


def test_golden_cases_have_this_vocabulary(minilm: Tokenizer) -> None:
    golden = json.loads(GOLDEN.read_bytes())
    assert golden["vocabulary_sha256"] == minilm.vocabulary.sha256
    assert len({case["name"] for case in golden["cases"]}) == len(golden["cases"]) >= 60


@pytest.mark.parametrize("name", ["clinc150", "sst2"])
def test_real_data(
    minilm: Tokenizer, reference: tokenizers.Tokenizer, data_dir: Path, name: str
) -> None:
    texts: Sequence[str] = read_dataset(data_dir / name / "test.tsv").texts
    ours, theirs = minilm.encode_batch(texts), reference.encode_batch(list(texts))
    for one, other in zip(ours, theirs, strict=True):
        assert_same_encoding(one, other)
    assert minilm.count_lengths(texts).tolist() == [len(encoding) for encoding in ours]
