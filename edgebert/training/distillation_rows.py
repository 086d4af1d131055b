"""The training rows of a distillation: labelled examples, unlabelled ones and changed copies.

The rows of labelled examples come first, then those of unlabelled examples, then those of changed
copies of all of them (`edgebert.encoding.augmentation`). What the teacher computes for the rows is
added to them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgebert.data.datasets import Dataset
from edgebert.encoding.augmentation import augment
from edgebert.encoding.encoded_rows import EncodedRows, rows_of
from edgebert.encoding.tokenizer import Encoding
from edgebert.encoding.word_splitting import count_tokens, split_rare_words
from edgebert.models.task_model import TaskModel
from edgebert.settings import FinetuneSettings
from edgebert.system.progress import Progress
from edgebert.tasks.labelled_rows import LabelledRows
from edgebert.tasks.task import Task, TrainingRows
from edgebert.training.kept_states import KeptStates, states_bytes
from edgebert.training.stage_run import StageRun

if TYPE_CHECKING:
    from edgebert.training.distilling import Teacher

SPLIT = 0.1
"""Probability with which a rare word of a changed copy is split into pieces for the student."""


@dataclass(frozen=True)
class TaughtExamples:
    """The examples that a student learns from, in the order of their rows."""

    labelled: Sequence[Any]
    unlabelled: Sequence[Any] = ()
    copies: Sequence[Any] = ()

    @property
    def without_label(self) -> list[Any]:
        """The examples after the labelled ones."""
        return [*self.unlabelled, *self.copies]

    @property
    def sources(self) -> npt.NDArray[np.int64]:
        """The example that each one of `without_label` is a copy of, or -1."""
        originals = len(self.labelled) + len(self.unlabelled)
        numbers = np.arange(len(self.copies)) % max(1, originals)
        return np.concatenate([np.full(len(self.unlabelled), -1, np.int64), numbers])


def labelled_part(task: Task[Any], data: Dataset) -> Dataset | None:
    """The labelled examples of a data set, or None if it has none."""
    kept = tuple(example for example in data.examples if task.is_labelled(example))
    if len(kept) == len(data):
        return data
    return replace(data, examples=kept) if kept else None


def taught_examples(teacher: TaskModel, train: Dataset, copies: int, seed: int) -> TaughtExamples:
    """Separates labelled from unlabelled examples, and makes changed copies of both.

    Args:
        teacher: Its task, tokenizer and token embeddings are used.
        train: Examples with and without labels.
        copies: Number of changed copies of each example.
        seed: Seed of the copies.
    """
    task = teacher.task
    known = labelled_part(task, train)
    labelled: Sequence[Any] = () if known is None else known.examples
    rest = [each for each in train.examples if not task.is_labelled(each)]
    unlabelled = task.in_form_of(labelled, rest)
    if not copies:
        return TaughtExamples(labelled, unlabelled)
    originals = [*labelled, *unlabelled]
    texts = [task.copied_texts(example) for example in originals]
    changed = iter(
        augment(
            teacher.tokenizer,
            teacher.checkpoint.weights["embeddings.token"],
            [text for each in texts for text in each],
            copies=copies,
            seed=seed,
            cuts=task.cuts_copies,
        )
    )
    made = [
        task.copy_of(example, [next(changed) for _ in own])
        for _ in range(copies)
        for example, own in zip(originals, texts, strict=True)
    ]
    return TaughtExamples(labelled, unlabelled, made)


def distillation_rows(
    student: TaskModel, taught: TaughtExamples, recipe: FinetuneSettings
) -> TrainingRows:
    """The student's training rows. Rows without a label have the weight 0.

    Args:
        student: The student, with the teacher's task, labels and decoding.
        taught: The examples.
        recipe: The largest length, the class weights and the seed.
    """
    task, facts, tokenizer = student.task, student.facts, student.tokenizer

    further = further_rows(student, taught, recipe) if taught.without_label else None
    if not len(taught.labelled):
        assert further is not None, "a data set has at least one example"
        count = len(further)
        return LabelledRows(further, np.zeros(count, np.int32), np.zeros(count, np.float32))
    features = task.features(tokenizer, taught.labelled, recipe.max_length, facts.decoding)
    rows: Any = task.rows(features, facts, recipe, tokenizer)
    return rows if further is None else rows.followed_by(further, taught.sources)


def further_rows(
    student: TaskModel, taught: TaughtExamples, recipe: FinetuneSettings
) -> EncodedRows:
    """The encodings of the examples without a label; rare words of changed copies are split."""
    task, tokenizer = student.task, student.tokenizer
    parts: list[Encoding] = []
    for examples, is_copy in ((taught.unlabelled, False), (taught.copies, True)):
        decoding = student.facts.decoding
        found = task.features(tokenizer, examples, recipe.max_length, decoding).encodings
        if is_copy and task.teacher_runs_once:
            originals = [*taught.labelled, *taught.unlabelled]
            texts = [text for each in originals for text in task.input_texts(each)]
            found = split_rare_words(
                tokenizer,
                found,
                count_tokens(tokenizer, texts),
                probability=SPLIT,
                seed=recipe.seed,
                max_length=recipe.max_length,
            )
        parts.extend(found)
    return rows_of(parts, tokenizer.pad_id)


def own_encodings(teacher: TaskModel, taught: TaughtExamples, max_length: int) -> EncodedRows:
    """The examples in the tokens of the teacher, which may have more of them than the student."""
    examples = [*taught.labelled, *taught.without_label]
    length = min(max_length, teacher.max_length)
    features = teacher.task.features(teacher.tokenizer, examples, length, teacher.facts.decoding)
    return rows_of(features.encodings, teacher.tokenizer.pad_id)


def with_teacher_outputs(
    rows: LabelledRows,
    teacher: Teacher,
    own: EncodedRows,
    kept: KeptStates | None,
    progress: Progress,
) -> LabelledRows:
    """The rows with the teacher's outputs for its own tokens of the same examples.

    Args:
        rows: The student's rows.
        teacher: The teacher.
        own: The examples in the teacher's tokens.
        kept: What the teacher computed for the student's tokens: only texts with other tokens are
            computed here. None computes all.
        progress: Called after every batch.
    """
    from edgebert.training.distilling import outputs_of

    if kept is None:
        every = np.arange(len(own))
        return replace(rows, teacher_logits=outputs_of(teacher, own, every, progress))
    texts = _different(_translated(rows.encoded, teacher), own)
    outputs = kept.outputs
    if len(texts):
        outputs = outputs.copy()
        outputs[texts] = outputs_of(teacher, own, texts, progress)
    return replace(rows, teacher_logits=outputs)


def _translated(encoded: EncodedRows, teacher: Teacher) -> EncodedRows:
    """A student's texts in the token ids of the teacher."""
    return replace(encoded, token_ids=teacher.token_ids[encoded.token_ids])


