"""Labels, splits and subsets of data sets, and real data sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.data.datasets import (
    Dataset,
    Example,
    encode_labels,
    label_names,
    read_dataset,
    sample_set,
    split_dataset,
    take,
)
from edgebert.errors import DataError, UsageError


def dataset(*labels: str | None) -> Dataset:
    examples = tuple(Example(f"text {row}", label) for row, label in enumerate(labels))
    return Dataset("made", examples, Path("made.tsv"), "0" * 64)


# Labels


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("b", "a", "b"), ("a", "b")),
        (("10", "9", "-1", "9"), ("-1", "9", "10")),
        (("10", "9", "x"), ("10", "9", "x")),
        (("01", "1"), ("01", "1")),
        (("1.5", "1"), ("1", "1.5")),
    ],
)
def test_label_names(labels: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert label_names(dataset(*labels)) == expected


def test_encode_labels() -> None:
    encoded = encode_labels(dataset("b", "a", "b"), ("a", "b", "c"))
    assert encoded.dtype == np.int32 and encoded.tolist() == [1, 0, 1]


def test_unknown_labels() -> None:
    with pytest.raises(DataError) as caught:
        encode_labels(dataset("b", "x", "y", "x"), ("a", "b"))
    assert "'a', 'b'. Received also: 'x' (2x), 'y' (1x)" in str(caught.value)


@pytest.mark.parametrize("use", [label_names, lambda data: encode_labels(data, ("a",))])
def test_missing_labels(use: Callable[[Dataset], object]) -> None:
    with pytest.raises(DataError, match="2 of 3 texts without one"):
        use(dataset("a", None, None))


# Parts


@given(
    labels=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=2, max_size=60),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 5),
)
def test_split(labels: list[str | None], fraction: float, seed: int) -> None:
    data = dataset(*labels)
    try:
        train, dev = split_dataset(data, fraction, seed)
    except DataError:
        counts = Counter(labels).values()
        assert round(fraction * len(labels)) == 0 or max(counts) == 1
        return
    assert Counter(train.examples) + Counter(dev.examples) == Counter(data.examples)
    for part in (train, dev):
        places = [data.examples.index(example) for example in part.examples]
        assert places == sorted(places)
    for label, count in Counter(labels).items():
        assert abs(dev.labels.count(label) - fraction * count) <= 1
        assert train.labels.count(label) >= 1
    again = split_dataset(data, fraction, seed)
    assert (train, dev) == again


def test_split_is_stratified_and_named() -> None:
    data = dataset(*["a"] * 80, *["b"] * 16, *["c"] * 4)
    train, dev = split_dataset(data, 0.25, 7)
    assert Counter(dev.labels) == {"a": 20, "b": 4, "c": 1}
    assert dev.name == "made (25 %, seed 7)" and train.name == "made (without 25 %, seed 7)"
    assert dev.sha256 == data.sha256
    other, _ = split_dataset(data, 0.25, 8)
    assert other.examples != train.examples


def test_a_split_is_reproducible() -> None:
    data = dataset(*"ababababab")
    assert list(split_dataset(data, 0.4, 0)[1].texts) == ["text 3", "text 4", "text 8", "text 9"]


def test_errors_of_split() -> None:
    for fraction in (0, 1, -0.5, 2, float("nan")):
        with pytest.raises(UsageError, match="between 0 and 1"):
            split_dataset(dataset("a", "b"), fraction, 0)
    with pytest.raises(DataError, match="2 examples of 2 labels"):
        split_dataset(dataset("a", "b"), 0.5, 0)


def test_take() -> None:
    data = dataset(*"abcdefghij")
    part = take(data, 4, 3)
    assert len(part) == 4 and part.name == "made (4 rows, seed 3)"
    assert part == take(data, 4, 3) != take(data, 4, 4)
    assert list(part.texts) == sorted(set(part.texts))
    assert take(data, 10, 0) is data and take(data, 11, 0) is data
    with pytest.raises(UsageError, match="at least 1"):
        take(data, 0, 0)


# Real data


def test_sample_set_can_be_read() -> None:
    parts = sample_set()
    read = [read_dataset(path) for path in (parts.train, parts.dev, parts.test)]
    assert [part.name for part in read] == ["train", "dev", "test"]
    assert len({label_names(part) for part in read}) == 1
    assert all(len(part) > len(label_names(part)) for part in read)


@pytest.mark.parametrize(
    ("name", "rows", "classes"),
    [
        ("sst2/train.tsv.gz", 67_349, 2),
        ("sst2/dev.tsv", 872, 2),
        ("sst2/test.tsv", 1_456, 2),
        ("clinc150/train.tsv.gz", 15_100, 151),
        ("clinc150/test.tsv", 4_400, 151),
        ("banking77/train.tsv.gz", 10_003, 77),
        ("banking77/test.tsv", 2_464, 77),
        ("agnews/test.tsv.gz", 6_080, 4),
    ],
)
def test_real_data(data_dir: Path, name: str, rows: int, classes: int) -> None:
    read = read_dataset(data_dir / name)
    assert len(read) == rows
    names = label_names(read)
    assert len(names) == classes
    assert np.bincount(encode_labels(read, names)).min() > 0
