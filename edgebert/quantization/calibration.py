"""Calibration: what a model computes on a few hundred texts, to decide by measurement.

Recipes that have a choice (which kernels go to 4 bits, which operators stay in float) are given
examples as the app will see them; labels are not needed. This room runs graphs on those texts: the
second moments of every kernel's inputs, and how far one graph's outputs are from another's.
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
from edgebert.models.task_model import TaskModel
from edgebert.settings import ExportSettings
from edgebert.tasks import task_of_checkpoint
from edgebert.tasks.examples import encodings_of

FEWEST_TEXTS = 2
TRIAL_LENGTHS = 3
"""Fixed lengths of a graph that is only tried: few enough to be built in no time."""
FLOAT = Precision("float32", "float32")
_SOFTMAX_AXES = {
    heads.CLASSIFIER: -1,
    heads.TOKEN_CLASSIFIER: -1,
    heads.SPANS: 0,
    heads.MASKED_LM: -1,
}


@dataclass(frozen=True)
class Calibration:
    """A model's checkpoint beside the texts that choices are made on.

    Attributes:
        checkpoint: as it will be exported, compacted.
        encodings: the texts, cut to the longest exported length.
    """

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    encodings: tuple[Encoding, ...]

    @property
    def output(self) -> str:
        """What is compared: a head's logits, score or vector, an encoder's rows."""
        return graph_heads.outputs_of(self.checkpoint)[-1]

    @property
    def shares_sum(self) -> int | None:
        """The axis of an output that softmax goes over: a number added along it changes nothing.

        None where no softmax follows: vectors, scores, labels that don't exclude each other.
        """
        if self.checkpoint.problem != heads.SINGLE_LABEL:
            return None
        return _SOFTMAX_AXES.get(self.checkpoint.head)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Fixed lengths that these texts are tried at."""
        counts = np.array([len(encoding) for encoding in self.encodings])
        return pick_lengths(counts, int(counts.max()), TRIAL_LENGTHS)

    def error(self, reference: Sequence[np.ndarray], received: Sequence[np.ndarray]) -> float:
        """`output_error` of these texts' outputs."""
        return output_error(reference, received, self.shares_sum)

    def first(self, texts: int) -> Calibration:
        """The same with so many of the texts."""
        return replace(self, encodings=self.encodings[:texts])


def calibrate(
    model: TaskModel, examples: Sequence[Any], max_length: int, settings: ExportSettings
) -> Calibration:
    """Draws `calibration_rows` of the different examples, by `calibration_seed`, and encodes them.

    Args:
        model: its checkpoint as it will be exported, compacted.
        examples: texts, or examples of the task's reader.
        max_length: longest encoding, in tokens.
        settings: how many are drawn; of an example that takes several encodings, no more of them.

    Raises:
        DataError: fewer than two different examples.
    """
    different = list({repr(item): item for item in examples if _has_words(item)}.values())
    if len(different) < FEWEST_TEXTS:
        raise DataError(
            f"--recipe {settings.recipe} is decided by measurement and needs at least "
            f"{FEWEST_TEXTS} different calibration texts, better {settings.calibration_rows}. "
            f"Received: {len(different)}. Next: add --calibration FILE with text as the app will "
            "see it (the training file will do; labels are not read)."
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
    """The inputs of a signature, int32 `[1, length]`; 0 for the text's own length."""
    used = len(encoding)
    padding = [0] * (max(length, used) - used)
    rows = {
        "token_ids": [*encoding.token_ids, *([pad_id] * len(padding))],
        "padding_mask": [1] * used + padding,
        "segment_ids": [*encoding.segment_ids, *padding],
    }
    return {name: np.array([row], np.int32) for name, row in rows.items()}


def trace(body: bytes, encodings: Sequence[Encoding], length: int = 0) -> Iterator[Any]:
    """Runs a graph of one signature and yields, for each text, a reader of any of its tensors.

    Args:
        body: a `.tflite` with one signature; with a free length where `length` is 0.
        encodings: the texts.
        length: the signature's length.

    Yields:
        A function from a tensor's number to its values, good until the next text.
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
    """The least and the largest value of every activation of the float model, by tensor name.

    Texts run at their own lengths, so that no padding widens a range; 0 is always within it. On
    SST-2, static int8 kernels with these ranges have half the error of a moving average's.
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
    """What a graph says to every text.

    Args:
        calibration: the texts; `output` of theirs is what the graph gives.
        body: a `.tflite` with a signature for each of `lengths`.
        lengths: ascending; those of the calibration when empty.

    Returns:
        float64, of each text what the head gives: logits, a vector, or an encoder's hidden states.
    """
    lengths = list(lengths or calibration.lengths)
    manifest = {
        "task": task_of_checkpoint(calibration.checkpoint).name,
        "labels": calibration.checkpoint.labels,
        "output": calibration.output,
        "lengths": [] if DYNAMIC_LENGTH in lengths else lengths,
        "config": dict(vars(calibration.checkpoint.config)),
        "max_length": max(len(encoding) for encoding in calibration.encodings),
    }
    with tempfile.TemporaryDirectory(prefix="edgebert-") as scratch:
        path = Path(scratch) / "trial.tflite"
        path.write_bytes(body)
        runtime = open_runtime(path, threads=1, fixed_lengths=bool(manifest["lengths"]))
        model = LiteRtModel(runtime, manifest, calibration.tokenizer.vocabulary, path)
        return tuple(row.astype(np.float64) for row in model.outputs(calibration.encodings))


def outputs_of(calibration: Calibration, precision: Precision) -> tuple[np.ndarray, ...]:
    """What the checkpoint says to every text when it is laid out with a precision."""
    graph = build_inference_graph(
        calibration.checkpoint, calibration.lengths, precision, calibration.output
    )
    return outputs(calibration, graph.finish())


def output_error(
    reference: Sequence[np.ndarray], received: Sequence[np.ndarray], shares_sum: int | None = None
) -> float:
    """How far outputs are from the float model's: the squared error over the squared signal.

    0 where nothing changed; 0.01 is 20 dB. Logits that softmax reads are taken without their mean,
    which it ignores. Probabilities would not do: on texts that a model was trained on they are all
    but 0 and 1, and no error shows.

    Args:
        reference: of each text what the head gives: `[labels]`, `[tokens, ...]`, a vector.
        received: the same of the other graph.
        shares_sum: of `Calibration`: the axis whose mean is taken off.
    """
    if shares_sum is not None:
        reference, received = (
            [x - x.mean(axis=shares_sum, keepdims=True) for x in outputs]
            for outputs in (reference, received)
        )
    noise = sum(float(((a - b) ** 2).sum()) for a, b in zip(reference, received, strict=True))
    signal = sum(float((a**2).sum()) for a in reference)
    return noise / max(signal, float(np.finfo(np.float64).tiny))
