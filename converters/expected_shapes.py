"""The arrays that a checkpoint must have, with their shapes."""

from __future__ import annotations

from converters.bert_config import BertConfig
from converters.heads import CLASSIFIER, MASKED_LM, SPANS, TOKEN_CLASSIFIER

Shapes = dict[str, tuple[int, ...]]


def expected_shapes(config: BertConfig, num_labels: int, pooler: bool, head: str = "") -> Shapes:
    """The shape of every required array, by neutral name.

    Args:
        config: sizes of the encoder.
        num_labels: number of outputs of a classifier.
        pooler: whether there is a pooler even if the head does not need it.
        head: the head, one of `converters.heads`; empty means a classifier if there are labels.
            The dense layers of a sentence head are not included.
    """
    hidden = config.hidden_size
    shapes = _embeddings(config)
    for i in range(config.num_layers):
        make = _mobile_layer if config.is_mobile else _layer
        shapes |= make(config, f"layers.{i}")
    head = head or (CLASSIFIER if num_labels else "")
    if config.has_pooler and (pooler or head == CLASSIFIER):
        shapes |= _dense("pooler", hidden, hidden)
    outputs = {
        CLASSIFIER: ("classifier", num_labels),
        TOKEN_CLASSIFIER: ("token_classifier", num_labels),
        SPANS: ("spans", 2),
        MASKED_LM: ("masked_lm.dense", config.masked_lm_width),
    }
    if head in outputs:
        name, size = outputs[head]
        shapes |= _dense(name, size, hidden)
    if head == MASKED_LM:
        shapes |= _norm("masked_lm.norm", config.masked_lm_width)
        shapes["masked_lm.bias"] = (config.vocab_size,)
        if config.is_mobile:
            shapes["masked_lm.extra"] = (hidden - config.embedding_size, config.vocab_size)
    return shapes


def _embeddings(config: BertConfig) -> Shapes:
    width = config.position_width
    shapes: Shapes = {
        "embeddings.token": (config.vocab_size, config.embedding_width),
        "embeddings.position": (config.max_positions, width),
        "embeddings.segment": (config.num_segments, width),
        **_norm("embeddings.norm", width),
    }
    if config.embedding_size:
        shapes |= _dense("embeddings.projection", config.hidden_size, config.projected_size)
    return shapes


def _layer(config: BertConfig, layer: str) -> Shapes:
    hidden, inner = config.hidden_size, config.intermediate_size
    shapes: Shapes = {}
    for name in ("query", "key", "value", "output"):
        shapes |= _dense(f"{layer}.attention.{name}", hidden, hidden)
    shapes |= _dense(f"{layer}.feed_forward.inner", inner, hidden)
    shapes |= _dense(f"{layer}.feed_forward.output", hidden, inner)
    for name in ("attention", "feed_forward"):
        shapes |= _norm(f"{layer}.{name}.norm", hidden)
    return shapes


def _mobile_layer(config: BertConfig, layer: str) -> Shapes:
    hidden, inner, narrow = config.hidden_size, config.intermediate_size, config.bottleneck_size
    shapes: Shapes = {}
    for name, outputs, inputs in (
        ("bottleneck.input", narrow, hidden),
        ("bottleneck.attention", narrow, hidden),
        ("bottleneck.output", hidden, narrow),
    ):
        shapes |= _dense(f"{layer}.{name}", outputs, inputs)
        shapes |= _norm(f"{layer}.{name}.norm", outputs)
    for name in ("query", "key", "value", "output"):
        shapes |= _dense(f"{layer}.attention.{name}", narrow, hidden if name == "value" else narrow)
    shapes |= _norm(f"{layer}.attention.norm", narrow)
    for feed_forward in feed_forwards(config, layer):
        shapes |= _dense(f"{feed_forward}.inner", inner, narrow)
        shapes |= _dense(f"{feed_forward}.output", narrow, inner)
        shapes |= _norm(f"{feed_forward}.norm", narrow)
    return shapes


def feed_forwards(config: BertConfig, layer: str) -> tuple[str, ...]:
    """The names of a layer's feed-forward networks in the order of the data flow.

    The last one is `feed_forward` in all models; a MobileBERT has `feed_forwards.N` before it.
    """
    first = (f"{layer}.feed_forwards.{j}" for j in range(config.num_feed_forwards - 1))
    return (*first, f"{layer}.feed_forward")


def _dense(name: str, outputs: int, inputs: int) -> Shapes:
    return {f"{name}.kernel": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, size: int) -> Shapes:
    return {f"{name}.scale": (size,), f"{name}.bias": (size,)}
