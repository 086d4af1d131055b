"""Settings and steady latencies for searches of tiny models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgebert.data.datasets import Dataset
from edgebert.pruning.latency_table import LatencyTable
from edgebert.searching import timing, trials
from edgebert.settings import SearchSettings

Splits = tuple[Dataset, Dataset]
SMALL = SearchSettings(
    speedups="1.3",
    embeddings="int4",
    distill_epochs=1,
    rounds=1,
    tokens=16,
    latency_texts=4,
    max_rows=32,
    max_drop=-50.0,
    second_speedups="",
    token_shares="",
    recipes="dynamic-int8",
)
"""No model gains 50 points, so the pruned ones are trained too."""
TABLE = LatencyTable(
    device="made up",
    recipe="int8",
    tokens=16,
    base_ms=1.0,
    empty_layer_ms=0.1,
    attention=((0, 0.0), (2, 1.0)),
    feed_forward=((0, 0.0), (48, 2.0)),
    last_attention=((0, 0.0), (2, 0.5)),
    last_feed_forward=((0, 0.0), (48, 0.2)),
)


def steady(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Latencies that are the same in every run, and the stages that asked for them."""
    asked: list[str] = []

    def measure(
        baseline: str,
        files: Mapping[str, Path],
        texts: Sequence[str],
        round_: timing.Round,
        progress: Any,
    ) -> timing.Latencies:
        asked.append(round_.name)
        base = files[baseline].stat().st_size
        ratios = {key: path.stat().st_size / base for key, path in files.items()}
        return {key: {"ratio": ratio, "ms": ratio} for key, ratio in ratios.items()}

    monkeypatch.setattr(timing, "measure", measure)
    monkeypatch.setattr(trials, "measure_latency_table", lambda *given, **named: TABLE)
    return asked
