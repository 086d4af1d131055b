"""The effect of float rounding on a file's outputs, measured on this machine.

Another processor adds floats in another order, so sums differ in their last bits. In a float file
the effect on the outputs stays small. In an int8 file some activations are then rounded to the
neighbouring step, so the outputs of any two kinds of processors differ much more. Changing the last
bits of the file's biases has the same effect on this machine. It gives the scale to which the
differences of a device are compared.
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
from edgebert.models.litert_runtime import open_runtime
from edgebert.tasks.task import Task

SEEDS = 2
MAX_ULPS = 2
"""Maximum change of a constant, in units in the last place."""


def compared_numbers(task: Task[Any], output: np.ndarray) -> npt.NDArray[np.float64]:
    """The compared values of an output: log probabilities `[choices, outcomes]`, or its numbers."""
    found = task.log_probabilities(output)
    if found is not None:
        return found
    if output.dtype.names:  # named columns, such as the scores of a masked LM
        output = structured_to_unstructured(output)
    return np.atleast_2d(output).astype(np.float64)


def difference_of(
    ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """`theirs - ours`. Equal infinities, and NaN in both, count as no difference."""
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
        ours: Result of `compared_numbers` for each encoding.
        theirs: The same from the other runtime.
        distributions: Whether the values are log probabilities. Then the mean difference of each
            row is subtracted, since a constant offset of logits has no effect.
    """
    squares, count = 0.0, 0
    for a, b in zip(ours, theirs, strict=True):
        difference = difference_of(a, b)
        if distributions:
            with np.errstate(invalid="ignore"):  # an infinite difference fails every check
                difference -= difference.mean(-1, keepdims=True)
        squares, count = squares + float((difference**2).sum()), count + difference.size
    return float(np.sqrt(squares / count))


def rounding_error(model: LiteRtModel, encodings: Sequence[Encoding]) -> float:
    """The largest error between a file and copies of it with changed last bits of the biases.

    Raises:
        OSError: The temporary folder has no space for the file.
    """
    task, data = model.task, model.path.read_bytes()

    def numbers(of: LiteRtModel) -> list[npt.NDArray[np.float64]]:
        return [compared_numbers(task, output) for output in of.outputs(encodings)]

    ours = numbers(model)
    distributions = task.log_probabilities(model.outputs(encodings[:1])[0]) is not None
    errors = []
    with tempfile.TemporaryDirectory(prefix="edgebert-rounding-") as folder:
        path = Path(folder) / "perturbed.tflite"
        for seed in range(SEEDS):
            path.write_bytes(perturb_vectors(data, seed))
            errors.append(number_error(ours, numbers(_copy_of(model, path)), distributions))
    return max(errors)


def _copy_of(model: LiteRtModel, path: Path) -> LiteRtModel:
    """The model with another file, whose SHA-256 is not the manifest's."""
    runtime = open_runtime(path, 1, fixed_lengths=bool(model.manifest.lengths))
    return LiteRtModel(runtime, model.manifest, model.tokenizer.vocabulary, path)


def perturb_vectors(data: bytes, seed: int) -> bytes:
    """Randomly changes the last bits of each float constant with one axis (biases, norms)."""
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
            ulps = rng.integers(-MAX_ULPS, MAX_ULPS + 1, bits.shape, np.int32)
            bits += np.where(_can_change(bits.view(np.float32)), ulps, 0)
    return bytes(changed)


def _can_change(values: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Whether a change of a few units keeps the value normal: not near zero or infinity."""
    sizes = np.abs(values)
    return (sizes > np.finfo(np.float32).tiny * 2) & (sizes < np.finfo(np.float32).max / 2)
