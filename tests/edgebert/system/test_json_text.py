"""JSON text that every JSON reader accepts."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.system.json_text import json_text

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def _refuse(constant: str) -> Any:
    pytest.fail(f"{constant} is no JSON")


@given(_VALUES)
def test_no_text_has_nan_or_infinity(value: Any) -> None:
    json.loads(json_text(value), parse_constant=_refuse)


def test_numbers_that_are_not_finite_become_null() -> None:
    content = {"a": (math.nan, 1.5), "b": [math.inf, {"c": -math.inf}], "é": "NaN"}
    assert json.loads(json_text(content)) == {
        "a": [None, 1.5],
        "b": [None, {"c": None}],
        "é": "NaN",
    }
    assert "é" in json_text(content)
