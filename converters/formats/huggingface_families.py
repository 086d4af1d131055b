"""The kinds of BERT that Hugging Face has classes for: a table, a row a `model_type`.

All of them are one encoder. What differs is how config.json and the arrays are named, and which
activation stands between [CLS] and the classifier, or in a masked LM's head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from converters import heads
from converters.checkpoint import GELU_EXACT, GELU_TANH, RELU, TANH, BertConfig, Checkpoint
from converters.errors import ConversionError

ACTIVATIONS = {
    "gelu": GELU_EXACT,
    "gelu_new": GELU_TANH,
    "gelu_pytorch_tanh": GELU_TANH,
    "gelu_fast": GELU_TANH,
    "relu": RELU,
}
_ACTIVATIONS_OUT = {GELU_EXACT: "gelu", GELU_TANH: "gelu_new", RELU: "relu"}
_EPSILON = 1e-12
NO_LABEL = "LABEL_0"
"""What `transformers` calls the one output of a regression."""
MODEL, PRETRAINING = "Model", "ForPreTraining"
_CLASSES = {
    MODEL: heads.ENCODER,
    "ForSequenceClassification": heads.CLASSIFIER,
    "ForTokenClassification": heads.TOKEN_CLASSIFIER,
    "ForQuestionAnswering": heads.SPANS,
    "ForMaskedLM": heads.MASKED_LM,
}
"""What a class's name ends in, and the head that it has."""
_UNREAD_CLASSES = ("ForMultipleChoice", "ForNextSentencePrediction")
"""Classes whose head is not read."""


@dataclass(frozen=True)
class Family:
    """How one `model_type` says what it is.

    Attributes:
        stem: of its classes' names, as `Bert` in `BertModel`.
        pooler_activation: of its sequence classifier.
        sizes: field of `BertConfig` -> key in config.json.
        activation: key in config.json.
        dropouts: keys in config.json; the first is read, all are written.
        has_segments: whether it has segment embeddings.
        fixed_epsilon: whether LayerNorm's epsilon is not in config.json, but always 1e-12.
        constants: what config.json says of every model of the family, written as it is.
        decoder: the layer of a masked LM that turns hidden states into tokens: its weight is the
            embedding table.
        pretraining: the head of the class that ends in `ForPreTraining`. That of an ELECTRA tells
            which tokens were replaced: it serves pre-training alone, and is not read.
        masked_lm_activation: of a masked LM's head; empty: the encoder's.
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

    @property
    def column(self) -> str:
        """Its column in the table of weight names."""
        return "huggingface" if self.model_type == "bert" else self.model_type

    @property
    def prefix(self) -> str:
        """Of the encoder's arrays in a model with a head."""
        return f"{self.model_type}."

    @property
    def classes(self) -> dict[str, str]:
        """The classes that are read, and their heads."""
        table = _CLASSES | {PRETRAINING: self.pretraining}
        return {f"{self.stem}{ending}": head for ending, head in table.items()}

    @property
    def unread_classes(self) -> tuple[str, ...]:
        """Classes that are known, but whose head is not read."""
        return tuple(f"{self.stem}{ending}" for ending in _UNREAD_CLASSES)

    def class_of(self, checkpoint: Checkpoint) -> str:
        """The class that computes what the checkpoint does; what makes vectors is an encoder."""
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
BERT = Family("bert", "Bert", TANH, _BERT_SIZES, constants={"position_embedding_type": "absolute"})
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
FAMILIES = {family.model_type: family for family in (BERT, DISTILBERT, ELECTRA)}
_BY_POOLER = {family.pooler_activation: family for family in FAMILIES.values()}


def family_of(raw: Mapping[str, Any]) -> Family:
    """The family that a config.json is of; BERT where it is of none: `read_config` refuses it."""
    return FAMILIES.get(str(raw.get("model_type")), BERT)


def family_for(checkpoint: Checkpoint) -> Family:
    """The family that a checkpoint is written as: BERT, unless its head is another's.

    Raises:
        ConversionError: the family can't say what the checkpoint computes.
    """
    config = checkpoint.config
    family, problems = BERT, []
    if checkpoint.head == heads.CLASSIFIER:
        family = _BY_POOLER[config.pooler_activation]
    elif checkpoint.head == heads.MASKED_LM:
        family = BERT if config.transform_activation == config.activation else ELECTRA
        problems += _masked_lm_problems(checkpoint, family)
    if family is BERT and config.pooler_activation != TANH and _reads_pooler(checkpoint):
        problems.append(f"a pooler with {config.pooler_activation}, where BERT has {TANH}")
    if not family.has_segments and config.num_segments > 1:
        problems.append(f"{config.num_segments} segments, where {family.stem} has none")
    if family.fixed_epsilon and config.layer_norm_epsilon != _EPSILON:
        problems.append(f"a LayerNorm epsilon other than {_EPSILON}: {config.layer_norm_epsilon}")
    if problems:
        raise ConversionError(
            f"Hugging Face's {family.stem} can't hold this checkpoint. Received: "
            f"{'; '.join(problems)}."
        )
    return family


def _reads_pooler(checkpoint: Checkpoint) -> bool:
    """Whether its pooler is read: a bare encoder's is one of its outputs."""
    return "pooler.kernel" in checkpoint.weights and (
        checkpoint.has_next_sentence or checkpoint.head in (heads.ENCODER, heads.CLASSIFIER)
    )


