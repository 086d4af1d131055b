"""Calibration: measurements of a model on a few hundred unlabelled texts.

Recipes with a choice (the kernels in 4 bits, the operators in float) need them: the second moments
of every kernel's inputs, the ranges of activations, and the error of a graph's outputs. The texts
should be like those of the app; labels are not needed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from converters import heads
from converters.checkpoint import Checkpoint
from converters.tflite import graph_heads
from converters.tflite.inference_graph import DYNAMIC_LENGTH, Precision, build_inference_graph
from converters.tflite.tflite_file import read_model
from edgebert.encoding.lengths import pick_lengths
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.errors import DataError
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.litert_runtime import load_tracing_interpreter, open_runtime
from edgebert.models.manifest import Manifest, format_for
from edgebert.models.task_model import TaskModel
from edgebert.settings import ExportSettings
from edgebert.tasks import task_of_checkpoint
from edgebert.tasks.examples import encodings_of

FEWEST_TEXTS = 2
TRIAL_LENGTHS = 3
"""Number of token lengths of a graph that is built for a measurement only."""
FLOAT = Precision("float32", "float32")
_SOFTMAX_AXES = {
    heads.CLASSIFIER: -1,
    heads.TOKEN_CLASSIFIER: -1,
    heads.SPANS: 0,
    heads.MASKED_LM: -1,
}


@dataclass(frozen=True)
class Calibration:
    """A model's checkpoint and the texts that it is measured on.

    Attributes:
        checkpoint: compacted, as it is exported.
        tokenizer: the model's.
        encodings: the texts, cut to the longest exported length.
    """

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    encodings: tuple[Encoding, ...]

    @property
    def output(self) -> str:
        """The output that errors are computed of: logits, score, vector or hidden states."""
        return graph_heads.outputs_of(self.checkpoint)[-1]

    @property
    def softmax_axis(self) -> int | None:
        """The axis of the output that softmax reads; a constant added along it has no effect.

        None without softmax: vectors, scores, labels that do not exclude each other.
        """
        if self.checkpoint.problem != heads.SINGLE_LABEL:
            return None
        return _SOFTMAX_AXES.get(self.checkpoint.head)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Token lengths for measurements on these texts."""
        counts = np.array([len(encoding) for encoding in self.encodings])
        return pick_lengths(counts, int(counts.max()), TRIAL_LENGTHS)

    def error(self, reference: Sequence[np.ndarray], received: Sequence[np.ndarray]) -> float:
        """`output_error` with this model's softmax axis."""
        return output_error(reference, received, self.softmax_axis)

    def first(self, texts: int) -> Calibration:
        """The same model with the first texts only."""
        return replace(self, encodings=self.encodings[:texts])


def calibrate(
    model: TaskModel, examples: Sequence[Any], max_length: int, settings: ExportSettings
) -> Calibration:
    """Draws a random sample of different examples and encodes them.

    Args:
        model: its checkpoint is compacted, as it is exported.
        examples: texts, or examples of the task's reader.
        max_length: longest encoding, in tokens.
        settings: `calibration_rows` is the sample size, also in encodings where an example takes
            several; `calibration_seed` is the seed.

    Raises:
        DataError: fewer than two different examples.
    """
    different = list({repr(item): item for item in examples if _has_words(item)}.values())
    if len(different) < FEWEST_TEXTS:
        raise DataError(
            f"--recipe {settings.recipe} makes its choice by measurement. Expected at least "
            f"{FEWEST_TEXTS} different calibration texts, better {settings.calibration_rows}. "
            f"Received: {len(different)}. Next: add --calibration FILE with texts like those of "
            "the app, for example the training file; labels are not read."
        )
    rows = max(settings.calibration_rows, FEWEST_TEXTS)
    generator = np.random.default_rng(settings.calibration_seed)

    def drawn(items: Sequence[Any]) -> list[Any]:
        chosen = generator.choice(len(items), min(rows, len(items)), replace=False)
        return [items[i] for i in np.sort(chosen)]

    encodings = encodings_of(model, drawn(different), max_length)
    if len(encodings) > rows:
        encodings = drawn(encodings)
    return Calibration(model.checkpoint, model.tokenizer, tuple(encodings))


def _has_words(item: Any) -> bool:
    text = item if isinstance(item, str) else getattr(item, "text", "something")
    return bool(str(text).strip())


def feeds_of(encoding: Encoding, length: int = 0, pad_id: int = 0) -> dict[str, np.ndarray]:
    """The inputs of a signature, int32 `[1, length]`.

    Args:
        encoding: the text.
        length: of the signature; at least the text's length is used.
        pad_id: token id of padding.
    """
    used = len(encoding)
    padding = [0] * (max(length, used) - used)
    rows = {
        "token_ids": [*encoding.token_ids, *([pad_id] * len(padding))],
        "padding_mask": [1] * used + padding,
        "segment_ids": [*encoding.segment_ids, *padding],
    }
    return {name: np.array([row], np.int32) for name, row in rows.items()}


def trace(body: bytes, encodings: Sequence[Encoding], length: int = 0) -> Iterator[Any]:
    """Runs a graph with one signature on each text, and gives access to all its tensors.

    Args:
        body: a `.tflite` with one signature.
        encodings: the texts.
        length: of the signature; 0 for a free length.

    Yields:
        For each text a function from a tensor's index to its values, valid until the next text.
    """
    interpreter = load_tracing_interpreter(body)
    numbers = {d["name"]: d["index"] for d in interpreter.get_input_details()}
    shape: list[int] = []
    for encoding in encodings:
        feeds = feeds_of(encoding, length)
        if list(feeds["token_ids"].shape) != shape:
            shape = list(feeds["token_ids"].shape)
            for number in numbers.values():
                interpreter.resize_tensor_input(number, shape)
            interpreter.allocate_tensors()
        for name, number in numbers.items():
            interpreter.set_tensor(number, feeds[name])
        interpreter.invoke()
        yield interpreter.get_tensor


