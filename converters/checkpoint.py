"""The neutral object that every converter reads or writes: a BERT's shape and its named arrays."""

from __future__ import annotations

import hashlib
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

GELU_EXACT = "gelu"
GELU_TANH = "gelu_tanh"
RELU = "relu"
TANH = "tanh"
ACTIVATIONS = (GELU_EXACT, GELU_TANH, RELU)
POOLER_ACTIVATIONS = (TANH, RELU, GELU_EXACT)


@dataclass(frozen=True)
class BertConfig:
    """The shape of a BERT encoder (Devlin et al. 2019).

    Attributes:
        activation: of the feed-forward layers, one of `ACTIVATIONS`.
        layer_norm_epsilon: added to the variance.
        num_segments: rows of the segment table; 1 for a model that tells no segments apart.
        pooler_activation: of the dense layer between [CLS] and the classifier, one of
            `POOLER_ACTIVATIONS`: BERT has tanh, DistilBERT ReLU, ELECTRA GELU.
        masked_lm_activation: of the dense layer in a masked LM's head; empty: `activation`, as in
            BERT. ELECTRA and keras-hub have the exact GELU there, whatever the encoder has.
        masked_lm_epsilon: of the LayerNorm behind it; 0: `layer_norm_epsilon`. keras-hub has 1e-5.
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
    def head_size(self) -> int:
        return self.hidden_size // self.num_heads

    @property
    def transform_activation(self) -> str:
        """The activation in a masked LM's head."""
        return self.masked_lm_activation or self.activation

    @property
    def transform_epsilon(self) -> float:
        """LayerNorm's epsilon in a masked LM's head."""
        return self.masked_lm_epsilon or self.layer_norm_epsilon

    def __post_init__(self) -> None:
        problems = [
            f"{name} must be a whole number, at least 1. Received: {getattr(self, name)!r}"
            for name in (
                "vocab_size",
                "hidden_size",
                "num_layers",
                "num_heads",
                "intermediate_size",
                "max_positions",
                "num_segments",
            )
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1
        ]
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
            raise ConversionError("The configuration is no BERT: " + "; ".join(problems) + ".")


@dataclass(frozen=True)
class Checkpoint:
    """A BERT: its configuration, its arrays by neutral name, and its head's labels.

    Attributes:
        weights: float32 arrays; kernels are `[outputs, inputs]`. Names are those of
            `converters.formats.weight_names`.
        labels: of a classifier of texts or tokens, in the order of its outputs; empty for others.
        source: where it came from, for provenance.
        notes: what its reader left out or had to assume, a sentence each, for the user.
        problem: what a classifier's logits are, one of `converters.heads.PROBLEMS`.
        sentence: how a vector is made of a text; None for models that make none.
        masked: what a masked LM's graph is asked for, which the vocabulary decides; None until a
            graph is laid out.
    """

    config: BertConfig
    weights: dict[str, np.ndarray] = field(repr=False)
    labels: tuple[str, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()
    problem: str = SINGLE_LABEL
    sentence: SentenceHead | None = None
    masked: MaskedTokens | None = None

    def __post_init__(self) -> None:
        if self.problem not in PROBLEMS:
            raise ConversionError(
                f"problem must be one of {', '.join(PROBLEMS)}. Received: {self.problem!r}."
            )

    @property
    def head(self) -> str:
        """What stands behind the encoder, a head of `converters.heads`."""
        return head_of(self.weights, self.sentence)

    @property
    def is_classifier(self) -> bool:
        """Whether it classifies whole texts."""
        return "classifier.kernel" in self.weights

    @property
    def has_next_sentence(self) -> bool:
        """Whether its masked LM tells, too, if the second text follows the first."""
        return self.head == MASKED_LM and any(
            name.startswith("next_sentence.") for name in self.weights
        )

    def weights_sha256(self) -> str:
        """A hash over names, shapes and float32 values: the same weights give it in any file."""
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
    """Every array that a checkpoint of this shape must hold, by neutral name.

    Args:
        config: the shape of the encoder.
        num_labels: outputs of a classifier.
        pooler: whether it has a pooler though its head needs none.
        head: of `converters.heads`; a classifier where it is empty and there are labels. The dense
            layers of a sentence head have no shape of their own.
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
    """The arrays less a pooler that the head does not read."""
    if head in POOLER_READERS:
        return weights
    return {name: array for name, array in weights.items() if not name.startswith("pooler.")}


def without_head(checkpoint: Checkpoint) -> Checkpoint:
    """The encoder alone, whatever stands behind it."""
    weights = {k: v for k, v in checkpoint.weights.items() if not is_head_weight(k)}
    return replace(checkpoint, weights=weights, labels=(), problem=SINGLE_LABEL, sentence=None)


def config_to_train(config: BertConfig, head: str) -> BertConfig:
    """The shape of a model whose head is trained: what BERT's head has, so that any class holds it.

    A classifier keeps the activation that its pooler has; a masked LM's head gets the encoder's
    activation and epsilon.
    """
    pooler = config.pooler_activation if head == CLASSIFIER else TANH
    return replace(config, pooler_activation=pooler, masked_lm_activation="", masked_lm_epsilon=0.0)


def check_weights(checkpoint: Checkpoint) -> None:
    """Holds the arrays against the configuration.

    Raises:
        ConversionError: every missing array and every wrong shape, in one message.
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
