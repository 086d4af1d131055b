"""The cpu target from files to measurements, with real processes. No timing is asserted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgebert.errors import EdgebertError, ModelError, UsageError
from edgebert.profiling import cpu, interleaving, machine_warnings
from edgebert.profiling.measurement import Measurement
from edgebert.profiling.process import RunnerProcess
from edgebert.profiling.ratios import ratios
from edgebert.profiling.target import profile
from edgebert.settings import ProfileSettings

if TYPE_CHECKING:
    from tests.edgebert.profiling.conftest import TinyClassifier


def test_two_models_side_by_side(
    quick: ProfileSettings, tiny: TinyClassifier, other: TinyClassifier
) -> None:
    measured = profile([tiny.path, other.path], replace(quick, lengths=(8,)))
    assert [(m.name, m.signature, m.length, m.kind, m.threads) for m in measured] == [
        ("tiny", "tokens_8", 8, "model", 1),
        ("other", "tokens_8", 8, "model", 1),
    ]
    for m in measured:
        assert m.latency.runs >= quick.min_runs or m.warnings
        assert m.load_ms > 0 and m.first_call_ms > 0
        assert m.peak_memory_bytes > m.model_memory_bytes > 0
        assert m.runtime.startswith("ai-edge-litert ")
        assert (m.target, m.device.cores) == ("cpu", len(os.sched_getaffinity(0)))
        assert Measurement.from_dict(m.to_dict()) == m
    assert measured[0].session == measured[1].session
    (ratio,) = ratios(measured)
    assert (ratio.name, ratio.baseline, ratio.paired) == ("other", "tiny", True)
    assert ratio.latency > 0


def test_every_length_and_thread_count(
    quick: ProfileSettings, tiny: TinyClassifier, dynamic: TinyClassifier
) -> None:
    settings = replace(quick, threads=(1, 2), max_seconds=0.1)
    measured = profile([tiny.path, dynamic.path], settings)
    assert [(m.threads, m.length, m.name) for m in measured] == [
        (threads, length, name)
        for threads in (1, 2)
        for length in (8, 16)
        for name in ("tiny", "dynamic")
    ]


def test_a_file_with_no_signature(quick: ProfileSettings, no_signature: TinyClassifier) -> None:
    (measured,) = profile([no_signature.path], replace(quick, end_to_end=True))
    assert (measured.signature, measured.length) == (None, 8)
    assert any("Text in, answer out was not timed" in warning for warning in measured.warnings)


def test_text_in_label_out(quick: ProfileSettings, with_text: Path, tiny: TinyClassifier) -> None:
    settings = replace(quick, end_to_end=True, lengths=(8,))
    texts = ["wind", "rain. sunny rain", "sun . sun . sun . sun . sun . sun . sun . sun"]
    measured = profile([tiny.path, with_text], settings, texts)
    assert [(m.name, m.kind) for m in measured] == [
        ("tiny", "model"),
        ("with_text", "model"),
        ("with_text", "end_to_end"),
    ]
    end_to_end = measured[-1]
    assert (end_to_end.texts, end_to_end.signature, end_to_end.length) == (3, None, None)
    assert end_to_end.latency.runs % len(texts) == 0


def test_the_end_to_end_program_classifies(with_text: Path) -> None:
    from edgebert.evaluation.predictors import open_predictor

    texts = ["wind", "rain. sunny rain"]
    with RunnerProcess(cpu.END_TO_END, "text", cpu.with_package_path(os.environ)) as process:
        assert "texts were expected" in process.exchange("run")["error"]
        process.request("load", model=str(with_text), threads=1, texts=texts)
        outputs = process.request("predict")["outputs"]
        assert len(process.request("run", runs=2)["latencies_ms"]) == 4
    predictor = open_predictor(with_text)
    assert [(o["label"], o["score"]) for o in outputs] == [predictor.classify(t) for t in texts]


def test_bad_files_are_errors(
    quick: ProfileSettings, tiny: TinyClassifier, truncated: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"truncated\.tflite: .*not a valid Flatbuffer.*truncated"):
        profile([tiny.path, truncated], quick)
    with pytest.raises(ModelError, match=r"none\.tflite"):
        profile([tmp_path / "none.tflite"], quick)


def test_one_error_lists_all_bad_settings(quick: ProfileSettings, tiny: TinyClassifier) -> None:
    settings = replace(quick, threads=(0, 0), min_runs=0, max_seconds=0.0, lengths=(0,))
    with pytest.raises(UsageError) as caught:
        profile([tiny.path], settings, texts=[])
    for part in ("threads are 1", "given once", "min_runs", "max_seconds", "lengths", "one text"):
        assert part in str(caught.value)


def test_a_child_that_fails_is_an_error_with_its_last_lines(
    quick: ProfileSettings, tiny: TinyClassifier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in = tmp_path / "runner.py"
    source = Path(cpu.runner.__file__).read_text(encoding="utf-8")
    stand_in.write_text(source.replace("return time_calls", "os.abort()  # return time_calls", 1))
    monkeypatch.setattr(cpu, "RUNNER", (sys.executable, "-P", "-X", "faulthandler", str(stand_in)))
    with pytest.raises(EdgebertError, match=r"(?s)tiny, tokens_8.*SIGABRT.*Fatal Python error"):
        profile([tiny.path], quick)


def test_warnings_have_a_next_step(
    quick: ProfileSettings, tiny: TinyClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_warnings, "HIGH_LOAD_PER_CORE", -1.0)
    settings = replace(quick, threads=(99,), min_runs=10**6, max_seconds=0.05, lengths=(8,))
    (measured,) = profile([tiny.path], settings)
    warnings = " ".join(measured.warnings)
    for part in ("machine was busy", "99 threads share", "calls fitted into 0.05 s"):
        assert part in warnings
    assert warnings.count("Next: ") == len(measured.warnings)


def test_progress_is_reported(quick: ProfileSettings, tiny: TinyClassifier) -> None:
    stages: list[tuple] = []
    (measured,) = profile(
        [tiny.path],
        replace(quick, lengths=(16,)),
        progress=lambda stage, done, total, **facts: stages.append((stage, done, total, facts)),
    )
    checked = [stage for stage in stages if stage[0] == "check answers of tiny"]
    assert stages[: len(checked)] == checked  # before anything is timed
    stages = stages[len(checked) :]
    assert {stage for stage, *_ in stages} == {"tiny, tokens_16, 1 thread"}
    blocks = len(measured.latency.block_medians_ms)
    assert stages[0][1:] == (0, interleaving.MIN_BLOCKS, {})
    assert stages[-1][1:] == (blocks, blocks, {"p50_ms": measured.latency.p50_ms})
    assert all(done < total for _, done, total, _ in stages[:-1])


SLOW = """
import signal
import sys
from pathlib import Path
from edgebert.profiling.target import profile
from edgebert.settings import ProfileSettings

