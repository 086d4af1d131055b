"""Exports a `TaskModel` as a `.tflite` with everything that an app needs, and checks the file.

Every export runs the same texts through the Keras model, the float graph and the final file. The
comparison is part of the manifest, which is in the file and in a JSON file beside it.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from converters.channel_scales import balance_channels
from converters.checkpoint import Checkpoint
from converters.compaction import compact, layer_widths
from converters.heads import MASKED_LM, MaskedTokens
from converters.mapped_weights import forget_pages
from converters.norm_folding import fold_norms
from edgebert import __version__
from edgebert.errors import UsageError
from edgebert.exporting.app_readers import notes_of, readers_of
from edgebert.exporting.checking import Candidate, Checked, check
from edgebert.exporting.dimensions import with_dimensions, with_projection
from edgebert.exporting.gpu_notes import gpu_notes_of
from edgebert.exporting.graph import QuantizedGraph, build_quantized_graph
from edgebert.exporting.parity import FloatReference
from edgebert.exporting.signatures import Signatures, choose_signatures, length_note
from edgebert.models.manifest import Manifest, format_for, read_manifest
from edgebert.models.task_model import TaskModel, as_model
from edgebert.settings import ExportSettings
from edgebert.system.json_text import json_text
from edgebert.system.progress import Progress, silent
from edgebert.system.storage import atomic_files
from edgebert.tasks import task_named

_PACKAGES = ("ai-edge-litert", "keras", "keras-hub", "numpy")


@dataclass(frozen=True)
class ExportTexts:
    """Unlabelled texts that an export reads: plain texts, or examples of the task's reader.

    Attributes:
        lengths: texts like those of the app, for `lengths = "auto"`.
        checks: texts of the comparison with the Keras model; varied built-in texts when empty.
        calibration: texts like those of the app, for recipes that make a choice by measurement. The
            training data is fine.
    """

    lengths: Sequence[Any] = ()
    checks: Sequence[Any] = ()
    calibration: Sequence[Any] = ()


@dataclass(frozen=True)
class Artifact:
    """An exported file: its path, its sizes and its manifest.

    Attributes:
        path: the `.tflite`.
        size_bytes: its size.
        gzip_bytes: its size after gzip.
        manifest: its manifest.
        warning: on a recipe that changes the answers much; else empty.
        length_note: on lengths over the model's maximum length; else empty.
    """

    path: Path
    size_bytes: int
    gzip_bytes: int
    manifest: Manifest
    warning: str = ""
    length_note: str = ""

    @property
    def certificate(self) -> dict[str, Any]:
        """The comparison with the Keras model."""
        return dict(self.manifest.parity)

    @property
    def title(self) -> str:
        """The title of the task."""
        return task_named(self.manifest.task).title

    @property
    def readers(self) -> str:
        """The ready-made readers on a phone that can read the file."""
        return readers_of(self.manifest)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the lengths, and for users of these readers and of a GPU."""
        lengths = (self.length_note,) if self.length_note else ()
        return lengths + notes_of(self.manifest) + gpu_notes_of(self.path, self.manifest)


