"""The one-file benchmark program. It runs here, and as a copy of this file on a board.

It needs Python 3.8, numpy and a TFLite runtime (`ai-edge-litert`, else `tflite-runtime`), and must
not import edgebert. It measures and reports only. The client decides the number of calls, the
lengths and the end of the measurement.

    python runner.py                 one JSON request a line on stdin, one JSON response a line
    python runner.py request.json    {"requests": [...]} -> {"responses": [...]}, printed once
    python runner.py --cpu-mask f0   the same, on cores 4 to 7 only (a mask as taskset takes it)

Requests (fields in brackets may be left out; times in ms unless named seconds, sizes in bytes):

    {"op": "hello"}                            device, environment, runtime
    {"op": "load", "model", ["threads": 1]}    load_ms, rss_before, rss_after, signatures
    {"op": "first_call", CALL}                 first_call_ms
    {"op": "run", CALL, ["warmup": 0, "runs": 1, "min_seconds": 0, "max_seconds", "summary": false]}
                                               latencies_ms, wall_ms, cpu_ms, energy_mj
    {"op": "predict", "inputs": [{name: values}, ...], ["signature"]}    outputs, one dict each
    {"op": "memory"}                           rss, peak_rss
    {"op": "scratch"}                          path of an empty file, removed with this process
    {"op": "extend", "program"}                adds the requests of a Python file
    {"op": "exit"}

A "summary" has calls, p50_ms, p90_ms, temperature_c and frequency_mhz instead of the latencies.
CALL is ["signature", "length", "seed": 0, "inputs": {name: values}]. The signature is optional if
the file has at most one. The length applies to dynamic shapes. Missing inputs are generated:
integers in [0, 100), ones for masks, zeros for segments and floats. The response to a failed
request is {"error", "kind"}, and the program continues.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import numpy as np

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO, Any, TypeAlias

    Message: TypeAlias = dict[str, Any]

FREE = -1
TOKEN_ID_LIMIT = 100
RUNTIMES = ("ai_edge_litert", "tflite_runtime")
CPU_FEATURES = (
    # features that decide which int8, float16 and float kernels run
    *("sse4_1", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8"),
    *("neon", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme"),
)
HOTTEST_MILLIDEGREES = 200_000  # larger sensor values are no temperatures


class RequestError(Exception):
    """An invalid request. The message has the received value and the next step."""


def read_text(path: str) -> str:
    """The text of a small system file. Empty if there is none."""
    with suppress(OSError):
        return Path(path).read_text(encoding="utf-8", errors="replace").replace("\0", "").strip()
    return ""


def read_number(path: str) -> int | None:
    """The integer in a small system file. None if there is none."""
    with suppress(ValueError):
        return int(read_text(path))
    return None


def status_bytes(field: str) -> int | None:
    """A field of /proc/self/status in bytes. None if the system has none."""
    lines = read_text("/proc/self/status").splitlines()
    found = [line.split()[1] for line in lines if line.startswith(field + ":")]
    return int(found[0]) * 1024 if found else None


def peak_rss() -> int | None:
    """Peak resident memory of this process in bytes. None if the system does not report it.

    VmHWM is preferred: on Linux the `ru_maxrss` of a child starts at the size of its parent.
    """
    peak = status_bytes("VmHWM")
    if peak is None:
        with suppress(ImportError):
            from resource import RUSAGE_SELF, getrusage

            unit = 1 if sys.platform == "darwin" else 1024
            peak = int(getrusage(RUSAGE_SELF).ru_maxrss) * unit
    return peak


def restart_peak() -> int | None:
    """The current resident memory. Resets VmHWM to it if the kernel allows that."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return status_bytes("VmRSS")


