"""Runner requests that need LiteRT: operation profiling, and starts with a weight cache.

The runner loads them from this file (request `extend`), here and on boards. So the runner's rules
apply: Python 3.8, the standard library and numpy, no import of edgebert. ai-edge-litert 2.2 or
newer is required; other runtimes get an error response.

    {"op": "operations", CALL, ["warmup": 0, "runs": 1, "max_seconds"]}
                    calls, plain_ms, profiled_ms, operations: [{name, node, inner, us}]
    {"op": "cold_start", "model", "signature", CALL, ["threads": 1, "weight_cache": ""]}
                    load_ms, first_call_ms, arena: bytes or null, cache: bytes

CALL is that of the runner. "operations" needs a loaded file. `plain_ms` and `profiled_ms` are the
first quartiles of calls without and with the profiler. `us` is a mean of values clipped at the
third quartile, since other programs interrupt some calls. The runtime counts whole microseconds.
`inner` operations are those of XNNPACK, in the order of execution; their `node` is XNNPACK's
number, otherwise the graph's. `arena` is the heap memory of the first call; XNNPACK packs the
weights before it.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeAlias

    Message: TypeAlias = dict[str, Any]

PACKAGE = "ai_edge_litert"
OLDEST = (2, 2)

CPU_ACCELERATOR = 1
WRITE = 1
FIRST_DIMENSION = 2
"""Position of the dimensions in a tensor type of 32-bit words: element type, rank, dimensions."""
TENSOR_TYPE_WORDS = 64

GRAPH_OPERATION, INNER_OPERATION = 2, 8
EVENT = np.dtype(
    {
        "names": ["tag", "kind", "us", "node", "subgraph"],
        "formats": ["u8", "i4", "u8", "u8", "u8"],
        "offsets": [0, 8, 24, 80, 88],
        "itemsize": 104,
    }
)
"""Memory layout of an event of LiteRT's profiler in 64-bit builds of 2.2 and 2.3."""

MALLINFO_FIELDS, IN_USE, IN_USE_MAPPED = 10, 7, 4
"""glibc's `struct mallinfo2`: number of fields, and positions of two of them."""


def requests(runner: Any) -> dict[str, Callable[[Any, Message], Message]]:
    """The handlers by request name. Each takes the service and the request.

    Args:
        runner: The module of the runner.
    """

    def operations(service: Any, request: Message) -> Message:
        library = find_library(runner)
        inputs = service.inputs_of(request)
        call = ProfiledCall(library, service.path, request["signature"], service.threads, inputs)
        return time_operations(runner, call, request)

    def cold_start(service: Any, request: Message) -> Message:
        find_library(runner)
        return start(runner, request)

    return {"operations": operations, "cold_start": cold_start}


def find_library(runner: Any) -> str:
    """LiteRT's C library. Refuses runtimes without it, or with another layout of events."""
    library, version = None, "no ai-edge-litert"
    with suppress(ImportError):
        package = import_module(PACKAGE)
        version = str(package.__version__)
        library = next(Path(str(package.__file__)).parent.glob("libLiteRt.*"), None)
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    wide = ctypes.sizeof(ctypes.c_void_p) == EVENT["tag"].itemsize
    if library is None or parts < OLDEST or not wide:
        raise runner.RequestError(
            f"ai-edge-litert 2.2 or newer on 64 bits was expected. Received: {version}. "
            "Next: pip install --upgrade ai-edge-litert"
        )
    return str(library)


