"""The heads of the inference graph: what is computed of the encoder's rows, one function a head.

Every head is made of operators that XNNPACK takes, so the whole body with its head stays one
partition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from converters import heads
from converters.checkpoint import Checkpoint
from converters.errors import ConversionError
from converters.tflite.graph_masks import masked_logits
from converters.tflite.graph_sentences import Mask as Mask
from converters.tflite.graph_sentences import sentence_vector
from converters.tflite.subgraph_builder import SubgraphBuilder, Tensor

if TYPE_CHECKING:
    from converters.tflite.inference_graph import Layout

PROBABILITIES, LOGITS, HIDDEN_STATES = "probabilities", "logits", "hidden_states"
EMBEDDING = "embedding"
SCORE = "score"
SPAN_OUTPUTS = ("start_logits", "end_logits")

OUTPUTS: dict[str, tuple[str, ...]] = {
    heads.ENCODER: (HIDDEN_STATES,),
    heads.CLASSIFIER: (PROBABILITIES, LOGITS),
    heads.TOKEN_CLASSIFIER: (PROBABILITIES, LOGITS),
    heads.SPANS: (LOGITS,),
    heads.SENTENCE: (EMBEDDING,),
    heads.MASKED_LM: (LOGITS,),
}
"""What a graph may give, by the checkpoint's head; every head may be left out for hidden states."""


def outputs_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """What the graph of a checkpoint's head may give."""
    if checkpoint.problem == heads.REGRESSION:
        return (SCORE,)
    return OUTPUTS.get(checkpoint.head, ())


def check_output(checkpoint: Checkpoint, output: str) -> None:
    """Holds an output against what stands behind the encoder.

    Raises:
        ConversionError: the checkpoint has no head that gives it.
    """
    given = (*outputs_of(checkpoint), HIDDEN_STATES)
    if output not in given:
        raise ConversionError(
            f"the output '{output}' needs another head. Received: a checkpoint whose head is "
            f"'{checkpoint.head}', which gives {' or '.join(repr(name) for name in given)}."
        )


def reads_first_row_only(head: str, sentence: heads.SentenceHead | None, output: str) -> bool:
    """Whether nothing but [CLS] is read of the encoder's rows."""
    if output == HIDDEN_STATES:
        return False
    return head == heads.CLASSIFIER or (sentence is not None and sentence.pooling == ("cls",))


def add_head(
    layout: Layout, sub: SubgraphBuilder, x: Tensor, mask: Mask, length: int, output: str
) -> None:
    """Adds the head, and its outputs as those of the signature.

    Args:
        layout: the constants of the checkpoint.
        sub: the signature.
        x: the encoder's rows, `[length, hidden_size]`, or those alone that the head reads.
        mask: of the signature.
        length: of the signature, in tokens.
        output: what it gives, checked by `check_output`.
    """
    if output == HIDDEN_STATES:
        hidden = layout.config.hidden_size
        rows = sub.reshape(x, [1, -1, hidden], [1, length, hidden], HIDDEN_STATES)
        sub.output(HIDDEN_STATES, rows)
    else:
        _HEADS[layout.head](layout, sub, x, mask, length, output)


def _classifier(
    layout: Layout, sub: SubgraphBuilder, x: Tensor, mask: Mask, length: int, output: str
) -> None:
    x = layout.pool(sub, x)
    logits = layout.dense(sub, x, "classifier", LOGITS)
    if output == PROBABILITIES:
        turn = sub.logistic if layout.problem == heads.MULTI_LABEL else sub.softmax
        logits = turn(logits, PROBABILITIES)
    sub.output(output, logits)


def _token_classifier(
    layout: Layout, sub: SubgraphBuilder, x: Tensor, mask: Mask, length: int, output: str
) -> None:
    rows = layout.dense(sub, x, "token_classifier", "token_classifier/logits")
    if output == PROBABILITIES:
        rows = sub.softmax(rows, "token_classifier/probabilities")
    labels = rows.shape[-1]
    sub.output(output, sub.reshape(rows, [1, -1, labels], [1, length, labels], output))


def _spans(
    layout: Layout, sub: SubgraphBuilder, x: Tensor, mask: Mask, length: int, output: str
) -> None:
    rows = layout.dense(sub, x, "spans", "spans/logits")
    columns = sub.transpose(rows, [1, 0], "spans/columns")
    columns = sub.add(columns, mask.bias, "spans/masked")
    for name, logits in zip(SPAN_OUTPUTS, sub.split(columns, 1, 2, "spans/split"), strict=True):
        sub.output(name, sub.reshape(logits, [1, -1], [1, length], name))


def _sentence(
    layout: Layout, sub: SubgraphBuilder, x: Tensor, mask: Mask, length: int, output: str
) -> None:
    sub.output(output, sentence_vector(layout, sub, x, mask, length, output))


def _masked_lm(
    layout: Layout, sub: SubgraphBuilder, x: Tensor, mask: Mask, length: int, output: str
) -> None:
    sub.output(output, masked_logits(layout, sub, x, output))


_HEADS: dict[str, Callable[[Layout, SubgraphBuilder, Tensor, Mask, int, str], None]] = {
    heads.CLASSIFIER: _classifier,
    heads.TOKEN_CLASSIFIER: _token_classifier,
    heads.SPANS: _spans,
    heads.SENTENCE: _sentence,
    heads.MASKED_LM: _masked_lm,
}
