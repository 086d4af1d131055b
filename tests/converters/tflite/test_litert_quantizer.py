"""Static quantization keeps our files as they are: names, signatures, shared constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.bert_config import BertConfig
from converters.errors import ConversionError
from converters.heads import CLASSIFIER
from converters.tflite.inference_graph import (
    DYNAMIC_LENGTH,
    LOGITS,
    Precision,
    build_inference_graph,
    signature_key,
)
from converters.tflite.litert_quantizer import OperatorGroup, bert_groups, quantize_statically
from converters.tflite.tflite_file import ModelInfo, read_model
from edgebert.models.task_model import TaskModel
from tests.converters.tflite.test_inference_graph import inputs, run

IN_FLOAT = Precision("float32", "int8")
WIDE = (-8.0, 8.0)


def float_body(model: TaskModel, lengths: list[int]) -> bytes:
    checkpoint = model.checkpoint
    return build_inference_graph(checkpoint, lengths, IN_FLOAT, LOGITS, masked_score=40.0).finish()


def ranges_of(body: bytes) -> dict[str, tuple[float, float]]:
    tensors = [tensor for subgraph in read_model(body).subgraphs for tensor in subgraph.tensors]
    return {t.name: WIDE for t in tensors if t.dtype == "FLOAT32" and not t.size_bytes}


def kernels_of(info: ModelInfo) -> list[dict[str, tuple[int, str]]]:
    return [
        {t.name: (t.buffer, t.dtype) for t in s.tensors if t.name.endswith("kernel")}
        for s in info.subgraphs
    ]


CONFIG = BertConfig(
    vocab_size=8, hidden_size=16, num_layers=2, num_heads=2, intermediate_size=24, max_positions=40
)
FULLY_CONNECTED = tuple(
    group for group in bert_groups(CONFIG, CLASSIFIER) if group.operators == ("FULLY_CONNECTED",)
)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("lengths", [[8, 16], [DYNAMIC_LENGTH]])
def test_static_kernels_are_near_float(
    bits: int, lengths: list[int], tiny_model: TaskModel, tmp_path: Path
) -> None:
    body = float_body(tiny_model, lengths)
    made = quantize_statically(body, ranges_of(body), FULLY_CONNECTED, bits)
    feeds = inputs(16, 12, tiny_model.checkpoint.config.vocab_size)
    key = signature_key(lengths[-1])
    got, expected = (run(data, feeds, key, tmp_path) for data in (made, body))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=0.4 if bits == 8 else 0.05)


def test_signatures_keep_their_names_and_share_their_constants(tiny_model: TaskModel) -> None:
    body = float_body(tiny_model, [8, 16, 40])
    made = quantize_statically(body, ranges_of(body), FULLY_CONNECTED, 8)
    before, after = read_model(body), read_model(made)
    assert [s.signature for s in after.subgraphs] == [s.signature for s in before.subgraphs]
    for old, new in zip(before.subgraphs, after.subgraphs, strict=True):
        assert old.inputs.keys() == new.inputs.keys()
        assert old.outputs.keys() == new.outputs.keys()
        assert {t.name for t in old.tensors} <= {t.name for t in new.tensors}
    kernels = kernels_of(after)
    assert kernels[0] == kernels[1] == kernels[2]
    assert {dtype for _, dtype in kernels[0].values()} == {"INT8"}
    one = quantize_statically(float_body(tiny_model, [40]), ranges_of(body), FULLY_CONNECTED, 8)
    assert read_model(one).constant_bytes["INT8"] == after.constant_bytes["INT8"]


def test_buffers_are_inside_and_aligned(tiny_model: TaskModel) -> None:
    body = float_body(tiny_model, [8])
    made = quantize_statically(body, ranges_of(body), FULLY_CONNECTED, 8)
    model = schema.Model.GetRootAs(made, 0)
    filled = [model.Buffers(i) for i in range(model.BuffersLength())]
    filled = [buffer for buffer in filled if buffer.DataLength()]
    assert len(filled) > 20
    for buffer in filled:
        assert buffer.Offset() == 0
        field = buffer._tab.Offset(4)
        assert buffer._tab.Vector(field) % 16 == 0


def test_no_groups_is_dynamic_int8(tiny_model: TaskModel, tmp_path: Path) -> None:
    """The kernels that stay out are those of our own dynamic-int8, bit by bit."""
    made = quantize_statically(float_body(tiny_model, [16]), {}, (), 8)
    ours = build_inference_graph(
        tiny_model.checkpoint, [16], Precision(), LOGITS, masked_score=40.0
    ).finish()
    feeds = inputs(16, 12, tiny_model.checkpoint.config.vocab_size)
    np.testing.assert_array_equal(
        run(made, feeds, "tokens_16", tmp_path), run(ours, feeds, "tokens_16", tmp_path)
    )


def test_groups_take_what_they_name(tiny_model: TaskModel) -> None:
    subgraph = read_model(float_body(tiny_model, [8])).subgraphs[0]
    made = [(o.name, subgraph.tensors[o.outputs[0]].name) for o in subgraph.operators]
    groups = bert_groups(CONFIG, CLASSIFIER)
    taken = [sum(group.takes(*operator) for group in groups) for operator in made]
    for (operator, output), times in zip(made, taken, strict=True):
        outside = output.startswith(("embeddings", "mask")) or output == "probabilities"
        assert times == (0 if outside else 1), (operator, output)
    first = OperatorGroup("first", ("FULLY_CONNECTED",), "layer_1/attention/output")
    assert not first.takes("FULLY_CONNECTED", "layer_11/attention/output")


def test_a_range_that_is_missing_is_told(tiny_model: TaskModel) -> None:
    with pytest.raises(ConversionError, match="ai-edge-quantizer refuses the graph"):
        quantize_statically(float_body(tiny_model, [8]), {}, FULLY_CONNECTED, 8)


def test_nothing_is_printed(
    tiny_model: TaskModel, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    body = float_body(tiny_model, [8, 16])
    quantize_statically(body, ranges_of(body), bert_groups(CONFIG, CLASSIFIER), 8)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
