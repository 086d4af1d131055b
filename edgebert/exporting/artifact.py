"""Exports a `TaskModel` as a `.tflite` that carries all an app needs, and proves that it is right.

Every export checks itself: the same texts go through the Keras model, the float graph and the final
file, and the comparison is written into the manifest, which travels in the file and beside it.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from converters.compaction import compact, layer_widths
from converters.heads import MASKED_LM, MaskedTokens
from converters.tflite.inference_graph import DYNAMIC_LENGTH
from edgebert import __version__
from edgebert.encoding.lengths import parse_lengths, pick_lengths
from edgebert.errors import EdgebertError, QualityGateError, UsageError
from edgebert.exporting.app_readers import notes_of, readers_of
from edgebert.exporting.graph import graph_of, lay_out
from edgebert.exporting.packaging import pack
from edgebert.exporting.parity import Certificate, FloatReference, Quality, certify
from edgebert.models.litert_model import MANIFEST_FORMAT, LiteRtModel
from edgebert.models.task_model import TaskModel
from edgebert.quantization.calibration import FLOAT
from edgebert.settings import ExportSettings
from edgebert.system.progress import Progress, silent
from edgebert.system.storage import atomic_write
from edgebert.tasks import task_named
from edgebert.tasks.examples import encodings_of

AUTO = "auto"
FLOAT_TOLERANCE = 1e-3
"""A float graph further than this from the Keras model is a fault, and nothing is written."""


@dataclass(frozen=True)
class Artifact:
    """An exported file: where it is, its sizes and its manifest."""

    path: Path
    size_bytes: int
    gzip_bytes: int
    manifest: dict[str, Any]

    @property
    def certificate(self) -> dict[str, Any]:
        return dict(self.manifest["parity"])

    @property
    def title(self) -> str:
        """What the file does, for people."""
        return task_named(self.manifest["task"]).title

    @property
    def readers(self) -> str:
        """Which ready-made readers on a phone take the file."""
        return readers_of(self.manifest)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user of MediaPipe Tasks should know of this file."""
        return notes_of(self.manifest)


