"""The character encoding of a data file: a stream in any encoding becomes a stream in UTF-8."""

from __future__ import annotations

import codecs
import io
import shutil
import tempfile
from typing import BinaryIO, cast

from edgebert.errors import DataError, UsageError

NAME_ENCODING = (
    "name the encoding of the file, such as --encoding windows-1252, or correct these lines; "
    "nothing was read from the file"
)
_MEMORY_BYTES = 64 * 1024 * 1024
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def as_utf8(stream: BinaryIO, where: str, encoding: str = "") -> BinaryIO:
    """The stream in UTF-8. A byte-order mark has precedence over the named encoding.

    Text that is converted and larger than 64 MiB goes to a temporary file.

    Args:
        stream: seekable, at its start; it is closed if it is converted.
        where: the file, for messages.
        encoding: the name of an encoding that Python knows; empty is UTF-8, or UTF-16 with a
            byte-order mark.

    Raises:
        DataError: The text is not in the encoding.
        UsageError: The encoding is unknown.
    """
    encoding = _encoding_of(stream, encoding)
    if encoding == "utf-8":
        return stream
    converted = tempfile.SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115
    reader = io.TextIOWrapper(stream, encoding, newline="")
    writer = codecs.getwriter("utf-8")(converted, "surrogatepass")
    try:
        with reader:
            shutil.copyfileobj(reader, writer)
    except UnicodeError as error:
        converted.close()
        raise DataError(
            f"{where}: expected text in {encoding}. Received: {error}. Next: name the encoding "
            "of the file with --encoding, or save the file as UTF-8."
        ) from error
    converted.seek(0)
    return cast(BinaryIO, converted)


def _encoding_of(stream: BinaryIO, named: str) -> str:
    try:
        name = codecs.lookup(named or "utf-8").name
        "".encode(name)
    except (LookupError, ValueError) as error:
        stream.close()
        raise UsageError(
            f"--encoding: expected the name of an encoding, such as windows-1252 or utf-16. "
            f"Received: {named!r}."
        ) from error
    start = stream.read(len(codecs.BOM_UTF8))
    stream.seek(0)
    if start.startswith(_UTF16_MARKS) and not name.startswith("utf-32"):
        return "utf-16"
    return "utf-8" if start == codecs.BOM_UTF8 or name == "utf-8-sig" else name
