"""The predict interface and the metrics of Keras models and `.tflite` files.

A predictor computes the output of the head (`converters.heads`) for encodings, one array per
encoding: logits, hidden states or a vector. Callers don't depend on the kind of predictor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgebert.data.datasets import Dataset
from edgebert.data.label_numbers import with_label_names
from edgebert.encoding.encoded_rows import PAD_MULTIPLE, Inputs
from edgebert.encoding.tokenizer import Encoding, Tokenizer, pad
from edgebert.errors import ModelError
from edgebert.models import hub
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, open_model
from edgebert.tasks.examples import features_of, task_with_answers
from edgebert.tasks.foreign import TaskRequest, with_prompt
from edgebert.tasks.task import Decoding, Features, ModelFacts, Task


class Predictor(Protocol):
    """A model that can be evaluated."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def max_length(self) -> int:
        """Maximum length of an encoding, in tokens."""
        ...

    @property
    def task(self) -> Task[Any]:
        """The model's task."""
        ...

    @property
    def decoding(self) -> Decoding:
        """Settings of the answers: see `edgebert.tasks.task.Decoding`."""
        ...

    @property
    def facts(self) -> ModelFacts:
        """The labels and the decoding."""
        ...

    def outputs(self, encodings: Sequence[Encoding], batch_size: int = 32) -> list[np.ndarray]:
        """The head's output for each encoding, without padding, float32."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a predictor on a data set.

    Attributes:
        model: Name of the model, such as its path.
        data: Name of the data set.
        data_sha256: SHA-256 of the data file, in hex.
        rows: Number of examples.
        metrics: The task's metrics.
        truncated_rows: Number of examples that lost tokens to the maximum length.
        task: Name of the task.
    """

    model: str
    data: str
    data_sha256: str
    rows: int
    metrics: dict[str, float]
    truncated_rows: int
    task: str

    def to_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)


def _any_shape(keras_model: Any) -> Callable[[dict[str, np.ndarray]], Any]:
    """The model as one graph for all shapes. Keras would trace a graph for each shape."""
    import tensorflow as tf

    any_ids = tf.TensorSpec([None, None], tf.int32)
    inputs = dict.fromkeys(keras_model.input, any_ids)

    @tf.function(input_signature=[inputs], autograph=False)
    def call(values: Any) -> Any:
        return keras_model(values, training=False)

    return lambda values: tf.nest.map_structure(np.asarray, call(values))


