"""A JSON file whose outermost value is an array: one item per row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from converters.json_files import InvalidJsonError, json_type, parse_json
from edgebert.data.encodings import as_utf8
from edgebert.data.files import describe, open_unpacked, read_errors
from edgebert.errors import DataError

_PEEKED_BYTES = 4096


def is_array(text: str) -> bool:
    """Whether a text begins as a JSON array."""
    return text.lstrip("\ufeff \t\r\n").startswith("[")


def array_items(text: str, where: str) -> Iterator[tuple[str, Any]]:
    """Yields the place and the value of each item of a JSON array.

    Args:
        text: the whole file.
        where: the file, for messages.

    Raises:
        DataError: The text is no JSON array.
    """
    try:
        content = parse_json(text, constants=False)
    except InvalidJsonError as error:
        raise DataError(
            f"{where}: expected a JSON array of objects. Received: invalid JSON: {error}. Next: "
            "check that the file is complete; a file with one object per line must end in .jsonl."
        ) from error
    if not isinstance(content, list):
        raise DataError(
            f"{where}: expected a JSON array of objects. Received: a JSON {json_type(content)}. "
            "Next: write the rows as one array, or one object per line in a .jsonl; SQuAD's format "
            "is read by --task qa."
        )
    for number, item in enumerate(content, 1):
        yield f"item {number}", item


def first_items(path: Path, count: int, encoding: str = "") -> list[Any] | None:
    """The first items of a file with a JSON array.

    Returns:
        The items; None for another file, or one that can't be read.
    """
    try:
        with (
            read_errors(path),
            closing(as_utf8(open_unpacked(path), describe(path), encoding)) as stream,
        ):
            if not is_array(stream.read(_PEEKED_BYTES).decode("utf-8-sig", "replace")):
                return None
            stream.seek(0)
            text = stream.read().decode("utf-8-sig", "replace")
        items = array_items(text, describe(path))
        return [item for (_, item), _ in zip(items, range(count), strict=False)]
    except DataError:
        return None
