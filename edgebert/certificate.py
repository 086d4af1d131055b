"""The parity certificate: the same texts through Keras, the float graph and the final file."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebert.datasets import Dataset, encode_labels, read_dataset, sample_set
from edgebert.errors import UsageError
from edgebert.evaluation import KerasPredictor
from edgebert.litert_model import LiteRtModel
from edgebert.model import TaskModel
from edgebert.quantization import Agreement, agreement
from edgebert.tokenizer import Encoding

SHOWN_TEXTS = 4
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
    """What the comparison found.

    Attributes:
        texts: how many were compared.
        token_ids_equal: the vocabulary in the file gives the model's own token ids, on every text.
        float_max_error: largest absolute difference between the Keras model and the float graph
            (log probabilities of a classifier, hidden states of an encoder).
        final: agreement of the final file with the Keras model (classifiers).
        final_max_error: the same largest difference for the final file.
        final_cosine: smallest cosine of a token's row to the Keras model's (encoders).
        shown: for a few texts, the ids and what each of the three said.
    """

    texts: int
    token_ids_equal: bool
    float_max_error: float
    final_max_error: float
    final: Agreement | None
    final_cosine: float | None
    shown: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        content = dict(self.__dict__)
        content["final"] = self.final.to_dict() if self.final else None
        content["shown"] = list(self.shown)
        return content


@dataclass(frozen=True)
class Quality:
    """How a file does on labelled text beside the float model."""

    data: str
    data_sha256: str
    rows: int
    accuracy: float
    float_accuracy: float
    drop_points: float
    agreement: Agreement

    def to_dict(self) -> dict[str, Any]:
        return {**self.__dict__, "agreement": self.agreement.to_dict()}


class FloatReference:
    """The float model that files are held against; its scores are computed once.

    Args:
        model: the float model.
        labelled: text with labels that no choice was made on.

    Raises:
        UsageError: labelled text for a bare encoder.
        DataError: labels that the model does not know.
    """

    def __init__(self, model: TaskModel, labelled: Dataset | None = None) -> None:
        self.labelled = labelled
        if labelled is not None and not model.labels:
            raise UsageError(
                "Expected a classifier to compare on labelled text. Received: a bare encoder. "
                "Next: leave the labelled text out, or fine-tune first."
            )
        self._targets = None if labelled is None else encode_labels(labelled, model.labels)
        self._model = model
        self._scores: dict[int, np.ndarray] = {}

    @functools.cached_property
    def predictor(self) -> KerasPredictor:
        """The Keras model, built when it is first asked for."""
        return KerasPredictor(self._model)

    def compare(self, final: LiteRtModel) -> Quality:
        """Accuracy and agreement of a file on the labelled text.

        Raises:
            UsageError: there is no labelled text.
        """
        if self.labelled is None or self._targets is None:
            raise UsageError("Expected labelled text to compare on. Received: none.")
        targets = self._targets
        length = final.max_length
        encodings = self.predictor.tokenizer.encode_batch(self.labelled.texts, length)
        if length not in self._scores:
            self._scores[length] = self.predictor.scores(encodings)
        reference, scores = self._scores[length], final.scores(encodings)
        float_accuracy = float(np.mean(reference.argmax(-1) == targets))
        accuracy = float(np.mean(scores.argmax(-1) == targets))
        return Quality(
            data=self.labelled.name,
            data_sha256=self.labelled.sha256,
            rows=len(self.labelled),
            accuracy=accuracy,
            float_accuracy=float_accuracy,
            drop_points=100 * (float_accuracy - accuracy),
            agreement=agreement(reference, scores),
        )


def default_texts() -> list[str]:
    """Varied sentences of the bundled sample, and texts that tokenizers get wrong."""
    sample = read_dataset(sample_set().test).texts
    step = max(1, len(sample) // SAMPLE_ROWS)
    return [*HARD_TEXTS, *sample[::step][:SAMPLE_ROWS]]


def certify(
    keras: KerasPredictor, float_graph: LiteRtModel, final: LiteRtModel, texts: Sequence[str]
) -> Certificate:
    """Runs the texts through all three and compares."""
    longest = final.max_length
    encodings = keras.tokenizer.encode_batch(texts, longest)
    from_file = final.tokenizer.encode_batch(texts, longest)
    same_ids = all(a.token_ids == b.token_ids for a, b in zip(encodings, from_file, strict=True))
    compare = _compare_classifiers if keras.labels else _compare_encoders
    return compare(keras, float_graph, final, texts, encodings, same_ids)


def _compare_classifiers(
    keras: KerasPredictor,
    float_graph: LiteRtModel,
    final: LiteRtModel,
    texts: Sequence[str],
    encodings: Sequence[Encoding],
    same_ids: bool,
) -> Certificate:
    reference, in_float, in_final = (p.scores(encodings) for p in (keras, float_graph, final))
    shown = tuple(
        {
            "text": texts[i][:80],
            "token_ids": list(encodings[i].token_ids),
            **{
                name: {
                    "label": keras.labels[int(scores[i].argmax())],
                    "log_probabilities": [round(float(x), 5) for x in scores[i][:8]],
                }
                for name, scores in (
                    ("keras", reference),
                    ("float_graph", in_float),
                    ("final", in_final),
                )
            },
        }
        for i in range(min(SHOWN_TEXTS, len(texts)))
    )
    final_agreement = agreement(reference, in_final)
    return Certificate(
        texts=len(texts),
        token_ids_equal=same_ids,
        float_max_error=agreement(reference, in_float).max_logit_error,
        final_max_error=final_agreement.max_logit_error,
        final=final_agreement,
        final_cosine=None,
        shown=shown,
    )


def _compare_encoders(
    keras: KerasPredictor,
    float_graph: LiteRtModel,
    final: LiteRtModel,
    texts: Sequence[str],
    encodings: Sequence[Encoding],
    same_ids: bool,
) -> Certificate:
    float_error = final_error = 0.0
    cosine = 1.0
    for encoding in encodings:
        reference, in_float, in_final = (
            p.hidden_states(encoding).astype(np.float64) for p in (keras, float_graph, final)
        )
        float_error = max(float_error, float(np.abs(reference - in_float).max()))
        final_error = max(final_error, float(np.abs(reference - in_final).max()))
        norms = np.linalg.norm(reference, axis=-1) * np.linalg.norm(in_final, axis=-1)
        cosine = min(cosine, float(((reference * in_final).sum(-1) / norms).min()))
    shown = tuple(
        {"text": text[:80], "token_ids": list(encoding.token_ids)}
        for text, encoding in list(zip(texts, encodings, strict=True))[:SHOWN_TEXTS]
    )
    return Certificate(len(texts), same_ids, float_error, final_error, None, cosine, shown)
