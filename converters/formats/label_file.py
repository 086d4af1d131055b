"""labels.txt: the labels of a classifier in formats that have no place for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from converters.errors import ConversionError
from converters.json_files import MAX_BYTES
from converters.limited_files import read_limited

LABELS_FILE = "labels.txt"


def read_labels(folder: Path, count: int) -> tuple[str, ...]:
    """Reads labels.txt, one label per output in order; LABEL_0, LABEL_1 ... without the file.

    Raises:
        ConversionError: The file does not have `count` different labels.
    """
    path = folder / LABELS_FILE
    if not path.is_file():
        return tuple(f"LABEL_{i}" for i in range(count))
    labels = read_lines(path)
    if len(labels) != count or len(set(labels)) != count or "" in labels:
        raise ConversionError(
            f"{path}: expected {count} different labels, one per line, in the order of the "
            f"outputs. Received: {', '.join(map(repr, labels[:8]))}."
        )
    return labels


def read_lines(path: Path) -> tuple[str, ...]:
    """The lines of a UTF-8 file.

    Raises:
        ConversionError: The file can't be read or is not UTF-8.
    """
    try:
        return tuple(read_limited(path, MAX_BYTES).decode("utf-8").removesuffix("\n").split("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(
            f"{path}: expected a text file in UTF-8. Received: {error}. Next: download it again."
        ) from error


def write_labels(labels: Sequence[str], folder: Path) -> None:
    """Writes labels.txt.

    Raises:
        ConversionError: A label contains a line break.
    """
    broken = [label for label in labels if "\n" in label]
    if broken:
        raise ConversionError(
            f"{LABELS_FILE}: expected labels without line breaks. Received: {broken[0]!r}."
        )
    (folder / LABELS_FILE).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
