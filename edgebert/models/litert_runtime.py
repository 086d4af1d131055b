"""Runs the signatures of a `.tflite` on this machine's CPU, with inputs bound by name.

Signatures with a fixed length run in LiteRT's `CompiledModel`, in which all signatures of a file
share one copy of the packed weights. Signatures with a dynamic length run in the interpreter, which
resizes faster. On old boards with `tflite-runtime`, which has no `CompiledModel`, the interpreter
runs both.
"""

from __future__ import annotations

import math
import sys
import warnings
import weakref
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgebert.errors import MissingExtraError, ModelError
from edgebert.system import native_noise

IN_MEMORY_CACHE = ":memory" if sys.platform == "linux" else ""
"""XNNPACK's name for a weight cache in memory instead of a file. It needs Linux's memfd."""


class Signature(Protocol):
    """A signature at one length."""

    def __call__(self, inputs: dict[str, np.ndarray], /) -> dict[str, np.ndarray]:
        """Computes the outputs by name from int32 arrays `[1, length]` by input name."""
        ...


class Runtime(Protocol):
    """A `.tflite` in a runtime."""

    def signature(self, key: str) -> Signature:
        """The signature with a key, ready to be called."""
        ...


def load_interpreter(path: Path, threads: int) -> Any:
    """A TFLite interpreter from `ai-edge-litert`, or from `tflite-runtime` on old boards.

    Raises:
        MissingExtraError: Neither of the two is installed.
        ModelError: The runtime can't load the file.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError as error:
            raise MissingExtraError(
                "No TFLite runtime is installed. Next: pip install ai-edge-litert"
            ) from error
    try:
        with native_noise.filtered_stderr():
            interpreter = Interpreter(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
            return interpreter
    except (ValueError, RuntimeError) as error:
        raise _refused(path, error) from error


def load_tracing_interpreter(body: bytes) -> Any:
    """An interpreter that preserves the values of all tensors, for calibration. It is slower.

    Raises:
        MissingExtraError: `ai-edge-litert` is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingExtraError(
            "Calibration runs in ai-edge-litert. Next: pip install ai-edge-litert"
        ) from error
    with native_noise.filtered_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that preserving tensors is for debugging
        interpreter = Interpreter(
            model_content=body, num_threads=1, experimental_preserve_all_tensors=True
        )
        interpreter.allocate_tensors()
    return interpreter


def _refused(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{path} can't be loaded by the TFLite runtime: {error}. Likely causes: the file is "
        "truncated or no .tflite, or the runtime is older than its operators. Next: export it "
        "again, or upgrade the runtime."
    )


class InterpreterRuntime:
    """The interpreter's signature runners, which resize to the lengths of the inputs."""

    def __init__(self, path: Path, threads: int) -> None:
        self._interpreter = load_interpreter(path, threads)

    def signature(self, key: str) -> Signature:
        run = self._interpreter.get_signature_runner(key)

        def call(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: np.asarray(output) for name, output in run(**inputs).items()}

        return call


class CompiledRuntime:
    """LiteRT's `CompiledModel`, whose signatures share one copy of the packed weights."""

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert import compiled_model as litert

        native_noise.mute_stderr_at_exit()
        cpu = litert.CpuOptions(num_threads=threads, xnnpack_weight_cache_path=IN_MEMORY_CACHE)
        options = litert.Options(
            hardware_accelerators=litert.HardwareAccelerator.CPU, cpu_options=cpu
        )
        try:
            with native_noise.filtered_stderr():
                model = litert.CompiledModel.from_file(
                    str(path), environment=_cpu_environment(litert), options=options
                )
        except (ValueError, RuntimeError) as error:
            raise _refused(path, error) from error
        # The runtime prints to stderr when it is freed. `_owned` has all references to it, so that
        # `_drop` can free it while stderr is hidden.
        self._owned: dict[str, Any] = {"model": model}
        del model
        weakref.finalize(self, _drop, self._owned)

    def signature(self, key: str) -> Signature:
        owned = self._owned
        with native_noise.filtered_stderr():
            model = owned["model"]
            index = model.get_signature_index(key)
            signature = model.get_signature_by_index(index)
            names = signature["inputs"]
            owned[key] = (model.create_input_buffers(index), model.create_output_buffers(index))
            shapes = {
                name: details["shape"]
                for name, details in model.get_input_tensor_details(key).items()
            }
            details = model.get_output_tensor_details(key)
            results = {name: tuple(details[name]["shape"]) for name in signature["outputs"]}
            del model

        def call(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            inputs, outputs = owned[key]
            for name, buffer in zip(names, inputs, strict=True):
                buffer.write(values[name])
            owned["model"].run_by_index(index, inputs, outputs)
            return {
                name: np.asarray(buffer.read(math.prod(shape), np.float32)).reshape(shape)
                for (name, shape), buffer in zip(results.items(), outputs, strict=True)
            }

        with native_noise.filtered_stderr():  # the first call packs the weights and prints
            call({name: np.zeros(shape, np.int32) for name, shape in shapes.items()})
        return call


def _cpu_environment(litert: Any) -> Any:
    """An environment that loads no vendor plugins: it searches a folder without any."""
    nowhere = str(Path(litert.__file__).parent / "tools")
    return litert.Environment.create(compiler_plugin_path=nowhere, dispatch_library_path=nowhere)


def _drop(owned: dict[str, Any]) -> None:
    with native_noise.filtered_stderr():
        owned.clear()


def open_runtime(path: Path, threads: int, fixed_lengths: bool) -> Runtime:
    """Opens the faster runtime for a file.

    Args:
        path: The file.
        threads: Number of threads.
        fixed_lengths: Whether the signatures have fixed lengths.

    Raises:
        MissingExtraError: No runtime is installed.
        ModelError: The runtime can't load the file.
    """
    if fixed_lengths:
        try:
            from ai_edge_litert.compiled_model import CpuOptions  # noqa: F401
        except ImportError:
            return InterpreterRuntime(path, threads)
        return CompiledRuntime(path, threads)
    return InterpreterRuntime(path, threads)
