"""The BERT variants of Hugging Face, one table row per `model_type`.

All variants have the same encoder. They differ in the names of config.json and of the arrays, and
in the activations of the pooler and of a masked LM's head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from converters import heads
from converters.checkpoint import (
    GELU_EXACT,
    GELU_TANH,
    RELU,
    TANH,
    BertConfig,
    Checkpoint,
    config_to_train,
)
from converters.errors import ConversionError
from converters.formats.cross_encoder import SIGMOID
from converters.json_fields import Fields

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
_ACTIVATIONS_OUT = {GELU_EXACT: "gelu", GELU_TANH: "gelu_new", RELU: "relu"}
_EPSILON = 1e-12
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
_DISTILLED = "Next: use distilbert-base-uncased or a MiniLM with BERT's vocabulary"
OTHER_MODELS = {
    "roberta": "RoBERTa is no BERT: it splits text by byte pairs, and positions start at 2. "
    f"{_DISTILLED}",
    "xlm-roberta": "XLM-RoBERTa is no BERT: it splits text by SentencePiece, and positions start "
    "at 2. Next: use bert-base-multilingual-cased or distilbert-base-multilingual-cased",
    "camembert": "CamemBERT is a RoBERTa with SentencePiece, no BERT. Next: use a BERT of the "
    "language, or bert-base-multilingual-cased",
    "mpnet": "MPNet is no BERT: it adds relative positions in attention. Next: use "
    "sentence-transformers/all-MiniLM-L12-v2, a BERT for the same purpose",
    "albert": "ALBERT is no BERT: its layers share weights, and it splits text by SentencePiece. "
    f"{_DISTILLED}",
    "mobilebert": "MobileBERT is no BERT: its layers have bottlenecks and no LayerNorm. Next: use "
    "google/bert_uncased_L-4_H-512_A-8 or a MiniLM, which are as small",
    "modernbert": "ModernBERT is no BERT: it has rotary positions and splits text by byte pairs. "
    f"{_DISTILLED}",
    "deberta": f"DeBERTa is no BERT: its attention reads relative positions. {_DISTILLED}",
    "deberta-v2": f"DeBERTa is no BERT: its attention reads relative positions. {_DISTILLED}",
    "nomic_bert": f"Nomic BERT is no BERT: it has rotary positions. {_DISTILLED}",
    "new": f"This model has rotary positions, as no BERT. {_DISTILLED}",
    "t5": f"T5 is no BERT: it is an encoder and a decoder. {_DISTILLED}",
}
"""For a `model_type` that is often taken for a BERT: what it is, and what serves instead."""
_BY_POOLER = {family.pooler_activation: family for family in FAMILIES.values()}


def family_of(raw: Mapping[str, Any]) -> Family:
    """The family of a config.json; BERT for an unknown one, which `read_config` rejects.

    Files of 2019 and 2020 have no `model_type`; their class name or their keys tell the family.
    """
    if raw.get("model_type") is not None:
        return FAMILIES.get(str(raw["model_type"]), BERT)
    first = (*_class_names(raw), "")[0]
    for family in FAMILIES.values():
        if first.startswith(family.stem):
            return family
    if DISTILBERT.sizes["num_layers"] in raw:
        return DISTILBERT
    return ELECTRA if "embedding_size" in raw else BERT


def _class_names(raw: Mapping[str, Any]) -> tuple[str, ...]:
    classes = raw.get("architectures")
    return tuple(map(str, classes)) if isinstance(classes, list) else ()


def family_for(checkpoint: Checkpoint) -> Family:
    """The family to write a checkpoint as: BERT, unless its head belongs to another family.

    Raises:
        ConversionError: The family can't represent the checkpoint.
    """
    config, problems = checkpoint.config, []
    family = _simplest_family(checkpoint)
    if checkpoint.head == heads.MASKED_LM:
        problems += _masked_lm_problems(checkpoint, family)
    if checkpoint.head == heads.CLASSIFIER and family.pooler_activation != config.pooler_activation:
        problems.append(
            f"a pooler with {config.pooler_activation}, whereas {family.stem} has "
            f"{family.pooler_activation}"
        )
    elif family is BERT and config.pooler_activation != TANH and _reads_pooler(checkpoint):
        problems.append(f"a pooler with {config.pooler_activation}, whereas BERT has {TANH}")
    if not family.has_segments and config.num_segments > 1:
        problems.append(f"{config.num_segments} segments, whereas {family.stem} has none")
    if family.fixed_epsilon and config.layer_norm_epsilon != _EPSILON:
        problems.append(f"a LayerNorm epsilon other than {_EPSILON}: {config.layer_norm_epsilon}")
    if problems:
        raise ConversionError(
            f"Hugging Face's {family.stem} can't hold this checkpoint. Received: "
            f"{'; '.join(problems)}."
        )
    return family


def _simplest_family(checkpoint: Checkpoint) -> Family:
    config = checkpoint.config
    if config.embedding_size:
        return ELECTRA
    if checkpoint.head == heads.CLASSIFIER:
        return _BY_POOLER[config.pooler_activation]
    if checkpoint.head == heads.MASKED_LM and config.transform_activation != config.activation:
        return ELECTRA
    return BERT


def _reads_pooler(checkpoint: Checkpoint) -> bool:
    """Whether the pooler is used; in a bare encoder it is one of the outputs."""
    return "pooler.kernel" in checkpoint.weights and (
        checkpoint.has_next_sentence or checkpoint.head in (heads.ENCODER, heads.CLASSIFIER)
    )


def _masked_lm_problems(checkpoint: Checkpoint, family: Family) -> list[str]:
    config, problems = checkpoint.config, []
    if family is ELECTRA and config.transform_activation != GELU_EXACT:
        problems.append(f"a masked LM's head with {config.transform_activation}")
    if family is ELECTRA and checkpoint.has_next_sentence:
        problems.append("a head for next sentence prediction, which only BERT has")
    if config.transform_epsilon != config.layer_norm_epsilon:
        problems.append(
            f"a LayerNorm epsilon of {config.transform_epsilon} in the masked LM's head and of "
            f"{config.layer_norm_epsilon} elsewhere"
        )
    return problems


def read_config(raw: Mapping[str, Any], as_base: bool, where: str) -> BertConfig:
    """The configuration of the encoder in a config.json.

    Args:
        raw: content of config.json.
        as_base: whether unsupported heads are accepted, since they will be left out.
        where: the file, for messages.

    Raises:
        ConversionError: The configuration is not that of a supported BERT; all problems are listed.
    """
    family = family_of(raw)
    fields = Fields(raw)
    problems = _other_parts(raw)
    classes = fields.texts("architectures", (f"{family.stem}{MODEL}",))
    problems += _unread_classes(classes, family, as_base)
    activation = fields.text(family.activation, "gelu", choices=ACTIVATIONS)
    values: dict[str, Any] = {name: fields.whole(key) for name, key in family.sizes.items()}
    if values.get("embedding_size") == values["hidden_size"]:
        values["embedding_size"] = 0
    # Zero rows change nothing: an encoder without segments is stored as a BERT with two of them.
    num_segments = fields.whole("type_vocab_size", 2) if family.has_segments else 2
    epsilon = _EPSILON if family.fixed_epsilon else fields.number("layer_norm_eps", _EPSILON)
    dropout = fields.number(family.dropouts[0], 0.1)
    problems += fields.problems
    if problems:
        raise ConversionError(
            f"{where}: expected a supported BERT. Received: {'; '.join(problems)}."
        )
    return BertConfig(
        **values,
        num_segments=num_segments,
        activation=ACTIVATIONS[activation],
        layer_norm_epsilon=epsilon,
        dropout=dropout,
    )


def config_of_head(config: BertConfig, family: Family, head: str) -> BertConfig:
    """Completes the configuration of the encoder with the activations of the family's head."""
    if config.embedding_size:
        return config_to_train(config, head)
    if head == heads.CLASSIFIER:
        segments = config.num_segments if family.has_segments else 1
        return replace(config, num_segments=segments, pooler_activation=family.pooler_activation)
    if head == heads.MASKED_LM and family.masked_lm_activation != config.activation:
        return replace(config, masked_lm_activation=family.masked_lm_activation)
    return config


