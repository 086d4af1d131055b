"""The masked language model's head of the inference graph: logits of a text's first [MASK] tokens.

A matrix that is 1 where the k-th [MASK] stands selects their rows. The running sum of the masks is
computed before the body starts, next to the embedding lookups. In the body the selection is one
matmul, so the last layer's queries, output projection and feed-forward run for the selected rows
alone, and the body stays one partition. The kernel of the output is the embedding table: both use
the same bytes of the file.
"""

from __future__ import annotations

import numpy as np

from converters.errors import ConversionError
from converters.tflite.encoder_graph import EncoderSignature
from converters.tflite.graph_activations import activate
from converters.tflite.subgraph_builder import SubgraphBuilder, Tensor
from converters.tflite.weight_storage import Dense


def selection(signature: EncoderSignature) -> Tensor:
    """1 where the k-th [MASK] of the text stands, else 0; float32 `[1, masks, length]`.

    For example, with two masks and the token ids `[CLS] [MASK] a [MASK] [SEP]`: `is_mask` is
    `0 1 0 1 0`, its running sum `0 1 1 2 2`, their product `0 1 0 2 0`. One minus the squared
    difference from 1, and from 2, is 1 where the numbers are equal and 0 or less elsewhere: RELU
    gives the rows `0 1 0 0 0` and `0 0 0 1 0`.

    Raises:
        ConversionError: the checkpoint does not have the id of [MASK].
    """
    sub, graph, length = signature.sub, signature.graph, signature.length
    masked = graph.checkpoint.masked
    if masked is None:
        raise ConversionError(
            "a masked language model's graph must know the id of [MASK]. Received: a checkpoint "
            "without it."
        )
    ids = sub.reshape(signature.token_ids, [1, 1, -1], [1, 1, length], "masks/token_ids")
    mask_id = graph.file.constant("masks/mask_id", np.array([masked.mask_id], np.int32))
    is_mask = sub.cast(sub.equal(ids, mask_id, "masks/is_mask"), np.float32, "masks/ones")
    # LiteRT's GPU delegate takes CUMSUM of floats alone, and gives wrong sums over the axis 0.
    running_sum = sub.cumsum(is_mask, 2, "masks/counted", exclusive=False)
    numbered = sub.mul(running_sum, is_mask, "masks/numbered")
    numbers = np.arange(1, masked.count + 1, dtype=np.float32)[None, :, None]
    constant = graph.file.constant("masks/numbers", numbers)
    squares = sub.squared_difference(numbered, constant, "masks/squares")
    one = graph.storage.vector("mask/one", 1.0)
    return sub.relu(sub.sub(one, squares, "masks/one_minus_squares"), "masks/selection")


def selected_rows(sub: SubgraphBuilder, selected: Tensor, x: Tensor, name: str) -> Tensor:
    """The selected rows, `[masks, hidden_size]`; zeros for masks that the text does not have."""
    length, hidden = x.shape
    masks = selected.shape[1]
    x = sub.reshape(x, [1, -1, hidden], [1, length, hidden], f"{name}/rows")
    x = sub.batch_matmul(selected, x, [1, masks, hidden], f"{name}/selected")
    return sub.reshape(x, [-1, hidden], [masks, hidden], name)


def masked_logits(signature: EncoderSignature, x: Tensor, name: str) -> Tensor:
    """BERT's masked-LM head (Devlin et al. 2019): float32 `[1, masks, vocab_size]`.

    Args:
        signature: what the head is added to.
        x: the rows of the [MASK] tokens, `[masks, hidden_size]`.
        name: of the logits.
    """
    sub, graph = signature.sub, signature.graph
    x = signature.dense(x, "masked_lm.dense", "masked_lm/dense")
    x = activate(sub, x, graph.config.transform_activation, "masked_lm/activation")
    epsilon = graph.config.transform_epsilon
    x = signature.layer_norm(x, "masked_lm.norm", "masked_lm/norm", epsilon)
    logits = _token_logits(signature, x)
    shape = [1, *logits.shape]
    return sub.reshape(logits, shape, shape, name)


def _token_logits(signature: EncoderSignature, x: Tensor) -> Tensor:
    """The product with the embedding table, and in a MobileBERT with further columns."""
    sub, graph = signature.sub, signature.graph
    weights, width = graph.weights, graph.config.embedding_width
    tokens = Dense("masked_lm.tokens", weights["embeddings.token"], weights["masked_lm.bias"])
    extra = weights.get("masked_lm.extra")
    if extra is None:
        return graph.storage.tied(sub, x, graph.token_table(), tokens, "masked_lm/tokens")
    rows, hidden = x.shape
    first, rest = (
        sub.slice(x, [0, start], [rows, size], [rows, size], f"masked_lm/{name}")
        for name, start, size in (("first", 0, width), ("rest", width, hidden - width))
    )
    logits = graph.storage.tied(sub, first, graph.token_table(), tokens, "masked_lm/tokens")
    no_bias = np.zeros(len(weights["masked_lm.bias"]), np.float32)
    columns = Dense("masked_lm.extra", extra.T, no_bias)
    more = graph.storage.dense(sub, rest, [columns], "masked_lm/extra")
    return sub.add(logits, more, "masked_lm/sum")
