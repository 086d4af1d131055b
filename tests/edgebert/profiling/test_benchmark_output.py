"""Recorded outputs of the real tools are parsed; all others are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.errors import EdgebertError
from edgebert.profiling.adb.output import (
    CallTimes,
    Delegation,
    ToolReport,
    parse_report,
    unconsumed_flags,
)

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "benchmark_model"
TIMED = sorted(path.name for path in GOLDEN.glob("*.txt") if path.name != "tensorflow_no_graph.txt")
PIECES = [line for path in sorted(GOLDEN.glob("*.txt")) for line in path.read_text().splitlines()]


def golden(name: str) -> ToolReport:
    return parse_report((GOLDEN / name).read_text())


@pytest.mark.parametrize("name", TIMED)
def test_every_recorded_output_is_read(name: str) -> None:
    report = golden(name)
    assert report.tool == name.partition("_")[0]
    assert report.steady.count >= 10
    assert 0 < report.steady.min_ms <= report.steady.mean_ms <= report.steady.max_ms
    assert report.first_call_ms > report.steady.min_ms
    assert report.init_ms > 0


def test_the_figures_of_a_plain_run() -> None:
    report = golden("tensorflow_xnnpack.txt")
    assert report.init_ms == pytest.approx(18.777)
    assert report.first_call_ms == pytest.approx(64.791)
    assert report.steady == CallTimes(50, 55.0432, 53.077, 60.727, std_ms=1.562)
    assert report.warmup is not None
    assert (report.warmup.count, report.warmup.mean_ms) == (9, pytest.approx(57.7582))
    assert (report.init_memory_bytes, report.memory_bytes) == (9412605, 19632173)
    assert report.peak_memory_bytes is None
    assert report.operations == ()


def test_newer_versions_print_a_median() -> None:
    report = golden("litert_profile.txt")
    steady = report.steady
    assert (steady.count, steady.median_ms, steady.p95_ms) == (2112, 0.462, 0.478)
    assert report.init_ms == pytest.approx(4.48)
    assert report.delegations == (Delegation("TfLiteXNNPackDelegate", 1, 1, 1),)


def test_one_call_prints_no_statistics() -> None:
    report = golden("tensorflow_profile.txt")
    assert report.warmup == CallTimes(1, 3512.391, 3512.391, 3512.391)
    assert report.first_call_ms == pytest.approx(3512.391)


def test_operations_are_those_of_the_regular_runs() -> None:
    report = golden("tensorflow_profile.txt")
    assert [(o.layer, o.operation, o.latency_ms) for o in report.operations[:2]] == [
        ("MobilenetV1/MobilenetV1/Conv2d_0/Relu6", "CONV_2D", 60.957),
        ("MobilenetV1/MobilenetV1/Conv2d_1_depthwise/Relu6", "DEPTHWISE_CONV_2D", 49.870),
    ]
    assert len(report.operations) == 5


def test_operations_of_a_call_add_up_to_its_time() -> None:
    report = golden("litert_profile.txt")
    assert [o.operation for o in report.operations] == [
        "LiteRT::Run[buffer registration]",
        "Static Reshape (NC)",
        "Fully Connected (NC, PF32) GEMM",
        "LiteRT::Run[Buffer sync]",
    ]
    assert sum(o.latency_ms for o in report.operations) == pytest.approx(0.411071, rel=0.01)


def test_inner_operations_replace_the_delegate() -> None:
    text = (GOLDEN / "tensorflow_profile.txt").read_text()
    columns = next(line for line in text.splitlines() if "[node type]" in line)
    node = "\tTfLiteXNNPackDelegate\t0.1\t9.0\t8.0\t80.0%\t90.0%\t0.000\t1\t[logits]:12\n"
    softmax = next(line for line in text.splitlines() if "\t                 SOFTMAX" in line)
    inner = softmax.replace("SOFTMAX", "Softmax (NC, F32)").replace(
        "[MobilenetV1/Predictions/Reshape_1]", "Delegate/Softmax (NC, F32)"
    )
    first = next(line for line in text.splitlines() if "Conv2d_0/Relu6" in line)
    section = f"Delegate internal: \n{'=' * 30} Run Order {'=' * 30}\n{columns}\n{inner}\n\n"
    report = parse_report(text.replace(first, first + "\n" + node.rstrip(), 1) + section)
    names = [o.operation for o in report.operations]
    assert names[-1] == "Softmax (NC, F32)"
    assert "TfLiteXNNPackDelegate" not in names
    assert report.operations[-1].layer == "Delegate"


def test_the_share_of_delegates_is_parsed() -> None:
    assert golden("tensorflow_gpu.txt").verdicts == (("GPU", "completely"),)
    assert golden("tensorflow_nnapi_logcat.txt").verdicts == (("NNAPI", "partially"),)
    text = (GOLDEN / "tensorflow_gpu.txt").read_text()
    refused = text.replace(
        "Explicitly applied GPU delegate, and the model graph will be completely executed by the "
        "delegate.",
        "Though GPU delegate is explicitly applied, the model graph will not be executed by the "
        "delegate.",
    )
    assert parse_report(refused).verdicts == (("GPU", "not"),)


def test_litert_results_without_statistics_are_sufficient() -> None:
    report = golden("litert_gpu.txt")
    assert report.steady == CallTimes(10, 7430.20, 7416.40, 7448.86, std_ms=9.92)
    assert report.first_call_ms == pytest.approx(7441.04)


def test_the_last_of_two_runs_in_a_log_is_used() -> None:
    first = (GOLDEN / "litert_gpu.txt").read_text()
    second = (GOLDEN / "litert_profile.txt").read_text()
    assert parse_report(first + second).steady == golden("litert_profile.txt").steady


def test_a_failed_run_shows_its_last_lines() -> None:
    text = (GOLDEN / "tensorflow_no_graph.txt").read_text()
    with pytest.raises(EdgebertError, match="Please specify the name of your TF Lite input file"):
        parse_report(text)
    assert unconsumed_flags(text) == ("graph", "test")


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "Inference timings in us: Init: 1, First inference: 2, Warmup (avg): 3, Inference (avg): 4",
        "Model initialization: 5.00 ms",
        "Model initialization: x\nInference (avg): 3.00 ms (2 runs)",
        "Model initialization: 5.00 ms\nInference (avg): 3.00 ms (0 runs)",
        "count=3 curr=5\nInference timings in us: Init: 1e999, First inference: 2, "
        "Warmup (avg): 3, Inference (avg): 5",
    ],
)
def test_incomplete_timings_are_refused(broken: str) -> None:
    with pytest.raises(EdgebertError, match="Expected timings"):
        parse_report(broken)


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=40)), max_size=60), st.data())
def test_any_output_is_a_report_or_an_edgebert_error(lines: list[str], data: st.DataObject) -> None:
    if lines:
        place = data.draw(st.integers(0, len(lines) - 1))
        cut = data.draw(st.integers(0, len(lines[place])))
        digits = data.draw(st.sampled_from(["9" * 400, "1e999", "nan", "-1", "٣"]))
        lines[place] = lines[place][:cut] + digits + lines[place][cut:]
    try:
        report = parse_report("\n".join(lines))
    except EdgebertError:
        return
    assert report.steady.count >= 1