def allowed_cores() -> list[int]:
    """Numbers of the cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return sorted(affinity(0)) if affinity else list(range(os.cpu_count() or 1))


def pin(mask: str) -> None:
    """Pins this process and its threads to the cores of a hexadecimal mask."""
    bits = int(mask, 16)
    wanted = [core for core in range(bits.bit_length()) if bits >> core & 1]
    before = allowed_cores()
    with suppress(OSError):
        os.sched_setaffinity(0, wanted)
    if allowed_cores() != wanted:
        sys.exit(f"--cpu-mask {mask}: cores {wanted} were expected. Received: only {before}.")


def sensors(root: str = "/sys") -> Message:
    """Degrees Celsius of the hottest thermal zone and MHz of the fastest core; None if unknown."""
    zones = [read_number(str(path)) for path in Path(root).glob("class/thermal/*/temp")]
    heat = [zone for zone in zones if zone is not None and 0 < zone < HOTTEST_MILLIDEGREES]
    path = root + "/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"
    speeds = [read_number(path.format(core)) or 0 for core in allowed_cores()]
    return {
        "temperature_c": max(heat) / 1000 if heat else None,
        "frequency_mhz": max(speeds) / 1000 if any(speeds) else None,
    }


def energy_counters(root: str = "/sys/class/powercap") -> dict[str, int | None]:
    """Energy counters in microjoules by processor package (RAPL); None if reading is denied."""
    zones = sorted(str(zone) for zone in Path(root).glob("intel-rapl:*"))
    packages = [zone for zone in zones if read_text(zone + "/name").startswith("package")]
    return {zone: read_number(zone + "/energy_uj") for zone in packages}


def energy_between(before: dict[str, int | None], after: dict[str, int | None]) -> float | None:
    """Energy of all packages in millijoules. None if unknown. A counter may wrap around once."""
    total = 0
    for zone, start in before.items():
        stop = after.get(zone)
        if start is None or stop is None:
            return None
        wrapped = (read_number(zone + "/max_energy_range_uj") or 0) if stop < start else 0
        total += stop - start + wrapped
    return total / 1000 if before else None


def device() -> dict[str, Any]:
    """Facts about this machine that affect the latency."""
    cpu_info: dict[str, str] = {}
    for line in read_text("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        cpu_info.setdefault(key.strip().lower(), value.strip())
    name = read_text("/proc/device-tree/model") or cpu_info.get("hardware", "")
    flags = (cpu_info.get("flags") or cpu_info.get("features") or "").split()
    return {
        "name": name,
        "cpu": cpu_info.get("model name") or name or platform.processor() or platform.machine(),
        "cores": len(allowed_cores()),
        "architecture": platform.machine(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "cpu_features": [feature for feature in CPU_FEATURES if feature in flags],
    }


def find_runtime() -> dict[str, Any]:
    """The first installed TFLite runtime: its name, version and Interpreter class."""
    problems = []
    for package in RUNTIMES:
        name = package.replace("_", "-")
        try:
            interpreter = import_module(f"{package}.interpreter").Interpreter
            version = getattr(import_module(package), "__version__", "unknown")
            return {"name": name, "version": version, "interpreter": interpreter}
        except ImportError as error:
            problems.append(str(error))
    raise RequestError(
        f"A TFLite runtime was expected. Received: {'; '.join(problems)}. "
        "Next: pip install ai-edge-litert"
    )


class Subgraph0:
    """A file without signatures, with the interface of a signature runner and tensor names."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self._inputs = by_name(interpreter.get_input_details())
        self._outputs = by_name(interpreter.get_output_details())
        self._shapes: dict[str, Any] = {}
        self.get_input_details = self._inputs.copy
        self.get_output_details = self._outputs.copy

    def __call__(self, **values: Any) -> dict[str, Any]:
        """Outputs by tensor name, as a signature runner returns them."""
        shapes = {name: value.shape for name, value in values.items()}
        if shapes != self._shapes:
            for name, shape in shapes.items():
                self._interpreter.resize_tensor_input(self._inputs[name]["index"], shape)
            self._interpreter.allocate_tensors()
            self._shapes = shapes
        for name, value in values.items():
            self._interpreter.set_tensor(self._inputs[name]["index"], value)
        self._interpreter.invoke()
        get = self._interpreter.get_tensor
        return {name: get(detail["index"]) for name, detail in self._outputs.items()}


