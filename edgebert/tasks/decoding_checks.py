"""The values that settings of answers may have: they are read from files of any origin.

The settings are those of `decoding` in `edgebert.json` and in the manifest of a `.tflite`.
`docs/file-format.md` lists them by task. A missing key has its task's default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from converters.json_files import short_repr

LARGEST_COUNT = 2**20
"""The largest number of tokens or answers: more than any model takes or anyone reads."""


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= LARGEST_COUNT


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= 1e300 and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _are_texts(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_text, value.values()))


_COUNT = f"a whole number from 1 to {LARGEST_COUNT}"
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "prompt": (_is_text, "a text"),
    "prompts": (_are_texts, "an object of texts"),
    "threshold": (_is_number, "a finite number"),
    "texts": (lambda value: type(value) is int and value in (1, 2), "1 or 2"),
    "mean": (_is_number, "a finite number"),
    "deviation": (lambda value: _is_number(value) and value > 0, "a finite number above 0"),
    "alignment": (_is_text, "a text"),
    "window_overlap": (lambda value: _is_number(value) and 0 <= value < 1, "from 0 to below 1"),
    "labelled_parts": (lambda value: value in ("all", "first"), "all or first"),
    "scheme": (_is_text, "a text"),
    "stride": (_is_count, _COUNT),
    "max_answer_tokens": (_is_count, _COUNT),
    "max_question_tokens": (_is_count, _COUNT),
    "n_best": (_is_count, _COUNT),
    "null_threshold": (lambda value: value is None or _is_number(value), "a finite number or null"),
    "masks": (_is_count, _COUNT),
    "next_sentence": (_is_flag, "true or false"),
    "mask_share": (lambda value: _is_number(value) and 0 < value <= 1, "above 0 and at most 1"),
    "whole_words": (_is_flag, "true or false"),
}
"""For each key: the check of its value, and what is expected, for messages."""


def decoding_problems(decoding: Mapping[str, Any]) -> list[str]:
    """Lists the values that no task can use. Unknown keys are ignored."""
    return [
        f"decoding.{key} must be {expected}. Received: {short_repr(decoding[key])}"
        for key, (is_valid, expected) in _CHECKS.items()
        if key in decoding and not is_valid(decoding[key])
    ]
