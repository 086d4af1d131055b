"""The task of a model that edgebert did not save: by its files, its label names, or a request.

A head alone does not tell everything: whether a classifier reads single texts or pairs, and whether
tags are those of entities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from converters import heads
from converters.checkpoint import Checkpoint
from edgebert.errors import UsageError
from edgebert.settings import TASKS
from edgebert.tasks import task_named, task_of_checkpoint
from edgebert.tasks.recognition import are_parts_of_speech, entity_labels
from edgebert.tasks.task import Decoding, Task

_PAIR_LABELS = (
    "entail",
    "contradict",
    "not_entail",
    "duplicate",
    "not_duplicate",
    "paraphrase",
    "not_paraphrase",
    "equivalent",
    "not_equivalent",
)
"""Starts of label names that only a comparison of two texts has."""

_WORD_TAGS = "The labels are taken as tags of words; --task ner takes them as types of entities."

NO_PROMPT = "none"
"""Value of --prompt for texts as they are."""


@dataclass(frozen=True)
class TaskRequest:
    """What the user says about a model.

    Attributes:
        task: name of the task; empty or `auto` to detect it.
        pairs: whether an input is a pair of texts.
        prompt: name of the model's prompt that is put before every text, or `none`; empty for the
            model's default.
    """

    task: str = ""
    pairs: bool = False
    prompt: str = ""

    @property
    def name(self) -> str:
        """The name of the task; empty to detect it."""
        return "" if self.task == "auto" else self.task


@dataclass(frozen=True)
class FoundTask:
    """The task of a model, with its checkpoint, decoding and notes."""

    task: Task[Any]
    checkpoint: Checkpoint
    decoding: Decoding


def find_task(
    checkpoint: Checkpoint, decoding: Decoding, saved: str, is_pair: bool, request: TaskRequest
) -> FoundTask:
    """The task of a model.

    Args:
        checkpoint: the model.
        decoding: its stored decoding.
        saved: name of the task in `edgebert.json`; empty for a model from another source.
        is_pair: whether the folder says that the model reads pairs.
        request: what the user says, which counts before everything else.

    Raises:
        UsageError: the requested task does not fit the head of the model.
    """
    task = task_named(saved) if saved else task_of_checkpoint(checkpoint)
    if not task.fits(checkpoint):
        task, saved = task_of_checkpoint(checkpoint), ""
    notes: list[str] = []
    wants_pairs = request.pairs or request.name == "pairs"
    if request.name:
        task = _requested(request.name, checkpoint)
    elif not saved:
        wants_pairs = wants_pairs or is_pair or _has_pair_labels(checkpoint)
        notes += [] if request.pairs else _notes(checkpoint, wants_pairs, is_pair)
    if wants_pairs:
        task, decoding = _of_pairs(task, decoding)
    elif task.name == "pos" and not saved and not request.name:
        notes += [] if are_parts_of_speech(checkpoint.labels) else [_WORD_TAGS]
    if task.name == "ner":
        checkpoint, found = _with_entity_labels(checkpoint)
        notes += found
    checkpoint = replace(checkpoint, notes=(*checkpoint.notes, *notes))
    return FoundTask(task, checkpoint, with_prompt(decoding, request.prompt))


def with_prompt(decoding: Decoding, name: str) -> Decoding:
    """The decoding with one of the model's prompts, by its name, before every text.

    Raises:
        UsageError: The model has no such prompt.
    """
    prompts = decoding.get("prompts", {})
    if not name:
        return decoding
    if name not in (*prompts, NO_PROMPT):
        raise UsageError(
            f"--prompt: expected one of the model's prompts ({', '.join(prompts) or 'none here'}), "
            f"or {NO_PROMPT}. Received: {name}."
        )
    return {**decoding, "prompt": prompts.get(name, "")}


def _requested(name: str, checkpoint: Checkpoint) -> Task[Any]:
    task = task_named(name)
    if task.fits(checkpoint):
        return task
    fitting = [other for other in TASKS if task_named(other).fits(checkpoint)]
    raise UsageError(
        f"--task: expected a task of the model's head ({', '.join(fitting) or 'none'}). "
        f"Received: {name}. Next: leave --task out, or fine-tune the model for {name}."
    )


def _of_pairs(task: Task[Any], decoding: Decoding) -> tuple[Task[Any], Decoding]:
    """The task and the decoding with two texts as an input."""
    if task.name in ("classification", "pairs"):
        return task_named("pairs"), decoding
    if task.name == "regression":
        return task, {**decoding, "texts": 2}
    raise UsageError(
        f"--pairs: expected a classifier or a regression. Received: {task.model_title()}. "
        "Next: leave --pairs out."
    )


def _has_pair_labels(checkpoint: Checkpoint) -> bool:
    """Whether at least one label compares two texts, such as entailment."""
    if checkpoint.head != heads.CLASSIFIER or checkpoint.problem != heads.SINGLE_LABEL:
        return False
    names = (label.lower().replace(" ", "_").replace("-", "_") for label in checkpoint.labels)
    return any(name.startswith(_PAIR_LABELS) for name in names)


def _notes(checkpoint: Checkpoint, wants_pairs: bool, is_cross_encoder: bool) -> list[str]:
    if checkpoint.head != heads.CLASSIFIER:
        return []
    if is_cross_encoder:
        return [
            "The folder is a CrossEncoder of sentence-transformers: an input is a pair of texts."
        ]
    if wants_pairs:
        return [
            f"An input is taken to be a pair of texts, by the labels "
            f"{', '.join(checkpoint.labels)}; --task classification takes single texts."
        ]
    if checkpoint.problem == heads.REGRESSION:
        return [
            "The model gives a score of single texts. If it scores pairs, such as a query and a "
            "passage, add --pairs."
        ]
    return []


def _with_entity_labels(checkpoint: Checkpoint) -> tuple[Checkpoint, list[str]]:
    """The labels with a prefix for every entity type, and what was taken."""
    labels = entity_labels(checkpoint.labels)
    notes = []
    renamed = [label for label, new in zip(checkpoint.labels, labels, strict=True) if label != new]
    if renamed:
        notes.append(
            f"The labels {_listed(renamed)} are taken as types of entities (I-{renamed[0]})."
        )
    outside = [label for label in labels if "-" not in label and label != "O"]
    if outside:
        notes.append(
            f"The labels {_listed(outside)} are taken as outside of entities; --task pos gives "
            "them as tags."
        )
    return replace(checkpoint, labels=labels), notes


def _listed(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > 6 else ""
    return ", ".join(names[:6]) + more