def by_name(details: Sequence[Any]) -> dict[str, Any]:
    """Tensor details by tensor name. The index is appended to a repeated name."""
    named: dict[str, Any] = {}
    for detail in details:
        twice = detail["name"] in named
        named[f"{detail['name']}#{detail['index']}" if twice else detail["name"]] = detail
    return named


def free_shape(detail: Any) -> list[int]:
    """A tensor's shape with -1 for dynamic sizes."""
    shape, signature = detail["shape"], detail.get("shape_signature", ())
    return [int(size) for size in (signature if len(signature) == len(shape) else shape)]


def describe(runner: Any) -> Message:
    """Inputs, outputs and token length of a signature. None for a dynamic or unknown length."""
    details = runner.get_input_details()
    inputs = [(name, free_shape(d), np.dtype(d["dtype"])) for name, d in details.items()]
    lengths = [shape[-1] for _, shape, d in inputs if d.kind in "iu" and len(shape) in (1, 2)]
    return {
        "inputs": [{"name": n, "shape": shape, "dtype": d.name} for n, shape, d in inputs],
        "outputs": sorted(runner.get_output_details()),
        "length": max(lengths) if lengths and FREE not in lengths else None,
        "dynamic": FREE in lengths,
    }


def made_up(name: str, shape: list[int], dtype: Any, length: int | None, rng: Any) -> Any:
    """Generates a missing input. A dynamic first axis of several is the batch axis: size 1."""
    sizes = [1 if size == FREE and i == 0 and shape[1:] else size for i, size in enumerate(shape)]
    if FREE in sizes:
        if length is None:
            raise RequestError(f"'{name}' of shape {shape} needs a length. Next: give 'length'")
        sizes = [length if size == FREE else size for size in sizes]
    if "mask" in name.lower() or dtype.kind == "b":
        return np.ones(sizes, dtype)
    if dtype.kind not in "iu" or "segment" in name.lower() or "type" in name.lower():
        return np.zeros(sizes, dtype)
    return rng.integers(0, TOKEN_ID_LIMIT, sizes).astype(dtype)


def given(name: str, shape: list[int], dtype: Any, values: Any) -> Any:
    """An input of the request. A flat list of ids is accepted as a batch of one."""
    array = np.asarray(values)
    array = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    matches = [want in (FREE, got) for want, got in zip(shape, array.shape)]  # noqa: B905
    if array.ndim != len(shape) or not all(matches):
        raise RequestError(f"'{name}' has the shape {shape}. Received: {np.shape(values)}")
    return np.ascontiguousarray(array, dtype)


def make_inputs(runner: Any, request: Message) -> dict[str, Any]:
    """Values for all inputs of a signature by name: those of the request, the others generated."""
    details, values = runner.get_input_details(), request.get("inputs") or {}
    unknown = sorted(set(values) - set(details))
    if unknown:
        raise RequestError(f"Inputs are bound by name: {sorted(details)}. Received: {unknown}")
    length, rng = request.get("length"), np.random.default_rng(int(request.get("seed", 0)))
    inputs = {}
    for name, detail in details.items():
        tensor = (name, free_shape(detail), np.dtype(detail["dtype"]))
        known = name in values
        inputs[name] = given(*tensor, values[name]) if known else made_up(*tensor, length, rng)
    return inputs


