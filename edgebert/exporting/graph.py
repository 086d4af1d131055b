"""From a checkpoint and a recipe to the bytes of a graph: what was measured, and what was chosen.

A plain recipe lays the graph out at once. One that decides by measurement is given calibration
texts, and says afterwards what it found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from converters.checkpoint import Checkpoint
from converters.errors import ConversionError
from converters.tflite.inference_graph import Precision, build_inference_graph
from edgebert.errors import ModelError, UsageError
from edgebert.models.task_model import TaskModel
from edgebert.quantization.calibration import calibrate
from edgebert.quantization.mixed_precision import choose_int4
from edgebert.quantization.recipes import STATIC, precision_of, recipe_of
from edgebert.quantization.static_precision import choose_static
from edgebert.settings import ExportSettings
from edgebert.system.progress import Progress, silent

INT4_BLOCK_STEP = 32
"""XNNPACK takes blocks of multiples of this."""


@dataclass(frozen=True)
class Layout:
    """A graph, and how its weights are stored.

    Attributes:
        body: the `.tflite` without metadata.
        precision: for the manifest: what kernels and embeddings are stored as.
        calibration: what was measured and chosen; empty for recipes that choose nothing.
    """

    body: bytes
    precision: dict[str, Any]
    calibration: dict[str, Any] = field(default_factory=dict)


def lay_out(
    model: TaskModel,
    lengths: Sequence[int],
    output: str,
    settings: ExportSettings,
    calibration_texts: Sequence[Any] = (),
    max_length: int = 128,
    progress: Progress = silent,
) -> Layout:
    """Lays a checkpoint out as the settings' recipe says.

    Args:
        model: its checkpoint as it is to be exported, compacted.
        lengths: of the signatures.
        output: of the graph.
        calibration_texts: for recipes that decide by measurement: text as the app will see it.
        max_length: longest text in tokens.

    Raises:
        UsageError: a recipe that there is not, or blocks that the runtime does not take.
        DataError: fewer than two calibration texts for a recipe that needs them.
        MissingExtraError: the package of a static recipe is not installed.
        ModelError: the checkpoint can't be laid out.
    """
    recipe, precision, checkpoint = recipe_of(settings), precision_of(settings), model.checkpoint
    if settings.int4_block % INT4_BLOCK_STEP or settings.int4_block < 0:
        raise UsageError(
            f"--int4-block is 0 or a multiple of {INT4_BLOCK_STEP}. "
            f"Received: {settings.int4_block}."
        )
    if not recipe.decide:
        return Layout(graph_of(checkpoint, lengths, precision, output), _plain(precision))
    calibration = calibrate(model, calibration_texts, max_length, settings)
    max_error = settings.max_error or recipe.max_error
    stored = {**_plain(precision), "kernels": recipe.name}
    try:
        if recipe.decide == STATIC:
            static = choose_static(
                calibration, recipe.activation_bits, max_error, precision, progress
            )
            body = static.graph(calibration, lengths, output, precision)
            return Layout(body, stored, static.to_dict())
        share, block = settings.int4_share, settings.int4_block
        int4 = choose_int4(calibration, share, block, max_error, precision, progress)
    except ConversionError as error:
        raise ModelError(str(error)) from error
    by_kernel = replace(precision, by_kernel=int4.by_kernel)
    return Layout(graph_of(checkpoint, lengths, by_kernel, output), stored, int4.to_dict())


def graph_of(
    checkpoint: Checkpoint, lengths: Sequence[int], precision: Precision, output: str
) -> bytes:
    """A graph without metadata.

    Raises:
        ModelError: the checkpoint can't be laid out.
    """
    try:
        return build_inference_graph(
            checkpoint, lengths, precision, output, description="edgebert"
        ).finish()
    except ConversionError as error:
        raise ModelError(str(error)) from error


def _plain(precision: Precision) -> dict[str, Any]:
    return {"kernels": precision.kernels, "embeddings": precision.embeddings}
