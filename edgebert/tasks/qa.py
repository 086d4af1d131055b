"""Extractive question answering: the span of a context that answers a question, if there is one.

The model is BERT's (Devlin et al. 2019, sections 4.2 and 4.3): two logits per token, for the start
and the end of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converters import heads
from converters.checkpoint import Checkpoint
from converters.tflite.output_names import LOGITS
from edgebert.data.columns import named_columns
from edgebert.data.datasets import Dataset
from edgebert.data.labels import LabelUse
from edgebert.data.squad_files import Keys, Question, read_questions
from edgebert.encoding.encoded_rows import rows_of
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import UsageError, refuse
from edgebert.settings import DataSettings, FinetuneSettings, TaskSettings, broken_rules
from edgebert.tasks.app_readers import AppReaders
from edgebert.tasks.labelled_rows import LabelledRows
from edgebert.tasks.probabilities import log_softmax
from edgebert.tasks.spans import Span, SpanFeatures, answer_columns, best_spans, encode_questions
from edgebert.tasks.squad_metrics import best_threshold, exact_match, f1
from edgebert.tasks.task import Decoding, ModelFacts, Task
from edgebert.tasks.text_task import output_layer

if TYPE_CHECKING:
    import keras

SPANS_LAYER = "spans"
N_BEST = 20
MASKED_LOGIT = -1e9
"""Logit of padding, low enough that padding is never a start or an end."""
NO_ANSWER = "(no answer)"


class QuestionAnswering(Task[SpanFeatures]):
    """Predicts answers as spans of a context, in characters of the context.

    The decoding's `null_threshold` is the margin by which the score of no answer must exceed the
    score of the best span for the model to give no answer; None if the model always answers.
    """

    name = "qa"
    title = "question answering"
    head = heads.SPANS
    metric = "f1"
    texts = 2
    file_outputs = (LOGITS,)
    outputs_per_token = True
    cuts_copies = False
    file_lengths = (64, 128, 256, 384)
    max_length = 384
    chooses_thresholds = True
    app_readers = AppReaders(
        "Task Library BertQuestionAnswerer", length=384, task_library_only=True
    )

    def read(self, path: Path | str, columns: DataSettings, labels: LabelUse) -> Dataset:
        path = Path(path)
        given = named_columns(columns)
        names = ("question", "context", "answers")
        keys = Keys(*(named or name for named, name in zip(given, names, strict=True)))
        if columns.label_map:
            raise UsageError(
                "--label-map: expected data with labels. Received: questions and answers. Next: "
                "leave --label-map out."
            )
        read = read_questions(path, labels, keys, columns.encoding, columns.skip_bad_rows)
        return replace(read, task=self.name)

    def decoding(self, settings: TaskSettings) -> dict[str, Any]:
        """Keys: stride, max_answer_tokens, max_question_tokens, n_best, null_threshold."""
        names = ("stride", "max_answer_tokens", "max_question_tokens")
        chosen = {name: getattr(settings, name) for name in names}
        rules = [(name, value >= 1, "at least 1") for name, value in chosen.items()]
        refuse(broken_rules(settings, rules))
        return {**chosen, "n_best": N_BEST, "null_threshold": None}

    def features(
        self, tokenizer: Tokenizer, examples: Sequence[Any], max_length: int, decoding: Decoding
    ) -> SpanFeatures:
        known = self._known(decoding)
        return encode_questions(
            tokenizer,
            examples,
            max_length,
            stride=known["stride"],
            max_question_tokens=known["max_question_tokens"],
        )

    def _known(self, decoding: Decoding) -> dict[str, Any]:
        """The decoding with defaults for missing keys."""
        return {**self.decoding(TaskSettings()), **decoding}

    def example(self, *texts: str) -> Question:
        if len(texts) != 2:
            raise UsageError(f"Expected a question and its context. Received: {len(texts)} texts.")
        return Question("", *texts)

    def input_texts(self, example: Question) -> tuple[str, ...]:
        return example.question, example.context

    def is_labelled(self, example: Question) -> bool:
        return bool(example.answers) or example.is_impossible

    def copied_texts(self, example: Question) -> tuple[str, ...]:
        """The context: a changed question would be another question."""
        return (example.context,)

    def copy_of(self, example: Question, texts: Sequence[str]) -> Question:
        return Question(example.id, example.question, texts[0])

    def check_examples(self, texts: Sequence[str]) -> list[Any]:
        """Each text as the question, with itself and the next text as the context."""
        following = [*texts[1:], *texts[:1]]
        return [self.example(a, f"{a} {b}") for a, b in zip(texts, following, strict=True)]

    def rows(
        self,
        features: SpanFeatures,
        facts: ModelFacts,
        settings: FinetuneSettings,
        tokenizer: Tokenizer,
    ) -> LabelledRows:
        """One row per window; targets are the columns of the answer's first and last token."""
        rows = rows_of(features.encodings, tokenizer.pad_id)
        return LabelledRows(rows, answer_columns(features), np.ones(len(rows), np.float32))

    def num_outputs(self, labels: Sequence[str]) -> int:
        return 2

    def add_head(
        self, backbone: Any, checkpoint: Checkpoint, num_outputs: int, dropout: float, seed: int
    ) -> keras.Model:
        """BERT's own head: one dense layer without dropout; padding has `MASKED_LOGIT`."""
        import keras

        logits = output_layer(num_outputs, seed, SPANS_LAYER)(backbone.output["sequence_output"])
        is_token = keras.ops.expand_dims(backbone.input["padding_mask"], -1) > 0
        masked = keras.ops.where(is_token, logits, MASKED_LOGIT)
        return keras.Model(backbone.input, masked, name="question_answering_model")

    def loss(self, labels: Sequence[str]) -> Any:
        """Mean of the cross-entropies of the start and the end over a window's tokens.

        Outputs are `[batch, length, 2]`, targets are columns `[batch, 2]`.
        """
        import keras

        class SpanLoss(keras.losses.Loss):
            def call(self, y_true: Any, y_pred: Any) -> Any:
                columns = keras.ops.cast(y_true, "int32")
                logits = keras.ops.transpose(y_pred, (0, 2, 1))
                losses = keras.ops.sparse_categorical_crossentropy(
                    columns, logits, from_logits=True
                )
                return keras.ops.mean(losses, axis=-1)

        return SpanLoss()

    def choose_thresholds(
        self, outputs: Sequence[np.ndarray], features: SpanFeatures, facts: ModelFacts
    ) -> dict[str, Any]:
        """Chooses `null_threshold` by F1 if some questions have no answer."""
        if not any(question.is_impossible for question in features.examples):
            return dict(facts.decoding)
        best = self._best(outputs, features, facts.decoding)
        scores = [
            [f1(text, _texts(question)) for text in (_text(question, spans), "")]
            for question, (spans, _) in zip(features.examples, best, strict=True)
        ]
        answered, unanswered = np.array(scores).T
        margins = np.array([_null_margin(*each) for each in best])
        either = np.isfinite(margins)
        if not either.any():
            return dict(facts.decoding)
        threshold, _ = best_threshold(margins[either], answered[either], unanswered[either])
        return {**facts.decoding, "null_threshold": threshold}

    def _best(
        self, outputs: Sequence[np.ndarray], features: SpanFeatures, decoding: Decoding, n: int = 1
    ) -> list[tuple[list[Span], float]]:
        longest = self._known(decoding)["max_answer_tokens"]
        return [
            best_spans(outputs, features, windows, max_answer_tokens=longest, n_best=n)
            for windows in features.windows_of()
        ]

    def metrics(
        self,
        outputs: Sequence[np.ndarray],
        features: SpanFeatures,
        facts: ModelFacts,
    ) -> dict[str, float]:
        """F1 and exact match of SQuAD's script, and separate metrics for unanswerable questions."""
        threshold = self._known(facts.decoding)["null_threshold"]
        scores, impossible = [], []
        best = self._best(outputs, features, facts.decoding)
        for question, (spans, null_score) in zip(features.examples, best, strict=True):
            is_none = _is_none(spans, null_score, threshold)
            text = "" if is_none else _text(question, spans)
            answers = _texts(question)
            scores.append((f1(text, answers), exact_match(text, answers)))
            impossible.append(question.is_impossible)
        values, unanswerable = np.array(scores), np.array(impossible)
        found = dict(zip(("f1", "exact_match"), map(float, values.mean(0)), strict=True))
        if unanswerable.any() and not unanswerable.all():
            found["answerable_f1"] = float(values[~unanswerable, 0].mean())
            found["unanswerable_accuracy"] = float(values[unanswerable, 0].mean())
        return found

    def answers(
        self,
        outputs: Sequence[np.ndarray],
        features: SpanFeatures,
        facts: ModelFacts,
    ) -> list[dict[str, Any]]:
        """For each question `id`, `text` (the question) and `answers`, the best first.

        An answer has `text`, `start` and `end` (in characters of the context) and `score`, the
        softmax of the span scores in the list. If the model may give no answer, the list has an
        entry with empty text and bounds 0. The list is never empty.
        """
        known = self._known(facts.decoding)
        threshold = known["null_threshold"]
        best = self._best(outputs, features, facts.decoding, known["n_best"])
        return [
            {
                "id": question.id,
                "text": question.question,
                "answers": _listed(question, spans, null_score, threshold),
            }
            for question, (spans, null_score) in zip(features.examples, best, strict=True)
        ]

    def short_answer(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {"text": answer["answers"][0]["text"]}

    def format_answer(self, answer: Mapping[str, Any], top: int) -> str:
        listed = (f"{each['text'] or NO_ANSWER} {each['score']:.3f}" for each in answer["answers"])
        return "\t".join([*list(listed)[:top], answer["text"]])

    def log_probabilities(self, output: np.ndarray) -> np.ndarray:
        return log_softmax(output.T)


def _texts(question: Question) -> list[str]:
    return [answer.text for answer in question.answers]


def _text(question: Question, spans: Sequence[Span]) -> str:
    """The text of the best span; empty if the context has no token."""
    return question.context[spans[0].start : spans[0].end] if spans else ""


def _null_margin(spans: Sequence[Span], null_score: float) -> float:
    """Score of no answer minus the score of the best span; infinite without a span."""
    return null_score - spans[0].score if spans else np.inf


def _is_none(spans: Sequence[Span], null_score: float, threshold: float | None) -> bool:
    return not spans or (threshold is not None and _null_margin(spans, null_score) > threshold)


def _listed(
    question: Question, spans: Sequence[Span], null_score: float, threshold: float | None
) -> list[dict[str, Any]]:
    """The list of answers of `QuestionAnswering.answers`."""
    listed = list(spans)
    if _is_none(spans, null_score, threshold):
        listed.insert(0, Span(0, 0, null_score))
    elif threshold is not None:
        better = sum(span.score >= null_score for span in spans)
        listed.insert(max(1, better), Span(0, 0, null_score))
    scores = np.exp(log_softmax(np.array([[span.score for span in listed]])))[0]
    return [
        {
            "text": question.context[span.start : span.end],
            "start": span.start,
            "end": span.end,
            "score": float(score),
        }
        for span, score in zip(listed, scores, strict=True)
    ]
