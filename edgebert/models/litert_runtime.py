"""Runs the signatures of a `.tflite` on this machine's CPU, inputs bound by name.

Two ways of the same runtime, one shape here: a signature with a fixed length goes through LiteRT's
`CompiledModel`, which lets all signatures of a file share one set of packed weights in memory; a
free length goes through the interpreter, which resizes faster. Where there is no `CompiledModel`
(old boards with `tflite-runtime`), the interpreter runs both.
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
"""XNNPACK's name for a weight cache that is no file (it needs Linux's memfd)."""


class Signature(Protocol):
    """A signature at one length."""

    def __call__(self, inputs: dict[str, np.ndarray], /) -> dict[str, np.ndarray]:
        """Takes int32 arrays `[1, length]` by input name, gives the outputs by name."""
        ...


class Runtime(Protocol):
    """A loaded file."""

    def signature(self, key: str) -> Signature:
        """The signature of that key, ready to be called."""
        ...


def load_interpreter(path: Path, threads: int) -> Any:
    """A TFLite interpreter from `ai-edge-litert`, or `tflite-runtime` on old boards.

    Raises:
        MissingExtraError: neither is installed.
        ModelError: the runtime does not take the file.
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
    """An interpreter that keeps the values of all tensors, for looking at them; it is slower.

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
        warnings.simplefilter("ignore", UserWarning)  # that it is for looking at tensors
        interpreter = Interpreter(
            model_content=body, num_threads=1, experimental_preserve_all_tensors=True
        )
        interpreter.allocate_tensors()
    return interpreter


def _refused(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{path} can't be loaded by the TFLite runtime: {error}. Next: it is likely cut short or "
        "no .tflite, or the runtime is older than its operators; export it again or upgrade."
    )


class InterpreterRuntime:
    """The interpreter's signature runners, which resize to the inputs they are given."""

    def __init__(self, path: Path, threads: int) -> None:
        self._interpreter = load_interpreter(path, threads)

    def signature(self, key: str) -> Signature:
        run = self._interpreter.get_signature_runner(key)

        def call(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: np.asarray(output) for name, output in run(**inputs).items()}

        return call


class CompiledRuntime:
    """LiteRT's `CompiledModel`, whose signatures share their packed weights in memory."""

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
        # The runtime says good-bye on stderr, so all that holds it is dropped where that is hidden.
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

        with native_noise.filtered_stderr():  # the first call packs the weights, and greets
            call({name: np.zeros(shape, np.int32) for name, shape in shapes.items()})
        return call


def _cpu_environment(litert: Any) -> Any:
    """An environment that looks for no vendor's compiler: its own folder holds none."""
    nowhere = str(Path(litert.__file__).parent / "tools")
    return litert.Environment.create(compiler_plugin_path=nowhere, dispatch_library_path=nowhere)


def _drop(owned: dict[str, Any]) -> None:
    with native_noise.filtered_stderr():
        owned.clear()


def open_runtime(path: Path, threads: int, fixed_lengths: bool) -> Runtime:
    """The faster of the two ways for this file.

    Raises:
        MissingExtraError: no runtime is installed.
        ModelError: the runtime does not take the file.
    """
    if fixed_lengths:
        try:
            from ai_edge_litert.compiled_model import CpuOptions  # noqa: F401
        except ImportError:
            return InterpreterRuntime(path, threads)
        return CompiledRuntime(path, threads)
    return InterpreterRuntime(path, threads)
