"""The latency of attention heads and neurons, measured on the runtime that will run the model.

Structured pruning aims at latency and not at operation counts: kernels have fixed costs, and the
last layer of a text classifier runs for [CLS] only. A table is measured on this machine's CPU, or
read from a JSON file that was measured on another device.
"""

from __future__ import annotations

import itertools
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.checkpoint import BertConfig, Checkpoint, expected_shapes
from converters.compaction import LayerWidth
from converters.heads import CLASSIFIER, TOKEN_CLASSIFIER
from converters.json_fields import Fields
from converters.json_files import JsonFormat
from converters.tflite.inference_graph import (
    LOGITS,
    Precision,
    build_inference_graph,
    signature_key,
)
from edgebert.errors import ModelError, UsageError
from edgebert.models.litert_runtime import open_runtime

FORMAT = 1
ROUNDS = 25
_VOCABULARY = 64
_PRECISION = Precision()
_THREADS = 1
_TABLE = JsonFormat(
    "a latency table, `structure.latency_table` of the output of `edgebert prune "
    "--target-speedup ... --json` on the target",
    "leave it out, and the latencies are measured here",
    ModelError,
    versions=(FORMAT,),
)
_HEAD_SHARES = (0, 1 / 12, 1 / 6, 1 / 4, 1 / 2, 3 / 4, 1)
_NEURON_SHARES = (0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
Curve = tuple[tuple[int, float], ...]
_CURVES = ("attention", "feed_forward", "last_attention", "last_feed_forward")


@dataclass(frozen=True)
class LatencyTable:
    """Latencies in milliseconds by layer width.

    The latency of a model is the sum of its parts. Example with 2 layers: base_ms 0.3,
    empty_layer_ms 0.1, a first layer of 4 heads (0.2) and 64 neurons (0.4), and a last layer of 2
    heads (0.05) and no neurons (0): 0.3 + 0.1 + 0.2 + 0.4 + 0.05 + 0 = 1.05 ms.

    Attributes:
        device: The device that was measured.
        recipe: Precision of the kernels.
        tokens: Length of the texts, in tokens.
        base_ms: A model with one layer without heads and neurons: embeddings, norms and head.
        empty_layer_ms: Each further layer without heads and neurons.
        attention: (heads, ms) of a layer's attention, ascending.
        feed_forward: (neurons, ms) of a layer's feed-forward, ascending.
        last_attention: The same for the last layer, which may run for [CLS] only.
        last_feed_forward: The same for the last layer.
        hidden_size: Width of the hidden states; 0 if an older file does not tell it.
        narrower: Tables of smaller hidden sizes, measured in the same run.
    """

    device: str
    recipe: str
    tokens: int
    base_ms: float
    empty_layer_ms: float
    attention: Curve
    feed_forward: Curve
    last_attention: Curve
    last_feed_forward: Curve
    hidden_size: int = 0
    narrower: tuple[LatencyTable, ...] = ()

    def of_model(self, config: BertConfig, hidden_size: int = 0) -> LatencyTable:
        """The table of a model that is narrowed to a hidden size; 0 is the model's own size.

        Raises:
            UsageError: There is none for that hidden size.
        """
        if hidden_size:
            return self.of_hidden_size(hidden_size)
        own = [table for table in self.narrower if table.hidden_size == config.hidden_size]
        return own[0] if own else self

    def of_hidden_size(self, size: int) -> LatencyTable:
        """The table of a hidden size; 0 is the table itself.

        Raises:
            UsageError: There is none.
        """
        if size in (0, self.hidden_size):
            return self
        for table in self.narrower:
            if table.hidden_size == size:
                return table
        known = [str(table.hidden_size) for table in (self, *self.narrower) if table.hidden_size]
        raise UsageError(
            f"Expected a latency table with a hidden size of {size}. Received: one of "
            f"{', '.join(known) or 'an unknown size'}. Next: measure it on the target with "
            f"--target-speedup ... --hidden-size {size}, or leave --latency-table out."
        )

    def attention_ms(self, heads: npt.ArrayLike, last: bool) -> npt.NDArray[np.float64]:
        """Latency of attention by its number of heads, interpolated."""
        return _interpolated(self.last_attention if last else self.attention, heads)

    def feed_forward_ms(self, neurons: npt.ArrayLike, last: bool) -> npt.NDArray[np.float64]:
        """Latency of a feed-forward by its number of neurons, interpolated."""
        return _interpolated(self.last_feed_forward if last else self.feed_forward, neurons)

    def model_ms(self, widths: Sequence[LayerWidth]) -> float:
        """Latency of a model with these layer widths."""
        last = len(widths) - 1
        return (
            self.base_ms
            + last * self.empty_layer_ms
            + sum(
                float(
                    self.attention_ms(width.heads, i == last)
                    + self.feed_forward_ms(width.neurons, i == last)
                )
                for i, width in enumerate(widths)
            )
        )

    def to_dict(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}


def read_latency_table(path: Path | str) -> LatencyTable:
    """Reads a JSON file with the content of `LatencyTable.to_dict`.

    Raises:
        ModelError: The file is not a latency table.
    """
    problems: list[str] = []
    table = _read_table(_TABLE.read(Path(path)), problems)
    if problems:
        raise ModelError(
            f"{path}: expected {_TABLE.name}. Received: {'; '.join(problems)}. "
            f"Next: {_TABLE.next_step}."
        )
    return table


def _read_table(content: Mapping[str, Any], problems: list[str]) -> LatencyTable:
    """The table of an object and the narrower ones in it; problems are added to a list."""
    fields = Fields(content)
    narrower = fields.tables("narrower", ())
    attention, feed_forward, last_attention, last_feed_forward = (
        _curve(fields, name) for name in _CURVES
    )
    table = LatencyTable(
        device=fields.text("device"),
        recipe=fields.text("recipe"),
        tokens=fields.whole("tokens", least=1),
        base_ms=fields.number("base_ms"),
        empty_layer_ms=fields.number("empty_layer_ms"),
        attention=attention,
        feed_forward=feed_forward,
        last_attention=last_attention,
        last_feed_forward=last_feed_forward,
        hidden_size=fields.whole("hidden_size", 0, least=0),
    )
    problems += fields.problems
    # A narrower table has no tables of its own.
    parts = [_read_table({**part, "narrower": []}, problems) for part in narrower]
    return replace(table, narrower=tuple(parts))


def _curve(fields: Fields, name: str) -> Curve:
    """A list of pairs of an ascending width and milliseconds."""
    points = fields.arrays(name, (int, float))
    widths = [width for width, _ in points]
    if not points or widths != sorted(set(widths)) or widths[0] < 0:
        fields.problems.append(f"{name} must be pairs of an ascending width and milliseconds")
    return tuple((int(width), float(ms)) for width, ms in points)


def measure_latency_table(
    config: BertConfig,
    tokens: int,
    *,
    every_token: bool = False,
    rounds: int = ROUNDS,
    progress: Callable[[int, int], None] = lambda done, total: None,
    hidden_sizes: Sequence[int] = (),
) -> LatencyTable:
    """Measures models of one and of three layers over a grid of widths, with one thread.

    The models of a round run in turn. From the two depths of a width follow the latency of the last
    layer, which one layer is, and of the other layers: with 0.5 ms for one layer and 0.9 ms for
    three, each of the two further layers takes (0.9 - 0.5) / 2 = 0.2 ms.

    Args:
        config: Shape of the model that will be pruned.
        tokens: Length of the texts, in tokens.
        every_token: Whether the head reads every token, and not [CLS] only.
        rounds: Number of measurements of each model; the table holds their medians.
        progress: Called after every round.
        hidden_sizes: Smaller hidden sizes, which are measured in the same rounds.
    """
    head = TOKEN_CLASSIFIER if every_token else CLASSIFIER
    shapes = [config, *(narrowed_config(config, size) for size in hidden_sizes)]
    with tempfile.TemporaryDirectory(prefix="edgebert-") as folder:
        calls: dict[Any, Callable[[], Any]] = {}
        for shape, layers in itertools.product(shapes, (1, 3)):
            for width in (*_widths(shape)[0], *_widths(shape)[1]):
                checkpoint = _random_checkpoint(replace(shape, num_layers=layers), head, width)
                key = (shape.hidden_size, width, layers)
                path = Path(folder) / f"{len(calls)}.tflite"
                if key not in calls:
                    calls[key] = _inference_call(checkpoint, tokens, path)
        times = _measure_in_turn(calls, rounds, progress)
    table, *narrower = (_table_of(shape, tokens, times) for shape in shapes)
    return replace(table, narrower=tuple(narrower))


def narrowed_config(config: BertConfig, hidden_size: int) -> BertConfig:
    """The shape with another hidden size and as many heads of the same size as fit into it."""
    return replace(config, hidden_size=hidden_size, num_heads=hidden_size // config.head_size)


def _widths(config: BertConfig) -> tuple[list[LayerWidth], list[LayerWidth]]:
    """The measured widths, ascending: of heads without neurons, and of neurons without heads."""
    heads = _grid(config.num_heads, _HEAD_SHARES)
    neurons = _grid(config.intermediate_size, _NEURON_SHARES)
    return [LayerWidth(n, 0) for n in heads], [LayerWidth(0, n) for n in neurons]


def _table_of(config: BertConfig, tokens: int, times: Mapping[Any, float]) -> LatencyTable:
    """The table of one hidden size.

    Args:
        config: The shape.
        tokens: Length of the texts, in tokens.
        times: Milliseconds by hidden size, width and number of layers.
    """
    hidden, empty = config.hidden_size, LayerWidth(0, 0)
    base = times[hidden, empty, 1]
    empty_layer = max((times[hidden, empty, 3] - base) / 2, 0.0)

    def curve(points: list[LayerWidth], attribute: str, last: bool) -> Curve:
        values = [
            times[hidden, point, 1] - base
            if last
            else (times[hidden, point, 3] - times[hidden, point, 1]) / 2 - empty_layer
            for point in points
        ]
        # Noise can make a wider layer faster than a narrower one: the curve never falls.
        rising = np.maximum.accumulate(np.maximum(values, 0.0))
        return tuple(
            (int(getattr(point, attribute)), float(ms))
            for point, ms in zip(points, rising, strict=True)
        )

    by_heads, by_neurons = _widths(config)
    return LatencyTable(
        device=f"{platform.machine()} CPU, {_THREADS} thread(s)",
        recipe=_PRECISION.kernels,
        tokens=tokens,
        base_ms=base,
        empty_layer_ms=empty_layer,
        attention=curve(by_heads, "heads", False),
        feed_forward=curve(by_neurons, "neurons", False),
        last_attention=curve(by_heads, "heads", True),
        last_feed_forward=curve(by_neurons, "neurons", True),
        hidden_size=hidden,
    )


def _grid(largest: int, shares: Sequence[float]) -> list[int]:
    return sorted({round(share * largest) for share in shares})


def _interpolated(curve: Curve, at: npt.ArrayLike) -> npt.NDArray[np.float64]:
    widths, milliseconds = zip(*curve, strict=True)
    return np.asarray(np.interp(np.asarray(at, float), widths, milliseconds))


def _inference_call(checkpoint: Checkpoint, tokens: int, path: Path) -> Callable[[], Any]:
    """Writes a model to a `.tflite` file and returns a function that runs it once."""
    graph = build_inference_graph(checkpoint, [tokens], _PRECISION, LOGITS)
    path.write_bytes(graph.finish())
    runtime = open_runtime(path, _THREADS, fixed_lengths=True)
    run = runtime.signature(signature_key(tokens))
    ones = np.ones((1, tokens), np.int32)
    inputs = {"token_ids": ones, "padding_mask": ones, "segment_ids": np.zeros_like(ones)}

    def call(owner: Any = runtime) -> Any:  # keeps the runtime alive
        return run(inputs)

    return call


def _random_checkpoint(config: BertConfig, head: str, width: LayerWidth) -> Checkpoint:
    """A model of this width with random weights: latency does not depend on their values."""
    rng = np.random.default_rng(0)
    config = replace(config, vocab_size=_VOCABULARY)
    rows = width.heads * config.head_size
    cut = {"query": rows, "key": rows, "value": rows, "inner": width.neurons}
    cut_inputs = {"attention.output.kernel": rows, "feed_forward.output.kernel": width.neurons}
    weights = {}
    for name, shape in expected_shapes(config, 2, head == CLASSIFIER, head).items():
        part = name.split(".")[-2]
        if name.startswith("layers.") and part in cut:
            shape = (cut[part], *shape[1:])
        for ending, columns in cut_inputs.items():
            if name.endswith(ending):
                shape = (shape[0], columns)
        weights[name] = rng.normal(0, 0.02, shape).astype(np.float32)
    return Checkpoint(config, weights, ("no", "yes"))


def _measure_in_turn(
    calls: dict[Any, Callable[[], Any]], rounds: int, progress: Callable[[int, int], None]
) -> dict[Any, float]:
    """The median latency of each call in milliseconds. Each round runs all of them once.

    The first call after another model is not timed, since its data is not in the cache.
    """
    seconds: dict[Any, list[float]] = {key: [] for key in calls}
    for number in range(rounds):
        for key, call in calls.items():
            call()
            start = time.perf_counter()
            call()
            call()
            seconds[key].append((time.perf_counter() - start) / 2)
        progress(number + 1, rounds)
    return {key: 1e3 * statistics.median(values) for key, values in seconds.items()}
