"""The inspection of files: content, delegation, and damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters.tflite.graph_builder import GraphBuilder
from edgebert.errors import ModelError
from edgebert.exporting.artifact import export
from edgebert.models.inspection import inspect_model
from edgebert.models.task_model import TaskModel
from edgebert.settings import ExportSettings


def test_an_export_is_described(tiny_model: TaskModel, tmp_path: Path) -> None:
    artifact = export(tiny_model, tmp_path / "m.tflite", ExportSettings(lengths="8,16"))
    inspection = inspect_model(artifact.path)
    content = inspection.to_dict()
    assert content["manifest"] == artifact.manifest.to_dict()
    assert set(content["metadata"]["associated_files"]) == {"vocab.txt", "labels.txt"}
    assert [s.signature for s in inspection.model.subgraphs] == ["tokens_8", "tokens_16"]
    assert set(inspection.model.subgraphs[0].inputs) == {"token_ids", "padding_mask", "segment_ids"}
    for delegation, subgraph in zip(inspection.delegation, inspection.model.subgraphs, strict=True):
        assert delegation.full
        assert delegation.partitions == 1
        counts = subgraph.operator_counts()
        outside = [item.operator for item in delegation.left_out]
        for name, count in counts.items():
            assert delegation.delegated.get(name, 0) + outside.count(name) == count
        assert "EMBEDDING_LOOKUP" in outside
        assert "FULLY_CONNECTED" not in outside
    kernels = {t.name: t for t in inspection.model.subgraphs[0].tensors}
    assert kernels["layer_0/feed_forward/inner/kernel"].shape == (24, 16)


def test_a_graph_that_xnnpack_runs_only_in_part(tmp_path: Path) -> None:
    """A cumulative sum of floats between two products splits the graph."""
    graph = GraphBuilder("split")
    sub = graph.subgraph("tokens_4")
    x = sub.input("x", [4], np.float32)
    two = graph.constant("two", np.full(4, 2, np.float32))
    x = sub.cumsum(sub.mul(x, two, "first"), 0, "sums")
    sub.output("y", sub.add(sub.mul(x, two, "second"), two, "third"))
    path = tmp_path / "split.tflite"
    path.write_bytes(graph.finish())
    inspection = inspect_model(path)
    (delegation,) = inspection.delegation
    assert not delegation.full
    assert delegation.partitions == 2
    assert [(item.operator, item.plumbing) for item in delegation.left_out] == [("CUMSUM", False)]
    assert inspection.manifest is None
    assert inspection.metadata is None


@pytest.mark.parametrize("content", [b"", b"abcdTFL3", b"\x1c\x00\x00\x00TFL3" + b"\xff" * 40])
def test_files_that_are_not_tflite(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"x\.tflite"):
        inspect_model(path)
    with pytest.raises(ModelError, match="is no file"):
        inspect_model(tmp_path / "nothing")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_truncated_file(share: float, tiny_model: TaskModel, tmp_path: Path) -> None:
    path = export(tiny_model, tmp_path / "m.tflite", ExportSettings(length=8)).path
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError):
        inspect_model(path)
