"""Operation profiling: the time of a call by layer, from the runtime's profiler.

Most of a graph runs inside XNNPACK, whose operations have a kind and an order, but no name. Kind
and order are sufficient to align each one with its operator in the file, whose tensors are named
after the layers.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from converters.tflite.tflite_file import SubgraphInfo, read_model
from edgebert.profiling import litert_requests
from edgebert.profiling.measurement import OperationTime
from edgebert.profiling.plan import ModelFile, read_model_files
from edgebert.profiling.process import Runner

SUM_TOLERANCE = 0.05
"""Allowed difference between the sum of all operations and the call, as a share of the call."""

CUT_OFF_US = 0.5
"""XNNPACK's clock truncates to whole microseconds: the mean truncation error."""

TICK_US = 1.0
"""Maximum time of an operation that the clock measured as 0."""

CALLS = 200
SECONDS = 3.0
WARMUP_CALLS = 10

_INNER_KINDS = {
    "FULLY_CONNECTED": "Fully Connected",
    "BATCH_MATMUL": "Batch Matrix Multiply",
    "SUB": "Subtract",
    "MUL": "Multiply",
    "DIV": "Divide",
    "RSQRT": "Reciprocal Square Root",
    "SQRT": "Square Root",
    "LOGISTIC": "Sigmoid",
    "GELU": "GELU",
    "TANH": "TanH",
    "CONV_2D": "Convolution",
    "DEPTHWISE_CONV_2D": "Convolution",
    "QUANTIZE": "Convert",
    "DEQUANTIZE": "Convert",
}
"""XNNPACK's names of operators of the format. All others have the same name in both."""

_MOVES = {"RESHAPE", "TRANSPOSE", "SPLIT", "SLICE", "STRIDED_SLICE", "CONCATENATION", "SQUEEZE"}
_INNER_MOVES = {"Static Reshape", "Reshape", "Transpose", "Copy", "Slice", "Split", "Concatenate"}
_ALIKE, _BOTH_MOVE = 3, 1


def runner_extension() -> ModelFile:
    """The file with the additional requests of the runner, for `Machine.place`."""
    return read_model_files((Path(litert_requests.__file__),))[0]


def time_operations(
    process: Runner, call: Mapping[str, Any], subgraph: SubgraphInfo
) -> tuple[tuple[OperationTime, ...], list[str]]:
    """Times the operations of a signature.

    Args:
        process: A runner that has loaded the extension and the file.
        call: The runner's fields that select the call.
        subgraph: The subgraph of the signature.

    Returns:
        The times in the order of the graph, and warnings about them.

    Raises:
        EdgebertError: The runtime has no profiler, or failed.
    """
    limits = {"warmup": WARMUP_CALLS, "runs": CALLS, "max_seconds": SECONDS}
    answer = process.request("operations", **call, **limits)
    plain = float(answer["plain_ms"])
    times = name_operations(subgraph, with_cut_off(answer["operations"], 1000 * plain))
    total = sum(time.latency_ms for time in times)
    if abs(total / plain - 1) <= SUM_TOLERANCE:
        return times, []
    return times, [
        f"The operations add up to {total / plain:.0%} of a call ({total:.3g} of {plain:.3g} ms): "
        "other programs may have run, or the graph is too short for a clock of whole microseconds. "
        "Next: use them as relative values, or measure a longer text on a quiet machine."
    ]


def with_cut_off(events: Sequence[Mapping[str, Any]], whole_us: float) -> list[dict[str, Any]]:
    """Corrects the truncation of event times to whole microseconds.

    Adds half a microsecond to each event with a time above 0. The remaining time up to the whole
    call is divided evenly among the events with time 0, at most 1 microsecond each. Example: events
    of 3, 0 and 0 us and a call of 4.5 us become 3.5, 0.5 and 0.5 us.

    Args:
        events: The `operations` of the extension.
        whole_us: Time of the call in microseconds, from a finer clock.
    """
    found = [dict(event) for event in events]
    unseen = [event for event in found if event["inner"] and not event["us"]]
    for event in found:
        event["us"] += CUT_OFF_US if event["inner"] and event["us"] else 0.0
    missing = whole_us - sum(event["us"] for event in found)
    for event in unseen:
        event["us"] = min(TICK_US, max(0.0, missing / len(unseen)))
    return found


