"""Builds the inference graph of a BERT: a `Checkpoint` becomes the operators of a `.tflite`.

The graph equals the checkpoint up to rounding. It is fast on a CPU for these reasons:

- The batch is one and activations have rank 2, `[tokens, hidden]`. Queries, keys and values are
  one matmul. 1/sqrt(head_size) is part of the query's weights, and the first segment's embedding
  is part of the positions.
- Embedding rows are stored in int8 with one scale per row, or in int4 with one scale per block of
  32 columns. The runtime's own EMBEDDING_LOOKUP reads both.
- A classifier reads [CLS] alone, so the last layer's queries, output projection and feed-forward
  run for that one row.
- Constants are in the file once; every signature refers to them.

After the lookups, all operators are ones that XNNPACK supports in float, with int8 weights in
FULLY_CONNECTED only, so that the body stays one delegate partition. Each layer may have its own
number of heads and its own feed-forward width: shapes come from the arrays, not from the
configuration.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from converters.checkpoint import Checkpoint
from converters.errors import ConversionError
from converters.heads import MASKED_LM
from converters.tflite.encoder_graph import INPUTS as INPUTS
from converters.tflite.encoder_graph import EncoderGraph, EncoderSignature, Rows
from converters.tflite.encoder_graph import signature_key as signature_key
from converters.tflite.graph_builder import GraphBuilder
from converters.tflite.graph_heads import add_head, check_output, reads_first_row_only
from converters.tflite.graph_masks import selected_rows, selection
from converters.tflite.mobilebert_graph import MobileBertSignature
from converters.tflite.output_names import EMBEDDING as EMBEDDING
from converters.tflite.output_names import HIDDEN_STATES as HIDDEN_STATES
from converters.tflite.output_names import LOGITS as LOGITS
from converters.tflite.output_names import PROBABILITIES as PROBABILITIES
from converters.tflite.output_names import SCORE as SCORE
from converters.tflite.output_names import SPAN_OUTPUTS as SPAN_OUTPUTS
from converters.tflite.quantized_matrix import quantize_rows as quantize_rows
from converters.tflite.subgraph_builder import DYNAMIC
from converters.tflite.weight_storage import Precision as Precision
from converters.tflite.weight_storage import WeightStorage

DYNAMIC_LENGTH = DYNAMIC
MASKED_SCORE = 1e4
"""Subtracted from the attention scores of padding: exp(-1e4) is 0 in float32, and 1e4 fits
float16."""


def build_inference_graph(
    checkpoint: Checkpoint,
    lengths: Sequence[int],
    precision: Precision,
    output: str,
    *,
    description: str = "BERT",
    masked_score: float = MASKED_SCORE,
) -> GraphBuilder:
    """Builds one signature per length, all over the same constants.

    Inputs of every signature, int32 `[1, length]`: `token_ids`, `padding_mask` (1 for a token,
    0 for padding), `segment_ids`. Outputs, float32, by the checkpoint's head:

    - a classifier of texts: `probabilities` or `logits`, `[1, labels]`; for regression `score`,
      `[1, 1]`;
    - a classifier of tokens: the same for each token, `[1, length, labels]`;
    - spans: `start_logits` and `end_logits`, each `[1, length]`; padding is far below any token;
    - sentence: `embedding`, `[1, size]`;
    - a masked LM: `logits` of the first [MASK] tokens, `[1, masks, vocab_size]`; rows behind the
      last [MASK] have no meaning;
    - no head, or `HIDDEN_STATES` requested: `hidden_states`, `[1, length, hidden_size]`.

    Args:
        checkpoint: what is exported.
        lengths: ascending token lengths; `DYNAMIC_LENGTH` alone for one free length.
        precision: how weights are stored.
        output: one of `graph_heads.OUTPUTS` for the head, or `HIDDEN_STATES`.
        description: of the flatbuffer.
        masked_score: subtracted from the attention scores of padding. Integer scores need a smaller
            one than the default, since it is part of their range.

    Raises:
        ConversionError: a length is larger than the position table, lengths repeat, or the
            checkpoint has no head for the output.
    """
    _check(checkpoint, lengths, output)
    file = GraphBuilder(description)
    storage = WeightStorage(file, precision)
    graph = EncoderGraph(checkpoint, file, storage, sorted(lengths), masked_score)
    for length in lengths:
        _add_signature(graph, length, output)
    return file


def _check(checkpoint: Checkpoint, lengths: Sequence[int], output: str) -> None:
    limit = checkpoint.config.max_positions
    wrong = [n for n in lengths if n != DYNAMIC_LENGTH and not 2 <= n <= limit]
    if wrong:
        raise ConversionError(
            f"lengths must be from 2 to {limit} tokens, the size of the position table. "
            f"Received: {', '.join(map(str, wrong))}."
        )
    if (
        not lengths
        or len(set(lengths)) != len(lengths)
        or (DYNAMIC_LENGTH in lengths and len(lengths) > 1)
    ):
        raise ConversionError(f"lengths must be different and at least one. Received: {lengths}.")
    check_output(checkpoint, output)


def _add_signature(graph: EncoderGraph, length: int, output: str) -> None:
    make = MobileBertSignature if graph.config.is_mobile else EncoderSignature
    signature = make(graph, length)
    x = signature.embeddings()
    mask = signature.mask()
    x = signature.encode(x, mask, _rows_read(signature, output))
    add_head(signature, x, mask, output)


def _rows_read(signature: EncoderSignature, output: str) -> Rows | None:
    """The rows of the last layer that the head reads; None for all."""
    checkpoint, sub = signature.graph.checkpoint, signature.sub
    if reads_first_row_only(checkpoint, output):
        size = [1, checkpoint.config.hidden_size]
        return Rows(1, lambda x, name: sub.slice(x, [0, 0], size, size, f"{name}/cls"))
    if checkpoint.head == MASKED_LM and output != HIDDEN_STATES:
        chosen = selection(signature)
        select = functools.partial(selected_rows, sub, chosen)
        return Rows(chosen.shape[1], lambda x, name: select(x, f"{name}/masked"))
    return None
