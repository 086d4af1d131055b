"""Latency from text to answer of many files, each in turn with the baseline.

What counts is the ratio to the baseline, whose passes alternate with the others', so that a machine
that slows down slows both sides. Of each text's calls the median is taken before anything is added
up: a call that other programs interrupt does not count. Files are opened in groups, to bound the
memory; the baseline is in all of them.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebert.data.datasets import Dataset, take
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel
from edgebert.system.progress import Progress
from edgebert.tasks.examples import as_examples, features_of

GROUP = 8
Latencies = dict[str, dict[str, float]]


def latency_texts(
    dev: Dataset, model: TaskModel, tokens: int, texts: int, seed: int
) -> tuple[tuple[str, ...], ...]:
    """What is timed, as somebody types it: random examples, or those nearest to a length."""
    chosen: Sequence[Any] = take(dev, texts, seed).examples
    if tokens:
        distance = np.abs(lengths_of(model, dev) - tokens)
        nearest = np.argsort(distance, kind="stable")[:texts]
        chosen = [dev.examples[place] for place in sorted(nearest)]
    return tuple(model.task.input_texts(example) for example in chosen)


def lengths_of(model: TaskModel, data: Dataset) -> npt.NDArray[np.int64]:
    """Tokens of each example, of all that it takes: `[examples]`."""
    features = features_of(model, data.examples, model.max_length)
    found = np.zeros(len(data), np.int64)
    np.add.at(found, features.owners, [len(encoding) for encoding in features.encodings])
    return found


def measure(
    baseline: str,
    files: Mapping[str, Path],
    texts: Sequence[tuple[str, ...]],
    passes: int,
    openings: int,
    progress: Progress,
    stage: str,
) -> Latencies:
    """Times every file beside the baseline, one thread each.

    Args:
        baseline: its key in `files`.
        files: by key.
        texts: of `latency_texts`; one pass goes through all of them.
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
    models: Mapping[str, LiteRtModel], texts: Sequence[tuple[str, ...]], passes: int
) -> list[tuple[str, list[list[float]]]]:
    """Milliseconds of every call, by model, pass and text; the models take turns."""
    keys = list(models)
    examples = as_examples(models[keys[0]].task, texts)
    calls = {
        key: [model.timed_calls(example)[0] for example in examples]
        for key, model in models.items()
    }
    done: dict[str, list[list[float]]] = {key: [] for key in keys}
    gc.collect()
    gc.disable()
    try:
        for number in range(-1, passes):
            turn = number % len(keys)
            for key in keys[turn:] + keys[:turn]:
                times = [_call_ms(call) for call in calls[key]]
                if number >= 0:
                    done[key].append(times)
    finally:
        gc.enable()
    return list(done.items())


def _call_ms(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)
