"""The flags of `benchmark_model`, and the statistics of several starts.

The tools of TensorFlow and of LiteRT have different flags, and only warn about unknown ones. So
both get all flags, and the report shows afterwards which ones a tool did not know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebert.errors import EdgebertError, ModelError
from edgebert.profiling import runner
from edgebert.profiling.adb.output import ToolReport
from edgebert.profiling.interleaving import unstable_warning
from edgebert.profiling.measurement import (
    FEWEST_BLOCKS,
    Latency,
    median_interval,
)
from edgebert.settings import ProfileSettings

ROUNDS = FEWEST_BLOCKS
"""Starts of the tool for each configuration: the minimum for a confidence interval."""

PEAK_MEMORY = {"report_peak_memory_footprint": "true"}
OPERATIONS = {"enable_op_profiling": "true", "use_profiler": "true"}
"""The flags of TensorFlow's and of LiteRT's tool."""
WEIGHT_CACHE = "xnnpack_weight_cache_file_path"
NO_FLAGS: Mapping[str, str] = {}


@dataclass(frozen=True)
class GraphInput:
    """An input of a signature, in the order of the graph. -1 in the shape is a dynamic size."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def sizes(self, length: int | None) -> list[int]:
        """The shape for a length, as in the runner: a dynamic first axis of several is 1."""
        batch_is_free = len(self.shape) > 1 and self.shape[0] == runner.FREE
        sizes = [1, *self.shape[1:]] if batch_is_free else list(self.shape)
        return [(length or 1) if size == runner.FREE else size for size in sizes]

    @property
    def value_range(self) -> str:
        """`name,low,high` for integers: the ids that the runner generates, and ones for masks."""
        name = self.name.lower()
        if "mask" in name:
            return f"{self.name},1,1"
        if "segment" in name or "type" in name:
            return f"{self.name},0,0"
        return f"{self.name},0,{runner.TOKEN_ID_LIMIT - 1}"


@dataclass(frozen=True)
class Limits:
    """Limits of one start of the tool. `seconds` limits the warm-up and the timed calls each.

    Attributes:
        warmup_runs: Minimum number of warm-up calls, including the first call.
        warmup_seconds: Minimum duration of the warm-up.
        runs: Minimum number of timed calls.
        min_seconds: Minimum duration of the timed calls.
        seconds: No call begins after this time.
    """

    warmup_runs: int
    warmup_seconds: float
    runs: int
    min_seconds: float
    seconds: float

    @classmethod
    def of_round(cls, settings: ProfileSettings) -> Limits:
        """Limits of one of the measured starts."""
        share = settings.max_seconds / ROUNDS
        runs = math.ceil(settings.min_runs / ROUNDS)
        return cls(max(settings.warmup_runs, 1), share / 4, runs, share / 2, share)

    @classmethod
    def of_stretch(cls, seconds: float) -> Limits:
        """Limits of one stretch of a sustained run."""
        return cls(1, 0.0, 1, seconds, seconds)

    @classmethod
    def of_start(cls) -> Limits:
        """Limits of a start with a single call."""
        return cls(1, 0.0, 1, 0.0, 60.0)


