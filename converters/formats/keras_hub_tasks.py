"""Reads and writes the heads of keras-hub's task models for BERT.

| keras-hub | head | note |
| --- | --- | --- |
| `BertTextClassifier` | `classifier` | multi-label with a sigmoid; a regression with one output |
| `BertMaskedLM` | `masked-lm` | always the exact GELU and an epsilon of 1e-5 |
| `BertTextEmbedder` | `sentence` | one pooling, no dense layers |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from converters import heads
from converters.checkpoint import GELU_EXACT, BertConfig, Checkpoint
from converters.errors import HeadError
from converters.expected_shapes import expected_shapes
from converters.formats.keras_arrays import ArrayFiles
from converters.formats.label_file import read_labels, write_labels
from converters.formats.weight_names import HEADS

TASK_WEIGHTS_FILE = "task.weights.h5"
MASKED_LM_EPSILON = 1e-5
CLASSIFIERS = ("BertTextClassifier", "BertClassifier")
MASKED_LM, EMBEDDER = "BertMaskedLM", "BertTextEmbedder"
_POOLINGS = ("mean", "cls", "max")
_LINEAR, _SOFTMAX, _SIGMOID = "linear", "softmax", "sigmoid"

Json = Mapping[str, Any]


@dataclass(frozen=True)
class PresetHead:
    """The head of a preset.

    Attributes:
        weights: arrays of the head by neutral name.
        labels: labels of a classifier in the order of its outputs.
        problem: meaning of a classifier's logits.
        sentence: pooling and normalization of a sentence encoder.
        config: fields of `BertConfig` that the head sets.
    """

    weights: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    labels: tuple[str, ...] = ()
    problem: str = heads.SINGLE_LABEL
    sentence: heads.SentenceHead | None = None
    config: dict[str, Any] = field(default_factory=dict)


def read_head(name: str, settings: Json, folder: Path, config: BertConfig) -> PresetHead:
    """Reads the head of a task model that was saved with `save_to_preset`.

    Args:
        name: name of its class.
        settings: its configuration.
        folder: the preset.
        config: sizes of the encoder.

    Raises:
        HeadError: The class or its settings are not supported.
        ConversionError: The weights are missing or damaged.
    """
    if name not in _READERS:
        raise HeadError(
            f"expected one of {', '.join(_READERS)}. Received: {name}, whose head is not "
            "supported; it can serve as a base for fine-tuning."
        )
    return _READERS[name](settings, folder, config)


def _read_classifier(settings: Json, folder: Path, config: BertConfig) -> PresetHead:
    count, activation = settings.get("num_classes"), settings.get("activation")
    activation = activation.get("config") if isinstance(activation, dict) else activation
    outputs, problem = _outputs(count, activation or _LINEAR)
    weights = _task_weights(folder, config, heads.CLASSIFIER, outputs)
    labels = () if problem == heads.REGRESSION else read_labels(folder, outputs)
    return PresetHead(weights, labels, problem)


def _task_weights(
    folder: Path, config: BertConfig, head: str, outputs: int
) -> dict[str, np.ndarray]:
    """The arrays of a head."""
    shapes = expected_shapes(config, outputs, pooler=False, head=head)
    wanted = [row for row in HEADS[head] if row.neutral in shapes]
    path = folder / TASK_WEIGHTS_FILE
    with ArrayFiles([path], path) as arrays:
        return arrays.read(wanted, shapes, config)


def _outputs(count: Any, activation: Any) -> tuple[int, str]:
    """The number of a classifier's outputs, and their meaning."""
    if type(count) is int and count > 0:
        if activation == _SIGMOID:
            return count, heads.MULTI_LABEL
        if count > 1 and activation in (_LINEAR, _SOFTMAX):
            return count, heads.SINGLE_LABEL
        if activation == _LINEAR:
            return count, heads.REGRESSION
    raise HeadError(
        "expected a classifier with logits, softmax or sigmoid, or a regression with one output. "
        f"Received: num_classes {count} and activation {activation!r}."
    )


def _read_masked_lm(settings: Json, folder: Path, config: BertConfig) -> PresetHead:
    weights = _task_weights(folder, config, heads.MASKED_LM, 0)
    own = {"masked_lm_activation": GELU_EXACT, "masked_lm_epsilon": MASKED_LM_EPSILON}
    return PresetHead(weights, config=own)


def _read_embedder(settings: Json, folder: Path, config: BertConfig) -> PresetHead:
    pooling, normalize = settings.get("pooling_mode", "mean"), settings.get("normalize", True)
    if pooling not in _POOLINGS or not isinstance(normalize, bool):
        raise HeadError(
            f"expected a pooling_mode of {', '.join(_POOLINGS)} and a boolean for normalize. "
            f"Received: {pooling!r} and {normalize!r}."
        )
    return PresetHead(sentence=heads.SentenceHead((pooling,), (), normalize))


_READERS: dict[str, Callable[[Json, Path, BertConfig], PresetHead]] = {
    **dict.fromkeys(CLASSIFIERS, _read_classifier),
    MASKED_LM: _read_masked_lm,
    EMBEDDER: _read_embedder,
}


