"""How much the loss minds what a sublayer adds: second-order statistics over calibration text.

The Fisher information of an output kernel, in Kronecker-factored form (Martens and Grosse 2015;
van der Ouderaa et al. 2023, "The LLM Surgeon", for structured pruning): the second moment of what
the kernel reads, and that of the loss' gradient at what it gives. The gates that Kwon et al. 2022
put on heads and neurons are the case in which the rest of the kernel may not make up for a loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from edgebert.encoding.encoded_rows import EncodedRows
from edgebert.models.task_model import TaskModel
from edgebert.pruning.surgeon import SUBLAYERS, Curvature
from edgebert.system.progress import Progress
from edgebert.training import fitting
from edgebert.training.batches import sorted_batches
from edgebert.training.heads import Head, drawn_loss, kind_of
from edgebert.training.packed_encoder import Taps


def measure_curvature(
    model: TaskModel,
    rows: EncodedRows,
    progress: Progress,
    parts: Sequence[str] = SUBLAYERS,
    batch_size: int = 32,
    seed: int = 0,
) -> dict[str, Curvature]:
    """The curvature of output kernels, by neutral name without `.kernel`.

    The loss is that of something drawn from what the model itself says: of a label, of each token's
    tag, of the places of a span. So no labels are needed: see `heads.drawn_loss`.

    Args:
        model: with a head; sublayers that are pruned whole are left out.
        rows: calibration text.
        progress: told after every batch.
        parts: which of `SUBLAYERS` are looked at.
        batch_size: texts at once.
        seed: of what is drawn.
    """
    net = fitting.build_frozen(model)
    encoder, head, kind = net.get_layer("packed_encoder"), Head(net), kind_of(model.checkpoint)
    names: Sequence[str] = [
        f"layers.{i}.{part}" for i in range(model.checkpoint.config.num_layers) for part in parts
    ]
    wanted = {*names, *(f"{name}.input" for name in names)}

    @tf.function(autograph=False, reduce_retracing=True)
    def statistics(inputs: Any, step: Any) -> Any:
        taps = Taps(wanted.__contains__)
        with tf.GradientTape() as tape:
            mask = inputs["padding_mask"]
            outputs = head(encoder.encode(inputs, False, taps), mask)
            loss = drawn_loss(kind, outputs, mask, tf.stack([seed, step]))
        alive = [name for name in names if name in taps.values]
        gradients = tape.gradient(loss, [taps.values[name] for name in alive])
        tokens = tf.reduce_sum(inputs["padding_mask"])
        return {
            name: (*_moments(taps.values[f"{name}.input"], gradient, tokens),)
            for name, gradient in zip(alive, gradients, strict=True)
        }

    sums: dict[str, list[np.ndarray]] = {}
    batches = list(sorted_batches(rows.lengths, batch_size))
    for number, batch in enumerate(batches):
        inputs = rows.padded(batch, int(rows.lengths.max()))
        for name, moments in statistics(inputs, tf.constant(number)).items():
            arrays = [moment.numpy().astype(np.float64) for moment in moments]
            known = sums.setdefault(name, [np.zeros_like(array) for array in arrays])
            for total, array in zip(known, arrays, strict=True):
                total += array
        progress("curvature", number + 1, len(batches))
    return {
        name: Curvature(inputs / inputs[-1, -1], gradients / len(rows))
        for name, (inputs, gradients) in sums.items()
    }


def _moments(reads: Any, gradient: Any, tokens: Any) -> tuple[Any, Any]:
    """Sums over the real rows; padding stands at the end of packed rows, with no gradient."""
    count = tf.minimum(tokens, tf.shape(reads)[0])
    reads = reads[:count]
    reads = tf.concat([reads, tf.ones([count, 1])], 1)
    return (
        tf.matmul(reads, reads, transpose_a=True),
        tf.matmul(gradient, gradient, transpose_a=True),
    )
