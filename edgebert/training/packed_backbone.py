"""Builds the packed encoder of a backbone."""

from __future__ import annotations

from typing import Any

import keras

from converters.checkpoint import BertConfig
from edgebert.training.packed_encoder import INPUTS, EncoderOptions, PackedEncoder
from edgebert.training.packed_mobilebert import PackedMobileBert


def pack_backbone(backbone: Any, config: BertConfig, options: EncoderOptions) -> keras.Model:
    """A Keras model with a backbone's inputs and outputs that computes with a `PackedEncoder`."""
    kind = PackedMobileBert if config.is_mobile else PackedEncoder
    encoder = kind(backbone, config, options)
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in INPUTS}
    return keras.Model(inputs, encoder(inputs), name="packed")