def _masked_lm_problems(checkpoint: Checkpoint, family: Family) -> list[str]:
    config, problems = checkpoint.config, []
    if family is ELECTRA and config.transform_activation != GELU_EXACT:
        problems.append(f"a masked LM's head with {config.transform_activation}")
    if family is ELECTRA and checkpoint.has_next_sentence:
        problems.append("a head for the next sentence, which only BERT has")
    if config.transform_epsilon != config.layer_norm_epsilon:
        problems.append(
            f"a LayerNorm epsilon of {config.transform_epsilon} in the masked LM's head and of "
            f"{config.layer_norm_epsilon} elsewhere"
        )
    return problems


def read_config(raw: Mapping[str, Any], as_base: bool, where: str) -> BertConfig:
    """The shape of the encoder that a config.json describes.

    Args:
        raw: the content of config.json.
        as_base: whether heads of other tasks may be there, to be left out.
        where: the file, for errors.

    Raises:
        ConversionError: everything in it that is not as a BERT has it.
    """
    family = family_of(raw)
    problems = _other_parts(raw) + _unread_classes(raw, family, as_base)
    activation = raw.get(family.activation, "gelu")
    if activation not in ACTIVATIONS:
        problems.append(
            f"{family.activation} must be one of {', '.join(ACTIVATIONS)}. Received: {activation!r}"
        )
    values, wrong = read_sizes(raw, family.sizes)
    problems += wrong
    embedding = values.pop("embedding_size", values.get("hidden_size"))
    if embedding != values.get("hidden_size"):
        problems.append(
            f"embedding_size must be hidden_size, since a BERT has no projection between them. "
            f"Received: {embedding} and {values.get('hidden_size')}"
        )
    if problems:
        raise ConversionError(f"{where} is no BERT that we can read: {'; '.join(problems)}.")
    return BertConfig(
        **values,
        # Zero rows change nothing: with BERT's two, an encoder without segments is a whole BERT.
        num_segments=raw.get("type_vocab_size", 2) if family.has_segments else 2,
        activation=ACTIVATIONS[activation],
        layer_norm_epsilon=float(
            _EPSILON if family.fixed_epsilon else raw.get("layer_norm_eps", _EPSILON)
        ),
        dropout=float(raw.get(family.dropouts[0], 0.1)),
    )


def read_sizes(
    raw: Mapping[str, Any], sizes: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """The sizes of a `BertConfig` in a configuration's JSON, and what is wrong with the others."""
    values, problems = {}, []
    for name, key in sizes.items():
        value = raw.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            problems.append(f"{key} must be a whole number. Received: {value!r}")
        else:
            values[name] = value
    return values, problems


def config_of_head(config: BertConfig, family: Family, head: str) -> BertConfig:
    """The shape of the family's model with this head on this encoder."""
    if head == heads.CLASSIFIER:
        segments = config.num_segments if family.has_segments else 1
        return replace(config, num_segments=segments, pooler_activation=family.pooler_activation)
    if head == heads.MASKED_LM and family.masked_lm_activation != config.activation:
        return replace(config, masked_lm_activation=family.masked_lm_activation)
    return config


def _unread_classes(raw: Mapping[str, Any], family: Family, as_base: bool) -> list[str]:
    classes = raw.get("architectures") or [f"{family.stem}{MODEL}"]
    read = (*family.classes, *(family.unread_classes if as_base else ()))
    unread = [name for name in classes if name not in read]
    if not unread:
        return []
    problem = (
        f"the architecture must be one of {', '.join(family.classes)}. "
        f"Received: {', '.join(unread)}"
    )
    if all(name in family.unread_classes for name in unread):
        problem += ", whose head is not read; as a base for fine-tuning it would do"
    return [problem]


def _other_parts(raw: Mapping[str, Any]) -> list[str]:
    """Parts of a model that a BERT encoder has not."""
    problems = []
    if raw.get("model_type") not in FAMILIES:
        problems.append(
            f"model_type must be one of {', '.join(FAMILIES)}. Received: {raw.get('model_type')!r}"
        )
    if raw.get("position_embedding_type", "absolute") != "absolute":
        problems.append(
            "position_embedding_type must be 'absolute'. "
            f"Received: {raw['position_embedding_type']!r}"
        )
    if raw.get("is_decoder") or raw.get("add_cross_attention"):
        problems.append("it must be an encoder. Received: a decoder")
    return problems


def write_config(checkpoint: Checkpoint, family: Family, pad_token_id: int) -> dict[str, Any]:
    """The config.json of a checkpoint, as `transformers` reads it."""
    config = checkpoint.config
    sizes = {key: getattr(config, name, config.hidden_size) for name, key in family.sizes.items()}
    content: dict[str, Any] = {
        "architectures": [family.class_of(checkpoint)],
        "model_type": family.model_type,
        **sizes,
        family.activation: _ACTIVATIONS_OUT[config.activation],
        **dict.fromkeys(family.dropouts, config.dropout),
        **family.constants,
        "pad_token_id": pad_token_id,
    }
    if family.has_segments:
        content["type_vocab_size"] = config.num_segments
    if not family.fixed_epsilon:
        content["layer_norm_eps"] = config.layer_norm_epsilon
    if checkpoint.head in (heads.CLASSIFIER, heads.TOKEN_CLASSIFIER):
        labels = checkpoint.labels or (NO_LABEL,)
        content["id2label"] = {str(i): label for i, label in enumerate(labels)}
        content["label2id"] = {label: i for i, label in enumerate(labels)}
    if checkpoint.head == heads.CLASSIFIER:
        content["problem_type"] = checkpoint.problem
    if checkpoint.head == heads.MASKED_LM:
        content["tie_word_embeddings"] = True
    return content
