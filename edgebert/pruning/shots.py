"""The shots of structured pruning: in each, curvature, order of removal, widths and refit.

The first shot of several prunings of one model has the same curvature and the same order of
removal, whatever their targets are. A search measures it once (`SharedCurvature`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.checkpoint import BertConfig, Checkpoint
from converters.compaction import LayerWidth, compact, expand
from edgebert.encoding.encoded_rows import EncodedRows
from edgebert.errors import QualityGateError
from edgebert.models.task_model import TaskModel
from edgebert.pruning.budget import Group, choose_widths
from edgebert.pruning.latency_table import LatencyTable
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
from edgebert.system.progress import Progress

NEURONS_AT_ONCE = 16
"""Neurons are removed in groups of this size between two estimates of the loss increase."""
SHARED_BYTES = 500 * 10**6
"""Largest curvature that is shared. That of a BERT-base, 1 GB, would stay in memory."""


@dataclass(frozen=True)
class Order:
    """What a shot knows of a model.

    Attributes:
        curvature: The statistics of each output kernel, by neutral name without `.kernel`.
        removals: The order of removal and its loss increase, by the same names.
    """

    curvature: Mapping[str, Curvature]
    removals: Mapping[str, Removal]


@dataclass
class SharedCurvature:
    """What the first shot knew of the last model.

    Attributes:
        key: What it was computed from, apart from the calibration data.
        order: It, or None.
    """

    key: str = ""
    order: Order | None = field(default=None, repr=False)

    def of(self, key: str, make: Callable[[], Order]) -> Order:
        """What a shot knows of the model with this key; computed if the last one had another."""
        if self.order is None or self.key != key:
            self.order = None  # its memory is free before the next one is computed
            order = make()
            arrays = (one for each in order.curvature.values() for one in each.arrays)
            if sum(array.nbytes for array in arrays) > SHARED_BYTES:
                return order
            self.key, self.order = key, order
        return self.order


class Target:
    """The target of the pruning: costs of the widths, and budgets for their sums.

    Args:
        settings: What to remove.
        table: Latencies; None counts heads and neurons.
        before_ms: Latency of the original model by the table.
        config: The shape of the original model.
    """

    def __init__(
        self,
        settings: StructureSettings,
        table: LatencyTable | None,
        before_ms: float | None,
        config: BertConfig,
    ) -> None:
        self.settings, self._table = settings, table
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
            budget = self._before_ms / self.settings.target_speedup - fixed
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
            f"No model of {layers} layers is {self.settings.target_speedup:g} times faster. "
            f"Expected {self._before_ms / self.settings.target_speedup:.3f} ms. Received: "
            f"{narrowest:.3f} ms with one head per layer and no neurons, which is "
            f"{self._before_ms / narrowest:.2f} times faster. Next: keep fewer --layers, or "
            "distill into a smaller student."
        )


def prune_in_shots(
    model: TaskModel,
    rows: EncodedRows,
    target: Target,
    progress: Progress,
    shared: SharedCurvature,
) -> TaskModel:
    """Prunes heads and neurons in `shots` steps of the settings, each with a new curvature.

    Args:
        model: The model, without the layers that are dropped.
        rows: Calibration text.
        target: The target.
        progress: Called after each part of the work.
        shared: What an earlier pruning knew of the model.
    """
    native_noise.load_keras()
    for shot in range(1, target.settings.shots + 1):
        known = shared if shot == 1 else SharedCurvature()
        model = replace(model, checkpoint=_shot(model, rows, target, shot, progress, known))
        del known
        gc.collect()  # Keras models are cycles: 0.5 GB for a BERT-base
    return model


def _shot(
    model: TaskModel,
    rows: EncodedRows,
    target: Target,
    shot: int,
    progress: Progress,
    shared: SharedCurvature,
) -> Checkpoint:
    """The weights after one shot."""
    from edgebert.pruning.curvature import measure_curvature

    shots, seed = target.settings.shots, target.settings.seed + shot

    def report(stage: str, done: int, total: int, **facts: Any) -> None:
        progress(f"{stage}, shot {shot} of {shots}", done, total, **facts)

    narrow = compact(model.checkpoint)
    layers = narrow.config.num_layers
    parts = [part for budgeted, _ in target.budgets(layers) for part in budgeted]

    def measure() -> Order:
        curvature = measure_curvature(model, rows, report, parts, seed=seed)
        return Order(curvature, _removals(narrow, curvature, report))

    key = repr([model.checkpoint.weights_sha256(), parts, seed])
    order = shared.of(key, measure)
    kept = _choose_kept(order.removals, target, layers, shots - shot)
    weights = _refit(narrow, order.curvature, kept)
    del order  # 1 GB for a BERT-base, before the weights are copied
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
    removals: Mapping[str, Removal], target: Target, layers: int, shots_left: int
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


def _group(removal: Removal, part: str, target: Target, last: bool) -> Group:
    """The choices of one sublayer. At least one head stays."""
    size, fewest = len(removal.order), 0
    step, most = (1, size - 1) if part == ATTENTION else (NEURONS_AT_ONCE, size)
    if part == ATTENTION:
        fewest = max(0, size - target.most_heads)
    removed = np.unique(np.append(np.arange(fewest, most + 1, step), most))
    costs = target.costs(part, size - removed, last)
    return Group(removed, removal.loss_increase[removed], costs)
