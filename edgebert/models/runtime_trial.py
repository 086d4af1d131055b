"""Runs a `.tflite` once in a child process, to see whether it ends the runtime.

A file with the hash of its bytes is as its exporter wrote it. Any other file may hold a graph that
has a valid structure and still ends the native runtime with a signal, or never returns.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from converters.errors import ConversionError
from converters.tflite.verification import verify_model
from edgebert.errors import EdgebertError, ModelError
from edgebert.models.litert_runtime import load_interpreter, open_runtime

TIMEOUT_SECONDS = 60.0
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_DYNAMIC_TOKENS = 8
_INPUTS = ("token_ids", "padding_mask", "segment_ids")


def require_loadable(
    path: Path, data: bytes, signatures: Sequence[str] = (), *, is_sealed: bool
) -> None:
    """Checks a file before the runtime of this process opens it.

    Args:
        path: The file.
        data: Its bytes.
        signatures: Keys of the signatures to run; if there are none, the file is only loaded.
        is_sealed: Whether the file has the hash of its bytes, so that no trial is needed.

    Raises:
        ModelError: The structure of the file is damaged, or the file ends the runtime or does not
            return within `TIMEOUT_SECONDS`.
    """
    try:
        verify_model(data)
    except ConversionError as error:
        raise ModelError(f"{path}: {error}") from error
    if is_sealed:
        return
    safe_path = ("-P",) if hasattr(sys.flags, "safe_path") else ()  # Python 3.11, not 3.10
    command = (sys.executable, *safe_path, "-m", __name__, str(path), *signatures)
    paths = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _unusable(path, f"it did not return within {TIMEOUT_SECONDS:g} s") from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise _unusable(path, f"it ended with signal {name}")


def _unusable(path: Path, received: str) -> ModelError:
    return ModelError(
        f"{path} was tried in a process of its own: expected that the TFLite runtime loads and "
        f"runs it. Received: {received}. Next: copy or export the file again; it is damaged, or "
        "its operators are beyond this runtime."
    )


def _main(path: Path, signatures: Sequence[str]) -> int:
    """Loads a file and runs its signatures; an error of the runtime is the parent's to report."""
    if not signatures:
        load_interpreter(path, threads=1)
        return 0
    fixed = all(key.removeprefix("tokens_").isdigit() for key in signatures)
    runtime = open_runtime(path, threads=1, fixed_lengths=fixed)
    for key in signatures:
        run, length = runtime.signature(key), key.removeprefix("tokens_")
        shape = (1, int(length) if length.isdigit() else _DYNAMIC_TOKENS)
        run({name: np.zeros(shape, np.int32) for name in _INPUTS})
    return 0


if __name__ == "__main__":
    try:
        sys.exit(_main(Path(sys.argv[1]), sys.argv[2:]))
    except (EdgebertError, ValueError, RuntimeError, KeyError) as failure:
        sys.exit(str(failure))
