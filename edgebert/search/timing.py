"""Latency from text to label of many files, each in turn with the baseline.

What counts is the ratio to the baseline, whose passes alternate with the others', so that a machine
that slows down slows both sides. Of each text's calls the median is taken before anything is added
up: a call that other programs interrupt does not count. Files are opened in groups, to bound the
memory; the baseline is in all of them.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from edgebert.datasets import Dataset, take
from edgebert.litert_model import LiteRtModel
from edgebert.progress import Progress
from edgebert.tokenizer import Tokenizer

GROUP = 8
Latencies = dict[str, dict[str, float]]


def latency_texts(
    dev: Dataset, tokenizer: Tokenizer, tokens: int, texts: int, seed: int
) -> tuple[str, ...]:
    """What is timed: random texts, or those nearest to a length in tokens."""
    if not tokens:
        return take(dev, texts, seed).texts
    distance = np.abs(tokenizer.count_lengths(dev.texts) - tokens)
    nearest = np.argsort(distance, kind="stable")[:texts]
    return tuple(dev.texts[place] for place in sorted(nearest))


def measure(
    baseline: str,
    files: Mapping[str, Path],
    texts: Sequence[str],
    passes: int,
    openings: int,
    progress: Progress,
    stage: str,
) -> Latencies:
    """Times every file beside the baseline, one thread each.

    Args:
        baseline: its key in `files`.
        files: by key.
        texts: one pass goes through all of them.
        passes: of each opening, a first one that does not count left out.
        openings: times that every file is opened afresh, since where memory lands matters.
        progress: told after each group.
        stage: its name.

    Returns:
        By key: `ratio`, the median over openings of this file's time to the baseline's, and `ms` a
        text, which is the ratio times the baseline's median.
    """
    others = [key for key in files if key != baseline]
    groups = [others[start : start + GROUP] for start in range(0, len(others), GROUP)] or [[]]
    ratios: dict[str, list[float]] = {key: [] for key in files}
    base_ms: list[float] = []
    for number, group in enumerate(groups):
        for _ in range(openings):
            models = {key: LiteRtModel.open(files[key]) for key in (baseline, *group)}
            times = {key: _typical_ms(passed) for key, passed in _passes(models, texts, passes)}
            base_ms.append(times[baseline])
            for key, ms in times.items():
                ratios[key].append(ms / times[baseline])
        progress(stage, number + 1, len(groups))
    base = median(base_ms)
    return {
        key: {"ratio": median(values), "ms": base * median(values)}
        for key, values in ratios.items()
    }


def _typical_ms(passes: list[list[float]]) -> float:
    """The mean over the texts of the median over the passes: `passes` is `[passes][texts]`."""
    return float(np.median(np.array(passes), axis=0).mean())


def _passes(
    models: Mapping[str, LiteRtModel], texts: Sequence[str], passes: int
) -> list[tuple[str, list[list[float]]]]:
    """Milliseconds of every call, by model, pass and text; the models take turns."""
    keys = list(models)
    done: dict[str, list[list[float]]] = {key: [] for key in keys}
    gc.collect()
    gc.disable()
    try:
        for number in range(-1, passes):
            turn = number % len(keys)
            for key in keys[turn:] + keys[:turn]:
                times = [_call_ms(models[key], text) for text in texts]
                if number >= 0:
                    done[key].append(times)
    finally:
        gc.enable()
    return list(done.items())


def _call_ms(model: LiteRtModel, text: str) -> float:
    start = time.perf_counter()
    model.classify(text)
    return 1e3 * (time.perf_counter() - start)
