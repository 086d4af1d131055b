"""The BERT variants of Hugging Face, one table row per `model_type`.

All variants are encoders with the same heads. They differ in the names of config.json and of the
arrays, and in the activations of the pooler and of a masked LM's head; MobileBERT has other layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from converters import heads
from converters.checkpoint import GELU_EXACT, GELU_TANH, RELU, TANH, Checkpoint

ACTIVATIONS = {
    "gelu": GELU_EXACT,
    "gelu_python": GELU_EXACT,
    "gelu_new": GELU_TANH,
    "gelu_accurate": GELU_TANH,
    "gelu_python_tanh": GELU_TANH,
    "gelu_pytorch_tanh": GELU_TANH,
    "gelu_fast": GELU_TANH,
    "relu": RELU,
}
ACTIVATIONS_OUT = {GELU_EXACT: "gelu", GELU_TANH: "gelu_new", RELU: "relu"}
EPSILON = 1e-12
NO_LABEL = "LABEL_0"
"""The name in `transformers` of the single output of a regression."""
MODEL, PRETRAINING = "Model", "ForPreTraining"
_CLASSES = {
    MODEL: heads.ENCODER,
    "ForSequenceClassification": heads.CLASSIFIER,
    "ForTokenClassification": heads.TOKEN_CLASSIFIER,
    "ForQuestionAnswering": heads.SPANS,
    "ForMaskedLM": heads.MASKED_LM,
}
"""Heads by the ending of the class name."""


@dataclass(frozen=True)
class Family:
    """The names and properties of one `model_type`.

    Attributes:
        model_type: value in config.json.
        stem: start of the class names, such as `Bert` in `BertModel`.
        pooler_activation: activation of the pooler of its sequence classifier.
        sizes: field of `BertConfig` -> key in config.json.
        activation: key of the activation in config.json.
        dropouts: keys of dropout rates in config.json; the first is read, all are written.
        has_segments: whether it has segment embeddings.
        fixed_epsilon: whether the LayerNorm epsilon is always 1e-12 and not in config.json.
        constants: keys and values that config.json has for all models of the family.
        decoder: output layer of a masked LM; its weight is the embedding table.
        pretraining: head of the class that ends in `ForPreTraining`. The head of ELECTRA, which
            detects replaced tokens, only serves pre-training and is not read.
        masked_lm_activation: activation of a masked LM's head; empty means that of the encoder.
        encoder_has_pooler: whether the bare encoder has a pooler.
        default_activation: activation of the encoder where config.json has none.
        defaults: values of sizes that config.json may leave out.
    """

    model_type: str
    stem: str
    pooler_activation: str
    sizes: Mapping[str, str]
    activation: str = "hidden_act"
    dropouts: tuple[str, ...] = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    has_segments: bool = True
    fixed_epsilon: bool = False
    constants: Mapping[str, Any] = field(default_factory=dict)
    decoder: str = "cls.predictions.decoder"
    pretraining: str = heads.MASKED_LM
    masked_lm_activation: str = ""
    encoder_has_pooler: bool = False
    default_activation: str = "gelu"
    defaults: Mapping[str, int] = field(default_factory=dict)

    @property
    def column(self) -> str:
        """Its column in the table of weight names."""
        return "huggingface" if self.encoder_has_pooler else self.model_type

    @property
    def prefix(self) -> str:
        """Prefix of the encoder's array names in a model with a head."""
        return f"{self.model_type}."

    @property
    def classes(self) -> dict[str, str]:
        """The supported classes and their heads."""
        table = _CLASSES | {PRETRAINING: self.pretraining}
        return {f"{self.stem}{ending}": head for ending, head in table.items()}

    def class_of(self, checkpoint: Checkpoint) -> str:
        """The class of a checkpoint; a sentence encoder has the class of the bare encoder."""
        ending = PRETRAINING if checkpoint.has_next_sentence else MODEL
        for candidate, head in _CLASSES.items():
            if head == checkpoint.head and ending != PRETRAINING:
                ending = candidate
        return f"{self.stem}{ending}"


_BERT_SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_positions": "max_position_embeddings",
}
_DISTILBERT_SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "dim",
    "num_layers": "n_layers",
    "num_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "max_positions": "max_position_embeddings",
}
BERT = Family(
    "bert",
    "Bert",
    TANH,
    _BERT_SIZES,
    constants={"position_embedding_type": "absolute"},
    encoder_has_pooler=True,
)
DISTILBERT = Family(
    "distilbert",
    "DistilBert",
    RELU,
    _DISTILBERT_SIZES,
    activation="activation",
    dropouts=("dropout", "attention_dropout", "seq_classif_dropout"),
    has_segments=False,
    fixed_epsilon=True,
    constants={"sinusoidal_pos_embds": False},
    decoder="vocab_projector",
    pretraining=heads.ENCODER,
)
ELECTRA = Family(
    "electra",
    "Electra",
    GELU_EXACT,
    {**_BERT_SIZES, "embedding_size": "embedding_size"},
    decoder="generator_lm_head",
    pretraining=heads.ENCODER,
    masked_lm_activation=GELU_EXACT,
)
MOBILEBERT = Family(
    "mobilebert",
    "MobileBert",
    TANH,
    {
        **_BERT_SIZES,
        "embedding_size": "embedding_size",
        "bottleneck_size": "intra_bottleneck_size",
        "num_feed_forwards": "num_feedforward_networks",
    },
    constants={
        "trigram_input": True,
        "use_bottleneck": True,
        "use_bottleneck_attention": False,
        "key_query_shared_bottleneck": True,
        "normalization_type": "no_norm",
    },
    dropouts=("hidden_dropout_prob",),
    encoder_has_pooler=True,
    default_activation="relu",
    defaults={"embedding_size": 128, "bottleneck_size": 128, "num_feed_forwards": 4},
)
POOLER_SWITCH = "classifier_activation"
"""Key in the config.json of a MobileBERT: whether there is a pooler; without one, a classifier
reads the hidden state of [CLS]."""
FAMILIES = {family.model_type: family for family in (BERT, DISTILBERT, ELECTRA, MOBILEBERT)}