@dataclass(frozen=True)
class ToolRun:
    """The configuration of one run of the tool.

    Attributes:
        graph: Path of the file on the phone.
        signature: Key of the signature. None for a file without signatures.
        first: Whether the signature is the first of the file, which old tools always run.
        inputs: Inputs of the signature.
        length: Length in tokens. None if the inputs have none.
        threads: Thread count of the runtime.
        delegate: cpu, gpu or nnapi.
    """

    graph: str
    signature: str | None
    first: bool
    inputs: tuple[GraphInput, ...]
    length: int | None
    threads: int
    delegate: str

    def flags(self, limits: Limits, further: Mapping[str, str] = NO_FLAGS) -> list[str]:
        """The tool's arguments. `further` contains additional flags and their values."""
        flags: dict[str, str | int | float] = {
            "graph": self.graph,
            "num_threads": self.threads,
            "warmup_runs": limits.warmup_runs,
            "warmup_min_secs": limits.warmup_seconds,
            "num_runs": limits.runs,
            "min_secs": limits.min_seconds,
            "max_secs": limits.seconds,
            "use_xnnpack" if self.delegate == "cpu" else f"use_{self.delegate}": "true",
        }
        if self.signature is not None:
            flags["signature_to_run_for"] = self.signature
        if self.inputs and all(_is_plain(each.name) for each in self.inputs):
            flags["input_layer"] = ",".join(each.name for each in self.inputs)
            flags["input_layer_shape"] = ":".join(
                ",".join(map(str, each.sizes(self.length))) for each in self.inputs
            )
            whole = [each.value_range for each in self.inputs if each.dtype.startswith("int")]
            if whole:
                flags["input_layer_value_range"] = ":".join(whole)
        return [
            f"--{name}={value:.3f}" if isinstance(value, float) else f"--{name}={value}"
            for name, value in (flags | dict(further)).items()
        ]

    def refuse_unconsumed(self, unconsumed: Sequence[str]) -> None:
        """Checks that the tool knows the flags that decide what it runs.

        Raises:
            EdgebertError: It does not, so its figures belong to another configuration.
        """
        if self.delegate != "cpu" and f"use_{self.delegate}" in unconsumed:
            other = "cpu" if self.delegate == "gpu" else "gpu"
            raise EdgebertError(
                f"This benchmark_model has no --use_{self.delegate}, so it ran on the CPU. Next: "
                f"give --delegate {other}, or a tool that has it with --benchmark-binary (LiteRT's "
                "has gpu, TensorFlow's has both)."
            )
        if "signature_to_run_for" in unconsumed and not self.first:
            raise EdgebertError(
                f"This benchmark_model is too old to run {self.signature}: it runs only the first "
                "signature of a file. Next: give --fetch-benchmark-binary, or a newer tool with "
                "--benchmark-binary."
            )


def _is_plain(name: str) -> bool:
    """Whether a name can be part of the tool's lists, which are split at `,` and `:`."""
    return bool(name) and not set(name) & set(",: \t")


class _Graph:
    """A signature read from the file, with the interface that the runner's `describe` expects."""

    def __init__(self, inputs: Sequence[GraphInput], outputs: Sequence[str]) -> None:
        self.inputs = tuple(inputs)
        self._outputs = dict.fromkeys(outputs)

    def get_input_details(self) -> dict[str, dict[str, Any]]:
        return {
            each.name: {"shape": each.shape, "shape_signature": each.shape, "dtype": each.dtype}
            for each in self.inputs
        }

    def get_output_details(self) -> dict[str, None]:
        return self._outputs


def read_graphs(path: Path) -> dict[str, _Graph]:
    """A file's signatures by key, with their inputs in the order of the graph.

    A file without signatures has one graph with the key "".

    Raises:
        ModelError: The file is no `.tflite` file, or is truncated.
    """
    from ai_edge_litert import schema_py_generated as schema

    from converters.errors import ConversionError
    from converters.tflite.tflite_file import read_model

    data = path.read_bytes()
    try:
        model_info = read_model(data)
    except ConversionError as error:
        raise ModelError(f"{path}: {error}") from error
    model = schema.Model.GetRootAs(data, 0)
    names: list[tuple[str, int, dict[int, str], list[str]]] = []
    for place in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(place)
        entries = [signature.Inputs(i) for i in range(signature.InputsLength())]
        outputs = [signature.Outputs(i).Name().decode() for i in range(signature.OutputsLength())]
        by_tensor = {entry.TensorIndex(): entry.Name().decode() for entry in entries}
        names.append(
            (signature.SignatureKey().decode(), signature.SubgraphIndex(), by_tensor, outputs)
        )
    graphs = {}
    for key, subgraph, by_tensor, outputs in names or [("", 0, {}, [])]:
        tensors = model_info.subgraphs[subgraph].tensors
        order = [int(i) for i in model.Subgraphs(subgraph).InputsAsNumpy()]
        inputs = [
            GraphInput(
                by_tensor.get(i, tensors[i].name), tensors[i].shape, _dtype(tensors[i].dtype)
            )
            for i in order
        ]
        graphs[key] = _Graph(inputs, outputs)
    return graphs


def _dtype(tensor_type: str) -> str:
    """Numpy's name of a tensor type; "object" for types without one, such as strings."""
    try:
        return np.dtype(tensor_type.lower()).name
    except TypeError:
        return "object"


