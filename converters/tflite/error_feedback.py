"""GPTQ: rounds a kernel such that the error of its outputs is small, not that of its weights.

Frantar et al. 2023, "GPTQ: Accurate post-training quantization for generative pre-trained
transformers" (https://arxiv.org/abs/2210.17323). Columns are rounded one after another. Each
rounding error is compensated in the columns that follow, by the second moments of the kernel's
inputs.
"""

from __future__ import annotations

import numpy as np

from converters.errors import ConversionError
from converters.tflite.quantized_matrix import (
    INT4_HIGHEST,
    INT4_LOWEST,
    QuantizedMatrix,
    quantize_int4,
)

DAMPING = 0.05
"""Added to the diagonal of the moments, as a share of its mean, against overfitting to few texts.
Of 0.01 to 1, 0.03 to 0.1 were best on SST-2 and CLINC150 with 256 texts."""
_BATCH = 64


def quantize_int4_with_feedback(
    matrix: np.ndarray, moments: np.ndarray, block: int = 0, damping: float = DAMPING
) -> QuantizedMatrix:
    """Symmetric int4 with a small error of `inputs @ matrix.T`.

    Scales are those of `quantize_int4`, chosen before the first column is rounded. Columns are
    rounded in descending order of the second moments of their inputs.

    Args:
        matrix: float `[outputs, inputs]`.
        moments: float `[inputs, inputs]`, the mean of `x x^T` over the kernel's inputs.
        block: inputs that share a scale, float16 in the file; 0 for one scale per output.
        damping: added to the diagonal of the moments, as a share of its mean.

    Raises:
        ConversionError: the moments have another shape than the kernel, or are not finite.
    """
    inputs = matrix.shape[1]
    if moments.shape != (inputs, inputs) or not np.isfinite(moments).all():
        raise ConversionError(
            f"Expected finite moments [{inputs}, {inputs}] for a kernel with {inputs} inputs. "
            f"Received: {list(moments.shape)}."
        )
    nearest = quantize_int4(matrix, block)
    if not matrix.size or not moments.any():
        return nearest
    size = block or inputs
    scales = nearest.scales.astype(np.float32).reshape(len(matrix), -1)
    by_column = np.repeat(scales, size, axis=1)
    diagonal = moments.diagonal()
    order = np.argsort(-diagonal, kind="stable")
    damped = moments + np.eye(inputs) * (damping * float(diagonal.mean()))
    feedback = _feedback(damped[np.ix_(order, order)])
    rounded = _round_in_turn(matrix[:, order], by_column[:, order], feedback)
    values = np.empty(matrix.shape, np.int8)
    values[:, order] = rounded
    return QuantizedMatrix(values, nearest.scales, 4, block)


def _feedback(moments: np.ndarray) -> np.ndarray:
    """The upper Cholesky factor of the inverse, float64 `[inputs, inputs]`."""
    inverse = np.linalg.inv(moments.astype(np.float64))
    return np.asarray(np.linalg.cholesky((inverse + inverse.T) / 2).T)


def _round_in_turn(matrix: np.ndarray, scales: np.ndarray, feedback: np.ndarray) -> np.ndarray:
    """Rounds the columns from left to right: int8 `[outputs, inputs]`.

    Errors are compensated at once within a batch of columns, and for all later columns after each
    batch, which is one matrix product.

    Args:
        matrix: float `[outputs, inputs]`.
        scales: float32 `[outputs, inputs]`.
        feedback: upper triangular, float64 `[inputs, inputs]`.
    """
    left = matrix.astype(np.float64)
    values = np.empty(matrix.shape, np.int8)
    columns = matrix.shape[1]
    for start in range(0, columns, _BATCH):
        stop = min(start + _BATCH, columns)
        errors = np.empty((len(matrix), stop - start))
        for j in range(start, stop):
            values[:, j] = np.clip(np.rint(left[:, j] / scales[:, j]), INT4_LOWEST, INT4_HIGHEST)
            error = (left[:, j] - values[:, j] * scales[:, j]) / feedback[j, j]
            left[:, j + 1 : stop] -= error[:, None] * feedback[j, j + 1 : stop]
            errors[:, j - start] = error
        left[:, stop:] -= errors @ feedback[start:stop, stop:]
    return values
