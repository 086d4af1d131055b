"""Structured pruning without training: removes heads, neurons, layers and hidden dimensions.

`surgeon` estimates the loss increase of each removal to second order, with the remaining weights
adjusted. Costs are latencies of a `LatencyTable` or plain counts, and `budget` selects the widths.
Pruning runs in a few shots, since the curvature changes on the way. Pruned parts become zeros in
the checkpoint; training and the exporter leave them out. `hidden_size` narrows the stream between
the layers at last, which changes the shape of the checkpoint.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np

from converters.compaction import LayerWidth, layer_widths
from converters.heads import CLASSIFIER
from converters.layer_choice import drop_layers
from edgebert.data.datasets import Dataset, take
from edgebert.encoding.encoded_rows import EncodedRows, rows_of
from edgebert.errors import UsageError
from edgebert.models.bases import as_encoder, with_head_of
from edgebert.models.task_model import TaskModel
from edgebert.pruning.latency_table import (
    LatencyTable,
    measure_latency_table,
    read_latency_table,
)
from edgebert.pruning.layers import choose_layers
from edgebert.pruning.operations import operations as operations
from edgebert.pruning.shots import SharedCurvature, Target, prune_in_shots
from edgebert.pruning.structure_checks import FEWEST_TEXTS, check_model
from edgebert.settings import StructureSettings
from edgebert.system.progress import Progress, silent
from edgebert.tasks.examples import encodings_of
from edgebert.training.state import describe_data, describe_model

STAGE = "prune-structure"


@dataclass(frozen=True)
class StructureResult:
    """The result of structured pruning.

    Attributes:
        model: The model with zeros in place of the pruned heads and neurons, and with fewer layers.
        widths: Remaining heads and neurons of each layer.
        before_ms: Latency of the original model by the table; None without a target speedup.
        after_ms: Latency of the pruned model by the table; None without a table.
        operations_left: Share of the multiplications of the encoder's layers that remain, at the
            table's length, with the last layer computed for every token.
    """

    model: TaskModel
    widths: tuple[LayerWidth, ...]
    before_ms: float | None
    after_ms: float | None
    operations_left: float


def prune_structure(
    model: TaskModel,
    calibration: Dataset,
    settings: StructureSettings,
    progress: Progress = silent,
    table: LatencyTable | None = None,
    shared: SharedCurvature | None = None,
) -> StructureResult:
    """Removes layers, then heads and neurons, then hidden dimensions. Nothing is trained.

    Args:
        model: A model of any task, a bare encoder, or a masked language model, whose head stays as
            it is.
        calibration: Data like that of the app; labels are not used. `calibration_rows` of them are
            taken at random.
        settings: What to remove.
        progress: Called after each part of the work.
        table: Latencies; None reads `latency_table` of the settings, or measures a table.
        shared: The curvature of the first shot, for several prunings of one model with the same
            calibration data, number of rows and seed.

    Raises:
        UsageError: Invalid settings, or too little calibration text.
        QualityGateError: Even the narrowest model misses `target_speedup`.
    """
    check_model(model, settings)
    whole, model = model, as_encoder(model)
    rows = calibration_rows(model, calibration, settings)
    before, config = model, model.checkpoint.config
    if settings.hidden_size == config.hidden_size:
        settings = replace(settings, hidden_size=0)
    if settings.layers:
        kept = choose_layers(model, settings.layers, settings.layer_choice, rows)
        model = replace(model, checkpoint=drop_layers(model.checkpoint, kept))
    before_ms = after_ms = None
    tokens = settings.tokens or int(np.median(rows.lengths))
    if settings.target_speedup:
        if table is None:
            table = _table(model, settings, tokens, progress)
        before_ms = table.of_model(config).model_ms(layer_widths(before.checkpoint))
        tokens = table.tokens
    narrow_table = None if table is None else table.of_model(config, settings.hidden_size)
    target = Target(settings, narrow_table, before_ms, config)
    teacher = model
    if target.is_set:
        model = prune_in_shots(model, rows, target, progress, shared or SharedCurvature())
    if settings.hidden_size:
        model = _narrowed(teacher, model, rows, settings, progress)
    widths = layer_widths(model.checkpoint)
    if narrow_table is not None:
        after_ms = narrow_table.model_ms(widths)
    left = operations(model.checkpoint, tokens) / operations(before.checkpoint, tokens)
    entry = {
        "stage": STAGE,
        "settings": asdict(settings),
        "started_from": {
            "model": describe_model(before),
            "calibration": describe_data(calibration),
        },
        "widths": [asdict(width) for width in widths],
        "hidden_size": {
            "before": config.hidden_size,
            "after": model.checkpoint.config.hidden_size,
        },
        "operations_left": left,
        "latency_table": table.to_dict() if table else None,
        "latency_ms": {"before": before_ms, "after": after_ms},
    }
    pruned = replace(with_head_of(model, whole), history=(*before.history, entry))
    return StructureResult(pruned, widths, before_ms, after_ms, left)


def calibration_rows(
    model: TaskModel, calibration: Dataset, settings: StructureSettings
) -> EncodedRows:
    """Encodes a random sample of the calibration data.

    Raises:
        UsageError: Fewer than `FEWEST_TEXTS` texts have words in them.
    """
    typed = model.task.input_texts
    usable = [any(text.strip() for text in typed(each)) for each in calibration.examples]
    if sum(usable) < FEWEST_TEXTS:
        raise UsageError(
            f"Expected at least {FEWEST_TEXTS} calibration texts, better "
            f"{settings.calibration_rows}. Received: {sum(usable)} in {calibration.name}. "
            "Next: pass the training text."
        )
    taken = take(calibration, settings.calibration_rows, settings.seed)
    encodings = encodings_of(model, taken.examples, model.max_length)
    return rows_of(encodings, model.tokenizer.pad_id)


def _table(
    model: TaskModel, settings: StructureSettings, tokens: int, progress: Progress
) -> LatencyTable:
    if settings.latency_table:
        return read_latency_table(settings.latency_table)
    return measure_latency_table(
        model.checkpoint.config,
        tokens,
        progress=lambda done, total: progress("latency table", done, total),
        every_token=model.checkpoint.head != CLASSIFIER,
        hidden_sizes=(settings.hidden_size,) if settings.hidden_size else (),
    )


def _narrowed(
    teacher: TaskModel,
    pruned: TaskModel,
    rows: EncodedRows,
    settings: StructureSettings,
    progress: Progress,
) -> TaskModel:
    """The pruned model with a smaller hidden size, fitted to the model before the pruning."""
    from edgebert.pruning.hidden_size import narrow_hidden_size

    checkpoint = narrow_hidden_size(
        teacher.checkpoint, pruned.checkpoint, settings.hidden_size, rows, progress
    )
    return replace(pruned, checkpoint=checkpoint)
