"""Shorter sentence vectors: the first values only, as Matryoshka training allows."""

from __future__ import annotations

from dataclasses import replace

from edgebert.errors import UsageError
from edgebert.models.task_model import TaskModel


def with_dimensions(model: TaskModel, dimensions: int) -> TaskModel:
    """The model with vectors of the first `dimensions` values, scaled to length 1 again.

    Vectors that the model does not normalize are cut only.

    Args:
        model: a model for embeddings.
        dimensions: number of values to keep (Kusupati et al. 2022).

    Raises:
        UsageError: the model has no vectors, or shorter ones.
    """
    head, weights = model.checkpoint.sentence, model.checkpoint.weights
    if head is None:
        raise UsageError(
            f"--dimensions: expected a model for sentence embeddings. Received: "
            f"{model.task.model_title()}. Next: leave --dimensions out."
        )
    size = model.checkpoint.config.hidden_size * len(head.pooling)
    if head.activations:
        size = len(weights[f"sentence.dense.{len(head.activations) - 1}.kernel"])
    size = head.dimensions or size
    if not 1 <= dimensions <= size:
        raise UsageError(f"--dimensions: expected 1 to {size}. Received: {dimensions}.")
    normalize = head.normalize or head.normalize_before_cut
    cut = replace(head, dimensions=dimensions, normalize=normalize, normalize_before_cut=False)
    return replace(model, checkpoint=replace(model.checkpoint, sentence=cut))