def kernel_moments(calibration: Calibration) -> dict[str, np.ndarray]:
    """The mean of `x x^T` over all inputs `x` of every kernel of the float model.

    Returns:
        float64 `[inputs, inputs]` by the kernel's neutral name without `.kernel`.
    """
    graph = build_inference_graph(
        calibration.checkpoint, [DYNAMIC_LENGTH], FLOAT, calibration.output
    )
    body = graph.finish()
    (subgraph,) = read_model(body).subgraphs
    inputs = {
        subgraph.tensors[operator.inputs[1]].name: operator.inputs[0]
        for operator in subgraph.operators
        if operator.name == "FULLY_CONNECTED"
    }
    sums: dict[str, np.ndarray] = {}
    rows: dict[str, int] = {}
    for read in trace(body, calibration.encodings):
        for kernel, tensor in inputs.items():
            x = read(tensor)
            sums[kernel] = sums.get(kernel, 0.0) + (x.T @ x).astype(np.float64)
            rows[kernel] = rows.get(kernel, 0) + len(x)
    return {
        name: sums[kernel] / rows[kernel] for kernel in inputs for name in graph.sources[kernel]
    }


def activation_ranges(calibration: Calibration) -> dict[str, tuple[float, float]]:
    """The smallest and the largest value of every activation of the float model, by tensor name.

    Texts run at their own lengths, so that padding does not widen a range. Every range includes 0.
    On SST-2, static int8 kernels with these ranges have half the error of those with a moving
    average.
    """
    graph = build_inference_graph(
        calibration.checkpoint, [DYNAMIC_LENGTH], FLOAT, calibration.output
    )
    body = graph.finish()
    (subgraph,) = read_model(body).subgraphs
    activations = {
        tensor.name: number
        for number, tensor in enumerate(subgraph.tensors)
        if tensor.dtype == "FLOAT32" and not tensor.size_bytes
    }
    ranges = dict.fromkeys(activations, (0.0, 0.0))
    for read in trace(body, calibration.encodings):
        for name, number in activations.items():
            values = read(number)
            low, high = ranges[name]
            ranges[name] = min(low, float(values.min())), max(high, float(values.max()))
    return ranges


def outputs(
    calibration: Calibration, body: bytes, lengths: Sequence[int] = ()
) -> tuple[np.ndarray, ...]:
    """The outputs of a graph for every text.

    Args:
        calibration: the texts, and the output that the graph gives.
        body: a `.tflite` with a signature for each of `lengths`.
        lengths: ascending token lengths; those of the calibration when empty.

    Returns:
        For each text, float64, the head's output: logits, a vector, or hidden states.
    """
    lengths = list(lengths or calibration.lengths)
    checkpoint, vocabulary = calibration.checkpoint, calibration.tokenizer.vocabulary
    manifest = Manifest(
        task=task_of_checkpoint(checkpoint).name,
        labels=checkpoint.labels,
        decoding={},
        output=calibration.output,
        lengths=() if DYNAMIC_LENGTH in lengths else tuple(lengths),
        max_length=max(len(encoding) for encoding in calibration.encodings),
        format=format_for(vocabulary),
        tokenizer=vocabulary.to_settings(),
        vocabulary_sha256=vocabulary.sha256,
        config=dict(vars(checkpoint.config)),
    )
    with tempfile.TemporaryDirectory(prefix="edgebert-") as scratch:
        path = Path(scratch) / "trial.tflite"
        path.write_bytes(body)
        runtime = open_runtime(path, threads=1, fixed_lengths=bool(manifest.lengths))
        model = LiteRtModel(runtime, manifest, vocabulary, path)
        return tuple(row.astype(np.float64) for row in model.outputs(calibration.encodings))


def outputs_of(calibration: Calibration, precision: Precision) -> tuple[np.ndarray, ...]:
    """The outputs of the checkpoint for every text, with weights stored in a precision."""
    graph = build_inference_graph(
        calibration.checkpoint, calibration.lengths, precision, calibration.output
    )
    return outputs(calibration, graph.finish())


def output_error(
    reference: Sequence[np.ndarray], received: Sequence[np.ndarray], softmax_axis: int | None = None
) -> float:
    """The relative error of outputs: the squared error over the squared float outputs.

    0 is no error; 0.01 is 20 dB. Before, the mean is subtracted from logits that softmax reads: it
    has no effect. Probabilities are no measure: on texts that a model was trained on they are
    close to 0 and 1, whatever the error.

    Args:
        reference: the float model's output for each text: `[labels]`, `[tokens, ...]`, a vector.
        received: the same for the other graph.
        softmax_axis: of `Calibration`.
    """
    if softmax_axis is not None:
        reference, received = (
            [x - x.mean(axis=softmax_axis, keepdims=True) for x in outputs]
            for outputs in (reference, received)
        )
    noise = sum(float(((a - b) ** 2).sum()) for a, b in zip(reference, received, strict=True))
    signal = sum(float((a**2).sum()) for a in reference)
    return noise / max(signal, float(np.finfo(np.float64).tiny))
