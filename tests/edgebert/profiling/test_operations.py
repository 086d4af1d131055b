"""Names of layers, the alignment with XNNPACK's operations, and profiling with the runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from converters.tflite.tflite_file import OperatorInfo, SubgraphInfo, TensorInfo
from edgebert.errors import EdgebertError
from edgebert.profiling import operations
from edgebert.profiling.measurement import OperationTime
from edgebert.profiling.process import RunnerProcess

if TYPE_CHECKING:
    from tests.edgebert.profiling.conftest import TinyClassifier


def graph(*operators: tuple[str, str]) -> SubgraphInfo:
    """A subgraph of operators, each with its name and the name of its output."""
    tensors = tuple(TensorInfo(output, "FLOAT32", (1,), 0, 0) for _, output in operators)
    infos = tuple(OperatorInfo(name, 1, (), (i,)) for i, (name, _) in enumerate(operators))
    return SubgraphInfo("tokens_8", {}, {}, tensors, infos)


def inner(name: str, us: float = 2.0) -> dict:
    return {"name": name, "node": 99, "inner": True, "us": us}


def outer(node: int, name: str = "GATHER", us: float = 2.0) -> dict:
    return {"name": name, "node": node, "inner": False, "us": us}


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        ("layer_0/attention/norm/mean", "layers.0.attention.norm"),
        ("layer_0/attention/norm", "layers.0.attention.norm"),
        ("layer_11/attention/query_key_value/2", "layers.11.attention.query_key_value"),
        ("layer_11/attention/scores", "layers.11.attention.scores"),
        ("pooler/dense", "pooler.dense"),
        ("StatefulPartitionedCall/model/dense/MatMul;model/add", "StatefulPartitionedCall.model"),
        ("", ""),
    ],
)
def test_layers_are_named_after_their_tensors(tensor: str, expected: str) -> None:
    outputs = {
        "layer_0/attention/norm",
        "layer_11/attention/query_key_value",
        "StatefulPartitionedCall/model",
    }
    assert operations.layer_name(tensor, outputs) == expected


@pytest.mark.parametrize(
    ("operators", "kinds", "places"),
    [
        # one to one, a split that XNNPACK copies
        ("MUL SPLIT BATCH_MATMUL", "Multiply|Copy|Batch Matrix Multiply", [0, 1, 2]),
        # a conversion of XNNPACK's own
        ("FULLY_CONNECTED ADD", "Convert|Fully Connected|Add", [None, 0, 1]),
        # a conversion of the file's, and a constant that XNNPACK converted beforehand
        ("DEQUANTIZE QUANTIZE FULLY_CONNECTED", "Convert|Fully Connected", [1, 2]),
        # an operator that XNNPACK left away, another that it fused
        ("RESHAPE FULLY_CONNECTED RELU ADD", "Fully Connected|Add", [1, 3]),
        # of two alike, those in order
        ("ADD MEAN ADD SQUARED_DIFFERENCE", "Mean|Add|Squared Difference", [1, 2, 3]),
        # more of XNNPACK's own at the end
        ("SOFTMAX", "Softmax|Convert|Convert", [0, None, None]),
        ("", "Convert", [None]),
        ("ADD", "", []),
    ],
)
def test_operations_are_aligned_with_operators(operators: str, kinds: str, places: list) -> None:
    named = [kind for kind in kinds.split("|") if kind]
    assert operations.align(operators.split(), named) == places


def test_times_by_layer_are_in_the_order_of_the_graph() -> None:
    subgraph = graph(
        ("ADD", "embeddings/add"),
        ("GATHER", "embeddings/token"),
        ("MEAN", "norm/mean"),
        ("MEAN", "norm/variance"),
        ("SUB", "norm"),
    )
    events = [
        outer(1, us=4.0),
        inner("Add (ND)", 1.0),
        inner("Convert (NC, F32, QD8)", 8.0),
        inner("Mean (ND) Reduce2", 2.0),
        inner("Mean (ND) Reduce2", 3.0),
        inner("Subtract (ND)", 1.0),
    ]
    assert operations.name_operations(subgraph, events) == (
        OperationTime("embeddings.add", "ADD", 0.001, 1),
        OperationTime("embeddings.token", "GATHER", 0.004, 1),
        OperationTime("norm", "Convert", 0.008, 1),
        OperationTime("norm", "MEAN", 0.005, 2),
        OperationTime("norm", "SUB", 0.001, 1),
    )


def test_an_inserted_node_has_no_layer() -> None:
    events = [outer(0, "RESHAPE"), outer(7, "SomeDelegate", 9.0)]
    named = operations.name_operations(graph(("RESHAPE", "ids")), events)
    assert named[1] == OperationTime("", "SomeDelegate", 0.009, 1)


def test_the_truncation_to_microseconds_is_corrected() -> None:
    events = [inner("Add", 3.0), inner("Add", 0.0), inner("Add", 0.0), outer(0, us=2.0)]
    times = [event["us"] for event in operations.with_cut_off(events, whole_us=6.3)]
    assert times == pytest.approx([3.5, 0.4, 0.4, 2.0])
    assert events[0]["us"] == 3.0
    slow = [event["us"] for event in operations.with_cut_off(events, whole_us=60.0)]
    assert slow == [3.5, 1.0, 1.0, 2.0]  # a tick at most
    fast = [event["us"] for event in operations.with_cut_off(events, whole_us=1.0)]
    assert fast == [3.5, 0.0, 0.0, 2.0]


class Answering:
    """A runner with given responses."""

    def __init__(self, plain_ms: float, events: list[dict]) -> None:
        self.answer = {"plain_ms": plain_ms, "operations": events}

    def request(self, op: str, **fields: object) -> dict:
        assert (op, fields["signature"]) == ("operations", "tokens_8")
        return self.answer


@pytest.mark.parametrize(("plain_ms", "warning_count"), [(0.1, 0), (0.104, 0), (0.2, 1), (0.05, 1)])
def test_a_sum_that_differs_from_the_call_is_a_warning(plain_ms: float, warning_count: int) -> None:
    subgraph, events = graph(("ADD", "sum")), [inner("Add (ND)", 99.5)]
    process = Answering(plain_ms, events)
    times, warnings = operations.time_operations(process, {"signature": "tokens_8"}, subgraph)
    assert times == (OperationTime("sum", "ADD", 0.1, 1),)
    assert len(warnings) == warning_count
    assert all("add up to" in line and "Next: " in line for line in warnings)


def test_the_runtime_reports_each_operation(
    runner_process: RunnerProcess, tiny: TinyClassifier, dynamic: TinyClassifier
) -> None:
    program = str(operations.runner_extension().path)
    assert "operations" in runner_process.request("extend", program=program)["requests"]
    for made, key, length in ((tiny, "tokens_16", 16), (dynamic, "tokens_dynamic", 11)):
        runner_process.request("load", model=str(made.path))
        subgraph = operations.subgraphs_of(made.path)[key]
        call = {"signature": key, "length": length}
        times, _ = operations.time_operations(runner_process, call, subgraph)
        assert [(time.layer, time.operation) for time in times] == [
            ("ids", "RESHAPE"),
            ("rows", "EMBEDDING_LOOKUP"),
            ("kept", "RESHAPE"),
            ("cast", "CAST"),
            ("masked", "MUL"),
            ("mean", "MEAN"),
            ("logits", "FULLY_CONNECTED"),
        ]
        assert all(time.latency_ms >= 0 and time.calls == 1 for time in times)
        assert sum(time.latency_ms for time in times) > 0


def test_a_file_without_signatures_is_profiled(
    runner_process: RunnerProcess, no_signature: TinyClassifier
) -> None:
    runner_process.request("extend", program=str(operations.runner_extension().path))
    runner_process.request("load", model=str(no_signature.path))
    subgraph = operations.subgraphs_of(no_signature.path)[""]
    times, _ = operations.time_operations(runner_process, {"signature": ""}, subgraph)
    assert len(times) == len(subgraph.operators)


def test_an_older_runtime_is_an_error_with_the_fix(
    tmp_path: Path, runner_process: RunnerProcess
) -> None:
    source = Path(operations.runner_extension().path).read_text(encoding="utf-8")
    program = tmp_path / "newer.py"
    program.write_text(source.replace("OLDEST = (2, 2)", "OLDEST = (99, 0)"), encoding="utf-8")
    runner_process.request("extend", program=str(program))
    with pytest.raises(EdgebertError, match=r"on 64 bits was expected\. Received: \d.*pip install"):
        runner_process.request("operations", signature="")
    assert not (tmp_path / "__pycache__").exists()
