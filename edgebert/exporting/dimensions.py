"""Shorter sentence vectors: the first values, or a projection that keeps most of the cosines.

The first values are right for models with Matryoshka training (Kusupati et al. 2022). For any other
model, the projection loses less. It is the linear layer to D values whose dot products are nearest
to those of the whole vectors on given texts, in least squares: the D principal directions of the
vectors, without centering (Eckart and Young 1936).

Example: of the vectors [0.6, 0, 0.8] and [0.8, 0, 0.6], the first two values are [0.6, 0] and
[0.8, 0], whose cosine is 1 instead of 0.96. The two principal directions are [1, 0, 1] and
[-1, 0, 1], divided by the root of 2, which lose nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.heads import IDENTITY, SentenceHead
from edgebert.errors import UsageError
from edgebert.evaluation.predictors import KerasPredictor
from edgebert.models.task_model import TaskModel
from edgebert.tasks.examples import encodings_of

PROJECTION_TEXTS = 4096
"""Maximum number of examples that a projection is computed from."""


def with_dimensions(model: TaskModel, dimensions: int) -> TaskModel:
    """The model with vectors of the first `dimensions` values, scaled to length 1 again.

    Vectors that the model does not normalize are cut only.

    Args:
        model: a model for embeddings.
        dimensions: number of values to keep (Kusupati et al. 2022).

    Raises:
        UsageError: the model has no vectors, or shorter ones.
    """
    head = _checked_head(model, dimensions)
    normalize = head.normalize or head.normalize_before_cut
    cut = replace(head, dimensions=dimensions, normalize=normalize, normalize_before_cut=False)
    return replace(model, checkpoint=replace(model.checkpoint, sentence=cut))


def with_projection(model: TaskModel, dimensions: int, examples: Sequence[Any]) -> TaskModel:
    """The model with a further dense layer to `dimensions` values, and normalization as before.

    Args:
        model: a model for embeddings.
        dimensions: number of values of the new vectors.
        examples: texts like those of the app, or examples of the task. At most `PROJECTION_TEXTS`
            of them are used, at even distances.

    Raises:
        UsageError: the model has no vectors, or shorter ones, or there are fewer texts than
            `dimensions`.
    """
    head = _checked_head(model, dimensions)
    taken = examples[:: -(-len(examples) // PROJECTION_TEXTS) or 1]
    encodings = encodings_of(model, taken, model.max_length)
    if len(encodings) < dimensions:
        raise UsageError(
            f"--dimensions-by pca: expected at least {dimensions} texts with --calibration, better "
            f"some thousand. Received: {len(encodings)}. Next: give a file with more texts."
        )
    directions = principal_directions(
        np.stack(KerasPredictor(model).outputs(encodings)).astype(np.float64), dimensions
    )
    size, number = _size(model, head), len(head.activations)
    kernel = np.zeros((dimensions, size), np.float32)
    kernel[:, : directions.shape[1]] = directions
    weights = {
        **model.checkpoint.weights,
        f"sentence.dense.{number}.kernel": kernel,
        f"sentence.dense.{number}.bias": np.zeros(dimensions, np.float32),
    }
    # A projection without a bias may come before the normalization: the direction is the same.
    projected = SentenceHead(
        head.pooling,
        (*head.activations, IDENTITY),
        normalize=head.normalize or head.normalize_before_cut,
    )
    return replace(model, checkpoint=replace(model.checkpoint, weights=weights, sentence=projected))


def principal_directions(vectors: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """The eigenvectors of the second moment with the largest eigenvalues, `[count, size]`.

    Args:
        vectors: vectors `[texts, size]`; they are not centered.
        count: number of directions, at most `size`.
    """
    _, columns = np.linalg.eigh(vectors.T @ vectors)
    return np.asarray(columns[:, ::-1][:, :count].T, np.float64)


def _checked_head(model: TaskModel, dimensions: int) -> SentenceHead:
    """The head of a model whose vectors have at least this many values.

    Raises:
        UsageError: the model has no vectors, or shorter ones.
    """
    head = model.checkpoint.sentence
    if head is None:
        raise UsageError(
            f"--dimensions: expected a model for sentence embeddings. Received: "
            f"{model.task.model_title()}. Next: leave --dimensions out."
        )
    size = head.dimensions or _size(model, head)
    if not 1 <= dimensions <= size:
        raise UsageError(f"--dimensions: expected 1 to {size}. Received: {dimensions}.")
    return head


def _size(model: TaskModel, head: SentenceHead) -> int:
    """The size of a vector before it is cut."""
    if head.activations:
        kernel = model.checkpoint.weights[f"sentence.dense.{len(head.activations) - 1}.kernel"]
        return len(kernel)
    return model.checkpoint.config.hidden_size * len(head.pooling)
