"""Models that structured pruning refuses, with what helps instead."""

from __future__ import annotations

from collections.abc import Sequence

from converters.checkpoint import BertConfig
from edgebert.errors import UsageError
from edgebert.models.task_model import TaskModel


def refuse_base(model: TaskModel) -> None:
    """Refuses a model without a metric that shows what a removal costs.

    Raises:
        UsageError: The model is a bare encoder or a masked LM.
    """
    if not (model.task.comparable and model.task.has_answers):
        raise UsageError(
            "Expected a model with labels, tags, spans, scores or vectors as outputs. Received: "
            f"{model.task.model_title()}. Next: fine-tune it for such a task with `edgebert "
            "finetune`. A base is pruned with `edgebert prune` and taught with `edgebert distill`."
        )


def refuse_narrow_layers(config: BertConfig, given: Sequence[str], next_step: str) -> None:
    """Refuses to remove heads, neurons and hidden dimensions of a MobileBERT.

    Args:
        config: The shape of the model.
        given: The settings that ask for it, with their values; none are always accepted.
        next_step: What to do instead.

    Raises:
        UsageError: The model is a MobileBERT, and there are such settings.
    """
    if config.is_mobile and given:
        raise UsageError(
            "Heads, neurons and hidden dimensions of a MobileBERT are not removed: its layers are "
            "narrow already. "
            f"Received: {', '.join(given)}. Next: {next_step}, trim the vocabulary with "
            "--vocabulary-from, or export with --recipe int4."
        )
