"""How far a file's outputs move on this machine when nothing but the rounding of floats changes.

Another processor adds floats in another order, so they differ in their last bits. In a float file
that stays so small. Where activations are rounded to int8 on the way, some land on the other side
of a step, and the scores move far more, on any two kinds of processors. Moving the file's biases by
their last bits does the same here: a scale to hold a device's differences against.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.recfunctions import structured_to_unstructured

from edgebert.encoding.tokenizer import Encoding
from edgebert.models.litert_model import LiteRtModel
from edgebert.tasks.task import Task

SEEDS = 2
LARGEST_MOVE = 2
"""Units in the last place."""


def compared_numbers(task: Task[Any], output: np.ndarray) -> npt.NDArray[np.float64]:
    """What of an output is compared: log probabilities `[choices, outcomes]`, or its numbers."""
    found = task.log_probabilities(output)
    if found is not None:
        return found
    if output.dtype.names:  # columns with a name each, such as what a masked LM is scored by
        output = structured_to_unstructured(output)
    return np.atleast_2d(output).astype(np.float64)


def difference_of(
    ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Theirs less ours; what both rule out, or both don't say, is no difference."""
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        return np.where(same, 0.0, theirs - ours)


def number_error(
    ours: Sequence[npt.NDArray[np.float64]],
    theirs: Sequence[npt.NDArray[np.float64]],
    distributions: bool,
) -> float:
    """Root mean square difference of logits, or of other numbers.

    Args:
        ours: of each encoding, of `compared_numbers`.
        theirs: the others.
        distributions: whether they are log probabilities: logits have no zero of their own.
    """
    squares, count = 0.0, 0
    for a, b in zip(ours, theirs, strict=True):
        difference = difference_of(a, b)
        if distributions:
            with np.errstate(invalid="ignore"):  # an infinite one passes nothing
                difference -= difference.mean(-1, keepdims=True)
        squares, count = squares + float((difference**2).sum()), count + difference.size
    return float(np.sqrt(squares / count))


def rounding_error(model: LiteRtModel, encodings: Sequence[Encoding]) -> float:
    """The largest number error of a file against itself with its biases moved, of a few moves.

    Raises:
        OSError: the temporary folder has no room for the file.
    """
    task, data = model.task, model.path.read_bytes()

    def numbers(of: LiteRtModel) -> list[npt.NDArray[np.float64]]:
        return [compared_numbers(task, output) for output in of.outputs(encodings)]

    ours = numbers(model)
    distributions = task.log_probabilities(model.outputs(encodings[:1])[0]) is not None
    errors = []
    with tempfile.TemporaryDirectory(prefix="edgebert-rounding-") as folder:
        path = Path(folder) / "moved.tflite"
        for seed in range(SEEDS):
            path.write_bytes(moved(data, seed))
            errors.append(number_error(ours, numbers(LiteRtModel.open(path)), distributions))
    return max(errors)


def moved(data: bytes, seed: int) -> bytes:
    """A `.tflite` with each float constant of one axis (biases, norms) moved by its last bits."""
    from ai_edge_litert import schema_py_generated as schema

    changed = bytearray(data)
    model, rng = schema.Model.GetRootAsModel(changed, 0), np.random.default_rng(seed)
    tensors = [
        graph.Tensors(place)
        for graph in map(model.Subgraphs, range(model.SubgraphsLength()))
        for place in range(graph.TensorsLength())
    ]
    vectors = [t for t in tensors if t.Type() == schema.TensorType.FLOAT32 and t.ShapeLength() == 1]
    for place in sorted({tensor.Buffer() for tensor in vectors}):
        buffer = model.Buffers(place)
        if buffer.DataLength():
            bits = buffer.DataAsNumpy().view(np.int32)  # shares the memory of `changed`
            moves = rng.integers(-LARGEST_MOVE, LARGEST_MOVE + 1, bits.shape, np.int32)
            bits += np.where(_can_move(bits.view(np.float32)), moves, 0)
    return bytes(changed)


def _can_move(values: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Not where a few bits more would be another kind of number: zeros, infinities."""
    sizes = np.abs(values)
    return (sizes > np.finfo(np.float32).tiny * 2) & (sizes < np.finfo(np.float32).max / 2)
