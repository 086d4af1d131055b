"""The masked language model's head of the inference graph: logits of the text's first [MASK]s.

Which rows these are is a matrix that is 1 where the k-th [MASK] stands. It is made of the token ids
before the body begins, beside the embedding lookups; in the body it is one matmul, so that the last
layer's queries, output projection and feed-forward run for these rows alone, and the body stays one
partition. The output's kernel is the embedding table: the same bytes of the file serve both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converters.errors import ConversionError
from converters.tflite.graph_activations import activate
from converters.tflite.subgraph_builder import SubgraphBuilder, Tensor
from converters.tflite.weight_storage import Dense

if TYPE_CHECKING:
    from converters.tflite.inference_graph import Layout


def selection(layout: Layout, sub: SubgraphBuilder, token_ids: Tensor, length: int) -> Tensor:
    """1 where the k-th [MASK] of the text stands, else 0; float32 `[1, masks, length]`.

    Args:
        layout: the constants of the checkpoint.
        sub: the signature.
        token_ids: its input, int32 `[1, length]`.
        length: of the signature, in tokens.

    Raises:
        ConversionError: the checkpoint does not say which token [MASK] is.
    """
    asked = layout.masked
    if asked is None:
        raise ConversionError(
            "a masked language model's graph must know the id of [MASK]. Received: a checkpoint "
            "without it."
        )
    ids = sub.reshape(token_ids, [-1], [length], "masks/token_ids")
    mask_id = layout.graph.constant("masks/mask_id", np.array([asked.mask_id], np.int32))
    is_mask = sub.cast(sub.equal(ids, mask_id, "masks/is_mask"), np.int32, "masks/ones")
    counted = sub.cumsum(is_mask, "masks/counted", exclusive=False)
    numbered = sub.mul(counted, is_mask, "masks/numbered")
    row = sub.reshape(numbered, [1, 1, -1], [1, 1, length], "masks/row")
    numbers = np.arange(1, asked.count + 1, dtype=np.int32)[None, :, None]
    chosen = sub.equal(row, layout.graph.constant("masks/numbers", numbers), "masks/chosen")
    return sub.cast(chosen, np.float32, "masks/selection")


def selected_rows(sub: SubgraphBuilder, selected: Tensor, x: Tensor, name: str) -> Tensor:
    """The rows that a selection names, `[masks, hidden_size]`; zeros where there are no more."""
    length, hidden = x.shape
    masks = selected.shape[1]
    x = sub.reshape(x, [1, -1, hidden], [1, length, hidden], f"{name}/rows")
    x = sub.batch_matmul(selected, x, [1, masks, hidden], f"{name}/selected")
    return sub.reshape(x, [-1, hidden], [masks, hidden], name)


def masked_logits(layout: Layout, sub: SubgraphBuilder, x: Tensor, name: str) -> Tensor:
    """BERT's masked-LM head (Devlin et al. 2019): float32 `[1, masks, vocab_size]`.

    Args:
        layout: the constants of the checkpoint.
        sub: the signature.
        x: the rows of the [MASK]s, `[masks, hidden_size]`.
        name: of the logits.
    """
    x = layout.dense(sub, x, "masked_lm.dense", "masked_lm/dense")
    x = activate(sub, x, layout.config.transform_activation, "masked_lm/activation")
    epsilon = layout.config.transform_epsilon
    x = layout.layer_norm(sub, x, "masked_lm.norm", "masked_lm/norm", epsilon)
    weights = layout.weights
    tokens = Dense("masked_lm.tokens", weights["embeddings.token"], weights["masked_lm.bias"])
    logits = layout.storage.tied(sub, x, layout.token_table(), tokens, "masked_lm/tokens")
    shape = [1, *logits.shape]
    return sub.reshape(logits, shape, shape, name)
