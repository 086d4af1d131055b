"""The requests of the runner that need LiteRT, served in this process."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebert.profiling import litert_requests, runner

if TYPE_CHECKING:
    from tests.edgebert.profiling.conftest import TinyClassifier

EXTEND = {"op": "extend", "program": litert_requests.__file__}


@pytest.fixture(autouse=True)
def bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner stops the writing of bytecode in its process."""
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)


def served(*requests: dict[str, Any]) -> list[dict[str, Any]]:
    """The responses of one runner to requests."""
    written = io.StringIO()
    lines = io.StringIO("".join(json.dumps(request) + "\n" for request in requests))
    runner.ModelService().serve(lines, written)
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_operations_are_those_of_the_graph(tiny: TinyClassifier) -> None:
    load = {"op": "load", "model": str(tiny.path)}
    call = {"op": "operations", "signature": "tokens_8", "runs": 3, "max_seconds": 5.0}
    extended, loaded, measured = served(EXTEND, load, call)
    assert extended["requests"] == ["cold_start", "operations"]
    assert "tokens_8" in loaded["signatures"]
    assert measured["calls"] == 3
    assert measured["plain_ms"] > 0 and measured["profiled_ms"] > 0
    times = measured["operations"]
    assert times and all(each["us"] >= 0 and each["name"] for each in times)
    assert {each["inner"] for each in times} <= {True, False}


def test_a_cold_start_writes_the_weight_cache_and_reads_it(
    tiny: TinyClassifier, tmp_path: Path
) -> None:
    cache = tmp_path / "weights.cache"
    start = {"op": "cold_start", "model": str(tiny.path), "signature": "tokens_16"}
    start["weight_cache"] = str(cache)
    _, first, second = served(EXTEND, start, start)
    assert first["cache"] == second["cache"] == cache.stat().st_size > 0
    for measured in (first, second):
        assert measured["load_ms"] > 0 and measured["first_call_ms"] > 0


def test_a_file_that_is_not_there_is_an_error_response(tmp_path: Path) -> None:
    start = {"op": "cold_start", "model": str(tmp_path / "no.tflite"), "signature": ""}
    _, failed = served(EXTEND, start)
    assert failed["error"] and failed["kind"]
