"""keras-hub preset folders of BERT, in and out: what `save_to_preset` writes.

keras-hub's BERT always has the tanh GELU, a LayerNorm epsilon of 1e-12 and a tanh pooler; a preset
has no place to say otherwise. The configuration is read as data: nothing that a folder names is
imported or run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from converters.checkpoint import GELU_TANH, RELU, TANH, BertConfig, Checkpoint, check_weights
from converters.errors import ConversionError
from converters.huggingface_families import read_sizes
from converters.keras_hub import build_backbone, load_weights, read_weights
from converters.label_file import read_labels, write_labels
from converters.wordpiece import Vocabulary

CONFIG_FILE, TASK_FILE, TOKENIZER_FILE = "config.json", "task.json", "tokenizer.json"
PREPROCESSOR_FILE, METADATA_FILE = "preprocessor.json", "metadata.json"
WEIGHTS_FILE, SHARDED_FILE = "model.weights.h5", "model.weights.json"
TASK_WEIGHTS_FILE = "task.weights.h5"
VOCABULARY_FILE = "assets/tokenizer/vocabulary.txt"
EPSILON = 1e-12
_BACKBONE, _TOKENIZER = "BertBackbone", "BertTokenizer"
_CLASSIFIERS = ("BertTextClassifier", "BertClassifier")
_PRETRAINING = ("BertMaskedLM",)
_PACKAGES = ("keras_hub", "keras_nlp")
_SIZES = {
    "vocab_size": "vocabulary_size",
    "hidden_size": "hidden_dim",
    "num_layers": "num_layers",
    "num_heads": "num_heads",
    "intermediate_size": "intermediate_dim",
    "max_positions": "max_sequence_length",
    "num_segments": "num_segments",
}
_SPECIAL_TOKENS = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
_LOADING_ERRORS = (OSError, ValueError, KeyError, TypeError)
"""What Keras and h5py raise for a file that is cut short or of another shape."""


def is_preset(folder: Path) -> bool:
    """Whether config.json is keras-hub's: it says the class that it configures."""
    try:
        raw = json.loads((folder / CONFIG_FILE).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(raw, dict) and "registered_name" in raw


def read_folder(folder: Path | str, as_base: bool = False) -> Checkpoint:
    """Reads a `BertBackbone` or a `BertTextClassifier`.

    A classifier's labels are the lines of labels.txt; without it LABEL_0 and so on.

    Args:
        folder: a preset.
        as_base: a head that is not read is left out, which a note says, instead of refused.

    Raises:
        ConversionError: it is of another class, or a file is missing or damaged.
    """
    folder = Path(folder)
    raw = _read_object(folder / CONFIG_FILE, (_BACKBONE,))
    values, problems = read_sizes(raw, _SIZES)
    if problems:
        raise ConversionError(f"{folder / CONFIG_FILE}: {'; '.join(problems)}.")
    dropout = float(raw.get("dropout", 0.1))
    config = BertConfig(**values, activation=GELU_TANH, layer_norm_epsilon=EPSILON, dropout=dropout)
    backbone = build_backbone(config)
    weights_file = folder / WEIGHTS_FILE
    weights_file = weights_file if weights_file.is_file() else folder / SHARDED_FILE
    _load(backbone.load_weights, backbone.weights, weights_file)
    weights = read_weights(backbone, config.num_layers)
    expected = _parameter_count(folder)
    if expected not in (None, backbone.count_params()):
        raise _not_read(
            weights_file,
            f"{METADATA_FILE} says {expected} parameters, {CONFIG_FILE} {backbone.count_params()}",
        )
    labels, note = _read_head(folder, backbone, weights, as_base)
    checkpoint = Checkpoint(config, weights, labels, str(folder), (note,) if note else ())
    check_weights(checkpoint)
    return checkpoint


def read_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary of a preset.

    Raises:
        ConversionError: the preset has none, or its tokenizer is no BERT's.
    """
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise ConversionError(
            f"{folder} has no {TOKENIZER_FILE}: a backbone alone was saved. Next: save its "
            f"tokenizer too, with BertTokenizer.save_to_preset({str(folder)!r})."
        )
    raw = _read_object(path, (_TOKENIZER,))
    if not (folder / VOCABULARY_FILE).is_file():
        raise ConversionError(f"{folder} has no {VOCABULARY_FILE}.")
    if not raw.get("split", True):
        raise ConversionError(f"{path}: its tokenizer does not split text into words.")
    text = (folder / VOCABULARY_FILE).read_text(encoding="utf-8")
    return Vocabulary(
        tuple(text.removesuffix("\n").split("\n")),
        lowercase=bool(raw.get("lowercase", False)),
        strip_accents=bool(raw.get("strip_accents", False)),
        split_chinese_characters=bool(raw.get("split_on_cjk", True)),
        unknown_token=str(raw.get("oov_token", "[UNK]")),
        continuing_prefix=str(raw.get("suffix_indicator", "##")),
    )


def read_max_length(folder: Path) -> int | None:
    """The length that a preset's preprocessor pads texts to; None where it has no preprocessor."""
    path = folder / PREPROCESSOR_FILE
    config = _read_json(path).get("config") if path.is_file() else None
    length = config.get("sequence_length") if isinstance(config, dict) else None
    return length if isinstance(length, int) and length > 0 else None


def write_folder(
    checkpoint: Checkpoint, vocabulary: Vocabulary, folder: Path, max_length: int
) -> None:
    """Writes a preset: of a `BertTextClassifier` with its preprocessor, or of a `BertBackbone`.

    An activation or an epsilon that keras-hub's BERT has otherwise is not written: whoever calls
    has to measure what that changes. A bare encoder without a pooler gets zeros for it.

    Raises:
        ConversionError: a preset can't say what the checkpoint or its tokenizer does.
    """
    _refuse(checkpoint, vocabulary)
    import keras_hub

    config = checkpoint.config
    backbone = build_backbone(config)
    weights = dict(checkpoint.weights)
    size = config.hidden_size
    weights.setdefault("pooler.kernel", np.zeros((size, size), np.float32))
    weights.setdefault("pooler.bias", np.zeros(size, np.float32))
    load_weights(backbone, weights, config.num_layers, config.head_size)
    strip = vocabulary.strip_accents
    tokenizer = keras_hub.models.BertTokenizer(
        vocabulary=list(vocabulary.tokens),
        lowercase=vocabulary.lowercase,
        strip_accents=vocabulary.lowercase if strip is None else strip,
    )
    if not checkpoint.is_classifier:
        backbone.save_to_preset(str(folder))
        tokenizer.save_to_preset(str(folder))
        return
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(
        tokenizer, sequence_length=max_length
    )
    classifier = keras_hub.models.BertTextClassifier(
        backbone, len(checkpoint.labels), preprocessor=preprocessor, dropout=config.dropout
    )
    classifier.output_dense.kernel.assign(weights["classifier.kernel"].T)
    classifier.output_dense.bias.assign(weights["classifier.bias"])
    classifier.save_to_preset(str(folder))
    write_labels(checkpoint.labels, folder)


def differences(config: BertConfig) -> list[str]:
    """What keras-hub's BERT computes otherwise than this configuration says."""
    found = []
    if config.activation != GELU_TANH:
        found.append("its GELU is the tanh approximation, the model's is exact")
    if config.layer_norm_epsilon != EPSILON:
        found.append(f"its LayerNorm epsilon is {EPSILON}, the model's {config.layer_norm_epsilon}")
    return found


def _refuse(checkpoint: Checkpoint, vocabulary: Vocabulary) -> None:
    config = checkpoint.config
    problems = []
    if config.activation == RELU:
        problems.append("keras-hub's BERT has GELU, the model ReLU")
    if config.pooler_activation != TANH:
        problems.append(f"keras-hub's pooler has tanh, the model's {config.pooler_activation}")
    if set(vocabulary.special_tokens) != set(_SPECIAL_TOKENS):
        problems.append(
            f"keras-hub's special tokens are {', '.join(_SPECIAL_TOKENS)}, the model's "
            f"{', '.join(vocabulary.special_tokens)}"
        )
    if not vocabulary.split_chinese_characters:
        problems.append("keras-hub's tokenizer splits Chinese characters, the model's does not")
    if problems:
        raise ConversionError(f"A keras-hub preset can't hold this model: {'; '.join(problems)}.")


def _read_head(
    folder: Path, backbone: Any, weights: dict[str, np.ndarray], as_base: bool
) -> tuple[tuple[str, ...], str]:
    """Adds the classifier's arrays; returns its labels, and a note where a head is left out."""
    path = folder / TASK_FILE
    if not path.is_file():
        return (), ""
    name = _read_json(path).get("class_name")
    if name in _PRETRAINING:
        return (), ""
    if name not in _CLASSIFIERS:
        if as_base:
            return (), f"{folder} is a {name}: its head is left out."
        raise ConversionError(
            f"{path}: expected one of {', '.join((*_CLASSIFIERS, *_PRETRAINING))}. Received: "
            f"{name}, whose head is not read; as a base for fine-tuning it would do."
        )
    raw = _read_object(path, _CLASSIFIERS)
    count = raw.get("num_classes")
    activation = raw.get("activation")
    activation = activation.get("config") if isinstance(activation, dict) else activation
    if not isinstance(count, int) or count < 2 or activation not in (None, "linear", "softmax"):
        if as_base:
            return (), f"{folder} is a {name} with activation {activation}: its head is left out."
        raise ConversionError(
            f"{path}: expected a classifier with one label a text. Received: num_classes {count} "
            f"and activation {activation!r}."
        )
    import keras_hub

    classifier = keras_hub.models.BertTextClassifier(backbone, count)
    dense = classifier.output_dense
    _load(classifier.load_task_weights, dense.weights, folder / TASK_WEIGHTS_FILE)
    weights["classifier.kernel"] = np.ascontiguousarray(np.asarray(dense.kernel, np.float32).T)
    weights["classifier.bias"] = np.asarray(dense.bias, np.float32)
    return read_labels(folder, count), ""


def _parameter_count(folder: Path) -> int | None:
    """How many numbers the backbone had that was saved; None where that is not said."""
    path = folder / METADATA_FILE
    count = _read_json(path).get("parameter_count") if path.is_file() else None
    return count if isinstance(count, int) else None


def _load(load: Callable[[str], None], variables: Iterable[Any], path: Path) -> None:
    """Loads a file into variables, and makes sure that it had all of them: Keras only warns."""
    if not path.is_file():
        raise ConversionError(f"{path.parent} has no {path.name}.")
    variables = list(variables)
    for variable in variables:
        variable.assign(np.full(variable.shape, np.nan, np.float32))
    try:
        load(str(path))
    except _LOADING_ERRORS as error:
        raise _not_read(path, str(error).strip().split("\n")[0]) from error
    missing = [variable.path for variable in variables if np.isnan(np.asarray(variable)).any()]
    if missing:
        raise _not_read(path, f"{len(missing)} arrays are missing: {', '.join(missing)}")


def _not_read(path: Path, reason: str) -> ConversionError:
    return ConversionError(
        f"{path} can't be read ({reason}). Next: it is cut short, or of another model than "
        f"{CONFIG_FILE}; copy it again."
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConversionError(f"{path} is no JSON: {error}.") from error
    if not isinstance(raw, dict):
        raise ConversionError(f"{path} must hold a JSON object. Received: {type(raw).__name__}.")
    return raw


def _read_object(path: Path, classes: tuple[str, ...]) -> dict[str, Any]:
    """The configuration of a serialized object of one of these classes of keras-hub."""
    raw = _read_json(path)
    package = str(raw.get("registered_name", "")).split(">")[0]
    config = raw.get("config")
    if package not in _PACKAGES or raw.get("class_name") not in classes or type(config) is not dict:
        raise ConversionError(
            f"{path}: expected keras-hub's {' or '.join(classes)}. "
            f"Received: {raw.get('registered_name')!r}."
        )
    return config
