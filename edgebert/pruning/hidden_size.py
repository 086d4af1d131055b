"""Narrows the hidden size: the width of the residual stream that all layers read and write.

The narrow stream z is a linear map of the teacher's stream y, z = B^T y, with one basis
B `[hidden, size]` for all layers, since the residual connections add states of different layers
(`hidden_basis` chooses it). Each layer that reads or writes the stream is fitted by least squares
on calibration text, from the first to the last, with the narrow model's own activations as inputs
and the teacher's as targets, so that a layer corrects the errors of those before it (SliceGPT,
Ashkboos et al. 2024, projects the weights alone):

- A layer that reads the stream computes W y + b. With the fit y = U z + c of this state, it becomes
  (W U) z + (W c + b), which is also the least-squares fit of the layer's outputs.
- A layer that writes the stream gets the kernel and bias that bring z + W x + b closest to the
  teacher's state in front of the LayerNorm, B^T (y + its update).
- A LayerNorm computes mean and variance of fewer numbers. Its gain and bias are fitted for each
  channel, which also corrects their mean difference.
- The embedding tables are multiplied by B.

Example of a writing layer: z = [1], one input x = 2 and the wanted state 4. The fit of W x = 4 - 1
gives W = 1.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from converters.checkpoint import Checkpoint
from converters.compaction import compact
from converters.heads import CLASSIFIER
from edgebert.encoding.encoded_rows import EncodedRows
from edgebert.pruning.hidden_basis import choose_basis
from edgebert.pruning.narrow_heads import LastStates, narrow_head
from edgebert.pruning.stream import Floats, Sublayers, TextBatch, normalized, text_batches
from edgebert.system.progress import Progress
from edgebert.training.least_squares import Moments, fit_gain

MOST_TOKENS = 32_768
"""Largest number of calibration tokens; their states are kept in memory."""
READ_DAMPING, WRITE_DAMPING = 1e-6, 1e-3
CLS_SHARE = 0.9
"""Weight of [CLS] in the fits of a last layer of which nothing else is read."""
PARTS, KINDS = ("query", "key", "value"), ("kernel", "bias")


def narrow_hidden_size(
    teacher: Checkpoint, pruned: Checkpoint, size: int, rows: EncodedRows, progress: Progress
) -> Checkpoint:
    """The model with a hidden size of `size`. Nothing is trained.

    Args:
        teacher: The model whose states are the targets.
        pruned: The same model, perhaps with heads and neurons pruned. Each layer has at most
            `size / head_size` heads.
        size: The new hidden size, a multiple of the head size.
        rows: Calibration text.
        progress: Called after every layer.
    """
    batches = text_batches(rows, MOST_TOKENS)
    basis = choose_basis(teacher, size, batches)
    narrowing = _Narrowing(teacher, pruned, basis, batches)
    layers = teacher.config.num_layers
    narrowing.narrow_embeddings()
    for layer in range(layers):
        progress("hidden size", layer, layers)
        narrowing.narrow_layer(layer)
    checkpoint = narrowing.finished()
    progress("hidden size", layers, layers)
    return checkpoint


class _Narrowing:
    """The states of the teacher and of the narrow model while layer after layer is narrowed.

    Args:
        teacher: The model whose states are the targets.
        pruned: The model whose heads and neurons are kept.
        basis: float32 `[hidden, size]`.
        batches: Calibration text.
    """

    def __init__(
        self,
        teacher: Checkpoint,
        pruned: Checkpoint,
        basis: Floats,
        batches: Sequence[TextBatch],
    ) -> None:
        config = teacher.config
        self._source, self._basis, self._batches = teacher, basis, batches
        self._kept = compact(pruned).weights
        self._teacher = Sublayers(config, compact(teacher).weights, config.head_size)
        self.weights: dict[str, np.ndarray] = {}
        self._narrow = Sublayers(config, self.weights, config.head_size)
        self._theirs: list[Floats] = []
        self._ours: list[Floats] = []
        self._row_weights = [np.ones(int(batch.is_token.sum())) for batch in batches]

    def narrow_embeddings(self) -> None:
        """Narrows the tables and their LayerNorm; a projection of the embeddings in their place."""
        own, projection = self._source.weights, "embeddings.projection"
        if self._source.config.embedding_size:
            self.weights |= {k: v for k, v in own.items() if k.startswith("embeddings.")}
            self.weights[f"{projection}.kernel"] = self._basis.T @ own[f"{projection}.kernel"]
            self.weights[f"{projection}.bias"] = self._basis.T @ own[f"{projection}.bias"]
            self._theirs, self._ours = (
                [side.projected(batch) for batch in self._batches]
                for side in (self._teacher, self._narrow)
            )
            return
        for table in ("token", "position", "segment"):
            self.weights[f"embeddings.{table}"] = own[f"embeddings.{table}"] @ self._basis
        self._theirs = [self._teacher.embedded(batch) for batch in self._batches]
        self._normalize("embeddings.norm", [self._narrow.embedded(b) for b in self._batches])

    def narrow_layer(self, number: int) -> None:
        """Narrows a layer and moves both models behind it."""
        layer, teacher, narrow = f"layers.{number}", self._teacher, self._narrow
        self._narrow_readers(*(f"{layer}.attention.{part}" for part in PARTS))
        if number == self._source.config.num_layers - 1 and self._source.head == CLASSIFIER:
            self._row_weights = [_cls_weights(batch) for batch in self._batches]
        before = zip(self._theirs, self._ours, self._batches, strict=True)
        contexts = [
            (teacher.context(y, layer, b), narrow.context(z, layer, b)) for y, z, b in before
        ]
        self._narrow_writer(f"{layer}.attention", *map(list, zip(*contexts, strict=True)))
        self._narrow_readers(f"{layer}.feed_forward.inner")
        theirs = [teacher.inner(y, layer) for y in self._theirs]
        ours = [narrow.inner(z, layer) for z in self._ours]
        self._narrow_writer(f"{layer}.feed_forward", theirs, ours)

    def finished(self) -> Checkpoint:
        """The narrow checkpoint, after all layers."""
        size = self._basis.shape[1]
        head = narrow_head(self._source, self._states(), self._teacher.pooled)
        config = self._source.config
        config = replace(config, hidden_size=size, num_heads=size // config.head_size)
        weights = self.weights | head.weights
        for i in range(config.num_layers):
            weights |= _padded(weights, f"layers.{i}", size, config.intermediate_size)
        return replace(self._source, config=config, weights=weights, sentence=head.sentence)

    def _states(self) -> LastStates:
        """The states behind the last layer, for the head."""
        kernel, bias = self._reading_fit()
        return LastStates(self._theirs, self._ours, self._batches, kernel, bias)

    def _reading_fit(self) -> tuple[Floats, Floats]:
        """The kernel `[hidden, size]` and bias that fit the teacher's state by the narrow one."""
        hidden, size = self._basis.shape
        moments = Moments.of(size, hidden)
        for y, z, batch, weights in self._rows():
            moments.add(z[batch.is_token], y[batch.is_token], weights)
        return moments.solve(READ_DAMPING)

    def _narrow_readers(self, *names: str) -> None:
        """Narrows the dense layers that read this state of the stream."""
        kernel, bias = self._reading_fit()
        for name in names:
            own = self._kept[f"{name}.kernel"]
            self.weights[f"{name}.kernel"] = own @ kernel
            self.weights[f"{name}.bias"] = own @ bias + self._kept[f"{name}.bias"]

    def _narrow_writer(self, sublayer: str, theirs: list[Floats], ours: list[Floats]) -> None:
        """Narrows a sublayer's output kernel and LayerNorm, and moves the states behind them.

        Args:
            sublayer: Its neutral name, such as `layers.0.attention`.
            theirs: The inputs of the teacher's output kernel.
            ours: The inputs of the narrow model's output kernel.
        """
        output, size = f"{sublayer}.output", self._basis.shape[1]
        self._theirs = [
            y + self._teacher.dense(x, output) for y, x in zip(self._theirs, theirs, strict=True)
        ]
        moments = Moments.of(ours[0].shape[-1], size)
        for (s, z, batch, weights), x in zip(self._rows(), ours, strict=True):
            wanted = s[batch.is_token] @ self._basis - z[batch.is_token]
            moments.add(x[batch.is_token], wanted, weights)
        own, own_bias = self._kept[f"{output}.kernel"], self._kept[f"{output}.bias"]
        start = (self._basis.T @ own, self._basis.T @ own_bias)
        kernel, bias = moments.solve(WRITE_DAMPING, near=start)
        self.weights |= {f"{output}.kernel": kernel, f"{output}.bias": bias}
        sums = [z + self._narrow.dense(x, output) for z, x in zip(self._ours, ours, strict=True)]
        self._normalize(f"{sublayer}.norm", sums)

    def _normalize(self, norm: str, sums: list[Floats]) -> None:
        """Fits a LayerNorm and moves the states of both models behind it.

        Args:
            norm: Its neutral name. `_theirs` holds the teacher's states in front of it.
            sums: The narrow model's states in front of it.
        """
        epsilon = self._source.config.layer_norm_epsilon
        self._theirs = [self._teacher.norm(s, norm) for s in self._theirs]
        self._ours = [normalized(s, epsilon) for s in sums]
        flat = [
            (x[batch.is_token], y[batch.is_token] @ self._basis, weights)
            for y, x, batch, weights in self._rows()
        ]
        scale, bias = fit_gain(flat)
        self.weights |= {f"{norm}.scale": scale, f"{norm}.bias": bias}
        self._ours = [x * scale + bias for x in self._ours]

    def _rows(self) -> Iterator[tuple[Floats, Floats, TextBatch, npt.NDArray[np.float64]]]:
        """The teacher's states, the narrow ones, the texts and the weights of their tokens."""
        yield from zip(self._theirs, self._ours, self._batches, self._row_weights, strict=True)