# As on a terminal: a shell's background job starts its programs with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
profile([Path(sys.argv[1])], ProfileSettings(min_runs=10**9, max_seconds=6.0),
        progress=lambda *stages, **facts: print("stages", stages, flush=True))
"""


def test_ctrl_c_ends_the_children(tiny: TinyClassifier) -> None:
    environment = cpu.with_package_path(os.environ)
    parent = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(tiny.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    )
    with parent:
        for line in parent.stdout:
            if ", 1, 12)" in line:  # the first block is done
                break
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert children
        parent.send_signal(signal.SIGINT)
        assert parent.wait(timeout=20) != 0
    for _ in range(100):
        if not any(Path(f"/proc/{child}").exists() for child in children):
            return
        time.sleep(0.05)
    raise AssertionError(f"still there: {children}")


def test_the_order_alternates_and_every_start_is_fresh(quick: ProfileSettings) -> None:
    journal: list[tuple[str, str]] = []

    class Recorder:
        """Responds like a runner and records the requests."""

        def __init__(self, name: str) -> None:
            self.name = name
            journal.append((name, "start"))

        def request(self, op: str, **fields: object) -> dict:
            journal.append((self.name, "block" if fields.get("min_seconds") else op))
            return {
                "load": {"load_ms": 1.0, "rss_before": 10},
                "first_call": {"first_call_ms": 2.0},
                "run": {"latencies_ms": [1.0] * 5, "wall_ms": 5.0, "cpu_ms": 5.0},
                "memory": {"rss": 20, "peak_rss": 30},
            }[op]

        def __enter__(self) -> Recorder:
            return self

        def __exit__(self, *error: object) -> None:
            journal.append((self.name, "end"))

    cases = [
        interleaving.BenchmarkCase(name, lambda name=name: Recorder(name), {}, {}) for name in "AB"
    ]
    interleaving.measure_interleaved(cases, replace(quick, max_seconds=60.0))
    blocks = "".join(name for name, what in journal if what == "block")
    assert blocks == "ABBA" * (interleaving.MIN_BLOCKS // 2)
    for name in "AB":
        own = [what for who, what in journal if who == name]
        one_start = ["start", "load", "first_call", "run", *["block"] * 4, "memory", "end"]
        assert own == one_start * interleaving.STARTS
    assert cases[0].latency.stable
    assert (cases[0].load_ms, cases[0].first_call_ms) == (1.0, 2.0)
    assert (cases[0].peak_memory_bytes, cases[0].model_memory_bytes) == (30, 20)


def test_the_time_limit_applies_and_others_stop_when_stable(quick: ProfileSettings) -> None:
    clock = {"sure": 0.0, "wild": 0.3}
    requests: dict[str, int] = dict.fromkeys(clock, 0)

    class Steady:
        """The first is sure at once; the second never is, and takes its time."""

        def __init__(self, name: str) -> None:
            self.name = name

        def request(self, op: str, **fields: object) -> dict:
            if fields.get("min_seconds"):
                requests[self.name] += 1
                time.sleep(clock[self.name])
            wild = self.name == "wild"
            latencies = [1.0 + requests[self.name] % 7 if wild else 1.0] * 5
            return {
                "load_ms": 1.0,
                "rss_before": None,
                "first_call_ms": 2.0,
                "latencies_ms": latencies,
                "wall_ms": 10.0,
                "cpu_ms": 5.0,
                "peak_rss": None,
            }

        def __enter__(self) -> Steady:
            return self

        def __exit__(self, *error: object) -> None:
            return

    cases = [interleaving.BenchmarkCase(name, partial(Steady, name), {}, {}) for name in clock]
    settings = replace(quick, max_seconds=1.0)
    interleaving.measure_interleaved(cases, settings)
    sure, wild = cases
    assert requests["wild"] in (3, 4)  # blocks of 0.3 s in 1 s
    assert requests["sure"] == interleaving.MIN_BLOCKS
    assert (sure.latency.stable, wild.latency.stable) == (True, False)
    assert (sure.peak_memory_bytes, sure.model_memory_bytes) == (None, None)
    (kept_out,) = sure.warnings(settings, threads=1)
    assert "only 50% of the time" in kept_out
    assert sure.warnings(settings, threads=2) == []
    assert "1 s were too short" in " ".join(wild.warnings(settings, threads=2))
