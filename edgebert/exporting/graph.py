"""Builds the graph of a checkpoint with a quantization recipe.

A plain recipe needs the checkpoint only. A recipe that makes a choice by measurement needs
calibration texts, and its result includes the measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from converters.checkpoint import Checkpoint
from converters.errors import ConversionError
from converters.tflite.inference_graph import Precision, build_inference_graph
from edgebert.errors import ModelError, UsageError
from edgebert.exporting.signatures import Signatures
from edgebert.models.task_model import TaskModel
from edgebert.quantization.calibration import calibrate
from edgebert.quantization.mixed_precision import choose_int4
from edgebert.quantization.recipes import STATIC, precision_of, recipe_of
from edgebert.quantization.static_precision import choose_static
from edgebert.settings import ExportSettings
from edgebert.system.progress import Progress, silent

INT4_BLOCK_STEP = 32
"""XNNPACK supports block sizes that are multiples of this."""


@dataclass(frozen=True)
class QuantizedGraph:
    """A graph with its quantization.

    Attributes:
        body: the `.tflite` without metadata.
        precision: how kernels and embeddings are stored, for the manifest.
        calibration: measurements of a recipe that makes a choice; else empty.
    """

    body: bytes | memoryview
    precision: dict[str, str]
    calibration: dict[str, Any] = field(default_factory=dict)


def build_quantized_graph(
    model: TaskModel,
    signatures: Signatures,
    settings: ExportSettings,
    *,
    calibration_texts: Sequence[Any] = (),
    progress: Progress = silent,
) -> QuantizedGraph:
    """Builds the graph with the recipe of the settings.

    Args:
        model: its checkpoint is compacted, as it is exported.
        signatures: of the graph.
        settings: of the export.
        calibration_texts: texts, or examples of the task's reader, for recipes that make a choice.
        progress: callback for progress.

    Raises:
        UsageError: the recipe is unknown, or the runtime does not support the block size.
        DataError: fewer than two calibration texts for a recipe that needs them.
        MissingExtraError: the package of a static recipe is not installed.
        ModelError: the checkpoint can't be exported.
    """
    recipe, precision, checkpoint = recipe_of(settings), precision_of(settings), model.checkpoint
    if settings.int4_block % INT4_BLOCK_STEP or settings.int4_block < 0:
        raise UsageError(
            f"--int4-block is 0 or a multiple of {INT4_BLOCK_STEP}. "
            f"Received: {settings.int4_block}."
        )
    stored = {"kernels": precision.kernels, "embeddings": precision.embeddings}
    if not recipe.decide:
        return QuantizedGraph(build_graph(checkpoint, signatures, precision), stored)
    stored["kernels"] = recipe.name
    calibration = calibrate(model, calibration_texts, signatures.max_length, settings)
    max_error = settings.max_error or recipe.max_error
    try:
        if recipe.decide == STATIC:
            static = choose_static(
                calibration, recipe.activation_bits, max_error, precision, progress
            )
            body = static.graph(calibration, signatures.lengths, signatures.output, precision)
            return QuantizedGraph(body, stored, static.to_dict())
        share, block = settings.int4_share, settings.int4_block
        int4 = choose_int4(calibration, share, block, max_error, precision, progress)
    except ConversionError as error:
        raise ModelError(str(error)) from error
    precision = replace(precision, by_kernel=int4.by_kernel)
    return QuantizedGraph(build_graph(checkpoint, signatures, precision), stored, int4.to_dict())


def build_graph(checkpoint: Checkpoint, signatures: Signatures, precision: Precision) -> memoryview:
    """The `.tflite` without metadata.

    Raises:
        ModelError: the checkpoint can't be exported.
    """
    try:
        return build_inference_graph(
            checkpoint, signatures.lengths, precision, signatures.output, description="edgebert"
        ).content()
    except ConversionError as error:
        raise ModelError(str(error)) from error
