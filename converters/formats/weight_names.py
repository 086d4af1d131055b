"""The table of weight names, one row per weight, for reading and writing.

Kernels are `[outputs, inputs]` in the neutral form and in Hugging Face's. keras-hub transposes them
and splits attention kernels into heads; `transform` names the conversion. Google's TF1 files
transpose kernels whose name ends in `/kernel`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from converters import heads
from converters.bert_config import BertConfig


@dataclass(frozen=True)
class Row:
    """The names of one weight in each format. `{i}` is the number of the layer.

    Attributes:
        neutral: name in `Checkpoint.weights`.
        tf1: name in Google's TF1 files; empty if they have no such weight.
        huggingface: name in `BertModel`, `MobileBertModel` and their task models, without the
            prefix `bert.` or `mobilebert.`.
        distilbert: name in `DistilBertModel` and its task models, without their prefix; empty if
            they have no such weight.
        electra: name in `ElectraModel` and its task models, without their prefix.
        keras_hub: path of the variable in keras-hub.
        transform: conversion from the neutral form to that of keras-hub.
    """

    neutral: str
    tf1: str
    huggingface: str
    distilbert: str
    electra: str
    keras_hub: str
    transform: str = "same"

    def of_layer(self, i: int) -> Row:
        """The row with the number of a layer filled in."""
        return Row(*(getattr(self, name.name).format(i=i) for name in fields(self)))


def _layer(
    neutral: str, tf1: str, huggingface: str, distilbert: str, keras_hub: str, electra: str = ""
) -> Row:
    """The names of a layer; those of its weights follow. ELECTRA has BERT's name by default."""
    return Row(neutral, tf1, huggingface, distilbert, electra or huggingface, keras_hub)


def _dense(layer: Row, kernel: str = "transpose", bias: str = "same") -> list[Row]:
    """The kernel and the bias of a dense layer, with their transforms to keras-hub."""
    return [
        Row(
            f"{layer.neutral}.{part}",
            f"{layer.tf1}/{part}",
            f"{layer.huggingface}.{pytorch}",
            f"{layer.distilbert}.{pytorch}",
            f"{layer.electra}.{pytorch}",
            f"{layer.keras_hub}/{part}",
            transform,
        )
        for part, pytorch, transform in (("kernel", "weight", kernel), ("bias", "bias", bias))
    ]


def _norm(layer: Row) -> list[Row]:
    """The scale and the bias of a LayerNorm."""
    return [
        Row(
            f"{layer.neutral}.{part}",
            f"{layer.tf1}/LayerNorm/{name}",
            f"{layer.huggingface}.{pytorch}",
            f"{layer.distilbert}.{pytorch}",
            f"{layer.electra}.{pytorch}",
            f"{layer.keras_hub}/{name}",
        )
        for part, pytorch, name in (("scale", "weight", "gamma"), ("bias", "bias", "beta"))
    ]


def _table(part: str, name: str, distilbert: bool = True) -> Row:
    huggingface = f"embeddings.{name}.weight"
    return Row(
        f"embeddings.{part}",
        f"bert/embeddings/{name}",
        huggingface,
        huggingface if distilbert else "",
        huggingface,
        f"{part}_embedding/embeddings",
    )


_LAYER, _TF1, _HF = "layers.{i}", "bert/encoder/layer_{i}", "encoder.layer.{i}"
_DISTIL, _KERAS = "transformer.layer.{i}", "transformer_layer_{i}"


def _projection(name: str, distilbert: str) -> list[Row]:
    return _dense(
        _layer(
            f"{_LAYER}.attention.{name}",
            f"{_TF1}/attention/self/{name}",
            f"{_HF}.attention.self.{name}",
            f"{_DISTIL}.attention.{distilbert}",
            f"{_KERAS}/self_attention_layer/{name}",
        ),
        "heads_out",
        "heads_bias",
    )


