"""Schedules: how sparse a kernel is at a step. The curves are tensorflow-model-optimization's."""

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
    """The steps at which masks are made anew: `begin`, `begin + frequency`, ... `end`.

    Attributes:
        begin: the first one, counted from 0.
        end: the last one; from then on the masks stay.
        frequency: steps between two.
    """

    begin: int
    end: int
    frequency: int


def window(settings: PruneSettings, total_steps: int) -> Window:
    """The window of a run, in whole steps, with its end at an update.

    tensorflow-model-optimization updates only at multiples of the frequency after the beginning, so
    a window that ends between two would stop short of the final sparsity.
    """
    last = total_steps - 1
    begin = min(int(settings.begin * total_steps), last)
    end = max(min(round(settings.end * total_steps), last), begin)
    frequency = min(settings.frequency, max(1, end - begin))
    return Window(begin, begin + (end - begin) // frequency * frequency, frequency)


def final_sparsity(settings: PruneSettings) -> float:
    """The share of zeros that pruning ends with."""
    if settings.method == "magnitude":
        return settings.sparsity
    kept, group = parse_pattern(settings.pattern)
    return 1 - kept / group


def make_schedule(settings: PruneSettings, steps: Window) -> Any:
    """A pruning schedule of tensorflow-model-optimization.

    An N:M pattern is there or not, so its sparsity is constant whatever the setting says.

    Returns:
        an object that gives, called with a step, whether masks are made at it and the sparsity.
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
    """Refuses settings that make no sense.

    Raises:
        UsageError: every problem is listed.
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
    """Keeps the import from turning this process's and its children's `tf.keras` into Keras 2."""
    import tensorflow as tf

    _ = tf.keras.layers  # loaded lazily, by what the environment says when it is first asked for
    before = os.environ.get(_LEGACY_KERAS)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_LEGACY_KERAS, None)
        else:
            os.environ[_LEGACY_KERAS] = before