class ProfiledCall:
    """A call of one signature with the profiler of LiteRT's C library, which covers XNNPACK.

    Python's CompiledModel has no profiler. The created objects live until the program ends.
    """

    def __init__(
        self, library: str, path: str, key: str, threads: int, inputs: dict[str, Any]
    ) -> None:
        self._library = ctypes.CDLL(library)
        self._environment = self._make("CreateEnvironment", 0, None)
        file = self._make("CreateModelFromFile", self._environment, path.encode())
        options = self._make("CreateOptions")
        self._do("SetOptionsHardwareAccelerators", options, CPU_ACCELERATOR)
        self._options = [
            ctypes.create_string_buffer(b"enable_profiling = true"),
            ctypes.create_string_buffer(b"num_threads = %d" % threads),
        ]
        self._keep = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)
        for name, text in zip((b"runtime_options_string", b"xnnpack"), self._options):  # noqa: B905
            option = self._make("CreateOpaqueOptions", name, text, self._keep)
            self._do("AddOpaqueOptions", options, option)
        self._model = self._make("CreateCompiledModel", self._environment, file, options)
        self._profiler = self._make("CompiledModelGetProfiler", self._model)
        self._index, signature = self._find(file, key)
        names = [
            self._text("GetSignatureInputName", signature, place)
            for place in range(self._count("GetNumSignatureInputs", signature))
        ]
        values = [inputs[name] for name in names]
        outputs = [None] * self._count("GetNumSignatureOutputs", signature)
        self._buffers: list[Any] = []
        for side, tensors in (("Input", values), ("Output", outputs)):
            made = [self._buffer(side, signature, i, value) for i, value in enumerate(tensors)]
            pointers = (ctypes.c_void_p * len(made))(*made)
            self._buffers += [ctypes.c_size_t(len(made)), pointers]

    def run(self) -> None:
        """Calls the signature."""
        self._do("RunCompiledModel", self._model, self._index, *self._buffers)

    def start(self) -> None:
        """Deletes all events and starts collecting."""
        self._do("ResetProfiler", self._profiler)
        self._do("StartProfiler", self._profiler)

    def stop(self) -> Any:
        """Stops collecting and returns the events, an array of `EVENT`."""
        self._do("StopProfiler", self._profiler)
        count = self._count("GetNumProfilerEvents", self._profiler, kind=ctypes.c_int)
        events = np.zeros(count, EVENT)
        self._do("GetProfilerEvents", self._profiler, count, ctypes.c_void_p(events.ctypes.data))
        return events

    def _do(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, "LiteRt" + name)(*arguments)
        if status:
            raise OSError(f"LiteRt{name} gave status {status}")

    def _make(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        self._do(name, *arguments, ctypes.byref(made))
        return made

    def _count(self, name: str, *arguments: Any, kind: Any = ctypes.c_size_t) -> int:
        count = kind()
        self._do(name, *arguments, ctypes.byref(count))
        return int(count.value)

    def _text(self, name: str, owner: ctypes.c_void_p, *place: int) -> str:
        text = ctypes.c_char_p()
        self._do(name, owner, *map(ctypes.c_size_t, place), ctypes.byref(text))
        return (text.value or b"").decode()

    def _find(self, file: ctypes.c_void_p, key: str) -> tuple[ctypes.c_size_t, ctypes.c_void_p]:
        """Index and handle of a signature. An empty key selects the only one."""
        for number in range(self._count("GetNumModelSignatures", file)):
            index = ctypes.c_size_t(number)
            signature = self._make("GetModelSignature", file, index)
            if not key or self._text("GetSignatureKey", signature) == key:
                return index, signature
        raise LookupError(f"LiteRT's C library sees no signature {key!r}")

    def _buffer(self, side: str, signature: Any, place: int, value: Any) -> int | None:
        """Allocates a tensor buffer and writes the value of an input, which may be resized."""
        number = ctypes.c_size_t(place)
        tensor = self._make(f"GetSignature{side}TensorByIndex", signature, number)
        kind = (ctypes.c_int32 * TENSOR_TYPE_WORDS)()
        self._do("GetRankedTensorType", tensor, kind)
        if value is not None:
            stop = FIRST_DIMENSION + value.ndim
            if list(kind[FIRST_DIMENSION:stop]) != list(value.shape):
                shape = (ctypes.c_int * value.ndim)(*value.shape)
                dimensions = (shape, ctypes.c_size_t(value.ndim))
                self._do(
                    "CompiledModelResizeInputTensor", self._model, self._index, number, *dimensions
                )
                kind[FIRST_DIMENSION:stop] = list(value.shape)
        which = (self._model, self._index, number)
        needed = self._make(f"GetCompiledModel{side}BufferRequirements", *which)
        made = self._make(
            "CreateManagedTensorBufferFromRequirements", self._environment, kind, needed
        )
        if value is not None:
            memory = ctypes.c_void_p()
            self._do("LockTensorBuffer", made, ctypes.byref(memory), WRITE)
            ctypes.memmove(memory, value.ctypes.data, value.nbytes)
            self._do("UnlockTensorBuffer", made)
        return made.value


def time_operations(runner: Any, call: ProfiledCall, request: Message) -> Message:
    """Times calls alternately without and with the profiler, up to `runs` or `max_seconds`."""
    longest = float(request.get("max_seconds") or "inf") * 1e3
    for _ in range(1 + int(request.get("warmup", 0))):
        call.run()
    plain: list[float] = []
    profiled: list[float] = []
    collected: list[Any] = []
    while len(plain) < int(request.get("runs", 1)) and sum(plain) + sum(profiled) < longest:
        plain.append(runner.time_once(call.run)[0])
        call.start()
        profiled.append(runner.time_once(call.run)[0])
        collected.append(call.stop())
    rows = [operations_of(events) for events in collected]
    if any(not np.array_equal(row["tag"], rows[0]["tag"]) for row in rows):
        raise runner.RequestError("The same operations were expected in every call of the graph")
    times = np.array([row["us"] for row in rows], np.float64)
    means = np.minimum(times, np.percentile(times, 75, axis=0)).mean(axis=0)
    return {
        "calls": len(plain),
        "plain_ms": float(np.percentile(plain, 25)),
        "profiled_ms": float(np.percentile(profiled, 25)),
        "operations": [
            {
                "name": ctypes.string_at(int(row["tag"])).decode(),
                "node": int(row["node"]),
                "inner": int(row["kind"]) == INNER_OPERATION,
                "us": float(us),
            }
            for row, us in zip(rows[0], means)  # noqa: B905
        ],
    }


def operations_of(events: Any) -> Any:
    """The events of the signature's own graph. A loop or a branch counts as one operation."""
    found = events[np.isin(events["kind"], (GRAPH_OPERATION, INNER_OPERATION))]
    return found[found["subgraph"] == found["subgraph"][:1]]


def start(runner: Any, request: Message) -> Message:
    """Loads a file with LiteRT's CompiledModel, and makes the first call of a signature."""
    litert = import_module(PACKAGE + ".compiled_model")
    path, cache = str(request["model"]), str(request.get("weight_cache") or "")
    options = litert.Options(
        hardware_accelerators=litert.HardwareAccelerator.CPU,
        cpu_options=litert.CpuOptions(
            num_threads=int(request.get("threads", 1)), xnnpack_weight_cache_path=cache
        ),
    )
    nowhere = str(Path(str(litert.__file__)).parent / "tools")  # holds no vendor's compiler
    environment = litert.Environment.create(
        compiler_plugin_path=nowhere, dispatch_library_path=nowhere
    )
    load = partial(litert.CompiledModel.from_file, path, environment=environment, options=options)
    load_ms, model = runner.time_once(load)
    index = model.get_signature_index(request["signature"]) if request["signature"] else 0
    key = list(model.get_signature_list())[index]
    inputs = runner.make_inputs(Signature(model, key, request.get("length")), request)
    before = heap_bytes()
    for name, detail in model.get_input_tensor_details(key).items():
        if list(detail["shape"]) != list(inputs[name].shape):
            model.resize_input_tensor_by_name(key, name, list(inputs[name].shape))
    buffers = model.create_input_buffers(index), model.create_output_buffers(index)
    values = [inputs[name] for name in model.get_signature_by_index(index)["inputs"]]
    first_call_ms, _ = runner.time_once(partial(call_once, model, index, buffers, values))
    after = heap_bytes()
    return {
        "load_ms": load_ms,
        "first_call_ms": first_call_ms,
        "arena": None if before is None or after is None else after - before,
        "cache": os.stat(cache).st_size if cache else 0,
    }


def call_once(model: Any, index: int, buffers: Any, values: Sequence[Any]) -> None:
    """Writes the inputs and runs a signature."""
    for buffer, value in zip(buffers[0], values):  # noqa: B905
        buffer.write(value)
    model.run_by_index(index, *buffers)


class Signature:
    """Input details for the runner. CompiledModel reports a dynamic length as 1."""

    def __init__(self, model: Any, key: str, length: int | None) -> None:
        self._details = model.get_input_tensor_details(key)
        for name, detail in self._details.items():
            shape, kind = list(detail["shape"]), np.dtype(detail["dtype"]).kind
            if length is not None and kind in "iu" and len(shape) in (1, 2):
                self._details[name] = dict(detail, shape=[*shape[:-1], length])

    def get_input_details(self) -> dict[str, Any]:
        """The details in the format of the interpreter's signatures."""
        return dict(self._details)


def heap_bytes() -> int | None:
    """The heap memory in use by this process. None if the C library is older than glibc 2.33."""
    layout = {"_fields_": [("numbers", ctypes.c_size_t * MALLINFO_FIELDS)]}
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):
        return None
    mallinfo2.restype = type("MallInfo2", (ctypes.Structure,), layout)
    numbers = mallinfo2().numbers
    return int(numbers[IN_USE] + numbers[IN_USE_MAPPED])
