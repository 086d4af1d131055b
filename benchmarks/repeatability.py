"""How far two profiles of the same file differ, and whether their reports said so.

    python benchmarks/repeatability.py model.tflite --pairs 5

Whole runs of `edgebert profile` after each other, each a program of its own, as a person would
start them. For every pair and place (a length, or text to label): both medians, their ratio, and
what each report thought of its own: stable or not, and how wide it took the median to be known.
The target is a ratio within 5 %, or a report that says that it is not to be trusted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from edgebert.reporting.places import configuration_text

from edgebert.profiling.machine_warnings import BUSY_BEFORE
from edgebert.profiling.measurement import Measurement

TOLERANCE = 0.05


def profile(model: Path, arguments: Sequence[str], scratch: Path) -> list[Measurement]:
    """One run of the command."""
    out = scratch / "measurements.json"
    command = [sys.executable, "-m", "edgebert", "profile", str(model), "-o", str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"edgebert profile failed:\n{done.stderr}")
    return [Measurement.from_dict(table) for table in json.loads(out.read_text(encoding="utf-8"))]


def flagged(measured: Measurement) -> bool:
    """Whether a report tells its reader not to trust the median."""
    doubts = (BUSY_BEFORE, "It had the processor for only")
    return not measured.stable or any(w.startswith(doubts) for w in measured.warnings)


def main() -> None:
    parser = argparse.ArgumentParser(description="Whether two profiles give the same median.")
    parser.add_argument("model", type=Path, help="a .tflite file")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs")
    known, passed_on = parser.parse_known_args()
    ratios: list[float] = []
    silent = 0
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(known.pairs):
            runs = [profile(known.model, passed_on, Path(folder)) for _ in range(2)]
            for first, second in zip(*runs, strict=True):
                ratio = second.latency.p50_ms / first.latency.p50_ms
                is_far = abs(ratio - 1) > TOLERANCE
                was_told = flagged(first) or flagged(second)
                silent += is_far and not was_told
                ratios.append(ratio)
                known_to = max(first.latency.uncertainty, second.latency.uncertainty)
                print(
                    f"pair {pair + 1}, {configuration_text(first)}: {first.latency.p50_ms:.4g} and "
                    f"{second.latency.p50_ms:.4g} ms, ratio {ratio:.3f}, known to {known_to:.1%}, "
                    f"{'flagged' if was_told else 'not flagged'}{', TOO FAR' if is_far else ''}",
                    flush=True,
                )
    off = np.abs(np.array(ratios) - 1)
    print(f"{len(ratios)} ratios: median off by {np.median(off):.1%}, at most {off.max():.1%}")
    print(f"{int((off <= TOLERANCE).sum())} within {TOLERANCE:.0%}; {silent} beyond it unflagged")


if __name__ == "__main__":
    main()
