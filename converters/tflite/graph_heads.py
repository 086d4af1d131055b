"""The heads of the inference graph: what is computed from the encoder's rows, one function a head.

Every head consists of operators that XNNPACK supports, so the body with its head stays one
partition.
"""

from __future__ import annotations

from collections.abc import Callable

from converters import heads
from converters.checkpoint import Checkpoint
from converters.errors import ConversionError
from converters.tflite.encoder_graph import EncoderSignature, Mask
from converters.tflite.graph_masks import masked_logits
from converters.tflite.graph_sentences import sentence_vector
from converters.tflite.output_names import (
    EMBEDDING,
    HIDDEN_STATES,
    LOGITS,
    PROBABILITIES,
    SCORE,
    SPAN_OUTPUTS,
)
from converters.tflite.subgraph_builder import Tensor

OUTPUTS: dict[str, tuple[str, ...]] = {
    heads.ENCODER: (HIDDEN_STATES,),
    heads.CLASSIFIER: (PROBABILITIES, LOGITS),
    heads.TOKEN_CLASSIFIER: (PROBABILITIES, LOGITS),
    heads.SPANS: (LOGITS,),
    heads.SENTENCE: (EMBEDDING,),
    heads.MASKED_LM: (LOGITS,),
}
"""The outputs that a graph can have, by the checkpoint's head. `HIDDEN_STATES`, without the head,
is possible for every checkpoint."""


def outputs_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The outputs that the graph of a checkpoint's head can have."""
    if checkpoint.problem == heads.REGRESSION:
        return (SCORE,)
    return OUTPUTS.get(checkpoint.head, ())


def check_output(checkpoint: Checkpoint, output: str) -> None:
    """Checks that a checkpoint has the head for an output.

    Raises:
        ConversionError: it has not.
    """
    given = (*outputs_of(checkpoint), HIDDEN_STATES)
    if output not in given:
        raise ConversionError(
            f"the output '{output}' needs another head. Received: a checkpoint whose head is "
            f"'{checkpoint.head}', which gives {' or '.join(repr(name) for name in given)}."
        )


def reads_first_row_only(checkpoint: Checkpoint, output: str) -> bool:
    """Whether the output depends on the encoder's row of [CLS] alone."""
    if output == HIDDEN_STATES:
        return False
    sentence = checkpoint.sentence
    return checkpoint.head == heads.CLASSIFIER or (
        sentence is not None and sentence.pooling == ("cls",)
    )


def add_head(signature: EncoderSignature, x: Tensor, mask: Mask, output: str) -> None:
    """Adds the head, and its result as the signature's output.

    Args:
        signature: what the head is added to.
        x: the encoder's rows, `[length, hidden_size]`, or only those that the head reads.
        mask: of the signature.
        output: what it gives, checked by `check_output`.
    """
    if output == HIDDEN_STATES:
        hidden = signature.graph.config.hidden_size
        _add_rows(signature, x, hidden, HIDDEN_STATES)
    else:
        _HEADS[signature.graph.checkpoint.head](signature, x, mask, output)


def _add_rows(signature: EncoderSignature, rows: Tensor, width: int, output: str) -> None:
    shape = [1, signature.length, width]
    signature.sub.output(output, signature.sub.reshape(rows, [1, -1, width], shape, output))


def _classifier(signature: EncoderSignature, x: Tensor, mask: Mask, output: str) -> None:
    sub, problem = signature.sub, signature.graph.checkpoint.problem
    logits = signature.dense(signature.pool(x), "classifier", LOGITS)
    if output == PROBABILITIES:
        normalize = sub.logistic if problem == heads.MULTI_LABEL else sub.softmax
        logits = normalize(logits, PROBABILITIES)
    elif output == SCORE and signature.graph.checkpoint.sigmoid_score:
        logits = sub.logistic(logits, SCORE)
    sub.output(output, logits)


def _token_classifier(signature: EncoderSignature, x: Tensor, mask: Mask, output: str) -> None:
    rows = signature.dense(x, "token_classifier", "token_classifier/logits")
    if output == PROBABILITIES:
        rows = signature.sub.softmax(rows, "token_classifier/probabilities")
    _add_rows(signature, rows, rows.shape[-1], output)


def _spans(signature: EncoderSignature, x: Tensor, mask: Mask, output: str) -> None:
    sub = signature.sub
    rows = signature.dense(x, "spans", "spans/logits")
    columns = sub.transpose(rows, [1, 0], "spans/columns")
    columns = sub.add(columns, mask.bias, "spans/masked")
    for name, logits in zip(SPAN_OUTPUTS, sub.split(columns, 1, 2, "spans/split"), strict=True):
        sub.output(name, sub.reshape(logits, [1, -1], [1, signature.length], name))


def _sentence(signature: EncoderSignature, x: Tensor, mask: Mask, output: str) -> None:
    signature.sub.output(output, sentence_vector(signature, x, mask, output))


def _masked_lm(signature: EncoderSignature, x: Tensor, mask: Mask, output: str) -> None:
    signature.sub.output(output, masked_logits(signature, x, output))


_HEADS: dict[str, Callable[[EncoderSignature, Tensor, Mask, str], None]] = {
    heads.CLASSIFIER: _classifier,
    heads.TOKEN_CLASSIFIER: _token_classifier,
    heads.SPANS: _spans,
    heads.SENTENCE: _sentence,
    heads.MASKED_LM: _masked_lm,
}
