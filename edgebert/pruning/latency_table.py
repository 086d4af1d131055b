"""What heads and neurons cost: a table of latencies, measured on the runtime that will run them.

Latency, not the number of operations, is what a phone's user waits for: kernels have fixed costs,
and the last layer of a classifier of texts runs for [CLS] alone. A table is measured on this
machine's CPU, or read from JSON that was measured elsewhere.
"""

from __future__ import annotations

import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.checkpoint import BertConfig, Checkpoint, expected_shapes
from converters.compaction import LayerWidth
from converters.heads import CLASSIFIER, TOKEN_CLASSIFIER
from converters.json_files import JsonFormat
from converters.tflite.inference_graph import (
    LOGITS,
    Precision,
    build_inference_graph,
    signature_key,
)
from edgebert.errors import ModelError
from edgebert.models.litert_runtime import open_runtime

FORMAT = 1
_TABLE = JsonFormat(
    "a latency table, `structure.latency_table` of the output of `edgebert prune "
    "--target-speedup ... --json` on the target",
    "leave it out, and the latencies are measured here",
    ModelError,
    versions=(FORMAT,),
)
ROUNDS = 25
_VOCABULARY = 64
_HEAD_SHARES = (0, 1 / 12, 1 / 6, 1 / 4, 1 / 2, 3 / 4, 1)
_NEURON_SHARES = (0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
Curve = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds by width.

    Attributes:
        device: where it was measured.
        recipe: of the weights.
        tokens: length of the texts.
        base_ms: of a model whose one layer is empty: embeddings, norms and head.
        empty_layer_ms: of every further layer without heads and neurons.
        attention: (heads, ms) of a layer's attention, ascending.
        feed_forward: (neurons, ms) of a layer's feed-forward.
        last_attention: the same for the last layer, which may run for [CLS] alone.
        last_feed_forward: the same.
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

    def attention_ms(self, heads: npt.ArrayLike, last: bool) -> npt.NDArray[np.float64]:
        """Milliseconds of attention with so many heads."""
        return _interpolated(self.last_attention if last else self.attention, heads)

    def feed_forward_ms(self, neurons: npt.ArrayLike, last: bool) -> npt.NDArray[np.float64]:
        """Milliseconds of a feed-forward with so many neurons."""
        return _interpolated(self.last_feed_forward if last else self.feed_forward, neurons)

    def model_ms(self, widths: Sequence[LayerWidth]) -> float:
        """Milliseconds of a whole model."""
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
    """Reads what `LatencyTable.to_dict` gave, as JSON.

    Raises:
        ModelError: the file is no such table.
    """
    try:
        content = _TABLE.read(Path(path))
        del content["format"]
        curves = {
            name: tuple((int(width), float(ms)) for width, ms in value)
            for name, value in content.items()
            if isinstance(value, list)
        }
        return LatencyTable(**{**content, **curves})
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"{path}: expected {_TABLE.name}. Received: other fields ({error}). "
            f"Next: {_TABLE.next_step}."
        ) from error


def measure_latency_table(
    config: BertConfig,
    tokens: int,
    precision: Precision = Precision(),
    threads: int = 1,
    rounds: int = ROUNDS,
    progress: Callable[[int, int], None] = lambda done, total: None,
    every_token: bool = False,
) -> LatencyTable:
    """Times models of one and of three layers over a grid of widths, all in turn.

    Args:
        config: of the model that is to be pruned.
        tokens: length of the texts.
        precision: of the weights.
        threads: of the runtime.
        rounds: how often each is timed; medians are kept.
        progress: told after every round.
        every_token: whether the head reads every token, not [CLS] alone.
    """
    head = TOKEN_CLASSIFIER if every_token else CLASSIFIER
    heads = _grid(config.num_heads, _HEAD_SHARES)
    neurons = _grid(config.intermediate_size, _NEURON_SHARES)
    widths = [LayerWidth(h, 0) for h in heads] + [LayerWidth(0, n) for n in neurons[1:]]
    with tempfile.TemporaryDirectory(prefix="edgebert-") as folder:
        calls = {
            (width, layers): _call(
                config, head, width, layers, tokens, precision, threads, Path(folder)
            )
            for width in widths
            for layers in (1, 3)
        }
        times = _in_turn(calls, rounds, progress)
    empty = LayerWidth(0, 0)
    base = times[empty, 1]
    empty_layer = max((times[empty, 3] - base) / 2, 0.0)

    def curve(points: list[LayerWidth], attribute: str, last: bool) -> Curve:
        values = [
            times[point, 1] - base
            if last
            else (times[point, 3] - times[point, 1]) / 2 - empty_layer
            for point in points
        ]
        rising = np.maximum.accumulate(np.maximum(values, 0.0))
        return tuple(
            (int(getattr(point, attribute)), float(ms))
            for point, ms in zip(points, rising, strict=True)
        )

    by_heads, by_neurons = widths[: len(heads)], [empty, *widths[len(heads) :]]
    return LatencyTable(
        device=f"{platform.machine()} CPU, {threads} thread(s)",
        recipe=precision.kernels,
        tokens=tokens,
        base_ms=base,
        empty_layer_ms=empty_layer,
        attention=curve(by_heads, "heads", False),
        feed_forward=curve(by_neurons, "neurons", False),
        last_attention=curve(by_heads, "heads", True),
        last_feed_forward=curve(by_neurons, "neurons", True),
    )


def _grid(most: int, shares: Sequence[float]) -> list[int]:
    return sorted({round(share * most) for share in shares})


def _interpolated(curve: Curve, at: npt.ArrayLike) -> npt.NDArray[np.float64]:
    widths, milliseconds = zip(*curve, strict=True)
    return np.asarray(np.interp(np.asarray(at, float), widths, milliseconds))


def _call(
    config: BertConfig,
    head: str,
    width: LayerWidth,
    layers: int,
    tokens: int,
    precision: Precision,
    threads: int,
    folder: Path,
) -> Callable[[], Any]:
    checkpoint = _random_checkpoint(replace(config, num_layers=layers), head, width)
    graph = build_inference_graph(checkpoint, [tokens], precision, LOGITS)
    path = folder / f"{layers}_{width.heads}_{width.neurons}.tflite"
    path.write_bytes(graph.finish())
    runtime = open_runtime(path, threads, fixed_lengths=True)
    run = runtime.signature(signature_key(tokens))
    ones = np.ones((1, tokens), np.int32)
    inputs = {"token_ids": ones, "padding_mask": ones, "segment_ids": np.zeros_like(ones)}

    def call(owner: Any = runtime) -> Any:
        return run(inputs)

    return call


def _random_checkpoint(config: BertConfig, head: str, width: LayerWidth) -> Checkpoint:
    """A model of these widths; latency does not depend on the weights' values."""
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


def _in_turn(
    calls: dict[Any, Callable[[], Any]], rounds: int, progress: Callable[[int, int], None]
) -> dict[Any, float]:
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
