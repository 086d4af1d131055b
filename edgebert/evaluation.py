"""The same metrics for a Keras model and for a `.tflite`, through one predict interface.

A predictor takes encodings and gives scores as log probabilities `[texts, labels]` of a classifier,
or last hidden states of a bare encoder. Whether the scores come from Keras or from a file on a
phone makes no difference to anything above this room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgebert import hub
from edgebert.datasets import Dataset, encode_labels
from edgebert.errors import ModelError, UsageError
from edgebert.litert_model import LiteRtModel
from edgebert.model import TaskModel, open_model
from edgebert.tasks import classification
from edgebert.tokenizer import Encoding, Tokenizer, pad

PAD_MULTIPLE = 8


class Predictor(Protocol):
    """Anything that can be evaluated."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def max_length(self) -> int:
        """The longest encoding that it takes, in tokens."""
        ...

    def scores(self, encodings: Sequence[Encoding], batch_size: int = 32) -> np.ndarray:
        """Log probabilities, float64 `[texts, labels]`."""
        ...


@dataclass(frozen=True)
class Prediction:
    """A label with its probability, and every label's probability."""

    label: str
    probability: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """How a predictor did on a data set."""

    model: str
    data: str
    data_sha256: str
    rows: int
    metrics: dict[str, float]
    truncated_rows: int

    def to_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)


def _any_shape(keras_model: Any) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """The model as one graph for every batch and length: Keras would trace each shape anew."""
    import tensorflow as tf

    any_ids = tf.TensorSpec([None, None], tf.int32)
    inputs = dict.fromkeys(keras_model.input, any_ids)

    @tf.function(input_signature=[inputs], autograph=False)
    def call(values: Any) -> Any:
        return keras_model(values, training=False)

    return lambda values: np.asarray(call(values))


class KerasPredictor:
    """Predicts with the Keras model of a `TaskModel`, in batches of similar length."""

    def __init__(self, model: TaskModel, keras_model: Any = None) -> None:
        self.model = model
        self._run = _any_shape(model.keras_model() if keras_model is None else keras_model)

    @property
    def tokenizer(self) -> Tokenizer:
        return self.model.tokenizer

    @property
    def labels(self) -> tuple[str, ...]:
        return self.model.labels

    @property
    def max_length(self) -> int:
        return self.model.max_length

    def logits(self, encodings: Sequence[Encoding], batch_size: int = 32) -> np.ndarray:
        """Logits, float32 `[texts, labels]`, in the order of the texts."""
        order = np.argsort([len(encoding) for encoding in encodings], kind="stable")
        rows = np.zeros((len(encodings), len(self.labels)), np.float32)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = [encodings[i] for i in chosen]
            length = -(-max(map(len, batch)) // PAD_MULTIPLE) * PAD_MULTIPLE
            inputs = pad(
                batch,
                min(length, self.model.checkpoint.config.max_positions),
                self.tokenizer.pad_id,
            )
            rows[chosen] = self._run(inputs)
        return rows

    def scores(self, encodings: Sequence[Encoding], batch_size: int = 32) -> np.ndarray:
        return classification.log_softmax(self.logits(encodings, batch_size))

    def hidden_states(self, encoding: Encoding) -> np.ndarray:
        """The last layer's rows of one text, float32 `[tokens, hidden_size]` (bare encoders)."""
        inputs = pad([encoding], len(encoding), self.tokenizer.pad_id)
        return self._run(inputs)[0]


def open_predictor(path: Path | str, threads: int = 1) -> KerasPredictor | LiteRtModel:
    """Opens a `.tflite`, or whatever `open_model` takes: a folder, or a name on the hub.

    Raises:
        ModelError: the path is neither, or what it holds is damaged.
    """
    path = Path(path)
    if path.is_dir() or (not path.exists() and hub.is_name(str(path))):
        return KerasPredictor(open_model(path))
    if not path.exists():
        raise ModelError(f"{path} does not exist. Expected a model folder or a .tflite file.")
    return LiteRtModel.open(path, threads)


def encode(predictor: Predictor, texts: Sequence[str]) -> tuple[list[Encoding], int]:
    """Encodes texts up to the predictor's length; also says how many were cut."""
    encodings = predictor.tokenizer.encode_batch(texts, predictor.max_length)
    full = [i for i, encoding in enumerate(encodings) if len(encoding) == predictor.max_length]
    lengths = predictor.tokenizer.count_lengths([texts[i] for i in full])
    return encodings, int(np.sum(lengths > predictor.max_length))


def _require_classifier(predictor: Predictor) -> None:
    if not predictor.labels:
        raise UsageError(
            "Expected a classifier. Received: a bare encoder, which has no labels to predict. "
            "Next: fine-tune it with `edgebert finetune`."
        )


def predict(predictor: Predictor, texts: Sequence[str], batch_size: int = 32) -> list[Prediction]:
    """Classifies texts, in their order.

    Raises:
        UsageError: the model is no classifier.
    """
    _require_classifier(predictor)
    encodings, _ = encode(predictor, texts)
    probabilities = np.exp(predictor.scores(encodings, batch_size))
    return [
        Prediction(
            predictor.labels[int(np.argmax(row))],
            float(row.max()),
            dict(zip(predictor.labels, map(float, row), strict=True)),
        )
        for row in probabilities
    ]


def evaluate(
    predictor: Predictor, dataset: Dataset, name: str = "", batch_size: int = 32
) -> Evaluation:
    """Accuracy and macro F1 on labelled text.

    Raises:
        UsageError: the model is no classifier.
        DataError: the data has labels that the model does not know.
    """
    _require_classifier(predictor)
    targets = encode_labels(dataset, predictor.labels)
    encodings, truncated = encode(predictor, dataset.texts)
    predicted = np.argmax(predictor.scores(encodings, batch_size), axis=-1)
    return Evaluation(
        model=name,
        data=dataset.name,
        data_sha256=dataset.sha256,
        rows=len(dataset),
        metrics=classification.metrics(predicted, targets, len(predictor.labels)),
        truncated_rows=truncated,
    )
