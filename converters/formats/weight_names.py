"""ONE table of weight names, a row a weight, run in both directions.

A kernel is `[outputs, inputs]` in the neutral form and in Hugging Face's. keras-hub has it the
other way round and splits the attention's into heads, which is what `transform` says. Google's TF1
files have it the other way round too, where its name ends in `/kernel`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass

import numpy as np

from converters import heads


@dataclass(frozen=True)
class Row:
    """One weight's name in each library. `{i}` stands for the layer's number.

    Attributes:
        huggingface: in `BertModel` and its tasks, less their prefix `bert.`.
        distilbert: in `DistilBertModel` and its tasks, less their prefix; empty where it has none.
        electra: in `ElectraModel` and its tasks, less their prefix.
        transform: from the neutral form to keras-hub's.
    """

    neutral: str
    tf1: str
    huggingface: str
    distilbert: str
    electra: str
    keras_hub: str
    transform: str = "same"

    def of_layer(self, i: int) -> Row:
        """The row with a layer's number filled in."""
        return Row(*(name.format(i=i) for name in astuple(self)))


def _dense(
    neutral: str,
    tf1: str,
    huggingface: str,
    distilbert: str,
    keras_hub: str,
    kernel: str = "transpose",
    bias: str = "same",
    electra: str = "",
) -> list[Row]:
    rows = []
    for part, pytorch, transform in (("kernel", "weight", kernel), ("bias", "bias", bias)):
        rows.append(
            Row(
                f"{neutral}.{part}",
                f"{tf1}/{part}",
                f"{huggingface}.{pytorch}",
                f"{distilbert}.{pytorch}",
                f"{electra or huggingface}.{pytorch}",
                f"{keras_hub}/{part}",
                transform,
            )
        )
    return rows


def _norm(
    neutral: str, tf1: str, huggingface: str, distilbert: str, keras_hub: str, electra: str = ""
) -> list[Row]:
    return [
        Row(
            f"{neutral}.{part}",
            f"{tf1}/LayerNorm/{name}",
            f"{huggingface}.{pytorch}",
            f"{distilbert}.{pytorch}",
            f"{electra or huggingface}.{pytorch}",
            f"{keras_hub}/{name}",
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
        f"{_LAYER}.attention.{name}",
        f"{_TF1}/attention/self/{name}",
        f"{_HF}.attention.self.{name}",
        f"{_DISTIL}.attention.{distilbert}",
        f"{_KERAS}/self_attention_layer/{name}",
        "heads_out",
        "heads_bias",
    )


EMBEDDINGS: tuple[Row, ...] = (
    _table("token", "word_embeddings"),
    _table("position", "position_embeddings"),
    _table("segment", "token_type_embeddings", distilbert=False),
    *_norm(
        "embeddings.norm",
        "bert/embeddings",
        "embeddings.LayerNorm",
        "embeddings.LayerNorm",
        "embeddings_layer_norm",
    ),
)
LAYER: tuple[Row, ...] = (
    *_projection("query", "q_lin"),
    *_projection("key", "k_lin"),
    *_projection("value", "v_lin"),
    *_dense(
        f"{_LAYER}.attention.output",
        f"{_TF1}/attention/output/dense",
        f"{_HF}.attention.output.dense",
        f"{_DISTIL}.attention.out_lin",
        f"{_KERAS}/self_attention_layer/attention_output",
        "heads_in",
    ),
    *_norm(
        f"{_LAYER}.attention.norm",
        f"{_TF1}/attention/output",
        f"{_HF}.attention.output.LayerNorm",
        f"{_DISTIL}.sa_layer_norm",
        f"{_KERAS}/self_attention_layer_norm",
    ),
    *_dense(
        f"{_LAYER}.feed_forward.inner",
        f"{_TF1}/intermediate/dense",
        f"{_HF}.intermediate.dense",
        f"{_DISTIL}.ffn.lin1",
        f"{_KERAS}/feedforward_intermediate_dense",
    ),
    *_dense(
        f"{_LAYER}.feed_forward.output",
        f"{_TF1}/output/dense",
        f"{_HF}.output.dense",
        f"{_DISTIL}.ffn.lin2",
        f"{_KERAS}/feedforward_output_dense",
    ),
    *_norm(
        f"{_LAYER}.feed_forward.norm",
        f"{_TF1}/output",
        f"{_HF}.output.LayerNorm",
        f"{_DISTIL}.output_layer_norm",
        f"{_KERAS}/feedforward_layer_norm",
    ),
)
POOLER: tuple[Row, ...] = tuple(
    _dense(
        "pooler",
        "bert/pooler/dense",
        "pooler.dense",
        "pre_classifier",
        "pooled_dense",
        electra="classifier.dense",
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
    """A dense layer that ends a head; Google's files have its kernel as Hugging Face's have it."""
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


HEADS: dict[str, tuple[Row, ...]] = {
    heads.CLASSIFIER: CLASSIFIER,
    heads.TOKEN_CLASSIFIER: tuple(_output("token_classifier", "", "classifier")),
    heads.SPANS: tuple(_output("spans", "cls/squad", "qa_outputs")),
    heads.MASKED_LM: (
        *_dense(
            "masked_lm.dense",
            "cls/predictions/transform/dense",
            "cls.predictions.transform.dense",
            "vocab_transform",
            "masked_lm_dense",
            electra="generator_predictions.dense",
        ),
        *_norm(
            "masked_lm.norm",
            "cls/predictions/transform",
            "cls.predictions.transform.LayerNorm",
            "vocab_layer_norm",
            "masked_lm_norm",
            electra="generator_predictions.LayerNorm",
        ),
        Row(
            "masked_lm.bias",
            "cls/predictions/output_bias",
            "cls.predictions.bias",
            "vocab_projector.bias",
            "generator_lm_head.bias",
            "masked_lm/bias",
        ),
        *_output("next_sentence", "cls/seq_relationship", "cls.seq_relationship"),
    ),
}
"""The rows of each head of `converters.heads` that has arrays of its own.

The name of an array alone does not tell a classifier of texts from one of tokens in a Hugging Face
file: what config.json says does. A masked LM's output kernel is the embedding table.
"""

MAX_SENTENCE_DENSE = 8
SENTENCE: tuple[Row, ...] = tuple(
    Row(f"sentence.dense.{i}.{part}", "", "", "", "", f"sentence_dense_{i}/{part}", transform)
    for i in range(MAX_SENTENCE_DENSE)
    for part, transform in (("kernel", "transpose"), ("bias", "same"))
)
"""The dense layers of a sentence head, which have files of their own: see sentence_transformers."""


def rows(num_layers: int, head: str = "") -> Iterator[Row]:
    """Every row of a model with so many layers, the numbers filled in, in the order of the data.

    Args:
        num_layers: of the encoder.
        head: whose rows come after the encoder's; empty for those of all heads.
    """
    yield from EMBEDDINGS
    for i in range(num_layers):
        for row in LAYER:
            yield row.of_layer(i)
    yield from POOLER
    for name, its_rows in HEADS.items():
        if head in ("", name):
            yield from its_rows


def turn_tf1(array: np.ndarray, row: Row) -> np.ndarray:
    """A neutral array in TF1's shape, or the other way round: it is the same turn."""
    return np.ascontiguousarray(array.T) if row.tf1.endswith("/kernel") else array


def to_keras_hub(array: np.ndarray, transform: str, head_size: int) -> np.ndarray:
    """A neutral array in keras-hub's shape; a layer may have any number of heads."""
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
