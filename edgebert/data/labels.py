"""What may stand where a row's label is: one label, a list of labels, a number."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

LabelUse = Literal["required", "optional", "none"]
"""Whether every row must have a label, may have one, or labels are not looked at."""

LABEL_COLUMNS = ("label", "intent", "category", "class")
LABEL_LIST_COLUMNS = ("labels", "intents", "categories", "classes", "tags", "topics")
SCORE_COLUMNS = ("score", "similarity", "rating")

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class LabelKind:
    """One kind of label.

    Attributes:
        title: what a row has to have, for messages.
        names: groups of names that its column may have; the first group of which a column is there
            decides.
        parse: gives what a row has, of the value in the file (text, or a JSON value; None where
            there is none) and the separator of lists. None is a missing label.

    `parse` raises `ValueError` with what is wrong.
    """

    title: str
    names: tuple[tuple[str, ...], ...]
    parse: Callable[[Any, str], Any]

    @property
    def noun(self) -> str:
        """The title without its article."""
        return self.title.removeprefix("a ")

    @property
    def every_name(self) -> tuple[str, ...]:
        """The names of all groups."""
        return tuple(name for group in self.names for name in group)


def whole_characters(text: str) -> str:
    """The text with U+FFFD for halves of characters, which JSON can hold and UTF-8 can't."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def json_type(value: Any) -> str:
    """What JSON calls a value."""
    names = {dict: "object", list: "array", str: "text", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def _one(value: Any, separator: str) -> str | None:
    if isinstance(value, list):
        raise ValueError("the label is a JSON array (several labels? --task multi-label)")
    if isinstance(value, dict):
        raise ValueError("the label is a JSON object")
    return _text(value)


def _several(value: Any, separator: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, dict):
        raise ValueError("the labels are a JSON object")
    if isinstance(value, str):
        items: list[Any] = value.split(separator)
        return tuple(dict.fromkeys(text for item in items if (text := _text(item))))
    items = value if isinstance(value, list) else [value]
    wrong = [item for item in items if isinstance(item, (dict, list)) or not _text(item)]
    if wrong:
        shown = "an empty text" if wrong[0] == "" else f"a JSON {json_type(wrong[0])}"
        raise ValueError(f"{shown} among the labels")
    return tuple(dict.fromkeys(str(_text(item)) for item in items))


def _score(value: Any, separator: str) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = math.nan if isinstance(value, (bool, dict, list)) else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"the score is no number: {json.dumps(value, ensure_ascii=False)[:40]}")
    return number


def _text(label: Any) -> str | None:
    """Numbers and booleans of JSON become the texts that JSON has for them."""
    if label is None:
        return None
    return whole_characters(label if isinstance(label, str) else json.dumps(label)).strip() or None


ONE_LABEL = LabelKind("a label", (LABEL_COLUMNS,), _one)
"""Text; numbers and booleans of JSON become the texts that JSON has for them."""

LABEL_LIST = LabelKind("labels", (LABEL_LIST_COLUMNS, LABEL_COLUMNS), _several)
"""A JSON array, or text with a separator between the labels; an empty one is no label at all."""

SCORE = LabelKind("a score", (SCORE_COLUMNS, ("label",)), _score)
"""A finite number."""
