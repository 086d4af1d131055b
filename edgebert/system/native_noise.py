"""Keeps what native libraries print at start-up off the user's terminal.

TensorFlow and the TFLite runtime write lines about oneDNN, CUDA and delegates straight to the
process's stderr, past Python. Known lines are dropped; everything else is passed on.
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
    rb"WARNING: \[(npu_registry|compiler_plugin|environment)\.cc|[IW]0000 .*(port\.cc|"
    rb"cudart_stub|cuda_|cpu_feature_guard|computation_placer)|.*oneDNN custom operations|"
    rb".*This TensorFlow binary is optimized|To enable the following instructions)"
)


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Drops the known lines that are written to stderr inside the block."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            kept.seek(0)
            for line in kept:
                if not _NOISE.match(line):
                    os.write(2, line)


@functools.cache
def hide_at_exit() -> None:
    """Sends to nowhere what native libraries print while the process ends.

    Python has said all by then: exit handlers run in reverse order, so this one, registered at
    the first use, runs after those that came later, and before the libraries are torn down.
    """

    def redirect() -> None:
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)

    atexit.register(redirect)


def load_keras() -> Any:
    """Imports Keras on TensorFlow without their greetings.

    Raises:
        MissingExtraError: TensorFlow, Keras or keras-hub is not installed.
    """
    from edgebert.errors import MissingExtraError

    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with hidden():
            import keras
            import keras_hub  # noqa: F401
            import tensorflow  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"This needs TensorFlow and keras-hub ({error}). Next: pip install 'edgebert[train]'"
        ) from error
    return keras
