"""Fixtures of the tests of `edgebert`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from edgebert.system.native_noise import load_keras


@contextlib.contextmanager
def eager_functions() -> Iterator[None]:
    """Functions of TensorFlow run eagerly: tracing takes most of the time of a tiny training."""
    load_keras()
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def without_tracing() -> Iterator[None]:
    """`eager_functions` for a module whose tests don't depend on graphs.

    Tests of the training loop (`training`, `test_finetuning.py`) and of real models
    (`tests/end_to_end`) run graphs, as users do.
    """
    with eager_functions():
        yield


@pytest.fixture
def eagerly() -> Iterator[None]:
    """`eager_functions` for one test: a graph pays after about 25 steps of a tiny model."""
    with eager_functions():
        yield