EMBEDDINGS: tuple[Row, ...] = (
    _table("token", "word_embeddings"),
    _table("position", "position_embeddings"),
    _table("segment", "token_type_embeddings", distilbert=False),
    *_norm(
        _layer(
            "embeddings.norm",
            "bert/embeddings",
            "embeddings.LayerNorm",
            "embeddings.LayerNorm",
            "embeddings_layer_norm",
        )
    ),
)
PROJECTION: tuple[Row, ...] = tuple(
    _dense(
        _layer(
            "embeddings.projection",
            "",
            "embeddings.embedding_transformation",
            "",
            "embeddings_projection",
            electra="embeddings_project",
        )
    )
)
"""The dense layer between the embeddings and the encoder, where their widths differ."""
LAYER: tuple[Row, ...] = (
    *_projection("query", "q_lin"),
    *_projection("key", "k_lin"),
    *_projection("value", "v_lin"),
    *_dense(
        _layer(
            f"{_LAYER}.attention.output",
            f"{_TF1}/attention/output/dense",
            f"{_HF}.attention.output.dense",
            f"{_DISTIL}.attention.out_lin",
            f"{_KERAS}/self_attention_layer/attention_output",
        ),
        "heads_in",
    ),
    *_norm(
        _layer(
            f"{_LAYER}.attention.norm",
            f"{_TF1}/attention/output",
            f"{_HF}.attention.output.LayerNorm",
            f"{_DISTIL}.sa_layer_norm",
            f"{_KERAS}/self_attention_layer_norm",
        )
    ),
    *_dense(
        _layer(
            f"{_LAYER}.feed_forward.inner",
            f"{_TF1}/intermediate/dense",
            f"{_HF}.intermediate.dense",
            f"{_DISTIL}.ffn.lin1",
            f"{_KERAS}/feedforward_intermediate_dense",
        )
    ),
    *_dense(
        _layer(
            f"{_LAYER}.feed_forward.output",
            f"{_TF1}/output/dense",
            f"{_HF}.output.dense",
            f"{_DISTIL}.ffn.lin2",
            f"{_KERAS}/feedforward_output_dense",
        )
    ),
    *_norm(
        _layer(
            f"{_LAYER}.feed_forward.norm",
            f"{_TF1}/output",
            f"{_HF}.output.LayerNorm",
            f"{_DISTIL}.output_layer_norm",
            f"{_KERAS}/feedforward_layer_norm",
        )
    ),
)


def _mobile(neutral: str, huggingface: str, keras_hub: str) -> list[Row]:
    """The kernel and the bias of a MobileBERT's dense layer, and its norm's scale and bias."""
    dense, norm = f"{_HF}.{huggingface}.dense", f"{_HF}.{huggingface}.LayerNorm"
    name, path = f"{_LAYER}.{neutral}", f"{_KERAS}/{keras_hub}"
    return [
        *_dense(_layer(name, "", dense, "", f"{path}_dense")),
        *_norm(_layer(f"{name}.norm", "", norm, "", f"{path}_norm")),
    ]


BOTTLENECKS: tuple[Row, ...] = (
    *_mobile("bottleneck.input", "bottleneck.input", "bottleneck_input"),
    *_mobile("bottleneck.attention", "bottleneck.attention", "bottleneck_attention"),
    *_mobile("bottleneck.output", "output.bottleneck", "bottleneck_output"),
)


def _more_feed_forwards(count: int) -> Iterator[Row]:
    """The feed-forward networks of a MobileBERT's layer before the last one."""
    for j in range(count):
        name, path = f"{_LAYER}.feed_forwards.{j}", f"{_KERAS}/feedforward_{j}"
        ffn = f"{_HF}.ffn.{j}"
        yield from _dense(
            _layer(f"{name}.inner", "", f"{ffn}.intermediate.dense", "", f"{path}_inner_dense")
        )
        yield from _dense(
            _layer(f"{name}.output", "", f"{ffn}.output.dense", "", f"{path}_output_dense")
        )
        yield from _norm(
            _layer(f"{name}.norm", "", f"{ffn}.output.LayerNorm", "", f"{path}_layer_norm")
        )


POOLER: tuple[Row, ...] = tuple(
    _dense(
        _layer(
            "pooler",
            "bert/pooler/dense",
            "pooler.dense",
            "pre_classifier",
            "pooled_dense",
            electra="classifier.dense",
        )
    )
)
CLASSIFIER: tuple[Row, ...] = (
    Row(
        "classifier.kernel",
        "output_weights",
        "classifier.weight",
        "classifier.weight",
        "classifier.out_proj.weight",
        "classifier/kernel",
        "transpose",
    ),
    Row(
        "classifier.bias",
        "output_bias",
        "classifier.bias",
        "classifier.bias",
        "classifier.out_proj.bias",
        "classifier/bias",
    ),
)


def _output(neutral: str, tf1: str, huggingface: str) -> list[Row]:
    """The output layer of a head; Google's files do not transpose its kernel."""
    return [
        Row(
            f"{neutral}.{part}",
            tf1 and f"{tf1}/output_{name}",
            f"{huggingface}.{pytorch}",
            f"{huggingface}.{pytorch}",
            f"{huggingface}.{pytorch}",
            f"{neutral}/{part}",
            transform,
        )
        for part, name, pytorch, transform in (
            ("kernel", "weights", "weight", "transpose"),
            ("bias", "bias", "bias", "same"),
        )
    ]


