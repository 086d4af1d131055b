"""Labelled text: reads the files that people have, checks their labels, splits them.

Formats, by the file's name, each maybe with `.gz` after it:

- `.tsv`: a header, columns divided by tabs, no quoting (a quotation mark is text);
- `.csv`: a header, columns divided by commas, quoting as spreadsheets write it;
- `.jsonl`: one JSON object a line;
- `.txt`: one text a line, no labels.

`-` is the standard input: JSONL where its first line starts with `{`, else one text a line. Files
are UTF-8 (a byte order mark is skipped). Empty lines are no rows, but an empty line between the
texts of a `.txt` is an empty text. Texts stay as they are; white space around labels is dropped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebert.data.columns import Wanted
from edgebert.data.disk_rows import changed
from edgebert.data.labels import ONE_LABEL, LabelUse
from edgebert.data.table_files import STANDARD_INPUT, read_rows
from edgebert.errors import DataError, UsageError
from edgebert.settings import DataSettings

_SAMPLES = Path(__file__).parent / "samples" / "assistant_intents"
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_SHOWN_LABELS = 20


@dataclass(frozen=True, slots=True)
class Example:
    """A text, or a pair of texts, and its label; None where there is none."""

    text: str
    label: str | None = None
    pair: str | None = None


@dataclass(frozen=True)
class Dataset:
    """Examples of a task: texts with their labels, or what else its reader gives.

    Attributes:
        name: for reports: the file's name without its endings, and what was taken of it.
        examples: in the file's order; `Example` of labelled text, a dataclass in any case. A
            sequence that reads them when they are asked for has a method `subset`.
        path: the file they come from; `-` for the standard input.
        sha256: of the file's bytes (as packed, in a `.gz`), in hex.
        task: the name of the task whose reader read it; empty where any may use it.
    """

    name: str
    examples: Sequence[Any]
    path: Path
    sha256: str
    task: str = ""

    @cached_property
    def texts(self) -> Sequence[str]:
        """The texts."""
        return changed(self.examples, lambda example: example.text)

    @cached_property
    def labels(self) -> tuple[str | None, ...]:
        """The labels, one an example; None of examples that have no one label."""
        once: dict[Any, Any] = {}
        labels = (getattr(example, "label", None) for example in self.examples)
        return tuple(once.setdefault(label, label) for label in labels)

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True)
class SampleSet:
    """The files of the bundled sample set."""

    train: Path
    dev: Path
    test: Path


def read_dataset(
    path: Path | str,
    text_column: str | None = None,
    label_column: str | None = None,
    labels: LabelUse = "required",
    pair_column: str | None = None,
) -> Dataset:
    """Reads a file of texts, or of pairs of texts, with one label each.

    Args:
        path: a .tsv, .csv, .jsonl or .txt, maybe with .gz after it, or `-` for the standard input.
        text_column: the column that has the text. None takes the one that is named text, sentence,
            utterance, review, query, question, content, message, comment or tweet; or, where there
            are the columns of a pair (sentence1 and sentence2, premise and hypothesis and others:
            `dataset_columns.PAIR_COLUMNS`), the first of these.
        label_column: the column that has the label. None takes the one that is named label, intent,
            category or class.
        labels: `required`: every row has one. `optional`: a row may have one. `none`: they are not
            looked at.
        pair_column: the column that has a pair's second text. None takes that of the pair's
            columns; where only `text_column` is named, the examples are single texts.

    Raises:
        DataError: the file is missing, empty, not UTF-8, of no known format, its columns are
            unclear, or rows have no text, no label or too many columns. Up to five problems are
            listed with their lines, and how many there are.
        UsageError: `labels` is none of its values, or columns are named where there are none.
    """
    columns = DataSettings(text_column or "", pair_column or "", label_column or "")
    read = read_table(path, columns, Wanted(ONE_LABEL, labels), Example)
    return replace(read, task="classification" if read.examples[0].pair is None else "pairs")


def read_table(
    path: Path | str,
    columns: DataSettings,
    wanted: Wanted,
    make: Callable[[str, Any, str | None], Any],
    task: str = "",
) -> Dataset:
    """Reads a file of texts, with labels of any kind.

    Args:
        path: as for `read_dataset`.
        columns: the columns that are named; the others are found by their names.
        wanted: what is read of a row.
        make: makes an example of a text, its label (as the kind of label has it, None where there
            is none) and the second text of a pair.
        task: the name of the task whose examples they are.

    Raises:
        DataError: as for `read_dataset`.
        UsageError: as for `read_dataset`.
    """
    path = Path(path)
    rows, sha256 = read_rows(path, columns, wanted)
    name = "stdin" if path == STANDARD_INPUT else path.name.split(".")[0] or path.name
    examples = changed(rows, lambda row: make(row[0], row[2], row[1]))
    return Dataset(name, examples, path, sha256, task)


def label_names(dataset: Dataset) -> tuple[str, ...]:
    """Returns the labels that occur, each once: sorted, as numbers where all are integers.

    Raises:
        DataError: an example has no label.
    """
    return sorted_labels(_labels_of(dataset))


def sorted_labels(names: Iterable[str]) -> tuple[str, ...]:
    """Labels in the order that models have them: sorted, as numbers where all are integers."""
    names = set(names)
    if all(_INTEGER.fullmatch(name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def encode_labels(dataset: Dataset, labels: Sequence[str]) -> npt.NDArray[np.int32]:
    """Returns the place of each example's label in `labels`: int32 `[examples]`.

    Raises:
        DataError: an example has no label, or one that is not in `labels`.
    """
    places = {label: place for place, label in enumerate(labels)}
    counts = _labels_of(dataset)
    refuse_unknown_labels(dataset, counts, labels)
    return np.fromiter((places[str(label)] for label in dataset.labels), np.int32, len(dataset))


def refuse_unknown_labels(
    dataset: Dataset, counts: Mapping[str, int], labels: Sequence[str]
) -> None:
    """Holds the labels of a data set against a model's.

    Args:
        dataset: where they are from.
        counts: how often it has each label.
        labels: those that the model knows.

    Raises:
        DataError: it has others; they are listed.
    """
    known = set(labels)
    unknown = {label: count for label, count in counts.items() if label not in known}
    if unknown:
        listed = _listed([f"{label!r} ({count}x)" for label, count in sorted(unknown.items())])
        raise DataError(
            f"{dataset.name}: expected labels that the model knows: "
            f"{_listed([repr(label) for label in labels])}. Received, too: {listed}. "
            "Next: train with these labels, or take their rows out."
        )


def split_dataset(dataset: Dataset, dev_fraction: float, seed: int) -> tuple[Dataset, Dataset]:
    """Splits a dataset in two with the same share of every label; the file's order is kept.

    Of each label at least one example stays in the first part. Examples without a label count as
    one label of their own, those with several by the rarest of them.

    Args:
        dataset: at least two examples.
        dev_fraction: the share of the second part, between 0 and 1.
        seed: the same seed gives the same split, on every machine.

    Returns:
        The rest, and the part that is `dev_fraction` of all.

    Raises:
        UsageError: `dev_fraction` is not between 0 and 1.
        DataError: there are too few examples for that share.
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
            f"{dataset.name}: expected enough examples to split {dev_fraction:g} of them off. "
            f"Received: {len(dataset)} of {len(groups)} labels. Next: give a dev file."
        )
    chosen = np.zeros(len(dataset), bool)
    for group, size in zip(groups, sizes, strict=True):
        chosen[generator.permutation(group)[:size]] = True
    percent = f"{100 * dev_fraction:g} %, seed {seed}"
    return (
        _subset(dataset, np.flatnonzero(~chosen), f"without {percent}"),
        _subset(dataset, np.flatnonzero(chosen), percent),
    )


def take(dataset: Dataset, rows: int, seed: int) -> Dataset:
    """Takes a random subset of `rows` examples, in the file's order; all where there are no more.

    Args:
        dataset: where from.
        rows: how many, at least 1.
        seed: the same seed gives the same subset, on every machine.

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
    """Returns the files of the bundled sample set: what people say to a voice assistant.

    Columns: text, label (the intent), template (the sentence that the text was made from).
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
    """The label of each example, of several the rarest."""
    lists = [getattr(example, "labels", None) for example in dataset.examples]
    if not any(lists):
        return dataset.labels
    counts = Counter(label for labels in lists for label in labels or ())
    return [
        min(labels, key=lambda label: (counts[label], label)) if labels else None
        for labels in lists
    ]


def _dev_sizes(sizes: Sequence[int], fraction: float) -> list[int]:
    """Shares round(fraction of all) out among groups, the largest remainders first."""
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
