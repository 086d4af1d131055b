"""The curves are Zhu and Gupta's, the window ends at an update, and Keras stays Keras 3."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.errors import UsageError
from edgebert.pruning.schedules import (
    Window,
    check_settings,
    final_sparsity,
    make_schedule,
    window,
)
from edgebert.settings import PruneSettings

SETTINGS = PruneSettings(sparsity=0.8, initial_sparsity=0.2, begin=0.1, end=0.7, frequency=10)


def test_polynomial_is_the_formula_of_the_paper() -> None:
    pytest.importorskip("tensorflow_model_optimization")
    schedule = make_schedule(SETTINGS, Window(20, 120, 10))
    for step in range(0, 150, 7):
        due, sparsity = schedule(step)
        progress = min(1.0, max(0.0, (step - 20) / 100))
        assert float(sparsity) == pytest.approx(0.8 + (0.2 - 0.8) * (1 - progress) ** 3, abs=1e-6)
        assert bool(due) == (20 <= step <= 120 and (step - 20) % 10 == 0)


@pytest.mark.parametrize(
    ("settings", "sparsity"),
    [
        (replace(SETTINGS, schedule="constant"), 0.8),
        (replace(SETTINGS, method="n-m", pattern="1:4"), 0.75),
    ],
)
def test_constant_schedules_and_patterns_start_at_the_final_sparsity(
    settings: PruneSettings, sparsity: float
) -> None:
    pytest.importorskip("tensorflow_model_optimization")
    schedule = make_schedule(settings, Window(4, 12, 4))
    assert final_sparsity(settings) == sparsity
    assert [step for step in range(20) if bool(schedule(step)[0])] == [4, 8, 12]
    assert float(schedule(4)[1]) == pytest.approx(sparsity)


@given(
    total=st.integers(1, 5000),
    begin=st.floats(0, 0.99),
    length=st.floats(0, 1),
    frequency=st.integers(1, 500),
)
def test_the_window_ends_at_an_update_inside_the_run(
    total: int, begin: float, length: float, frequency: int
) -> None:
    settings = PruneSettings(begin=begin, end=min(1.0, begin + length), frequency=frequency)
    steps = window(settings, total)
    assert 0 <= steps.begin <= steps.end < total
    assert (steps.end - steps.begin) % steps.frequency == 0
    assert 1 <= steps.frequency <= frequency


def test_one_step_is_enough() -> None:
    pytest.importorskip("tensorflow_model_optimization")
    due, sparsity = make_schedule(SETTINGS, window(SETTINGS, 1))(0)
    assert bool(due)
    assert float(sparsity) == pytest.approx(0.8)


def test_all_bad_settings_are_listed() -> None:
    with pytest.raises(UsageError) as caught:
        check_settings(
            PruneSettings(
                sparsity=1.0, initial_sparsity=2.0, begin=-1.0, end=2.0, frequency=0, epochs=-1
            )
        )
    for name in ("sparsity", "initial_sparsity", "begin", "end", "frequency", "epochs"):
        assert f"{name}: expected" in str(caught.value)
    with pytest.raises(UsageError, match="pattern: expected N:M"):
        check_settings(PruneSettings(method="n-m", pattern="4:2"))
    check_settings(PruneSettings())


def test_keras_stays_keras_3() -> None:
    pytest.importorskip("tensorflow_model_optimization")
    program = (
        "import os\n"
        "from edgebert.pruning.schedules import Window, make_schedule\n"
        "from edgebert.settings import PruneSettings\n"
        "make_schedule(PruneSettings(), Window(0, 10, 5))\n"
        "import keras, tensorflow as tf\n"
        "assert 'TF_USE_LEGACY_KERAS' not in os.environ\n"
        "assert tf.keras.layers.Dense is keras.layers.Dense\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
