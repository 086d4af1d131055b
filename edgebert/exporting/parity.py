"""The parity check: the same texts through the Keras model, the float graph and the final file.

The three run one after another, so that memory holds the weights of one of them at a time.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgebert.data.datasets import Dataset, read_dataset, sample_set
from edgebert.data.label_numbers import with_label_names
from edgebert.errors import UsageError
from edgebert.evaluation.predictors import KerasPredictor
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, as_model
from edgebert.quantization.recipes import Agreement, agreement
from edgebert.system.memory import give_back_memory
from edgebert.tasks.examples import encodings_of, task_with_answers
from edgebert.tasks.task import Features, Task

SHOWN_TEXTS = 4
SHOWN_NUMBERS = 8
SAMPLE_ROWS = 40

HARD_TEXTS = (
    "",
    "a",
    "Café RÉSUMÉ naïve Zürich",
    "don't stop — it's 99.9% #great @home (really?!)",
    "日本語 и русский текст العربية",
    "😀 emoji 👩‍👩‍👧 and symbols ™ © ½",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "tabs\tand\nlines\u00a0and\u200bspaces",
    "the quick brown fox jumps over the lazy dog " * 8,
)


@dataclass(frozen=True)
class Certificate:
    """The result of the comparison.

    Attributes:
        texts: number of texts.
        token_ids_equal: whether the vocabulary in the file gives the model's token ids on all
            texts.
        float_max_error: largest absolute difference between the Keras model and the float graph: of
            log probabilities if the head gives distributions, else of its outputs. Scores above 1
            are divided by the largest one, since their unit is free.
        final_max_error: the same for the final file; scores are not divided.
        final: agreement of the final file with the Keras model, if the head gives distributions.
        final_cosine: smallest cosine between a vector and the Keras model's, if the head gives
            vectors or hidden states.
        shown: for a few texts the token ids and the three outputs.
        largest_score: largest absolute output of the Keras model if its outputs are scores.
    """

    texts: int
    token_ids_equal: bool
    float_max_error: float
    final_max_error: float
    final: Agreement | None
    final_cosine: float | None
    shown: tuple[dict[str, Any], ...]
    largest_score: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        content = dict(self.__dict__)
        content["final"] = self.final.to_dict() if self.final else None
        content["shown"] = list(self.shown)
        del content["largest_score"]
        return content


@dataclass(frozen=True)
class Quality:
    """Metrics of a file and of the float model on labelled data.

    Attributes:
        data: name of the data.
        data_sha256: of its file.
        rows: number of examples.
        metric: name of the task's main metric.
        metrics: of the file.
        float_metrics: of the float model.
        drop_points: loss of the main metric, in points (hundredths).
        agreement: of the two models' distributions; None if the head gives none.
    """

    data: str
    data_sha256: str
    rows: int
    metric: str
    metrics: dict[str, float]
    float_metrics: dict[str, float]
    drop_points: float
    agreement: Agreement | None

    @property
    def value(self) -> float:
        """The main metric of the file."""
        return self.metrics[self.metric]

    @property
    def float_value(self) -> float:
        """The main metric of the float model."""
        return self.float_metrics[self.metric]

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "agreement": self.agreement.to_dict() if self.agreement else None,
        }


class Measured(NamedTuple):
    """The outputs of a file on the labelled data of a reference.

    Attributes:
        key: of the settings that the examples were encoded with.
        features: the encoded examples.
        outputs: one array for each encoding.
    """

    key: str
    features: Features
    outputs: list[np.ndarray]


class FloatReference:
    """The float model that files are compared with; its outputs are computed once.

    Args:
        model: the float model, or its path.
        labelled: labelled data that no choice was made on.

    Raises:
        UsageError: labelled data for a bare encoder.
        DataError: the data has labels that the model does not have.
    """

    def __init__(self, model: TaskModel | Path | str, labelled: Dataset | None = None) -> None:
        model = as_model(model)
        if labelled is not None:
            labelled = with_label_names(labelled, model.labels)
            task_with_answers(model).require_known(labelled, model.labels)
        self.labelled = labelled
        self.model = model
        self._known: dict[str, tuple[Features, list[np.ndarray]]] = {}

    @functools.cached_property
    def predictor(self) -> KerasPredictor:
        """The Keras model, built at its first use."""
        return KerasPredictor(self.model)

    def forget(self) -> None:
        """Gives back the memory of the Keras model, which is built again where it is needed."""
        self.__dict__.pop("predictor", None)
        give_back_memory()

    def measure(self, final: LiteRtModel) -> Measured:
        """The outputs of a file on the labelled data, for `judge`.

        Raises:
            UsageError: there is no labelled data.
        """
        examples = self._labelled_data.examples
        task, model, length = self.model.task, self.model, final.max_length
        decoding = {**model.decoding, **final.decoding}
        key = json.dumps([length, decoding])
        if key in self._known:
            features, _ = self._known[key]
        else:
            features = task.features(model.tokenizer, examples, length, decoding)
        return Measured(key, features, final.outputs(features.encodings))

    def judge(self, measured: Measured) -> Quality:
        """Metrics and agreement of a file on the labelled data.

        Raises:
            UsageError: there is no labelled data.
        """
        labelled = self._labelled_data
        task, model, outputs = self.model.task, self.model, measured.outputs
        if measured.key not in self._known:
            features = measured.features
            self._known[measured.key] = features, self.predictor.outputs(features.encodings)
        features, reference = self._known[measured.key]
        metrics, float_metrics = (
            task.metrics(each, features, model.facts) for each in (outputs, reference)
        )
        return Quality(
            data=labelled.name,
            data_sha256=labelled.sha256,
            rows=len(labelled),
            metric=task.metric,
            metrics=metrics,
            float_metrics=float_metrics,
            drop_points=100 * (float_metrics[task.metric] - metrics[task.metric]),
            agreement=_agreement(task, reference, outputs),
        )

    @property
    def _labelled_data(self) -> Dataset:
        """The labelled data.

        Raises:
            UsageError: there is none.
        """
        if self.labelled is None:
            raise UsageError("Expected labelled data to compare on. Received: none.")
        return self.labelled


def default_texts() -> list[str]:
    """Varied sentences of the bundled sample, and texts that are hard for tokenizers."""
    sample = read_dataset(sample_set().test).texts
    step = max(1, len(sample) // SAMPLE_ROWS)
    return [*HARD_TEXTS, *sample[::step][:SAMPLE_ROWS]]


class CheckTexts:
    """The texts or examples of a check as a file encodes them.

    Args:
        model: the model.
        final: the file.
        examples: texts or examples; varied built-in texts when there are none.
    """

    def __init__(self, model: TaskModel, final: LiteRtModel, examples: Sequence[Any]) -> None:
        given: Sequence[Any] = list(examples) or model.task.check_examples(default_texts())
        in_folder, encodings = (
            encodings_of(each, given, final.max_length) for each in (model, final)
        )
        self.encodings = encodings
        self.same_ids = all(
            a.token_ids == b.token_ids for a, b in zip(in_folder, encodings, strict=True)
        )
        self._lengths = final.manifest.lengths or sorted({len(each) for each in encodings})

    def in_file(self, file: LiteRtModel) -> list[np.ndarray]:
        """The outputs of a file."""
        return file.outputs(self.encodings)

    def in_keras(self, predictor: KerasPredictor) -> list[np.ndarray]:
        """The outputs of the Keras model, with the padding of the file."""
        return predictor.outputs(self.encodings, lengths=self._lengths)


class CheckOutputs(NamedTuple):
    """The outputs for the texts of a check: one array for each encoding."""

    in_keras: list[np.ndarray]
    in_float: list[np.ndarray]
    in_final: list[np.ndarray]


def certify(task: Task[Any], texts: CheckTexts, outputs: CheckOutputs) -> Certificate:
    """Compares the Keras model, the float graph and the final file on the same texts."""
    encodings = texts.encodings
    reference, in_float, in_final = (
        [output.astype(np.float64) for output in each] for each in outputs
    )
    float_agreement = _agreement(task, reference, in_float)
    final_agreement = _agreement(task, reference, in_final)
    shown = tuple(
        {"token_ids": list(encodings[i].token_ids)}
        | {
            name: _first_numbers(task, outputs[i])
            for name, outputs in (
                ("keras", reference),
                ("float_graph", in_float),
                ("final", in_final),
            )
        }
        for i in range(min(SHOWN_TEXTS, len(encodings)))
    )
    if float_agreement and final_agreement:
        errors = float_agreement.max_logit_error, final_agreement.max_logit_error
        cosine, unit = None, 1.0
    else:
        vectors = reference[0].shape[-1] > 1  # the cosine of one number has no meaning
        unit = 1.0 if vectors else max(1.0, float(np.abs(reference).max()))
        errors = _largest_error(reference, in_float) / unit, _largest_error(reference, in_final)
        cosine = (
            float(np.min(list(map(_smallest_cosine, reference, in_final)))) if vectors else None
        )
    return Certificate(
        len(encodings), texts.same_ids, *errors, final_agreement, cosine, shown, unit
    )


def _agreement(
    task: Task[Any], reference: Sequence[np.ndarray], outputs: Sequence[np.ndarray]
) -> Agreement | None:
    """The agreement of two models' distributions; None if the outputs are no distributions."""
    if task.log_probabilities(reference[0]) is None:
        return None
    a, b = (
        [found for output in each if (found := task.log_probabilities(output)) is not None]
        for each in (reference, outputs)
    )
    return agreement(a, b)


def _first_numbers(task: Task[Any], output: np.ndarray) -> list[float]:
    found = task.log_probabilities(output)
    values = output if found is None else found
    return [round(float(x), 5) for x in np.ravel(values)[:SHOWN_NUMBERS]]


def _largest_error(reference: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> float:
    errors = [np.abs(a - b).max() for a, b in zip(reference, outputs, strict=True)]
    return float(np.max(errors))  # NaN if any is NaN


def _smallest_cosine(a: np.ndarray, b: np.ndarray) -> float:
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return float(((a * b).sum(-1) / norms).min())
