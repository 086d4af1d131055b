"""Reads JSON: one parser, one reader of JSON objects, one check of format and version.

Every JSON file of `converters` and `edgebert` is read through this module, so that a damaged or
hostile file always ends as the error class of the code that reads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.errors import ConversionError
from converters.limited_files import read_limited

MAX_BYTES = 256 * 2**20
"""The largest JSON file that `JsonFormat.read` accepts, in bytes."""
_SHOWN_CHARACTERS = 80
_MAYBE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class InvalidJsonError(ValueError):
    """A text is no valid JSON, or can't be held in Python's types."""


def parse_json(data: bytes | str, *, constants: bool = True, surrogates: bool = True) -> Any:
    r"""Parses one JSON value.

    Args:
        data: text, or bytes in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.
        constants: Whether `NaN`, `Infinity` and `-Infinity` are accepted, which are no JSON but
            which Python writes.
        surrogates: Whether a text may have half of a surrogate pair, such as `\ud800`, which is no
            character. The readers of data files replace it; UTF-8 can't hold it.

    Raises:
        InvalidJsonError: The text is no JSON, has another encoding, is nested too deeply, or has a
            whole number of more digits than Python converts.
    """
    try:
        if isinstance(data, bytes):
            data = data.decode(json.detect_encoding(data))
        value = json.loads(data, parse_constant=None if constants else _refuse_constant)
        if not surrogates and _MAYBE_SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except RecursionError as error:
        raise InvalidJsonError("it is nested too deeply") from error
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        raise InvalidJsonError(f"a text has {half}, half of a surrogate pair") from error
    except ValueError as error:
        raise InvalidJsonError(str(error)) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def json_type(value: Any) -> str:
    """The name of a value's JSON type, for messages."""
    names = {str: "text", bool: "boolean", type(None): "null", list: "array", dict: "object"}
    return names.get(type(value), "number")


def json_value(value: Any) -> Any:
    """A value as JSON returns it: tuples become lists, keys become texts."""
    return json.loads(json.dumps(value))


@dataclass(frozen=True)
class JsonFormat:
    """A kind of JSON object: what messages call it, its version, and how its errors are raised.

    Attributes:
        name: what is expected, for messages, such as "a pipeline record".
        next_step: what the user can do about a wrong file, without a full stop.
        error: the class of every error; it takes one message.
        format: the text under the key `format`; empty where there is none.
        versions: the versions that can be read, under the key `version`, or under `format` where
            `format` is empty; empty where the objects have no version.
        max_bytes: the largest file that `read` accepts.
    """

    name: str
    next_step: str
    error: type[Exception] = ConversionError
    format: str = ""
    versions: tuple[int, ...] = ()
    max_bytes: int = MAX_BYTES

    def read(self, path: Path) -> dict[str, Any]:
        """Reads an object from a file.

        Raises:
            error: The file can't be read, is too large, is no JSON object, or has another format
                or version.
        """
        return self.require(self.read_value(path), path)

    def read_value(self, path: Path) -> Any:
        """Reads any JSON value from a file; format and version are not checked.

        Raises:
            error: The file can't be read, is too large, or is no JSON.
        """
        try:
            data = read_limited(path, self.max_bytes)
        except (OSError, ValueError) as error:
            strerror = getattr(error, "strerror", None)
            received = f"a file that can't be read ({strerror or error})"
            raise self._unexpected(path, received) from error
        return self._parsed(data, path)

    def parse(self, data: bytes | str, where: Path | str) -> dict[str, Any]:
        """Parses an object that was read already.

        Args:
            data: text or bytes.
            where: the file or place that messages name.

        Raises:
            error: The data is no JSON object, or has another format or version.
        """
        return self.require(self._parsed(data, where), where)

    def require(self, content: Any, where: Path | str = "") -> dict[str, Any]:
        """Checks that a parsed value is an object of this format and of a known version.

        Raises:
            error: It is not.
        """
        if not isinstance(content, Mapping):
            raise self._unexpected(where, f"a JSON {json_type(content)}")
        version = content.get("version" if self.format else "format")
        known = type(version) is int and version in self.versions
        if self.format and (content.get("format") != self.format or not known):
            received = f"{short_repr(content.get('format'))}, version {short_repr(version)}"
            raise self._unexpected(where, received)
        if self.versions and not known:
            raise self._unexpected(where, f"format {short_repr(version)}")
        return dict(content)

    def _parsed(self, data: bytes | str, where: Path | str) -> Any:
        try:
            return parse_json(data, surrogates=False)
        except InvalidJsonError as error:
            raise self._unexpected(where, f"no JSON: {error}") from error

    def _unexpected(self, where: Path | str, received: str) -> Exception:
        expected = f"expected {self.name}"
        if self.format:
            expected += f" ({self.format}, version {self.versions[-1]})"
        elif self.versions:
            expected += f" of format {' or '.join(map(str, self.versions))}"
        expected = f"{where}: {expected}" if str(where) else f"E{expected[1:]}"
        return self.error(f"{expected}. Received: {received}. Next: {self.next_step}.")


def short_repr(value: Any) -> str:
    """The representation of a value in messages, cut to a short length."""
    try:
        shown = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or a number of too many digits
        shown = f"a very long {json_type(value)}"
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}..."
