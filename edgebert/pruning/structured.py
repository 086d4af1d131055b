"""Structured pruning with no training: whole heads, neurons and layers go.

Prices come from `surgeon` (second order, what is left makes up for what goes), costs from a
`LatencyTable` or from plain counts, and `budget` picks the cheapest set. In a few shots, since the
curvature changes on the way. The pruned parts become zeros in the checkpoint, which training and
the exporter leave out.
"""

from __future__ import annotations

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
from edgebert.errors import QualityGateError, UsageError, refuse
from edgebert.models.task_model import TaskModel
from edgebert.pruning.budget import Group, cheapest
from edgebert.pruning.latency_table import (
    LatencyTable,
    measure_latency_table,
    read_latency_table,
)
from edgebert.pruning.layers import choose_layers
from edgebert.pruning.surgeon import ATTENTION, FEED_FORWARD, Removal, refitted, removal
from edgebert.settings import StructureSettings, broken_rules
from edgebert.system import native_noise
from edgebert.system.progress import Progress, silent
from edgebert.tasks.examples import encodings_of
from edgebert.training.state import describe_data, describe_model

STAGE = "prune-structure"
NEURONS_AT_ONCE = 16
"""Neurons go in groups of this between two looks at the prices."""
FEWEST_TEXTS = 16


@dataclass(frozen=True)
class StructureResult:
    """What structured pruning made.

    Attributes:
        model: with zeros where heads and neurons were, and with fewer layers.
        widths: what each layer has left.
        before_ms: the table's latency of the model before; None where no latency was asked for.
        after_ms: the same after.
        operations_left: share of the multiplications of the encoder's layers at the table's length,
            the last layer counted whole.
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
    """Drops layers, then heads and neurons, as the settings say. Nothing is trained.

    Args:
        model: with a head whose outputs can be compared (`training.heads`).
        calibration: data like the app's; labels are not looked at. `calibration_rows` of it are
            taken at random.
        settings: how much is to go.
        progress: told as it goes on.
        table: latencies; measured here (or read from `latency_table`) where it is None.

    Raises:
        UsageError: settings that make no sense, a task that can't be, too little calibration text.
        QualityGateError: the narrowest model that there is misses `target_speedup`.
    """
    check_model(model, settings)
    rows = calibration_rows(model, calibration, settings)
    before = model
    if settings.layers:
        kept = choose_layers(model, settings.layers, settings.layer_choice, rows)
        model = replace(model, checkpoint=drop_layers(model.checkpoint, kept))
    before_ms = after_ms = None
    tokens = settings.tokens or int(np.median(rows.lengths))
    if settings.target_speedup:
        if table is None:
            table = _table(model, settings, tokens, progress)
        before_ms = table.model_ms(layer_widths(before.checkpoint))
        tokens = table.tokens
    goal = _Goal(settings, table, before_ms)
    if goal.is_asked:
        model = _in_shots(model, rows, goal, settings, progress)
    widths = layer_widths(model.checkpoint)
    if table is not None:
        after_ms = table.model_ms(widths)
    left = operations(model.checkpoint, tokens) / operations(before.checkpoint, tokens)
    entry = {
        "stage": STAGE,
        "settings": asdict(settings),
        "started_from": {
            "model": describe_model(before),
            "calibration": describe_data(calibration),
        },
        "widths": [asdict(width) for width in widths],
        "operations_left": left,
        "latency_table": table.to_dict() if table else None,
        "latency_ms": {"before": before_ms, "after": after_ms},
    }
    pruned = replace(model, history=(*before.history, entry))
    return StructureResult(pruned, widths, before_ms, after_ms, left)


def check_model(model: TaskModel, settings: StructureSettings) -> None:
    """Refuses a model that can't be pruned so, and settings that make no sense for it.

    Raises:
        UsageError: every problem is listed.
    """
    refuse_head(model)
    check_settings(model.checkpoint.config, settings)


def refuse_head(model: TaskModel) -> None:
    """Refuses a model by whose outputs nothing can be priced.

    Raises:
        UsageError: a bare encoder, a masked LM.
    """
    if not model.task.comparable:
        raise UsageError(
            "Expected a model whose labels, tags, spans, scores or vectors tell what a head or a "
            f"neuron is worth. Received: {model.task.model_title()}. Next: fine-tune it for such a "
            "task with `edgebert finetune`, and prune that."
        )


def check_settings(config: BertConfig, settings: StructureSettings) -> None:
    """Refuses settings that make no sense for a shape.

    Raises:
        UsageError: every problem is listed.
    """
    speedup, by_count = settings.target_speedup, settings.heads or settings.neurons
    rules = [
        ("target_speedup", speedup == 0 or speedup > 1, "above 1, such as 2.5"),
        ("target_speedup", not (speedup and by_count), "alone, without heads and neurons"),
        (
            "heads",
            0 <= settings.heads <= config.num_heads,
            f"from 1 to {config.num_heads} a layer: a layer that loses all its heads can't look "
            "at other words",
        ),
        (
            "neurons",
            0 <= settings.neurons <= config.intermediate_size,
            f"from 1 to {config.intermediate_size} a layer",
        ),
        ("layers", 0 <= settings.layers <= config.num_layers, f"from 1 to {config.num_layers}"),
        ("shots", settings.shots >= 1, "at least 1"),
        ("tokens", 0 <= settings.tokens <= config.max_positions, "a length that the model takes"),
        ("calibration_rows", settings.calibration_rows >= FEWEST_TEXTS, f"at least {FEWEST_TEXTS}"),
    ]
    refuse(broken_rules(settings, rules))


def calibration_rows(
    model: TaskModel, calibration: Dataset, settings: StructureSettings
) -> EncodedRows:
    """A sample of the calibration data, encoded.

    Raises:
        UsageError: there are fewer than `FEWEST_TEXTS` texts with words in them.
    """
    typed = model.task.input_texts
    usable = [any(text.strip() for text in typed(each)) for each in calibration.examples]
    if sum(usable) < FEWEST_TEXTS:
        raise UsageError(
            f"Expected at least {FEWEST_TEXTS} calibration texts, better "
            f"{settings.calibration_rows}. Received: {sum(usable)} of {calibration.name}. "
            "Next: give the training text."
        )
    taken = take(calibration, settings.calibration_rows, settings.seed)
    encodings = encodings_of(model, taken.examples, model.max_length)
    return rows_of(encodings, model.tokenizer.pad_id)


def operations(checkpoint: Checkpoint, tokens: int) -> int:
    """Multiplications of the encoder's layers for a text of so many tokens."""
    hidden, size = checkpoint.config.hidden_size, checkpoint.config.head_size
    return sum(
        tokens * (4 * hidden * width.heads * size + 2 * hidden * width.neurons)
        + 2 * tokens * tokens * width.heads * size
        for width in layer_widths(checkpoint)
    )


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
    )