def name_operations(
    subgraph: SubgraphInfo, events: Sequence[Mapping[str, Any]]
) -> tuple[OperationTime, ...]:
    """Assigns the profiler's events to the layers of the file.

    Args:
        subgraph: The subgraph in the file.
        events: The `operations` of the extension.

    Returns:
        One entry for each layer and kind of operation, in the order of the graph. An operation that
        XNNPACK inserts, such as a conversion, belongs to the layer that follows it.
    """
    names = [
        subgraph.tensors[operator.outputs[0]].name if operator.outputs else ""
        for operator in subgraph.operators
    ]
    times: dict[tuple[str, str], list[float]] = {}
    nodes: dict[tuple[str, str], int] = {}
    for event, (node, is_counterpart) in zip(events, _nodes_of(subgraph, events), strict=True):
        known = node < len(names)
        layer = layer_name(names[node], names) if known else ""
        operation = subgraph.operators[node].name if is_counterpart else _kind(event["name"])
        times.setdefault((layer, operation), []).append(event["us"] / 1000)
        nodes.setdefault((layer, operation), node)
    return tuple(
        OperationTime(*key, latency_ms=sum(times[key]), calls=len(times[key]))
        for key in sorted(times, key=lambda key: nodes[key])
    )


def layer_name(tensor: str, outputs: Container[str]) -> str:
    """The layer of a tensor, such as `layers.0.attention.norm` of `layer_0/attention/norm/mean`.

    Args:
        tensor: Output tensor of an operator.
        outputs: Output names of all operators. A tensor below one of these names is an
            intermediate result of that operator.
    """
    name = tensor.partition(";")[0]
    parts = name.split("/")
    above = ("/".join(parts[:count]) for count in range(1, len(parts)))
    owner = next((path for path in above if path in outputs), name)
    return re.sub(r"\blayer_(\d+)\b", r"layers.\1", owner.replace("/", "."))


def _nodes_of(
    subgraph: SubgraphInfo, events: Sequence[Mapping[str, Any]]
) -> list[tuple[int, bool]]:
    """For each event the index of an operator in the file, and whether the two correspond.

    An index beyond the file's operators belongs to an operator that the runtime has inserted.
    """
    operators = subgraph.operators
    outside = {event["node"] for event in events if not event["inner"]}
    inside = [node for node in range(len(operators)) if node not in outside]
    kinds = [_kind(event["name"]) for event in events if event["inner"]]
    places = iter(align([operators[node].name for node in inside], kinds))
    nodes: list[tuple[int, bool]] = []
    waiting = 0  # inserted operations, which belong to the operator that follows
    node = len(operators)
    for event in events:
        place = next(places) if event["inner"] else None
        if event["inner"] and place is None:
            waiting += 1
            continue
        node = event["node"] if place is None else inside[place]
        nodes += [(node, False)] * waiting + [(node, node < len(operators))]
        waiting = 0
    return nodes + [(node, False)] * waiting


def align(operators: Sequence[str], kinds: Sequence[str]) -> list[int | None]:
    """Aligns the inner operations with the operators: the longest common subsequence, weighted.

    `best[i][j]` is the largest total likeness of `operators[i:]` and `kinds[j:]`. Among equally
    good operators the last is chosen, since constants are converted first. Example: the operators
    (ADD, ADD) and the kinds (Add) give [1].

    Args:
        operators: Operator names of the format, in the order of the graph.
        kinds: XNNPACK's names of the operations, in the order of execution.

    Returns:
        For each operation the index of its operator, or None if it has none.
    """
    if len(operators) == len(kinds) and all(map(_likeness, operators, kinds)):
        return list(range(len(kinds)))
    rows, columns = len(operators), len(kinds)
    best = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in reversed(range(rows)):
        for j in reversed(range(columns)):
            likeness = _likeness(operators[i], kinds[j])
            paired = likeness + best[i + 1][j + 1] if likeness else 0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    places: list[int | None] = []
    i = j = 0
    while j < columns:
        if i < rows and best[i][j] == best[i + 1][j]:
            i += 1
        elif best[i][j] == best[i][j + 1]:
            places.append(None)
            j += 1
        else:
            places.append(i)
            i, j = i + 1, j + 1
    return places


def _likeness(operator: str, kind: str) -> int:
    expected = _INNER_KINDS.get(operator, operator.replace("_", " ").title())
    if kind == expected:
        return _ALIKE
    return _BOTH_MOVE if operator in _MOVES and kind in _INNER_MOVES else 0


def _kind(name: str) -> str:
    """`Fully Connected (NC, QDU8, F32, QC8W) GEMM` to `Fully Connected`."""
    return name.partition(" (")[0]


def subgraphs_of(path: Path) -> dict[str, SubgraphInfo]:
    """The subgraphs of a file by their signature key; the first one for files without keys."""
    subgraphs = read_model(path.read_bytes()).subgraphs
    return {subgraph.signature: subgraph for subgraph in reversed(subgraphs)}
