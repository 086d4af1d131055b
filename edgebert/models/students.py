"""Students: smaller models with a part of a teacher's layers, heads, neurons and dimensions.

A student that starts with its teacher's weights needs a fraction of the epochs that a student with
random weights needs (Sanh et al. 2019, section 3, for layers).
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.checkpoint import BertConfig, Checkpoint
from converters.layer_choice import drop_layers, spread_layers
from edgebert.errors import UsageError
from edgebert.models.task_model import TaskModel, as_model

PRESETS = {
    "half-depth": "layers=1/2",
    "third-depth": "layers=1/3",
    "half-width": "hidden=1/2,neurons=1/2",
    "tiny": "layers=1/2,hidden=1/2,neurons=1/4",
}
"""Named shapes, as fractions of the teacher's shape."""
_KEYS = {"layers": "num_layers", "hidden": "hidden_size", "neurons": "intermediate_size"}
_OUTPUT_LAYERS = ("classifier", "token_classifier", "spans", "next_sentence")
_WHOLE = ("masked_lm.bias",)
"""Arrays without a hidden dimension."""
_SHARE = re.compile(r"(\d+)/(\d+)")


def student_config(teacher: BertConfig, shape: str) -> BertConfig:
    """Parses `layers=3,hidden=192,neurons=768`, fractions such as `layers=1/2`, or a preset.

    Attention heads keep their size, so the hidden size determines their number.

    Raises:
        UsageError: The preset or a key is unknown, a value is not a number or exceeds the
            teacher's, or the hidden size is not a multiple of the head size. All problems are
            listed.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    for part in PRESETS.get(shape, shape).split(","):
        key, _, text = part.strip().partition("=")
        if key not in _KEYS:
            problems.append(f"'{part.strip()}' is not part of a shape")
            continue
        whole = int(getattr(teacher, _KEYS[key]))
        found = _SHARE.fullmatch(text)
        if found and int(found[2]):
            value = whole * int(found[1]) // int(found[2])
        elif text.isdigit():
            value = int(text)
        else:
            problems.append(f"{key}: expected a whole number or a fraction. Received: {text!r}")
            continue
        if not 1 <= value <= whole:
            problems.append(f"{key}: expected from 1 to the teacher's {whole}. Received: {value}")
        values[_KEYS[key]] = value
    hidden = values.get("hidden_size", teacher.hidden_size)
    if teacher.is_mobile:
        problems += [
            f"{key}: a student of a MobileBERT has fewer layers alone, such as layers=1/2; its "
            f"layers are narrow already. Received: {values[name]}"
            for key, name in _KEYS.items()
            if name != "num_layers" and values.get(name, 0) not in (0, getattr(teacher, name))
        ]
    elif hidden % teacher.head_size:
        problems.append(
            f"hidden: expected a multiple of {teacher.head_size}, the size of a head. "
            f"Received: {hidden}"
        )
    if problems:
        raise UsageError(
            f"--student takes a model folder, one of {', '.join(PRESETS)}, or a shape such as "
            f"layers=3,hidden=192,neurons=768. " + "; ".join(problems) + "."
        )
    heads = teacher.num_heads if teacher.is_mobile else hidden // teacher.head_size
    return replace(teacher, **values, num_heads=heads)


def make_student(teacher: TaskModel | Path | str, shape: str) -> TaskModel:
    """A student of this shape with weights of the teacher.

    Layers are chosen at even distances; dimensions, heads and neurons by the largest weights. A
    narrower student keeps the teacher's head for its dimensions.

    Raises:
        UsageError: See `student_config`.
    """
    teacher = as_model(teacher)
    config = student_config(teacher.checkpoint.config, shape)
    if teacher.checkpoint.sentence is not None and config.hidden_size != _hidden_size(teacher):
        raise UsageError(
            "hidden: a student of an embedding model keeps its teacher's "
            f"{_hidden_size(teacher)} dimensions. Received: {config.hidden_size}. Next: give fewer "
            "layers or neurons, such as layers=1/2."
        )
    kept_layers = spread_layers(teacher.checkpoint.config.num_layers, config.num_layers)
    checkpoint = drop_layers(teacher.checkpoint, kept_layers)
    student = checkpoint if config.is_mobile else _narrow(checkpoint, config)
    entry = {"stage": "student", "shape": shape}
    return replace(teacher, checkpoint=student, history=(*teacher.history, entry))


def _narrow(checkpoint: Checkpoint, config: BertConfig) -> Checkpoint:
    """The checkpoint with the hidden size, heads and neurons of a configuration."""
    kept = _largest(_dimension_weights(checkpoint), config.hidden_size)
    scale = np.float32(np.sqrt(checkpoint.config.hidden_size / config.hidden_size))
    weights = {}
    for name, array in checkpoint.weights.items():
        weights[name] = _narrowed(name, array, checkpoint, config, kept, scale)
    return replace(checkpoint, config=config, weights=weights)


def _hidden_size(model: TaskModel) -> int:
    return model.checkpoint.config.hidden_size


def _narrowed(
    name: str,
    array: np.ndarray,
    checkpoint: Checkpoint,
    config: BertConfig,
    hidden: npt.NDArray[np.intp],
    scale: np.float32,
) -> np.ndarray:
    """The rows and columns of one array that the student keeps."""
    own, size = checkpoint.weights, config.head_size
    base, _, part = name.rpartition(".")
    if name.startswith("layers."):
        layer = ".".join(name.split(".")[:2])
        output = own[f"{layer}.attention.output.kernel"]
        energy = np.square(output).sum(0).reshape(-1, size).sum(1)
        heads = _largest(energy, config.num_heads)
        columns = (heads[:, None] * size + np.arange(size)).ravel()
        outer = np.square(own[f"{layer}.feed_forward.output.kernel"]).sum(0)
        neurons = _largest(outer, config.intermediate_size)
        if base.endswith(("query", "key", "value")):
            rows, reads = columns, hidden
        elif base.endswith("attention.output"):
            rows, reads = hidden, columns
        elif base.endswith("inner"):
            rows, reads = neurons, hidden
        elif base.endswith("feed_forward.output"):
            rows, reads = hidden, neurons
        else:
            rows, reads = hidden, hidden
        array = array[rows]
        if part != "kernel":
            return array
        array = array[:, reads]
        # The sum over the hidden size has fewer terms: scale it to keep its magnitude.
        return array * scale if reads is hidden and len(hidden) < own[name].shape[1] else array
    if base in _OUTPUT_LAYERS:
        return array[:, hidden] * scale if part == "kernel" else array
    if base == "pooler" or (base == "masked_lm.dense" and not config.embedding_size):
        return array[np.ix_(hidden, hidden)] * scale if part == "kernel" else array[hidden]
    if config.embedding_size:
        return _narrowed_projected(name, array, hidden, scale)
    if name in _WHOLE:
        return array
    return array[..., hidden]


def _narrowed_projected(
    name: str, array: np.ndarray, hidden: npt.NDArray[np.intp], scale: np.float32
) -> np.ndarray:
    """The same for a model that projects its embeddings, whose width stays."""
    if name.startswith("embeddings.projection."):
        return array[hidden]
    return array[:, hidden] * scale if name == "masked_lm.dense.kernel" else array


def _dimension_weights(checkpoint: Checkpoint) -> np.ndarray:
    """Squared weights that read or write each hidden dimension, normalized: float64 `[hidden]`."""
    total = np.zeros(checkpoint.config.hidden_size)
    for name, array in checkpoint.weights.items():
        if name.endswith(("query.kernel", "key.kernel", "value.kernel", "inner.kernel")):
            norm = np.square(array).sum(0)
            total += norm / norm.sum()
        elif name.endswith("output.kernel"):
            norm = np.square(array).sum(1)
            total += norm / norm.sum()
    return total


def _largest(values: np.ndarray, count: int) -> npt.NDArray[np.intp]:
    return np.sort(np.argsort(-values, kind="stable")[:count])
