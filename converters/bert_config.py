"""Sizes and activations of a BERT encoder, and of its variants ELECTRA-small and MobileBERT."""

from __future__ import annotations

from dataclasses import dataclass

from converters.errors import ConversionError
from converters.json_files import short_repr

GELU_EXACT = "gelu"
GELU_TANH = "gelu_tanh"
RELU = "relu"
TANH = "tanh"
ACTIVATIONS = (GELU_EXACT, GELU_TANH, RELU)
NO_POOLER = "no pooler"
"""A classifier that reads the hidden state of [CLS] itself."""
POOLER_ACTIVATIONS = (TANH, RELU, GELU_EXACT, NO_POOLER)


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
MAX_FEED_FORWARDS = 64
"""The most feed-forward networks in a layer; the published MobileBERT has 4."""
TRIGRAM = 3
"""Tokens that a MobileBERT's embedding reads: the next one, the token itself, the previous one."""
MAX_PARAMETERS = 2**31
"""The most parameters of an encoder: a `.tflite` has at most 2 GB, which is one byte for each."""
MAX_WEIGHT_BYTES = 2 * 4 * MAX_PARAMETERS
"""The most bytes of the weight files of a model: twice the largest encoder in float32. A checkpoint
can have arrays that are not read, such as a second encoder or the state of an optimizer."""


@dataclass(frozen=True)
class BertConfig:
    """Sizes and activations of a BERT encoder (Devlin et al. 2019).

    Attributes:
        activation: activation of the feed-forward layers, one of `ACTIVATIONS`.
        layer_norm_epsilon: epsilon that LayerNorm adds to the variance.
        num_segments: rows of the segment table; 1 for a model without segments.
        pooler_activation: activation of the dense layer between [CLS] and the classifier, one of
            `POOLER_ACTIVATIONS`: tanh in BERT, ReLU in DistilBERT, GELU in ELECTRA. The published
            MobileBERT has no such layer.
        masked_lm_activation: activation of the dense layer of a masked LM's head. Empty means
            `activation`, as in BERT; ELECTRA and keras-hub always use the exact GELU.
        masked_lm_epsilon: epsilon of the LayerNorm after that layer. 0 means `layer_norm_epsilon`;
            keras-hub uses 1e-5.
        embedding_size: width of the token table, where a dense layer projects embeddings to
            `hidden_size`; 0 means `hidden_size`, without such a layer. ELECTRA-small (Clark et al.
            2020) projects the sum of the three embeddings. MobileBERT projects the rows of a token
            and its two neighbours, and adds the others afterwards.
        bottleneck_size: width inside the layers of a MobileBERT (Sun et al. 2020), else 0.
        num_feed_forwards: feed-forward networks in a layer: 1, in MobileBERT usually 4.
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
    embedding_size: int = 0
    bottleneck_size: int = 0
    num_feed_forwards: int = 1

    @property
    def parameters(self) -> int:
        """The number of parameters of the encoder, without pooler and head, about."""
        hidden, inner = self.hidden_size, self.intermediate_size
        tables = self.vocab_size * self.embedding_width + self.projected_size * hidden
        tables += (self.max_positions + self.num_segments) * self.position_width
        if not self.is_mobile:
            return tables + self.num_layers * (4 * hidden * hidden + 2 * hidden * inner)
        narrow = self.bottleneck_size
        attention = 4 * hidden * narrow + 3 * narrow * narrow
        return tables + self.num_layers * (attention + 2 * self.num_feed_forwards * narrow * inner)

    @property
    def embedding_width(self) -> int:
        """The width of the token table."""
        return self.embedding_size or self.hidden_size

    @property
    def position_width(self) -> int:
        """The width of the position and segment tables."""
        return self.hidden_size if self.is_mobile else self.embedding_width

    @property
    def projected_size(self) -> int:
        """The inputs of the projection of the embeddings; 0 without one."""
        return TRIGRAM * self.embedding_size if self.is_mobile else self.embedding_size

    @property
    def is_mobile(self) -> bool:
        """Whether it is a MobileBERT: bottlenecks, and NoNorm in place of LayerNorm."""
        return self.bottleneck_size > 0

    @property
    def attention_size(self) -> int:
        """The width of a layer's attention, all heads together."""
        return self.bottleneck_size or self.hidden_size

    @property
    def head_size(self) -> int:
        return self.attention_size // self.num_heads

    @property
    def has_pooler(self) -> bool:
        """Whether a classifier has a dense layer between [CLS] and the labels."""
        return self.pooler_activation != NO_POOLER

    @property
    def masked_lm_width(self) -> int:
        """The width of the hidden states in a masked LM's head."""
        return self.position_width

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
        problems += self._variant_problems()
        if not problems and self.parameters > MAX_PARAMETERS:
            problems.append(
                f"the encoder must have at most {MAX_PARAMETERS} parameters. "
                f"Received: sizes that give {self.parameters}"
            )
        if not problems and self.attention_size % self.num_heads:
            name = "bottleneck_size" if self.is_mobile else "hidden_size"
            problems.append(
                f"{name} must be a multiple of num_heads. "
                f"Received: {self.attention_size} and {self.num_heads}"
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

    def _variant_problems(self) -> list[str]:
        """The problems of the sizes that only ELECTRA-small and MobileBERT have."""
        most = LARGEST_SIZES["hidden_size"]
        limits = {"embedding_size": (0, most), "bottleneck_size": (0, most)}
        limits["num_feed_forwards"] = (1, MAX_FEED_FORWARDS)
        problems = [
            f"{name} must be a whole number from {low} to {high}. "
            f"Received: {short_repr(getattr(self, name))}"
            for name, (low, high) in limits.items()
            if type(getattr(self, name)) is not int or not low <= getattr(self, name) <= high
        ]
        if problems:
            return problems
        if not self.is_mobile:
            return [] if self.has_pooler else ["only a MobileBERT may have no pooler"]
        if not 0 < self.embedding_size < self.hidden_size:
            problems.append(
                "a MobileBERT's embedding_size must be below its hidden_size. "
                f"Received: {self.embedding_size} and {self.hidden_size}"
            )
        return problems