class _Goal:
    """What is to be reached, as costs of widths and a budget for their sum."""

    def __init__(
        self, settings: StructureSettings, table: LatencyTable | None, before_ms: float | None
    ) -> None:
        self._settings, self._table = settings, table
        self._before_ms = before_ms
        self.is_asked = bool(settings.target_speedup or settings.heads or settings.neurons)

    def costs(self, part: str, widths: npt.NDArray[np.int64], last: bool) -> npt.NDArray[Any]:
        """The cost of each width of a sublayer."""
        if self._table is not None:
            if part == ATTENTION:
                return self._table.attention_ms(widths, last)
            return self._table.feed_forward_ms(widths, last)
        return widths.astype(np.float64)

    def budgets(self, layers: int) -> list[tuple[tuple[str, ...], float]]:
        """Which sublayers share a budget, and how large it is at the end."""
        if self._table is not None:
            assert self._before_ms is not None
            fixed = self._table.model_ms([LayerWidth(0, 0)] * layers)
            goal = self._before_ms / self._settings.target_speedup - fixed
            return [((ATTENTION, FEED_FORWARD), goal)]
        counts = ((ATTENTION, self._settings.heads), (FEED_FORWARD, self._settings.neurons))
        return [((part,), float(count * layers)) for part, count in counts if count]

    def missed(self, layers: int, least: float) -> QualityGateError:
        """The error for a budget that nothing meets."""
        assert self._table is not None
        assert self._before_ms is not None
        narrowest = self._table.model_ms([LayerWidth(0, 0)] * layers) + least
        return QualityGateError(
            f"No model of {layers} layers is {self._settings.target_speedup:g} times faster. "
            f"Expected {self._before_ms / self._settings.target_speedup:.3f} ms. Received: "
            f"{narrowest:.3f} ms with one head a layer and no neurons, which is "
            f"{self._before_ms / narrowest:.2f} times faster. Next: keep fewer --layers, or "
            "distill into a smaller student."
        )