def _cls_weights(batch: TextBatch) -> npt.NDArray[np.float64]:
    """Weights of the tokens, with `CLS_SHARE` of each text's weight on [CLS]: `[tokens]`."""
    others = batch.is_token.sum(1) - 1
    weights = np.ones(batch.is_token.shape)
    weights[:, 0] = np.maximum(CLS_SHARE / (1 - CLS_SHARE) * others, 1)
    return weights[batch.is_token]


def _padded(
    weights: Mapping[str, np.ndarray], layer: str, heads_width: int, neurons: int
) -> dict[str, np.ndarray]:
    """A layer's arrays with zeros in place of missing heads and neurons, as in a plain BERT."""
    wanted = {f"attention.{part}.{kind}": (0, heads_width) for part in PARTS for kind in KINDS}
    wanted |= {"attention.output.kernel": (1, heads_width)}
    wanted |= {f"feed_forward.inner.{kind}": (0, neurons) for kind in KINDS}
    wanted |= {"feed_forward.output.kernel": (1, neurons)}
    padded = {}
    for name, (axis, width) in wanted.items():
        array = weights[f"{layer}.{name}"]
        missing = [(0, 0)] * array.ndim
        missing[axis] = (0, width - array.shape[axis])
        padded[f"{layer}.{name}"] = np.pad(array, missing)
    return padded