MASKED_LM_EXTRA = Row(
    "masked_lm.extra", "", "cls.predictions.dense.weight", "", "", "masked_lm/extra"
)
"""Columns of a MobileBERT's output kernel behind those of the token table: `[columns, tokens]`."""
HEADS: dict[str, tuple[Row, ...]] = {
    heads.CLASSIFIER: CLASSIFIER,
    heads.TOKEN_CLASSIFIER: tuple(_output("token_classifier", "", "classifier")),
    heads.SPANS: tuple(_output("spans", "cls/squad", "qa_outputs")),
    heads.MASKED_LM: (
        *_dense(
            _layer(
                "masked_lm.dense",
                "cls/predictions/transform/dense",
                "cls.predictions.transform.dense",
                "vocab_transform",
                "masked_lm_dense",
                electra="generator_predictions.dense",
            )
        ),
        *_norm(
            _layer(
                "masked_lm.norm",
                "cls/predictions/transform",
                "cls.predictions.transform.LayerNorm",
                "vocab_layer_norm",
                "masked_lm_norm",
                electra="generator_predictions.LayerNorm",
            )
        ),
        Row(
            "masked_lm.bias",
            "cls/predictions/output_bias",
            "cls.predictions.bias",
            "vocab_projector.bias",
            "generator_lm_head.bias",
            "masked_lm/bias",
        ),
        MASKED_LM_EXTRA,
        *_output("next_sentence", "cls/seq_relationship", "cls.seq_relationship"),
    ),
}
"""The rows of each head of `converters.heads` that has arrays.

In a Hugging Face file, text and token classifiers have the same array names; config.json tells them
apart. The output kernel of a masked LM is the embedding table.
"""

MAX_SENTENCE_DENSE = 8
SENTENCE: tuple[Row, ...] = tuple(
    Row(f"sentence.dense.{i}.{part}", "", "", "", "", f"sentence_dense_{i}/{part}", transform)
    for i in range(MAX_SENTENCE_DENSE)
    for part, transform in (("kernel", "transpose"), ("bias", "same"))
)
"""The dense layers of a sentence head, which are in separate files: see `sentence_transformers`."""


def rows(config: BertConfig, head: str = "") -> Iterator[Row]:
    """Yields all rows of a model with the layer numbers filled in, in the order of the data flow.

    Args:
        config: sizes of the encoder.
        head: head whose rows follow those of the encoder; empty yields the rows of all heads.
    """
    yield from EMBEDDINGS
    if config.embedding_size:
        yield from PROJECTION
    for i in range(config.num_layers):
        variant = (*BOTTLENECKS, *_more_feed_forwards(config.num_feed_forwards - 1))
        for row in (*LAYER, *(variant if config.is_mobile else ())):
            yield row.of_layer(i)
    if config.has_pooler:
        yield from POOLER
    for name, its_rows in HEADS.items():
        if head in ("", name):
            yield from (row for row in its_rows if config.is_mobile or row != MASKED_LM_EXTRA)


def turn_tf1(array: np.ndarray, row: Row) -> np.ndarray:
    """Converts an array from the neutral form to that of TF1 or back; both transpose kernels."""
    return np.ascontiguousarray(array.T) if row.tf1.endswith("/kernel") else array


def to_keras_hub(array: np.ndarray, transform: str, head_size: int) -> np.ndarray:
    """Converts a neutral array to the shape of keras-hub.

    The number of heads is inferred, since pruned layers differ. For a kernel `[outputs, inputs]`
    and `heads * head_size` attention columns:

    - `transpose`: `[inputs, outputs]`;
    - `heads_out` (query, key, value): `[inputs, heads, head_size]`;
    - `heads_in` (attention output): `[heads, head_size, outputs]`;
    - `heads_bias`: `[heads, head_size]`.
    """
    if transform == "same":
        return array
    if transform == "heads_bias":
        return array.reshape(-1, head_size)
    turned = array.T
    if transform == "transpose":
        return turned
    if transform == "heads_out":
        return turned.reshape(turned.shape[0], -1, head_size)
    return turned.reshape(-1, head_size, turned.shape[1])


def from_keras_hub(array: np.ndarray, transform: str) -> np.ndarray:
    """The inverse of `to_keras_hub`."""
    if transform == "same":
        return array
    if transform == "heads_bias":
        return array.reshape(-1)
    if transform == "heads_out":
        array = array.reshape(array.shape[0], -1)
    elif transform == "heads_in":
        array = array.reshape(-1, array.shape[2])
    return np.ascontiguousarray(array.T)
