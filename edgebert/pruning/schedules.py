"""Sparsity by training step, with the schedules of tensorflow-model-optimization."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edgebert.errors import UsageError, refuse
from edgebert.pruning.masks import parse_pattern
from edgebert.settings import PruneSettings, broken_rules

_LEGACY_KERAS = "TF_USE_LEGACY_KERAS"


@dataclass(frozen=True)
class Window:
    """The steps at which the masks are updated: `begin`, `begin + frequency`, ..., `end`.

    Attributes:
        begin: The first update, counted from step 0.
        end: The last update; the masks stay the same from then on.
        frequency: Steps between two updates.
    """

    begin: int
    end: int
    frequency: int


def window(settings: PruneSettings, total_steps: int) -> Window:
    """The update window of a run in whole steps. Its end is a step with an update.

    tensorflow-model-optimization updates only at `begin` plus multiples of the frequency. With an
    end between two updates, the final sparsity would not be reached: begin 10, frequency 100 and
    end 250 have updates at 10, 110 and 210, so the window ends at 210.
    """
    last = total_steps - 1
    begin = min(int(settings.begin * total_steps), last)
    end = max(min(round(settings.end * total_steps), last), begin)
    frequency = min(settings.frequency, max(1, end - begin))
    return Window(begin, begin + (end - begin) // frequency * frequency, frequency)


def final_sparsity(settings: PruneSettings) -> float:
    """The share of zeros at the end of pruning."""
    if settings.method == "magnitude":
        return settings.sparsity
    kept, group = parse_pattern(settings.pattern)
    return 1 - kept / group


def make_schedule(settings: PruneSettings, steps: Window) -> Any:
    """Creates a pruning schedule of tensorflow-model-optimization.

    An N:M pattern has a fixed sparsity, so its schedule is constant for every setting.

    Returns:
        A callable: for a step it returns whether the masks are updated, and the sparsity.
    """
    schedules = _load_schedules()
    final = final_sparsity(settings)
    growing = settings.method == "magnitude" and settings.schedule == "polynomial"
    if growing and steps.end > steps.begin:
        return schedules.PolynomialDecay(
            settings.initial_sparsity,
            final,
            steps.begin,
            steps.end,
            frequency=steps.frequency,
        )
    return schedules.ConstantSparsity(final, steps.begin, steps.end, steps.frequency)


def check_settings(settings: PruneSettings) -> None:
    """Checks the settings of magnitude pruning.

    Raises:
        UsageError: Settings are invalid; the message lists every problem.
    """
    magnitude = settings.method == "magnitude"
    growing = magnitude and settings.schedule == "polynomial"
    rules = [
        ("sparsity", not magnitude or 0 < settings.sparsity < 1, "between 0 and 1"),
        (
            "initial_sparsity",
            not growing or 0 <= settings.initial_sparsity <= settings.sparsity,
            "from 0 to the final sparsity",
        ),
        ("begin", 0 <= settings.begin < 1, "at least 0 and below 1"),
        ("end", settings.begin <= settings.end <= 1, "from begin to 1"),
        ("frequency", settings.frequency >= 1, "at least 1"),
        ("epochs", settings.epochs >= 0, "at least 0"),
    ]
    problems = broken_rules(settings, rules)
    if not magnitude:
        try:
            parse_pattern(settings.pattern)
        except UsageError as error:
            problems.append(str(error).rstrip("."))
    refuse(problems)


def _load_schedules() -> Any:
    with _legacy_keras_contained():
        from tensorflow_model_optimization.python.core.sparsity.keras import pruning_schedule
    return pruning_schedule


@contextmanager
def _legacy_keras_contained() -> Iterator[None]:
    """Restores the environment after the import, which switches `tf.keras` to Keras 2.

    Without this, the switch would affect the rest of this process and its children.
    """
    import tensorflow as tf

    _ = tf.keras.layers  # loads tf.keras now, with the environment as it still is
    before = os.environ.get(_LEGACY_KERAS)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_LEGACY_KERAS, None)
        else:
            os.environ[_LEGACY_KERAS] = before