def describe_graphs(graphs: Mapping[str, _Graph]) -> dict[str, dict[str, Any]]:
    """The description of signatures in the format of the runner's `load`."""
    return {key: runner.describe(graph) for key, graph in graphs.items()}


def sum_up(reports: Sequence[ToolReport]) -> Latency:
    """The latency statistics of several starts of the tool.

    The tool reports a summary of each start and no single calls, so p90, p99 and the spread of the
    calls are unknown. The median is the median of the starts' medians, or of their means if the
    tool prints no medians.
    """
    calls = [report.steady for report in reports]
    medians = np.array([c.mean_ms if c.median_ms is None else c.median_ms for c in calls])
    runs = sum(c.count for c in calls)
    low, high = min(c.min_ms for c in calls), max(c.max_ms for c in calls)
    if len(calls) > 1:
        median_low, median_high = median_interval(medians)
    else:
        median_low, median_high = low, high
    p50 = float(np.median(medians))
    p25, p75 = np.percentile(medians, [25, 75])
    return Latency(
        runs=runs,
        p50_ms=p50,
        p90_ms=None,
        p99_ms=None,
        mean_ms=sum(c.count * c.mean_ms for c in calls) / runs,
        min_ms=low,
        max_ms=high,
        spread=None,
        block_spread=float(p75 - p25) / p50 if p50 else 0.0,
        median_low_ms=median_low,
        median_high_ms=median_high,
        block_medians_ms=tuple(medians.tolist()),
    )


def latency_notes(
    reports: Sequence[ToolReport], settings: ProfileSettings, each_call: str = "--app"
) -> list[str]:
    """Notes on the percentiles of the latency, and reasons to doubt it, each with the next step.

    Args:
        reports: Reports of the starts.
        settings: The requested number of calls.
        each_call: Name of the alternative that times each call.
    """
    latency, calls = sum_up(reports), [report.steady for report in reports]
    known = all(c.median_ms is not None for c in calls)
    p95 = [c.p95_ms for c in calls if c.p95_ms is not None]
    tail = f" Its p95 was {min(p95):.3g} to {max(p95):.3g} ms." if p95 else ""
    what = "median" if known else "mean"
    middle = f"the median of {len(calls)} starts' {what}s" if len(calls) > 1 else f"its {what}"
    notes = [
        f"benchmark_model reports no single calls: p50 is {middle}, p90 and p99 are unknown.{tail} "
        f"Next: {each_call} times each call."
    ]
    if latency.runs < settings.min_runs:
        notes.append(
            f"Only {latency.runs} of {settings.min_runs} calls fitted into "
            f"{settings.max_seconds:g} s. Next: raise --max-seconds."
        )
    if len(calls) == 1:
        notes.append(
            "The uncertainty of the median is unknown after one start. Next: measure again and "
            "compare."
        )
    elif not latency.stable:
        step = "let the phone cool, close its apps, or raise --max-seconds"
        notes.append(unstable_warning(latency, step))
    return notes


def delegate_notes(report: ToolReport, delegate: str) -> list[str]:
    """Warnings if the requested delegate runs only a part of the graph, or nothing."""
    if delegate == "cpu":
        return []
    name = delegate.upper()
    verdict = dict(report.verdicts).get(name)
    taken = [d for d in report.delegations if "xnnpack" not in d.delegate.lower()]
    nodes, of_nodes = sum(d.nodes for d in taken), max((d.of_nodes for d in taken), default=0)
    why = "".join(f" Its message: {line}" for line in report.complaints[:3])
    if verdict == "not" or (verdict is None and not nodes):
        return [
            f"The {name} delegate runs no part of the graph: these are figures of the CPU.{why} "
            "Next: give --delegate cpu, or a float16 or float32 file, which GPUs support better."
        ]
    if verdict == "partially" or (of_nodes and nodes < of_nodes):
        share = f"{nodes} of {of_nodes} nodes" if of_nodes else "a part of the graph"
        return [
            f"The {name} delegate runs {share}, the CPU runs the rest.{why} Next: compare with "
            "--delegate cpu, which is often faster in this case."
        ]
    return []


def delegation_text(report: ToolReport) -> str:
    """The parts of the graph that delegates run. Empty if the tool does not report it."""
    return "; ".join(
        f"{d.delegate}: {d.nodes} of {d.of_nodes} nodes, {d.partitions} partitions"
        for d in report.delegations
    )
