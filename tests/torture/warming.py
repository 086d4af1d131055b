"""Makes the forked processes of `make torture` cheap: what all of them need is done once."""

from __future__ import annotations

import gc
import importlib

from edgebert.system import native_noise
from tests.torture.stages import base, rows

_MODULES = (
    "ai_edge_litert.interpreter",
    "edgebert.evaluation.predictors",
    "edgebert.exporting.artifact",
    "edgebert.pruning.callback",
    "edgebert.profiling.cpu",
    "edgebert.reporting.plots",
    "edgebert.training.data_parallel",
    "edgebert.training.distilling",
    "edgebert.training.fitting",
    "edgebert.training.strategies",
    "matplotlib.backends.backend_svg",
)


def warm() -> None:
    """Imports libraries and makes the model and the rows, without a call that starts threads.

    Functions of TensorFlow run eagerly: tracing and optimizing graphs took three fifths of the time
    of a run on a tiny model, and writes no file. All runs are compared with a run of the same kind.
    """
    native_noise.load_keras()
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    for name in _MODULES:
        importlib.import_module(name)
    base()
    for count, seed in ((16, 1), (8, 2), (8, 3)):
        rows(count, seed)
    gc.collect()
    gc.freeze()  # the collector of a forked process does not copy these pages