def time_calls(calls: Sequence[Callable[[], Any]], request: Message) -> Message:
    """Times each call of the list; the whole list runs `runs` times.

    Continues after `runs` until `min_seconds` have passed, and stops early after `max_seconds`,
    always at the end of the list, so that every call has the same weight. Warm-up calls go through
    the list one by one and take at most `max_seconds`, too. The garbage collector is disabled.
    """
    now = time.perf_counter_ns
    runs, warmup = int(request.get("runs", 1)), int(request.get("warmup", 0))
    shortest = float(request.get("min_seconds") or 0) * 1e9
    longest = float(request.get("max_seconds") or "inf") * 1e9
    latencies: list[int] = []
    record, collecting = latencies.append, gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        begin = now()
        for index in range(warmup):
            calls[index % len(calls)]()
            if now() - begin > longest:
                break
        energy = energy_counters()
        rounds, cpu_begin = 0, time.process_time_ns()
        begin = stop = now()
        while not rounds or (stop - begin < longest and (rounds < runs or stop - begin < shortest)):
            for call in calls:
                start = now()
                call()
                stop = now()
                record(stop - start)
            rounds += 1
        wall, cpu = stop - begin, time.process_time_ns() - cpu_begin
        spent = energy_between(energy, energy_counters())
    finally:
        if collecting:
            gc.enable()
    totals = {"wall_ms": wall / 1e6, "cpu_ms": cpu / 1e6, "energy_mj": spent}
    if request.get("summary"):
        p50, p90 = (float(value) for value in np.percentile(latencies, [50, 90]) / 1e6)
        counts = {"calls": len(latencies), "p50_ms": p50, "p90_ms": p90}
        return dict(totals, **counts, **sensors())
    return dict(totals, latencies_ms=[latency / 1e6 for latency in latencies])


def time_once(call: Callable[[], Any]) -> tuple[float, Any]:
    """Wall time of a call in ms, and its result."""
    start = time.perf_counter_ns()
    result = call()
    return (time.perf_counter_ns() - start) / 1e6, result


class Service:
    """Base of all benchmark programs: machine facts, memory, and the request loop."""

    def __init__(self) -> None:
        self._added: dict[str, Callable[[Message], Message]] = {}
        self._scratch: Any = None

    def answer(self, request: Message) -> Message:
        """The response to one request. The response to a failure has `error` and `kind`."""
        try:
            own = {name[4:]: getattr(self, name) for name in dir(self) if name.startswith("_op_")}
            known = dict(own, **self._added)
            method = known.get(str(request.get("op")))
            if method is None:
                raise RequestError(
                    f"'op' is one of {sorted(known)}. Received: {request.get('op')!r}"
                )
            return dict(method(request))
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            reason = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
            return {"error": reason, "kind": type(error).__name__}

    def _op_hello(self, request: Message) -> Message:
        runtime = {key: find_runtime()[key] for key in ("name", "version")}
        frequencies = "/sys/devices/system/cpu/cpu{}/cpufreq/"
        cores, counters = allowed_cores(), energy_counters()
        speeds = {
            core: read_number(frequencies.format(core) + "cpuinfo_max_freq") for core in cores
        }
        governor = read_text(frequencies.format(cores[0]) + "scaling_governor")
        environment = {
            "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            "governor": governor or None,
            "core_mhz": {core: khz / 1000 for core, khz in speeds.items() if khz},
            "energy_denied": None in counters.values(),
        }
        return {"device": device(), "environment": environment, "runtime": runtime}

    def _op_memory(self, request: Message) -> Message:
        return {"rss": status_bytes("VmRSS"), "peak_rss": peak_rss()}

    def _op_scratch(self, request: Message) -> Message:
        self._scratch = tempfile.TemporaryFile()  # noqa: SIM115  (no name: nothing to clean up)
        path = f"/proc/{os.getpid()}/fd/{self._scratch.fileno()}"
        if not os.path.exists(path):
            raise RequestError("A scratch file needs Linux's /proc. Received: a system without")
        return {"path": path}

    def _op_extend(self, request: Message) -> Message:
        loader = SourceFileLoader("runner_extension", str(request["program"]))
        module = module_from_spec(spec_from_loader(loader.name, loader))  # type: ignore[arg-type]
        sys.dont_write_bytecode = True  # leaves no folder next to the file
        loader.exec_module(module)
        added = module.requests(sys.modules[__name__])
        self._added.update({name: partial(method, self) for name, method in added.items()})
        return {"requests": sorted(self._added)}

    def _op_exit(self, request: Message) -> Message:
        return {"ended": True}

    def serve(self, requests: IO[str], responses: IO[str]) -> None:
        """Responds to each JSON line with a JSON line until `exit` or the end of the requests."""
        for line in requests:
            try:
                request = dict(json.loads(line))
                response = self.answer(request)
            except (ValueError, TypeError) as error:
                request, response = {}, {"error": f"No request: {error}", "kind": "RequestError"}
            responses.write(json.dumps(response) + "\n")
            responses.flush()
            if request.get("op") == "exit":
                return


