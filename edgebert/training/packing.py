"""Packing: the tokens of a padded batch in one array without gaps, and attention heads of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from edgebert.training.operations import permute

PACK_MULTIPLE = 32
"""The number of packed rows is a multiple of this, so that few shapes occur."""
MASKED_SCORE = -1e9


class Packing(NamedTuple):
    """Two index tables between a padded batch `[batch, length]` and the packed array.

    Attributes:
        batch: Number of texts.
        length: Columns of the padded batch.
        position: For each packed row its position in the flattened batch, int32 `[packed]`.
        row: For each position of the batch its packed row, int32 `[batch, 1, length]`. Positions
            that are not packed point to the last packed row, which is padding in that case.
        score_bias: 0 for tokens, `MASKED_SCORE` for padding, float32 `[batch, 1, 1, length]`.
    """

    batch: Any
    length: Any
    position: Any
    row: Any
    score_bias: Any


def pack(padding_mask: Any) -> Packing:
    """Computes the index tables of a batch.

    The packed array holds all tokens first, then padding up to a multiple of `PACK_MULTIPLE`.
    Padding is computed like a token, but no token and no output reads it, so its gradients are
    exactly zero.

    Example, with a multiple of 4 in place of 32. Two texts of 3 and 2 tokens, padded to length 4:

        padding_mask   [[1, 1, 1, 0],       positions  [[0, 1, 2, 3],
                        [1, 1, 0, 0]]                    [4, 5, 6, 7]]

    5 tokens need 8 packed rows: the tokens at 0, 1, 2, 4, 5, then the padding at 3, 6, 7.

        position       [0, 1, 2, 4, 5, 3, 6, 7]
        row            [[[0, 1, 2, 5]], [[3, 4, 6, 7]]]

    Row 3 of the packed array is position 4, the first token of the second text; and position 4 has
    the entry 3 in `row`. If the batch had more padding than fits, the positions left out would all
    point to row 7.

    Args:
        padding_mask: int32 `[batch, length]`, 1 for tokens.
    """
    batch, length = tf.unstack(tf.shape(padding_mask))
    positions = batch * length
    flat = tf.reshape(padding_mask, [-1])
    wanted = (tf.reduce_sum(flat) // PACK_MULTIPLE + 1) * PACK_MULTIPLE
    packed = tf.minimum(wanted, positions)
    position = tf.argsort(1 - flat, stable=True)[:packed]
    row = tf.tensor_scatter_nd_update(
        tf.fill([positions], packed - 1), position[:, None], tf.range(packed)
    )
    score_bias = tf.cast(1 - padding_mask, tf.float32)[:, None, None, :] * MASKED_SCORE
    return Packing(batch, length, position, tf.reshape(row, [batch, 1, length]), score_bias)


def split_heads(x: Any, packing: Packing, parts: int, heads: int) -> list[Any]:
    """Unpacks rows of several projections into the layout of attention.

    Seen as rows of `head_size` numbers, `x` holds (packed row, part, head) in this order, and the
    result holds (part, text, head, column). One gather with the table `there` reorders them, and
    the gather of its gradient uses the inverse table `back`.

    Example: 3 parts (query, key, value) of 2 heads. Packed row 4 has the rows 4 * 3 * 2 + 0..5 =
    24..29, and its key (part 1) of head 0 is row (4 * 3 + 1) * 2 + 0 = 26. With the batch of
    `pack`, packed row 4 is text 1, column 1 of 2 texts of length 4, so the result holds that key at
    ((1 * 2 + 1) * 2 + 0) * 4 + 1 = 25: `there` has 26 at place 25, and `back` 25 at place 26.

    Args:
        x: `[packed, parts * heads * head_size]`.
        packing: The index tables.
        parts: Number of projections in a row of `x`.
        heads: Heads of each projection.

    Returns:
        `parts` arrays `[batch, heads, length, head_size]`.
    """
    part = tf.range(parts)[:, None, None, None]
    head = tf.range(heads)[:, None]
    there = (packing.row * parts + part) * heads + head
    text, column = packing.position // packing.length, packing.position % packing.length
    part, head = tf.range(parts)[:, None], tf.range(heads)
    text, column = text[:, None, None], column[:, None, None]
    back = ((part * packing.batch + text) * heads + head) * packing.length + column
    return tf.unstack(permute(x, there, back, x.shape[1] // (parts * heads)), num=parts)


def join_heads(x: Any, packing: Packing) -> Any:
    """The inverse of `split_heads` for one part: `[packed, heads * head_size]`.

    Its tables are those of `split_heads` with one part, `there` and `back` exchanged.
    """
    heads, head_size = x.shape[1], x.shape[3]
    head = tf.range(heads)
    text, column = packing.position // packing.length, packing.position % packing.length
    there = (text[:, None] * heads + head) * packing.length + column[:, None]
    back = packing.row * heads + head[:, None]
    return tf.reshape(permute(x, there, back, head_size), [-1, heads * head_size])
