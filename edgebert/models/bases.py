"""Bases without a task: a bare encoder, and the encoder of a masked language model.

A base is pruned and distilled by its hidden states. The head of a masked language model stays as it
is: it reads hidden states that are near those of before.
"""

from __future__ import annotations

from dataclasses import replace

from converters.checkpoint import without_head
from converters.heads import is_head_weight
from edgebert.models.task_model import TaskModel
from edgebert.tasks import bare_encoder


def as_encoder(model: TaskModel) -> TaskModel:
    """The encoder of a masked language model; any other model is unchanged."""
    if model.task.comparable:
        return model
    checkpoint = without_head(model.checkpoint)
    return replace(model, checkpoint=checkpoint, task=bare_encoder(), decoding={})


def with_head_of(encoder: TaskModel, model: TaskModel) -> TaskModel:
    """An encoder of `as_encoder`, after a change, with the head of its model again."""
    if model.task.comparable:
        return encoder
    own = model.checkpoint.weights
    head = {name: array for name, array in own.items() if is_head_weight(name)}
    checkpoint = replace(encoder.checkpoint, weights={**encoder.checkpoint.weights, **head})
    return replace(encoder, checkpoint=checkpoint, task=model.task, decoding=model.decoding)
