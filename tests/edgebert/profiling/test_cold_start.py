"""Starts with and without a weight cache, with real processes."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgebert.errors import EdgebertError
from edgebert.profiling import cold_start
from edgebert.profiling.cpu import RUNNER
from edgebert.profiling.operations import runner_extension
from edgebert.profiling.process import RunnerProcess

if TYPE_CHECKING:
    from tests.edgebert.profiling.conftest import TinyClassifier

START = partial(RunnerProcess, RUNNER, "start")
EXTENSION = str(runner_extension().path)


def test_starts_with_and_without_a_cache(
    tiny: TinyClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cold_start, "STARTS", 1)
    request = {"model": str(tiny.path), "threads": 1, "signature": "tokens_8", "length": 8}
    cold, arena_bytes = cold_start.measure_cold_starts(START, request, EXTENSION)
    for part in ("load_ms", "first_call_ms", "cached_load_ms", "cached_first_call_ms"):
        assert getattr(cold, part) > 0
    assert tiny.kernel.nbytes < cold.cache_bytes < 1 << 20
    assert arena_bytes is None or 0 < arena_bytes < 1 << 20


def test_longer_texts_need_a_larger_arena(dynamic: TinyClassifier) -> None:
    def arena(length: int) -> int | None:
        with START() as process:
            process.request("extend", program=EXTENSION)
            request = {"model": str(dynamic.path), "signature": "tokens_dynamic", "length": length}
            answer = process.request("cold_start", **request)
            assert answer["cache"] == 0
            return answer["arena"]

    short, long = arena(8), arena(4096)
    if short is None or long is None:
        pytest.skip("this C library does not tell what malloc gave out")
    # rows of 8 floats, at the least those that are masked
    assert long - short > (4096 - 8) * 8 * 4


def test_starts_alternate_and_medians_are_reported() -> None:
    requests: list[str] = []
    cached_loads = iter([9.0, 1.0, 2.0, 3.0, 4.0, 5.0])

    class Process:
        def __enter__(self) -> Process:
            return self

        def __exit__(self, *error: object) -> None:
            requests.append("end")

        def request(self, op: str, **fields: object) -> dict:
            requests.append(op if op != "cold_start" else f"start {fields['weight_cache']}")
            cached = fields.get("weight_cache") == "/cache"
            return (
                {
                    "path": "/cache",
                    "load_ms": next(cached_loads) if cached else 7.0,
                    "first_call_ms": 1.5 if cached else 2.5,
                    "arena": 100,
                    "cache": 4000 if cached else 0,
                }
                if op in ("scratch", "cold_start")
                else {}
            )

    cold, arena_bytes = cold_start.measure_cold_starts(Process, {"model": "m"}, "extension")
    starts = [entry for entry in requests if entry.startswith("start")]
    assert starts == ["start /cache", *["start ", "start /cache"] * cold_start.STARTS]
    assert requests[0] == "scratch" and requests[-1] == "end"  # who holds the cache goes last
    assert (cold.load_ms, cold.cached_load_ms) == (7.0, 3.0)  # the start that wrote it not counted
    assert (cold.first_call_ms, cold.cached_first_call_ms) == (2.5, 1.5)
    assert (cold.cache_bytes, arena_bytes) == (4000, 100)


def test_the_cache_disappears_with_its_process(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with RunnerProcess(RUNNER, "keeper", environment) as keeper:
        path = Path(keeper.request("scratch")["path"])
        path.write_bytes(b"weights")
        assert path.read_bytes() == b"weights"
        assert list(tmp_path.iterdir()) == []
    assert not path.exists()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    request = {"model": str(tmp_path / "none.tflite"), "signature": ""}
    with pytest.raises(EdgebertError, match="'cold_start' failed in the benchmark program"):
        cold_start.measure_cold_starts(START, request, EXTENSION)