def _unread_classes(classes: Sequence[str], family: Family, as_base: bool) -> list[str]:
    unread = [name for name in classes if name not in family.classes]
    if not unread or as_base:
        return []
    return [
        f"the architecture must be one of {', '.join(family.classes)}. "
        f"Received: {', '.join(unread)}, whose head is not supported; it can serve as a base for "
        "fine-tuning"
    ]


def _other_parts(raw: Mapping[str, Any]) -> list[str]:
    """Lists properties that a BERT encoder does not have."""
    problems = []
    model_type = raw.get("model_type")
    if str(model_type) in OTHER_MODELS:
        return [f"model_type {model_type!r}. {OTHER_MODELS[str(model_type)]}"]
    known_class = any(
        name.startswith(family.stem) for name in _class_names(raw) for family in FAMILIES.values()
    )
    if str(model_type) not in FAMILIES and not (
        model_type is None and (known_class or not raw.get("architectures"))
    ):
        problems.append(
            f"model_type must be one of {', '.join(FAMILIES)}. Received: {raw.get('model_type')!r}"
        )
    if raw.get("position_embedding_type", "absolute") != "absolute":
        problems.append(
            "position_embedding_type must be 'absolute'. "
            f"Received: {raw['position_embedding_type']!r}"
        )
    if raw.get("is_decoder") or raw.get("add_cross_attention"):
        problems.append("the model must be an encoder. Received: a decoder")
    return problems


def write_config(checkpoint: Checkpoint, family: Family, pad_token_id: int) -> dict[str, Any]:
    """The content of config.json for `transformers`."""
    config = checkpoint.config
    sizes = {key: getattr(config, name) or config.hidden_size for name, key in family.sizes.items()}
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
        if checkpoint.sigmoid_score:
            content["sentence_transformers"] = {"activation_fn": SIGMOID}
    if checkpoint.head == heads.MASKED_LM:
        content["tie_word_embeddings"] = True
    return content
