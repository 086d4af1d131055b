"""Filters the start-up messages of native libraries from stderr.

TensorFlow and the TFLite runtime write lines about oneDNN, CUDA and delegates directly to file
descriptor 2, without Python's `sys.stderr`. Known lines are dropped; all others are passed on.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

_NOISE = re.compile(
    rb"^(WARNING: All log messages before absl::InitializeLog|INFO: |\s*$|"
    rb"WARNING: \[(npu_registry|compiler_plugin|environment)\.cc|[IWE]0000 .*(port\.cc|"
    rb"cudart_stub|cuda_|cpu_feature_guard|computation_placer)|.*oneDNN custom operations|"
    rb".*This TensorFlow binary is optimized|To enable the following instructions)"
)


@contextlib.contextmanager
def filtered_stderr() -> Iterator[None]:
    """Drops the known lines that the block writes to stderr; the others are written at its end."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as buffer:
        os.dup2(buffer.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            buffer.seek(0)
            for line in buffer:
                if not _NOISE.match(line):
                    os.write(2, line)


@functools.cache
def mute_stderr_at_exit() -> None:
    """Discards the output of native libraries while the process ends.

    Python has flushed its own output by then: exit handlers run in reverse order, so this one,
    registered at first use, runs after later ones and before the libraries are unloaded.
    """

    def redirect() -> None:
        sys.stderr.flush()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)

    atexit.register(redirect)


def load_keras() -> Any:
    """Imports Keras with the TensorFlow backend, without start-up messages.

    Raises:
        MissingExtraError: TensorFlow, Keras or keras-hub is not installed.
    """
    from edgebert.system.missing_packages import missing_package

    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with filtered_stderr():
            import keras
            import keras_hub  # noqa: F401
            import tensorflow  # noqa: F401
    except ImportError as error:
        raise missing_package(error) or error from error
    return keras