class KerasPredictor:
    """Predicts with the Keras model of a `TaskModel`, in batches of similar length."""

    def __init__(self, model: TaskModel) -> None:
        self.model = model
        self._run = _any_shape(model.keras_model())

    @property
    def tokenizer(self) -> Tokenizer:
        return self.model.tokenizer

    @property
    def labels(self) -> tuple[str, ...]:
        return self.model.labels

    @property
    def max_length(self) -> int:
        return self.model.max_length

    @property
    def task(self) -> Task[Any]:
        return self.model.task

    @property
    def decoding(self) -> Decoding:
        return self.model.decoding

    @property
    def facts(self) -> ModelFacts:
        return self.model.facts

    def outputs(
        self, encodings: Sequence[Encoding], batch_size: int = 32, lengths: Sequence[int] = ()
    ) -> list[np.ndarray]:
        """The head's output for each encoding, in the order of the encodings.

        Args:
            encodings: The inputs.
            batch_size: Number of encodings in a batch.
            lengths: Ascending token lengths. Each encoding is padded to the first one that fits, as
                for a `.tflite` with these lengths. A MobileBERT's output depends on whether there
                is padding. Empty pads to the longest encoding of a batch, about.
        """
        order = np.argsort([len(encoding) for encoding in encodings], kind="stable")
        found: list[np.ndarray] = [np.zeros(0, np.float32)] * len(encodings)
        padded_to = np.array([_first_that_fits(len(each), lengths) for each in encodings], int)
        for length in sorted(set(padded_to.tolist())):
            group = order[padded_to[order] == length]
            for start in range(0, len(group), batch_size):
                chosen = group[start : start + batch_size]
                batch = [encodings[i] for i in chosen]
                inputs = self._padded(batch, length)
                for i, part in zip(chosen, self._outputs(inputs, batch), strict=True):
                    found[i] = part
        return found

    def _padded(self, batch: Sequence[Encoding], length: int) -> Inputs:
        if not length:
            rounded = -(-max(map(len, batch)) // PAD_MULTIPLE) * PAD_MULTIPLE
            length = min(rounded, self.model.checkpoint.config.max_positions)
        return pad(batch, length, self.tokenizer.pad_id)

    def _outputs(self, inputs: Inputs, batch: Sequence[Encoding]) -> list[np.ndarray]:
        return self.task.split_outputs(self._run(self.task.inputs(inputs, batch)), batch)


def _first_that_fits(tokens: int, lengths: Sequence[int]) -> int:
    """The first length of at least `tokens`; 0 if there is none."""
    return next((length for length in lengths if length >= tokens), 0)


def open_predictor(
    path: Path | str, threads: int = 1, request: TaskRequest = TaskRequest()
) -> Predictor:
    """Opens a model folder, a `.tflite`, or a model by its name on a hub.

    Args:
        path: The model.
        threads: Number of threads of the TFLite runtime.
        request: The prompt, and the task of a folder, where its files don't tell it. A `.tflite`
            has its own task.
    """
    path = Path(path)
    if path.is_dir() or (not path.exists() and hub.is_name(str(path))):
        return KerasPredictor(open_model(path, request=request))
    if not path.exists():
        raise ModelError(f"{path} does not exist. Expected a model folder or a .tflite file.")
    file = LiteRtModel.open(path, threads)
    file.facts = replace(file.facts, decoding=with_prompt(file.decoding, request.prompt))
    return file


def _as_predictor(model: Predictor | TaskModel | Path | str) -> Predictor:
    if isinstance(model, (str, Path)):
        return open_predictor(model)
    return KerasPredictor(model) if isinstance(model, TaskModel) else model


def predict(
    predictor: Predictor | TaskModel | Path | str, texts: str | Sequence[Any], batch_size: int = 32
) -> list[dict[str, Any]]:
    """The answers to texts, in the order of the texts.

    Args:
        predictor: A predictor or a model of any task, or the path of a folder or a `.tflite`.
        texts: One text, or a list of texts, of tuples of texts for tasks with several texts, or of
            examples of the task's reader.
        batch_size: Number of encodings in a batch.

    Returns:
        The answers of the task in plain JSON types; for a classifier `text`, `label`, `probability`
        and `probabilities`.

    Raises:
        UsageError: The model is a bare encoder, or the number of texts is not the task's.
    """
    predictor = _as_predictor(predictor)
    task = task_with_answers(predictor)
    given = [texts] if isinstance(texts, str) else texts
    features = features_of(predictor, given, predictor.max_length)
    outputs = checked_outputs(predictor, features, batch_size)
    return task.answers(outputs, features, predictor.facts)


def evaluate(
    predictor: Predictor | TaskModel | Path | str,
    dataset: Dataset,
    name: str = "",
    batch_size: int = 32,
) -> Evaluation:
    """The task's metrics on labelled data.

    Args:
        predictor: A predictor or a model of any task, or the path of a folder or a `.tflite`.
        dataset: Labelled data in the task's format.
        name: Name of the model in the result; empty takes the path.
        batch_size: Number of encodings in a batch.

    Raises:
        UsageError: The model is a bare encoder.
        DataError: The data has labels that the model does not know.
    """
    name = name or (str(predictor) if isinstance(predictor, (str, Path)) else "")
    predictor = _as_predictor(predictor)
    task, facts = task_with_answers(predictor), predictor.facts
    dataset = with_label_names(dataset, facts.labels)
    task.require_known(dataset, facts.labels)
    features = task.features(
        predictor.tokenizer, dataset.examples, predictor.max_length, facts.decoding
    )
    outputs = checked_outputs(predictor, features, batch_size)
    return Evaluation(
        model=name,
        data=dataset.name,
        data_sha256=dataset.sha256,
        rows=len(dataset),
        metrics=task.metrics(outputs, features, facts),
        truncated_rows=features.truncated,
        task=task.name,
    )


def checked_outputs(
    predictor: Predictor, features: Features, batch_size: int = 32
) -> list[np.ndarray]:
    """The outputs for encoded examples, one array for each encoding.

    Raises:
        ModelError: Outputs are NaN or infinite.
    """
    outputs = predictor.outputs(features.encodings, batch_size)
    damaged = sum(map(_is_damaged, outputs))
    if damaged:
        raise ModelError(
            f"Expected numbers as the outputs of the model. Received: NaN or infinity for "
            f"{damaged} of {len(outputs)} inputs. Next: if the file stores weights or activations "
            "in float16, export it with --recipe weight-int8 or float32; else take an earlier "
            "checkpoint of the model."
        )
    return outputs


def _is_damaged(output: np.ndarray) -> bool:
    """Whether an output has NaN or infinity.

    A masked language model gives one record per mask. The first field is its score; the others may
    be NaN, which means that there is none.
    """
    if output.dtype.names:
        output = output[output.dtype.names[0]]
    return bool(np.isnan(output).any() or np.isposinf(output).any())
