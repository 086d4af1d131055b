"""The neutral form of a BERT checkpoint, which all converters read or write."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from converters.errors import ConversionError
from converters.heads import (
    CLASSIFIER,
    MASKED_LM,
    POOLER_READERS,
    PROBLEMS,
    REGRESSION,
    SINGLE_LABEL,
    SPANS,
    TOKEN_CLASSIFIER,
    MaskedTokens,
    SentenceHead,
    head_of,
    is_head_weight,
)
from converters.json_files import short_repr

GELU_EXACT = "gelu"
GELU_TANH = "gelu_tanh"
RELU = "relu"
TANH = "tanh"
ACTIVATIONS = (GELU_EXACT, GELU_TANH, RELU)
POOLER_ACTIVATIONS = (TANH, RELU, GELU_EXACT)


LARGEST_SIZES = {
    "vocab_size": 2_000_000,  # the largest published WordPiece vocabulary has 501,153 (LaBSE)
    "hidden_size": 16_384,  # BERT-large has 1,024, the largest published encoders 4,096
    "num_layers": 256,  # BERT-large has 24; each layer is built one by one
    "num_heads": 1_024,  # BERT-large has 16; a head has at least one column
    "intermediate_size": 65_536,  # four times the largest hidden_size
    "max_positions": 65_536,  # BERT has 512; attention over more does not fit in memory
    "num_segments": 1_024,  # BERT has 2, Google's default is 16
}
"""The largest value of each size of a configuration, which is checked before anything of that size
is allocated."""
MAX_PARAMETERS = 2**31
"""The most parameters of an encoder: a `.tflite` has at most 2 GB, which is one byte for each."""


@dataclass(frozen=True)
class BertConfig:
    """Sizes and activations of a BERT encoder (Devlin et al. 2019).

    Attributes:
        activation: activation of the feed-forward layers, one of `ACTIVATIONS`.
        layer_norm_epsilon: epsilon that LayerNorm adds to the variance.
        num_segments: rows of the segment table; 1 for a model without segments.
        pooler_activation: activation of the dense layer between [CLS] and the classifier, one of
            `POOLER_ACTIVATIONS`: tanh in BERT, ReLU in DistilBERT, GELU in ELECTRA.
        masked_lm_activation: activation of the dense layer of a masked LM's head. Empty means
            `activation`, as in BERT; ELECTRA and keras-hub always use the exact GELU.
        masked_lm_epsilon: epsilon of the LayerNorm after that layer. 0 means `layer_norm_epsilon`;
            keras-hub uses 1e-5.
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    max_positions: int
    num_segments: int = 2
    activation: str = GELU_EXACT
    layer_norm_epsilon: float = 1e-12
    dropout: float = 0.1
    pooler_activation: str = TANH
    masked_lm_activation: str = ""
    masked_lm_epsilon: float = 0.0

    @property
    def parameters(self) -> int:
        """The number of parameters of the encoder, without pooler and head, about."""
        hidden, inner = self.hidden_size, self.intermediate_size
        tables = (self.vocab_size + self.max_positions + self.num_segments) * hidden
        return tables + self.num_layers * (4 * hidden * hidden + 2 * hidden * inner)

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_heads

    @property
    def transform_activation(self) -> str:
        """The activation of a masked LM's head."""
        return self.masked_lm_activation or self.activation

    @property
    def transform_epsilon(self) -> float:
        """The LayerNorm epsilon of a masked LM's head."""
        return self.masked_lm_epsilon or self.layer_norm_epsilon

    def __post_init__(self) -> None:
        problems = [
            f"{name} must be a whole number from 1 to {most}. "
            f"Received: {short_repr(getattr(self, name))}"
            for name, most in LARGEST_SIZES.items()
            if type(getattr(self, name)) is not int or not 1 <= getattr(self, name) <= most
        ]
        if not problems and self.parameters > MAX_PARAMETERS:
            problems.append(
                f"the encoder must have at most {MAX_PARAMETERS} parameters. "
                f"Received: sizes that give {self.parameters}"
            )
        if not problems and self.hidden_size % self.num_heads:
            problems.append(
                f"hidden_size must be a multiple of num_heads. "
                f"Received: {self.hidden_size} and {self.num_heads}"
            )
        for name, known in (
            ("activation", ACTIVATIONS),
            ("pooler_activation", POOLER_ACTIVATIONS),
            ("masked_lm_activation", ("", *ACTIVATIONS)),
        ):
            if getattr(self, name) not in known:
                problems.append(
                    f"{name} must be one of {', '.join(filter(None, known))}. "
                    f"Received: {getattr(self, name)}"
                )
        if problems:
            raise ConversionError(
                "Expected the configuration of a BERT. Received: " + "; ".join(problems) + "."
            )


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

    def weights_sha256(self) -> str:
        """SHA-256 in hex over names, shapes and float32 values, independent of the file format."""
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            array = np.ascontiguousarray(self.weights[name], np.float32)
            digest.update(f"{name}{array.shape}".encode())
            digest.update(array.data)
        return digest.hexdigest()

    def with_weights(self, weights: dict[str, np.ndarray]) -> Checkpoint:
        return replace(self, weights=weights)


def expected_shapes(
    config: BertConfig, num_labels: int, pooler: bool, head: str = ""
) -> dict[str, tuple[int, ...]]:
    """The shape of every required array, by neutral name.

    Args:
        config: sizes of the encoder.
        num_labels: number of outputs of a classifier.
        pooler: whether there is a pooler even if the head does not need it.
        head: the head, one of `converters.heads`; empty means a classifier if there are labels.
            The dense layers of a sentence head are not included.
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.token": (config.vocab_size, hidden),
        "embeddings.position": (config.max_positions, hidden),
        "embeddings.segment": (config.num_segments, hidden),
        "embeddings.norm.scale": (hidden,),
        "embeddings.norm.bias": (hidden,),
    }
    dense = {
        "attention.query": (hidden, hidden),
        "attention.key": (hidden, hidden),
        "attention.value": (hidden, hidden),
        "attention.output": (hidden, hidden),
        "feed_forward.inner": (inner, hidden),
        "feed_forward.output": (hidden, inner),
    }
    for i in range(config.num_layers):
        for name, shape in dense.items():
            shapes[f"layers.{i}.{name}.kernel"] = shape
            shapes[f"layers.{i}.{name}.bias"] = shape[:1]
        for name in ("attention.norm", "feed_forward.norm"):
            shapes[f"layers.{i}.{name}.scale"] = (hidden,)
            shapes[f"layers.{i}.{name}.bias"] = (hidden,)
    head = head or (CLASSIFIER if num_labels else "")
    if pooler or head == CLASSIFIER:
        shapes["pooler.kernel"], shapes["pooler.bias"] = (hidden, hidden), (hidden,)
    outputs = {
        CLASSIFIER: ("classifier", num_labels),
        TOKEN_CLASSIFIER: ("token_classifier", num_labels),
        SPANS: ("spans", 2),
        MASKED_LM: ("masked_lm.dense", hidden),
    }
    if head in outputs:
        name, size = outputs[head]
        shapes[f"{name}.kernel"], shapes[f"{name}.bias"] = (size, hidden), (size,)
    if head == MASKED_LM:
        shapes["masked_lm.norm.scale"] = shapes["masked_lm.norm.bias"] = (hidden,)
        shapes["masked_lm.bias"] = (config.vocab_size,)
    return shapes


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
    for name in ("embeddings.token", "masked_lm.bias"):
        if name in weights:
            weights[name] = np.ascontiguousarray(weights[name][:size])
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
    the encoder.
    """
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
