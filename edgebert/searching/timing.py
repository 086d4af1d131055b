"""End-to-end latency, text to answer, of many files. Each file runs in turn with the baseline.

The result is the ratio to the baseline. Its passes alternate with those of the other files, so
clock drift affects both sides equally. The median of each text's calls is taken before the texts
are averaged, so a call that another program interrupts has no effect. Files are opened in groups,
each with the baseline, to limit the memory.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    """The input texts to measure: random examples, or those closest to a length.

    Args:
        dev: Examples to choose from.
        model: Its tokenizer defines the lengths.
        tokens: Wanted length; 0 chooses at random.
        texts: Number of examples.
        seed: Seed of the random choice.

    Returns:
        The texts of each example, in the form that the task takes as input.
    """
    chosen: Sequence[Any] = take(dev, texts, seed).examples
    if tokens:
        distance = np.abs(lengths_of(model, dev) - tokens)
        nearest = np.argsort(distance, kind="stable")[:texts]
        chosen = [dev.examples[place] for place in sorted(nearest)]
    return tuple(model.task.input_texts(example) for example in chosen)


def lengths_of(model: TaskModel, data: Dataset) -> npt.NDArray[np.int64]:
    """The number of tokens of each example over all of its encodings: int64 `[examples]`."""
    features = features_of(model, data.examples, model.max_length)
    found = np.zeros(len(data), np.int64)
    np.add.at(found, features.owners, [len(encoding) for encoding in features.encodings])
    return found


@dataclass(frozen=True)
class Round:
    """One round of latency measurements.

    Attributes:
        name: Name of the round.
        passes: Passes over the texts after each opening. One further pass before them is not
            counted.
        openings: How often each file is opened; its place in memory affects its latency.
    """

    name: str
    passes: int
    openings: int

    @property
    def calls(self) -> int:
        """Passes of one file over the texts, the first one of each opening included."""
        return (self.passes + 1) * self.openings


def measure(
    baseline: str,
    files: Mapping[str, Path],
    texts: Sequence[tuple[str, ...]],
    round_: Round,
    progress: Progress,
) -> Latencies:
    """Measures the latency of every file against the baseline, with one thread each.

    Args:
        baseline: Key of the baseline in `files`.
        files: Files by key.
        texts: The texts of `latency_texts`; one pass runs all of them.
        round_: Number of passes and openings.
        progress: Called after each group of files.

    Returns:
        By key: `ratio`, the median over the openings of this file's time to the baseline's; and
        `ms` per text, which is the ratio times the baseline's median.
    """
    others = [key for key in files if key != baseline]
    groups = [others[start : start + GROUP] for start in range(0, len(others), GROUP)] or [[]]
    ratios: dict[str, list[float]] = {key: [] for key in files}
    base_ms: list[float] = []
    for number, group in enumerate(groups):
        for _ in range(round_.openings):
            models = {key: LiteRtModel.open(files[key]) for key in (baseline, *group)}
            passes = _run_in_turn(models, texts, round_.passes)
            times = {key: _typical_ms(found) for key, found in passes.items()}
            base_ms.append(times[baseline])
            for key, ms in times.items():
                ratios[key].append(ms / times[baseline])
        progress(f"latencies, {round_.name}", number + 1, len(groups))
    base = median(base_ms)
    return {
        key: {"ratio": median(values), "ms": base * median(values)}
        for key, values in ratios.items()
    }


def _typical_ms(passes: list[list[float]]) -> float:
    """The mean over the texts of the median over the passes: `passes` is `[passes][texts]`."""
    return float(np.median(np.array(passes), axis=0).mean())


def _run_in_turn(
    models: Mapping[str, LiteRtModel], texts: Sequence[tuple[str, ...]], passes: int
) -> dict[str, list[list[float]]]:
    """The milliseconds of every call, `[passes][texts]` by model.

    The models take turns, and each pass starts with the next one. The first pass is not counted.
    """
    keys = list(models)
    examples = as_examples(models[keys[0]].task, texts)
    calls = {
        key: [model.timed_calls(example)[0] for example in examples]
        for key, model in models.items()
    }
    found: dict[str, list[list[float]]] = {key: [] for key in keys}
    gc.collect()
    gc.disable()
    try:
        for number in range(-1, passes):
            turn = number % len(keys)
            for key in keys[turn:] + keys[:turn]:
                times = [_call_ms(call) for call in calls[key]]
                if number >= 0:
                    found[key].append(times)
    finally:
        gc.enable()
    return found


def _call_ms(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)
