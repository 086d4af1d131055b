"""Reads and writes the config.json of Hugging Face, for every family of `huggingface_table`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from converters import heads
from converters.checkpoint import (
    GELU_EXACT,
    NO_POOLER,
    TANH,
    BertConfig,
    Checkpoint,
    config_to_train,
)
from converters.errors import ConversionError
from converters.formats.cross_encoder import SIGMOID
from converters.formats.huggingface_table import (
    ACTIVATIONS,
    ACTIVATIONS_OUT,
    BERT,
    DISTILBERT,
    ELECTRA,
    EPSILON,
    FAMILIES,
    MOBILEBERT,
    MODEL,
    NO_LABEL,
    POOLER_SWITCH,
    Family,
)
from converters.formats.other_models import OTHER_MODELS
from converters.json_fields import Fields
from converters.json_files import short_repr

_BY_POOLER = {family.pooler_activation: family for family in (BERT, DISTILBERT, ELECTRA)}


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
    pooler = config.pooler_activation if config.has_pooler else family.pooler_activation
    if checkpoint.head == heads.CLASSIFIER and family.pooler_activation != pooler:
        problems.append(
            f"a pooler with {config.pooler_activation}, whereas {family.stem} has "
            f"{family.pooler_activation}"
        )
    elif family is BERT and config.pooler_activation != TANH and _reads_pooler(checkpoint):
        problems.append(f"a pooler with {config.pooler_activation}, whereas BERT has {TANH}")
    if not family.has_segments and config.num_segments > 1:
        problems.append(f"{config.num_segments} segments, whereas {family.stem} has none")
    if family.fixed_epsilon and config.layer_norm_epsilon != EPSILON:
        problems.append(f"a LayerNorm epsilon other than {EPSILON}: {config.layer_norm_epsilon}")
    if problems:
        raise ConversionError(
            f"Hugging Face's {family.stem} can't hold this checkpoint. Received: "
            f"{'; '.join(problems)}."
        )
    return family


def _simplest_family(checkpoint: Checkpoint) -> Family:
    config = checkpoint.config
    if config.is_mobile:
        return MOBILEBERT
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
    activation = fields.text(family.activation, family.default_activation, choices=ACTIVATIONS)
    values: dict[str, Any] = {
        name: fields.whole(key, default, least=None if default is None else 1)
        for name, key in family.sizes.items()
        for default in (family.defaults.get(name),)
    }
    if family is ELECTRA and values["embedding_size"] == values["hidden_size"]:
        values["embedding_size"] = 0
    if family is MOBILEBERT:
        problems += _mobile_problems(raw)
        has_pooler = fields.flag(POOLER_SWITCH, True)
        values["pooler_activation"] = TANH if has_pooler else NO_POOLER
    # Zero rows change nothing: an encoder without segments is stored as a BERT with two of them.
    num_segments = fields.whole("type_vocab_size", 2) if family.has_segments else 2
    epsilon = EPSILON if family.fixed_epsilon else fields.number("layer_norm_eps", EPSILON)
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
    if config.embedding_size:  # ELECTRA-small and MobileBERT
        return config_to_train(config, head)
    if head == heads.CLASSIFIER:
        segments = config.num_segments if family.has_segments else 1
        return replace(config, num_segments=segments, pooler_activation=family.pooler_activation)
    if head == heads.MASKED_LM and family.masked_lm_activation != config.activation:
        return replace(config, masked_lm_activation=family.masked_lm_activation)
    return config


def _mobile_problems(raw: Mapping[str, Any]) -> list[str]:
    """Lists the properties of a MobileBERT that differ from those of the published one."""
    return [
        f"{key} must be {str(expected).lower()}, as in google/mobilebert-uncased. Received: "
        f"{short_repr(raw[key])}"
        for key, expected in MOBILEBERT.constants.items()
        if raw.get(key, expected) != expected
    ]


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
        family.activation: ACTIVATIONS_OUT[config.activation],
        **dict.fromkeys(family.dropouts, config.dropout),
        **family.constants,
        "pad_token_id": pad_token_id,
    }
    if family.has_segments:
        content["type_vocab_size"] = config.num_segments
    if family is MOBILEBERT:
        content[POOLER_SWITCH] = config.has_pooler
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
