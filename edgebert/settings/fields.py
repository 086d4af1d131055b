"""Fields of the settings dataclasses: help texts, choices, and the checks of their values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar

from edgebert.errors import UsageError

S = TypeVar("S")


def setting(default: Any, help: str, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field with a default, a help text and, where it has them, choices."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


def broken_rules(settings: Any, rules: Iterable[tuple[str, bool, str]]) -> list[str]:
    """Lists the rules that settings break.

    Args:
        settings: a settings dataclass.
        rules: for each rule the name of the field, whether the rule holds, and the expected value
            in words.

    Returns:
        One line for each broken rule, with what was expected and what was received.
    """
    return [
        f"{name}: expected {expected}. Received: {getattr(settings, name)}"
        for name, holds, expected in rules
        if not holds
    ]


def from_table(kind: type[S], table: dict[str, Any], where: str) -> S:
    """Makes settings from a TOML table or a dict of flags.

    Args:
        kind: the settings dataclass.
        table: values by name; dashes in names count as underscores.
        where: the table or command, for messages.

    Raises:
        UsageError: Keys are unknown, values have the wrong type or are not among the choices. All
            problems are listed.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    problems, values = [], {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in fields:
            problems.append(f"'{key}' is not a setting of {where}; known: {', '.join(fields)}")
            continue
        try:
            values[name] = _checked(fields[name], value)
        except ValueError as error:
            problems.append(f"'{key}' {error}")
    if problems:
        raise UsageError(f"{where}: " + "; ".join(problems))
    return kind(**values)


def _checked(field: dataclasses.Field[Any], value: Any) -> Any:
    default, choices = field.default, field.metadata["choices"]
    if isinstance(default, tuple):
        items = value if isinstance(value, list | tuple) else [value]
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in items):
            raise ValueError(f"takes whole numbers. Received: {value!r}")
        return tuple(items)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise ValueError(f"takes a {type(default).__name__}. Received: {value!r}")
    if choices and value not in choices:
        raise ValueError(f"is one of {', '.join(choices)}. Received: {value!r}")
    return value
