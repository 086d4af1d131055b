"""Values from JSON are compared with the types of their dataclass."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.profiling.device_check import DeviceCheck
from edgebert.profiling.field_types import LARGEST, misfits
from edgebert.profiling.measurement import ColdStart, Measurement
from tests.edgebert.reporting.examples import check, measured, operations, sustained

FULL = measured(
    "a",
    1.0,
    operations=operations(1.0),
    sustained=sustained(1.0),
    cold_start=ColdStart(1.0, 2.0, 1.0, 1.0, 9),
)


def test_written_measurements_are_valid() -> None:
    table = json.loads(json.dumps(FULL.to_dict()))
    assert misfits(Measurement.from_dict(table)) == []
    assert misfits(DeviceCheck.from_dict(json.loads(json.dumps(check("a").to_dict())))) == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"threads": "1"}, "threads is '1'"),
        ({"threads": True}, "threads is True"),
        ({"threads": 1.5}, "threads is 1.5"),
        ({"load_ms": float("inf")}, "load_ms is inf"),
        ({"load_ms": 2 * LARGEST}, "load_ms is 2e+18"),
        ({"size_bytes": 10**400}, f"size_bytes is 1{'0' * 36}..."),
        ({"kind": "both"}, "kind is 'both'"),
        ({"length": "long"}, "length is 'long'"),
        ({"warnings": ("a", 1)}, "warnings[1] is 1"),
        ({"warnings": None}, "warnings is None"),
        ({"cold_start": {}}, "cold_start is {}"),
        ({"device": replace(FULL.device, details={"soc": 8})}, "device.details.soc is 8"),
        ({"latency": replace(FULL.latency, p90_ms="3")}, "latency.p90_ms is '3'"),
    ],
)
def test_invalid_fields_are_named(changes: dict[str, Any], line: str) -> None:
    assert misfits(replace(FULL, **changes)) == [line]


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(sorted(FULL.to_dict())),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
)
def test_any_change_is_valid_refused_or_named(field: str, value: Any) -> None:
    """Any JSON is valid or raises an edgebert error."""
    from edgebert.errors import DataError

    table = FULL.to_dict() | {field: value}
    try:
        found = misfits(Measurement.from_dict(table))
    except DataError:
        return
    assert all(isinstance(line, str) for line in found)
