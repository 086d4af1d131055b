"""Typed fields of JSON objects: defaults, wrong types, and all problems at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.json_fields import Fields
from tests.damaged_json import JSON_VALUES


def test_values_and_defaults() -> None:
    fields = Fields({"n": 3, "x": 2, "on": False, "name": "a", "names": ["a", "b"], "none": None})
    assert fields.whole("n") == 3 and fields.whole("none", 7) == 7
    assert fields.number("x") == 2.0 and fields.number("missing", 0.5) == 0.5
    assert fields.flag("on") is False and fields.flag("missing", True) is True
    assert fields.text("name", choices=("a", "b")) == "a" and fields.text("missing", "z") == "z"
    assert fields.texts("names") == ("a", "b") and fields.texts("missing", ("c",)) == ("c",)
    assert fields.problems == []


def test_all_problems_are_collected() -> None:
    fields = Fields(
        {"n": True, "x": float("nan"), "on": 1, "name": "z", "names": ["a", 3], "low": 0}
    )
    fields.whole("n")
    fields.number("x")
    fields.flag("on")
    fields.text("name", choices=("a", "b"))
    fields.texts("names")
    fields.whole("missing")
    fields.whole("low", least=1)
    fields.table("names")
    fields.tables("x")
    assert fields.problems == [
        "n must be a whole number. Received: True",
        "x must be a finite number. Received: nan",
        "on must be true or false. Received: 1",
        "name must be one of a, b. Received: 'z'",
        "names must be a list of texts. Received: ['a', 3]",
        "missing must be a whole number. Received: None",
        "low must be a whole number, at least 1. Received: 0",
        "names must be an object. Received: ['a', 3]",
        "x must be a list of objects. Received: nan",
    ]


@pytest.mark.parametrize("method", ["whole", "number", "flag", "text", "texts", "table", "tables"])
@given(value=JSON_VALUES | st.just(10**400))
def test_any_value_has_the_type_or_is_a_problem(method: str, value: Any) -> None:
    fields = Fields({"key": value})
    kinds = {"whole": int, "number": float, "flag": bool, "text": str, "table": dict}
    kind = kinds.get(method, tuple)
    assert type(getattr(fields, method)("key")) is kind
    assert len(fields.problems) <= 1
