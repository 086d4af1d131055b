"""Sizes and activations of a BERT encoder."""

from __future__ import annotations

from dataclasses import dataclass

from converters.errors import ConversionError
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
        embedding_size: width of the embedding tables, where a dense layer projects their sum to
            `hidden_size` (ELECTRA-small, Clark et al. 2020). 0 means `hidden_size`, without such a
            layer.
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

    @property
    def parameters(self) -> int:
        """The number of parameters of the encoder, without pooler and head, about."""
        hidden, inner = self.hidden_size, self.intermediate_size
        width = self.embedding_width
        tables = (self.vocab_size + self.max_positions + self.num_segments) * width
        tables += self.embedding_size * hidden
        return tables + self.num_layers * (4 * hidden * hidden + 2 * hidden * inner)

    @property
    def embedding_width(self) -> int:
        """The width of the embedding tables."""
        return self.embedding_size or self.hidden_size

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
        most = LARGEST_SIZES["hidden_size"]
        if type(self.embedding_size) is not int or not 0 <= self.embedding_size <= most:
            problems.append(
                f"embedding_size must be a whole number from 1 to {most}, or 0 for hidden_size. "
                f"Received: {short_repr(self.embedding_size)}"
            )
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
