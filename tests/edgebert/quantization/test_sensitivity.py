"""Sensitivity analysis: the parts of a model, and the largest number of them within a limit."""

from __future__ import annotations

import pytest

from edgebert.models.task_model import TaskModel
from edgebert.quantization.sensitivity import largest_count_within, parts_of


def test_every_kernel_is_in_one_part(tiny_model: TaskModel) -> None:
    kernels = [name for part in parts_of(tiny_model.checkpoint) for name in part.kernels]
    weights = tiny_model.checkpoint.weights
    assert sorted(kernels) == sorted(
        name.removesuffix(".kernel") for name in weights if name.endswith(".kernel")
    )
    assert sum(part.weights(tiny_model.checkpoint) for part in parts_of(tiny_model.checkpoint)) == (
        sum(array.size for name, array in weights.items() if name.endswith(".kernel"))
    )


@pytest.mark.parametrize("fitting", range(8))
def test_bisection_finds_the_largest_count(fitting: int) -> None:
    errors = [0.1 * n for n in range(8)]
    count, error = largest_count_within(lambda n: errors[n], 7, 0.1 * fitting + 0.05)
    assert (count, error) == (fitting, errors[fitting])


def test_without_a_limit_all_parts_count() -> None:
    assert largest_count_within(lambda n: float(n), 5, 0.0) == (5, 5.0)
