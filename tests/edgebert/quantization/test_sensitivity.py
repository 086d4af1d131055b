"""Parts of a model, and how many of them keep a bound."""

from __future__ import annotations

import pytest

from edgebert.models.task_model import TaskModel
from edgebert.quantization.sensitivity import most_within, parts_of


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
def test_bisection_finds_the_most_that_fit(fitting: int) -> None:
    errors = [0.1 * n for n in range(8)]
    count, error = most_within(lambda n: errors[n], 7, 0.1 * fitting + 0.05)
    assert (count, error) == (fitting, errors[fitting])


def test_no_bound_takes_all() -> None:
    assert most_within(lambda n: float(n), 5, 0.0) == (5, 5.0)
