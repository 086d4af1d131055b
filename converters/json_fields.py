"""Reads typed fields of a JSON object, and collects the problems of all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from converters.json_files import short_repr


class Fields:
    """Typed fields of a JSON object.

    Each method returns the value of a key. A missing key, or null, gives the default; without a
    default it is a problem. A value of another type is a problem. After a problem the default is
    returned, or an empty value of the type, so that the caller can go on and report all problems.

    Args:
        content: the object.

    Attributes:
        problems: the problems so far, one line each.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content
        self.problems: list[str] = []

    def whole(self, key: str, default: int | None = None, *, least: int | None = None) -> int:
        """A whole number; with `least`, at least that."""
        value = self._value(key, default)
        if type(value) is int and (least is None or value >= least):
            return value
        self._wrong(key, "a whole number" + ("" if least is None else f", at least {least}"))
        return default or 0

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        value = self._value(key, default)
        if type(value) in (int, float) and abs(value) <= _LARGEST and math.isfinite(value):
            return float(value)
        self._wrong(key, "a finite number")
        return default or 0.0

    def flag(self, key: str, default: bool | None = None) -> bool:
        """True or false."""
        value = self._value(key, default)
        if type(value) is bool:
            return value
        self._wrong(key, "true or false")
        return bool(default)

    def text(
        self, key: str, default: str | None = None, *, choices: Iterable[str] | None = None
    ) -> str:
        """A text; with `choices`, one of them."""
        value = self._value(key, default)
        known = None if choices is None else tuple(choices)
        if isinstance(value, str) and (known is None or value in known):
            return value
        self._wrong(key, "a text" if known is None else f"one of {', '.join(known)}")
        return default or ""

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of texts."""
        value = self._value(key, default)
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self._wrong(key, "a list of texts")
        return default or ()

    def table(self, key: str, default: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """An object."""
        value = self._value(key, default)
        if isinstance(value, Mapping):
            return dict(value)
        self._wrong(key, "an object")
        return dict(default or {})

    def tables(
        self, key: str, default: tuple[Mapping[str, Any], ...] | None = None
    ) -> tuple[dict[str, Any], ...]:
        """A list of objects."""
        value = self._value(key, default)
        if isinstance(value, list | tuple) and all(isinstance(item, Mapping) for item in value):
            return tuple(map(dict, value))
        self._wrong(key, "a list of objects")
        return tuple(map(dict, default or ()))

    def arrays(self, key: str, types: tuple[type, ...]) -> tuple[tuple[Any, ...], ...]:
        """A list of lists of these types; for `float`, a finite number."""
        value = self._value(key, None)
        if isinstance(value, list) and all(_are_of(item, types) for item in value):
            return tuple(map(tuple, value))
        self._wrong(key, f"a list of [{', '.join(kind.__name__ for kind in types)}]")
        return ()

    def _value(self, key: str, default: Any) -> Any:
        value = self._content.get(key)
        return default if value is None else value

    def _wrong(self, key: str, expected: str) -> None:
        received = short_repr(self._content.get(key))
        self.problems.append(f"{key} must be {expected}. Received: {received}")


def _are_of(item: Any, types: tuple[type, ...]) -> bool:
    """Whether a value is a list of values of these types."""
    if not isinstance(item, list) or len(item) != len(types):
        return False
    return all(
        type(each) in (int, float) and abs(each) <= _LARGEST and math.isfinite(each)
        if kind is float
        else type(each) is kind
        for each, kind in zip(item, types, strict=True)
    )


_LARGEST = 1e300
