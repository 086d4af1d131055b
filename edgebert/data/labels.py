"""The kinds of label that a row can have: one label, a list of labels, a score."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from converters.json_files import json_type
from edgebert.data.characters import replace_lone_surrogates

LabelUse = Literal["required", "optional", "none"]
"""Whether every row must have a label, may have one, or labels are ignored."""

LABEL_COLUMNS = ("label", "intent", "category", "class")
LABEL_LIST_COLUMNS = ("labels", "intents", "categories", "classes", "tags", "topics")
SCORE_COLUMNS = ("score", "similarity", "rating")


@dataclass(frozen=True)
class LabelKind:
    """One kind of label.

    Attributes:
        title: the label in messages, such as "a score".
        names: groups of usual column names; the first group with a column in the file counts.
        parse: turns a value of the file (text or a JSON value, None if missing) and the separator
            of lists into the label; returns None for a missing label and raises `ValueError` with
            the problem for a wrong one.
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
    """The label as text; JSON numbers and booleans as JSON writes them."""
    if label is None:
        return None
    text = label if isinstance(label, str) else json.dumps(label)
    return replace_lone_surrogates(text).strip() or None


ONE_LABEL = LabelKind("a label", (LABEL_COLUMNS,), _one)
"""A text; JSON numbers and booleans count as the text that JSON writes for them."""

LABEL_LIST = LabelKind("labels", (LABEL_LIST_COLUMNS, LABEL_COLUMNS), _several)
"""A JSON array, or a text with a separator between labels; an empty one has no labels."""

SCORE = LabelKind("a score", (SCORE_COLUMNS, ("label",)), _score)
"""A finite number."""