def _in_shots(
    model: TaskModel,
    rows: EncodedRows,
    goal: _Goal,
    settings: StructureSettings,
    progress: Progress,
) -> TaskModel:
    native_noise.load_keras()
    from edgebert.pruning.curvature import measure_curvature

    for shot in range(1, settings.shots + 1):
        said = f"shot {shot} of {settings.shots}"

        def tell(stage: str, done: int, total: int, said: str = said, **facts: Any) -> None:
            progress(f"{stage}, {said}", done, total, **facts)

        narrow = compact(model.checkpoint)
        asked = [part for parts, _ in goal.budgets(narrow.config.num_layers) for part in parts]
        curvature = measure_curvature(model, rows, tell, asked, seed=settings.seed + shot)
        removals = {}
        for number, (name, statistics) in enumerate(curvature.items()):
            by_head = name.endswith(ATTENTION)
            removals[name] = removal(
                narrow.weights[f"{name}.kernel"],
                narrow.weights[f"{name}.bias"],
                statistics,
                narrow.config.head_size if by_head else 1,
                1 if by_head else NEURONS_AT_ONCE,
            )
            tell("prices", number + 1, len(curvature))
        kept = _chosen(removals, goal, narrow.config.num_layers, settings.shots - shot)
        weights = dict(narrow.weights)
        for name, mask in kept.items():
            columns = np.repeat(mask, narrow.weights[f"{name}.kernel"].shape[1] // len(mask))
            weights[f"{name}.kernel"], weights[f"{name}.bias"] = refitted(
                narrow.weights[f"{name}.kernel"],
                narrow.weights[f"{name}.bias"],
                curvature[name],
                columns,
            )
        expanded = model.checkpoint.with_weights(expand(weights, model.checkpoint))
        model = replace(model, checkpoint=_cleared(expanded))
    return model


def _cleared(checkpoint: Checkpoint) -> Checkpoint:
    """Zeros in all arrays of what one array has pruned, so that training can't bring it back."""
    narrow = compact(checkpoint)
    return checkpoint.with_weights(expand(narrow.weights, checkpoint))


def _chosen(
    removals: dict[str, Removal], goal: _Goal, layers: int, shots_left: int
) -> dict[str, npt.NDArray[np.bool_]]:
    """Which heads and neurons stay: bool `[groups]` of each sublayer that has any."""
    kept: dict[str, npt.NDArray[np.bool_]] = {}
    for parts, final in goal.budgets(layers):
        groups: dict[str, Group] = {}
        for name, gone in removals.items():
            part = ATTENTION if name.endswith(ATTENTION) else FEED_FORWARD
            if part not in parts:
                continue
            last = int(name.split(".")[1]) == layers - 1
            groups[name] = _group(gone, part, goal, last)
        now = sum(group.costs[0] for group in groups.values())
        least = sum(group.costs.min() for group in groups.values())
        if final < least:
            raise goal.missed(layers, least)
        budget = max(final, least) if now <= final else _between(now, final, shots_left)
        widths = cheapest(list(groups.values()), max(budget, least))
        for (name, group), choice in zip(groups.items(), widths, strict=True):
            gone = removals[name]
            mask = np.ones(len(gone.order), np.bool_)
            mask[gone.order[: int(group.removed[choice])]] = False
            kept[name] = mask
    return kept


def _between(now: float, final: float, shots_left: int) -> float:
    """The budget of this shot: equal ratios from one shot to the next."""
    return float(now * (final / now) ** (1 / (shots_left + 1)))


def _group(gone: Removal, part: str, goal: _Goal, last: bool) -> Group:
    """The choices of one sublayer; one head at least stays."""
    size = len(gone.order)
    step, most = (1, size - 1) if part == ATTENTION else (NEURONS_AT_ONCE, size)
    removed = np.unique(np.append(np.arange(0, most + 1, step), most))
    return Group(removed, gone.price[removed], goal.costs(part, size - removed, last))
