"""A change counts as slower beyond noise, on the same machine, and in two measurements."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.profiling.comparison import compare, compare_twice
from edgebert.profiling.measurement import Device, Measurement, summarize
from edgebert.profiling.target import Job, Outcome
from edgebert.settings import ProfileSettings
from edgebert.system.progress import Progress, silent
from tests.edgebert.reporting.examples import PHONE, measured


def timed(
    name: str, ms: float, length: int | None = 16, noise: float = 0.01, **more: object
) -> Measurement:
    """Twelve blocks whose medians are spread by a share of the median."""
    blocks = [[ms * (1 + noise * (block - 5.5) / 5.5)] * 3 for block in range(12)]
    return measured(name, ms, length, latency=summarize(blocks), **more)


def verdict(old: Measurement, new: Measurement, limit: float | None = 0.1) -> str:
    (change,) = compare([old], [new], limit).changes
    return change.verdict


@pytest.mark.parametrize(
    ("now", "noise", "expected"),
    [
        (1.0, 0.01, "within noise"),
        (0.8, 0.01, "faster"),
        (1.05, 0.01, "slower"),
        (1.09, 0.01, "slower"),
        (1.2, 0.01, "TOO SLOW"),
        (1.2, 0.5, "within noise"),
    ],
)
def test_a_median_is_slower_if_the_intervals_do_not_overlap(
    now: float, noise: float, expected: str
) -> None:
    assert verdict(timed("a", 1.0), timed("a", now, noise=noise)) == expected


def test_other_programs_in_the_second_half_are_noise() -> None:
    """They slow most blocks, so that the intervals do not overlap, but not the fastest ones."""
    blocks = [[1.0] * 3] * 3 + [[1.5] * 3] * 9
    busy = measured("a", 1.0, latency=summarize(blocks))
    (change,) = compare([timed("a", 1.0)], [busy], 0.1).changes
    assert change.ratio == pytest.approx(1.5) and change.best_ratio < 1.02
    assert change.verdict == "within noise"


def test_without_a_limit_nothing_is_too_slow() -> None:
    assert verdict(timed("a", 1.0), timed("a", 9.0), None) == "slower"


def test_too_few_blocks_are_inconclusive() -> None:
    few = measured("a", 9.0, latency=summarize([[9.0] * 3] * 5))
    (change,) = compare([timed("a", 1.0)], [few], 0.1).changes
    assert (change.verdict, change.ratio_low) == ("unsure", None)


def test_a_single_block_is_compared_by_its_calls() -> None:
    old = measured("a", 1.0, latency=summarize([[1.0, 1.01, 0.99, 1.0, 1.0, 1.02, 1.0]]))
    new = measured("a", 1.0, latency=summarize([[2.0, 2.01, 1.99, 2.0, 2.0, 2.02, 2.0]]))
    assert verdict(old, new) == "TOO SLOW"


def test_another_machine_is_inconclusive_and_another_runtime_is_not() -> None:
    old, new = timed("a", 1.0), timed("a", 2.0, device=Device("", "other", 2, "x86_64", "Linux"))
    comparison = compare([old], [new], 0.1)
    assert comparison.changes[0].verdict == "other machine" and not comparison.conclusive
    assert comparison.changes[0].differences == ("cpu is other, was a processor",)
    newer = replace(timed("a", 2.0), runtime="ai-edge-litert 2.4.0")
    (change,) = compare([old], [newer], 0.1).changes
    assert change.verdict == "TOO SLOW"
    assert change.differences == ("runtime is ai-edge-litert 2.4.0, was ai-edge-litert 2.3.0",)


def test_other_cores_of_the_same_phone_are_inconclusive() -> None:
    big, little = (
        timed("a", ms, device=replace(PHONE, details={"cpu_mask": mask, "battery": f"{ms}"}))
        for mask, ms in (("f0", 1.0), ("0f", 9.0))
    )
    (change,) = compare([big], [little], 0.1).changes
    assert (change.verdict, change.differences) == (
        "other machine",
        ("cpu_mask is 0f, was f0",),
    )


def test_the_newest_old_measurement_of_this_machine_is_used() -> None:
    here, there = timed("a", 1.0), timed("a", 0.1, device=PHONE, measured="2027-01-01T00:00:00Z")
    newer = replace(timed("a", 2.0), session="two", measured="2026-06-01T00:00:00Z")
    (change,) = compare([there, newer, here], [timed("a", 2.0)], 0.1).changes
    assert (change.old_ms, change.verdict) == (2.0, "within noise")


def names(old: Sequence[Measurement], new: Sequence[Measurement]) -> list[tuple[str, str]]:
    return [(change.old_name, change.name) for change in compare(old, new).changes]


def test_models_are_matched_by_name_then_bytes_then_position() -> None:
    old = [timed("a", 1.0), timed("b", 1.0), timed("c", 1.0)]
    assert names(old, [timed("c", 1.0), timed("a", 1.0)]) == [("c", "c"), ("a", "a")]
    renamed = timed("z", 1.0, sha256=old[1].sha256)
    assert names(old, [timed("a", 1.0), renamed]) == [("a", "a"), ("b", "z")]
    assert names(old[:2], [timed("x", 1.0), timed("b", 1.0)]) == [("a", "x"), ("b", "b")]
    # With more of them than before, a position says nothing.
    assert names(old[:1], [timed("x", 1.0), timed("y", 1.0)]) == []


def test_places_without_a_match_are_listed() -> None:
    old, new = [timed("a", 1.0, 16), timed("a", 1.0, 32)], [timed("a", 1.0, 16), timed("a", 1.0)]
    new[1] = timed("a", 1.0, 64)
    comparison = compare(old, new, 0.1)
    assert comparison.added == (new[1],) and comparison.gone == (old[1],)
    assert comparison.to_dict()["added"] == [
        {"name": "a", "target": "cpu", "threads": 1, "length": 64, "kind": "model"}
    ]
    assert json.dumps(comparison.to_dict(), allow_nan=False)


class Bench:
    """A target that returns given results and stores its jobs."""

    def __init__(self, *answers: Measurement) -> None:
        self.answers, self.jobs = answers, list[Job]()

    def profile(self, job: Job, progress: Progress = silent) -> Outcome:
        self.jobs.append(job)
        return Outcome(self.answers)


JOB = Job(
    (Path("a.tflite"),),
    ProfileSettings(threads=(1, 2), lengths=(16, 32), operations=True, sustained_seconds=60.0),
)


def twice(first: Measurement, second: Measurement) -> tuple[str, Bench]:
    bench = Bench(second)
    old = replace(timed("a", 1.0), target=first.target)
    comparison, repeated = compare_twice([old], [(bench, Outcome((first,)))], 0.1, JOB)
    assert repeated == ((second,) if bench.jobs else ())
    return comparison.changes[0].verdict, bench


def test_only_slow_places_are_measured_again() -> None:
    result, bench = twice(timed("a", 1.5), timed("a", 1.5))
    assert result == "TOO SLOW"
    (job,) = bench.jobs
    assert (job.settings.lengths, job.settings.threads) == ((16,), (1,))
    assert not (job.settings.end_to_end or job.settings.operations or job.check)
    assert job.settings.sustained_seconds == 0


def test_fast_places_are_measured_once() -> None:
    result, bench = twice(timed("a", 1.05), timed("a", 9.0))
    assert (result, bench.jobs) == ("slower", [])


def test_one_slow_measurement_is_no_failure() -> None:
    assert twice(timed("a", 1.5), timed("a", 1.0))[0] == "within noise"


def test_the_faster_of_two_slow_measurements_counts() -> None:
    for first, second in ((1.5, 1.8), (1.8, 1.5)):
        bench = Bench(timed("a", second))
        outcomes = [(bench, Outcome((timed("a", first),)))]
        (change,) = compare_twice([timed("a", 1.0)], outcomes, 0.1, JOB)[0].changes
        assert (change.ratio, change.other_ratio) == pytest.approx((1.5, 1.8))


def test_browser_targets_are_not_measured_again() -> None:
    result, bench = twice(timed("a", 1.5, target="browser"), timed("a", 1.0, target="browser"))
    assert (result, bench.jobs) == ("TOO SLOW", [])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.3))
def test_equal_speeds_never_fail_a_gate(seed: int, noise: float) -> None:
    """Blocks from one distribution with the long tail of a busy machine."""
    rng = np.random.default_rng(seed)

    def run(session: str) -> Measurement:
        blocks = 1 + rng.exponential(noise, size=(12, 20))
        return measured("a", 1.0, session=session, latency=summarize(blocks.tolist()))

    assert verdict(run("one"), run("two")) != "TOO SLOW"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1.2, 5.0))
def test_a_real_loss_of_a_fifth_is_found(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)

    def run(ms: float) -> Measurement:
        blocks = ms * (1 + rng.exponential(0.02, size=(12, 20)))
        return measured("a", 1.0, latency=summarize(blocks.tolist()))

    assert verdict(run(1.0), run(factor)) == "TOO SLOW"
