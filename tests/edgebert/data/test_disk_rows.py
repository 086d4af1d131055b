"""Data that is too large for memory is on disk, with the same content."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.vocabulary import Vocabulary
from edgebert.data import disk_rows
from edgebert.data.datasets import Dataset, read_dataset, split_dataset, take
from edgebert.data.disk_rows import NumbersOnDisk, RowsOnDisk, map_rows, store_rows
from edgebert.encoding import encoded_rows
from edgebert.encoding.encoded_rows import EncodingsOnDisk, encode_rows, rows_of
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import DataError
from edgebert.tasks.text_features import encode_texts
from edgebert.training.state import describe_data
from tests.conftest import WORDS

ROWS = 6000


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """After this call almost no rows may stay in memory."""

    def begin() -> None:
        monkeypatch.setattr(disk_rows, "IN_MEMORY_BYTES", 100_000)
        monkeypatch.setattr(encoded_rows, "IN_MEMORY_TOKENS", 2000)
        monkeypatch.setattr(encoded_rows, "ENCODED_AT_ONCE", 256)
        monkeypatch.setattr("edgebert.tasks.text_features.ENCODED_AT_ONCE", 256)

    return begin


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same rows as a .tsv, a .csv and a .jsonl."""
    folder, rng = tmp_path_factory.mktemp("large"), np.random.default_rng(0)
    words = WORDS.split()
    rows = [
        (" ".join(rng.choice(words, rng.integers(3, 40))), f"label {rng.integers(3)}")
        for _ in range(ROWS)
    ]
    texts = {
        ".tsv": "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows),
        ".csv": "text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows),
        ".jsonl": "".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in rows),
    }
    for ending, text in texts.items():
        (folder / f"large{ending}").write_text(text)
    return {ending: folder / f"large{ending}" for ending in texts}


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    plain, lambda inner: st.lists(inner).map(tuple) | st.lists(inner), max_leaves=5
)


@given(st.lists(values, min_size=2))
def test_rows_are_the_same_on_disk(rows: list[Any]) -> None:
    found = store_rows(iter(rows), lambda row: disk_rows.IN_MEMORY_BYTES)
    assert isinstance(found, RowsOnDisk)
    assert list(found) == rows
    assert [found[i] for i in range(-len(rows), len(rows))] == rows + rows
    assert list(found[1:]) == rows[1:]
    assert list(map_rows(found, repr)) == list(map_rows(rows, repr))
    with pytest.raises(IndexError):
        found[len(rows)]


def test_few_rows_stay_in_memory() -> None:
    assert store_rows(iter(range(10)), lambda row: 1) == list(range(10))


def test_numbers_are_mapped() -> None:
    numbers = NumbersOnDisk(np.int32)
    assert len(numbers.mapped()) == 0
    for start in (0, 5):
        numbers.add(np.arange(start, start + 5, dtype=np.int32))
    np.testing.assert_array_equal(numbers.mapped(), np.arange(10))


@pytest.mark.parametrize("ending", [".tsv", ".csv", ".jsonl"])
def test_large_and_small_files_are_read_alike(
    files: dict[str, Path], ending: str, little_memory: Callable[[], None]
) -> None:
    def parts(data: Dataset) -> list[Dataset]:
        return [data, *split_dataset(data, 0.1, 1), take(data, 100, 2)]

    small = parts(read_dataset(files[ending]))
    little_memory()
    large = parts(read_dataset(files[ending]))
    for a, b in zip(small, large, strict=True):
        assert (type(a.examples), type(b.examples)) == (tuple, RowsOnDisk)
        assert (a.name, list(a.examples), a.labels) == (b.name, list(b.examples), b.labels)
        assert list(a.texts) == list(b.texts)
        assert describe_data(a) == describe_data(b)


def test_encodings_are_the_same_on_disk(
    files: dict[str, Path], tiny_vocabulary: Vocabulary, little_memory: Callable[[], None]
) -> None:
    tokenizer = Tokenizer(tiny_vocabulary)
    data = read_dataset(files[".tsv"])
    small = encode_texts(tokenizer, data.examples, 24)
    little_memory()
    large = encode_texts(tokenizer, data.examples, 24)
    assert (type(small.encodings), type(large.encodings)) == (list, EncodingsOnDisk)
    assert list(large.encodings) == small.encodings
    assert large.encodings[-1] == small.encodings[-1]
    assert large.encodings[5:9] == small.encodings[5:9]
    assert large.truncated == small.truncated > 0
    chosen = np.array([3, ROWS - 1, 0])
    batches = [rows_of(each.encodings, 0).padded(chosen, 24) for each in (small, large)]
    batches.append(encode_rows(tokenizer, data.texts, 24).padded(chosen, 24))
    for name, array in batches[0].items():
        for other in batches[1:]:
            np.testing.assert_array_equal(array, other[name])


@pytest.mark.parametrize("ending", [".tsv", ".jsonl"])
def test_memory_does_not_grow_with_the_file(
    files: dict[str, Path],
    ending: str,
    tiny_vocabulary: Vocabulary,
    little_memory: Callable[[], None],
) -> None:
    tokenizer = Tokenizer(tiny_vocabulary)

    def peak() -> int:
        tracemalloc.start()
        data = read_dataset(files[ending])
        features = encode_texts(tokenizer, data.examples, 24)
        rows_of(features.encodings, 0)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    whole = peak()
    little_memory()
    assert peak() < whole / 8


def test_problems_of_a_large_file_have_their_lines(
    files: dict[str, Path], tmp_path: Path, little_memory: Callable[[], None]
) -> None:
    little_memory()
    path = tmp_path / "bad.jsonl"
    path.write_text(files[".jsonl"].read_text() + '{"text": "no label"}\n')
    with pytest.raises(DataError, match=f"line {ROWS + 1}: missing label"):
        read_dataset(path)