def export(
    model: TaskModel,
    out: Path | str,
    settings: ExportSettings = ExportSettings(),
    length_texts: Sequence[Any] = (),
    check_texts: Sequence[Any] = (),
    reference: FloatReference | None = None,
    progress: Progress = silent,
    calibration_texts: Sequence[Any] = (),
) -> Artifact:
    """Writes `out` and, beside it, its manifest as `<name>.json`.

    Args:
        model: of any task, or a bare encoder.
        out: the `.tflite` to write; an existing file is replaced whole.
        length_texts: for `lengths = "auto"`: text as the app will see it, as plain texts or as
            examples of the task's reader; so are the next two.
        check_texts: of the certificate; varied texts of our own when empty.
        reference: the float model and labelled text to hold the file against; the manifest then
            has its agreement and accuracy too. Made once, it serves several exports of a model.
        calibration_texts: for recipes that decide by measurement: text as the app will see it,
            without labels. The training data will do.

    Raises:
        DataError: too few calibration texts for a recipe that needs them.
        UsageError: settings that exclude each other, a length that the model can't have.
        EdgebertError: the float graph does not compute what Keras computes.
        ModelError: the checkpoint can't be laid out.
        QualityGateError: the task's metric on the labelled data drops by more than `max_drop`
            points.
    """
    reference = reference or FloatReference(model)
    model = _with_masks(model, settings)
    lengths = choose_lengths(model, settings, length_texts)
    output = choose_output(model, settings)
    progress("lay out", 0, 3)
    checkpoint = compact(model.checkpoint)
    manifest = _manifest(model, settings, lengths, output)
    layout = lay_out(
        replace(model, checkpoint=checkpoint),
        lengths,
        output,
        settings,
        calibration_texts,
        manifest["max_length"],
        progress,
    )
    body, manifest["precision"] = layout.body, layout.precision
    if layout.calibration:
        manifest["calibration"] = layout.calibration
    manifest["layers"] = [asdict(width) for width in layer_widths(checkpoint)]
    with tempfile.TemporaryDirectory(prefix="edgebert-") as scratch:
        progress("check", 1, 3)
        final = _written(Path(scratch) / "final.tflite", body, manifest, model)
        float_graph = _written(
            Path(scratch) / "float.tflite",
            graph_of(checkpoint, lengths, FLOAT, output),
            manifest,
            model,
        )
        certificate = certify(reference.predictor, float_graph, final, check_texts)
        _refuse_a_wrong_graph(certificate)
        manifest["parity"] = certificate.to_dict()
        if reference.labelled is not None:
            quality = reference.compare(final)
            manifest["quality"] = quality.to_dict()
            _refuse_a_drop(quality, settings)
    progress("write", 2, 3)
    data = pack(body, manifest, model)
    path = atomic_write(out, data)
    atomic_write(manifest_path(path), json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    progress("write", 3, 3)
    return Artifact(path, len(data), gzip_size(data), manifest)


def _with_masks(model: TaskModel, settings: ExportSettings) -> TaskModel:
    """A masked language model that knows what its graph is asked for; others as they are.

    Raises:
        UsageError: no masks at all.
    """
    if model.checkpoint.head != MASKED_LM:
        return model
    if settings.masks < 1:
        raise UsageError(f"--masks is at least 1. Received: {settings.masks}.")
    vocabulary = model.tokenizer.vocabulary
    masked = MaskedTokens(vocabulary.id_of(vocabulary.mask_token), settings.masks)
    decoding = {**model.decoding, "masks": settings.masks}
    return replace(model, checkpoint=replace(model.checkpoint, masked=masked), decoding=decoding)


def manifest_path(path: Path) -> Path:
    """Where the manifest stands beside a file: `model.tflite` has `model.tflite.json`."""
    return path.with_name(path.name + ".json")


def gzip_size(data: bytes) -> int:
    """Bytes of the file as an app store ships it (gzip, level 6)."""
    return len(gzip.compress(data, compresslevel=6, mtime=0))


def choose_output(model: TaskModel, settings: ExportSettings) -> str:
    """What the file gives: what the settings ask for, if the task's head can give it."""
    known = model.task.file_outputs
    return settings.output if settings.output in known else known[0]


def choose_lengths(
    model: TaskModel, settings: ExportSettings, examples: Sequence[Any]
) -> tuple[int, ...]:
    """The lengths that the settings ask for; `(DYNAMIC_LENGTH,)` for a free one.

    Args:
        model: whose lengths they are.
        settings: of the export.
        examples: what `auto` picks them for: texts, or examples of the task's reader.

    Raises:
        UsageError: more than one of the three ways is asked for, or a length is out of bounds.
    """
    asked = [
        name
        for name, given in (
            ("--lengths", settings.lengths),
            ("--length", settings.length),
            ("--dynamic-length", settings.dynamic_length),
        )
        if given
    ]
    if len(asked) > 1:
        raise UsageError(
            f"Expected one of --lengths, --length, --dynamic-length. "
            f"Received: {' and '.join(asked)}."
        )
    positions = model.checkpoint.config.max_positions
    if settings.max_length > positions:
        raise UsageError(
            f"--max-length is at most {positions}, the size of the model's position table. "
            f"Received: {settings.max_length}."
        )
    if settings.dynamic_length:
        return (DYNAMIC_LENGTH,)
    if settings.length:
        return parse_lengths(str(settings.length), positions)
    longest = settings.max_length or min(model.max_length, positions)
    if settings.lengths != AUTO:
        limit = positions if settings.lengths else longest
        return parse_lengths(settings.lengths, limit, model.task.file_lengths)
    if not examples:
        raise UsageError(
            "--lengths auto needs text as the app will see it. "
            "Next: add --lengths-from FILE (the training file will do)."
        )
    counts = np.array([len(encoding) for encoding in encodings_of(model, examples, longest)])
    return pick_lengths(counts, longest, settings.max_signatures)


def _manifest(
    model: TaskModel,
    settings: ExportSettings,
    lengths: Sequence[int],
    output: str,
) -> dict[str, Any]:
    config, vocabulary = model.checkpoint.config, model.tokenizer.vocabulary
    dynamic = DYNAMIC_LENGTH in lengths
    longest = settings.max_length or min(model.max_length, config.max_positions)
    return {
        "format": MANIFEST_FORMAT,
        "task": model.task.name,
        "labels": list(model.labels),
        "decoding": model.task.complete_decoding(model.decoding),
        "output": output,
        "lengths": [] if dynamic else list(lengths),
        "max_length": longest if dynamic else max(lengths),
        "recipe": settings.recipe,
        "tokenizer": vocabulary.to_settings(),
        "vocabulary_sha256": vocabulary.sha256,
        "weights_sha256": model.checkpoint.weights_sha256(),
        "config": dict(config.__dict__),
        "history": list(model.history),
        "versions": {
            "edgebert": __version__,
            **{name: version(name) for name in ("ai-edge-litert", "keras", "keras-hub", "numpy")},
        },
    }


def _written(path: Path, body: bytes, manifest: dict[str, Any], model: TaskModel) -> LiteRtModel:
    path.write_bytes(pack(body, manifest, model))
    return LiteRtModel.open(path)


def _refuse_a_wrong_graph(certificate: Certificate) -> None:
    if not certificate.token_ids_equal:
        raise EdgebertError(
            "The vocabulary in the file gives other token ids than the model's tokenizer. "
            "Nothing was written. Next: report this with the model folder's tokenizer files."
        )
    if certificate.float_max_error > FLOAT_TOLERANCE:
        raise EdgebertError(
            f"The float graph differs from the Keras model by {certificate.float_max_error:.2e}, "
            f"expected at most {FLOAT_TOLERANCE:.0e}. Nothing was written. Next: report this with "
            "the model's config.json."
        )


def _refuse_a_drop(quality: Quality, settings: ExportSettings) -> None:
    if quality.drop_points > settings.max_drop:
        raise QualityGateError(
            f"The {quality.metric} may drop by at most {settings.max_drop:g} points. "
            f"Received: {quality.value:.2%} with recipe {settings.recipe} against "
            f"{quality.float_value:.2%} of the float model on {quality.data} "
            f"({quality.drop_points:.2f} points). Nothing was written. "
            "Next: try --recipe weight-int8 or float16."
        )
