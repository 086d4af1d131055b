"""Data sets of labelled text: reads files, checks labels, splits and samples.

The ending of the file name gives the format; `.gz` may follow it:

- `.tsv`: a header, columns separated by tabs, no quoting (a quotation mark is text);
- `.csv`: a header, columns separated by commas, quoting as in spreadsheets;
- `.jsonl`: one JSON object per line;
- `.txt`: one text per line, no labels.

`-` is the standard input: JSONL if its first line starts with `{`, otherwise one text per line.
Files are UTF-8; a byte order mark is skipped. Empty lines are not rows, except that an empty line
between the texts of a `.txt` is an empty text. Texts are not changed; white space around labels is
removed.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebert.data.columns import RowSpec
from edgebert.data.disk_rows import map_rows
from edgebert.data.files import dataset_name
from edgebert.data.labels import ONE_LABEL, LabelUse
from edgebert.data.table_files import read_rows
from edgebert.errors import DataError, UsageError
from edgebert.settings import DataSettings

_SAMPLES = Path(__file__).parent / "samples" / "assistant_intents"
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_SHOWN_LABELS = 20


@dataclass(frozen=True, slots=True)
class Example:
    """A text, or a pair of texts, with its label; None for a missing label or second text."""

    text: str
    label: str | None = None
    pair: str | None = None


@dataclass(frozen=True)
class Dataset:
    """The examples of a task.

    Attributes:
        name: name for reports: the file name without endings, and the part that was taken.
        examples: dataclass objects in the order of the file; `Example` for labelled text. A
            sequence that reads examples on access has a method `subset`.
        path: the file; `-` for the standard input.
        sha256: SHA-256 of the file as it is stored, in hex.
        task: name of the task whose reader read the file; empty if every task can use it.
        left_out: the rows that `skip_bad_rows` left out, each with its place and its problem.
    """

    name: str
    examples: Sequence[Any]
    path: Path
    sha256: str
    task: str = ""
    left_out: tuple[str, ...] = ()

    @cached_property
    def texts(self) -> Sequence[str]:
        """The texts."""
        return map_rows(self.examples, lambda example: example.text)

    @cached_property
    def labels(self) -> tuple[str | None, ...]:
        """The label of each example; None for examples without a single label."""
        once: dict[Any, Any] = {}
        labels = (getattr(example, "label", None) for example in self.examples)
        return tuple(once.setdefault(label, label) for label in labels)

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True)
class SampleSet:
    """Paths of the bundled sample set."""

    train: Path
    dev: Path
    test: Path


def read_dataset(
    path: Path | str,
    *,
    text_column: str = "",
    pair_column: str = "",
    label_column: str = "",
    labels: LabelUse = "required",
) -> Dataset:
    """Reads a file of texts, or of pairs of texts, with one label each.

    Args:
        path: a .tsv, .csv, .jsonl or .txt, maybe with .gz after it, or `-` for the standard input.
        text_column: Column of the text. Empty finds a column named text, sentence, utterance,
            review, query, question, content, message, comment or tweet, or the first of the two
            columns of a pair (such as sentence1 and sentence2: `columns.PAIR_COLUMNS`).
        pair_column: Column of the second text of a pair. Empty finds the second of the two columns
            of a pair; if only `text_column` is given, the examples are single texts.
        label_column: Column of the label. Empty finds a column named label, intent, category or
            class.
        labels: `required`: every row has a label. `optional`: a row may have one. `none`: labels
            are ignored.

    Raises:
        DataError: The file is missing, empty, not UTF-8 or of an unknown format, its columns are
            unclear, or rows have no text, no label or too many columns. The first five problems
            are listed with their lines, and the number of all.
        UsageError: `labels` has an unknown value, or columns are named for a file without columns.
    """
    return read_labelled(path, DataSettings(text_column, pair_column, label_column), labels)


def read_labelled(path: Path | str, columns: DataSettings, labels: LabelUse) -> Dataset:
    """Reads a file of texts, or of pairs of texts, with one label each.

    Args:
        path: as for `read_dataset`.
        columns: names of columns; a column with an empty name is found by the usual names.
        labels: as for `read_dataset`.

    Raises:
        DataError: as for `read_dataset`.
        UsageError: as for `read_dataset`.
    """
    read = read_table(path, columns, RowSpec(ONE_LABEL, labels), Example)
    return replace(read, task="classification" if read.examples[0].pair is None else "pairs")


def read_table(
    path: Path | str,
    columns: DataSettings,
    spec: RowSpec,
    make: Callable[..., Any],
    task: str = "",
) -> Dataset:
    """Reads a file of texts, with labels of any kind.

    Args:
        path: as for `read_dataset`.
        columns: names of columns; a column with an empty name is found by the usual names.
        spec: the texts and the label of a row.
        make: makes an example from a text, its label (None if missing), the second text of a
            pair (None for single texts), and a third text if the file has the column `spec.third`.
        task: name of the task of the examples.

    Raises:
        DataError: as for `read_dataset`.
        UsageError: as for `read_dataset`.
    """
    path = Path(path)
    read = read_rows(path, columns, spec)
    examples = map_rows(read.rows, lambda row: make(row[0], row[2], row[1], *row[3:]))
    return Dataset(dataset_name(path), examples, path, read.sha256, task, read.left_out)


def label_names(dataset: Dataset) -> tuple[str, ...]:
    """The labels of a data set, each once; sorted by number if all are integers, else by text.

    Raises:
        DataError: an example has no label.
    """
    return sorted_labels(_labels_of(dataset))


def sorted_labels(names: Iterable[str]) -> tuple[str, ...]:
    """Labels in the order of model outputs: sorted by number if all are integers, else by text."""
    names = set(names)
    if all(_INTEGER.fullmatch(name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def encode_labels(dataset: Dataset, labels: Sequence[str]) -> npt.NDArray[np.int32]:
    """The index in `labels` of each example's label: int32 `[examples]`.

    Raises:
        DataError: An example has no label, or a label that is not in `labels`.
    """
    places = {label: place for place, label in enumerate(labels)}
    counts = _labels_of(dataset)
    refuse_unknown_labels(dataset, counts, labels)
    return np.fromiter((places[str(label)] for label in dataset.labels), np.int32, len(dataset))


def refuse_unknown_labels(
    dataset: Dataset, counts: Mapping[str, int], labels: Sequence[str]
) -> None:
    """Checks that a model knows the labels of a data set.

    Args:
        dataset: the data set, for its name.
        counts: number of examples of each label.
        labels: labels of the model.

    Raises:
        DataError: The data set has other labels; they are listed.
    """
    known = set(labels)
    unknown = {label: count for label, count in counts.items() if label not in known}
    if unknown:
        listed = _listed([f"{label!r} ({count}x)" for label, count in sorted(unknown.items())])
        raise DataError(
            f"{dataset.name}: expected labels that the model knows: "
            f"{_listed([repr(label) for label in labels])}. Received also: {listed}. "
            "Next: train a model with these labels, or remove their rows."
        )


def split_dataset(dataset: Dataset, dev_fraction: float, seed: int) -> tuple[Dataset, Dataset]:
    """Splits a data set in two, stratified by label; both parts keep the order of the file.

    The first part keeps at least one example of each label. Examples without a label form one
    stratum. Examples with several labels belong to the stratum of their rarest label.

    Args:
        dataset: at least two examples.
        dev_fraction: share of the second part, between 0 and 1.
        seed: the same seed gives the same split on every machine.

    Returns:
        The first part, and the second part with `dev_fraction` of the examples.

    Raises:
        UsageError: `dev_fraction` is not between 0 and 1.
        DataError: There are too few examples for that share.
    """
    if not 0 < dev_fraction < 1:
        raise UsageError(f"dev_fraction: expected between 0 and 1. Received: {dev_fraction}.")
    generator = np.random.default_rng(seed)
    places: dict[str | None, int] = {}
    numbers = (places.setdefault(label, len(places)) for label in _strata(dataset))
    label_of = np.fromiter(numbers, np.int32, len(dataset))
    ordered = sorted(places, key=lambda label: (label is None, label))
    groups = [np.flatnonzero(label_of == places[label]) for label in ordered]
    sizes = _dev_sizes([len(group) for group in groups], dev_fraction)
    if not sum(sizes):
        raise DataError(
            f"{dataset.name}: expected enough examples for a dev part of {dev_fraction:g}. "
            f"Received: {len(dataset)} examples of {len(groups)} labels. Next: give a dev file."
        )
    chosen = np.zeros(len(dataset), bool)
    for group, size in zip(groups, sizes, strict=True):
        chosen[generator.permutation(group)[:size]] = True
    percent = f"{100 * dev_fraction:g} %, seed {seed}"
    return (
        _subset(dataset, np.flatnonzero(~chosen), f"without {percent}"),
        _subset(dataset, np.flatnonzero(chosen), percent),
    )


def joined(first: Dataset, second: Dataset) -> Dataset:
    """The examples of both data sets, the first one's first.

    The name has both names, and the hash is that of both hashes.
    """
    digest = hashlib.sha256((first.sha256 + second.sha256).encode()).hexdigest()
    return replace(
        first,
        name=f"{first.name} and {second.name}",
        examples=(*first.examples, *second.examples),
        sha256=digest,
        left_out=(*first.left_out, *second.left_out),
    )


def take(dataset: Dataset, rows: int, seed: int) -> Dataset:
    """A random subset of `rows` examples in the order of the file; all examples if there are fewer.

    Args:
        dataset: the data set.
        rows: number of examples, at least 1.
        seed: the same seed gives the same subset on every machine.

    Raises:
        UsageError: `rows` is less than 1.
    """
    if rows < 1:
        raise UsageError(f"rows: expected at least 1. Received: {rows}.")
    if rows >= len(dataset):
        return dataset
    chosen = np.random.default_rng(seed).choice(len(dataset), rows, replace=False)
    return _subset(dataset, np.sort(chosen), f"{rows} rows, seed {seed}")


def sample_set() -> SampleSet:
    """The files of the bundled sample set: commands to a voice assistant with their intents.

    Columns: text, label (the intent), template (the id of the template of the text).
    """
    return SampleSet(*(_SAMPLES / f"{part}.tsv" for part in ("train", "dev", "test")))


def _labels_of(dataset: Dataset) -> Counter[str]:
    counts = Counter(dataset.labels)
    missing = counts.pop(None, 0)
    if missing:
        raise DataError(
            f"{dataset.name}: expected a label for every text. Received: {missing} of "
            f"{len(dataset)} texts without one. Next: read a file that has labels."
        )
    return Counter({str(label): count for label, count in counts.items()})


def _strata(dataset: Dataset) -> Sequence[str | None]:
    """The stratum of each example: its label, or the rarest of its labels."""
    lists = [getattr(example, "labels", None) for example in dataset.examples]
    if not any(lists):
        return dataset.labels
    counts = Counter(label for labels in lists for label in labels or ())
    return [
        min(labels, key=lambda label: (counts[label], label)) if labels else None
        for labels in lists
    ]


def _dev_sizes(sizes: Sequence[int], fraction: float) -> list[int]:
    """Distributes round(fraction * total) over the groups by the largest remainder method."""
    wanted = [fraction * size for size in sizes]
    most = [size - 1 for size in sizes]
    taken = [min(int(share), limit) for share, limit in zip(wanted, most, strict=True)]
    missing = round(sum(wanted)) - sum(taken)
    by_remainder = sorted(range(len(sizes)), key=lambda i: (int(wanted[i]) - wanted[i], i))
    for group in by_remainder:
        if missing > 0 and taken[group] < most[group]:
            taken[group] += 1
            missing -= 1
    return taken


def _subset(dataset: Dataset, rows: npt.NDArray[np.intp], what: str) -> Dataset:
    subset = getattr(dataset.examples, "subset", None)
    examples = subset(rows) if subset else tuple(dataset.examples[row] for row in rows)
    return replace(dataset, name=f"{dataset.name} ({what})", examples=examples)


def _listed(items: Sequence[str]) -> str:
    more = f", and {len(items) - _SHOWN_LABELS} more" if len(items) > _SHOWN_LABELS else ""
    return ", ".join(items[:_SHOWN_LABELS]) + more
