"""The tool's flags, the latency of several starts, and the download of the tool."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgebert.errors import EdgebertError, ModelError, UsageError
from edgebert.profiling.adb import binary as benchmark_binary
from edgebert.profiling.adb.binary import fetch_tool, refuse_other_abi, sha256_of
from edgebert.profiling.adb.output import CallTimes, Delegation, ToolReport
from edgebert.profiling.adb.tool import (
    ROUNDS,
    GraphInput,
    Limits,
    ToolRun,
    delegate_notes,
    describe_graphs,
    latency_notes,
    read_graphs,
    sum_up,
)
from edgebert.profiling.runner import ModelService
from edgebert.settings import ProfileSettings

if TYPE_CHECKING:
    from tests.edgebert.profiling.conftest import TinyClassifier

REPORT = ToolReport("litert", 5.0, 3.0, CallTimes(100, 2.1, 1.8, 4.0, 0.2, 2.0, 2.6))
PROGRAM = b"\x7fELF" + bytes(range(200))


def after(*medians_ms: float | None, count: int = 10) -> list[ToolReport]:
    calls = [CallTimes(count, (m or 7.0) + 0.1, 1.0, 9.0, median_ms=m) for m in medians_ms]
    return [replace(REPORT, steady=times) for times in calls]


def test_signatures_are_described_like_in_the_runner(tiny: TinyClassifier) -> None:
    loaded = ModelService().answer({"op": "load", "model": str(tiny.path)})["signatures"]
    graphs = read_graphs(tiny.path)
    described = describe_graphs(graphs)
    assert described.keys() == loaded.keys()
    for key, entry in loaded.items():
        own = described[key]
        assert {row["name"]: row for row in own["inputs"]} == {
            row["name"]: row for row in entry["inputs"]
        }
        for name in ("outputs", "length", "dynamic"):
            assert own[name] == entry[name]
    order = [each.name for each in graphs["tokens_8"].inputs]
    assert order == ["token_ids", "padding_mask", "segment_ids"]


def test_dynamic_lengths_and_files_without_signatures(
    dynamic: TinyClassifier, no_signature: TinyClassifier
) -> None:
    (entry,) = describe_graphs(read_graphs(dynamic.path)).values()
    assert (entry["dynamic"], entry["length"]) == (True, None)
    assert list(read_graphs(no_signature.path)) == [""]


def test_a_damaged_file_is_an_error(truncated: Path) -> None:
    with pytest.raises(ModelError, match="cut short or damaged"):
        read_graphs(truncated)


def test_names_that_the_tools_lists_do_not_support_are_left_out() -> None:
    inputs = (GraphInput("serving_default_ids:0", (1, 8), "int32"),)
    run = ToolRun("/m", "tokens_8", True, inputs, 8, 1, "cpu")
    assert not [flag for flag in run.flags(Limits.of_start()) if "input_layer" in flag]


def test_dynamic_axes_are_the_batch_and_the_length() -> None:
    assert GraphInput("ids", (-1, -1), "int32").sizes(32) == [1, 32]
    assert GraphInput("ids", (-1,), "int32").sizes(32) == [32]
    assert GraphInput("image", (1, 3, 4), "float32").sizes(None) == [1, 3, 4]


def test_a_round_has_a_share_of_the_time() -> None:
    limits = Limits.of_round(ProfileSettings(min_runs=50, max_seconds=12, warmup_runs=0))
    assert limits == Limits(1, 0.5, 9, 1.0, 2.0)


def test_several_starts_are_one_latency() -> None:
    latency = sum_up(after(2.0, 2.1, 2.2, 2.0, 2.1, 2.3, count=20))
    assert (latency.runs, latency.p50_ms) == (120, pytest.approx(2.1))
    assert (latency.p90_ms, latency.p99_ms, latency.spread) == (None, None, None)
    assert (latency.median_low_ms, latency.median_high_ms) == (2.0, 2.3)
    assert latency.mean_ms == pytest.approx((2.0 + 2.1 + 2.2 + 2.0 + 2.1 + 2.3) / 6 + 0.1)
    assert (latency.min_ms, latency.max_ms) == (1.0, 9.0)
    assert not latency.stable


def test_one_start_has_the_interval_of_its_calls() -> None:
    latency = sum_up(after(2.0))
    assert (latency.median_low_ms, latency.median_high_ms) == (1.0, 9.0)
    assert latency.block_spread == 0


def test_the_percentiles_are_explained() -> None:
    settings = ProfileSettings()
    assert "6 starts' medians" in latency_notes(after(*[2.0] * ROUNDS), settings)[0]
    assert "6 starts' means" in latency_notes(after(*[None] * ROUNDS), settings)[0]
    noisy = latency_notes(after(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, count=2), settings)
    assert "Only 12 of 50 calls" in noisy[1]
    assert "uncertainty of the median" in noisy[2]
    assert "p95 was 2.6 to 2.6 ms" in latency_notes([REPORT] * ROUNDS, settings)[0]


def test_delegates_are_compared_with_the_requested_one() -> None:
    assert delegate_notes(REPORT, "cpu") == []
    some = replace(REPORT, delegations=(Delegation("LITERT_CL", 250, 262, 3),))
    assert "runs 250 of 262 nodes" in delegate_notes(some, "gpu")[0]
    whole = replace(REPORT, delegations=(Delegation("LITERT_CL", 262, 262, 1),))
    assert delegate_notes(whole, "gpu") == []
    cpu = replace(
        REPORT,
        delegations=(Delegation("TfLiteXNNPackDelegate", 262, 262, 1),),
        complaints=("Can not open OpenCL library",),
    )
    assert "Its message: Can not open OpenCL library" in delegate_notes(cpu, "gpu")[0]


def test_unknown_flags_are_errors_if_they_decide_what_runs() -> None:
    run = ToolRun("/m", "tokens_8", True, (), 8, 1, "gpu")
    run.refuse_unconsumed(["input_layer", "use_profiler", "signature_to_run_for"])
    with pytest.raises(EdgebertError, match="has no --use_gpu"):
        run.refuse_unconsumed(["use_gpu"])
    with pytest.raises(EdgebertError, match="too old"):
        replace(run, first=False).refuse_unconsumed(["signature_to_run_for"])


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A web server instead of LiteRT's bucket: its content by path."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = files.get(self.path)
            self.send_response(404 if data is None else 200)
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/{{version}}/benchmark_model"
        monkeypatch.setattr(benchmark_binary, "PREBUILT", address)
        yield files
        server.shutdown()


def test_the_prebuilt_tool_is_fetched_once(publisher: dict[str, bytes], tmp_path: Path) -> None:
    publisher[f"/{benchmark_binary.LITERT_VERSION}/benchmark_model"] = PROGRAM
    path = fetch_tool("arm64-v8a", tmp_path)
    assert path.read_bytes() == PROGRAM
    publisher.clear()
    assert fetch_tool("arm64-v8a", tmp_path) == path
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert len(sha256_of(path)) == 64


def test_a_failed_download_explains_the_manual_download(
    publisher: dict[str, bytes], tmp_path: Path
) -> None:
    with pytest.raises(EdgebertError, match=r"404.*by hand and give --benchmark-binary PATH: http"):
        fetch_tool("arm64-v8a", tmp_path)
    publisher[f"/{benchmark_binary.LITERT_VERSION}/benchmark_model"] = b"<html>log in</html>"
    with pytest.raises(EdgebertError, match=r"b'<html>log in"):
        fetch_tool("arm64-v8a", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_network_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(benchmark_binary, "PREBUILT", "http://127.0.0.1:1/{version}")
    with pytest.raises(EdgebertError, match="can't be downloaded"):
        fetch_tool("arm64-v8a", tmp_path)
    with pytest.raises(UsageError, match="a phone of armeabi-v7a"):
        fetch_tool("armeabi-v7a", tmp_path)


def test_the_abi_of_a_tool_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "benchmark_model"
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00")
    refuse_other_abi(path, "arm64-v8a")
    with pytest.raises(UsageError, match=r"armeabi-v7a.*made for arm64-v8a"):
        refuse_other_abi(path, "armeabi-v7a")
    path.write_text("#!/bin/sh\n")
    refuse_other_abi(path, "arm64-v8a")