def _different(some: EncodedRows, others: EncodedRows) -> npt.NDArray[np.int64]:
    """The numbers of the texts that do not have the same tokens in both."""

    def text(rows: EncodedRows, number: int) -> bytes:
        part = slice(rows.starts[number], rows.starts[number + 1])
        return rows.token_ids[part].tobytes() + rows.segment_ids[part].tobytes()

    differ = [text(some, number) != text(others, number) for number in range(len(some))]
    return np.flatnonzero(differ)


def kept_states(
    encoded: EncodedRows, teacher: Teacher, needs_states: bool, longest: int, run: StageRun
) -> KeptStates | None:
    """What the teacher computes for the texts of a student; None if its states have no room.

    Args:
        encoded: The texts in the student's tokens.
        teacher: The teacher.
        needs_states: Whether the student learns from the hidden states of all layers.
        longest: Maximum number of columns of a batch.
        run: The states of other students, and the progress.
    """
    config = teacher.config
    layers = config.num_layers if needs_states else 0
    size_bytes = states_bytes(len(encoded.token_ids), layers, config.hidden_size)
    key = _key_of(_translated(encoded, teacher), teacher.identity, longest, needs_states)
    compute = teacher.runner(needs_states)

    def make() -> KeptStates:
        return KeptStates(encoded, longest, compute, run.progress)

    return run.states.of(key, size_bytes, make)


def _key_of(encoded: EncodedRows, *more: Any) -> str:
    """What the states of some texts depend on, as a hash."""
    digest = hashlib.sha256(repr(more).encode())
    for array in (encoded.token_ids, encoded.segment_ids, encoded.starts):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
