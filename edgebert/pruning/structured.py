"""Structured pruning without training: removes heads, neurons, layers and hidden dimensions.

`surgeon` estimates the loss increase of each removal to second order, with the remaining weights
adjusted. Costs are latencies of a `LatencyTable` or plain counts, and `budget` selects the widths.
Pruning runs in a few shots, since the curvature changes on the way. Pruned parts become zeros in
the checkpoint; training and the exporter leave them out. `hidden_size` narrows the stream between
the layers at last, which changes the shape of the checkpoint.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.checkpoint import BertConfig, Checkpoint
from converters.compaction import LayerWidth, compact, expand, layer_widths
from converters.heads import CLASSIFIER
from converters.layer_choice import drop_layers
from edgebert.data.datasets import Dataset, take
from edgebert.encoding.encoded_rows import EncodedRows, rows_of
from edgebert.errors import QualityGateError, UsageError
from edgebert.models.bases import as_encoder, with_head_of
from edgebert.models.task_model import TaskModel
from edgebert.pruning.budget import Group, choose_widths
from edgebert.pruning.latency_table import (
    LatencyTable,
    measure_latency_table,
    read_latency_table,
)
from edgebert.pruning.layers import choose_layers
from edgebert.pruning.operations import operations as operations
from edgebert.pruning.structure_checks import FEWEST_TEXTS, check_model
from edgebert.pruning.surgeon import (
    ATTENTION,
    FEED_FORWARD,
    Curvature,
    Removal,
    order_removal,
    refit,
)
from edgebert.settings import StructureSettings
from edgebert.system import native_noise
from edgebert.system.progress import Progress, silent
from edgebert.tasks.examples import encodings_of
from edgebert.training.state import describe_data, describe_model

STAGE = "prune-structure"
NEURONS_AT_ONCE = 16
"""Neurons are removed in groups of this size between two estimates of the loss increase."""


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
    target = _Target(settings, narrow_table, before_ms, config)
    teacher = model
    if target.is_set:
        model = _prune_in_shots(model, rows, target, settings, progress)
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


class _Target:
    """The target of the pruning: costs of the widths, and budgets for their sums."""

    def __init__(
        self,
        settings: StructureSettings,
        table: LatencyTable | None,
        before_ms: float | None,
        config: BertConfig,
    ) -> None:
        self._settings, self._table = settings, table
        self._before_ms = before_ms
        size = settings.hidden_size or config.hidden_size
        self.most_heads = size // config.head_size
        heads = settings.heads
        if not (heads or settings.target_speedup) and self.most_heads < config.num_heads:
            heads = self.most_heads
        self._counts = ((ATTENTION, heads), (FEED_FORWARD, settings.neurons))
        self.is_set = bool(settings.target_speedup or heads or settings.neurons)

    def costs(self, part: str, widths: npt.NDArray[np.int64], last: bool) -> npt.NDArray[Any]:
        """The cost of each width of a sublayer: its latency, or the width itself."""
        if self._table is not None:
            if part == ATTENTION:
                return self._table.attention_ms(widths, last)
            return self._table.feed_forward_ms(widths, last)
        return widths.astype(np.float64)

    def budgets(self, layers: int) -> list[tuple[tuple[str, ...], float]]:
        """The final budgets, each with the sublayers that share it."""
        if self._table is not None:
            assert self._before_ms is not None
            fixed = self._table.model_ms([LayerWidth(0, 0)] * layers)
            budget = self._before_ms / self._settings.target_speedup - fixed
            return [((ATTENTION, FEED_FORWARD), budget)]
        return [((part,), float(count * layers)) for part, count in self._counts if count]

    def missed(self, layers: int, least: float) -> QualityGateError:
        """The error for a target that no model reaches.

        Args:
            layers: Number of layers.
            least: Smallest possible cost of all sublayers, in milliseconds.
        """
        assert self._table is not None
        assert self._before_ms is not None
        narrowest = self._table.model_ms([LayerWidth(0, 0)] * layers) + least
        return QualityGateError(
            f"No model of {layers} layers is {self._settings.target_speedup:g} times faster. "
            f"Expected {self._before_ms / self._settings.target_speedup:.3f} ms. Received: "
            f"{narrowest:.3f} ms with one head per layer and no neurons, which is "
            f"{self._before_ms / narrowest:.2f} times faster. Next: keep fewer --layers, or "
            "distill into a smaller student."
        )


def _prune_in_shots(
    model: TaskModel,
    rows: EncodedRows,
    target: _Target,
    settings: StructureSettings,
    progress: Progress,
) -> TaskModel:
    """Prunes heads and neurons in `settings.shots` steps, each with a new curvature."""
    native_noise.load_keras()
    for shot in range(1, settings.shots + 1):
        checkpoint = _shot(model, rows, target, settings, shot, progress)
        model = replace(model, checkpoint=checkpoint)
        gc.collect()  # Keras models are cycles: 0.5 GB for a BERT-base
    return model


def _shot(
    model: TaskModel,
    rows: EncodedRows,
    target: _Target,
    settings: StructureSettings,
    shot: int,
    progress: Progress,
) -> Checkpoint:
    """The weights after one shot. Its curvature, 1 GB for a BERT-base, ends with it."""
    from edgebert.pruning.curvature import measure_curvature

    name = f"shot {shot} of {settings.shots}"

    def report(stage: str, done: int, total: int, **facts: Any) -> None:
        progress(f"{stage}, {name}", done, total, **facts)

    narrow = compact(model.checkpoint)
    layers = narrow.config.num_layers
    parts = [part for shared, _ in target.budgets(layers) for part in shared]
    curvature = measure_curvature(model, rows, report, parts, seed=settings.seed + shot)
    removals = _removals(narrow, curvature, report)
    kept = _choose_kept(removals, target, layers, settings.shots - shot)
    weights = _refit(narrow, curvature, kept)
    return _clear_pruned(model.checkpoint.with_weights(expand(weights, model.checkpoint)))


def _removals(
    narrow: Checkpoint, curvature: Mapping[str, Curvature], report: Progress
) -> dict[str, Removal]:
    """The order of removal and its loss increase, for each sublayer by name."""
    removals = {}
    for number, (name, statistics) in enumerate(curvature.items()):
        by_head = name.endswith(ATTENTION)
        removals[name] = order_removal(
            narrow.weights[f"{name}.kernel"],
            narrow.weights[f"{name}.bias"],
            statistics,
            size=narrow.config.head_size if by_head else 1,
            at_once=1 if by_head else NEURONS_AT_ONCE,
        )
        report("loss increases", number + 1, len(curvature))
    return removals


def _refit(
    narrow: Checkpoint,
    curvature: Mapping[str, Curvature],
    kept: Mapping[str, npt.NDArray[np.bool_]],
) -> dict[str, npt.NDArray[np.float32]]:
    """The weights with zeros in the pruned columns and the remaining columns refitted."""
    weights = dict(narrow.weights)
    for name, mask in kept.items():
        kernel, bias = narrow.weights[f"{name}.kernel"], narrow.weights[f"{name}.bias"]
        # One entry per head, repeated for its columns: heads of 2 columns turn [1, 0] into
        # [1, 1, 0, 0].
        columns = np.repeat(mask, kernel.shape[1] // len(mask))
        refitted = refit(kernel, bias, curvature[name], columns)
        weights[f"{name}.kernel"], weights[f"{name}.bias"] = refitted
    return weights


def _clear_pruned(checkpoint: Checkpoint) -> Checkpoint:
    """Sets all arrays of pruned heads and neurons to zero, so that training can't revive them.

    `_refit` clears the columns of the output kernel only; queries, keys, values and the inner
    kernel of the same heads and neurons follow here.
    """
    narrow = compact(checkpoint)
    return checkpoint.with_weights(expand(narrow.weights, checkpoint))


def _choose_kept(
    removals: dict[str, Removal], target: _Target, layers: int, shots_left: int
) -> dict[str, npt.NDArray[np.bool_]]:
    """The heads and neurons to keep: bool `[groups]` for each sublayer."""
    kept: dict[str, npt.NDArray[np.bool_]] = {}
    for parts, final in target.budgets(layers):
        groups: dict[str, Group] = {}
        for name, removal in removals.items():
            part = ATTENTION if name.endswith(ATTENTION) else FEED_FORWARD
            if part not in parts:
                continue
            last = int(name.split(".")[1]) == layers - 1
            groups[name] = _group(removal, part, target, last)
        now = sum(group.costs[0] for group in groups.values())
        least = sum(group.costs.min() for group in groups.values())
        if final < least:
            raise target.missed(layers, least)
        budget = max(final, least) if now <= final else _shot_budget(now, final, shots_left)
        choices = choose_widths(list(groups.values()), max(budget, least))
        for (name, group), choice in zip(groups.items(), choices, strict=True):
            order = removals[name].order
            mask = np.ones(len(order), np.bool_)
            mask[order[: int(group.removed[choice])]] = False
            kept[name] = mask
    return kept


def _shot_budget(now: float, final: float, shots_left: int) -> float:
    """The budget of this shot. From shot to shot the budgets fall by equal factors.

    Example: from 8 to 1 in three shots, the budgets are 4, 2 and 1.
    """
    return float(now * (final / now) ** (1 / (shots_left + 1)))


def _group(removal: Removal, part: str, target: _Target, last: bool) -> Group:
    """The choices of one sublayer. At least one head stays."""
    size, fewest = len(removal.order), 0
    step, most = (1, size - 1) if part == ATTENTION else (NEURONS_AT_ONCE, size)
    if part == ATTENTION:
        fewest = max(0, size - target.most_heads)
    removed = np.unique(np.append(np.arange(fewest, most + 1, step), most))
    costs = target.costs(part, size - removed, last)
    return Group(removed, removal.loss_increase[removed], costs)