def export(
    model: TaskModel | Path | str,
    out: Path | str,
    settings: ExportSettings = ExportSettings(),
    *,
    texts: ExportTexts = ExportTexts(),
    reference: FloatReference | None = None,
    progress: Progress = silent,
) -> Artifact:
    """Writes `out`, and its manifest as `<out>.json` beside it.

    Args:
        model: a model of any task, a bare encoder, or the path of one.
        out: the `.tflite` to write; an existing file is replaced atomically.
        settings: of the export.
        texts: what the export measures on.
        reference: the float model, with labelled data if the manifest should have metrics. One
            reference can serve several exports of a model.
        progress: callback for progress.

    Raises:
        DataError: too few calibration texts for a recipe that needs them.
        UsageError: settings exclude each other, or a length is out of range.
        EdgebertError: the float graph differs from the Keras model.
        ModelError: the checkpoint can't be exported.
        QualityGateError: the file is beyond the limits of its recipe (`final_check`), or the task's
            metric on the labelled data drops by more than `max_drop` points.
    """
    model = as_model(model)
    is_shared = reference is not None and not settings.dimensions
    if settings.dimensions:
        if settings.dimensions_by == "pca":
            model = with_projection(model, settings.dimensions, texts.calibration)
        else:
            model = with_dimensions(model, settings.dimensions)
        reference = FloatReference(model, reference.labelled if reference else None)
    reference = reference or FloatReference(model)
    model = _with_masks(model, settings)
    signatures = choose_signatures(model, settings, texts.lengths)
    progress("build", 0, 3)
    compacted = replace(model, checkpoint=simplified(model.checkpoint))
    forget_pages(model.checkpoint.weights.values())
    graph = build_quantized_graph(
        compacted,
        signatures,
        settings,
        calibration_texts=texts.calibration,
        progress=progress,
    )
    layers = tuple(asdict(width) for width in layer_widths(compacted.checkpoint))
    manifest = replace(_manifest(model, settings, signatures, graph), layers=layers)
    candidate = Candidate(model, compacted.checkpoint, signatures, manifest)
    with tempfile.TemporaryDirectory(prefix="edgebert-") as scratch:
        body = Path(scratch) / "graph"
        body.write_bytes(graph.body)
        del graph  # the checks need the memory
        progress("check", 1, 3)
        checked = check(candidate, body, reference, settings, texts.checks)
        if not is_shared:
            reference.forget()
        progress("write", 2, 3)
        artifact = _write(Path(out), candidate, body.read_bytes(), checked)
    progress("write", 3, 3)
    return replace(artifact, warning=checked.warning, length_note=length_note(model, signatures))


def simplified(checkpoint: Checkpoint) -> Checkpoint:
    """The same function as it is exported: without pruned parts, easier to quantize."""
    return fold_norms(balance_channels(compact(checkpoint)))


def manifest_path(path: Path) -> Path:
    """The path of the manifest beside a file: `model.tflite.json` for `model.tflite`."""
    return path.with_name(path.name + ".json")


def gzip_size(data: bytes) -> int:
    """Size after gzip (level 6) in bytes, as an app store ships the file."""
    return len(gzip.compress(data, compresslevel=6, mtime=0))


def _with_masks(model: TaskModel, settings: ExportSettings) -> TaskModel:
    """A masked language model with the number of masks that its graph answers; others unchanged.

    Raises:
        UsageError: the number of masks is below 1.
    """
    if model.checkpoint.head != MASKED_LM:
        return model
    if settings.masks < 1:
        raise UsageError(f"--masks is at least 1. Received: {settings.masks}.")
    vocabulary = model.tokenizer.vocabulary
    masked = MaskedTokens(vocabulary.id_of(vocabulary.mask_token), settings.masks)
    decoding = {**model.decoding, "masks": settings.masks}
    return replace(model, checkpoint=replace(model.checkpoint, masked=masked), decoding=decoding)


def _manifest(
    model: TaskModel, settings: ExportSettings, signatures: Signatures, graph: QuantizedGraph
) -> Manifest:
    """The manifest without the results of the checks."""
    vocabulary = model.tokenizer.vocabulary
    return Manifest(
        task=model.task.name,
        labels=tuple(model.labels),
        decoding=model.task.complete_decoding(model.decoding),
        output=signatures.output,
        lengths=signatures.fixed_lengths,
        max_length=signatures.max_length,
        recipe=settings.recipe,
        format=format_for(vocabulary),
        tokenizer=vocabulary.to_settings(),
        vocabulary_sha256=vocabulary.sha256,
        weights_sha256=model.checkpoint.weights_sha256(),
        config=dict(vars(model.checkpoint.config)),
        history=tuple(model.history),
        versions={"edgebert": __version__, **{name: version(name) for name in _PACKAGES}},
        precision=graph.precision,
        calibration=graph.calibration,
    )


def _write(out: Path, candidate: Candidate, body: bytes, checked: Checked) -> Artifact:
    quality = {} if checked.quality is None else checked.quality.to_dict()
    manifest = replace(candidate.manifest, parity=checked.certificate.to_dict(), quality=quality)
    data = b"".join(candidate.packed(body, manifest))
    del body
    manifest = read_manifest(out, data)
    text = json_text(manifest.to_dict(), indent=2)
    atomic_files({out: data, manifest_path(out): text + "\n"})
    return Artifact(out, len(data), gzip_size(data), manifest)
