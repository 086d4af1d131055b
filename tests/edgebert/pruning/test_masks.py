"""Masks keep the largest weights, exactly as many as asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgebert.errors import UsageError
from edgebert.pruning.masks import (
    magnitude_mask,
    parse_pattern,
    pattern_mask,
    prunable_names,
    sparsity_of,
)

KERNELS = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=24),
    elements=st.floats(-4, 4, width=32).map(lambda value: round(value, 1)),
)


@given(kernel=KERNELS, sparsity=st.floats(0, 1, exclude_max=True))
def test_magnitude_keeps_the_largest(kernel: np.ndarray, sparsity: float) -> None:
    mask = magnitude_mask(kernel, sparsity)
    assert mask.shape == kernel.shape
    assert np.count_nonzero(~mask) == round(sparsity * kernel.size)
    if mask.any() and not mask.all():
        assert np.abs(kernel[mask]).min() >= np.abs(kernel[~mask]).max()


@given(kernel=KERNELS, group=st.integers(2, 8), data=st.data())
def test_every_group_keeps_its_largest(kernel: np.ndarray, group: int, data: st.DataObject) -> None:
    kept = data.draw(st.integers(1, group - 1))
    mask = pattern_mask(kernel, kept, group)
    assert mask.shape == kernel.shape
    for start in range(0, kernel.shape[1], group):
        part, taken = np.abs(kernel[:, start : start + group]), mask[:, start : start + group]
        assert (taken.sum(1) == min(kept, part.shape[1])).all()
        largest_lost = np.where(taken, -1, part).max(1)
        assert (np.where(taken, part, np.inf).min(1) >= largest_lost).all()


@pytest.mark.parametrize(("kept", "group"), [(2, 4), (1, 4), (4, 8), (3, 5)])
def test_patterns_are_those_of_tensorflow_model_optimization(kept: int, group: int) -> None:
    pytest.importorskip("tensorflow_model_optimization")
    import tensorflow as tf
    from tensorflow_model_optimization.python.core.sparsity.keras import pruning_utils

    kernel = np.random.default_rng(0).normal(size=(24, 40)).astype(np.float32)
    theirs = pruning_utils.generate_m_by_n_mask(tf.constant(kernel), (group - kept, group))
    np.testing.assert_array_equal(pattern_mask(kernel, kept, group), theirs.numpy() > 0)


@pytest.mark.parametrize("pattern", ["", "2", "2:", "0:4", "4:4", "5:4", "2:64", "a:b", "-1:4"])
def test_an_invalid_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="expected N:M"):
        parse_pattern(pattern)
    assert parse_pattern("2:4") == (2, 4)


def test_prunable_names() -> None:
    kernel = "layers.0.attention.query.kernel"
    names = [
        "embeddings.token",
        "embeddings.norm.scale",
        kernel,
        "layers.0.attention.query.bias",
        "layers.0.attention.norm.scale",
        "pooler.kernel",
        "classifier.kernel",
        "classifier.bias",
    ]
    assert prunable_names(names, False, False) == (kernel,)
    assert prunable_names(names, True, False) == ("embeddings.token", kernel)
    assert prunable_names(names, False, True) == (kernel, "pooler.kernel", "classifier.kernel")


def test_sparsity_is_the_share_of_exact_zeros() -> None:
    assert sparsity_of([np.array([0.0, 1e-30]), np.array([0.0, 0.0, 1.0, 2.0])]) == 0.5
    assert sparsity_of([]) == 0.0
