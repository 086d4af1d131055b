"""Fixtures of the tests of `edgebert`: whether functions of TensorFlow run eagerly or as graphs.

Tracing a graph takes most of the time of a tiny training or export, and pays after about 25 steps.
Therefore tests run eagerly, except the training loop (`training`), those with the marker `graphs`,
and those of real models (`tests/end_to_end`), which run graphs as users do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from edgebert.system.native_noise import load_keras

WITHOUT_KERAS = {"data", "encoding", "reporting", "system"}
"""Folders whose tests build no Keras model, so that TensorFlow needn't be imported for them."""
AS_USERS_DO = {"training"}


@contextlib.contextmanager
def functions_run(*, eagerly: bool) -> Iterator[None]:
    """Functions of TensorFlow run eagerly, or as graphs."""
    load_keras()
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(eagerly)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@pytest.fixture(scope="module", autouse=True)
def functions_of_the_module(request: pytest.FixtureRequest) -> Iterator[None]:
    """Eager functions, unless the module's folder or its `pytestmark` says otherwise."""
    folder = request.path.parent.name
    if folder in WITHOUT_KERAS | AS_USERS_DO or request.node.get_closest_marker("graphs"):
        yield
        return
    with functions_run(eagerly=True):
        yield


@pytest.fixture(autouse=True)
def functions_of_the_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Graphs for a test with the marker `graphs`."""
    if request.node.get_closest_marker("graphs") is None:
        yield
        return
    with functions_run(eagerly=False):
        yield
