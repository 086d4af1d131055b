"""Measures the curvature of the loss at the output kernels of sublayers, on calibration text.

The curvature is the Fisher information of a kernel in Kronecker-factored form (Martens and Grosse
2015; van der Ouderaa et al. 2023, "The LLM Surgeon", for structured pruning). It has two factors:
the second moment of the kernel's inputs, and that of the loss gradient at its outputs.

Example: a kernel with 2 inputs and 1 output, and one text of two tokens with the inputs [1, 0] and
[2, 1] and the gradients 0.5 and -1. With a 1 appended for the bias, the sum of `a a^T` is

    [[5, 2, 3], [2, 1, 1], [3, 1, 2]]

Its last entry counts the 2 tokens, so the mean is the sum divided by it. The sum of `g g^T` is
0.5^2 + 1^2 = 1.25, which is divided by the number of texts.

The gates that Kwon et al. 2022 put on heads and neurons are a special case, in which the remaining
weights of the kernel stay as they are.
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
from edgebert.training.heads import Head, kind_of, sampled_loss
from edgebert.training.packed_encoder import Taps


def measure_curvature(
    model: TaskModel,
    rows: EncodedRows,
    progress: Progress,
    parts: Sequence[str] = SUBLAYERS,
    batch_size: int = 32,
    seed: int = 0,
) -> dict[str, Curvature]:
    """Measures the curvature of output kernels, by neutral name without `.kernel`.

    The targets of the loss are sampled from the model's own outputs, so no labels are needed (see
    `heads.sampled_loss`).

    Args:
        model: A model with a head. Sublayers that are pruned entirely are left out.
        rows: Calibration text.
        progress: Called after every batch.
        parts: Kernels to measure, out of `SUBLAYERS`.
        batch_size: Texts per batch.
        seed: Seed of the sampled targets.
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
            loss = sampled_loss(kind, outputs, mask, tf.stack([seed, step]))
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
            for total, array in zip(sums.setdefault(name, arrays), arrays, strict=True):
                if total is not array:
                    total += array
        progress("curvature", number + 1, len(batches))
    for moment, gradients in sums.values():  # in place: at 3,072 neurons a layer has 75 MB
        moment /= float(moment[-1, -1])
        gradients /= len(rows)
    return {name: Curvature(*both) for name, both in sums.items()}


def _moments(inputs: Any, gradient: Any, tokens: Any) -> tuple[Any, Any]:
    """The sums of `a a^T` and `g g^T` over the tokens of a batch.

    Packed rows have their padding at the end. A last layer that is computed for [CLS] only has
    fewer rows than tokens and no padding. The gradient of padding is zero.
    """
    count = tf.minimum(tokens, tf.shape(inputs)[0])
    inputs = tf.concat([inputs[:count], tf.ones([count, 1])], 1)
    return (
        tf.matmul(inputs, inputs, transpose_a=True),
        tf.matmul(gradient, gradient, transpose_a=True),
    )
