"""The content of a `.tflite`, and its delegation to the runtime's CPU delegate, XNNPACK.

The delegation comes from the runtime: the model is loaded with XNNPACK, and the tensors of each
partition tell which operators the partition replaced. The reason for an operator outside the
partitions is derived from the operator and its types.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from converters.errors import ConversionError
from converters.tflite.metadata import METADATA_BUFFER, describe_metadata, read_metadata_buffer
from converters.tflite.tflite_file import ModelInfo, SubgraphInfo, one_subgraph, read_model
from converters.tflite.verification import verify_model
from edgebert.errors import ModelError
from edgebert.models.litert_runtime import load_interpreter
from edgebert.models.manifest import MANIFEST_NAME, Manifest, read_bytes, read_manifest
from edgebert.models.runtime_trial import require_loadable

DELEGATE = "DELEGATE"
_LOOKUPS = ("EMBEDDING_LOOKUP", "GATHER")
_NOT_IN_XNNPACK = "XNNPACK has no such operator"
_INTEGERS = ("INT32", "INT64", "BOOL", "UINT8")


@dataclass(frozen=True)
class LeftOut:
    """An operator outside XNNPACK.

    Attributes:
        operator: Name of the operator.
        output: Name of its output tensor.
        why: Reason that XNNPACK does not run it.
        plumbing: Whether it only prepares inputs, such as lookups and integer operations.
    """

    operator: str
    output: str
    why: str
    plumbing: bool


@dataclass(frozen=True)
class Delegation:
    """The delegation of one signature to XNNPACK.

    Attributes:
        signature: Key of the signature.
        partitions: Number of partitions that XNNPACK runs.
        delegated: Number of operators inside the partitions, by name.
        left_out: The other operators.
    """

    signature: str
    partitions: int
    delegated: dict[str, int]
    left_out: tuple[LeftOut, ...]

    @property
    def full(self) -> bool:
        """Whether there is one partition, and only lookups and integer input plumbing outside."""
        return self.partitions == 1 and all(item.plumbing for item in self.left_out)


@dataclass(frozen=True)
class Inspection:
    """The content of a file and its delegation."""

    path: str
    model: ModelInfo
    manifest: Manifest | None
    metadata: dict[str, Any] | None
    delegation: tuple[Delegation, ...]

    def to_dict(self) -> dict[str, Any]:
        model = asdict(self.model)
        for subgraph, source in zip(model["subgraphs"], self.model.subgraphs, strict=True):
            subgraph["operator_counts"] = source.operator_counts()
        delegation = [{**asdict(d), "full": d.full} for d in self.delegation]
        return {
            "path": self.path,
            "model": model,
            "manifest": self.manifest.to_dict() if self.manifest else None,
            "metadata": self.metadata,
            "delegation": delegation,
        }


def inspect_model(path: Path | str) -> Inspection:
    """Reads any `.tflite`, also of other programs.

    Raises:
        ModelError: The file does not exist or is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path} is no file. Expected a .tflite.")
    data = read_bytes(path)
    try:
        verify_model(data)
        model = read_model(data)
        has_manifest = read_metadata_buffer(data, MANIFEST_NAME) is not None
        manifest = read_manifest(path, data) if has_manifest else None
        has_metadata = read_metadata_buffer(data, METADATA_BUFFER) is not None
        metadata = describe_metadata(data) if has_metadata else None
    except ConversionError as error:
        raise ModelError(f"{path}: {error}") from error
    is_sealed = manifest is not None and bool(manifest.file_sha256)
    graphs = range(len(model.subgraphs))
    delegation = tuple(_delegation(data, model, index, is_sealed) for index in graphs)
    return Inspection(str(path), model, manifest, metadata, delegation)


def _delegation(data: bytes, model: ModelInfo, index: int, is_sealed: bool) -> Delegation:
    alone = data if len(model.subgraphs) == 1 else one_subgraph(data, index)
    with tempfile.TemporaryDirectory(prefix="edgebert-") as scratch:
        path = Path(scratch) / "model.tflite"
        path.write_bytes(alone)
        require_loadable(path, alone, is_sealed=is_sealed)
        nodes = load_interpreter(path, threads=1)._get_ops_details()
    subgraph = model.subgraphs[index]
    partitions = [node for node in nodes if node["op_name"] == DELEGATE]
    inside: set[int] = set()
    for partition in partitions:
        inside |= _replaced(subgraph, partition)
    operators = subgraph.operators
    return Delegation(
        signature=subgraph.signature,
        partitions=len(partitions),
        delegated=dict(Counter(operators[i].name for i in sorted(inside)).most_common()),
        left_out=tuple(_left_out(subgraph, i) for i in range(len(operators)) if i not in inside),
    )


def _replaced(subgraph: SubgraphInfo, partition: dict[str, Any]) -> set[int]:
    """The operators between a partition's outputs and its inputs."""
    producer = {
        tensor: i for i, operator in enumerate(subgraph.operators) for tensor in operator.outputs
    }
    limit = {int(tensor) for tensor in partition["inputs"]}
    found: set[int] = set()
    waiting = [int(tensor) for tensor in partition["outputs"]]
    while waiting:
        tensor = waiting.pop()
        operator = producer.get(tensor)
        if tensor in limit or operator is None or operator in found:
            continue
        found.add(operator)
        waiting.extend(subgraph.operators[operator].inputs)
    return found


def _left_out(subgraph: SubgraphInfo, index: int) -> LeftOut:
    operator = subgraph.operators[index]
    activations = [
        subgraph.tensors[i]
        for i in operator.inputs
        if i >= 0 and not subgraph.tensors[i].size_bytes
    ]
    output = subgraph.tensors[operator.outputs[0]]
    integers = [tensor for tensor in activations if tensor.dtype in _INTEGERS]
    table = [subgraph.tensors[i] for i in operator.inputs if i >= 0]
    if operator.name in _LOOKUPS:
        why, plumbing = f"{_NOT_IN_XNNPACK}: a lookup of rows", True
    elif integers:
        why = f"XNNPACK takes floats and quantized tensors; this one reads {integers[0].dtype}"
        plumbing = all(tensor.dtype in _INTEGERS for tensor in activations)
    elif operator.name == "DEQUANTIZE" and output.dtype == "FLOAT32":
        source = activations[0].dtype if activations else table[0].dtype
        why, plumbing = f"a conversion of looked-up rows from {source}", True
    elif any(-1 in tensor.shape for tensor in activations):
        why, plumbing = "its shape is only known while it runs", False
    else:
        why, plumbing = f"{_NOT_IN_XNNPACK}, or not with these types and options", False
    return LeftOut(operator.name, output.name, why, plumbing)
