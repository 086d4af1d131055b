"""Checks whether the fields of a dataclass that was read from JSON have the declared types."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

LARGEST = 1e18
_LONGEST_SHOWN = 40


def misfits(value: Any) -> list[str]:
    """Lists the fields of a dataclass object, and of nested ones, whose values have a wrong type.

    An int is valid for a float. A number that is not finite, or larger than `LARGEST`, is never
    valid.

    Returns:
        One line for each invalid field: its name and the received value.
    """
    return list(_misfits(value, type(value), ""))


def _misfits(value: Any, kind: Any, where: str) -> Iterator[str]:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is UnionType:  # of None and one other type
        if value is not None:
            other = next(part for part in parts if part is not NoneType)
            yield from _misfits(value, other, where)
    elif origin is tuple and isinstance(value, tuple | list):
        endless = parts[-1] is Ellipsis
        if not endless and len(value) != len(parts):
            yield _line(where, value)
            return
        for place, item in enumerate(value):
            yield from _misfits(item, parts[0 if endless else place], f"{where}[{place}]")
    elif origin is Mapping and isinstance(value, Mapping):
        for key, item in value.items():
            yield from _misfits(item, parts[1], f"{where}.{key}")
    elif dataclasses.is_dataclass(kind) and isinstance(value, kind):  # type: ignore[arg-type]
        hints = get_type_hints(kind)
        for field in dataclasses.fields(kind):
            place_name = f"{where}.{field.name}" if where else field.name
            yield from _misfits(getattr(value, field.name), hints[field.name], place_name)
    elif not _is_one(value, kind, origin, parts):
        yield _line(where, value)


def _is_one(value: Any, kind: Any, origin: Any, parts: tuple[Any, ...]) -> bool:
    if kind is Any:
        return True
    if origin is Literal:
        return value in parts
    if origin is not None:
        return False
    if kind in (int, float):
        is_number = isinstance(value, (int, kind)) and not isinstance(value, bool)
        return is_number and -LARGEST <= value <= LARGEST
    return isinstance(value, kind)


def _line(where: str, value: Any) -> str:
    shown = repr(value)
    if len(shown) > _LONGEST_SHOWN:
        shown = shown[: _LONGEST_SHOWN - 3] + "..."
    return f"{where} is {shown}"
