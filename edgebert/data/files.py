"""The bytes and lines of a data file: a path, maybe packed with gzip, or the standard input.

Line numbers count from 1, byte offsets from 0 (after unpacking, in a `.gz`).
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, cast

from edgebert.data.columns import Problems
from edgebert.data.encodings import NAME_ENCODING, as_utf8
from edgebert.errors import DataError

STANDARD_INPUT = Path("-")
_LONGEST_LINE_BYTES = 65_536
_READ_ERRORS = (OSError, EOFError, zlib.error)


def describe(path: Path) -> str:
    """The name of a data file in messages."""
    return "standard input" if path == STANDARD_INPUT else str(path)


def dataset_name(path: Path) -> str:
    """The name of a data file in reports: its file name without endings."""
    return "stdin" if path == STANDARD_INPUT else path.name.split(".")[0] or path.name


def ending_of(path: Path) -> str:
    """The ending that tells the format: in lower case, without `.gz`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


@contextlib.contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Turns errors of reading or unpacking a file into one with the path.

    Raises:
        DataError: The file can't be read or unpacked.
    """
    try:
        yield
    except _READ_ERRORS as error:
        raise DataError(
            f"{describe(path)} can't be read: {error}. Next: check the path, and that the file was "
            "copied completely."
        ) from error


def open_bytes(path: Path) -> tuple[BinaryIO, str]:
    """Opens a data file, unpacked where its name ends in `.gz`.

    Returns:
        The stream, and the SHA-256 in hex of the file as it is stored.
    """
    if path == STANDARD_INPUT:
        data = sys.stdin.buffer.read()
        return io.BytesIO(data), hashlib.sha256(data).hexdigest()
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return open_unpacked(path), sha256


def open_unpacked(path: Path) -> BinaryIO:
    """Opens a file, unpacked where its name ends in `.gz`."""
    packed = path.suffix.lower() == ".gz"
    return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")


def first_lines(path: Path, count: int, encoding: str = "") -> list[str]:
    """The first lines of a file without their line ends; none if the file can't be read."""
    try:
        with closing(as_utf8(open_unpacked(path), describe(path), encoding)) as stream:
            lines = [stream.readline(_LONGEST_LINE_BYTES) for _ in range(count)]
    except (*_READ_ERRORS, DataError):
        return []
    texts = (line.decode("utf-8", "replace").rstrip("\r\n") for line in lines if line)
    return [text.removeprefix("\ufeff") for text in texts]


def numbered_lines(
    stream: BinaryIO, problems: Problems, keeps_bad: bool = False
) -> Iterator[tuple[int, str]]:
    """Yields line numbers and lines with their line ends; empty lines at the end are left out.

    Args:
        stream: UTF-8, maybe with a byte order mark.
        problems: gets the lines that are not UTF-8.
        keeps_bad: whether such lines are yielded with U+FFFD, for formats whose rows have several
            lines. Their numbers are in `problems.lines`.
    """
    offset, empty = 0, []
    text: str | None
    for number, line in enumerate(stream, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            start = offset + error.start
            problems.add(number, f"not UTF-8 (byte 0x{line[error.start]:02x} at offset {start})")
            problems.next_step = NAME_ENCODING
            text = line.decode("utf-8", "replace") if keeps_bad else None
        if text in ("\n", "\r\n", ""):
            empty.append((number, text))
        elif text is not None:
            yield from empty
            empty.clear()
            yield number, text
        offset += len(line)


def without_line_end(line: str) -> str:
    r"""The line without `\n` or `\r\n`."""
    return line.removesuffix("\n").removesuffix("\r")
