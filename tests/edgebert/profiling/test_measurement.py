"""Statistics against numpy, the median's interval, ratios, and the JSON round trip."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.errors import DataError
from edgebert.profiling.measurement import (
    Device,
    Latency,
    Measurement,
    interval_ranks,
    median_interval,
    summarize,
)
from edgebert.profiling.ratios import ratios

times = st.floats(1e-3, 1e5)
blocks_of_times = st.lists(st.lists(times, min_size=1, max_size=9), min_size=1, max_size=12)
names = st.text(max_size=12)
measurements = st.builds(
    Measurement,
    model=names,
    name=names,
    sha256=names,
    size_bytes=st.integers(0, 2**40),
    gzip_bytes=st.integers(0, 2**40),
    target=names,
    device=st.builds(
        Device,
        name=names,
        cpu=names,
        cores=st.integers(1, 256),
        architecture=names,
        os=names,
        cpu_features=st.lists(names, max_size=3).map(tuple),
        load_average=st.none() | st.floats(0, 100),
        governor=st.none() | names,
        details=st.dictionaries(names, names, max_size=3),
    ),
    runtime=names,
    session=names,
    threads=st.integers(1, 64),
    signature=st.none() | names,
    length=st.none() | st.integers(1, 512),
    kind=st.sampled_from(["model", "end_to_end"]),
    texts=st.integers(0, 1000),
    load_ms=times,
    first_call_ms=times,
    latency=blocks_of_times.map(summarize),
    peak_memory_bytes=st.none() | st.integers(0, 2**40),
    model_memory_bytes=st.none() | st.integers(0, 2**40),
    warnings=st.lists(names, max_size=3).map(tuple),
)


def measured(name: str, blocks: list[list[float]], **changes: object) -> Measurement:
    device = Device("", "cpu", 2, "x86_64", "Linux")
    base = Measurement(
        model=f"{name}.tflite",
        name=name,
        sha256="",
        size_bytes=100,
        gzip_bytes=80,
        target="cpu",
        device=device,
        runtime="ai-edge-litert 2.3.0",
        session="one",
        threads=1,
        signature="tokens_8",
        length=8,
        kind="model",
        texts=0,
        load_ms=1.0,
        first_call_ms=2.0,
        latency=summarize(blocks),
        peak_memory_bytes=1000,
        model_memory_bytes=500,
    )
    return replace(base, **changes)


@given(blocks_of_times)
def test_summaries_agree_with_numpy(blocks: list[list[float]]) -> None:
    latency, calls = summarize(blocks), np.concatenate(blocks)
    medians = [float(np.median(block)) for block in blocks]
    p25, p50, p75, p90, p99 = np.percentile(calls, [25, 50, 75, 90, 99])
    assert latency.runs == calls.size
    assert latency.p50_ms == pytest.approx(np.median(calls))
    assert (latency.p90_ms, latency.p99_ms) == pytest.approx((p90, p99))
    assert latency.mean_ms == pytest.approx(calls.mean())
    assert (latency.min_ms, latency.max_ms) == (calls.min(), calls.max())
    assert latency.spread == pytest.approx((p75 - p25) / p50)
    assert latency.block_medians_ms == tuple(medians)
    quartiles = np.percentile(medians, [25, 75])
    assert latency.block_spread == pytest.approx((quartiles[1] - quartiles[0]) / p50)
    assert latency.median_low_ms <= latency.median_high_ms


def test_no_latency_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one latency"):
        summarize([[], []])


@given(st.integers(1, 500))
def test_the_interval_is_the_narrowest_with_the_confidence(count: int) -> None:
    def coverage(low: int) -> float:
        return 1 - 2 * sum(comb(count, k) for k in range(low + 1)) / 2**count

    ranks = interval_ranks(count)
    if ranks is None:
        assert coverage(0) < 0.95
        assert count < 6
    else:
        low, high = ranks
        assert low + high == count - 1
        assert coverage(low) >= 0.95
        assert coverage(low + 1) < 0.95 or low + 1 > high - 1


@pytest.mark.parametrize("count", [501, 1292, 10**6])
def test_the_interval_of_many_values(count: int) -> None:
    low, high = interval_ranks(count)
    assert low + high == count - 1
    assert (high - low) / count**0.5 == pytest.approx(1.96, abs=0.1)


def test_the_interval_covers_the_true_median_with_its_confidence() -> None:
    rng = np.random.default_rng(0)
    samples = rng.lognormal(size=(2000, 25))
    intervals = [median_interval(sample) for sample in samples]
    assert np.mean([low <= 1.0 <= high for low, high in intervals]) > 0.94


def test_a_constant_median_is_stable_and_a_drifting_one_is_not() -> None:
    rng = np.random.default_rng(1)
    steady = [rng.normal(10, 0.05, 20).tolist() for _ in range(12)]
    wandering = [rng.normal(level, 0.05, 20).tolist() for level in np.linspace(8, 12, 12)]
    assert summarize(steady).stable
    assert summarize(steady).block_spread < 0.01
    assert not summarize(wandering).stable
    assert summarize(wandering).block_spread > 0.1


def test_too_few_blocks_are_never_stable() -> None:
    assert not summarize([[1.0, 1.0]] * 5).stable
    assert summarize([[1.0, 1.0]] * 6).stable
    assert summarize([[1.0] * 6]).stable


@given(measurements)
def test_a_json_round_trip(measurement: Measurement) -> None:
    table = json.loads(json.dumps(measurement.to_dict()))
    assert table["latency"]["stable"] == measurement.stable
    assert Measurement.from_dict(table) == measurement


def test_the_time_is_kept_and_old_files_have_none() -> None:
    measurement = measured("a", [[1.0]])
    assert datetime.fromisoformat(measurement.measured).tzinfo == UTC
    table = measurement.to_dict() | {"measured": "2026-01-02T03:04:05Z"}
    assert Measurement.from_dict(table).measured == "2026-01-02T03:04:05Z"
    del table["measured"]
    assert Measurement.from_dict(table).measured == ""


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"version": 99}, "version 99"),
        ({"format": "other"}, "'other'"),
        ({"latency": {}}, "lacks"),
        ({"latency": None}, "lacks"),
        ({"device": 3}, "lacks"),
    ],
)
def test_other_tables_are_refused(change: dict, part: str) -> None:
    table = measured("a", [[1.0]]).to_dict() | change
    with pytest.raises(DataError, match=part):
        Measurement.from_dict(table)


def test_a_table_with_missing_fields_is_refused() -> None:
    table = measured("a", [[1.0]]).to_dict()
    del table["device"], table["size_bytes"]
    with pytest.raises(DataError, match="lacks"):
        Measurement.from_dict(table)


def test_ratios_compare_block_by_block() -> None:
    slow_half = [[10.0]] * 4 + [[20.0]] * 4  # the machine halves its speed in between
    fast_half = [[5.0]] * 4 + [[10.0]] * 4
    a, b = measured("a", slow_half), measured("b", fast_half, size_bytes=25, gzip_bytes=20)
    (ratio,) = ratios([a, b])
    assert (ratio.name, ratio.baseline, ratio.paired) == ("b", "a", True)
    assert (ratio.latency_low, ratio.latency, ratio.latency_high) == (0.5, 0.5, 0.5)
    assert (ratio.size, ratio.gzip, ratio.memory) == (0.25, 0.25, 1.0)


def test_ratios_of_separate_sessions_are_not_paired() -> None:
    a, b = measured("a", [[10.0]] * 8), measured("b", [[5.0]] * 8, session="two")
    (ratio,) = ratios([a, b])
    assert (ratio.latency, ratio.paired, ratio.latency_low) == (0.5, False, None)


def test_ratios_stay_within_target_threads_length_and_kind() -> None:
    a = measured("a", [[10.0]] * 8)
    others = [
        measured("b", [[5.0]] * 8, threads=2),
        measured("b", [[5.0]] * 8, length=16),
        measured("b", [[5.0]] * 8, kind="end_to_end"),
        measured("b", [[5.0]] * 8, target="adb"),
        measured("b", [[2.0]] * 8),
    ]
    assert [ratio.latency for ratio in ratios([a, *others])] == [0.2]
    assert ratios([]) == ()
    assert ratios([a]) == ()


def test_a_second_signature_of_the_first_model_has_a_ratio_too() -> None:
    a = measured("a", [[10.0]] * 8)
    also = measured("a", [[5.0]] * 8, signature="tokens_dynamic")
    assert [(ratio.name, ratio.latency) for ratio in ratios([a, also])] == [("a", 0.5)]


def test_latency_is_plain_data() -> None:
    assert isinstance(summarize([[1.0, 2.0]]), Latency)