def write_head(
    checkpoint: Checkpoint, backbone: Any, tokenizer: Any, folder: Path, max_length: int
) -> None:
    """Writes a preset: a task model with its preprocessor, or an encoder with its tokenizer.

    Args:
        checkpoint: a model whose head keras-hub has a class for: see `head_problems`.
        backbone: keras-hub backbone with the weights of the checkpoint.
        tokenizer: keras-hub tokenizer.
        folder: the output folder.
        max_length: padding length of the preprocessor, in tokens.
    """
    if checkpoint.head == heads.ENCODER:
        backbone.save_to_preset(str(folder))
        tokenizer.save_to_preset(str(folder))
        return
    _WRITERS[checkpoint.head](checkpoint, backbone, tokenizer, max_length).save_to_preset(
        str(folder)
    )
    if checkpoint.labels:
        write_labels(checkpoint.labels, folder)


def head_problems(checkpoint: Checkpoint) -> list[str]:
    """Lists the properties of the head that keras-hub has no class for."""
    if checkpoint.head not in (heads.ENCODER, *_WRITERS):
        return [
            f"keras-hub has {', '.join((CLASSIFIERS[0], MASKED_LM, EMBEDDER))} for BERT, and the "
            f"model has the head '{checkpoint.head}'"
        ]
    sentence = checkpoint.sentence
    if sentence is None:
        return []
    problems = []
    if len(sentence.pooling) > 1 or sentence.pooling[0] not in _POOLINGS:
        problems.append(
            f"{EMBEDDER} has one pooling of {', '.join(_POOLINGS)}, the model "
            f"{' and '.join(sentence.pooling)}"
        )
    if sentence.activations:
        problems.append(f"{EMBEDDER} has no dense layers, the model {len(sentence.activations)}")
    return problems


def head_differences(checkpoint: Checkpoint) -> list[str]:
    """Lists the differences between keras-hub's head and the checkpoint."""
    config, found = checkpoint.config, []
    if checkpoint.head != heads.MASKED_LM:
        return []
    if config.transform_activation != GELU_EXACT:
        found.append("the GELU of its masked LM's head is exact, the model's is not")
    if config.transform_epsilon != MASKED_LM_EPSILON:
        found.append(
            f"the LayerNorm epsilon of its masked LM's head is {MASKED_LM_EPSILON}, the model's "
            f"{config.transform_epsilon}"
        )
    return found


def _classifier(checkpoint: Checkpoint, backbone: Any, tokenizer: Any, max_length: int) -> Any:
    import keras_hub

    kernel, bias = (checkpoint.weights[f"classifier.{part}"] for part in ("kernel", "bias"))
    classifier = keras_hub.models.BertTextClassifier(
        backbone,
        len(bias),
        preprocessor=keras_hub.models.BertTextClassifierPreprocessor(
            tokenizer, sequence_length=max_length
        ),
        activation=_SIGMOID if checkpoint.problem == heads.MULTI_LABEL else None,
        dropout=checkpoint.config.dropout,
    )
    classifier.output_dense.kernel.assign(kernel.T)
    classifier.output_dense.bias.assign(bias)
    return classifier


def _masked_lm(checkpoint: Checkpoint, backbone: Any, tokenizer: Any, max_length: int) -> Any:
    import keras_hub

    preprocessor = keras_hub.models.BertMaskedLMPreprocessor(tokenizer, sequence_length=max_length)
    model = keras_hub.models.BertMaskedLM(backbone, preprocessor=preprocessor)
    for name, variable in _masked_lm_variables(model).items():
        array = checkpoint.weights[name]
        variable.assign(array.T if name.endswith("kernel") else array)
    return model


def _embedder(checkpoint: Checkpoint, backbone: Any, tokenizer: Any, max_length: int) -> Any:
    import keras_hub

    assert checkpoint.sentence is not None
    return keras_hub.models.BertTextEmbedder(
        backbone,
        preprocessor=keras_hub.models.BertTextEmbedderPreprocessor(
            tokenizer, sequence_length=max_length
        ),
        pooling_mode=checkpoint.sentence.pooling[0],
        normalize=checkpoint.sentence.normalize,
    )


_WRITERS: dict[str, Callable[[Checkpoint, Any, Any, int], Any]] = {
    heads.CLASSIFIER: _classifier,
    heads.MASKED_LM: _masked_lm,
    heads.SENTENCE: _embedder,
}


def _masked_lm_variables(model: Any) -> dict[str, Any]:
    """The variables of a `BertMaskedLM`'s head, by neutral name."""
    head = model.masked_lm_head
    return {
        "masked_lm.dense.kernel": head._intermediate_dense.kernel,
        "masked_lm.dense.bias": head._intermediate_dense.bias,
        "masked_lm.norm.scale": head._intermediate_layer_norm.gamma,
        "masked_lm.norm.bias": head._intermediate_layer_norm.beta,
        "masked_lm.bias": head._bias,
    }
