"""The neutral form of a BERT checkpoint, which all converters read or write."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from converters.bert_config import ACTIVATIONS as ACTIVATIONS
from converters.bert_config import GELU_EXACT as GELU_EXACT
from converters.bert_config import GELU_TANH as GELU_TANH
from converters.bert_config import LARGEST_SIZES as LARGEST_SIZES
from converters.bert_config import MAX_PARAMETERS as MAX_PARAMETERS
from converters.bert_config import NO_POOLER as NO_POOLER
from converters.bert_config import POOLER_ACTIVATIONS as POOLER_ACTIVATIONS
from converters.bert_config import RELU as RELU
from converters.bert_config import TANH as TANH
from converters.bert_config import BertConfig as BertConfig
from converters.errors import ConversionError
from converters.expected_shapes import expected_shapes as expected_shapes
from converters.heads import (
    CLASSIFIER,
    MASKED_LM,
    POOLER_READERS,
    PROBLEMS,
    REGRESSION,
    SINGLE_LABEL,
    MaskedTokens,
    SentenceHead,
    head_of,
    is_head_weight,
)
from converters.mapped_weights import forget_pages


@dataclass(frozen=True)
class Checkpoint:
    """A BERT: configuration, arrays by neutral name, and head.

    Attributes:
        config: sizes and activations of the encoder.
        weights: float32 arrays by the names of `converters.formats.weight_names`; kernels are
            `[outputs, inputs]`.
        labels: labels of a text or token classifier in the order of its outputs; empty for others.
        source: origin of the checkpoint, for provenance.
        notes: one sentence for each part that the reader left out or assumed, for the user.
        problem: meaning of a classifier's logits, one of `converters.heads.PROBLEMS`.
        sentence: pooling, dense layers and normalization of a sentence encoder; None for others.
        sigmoid_score: whether the score of a regression goes through a sigmoid, as in a
            CrossEncoder.
        masked: mask token and number of predictions of a masked LM's graph; None until a graph is
            built.
    """

    config: BertConfig
    weights: dict[str, np.ndarray] = field(repr=False)
    labels: tuple[str, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()
    problem: str = SINGLE_LABEL
    sentence: SentenceHead | None = None
    masked: MaskedTokens | None = None
    sigmoid_score: bool = False

    def __post_init__(self) -> None:
        if self.problem not in PROBLEMS:
            raise ConversionError(
                f"problem must be one of {', '.join(PROBLEMS)}. Received: {self.problem!r}."
            )

    @property
    def head(self) -> str:
        """The head, one of `converters.heads`."""
        return head_of(self.weights, self.sentence)

    @property
    def is_classifier(self) -> bool:
        """Whether the head classifies texts (not tokens)."""
        return "classifier.kernel" in self.weights

    @property
    def has_next_sentence(self) -> bool:
        """Whether it is a masked LM that also predicts the next sentence."""
        return self.head == MASKED_LM and any(
            name.startswith("next_sentence.") for name in self.weights
        )

    @property
    def vector_size(self) -> int:
        """The number of values of a sentence vector; without a sentence head the hidden size."""
        if self.sentence is None:
            return self.config.hidden_size
        last = f"sentence.dense.{len(self.sentence.activations) - 1}.kernel"
        whole = self.config.hidden_size * len(self.sentence.pooling)
        if self.sentence.activations:
            whole = len(self.weights[last])
        return self.sentence.dimensions or whole

    def weights_sha256(self) -> str:
        """SHA-256 in hex over names, shapes and float32 values, independent of the file format."""
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            array = np.ascontiguousarray(self.weights[name], np.float32)
            digest.update(f"{name}{array.shape}".encode())
            digest.update(array.data)
            forget_pages([self.weights[name]])
        return digest.hexdigest()

    def with_weights(self, weights: dict[str, np.ndarray]) -> Checkpoint:
        return replace(self, weights=weights)


def without_unread_pooler(weights: dict[str, np.ndarray], head: str) -> dict[str, np.ndarray]:
    """Removes the pooler if the head does not read it."""
    if head in POOLER_READERS:
        return weights
    return {name: array for name, array in weights.items() if not name.startswith("pooler.")}


def without_head(checkpoint: Checkpoint) -> Checkpoint:
    """Removes the head."""
    weights = {k: v for k, v in checkpoint.weights.items() if not is_head_weight(k)}
    return replace(
        checkpoint,
        weights=weights,
        labels=(),
        problem=SINGLE_LABEL,
        sentence=None,
        sigmoid_score=False,
    )


VOCABULARY_AXES = {"embeddings.token": 0, "masked_lm.bias": 0, "masked_lm.extra": 1}
"""The arrays with an entry for each token, and its axis."""


def cut_vocabulary(checkpoint: Checkpoint, size: int) -> Checkpoint:
    """Removes the rows of the embedding table behind the tokens of the vocabulary, with a note.

    Some checkpoints pad the table to a multiple of 8 or 64, since matmuls are then faster on GPUs
    (`pad_to_multiple_of` in `transformers`). No token has these rows.

    Args:
        checkpoint: a checkpoint with at least `size` rows.
        size: number of tokens of the vocabulary.
    """
    rows = checkpoint.config.vocab_size
    weights = dict(checkpoint.weights)
    for name, axis in VOCABULARY_AXES.items():
        if name in weights:
            weights[name] = np.take(weights[name], range(size), axis)
    note = (
        f"The embedding table has {rows} rows for {size} tokens: the last {rows - size} rows "
        "have no token and are left out."
    )
    return replace(
        checkpoint,
        config=replace(checkpoint.config, vocab_size=size),
        weights=weights,
        notes=(*checkpoint.notes, note),
    )


def config_to_train(config: BertConfig, head: str) -> BertConfig:
    """The configuration of a model whose head will be trained, such that all formats can store it.

    A classifier keeps its pooler activation. A masked LM's head gets the activation and epsilon of
    the encoder. ELECTRA-small's heads always have the exact GELU. A MobileBERT keeps its pooler, or
    still has none.
    """
    if config.is_mobile:
        return replace(config, masked_lm_activation="", masked_lm_epsilon=0.0)
    if config.embedding_size:
        masked = "" if config.activation == GELU_EXACT else GELU_EXACT
        return replace(
            config,
            pooler_activation=GELU_EXACT,
            masked_lm_activation=masked,
            masked_lm_epsilon=0.0,
        )
    pooler = config.pooler_activation if head == CLASSIFIER else TANH
    return replace(config, pooler_activation=pooler, masked_lm_activation="", masked_lm_epsilon=0.0)


def check_weights(checkpoint: Checkpoint, names: Mapping[str, str] | None = None) -> None:
    """Checks the arrays against the configuration.

    Args:
        checkpoint: the checkpoint.
        names: names of the arrays in the file, by neutral name, for messages.

    Raises:
        ConversionError: Arrays are missing, have a wrong shape, or hold NaN or infinity; all are
            listed.
    """
    weights = checkpoint.weights
    num_labels = 1 if checkpoint.problem == REGRESSION else len(checkpoint.labels)
    shapes = expected_shapes(
        checkpoint.config, num_labels, "pooler.kernel" in weights, checkpoint.head
    )
    if checkpoint.has_next_sentence:
        hidden = checkpoint.config.hidden_size
        shapes |= {"next_sentence.kernel": (2, hidden), "next_sentence.bias": (2,)}
        if checkpoint.config.has_pooler:
            shapes |= {"pooler.kernel": (hidden, hidden), "pooler.bias": (hidden,)}
    missing = [name for name in shapes if name not in weights]
    wrong = [
        f"{name}: expected {shape}. Received: {weights[name].shape}"
        for name, shape in shapes.items()
        if name in weights and weights[name].shape != shape
    ]
    if missing or wrong:
        parts = []
        if missing:
            parts.append(f"{len(missing)} arrays are missing: {', '.join(missing)}")
        if wrong:
            parts.append("shapes disagree with the configuration: " + "; ".join(wrong))
        source = checkpoint.source or "The checkpoint"
        raise ConversionError(
            f"{source}: {'. '.join(parts)}. "
            "Next: check that the configuration and the weights belong to one model."
        )
    check_finite(weights, checkpoint.source or "The checkpoint", names)


def check_finite(
    weights: Mapping[str, np.ndarray], source: str, names: Mapping[str, str] | None = None
) -> None:
    """Checks that all numbers of the arrays are finite.

    Args:
        weights: arrays by neutral name.
        source: the file or folder, for messages.
        names: names of the arrays in the file, by neutral name, for messages.

    Raises:
        ConversionError: Arrays hold NaN or infinity; all are listed.
    """
    damaged = []
    for name, array in weights.items():
        count = int(np.count_nonzero(~np.isfinite(array)))
        if count:
            shown = (names or {}).get(name, name)
            damaged.append(f"{shown} ({count} of {array.size})")
    if damaged:
        raise ConversionError(
            f"{source}: expected finite weights. Received: NaN or infinity in "
            f"{', '.join(damaged)}. Next: download or save the model again. If its training "
            "diverged, take an earlier checkpoint."
        )
