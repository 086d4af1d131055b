"""Checks a graph before it is written: the final file, the float graph, then the Keras model.

They run one after another, and each is closed before the next one is opened: memory never holds the
weights of two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.checkpoint import Checkpoint
from converters.mapped_weights import forget_pages
from converters.tflite.inference_graph import Precision
from edgebert.errors import EdgebertError, QualityGateError
from edgebert.exporting.final_check import check_final
from edgebert.exporting.graph import build_graph
from edgebert.exporting.packaging import Parts, pack
from edgebert.exporting.parity import (
    Certificate,
    CheckOutputs,
    CheckTexts,
    FloatReference,
    Quality,
    certify,
)
from edgebert.exporting.signatures import Signatures
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.manifest import Manifest
from edgebert.models.task_model import TaskModel
from edgebert.quantization.calibration import FLOAT
from edgebert.quantization.recipes import precision_of
from edgebert.settings import ExportSettings
from edgebert.system.memory import give_back_memory

FLOAT_TOLERANCE = 1e-3
"""Largest accepted difference between the float graph and the Keras model."""

Body = bytes | memoryview
"""A graph without metadata."""


@dataclass(frozen=True)
class Candidate:
    """A model on its way to a file.

    Attributes:
        model: the model, with the number of masks that its graph answers.
        simplified: its checkpoint as it is exported.
        signatures: of the graph.
        manifest: without the results of the checks.
    """

    model: TaskModel
    simplified: Checkpoint
    signatures: Signatures
    manifest: Manifest

    def packed(self, body: Body, manifest: Manifest | None = None) -> Parts:
        """A graph with what an app needs, in parts."""
        checkpoint, vocabulary = self.model.checkpoint, self.model.tokenizer.vocabulary
        return pack(body, manifest or self.manifest, vocabulary, checkpoint.head)

    def graph(self, precision: Precision) -> Body:
        """The graph with another precision."""
        return build_graph(self.simplified, self.signatures, precision)


@dataclass(frozen=True)
class Checked:
    """The results of the checks of a file.

    Attributes:
        certificate: the comparison with the Keras model.
        quality: metrics on labelled data; None without such data.
        warning: on a recipe that changes the answers much; else empty.
    """

    certificate: Certificate
    quality: Quality | None
    warning: str


def check(
    candidate: Candidate,
    body: Path,
    reference: FloatReference,
    settings: ExportSettings,
    examples: Sequence[Any],
) -> Checked:
    """Compares a graph with its float graph and the Keras model.

    Args:
        candidate: the model.
        body: the graph without metadata, a file. Others are written beside it, and removed.
        reference: the float model, with labelled data if the metrics are compared, too.
        settings: of the export.
        examples: texts or examples of the comparison.

    Raises:
        EdgebertError: the float graph differs from the Keras model.
        QualityGateError: the file is beyond the limits of its recipe, or the task's metric drops by
            more than `max_drop` points.
    """
    path, task = body.with_suffix(".checked.tflite"), reference.model.task
    final = _open(candidate, body.read_bytes(), path)
    texts = CheckTexts(reference.model, final, examples)
    in_final = texts.in_file(final)
    measured = None if reference.labelled is None else reference.measure(final)
    del final

    def with_precision(precision: Precision) -> list[np.ndarray]:
        return texts.in_file(_open(candidate, candidate.graph(precision), path))

    in_float = with_precision(FLOAT)
    give_back_memory()
    in_keras = texts.in_keras(reference.predictor)
    certificate = certify(task, texts, CheckOutputs(in_keras, in_float, in_final))
    _check_graph(certificate)

    def with_recipe(recipe: str) -> Certificate:
        outputs = with_precision(precision_of(ExportSettings(recipe=recipe)))
        return certify(task, texts, CheckOutputs(in_keras, in_float, outputs))

    warning = check_final(certificate, settings, with_recipe)
    quality = None if measured is None else reference.judge(measured)
    _check_drop(quality, settings)
    return Checked(certificate, quality, warning)


def _open(candidate: Candidate, body: Body, path: Path) -> LiteRtModel:
    """Opens a graph as the file that it would be; no file stays."""
    path.unlink(missing_ok=True)  # another model may still have the old one in memory
    with path.open("wb") as file:
        file.writelines(candidate.packed(body))
    del body  # of a caller that keeps none, before the file is read
    forget_pages(candidate.model.checkpoint.weights.values())
    return LiteRtModel.open(path)


def _check_graph(certificate: Certificate) -> None:
    if not certificate.token_ids_equal:
        raise EdgebertError(
            "The vocabulary in the file gives other token ids than the model's tokenizer. "
            "Nothing was written. Next: report this with the model folder's tokenizer files."
        )
    if not certificate.float_max_error <= FLOAT_TOLERANCE:  # also refuses NaN
        raise EdgebertError(
            f"The float graph differs from the Keras model by {certificate.float_max_error:.2e}, "
            f"expected at most {FLOAT_TOLERANCE:.0e}. Nothing was written. Next: report this with "
            "the model's config.json."
        )


def _check_drop(quality: Quality | None, settings: ExportSettings) -> None:
    if quality is not None and not quality.drop_points <= settings.max_drop:
        raise QualityGateError(
            f"The {quality.metric} may drop by at most {settings.max_drop:g} points. "
            f"Received: {quality.value:.2%} with recipe {settings.recipe} against "
            f"{quality.float_value:.2%} of the float model on {quality.data} "
            f"({quality.drop_points:.2f} points). Nothing was written. "
            "Next: try --recipe weight-int8 or float16."
        )