class ModelService(Service):
    """Serves requests for one `.tflite` file at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._interpreter: Any = None
        self._runners: dict[str, Any] = {}

    def _op_load(self, request: Message) -> Message:
        interpreter, path = find_runtime()["interpreter"], str(request["model"])
        threads = int(request.get("threads", 1))
        if not Path(path).is_file():
            raise RequestError(f"A .tflite file was expected. Received: no file at {path}")
        self._runners, self._interpreter = {}, None
        self.path, self.threads = path, threads
        before = restart_peak()
        make = partial(interpreter, model_path=path, num_threads=threads)
        load_ms, self._interpreter = time_once(make)
        memory = {"rss_before": before, "rss_after": status_bytes("VmRSS")}
        signatures = {key: describe(self._runner(key)) for key in self._signature_keys()}
        return {"load_ms": load_ms, **memory, "signatures": signatures}

    def _op_first_call(self, request: Message) -> Message:
        return {"first_call_ms": time_once(self._call(request))[0]}

    def _op_run(self, request: Message) -> Message:
        return time_calls([self._call(request)], request)

    def _op_predict(self, request: Message) -> Message:
        runner = self._runner(request.get("signature"))
        outputs = []
        for values in request["inputs"]:
            missing = sorted(set(runner.get_input_details()) - set(values))
            if missing:
                raise RequestError(f"All inputs are needed. Received: none for {missing}")
            result = runner(**make_inputs(runner, {"inputs": values}))
            outputs.append({name: value.tolist() for name, value in result.items()})
        return {"outputs": outputs}

    def _signature_keys(self) -> list[str]:
        """The file's signatures; "" for a file without signatures."""
        if self._interpreter is None:
            raise RequestError("A loaded model was expected. Received: none. Next: send 'load'")
        return sorted(self._interpreter.get_signature_list()) or [""]

    def inputs_of(self, request: Message) -> dict[str, Any]:
        """The values of a CALL's inputs, by name."""
        return make_inputs(self._runner(request.get("signature")), request)

    def _call(self, request: Message) -> Callable[[], Any]:
        return partial(self._runner(request.get("signature")), **self.inputs_of(request))

    def _runner(self, key: str | None) -> Any:
        known = self._signature_keys()
        if key is None and len(known) == 1:
            key = known[0]
        if key is None or key not in known:
            raise RequestError(f"The signature is one of {known}. Received: {key!r}")
        if key not in self._runners:
            make = self._interpreter.get_signature_runner
            self._runners[key] = make(key) if key else Subgraph0(self._interpreter)
        return self._runners[key]


def main(arguments: Sequence[str], service: Service) -> int:
    """Runs the program. The exit code is 1 if a request in a file failed."""
    if arguments[:1] == ["--cpu-mask"]:
        pin(arguments[1])
        arguments = arguments[2:]
    responses = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # other output to stdout goes to stderr
    if not arguments:
        service.serve(sys.stdin, responses)
        return 0
    answer: Message = {"responses": []}
    try:
        for request in json.loads(Path(arguments[0]).read_text(encoding="utf-8"))["requests"]:
            answer["responses"].append(service.answer(request))
            if "error" in answer["responses"][-1]:
                answer["error"] = answer["responses"][-1]["error"]
                break
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        answer["error"] = f'{{"requests": [...]}} was expected in {arguments[0]}: {error!r}'
    responses.write(json.dumps(answer) + "\n")
    responses.flush()
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], ModelService()))
