"""Reads and writes keras-hub preset folders of BERT, the format of `save_to_preset`.

keras-hub's BERT always has the tanh GELU, a LayerNorm epsilon of 1e-12 and a tanh pooler; a preset
can't store other values. `keras_hub_tasks` handles the heads. The configuration is read as data: no
class that a folder names is imported or run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from converters.checkpoint import (
    GELU_TANH,
    RELU,
    TANH,
    BertConfig,
    Checkpoint,
    check_weights,
    without_unread_pooler,
)
from converters.contained_paths import path_inside
from converters.errors import ConversionError, HeadError
from converters.expected_shapes import expected_shapes
from converters.formats.keras_arrays import ArrayFiles, encoder_path, not_read
from converters.formats.keras_hub import build_backbone, load_weights
from converters.formats.keras_hub_tasks import (
    PresetHead,
    head_differences,
    head_problems,
    read_head,
    write_head,
)
from converters.formats.label_file import read_lines
from converters.formats.weight_names import rows
from converters.json_fields import Fields
from converters.json_files import JsonFormat, short_repr
from converters.weight_files import require_weight_files
from converters.wordpiece import Vocabulary

CONFIG_FILE, TASK_FILE, TOKENIZER_FILE = "config.json", "task.json", "tokenizer.json"
PREPROCESSOR_FILE, METADATA_FILE = "preprocessor.json", "metadata.json"
WEIGHTS_FILE, SHARDED_FILE = "model.weights.h5", "model.weights.json"
VOCABULARY_FILE = "assets/tokenizer/vocabulary.txt"
EPSILON = 1e-12
_PRESET = JsonFormat("a file of a keras-hub preset", "save or download the preset again")
_BACKBONE, _TOKENIZER = "BertBackbone", "BertTokenizer"
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


def is_preset(folder: Path) -> bool:
    """Whether config.json is that of keras-hub, which names the registered class."""
    try:
        return "registered_name" in _PRESET.read(folder / CONFIG_FILE)
    except ConversionError:
        return False


def read_folder(folder: Path | str, as_base: bool = False) -> Checkpoint:
    """Reads a `BertBackbone`, or a task model of `keras_hub_tasks`.

    The labels of a classifier are the lines of labels.txt, or LABEL_0, LABEL_1 ... without it.

    Args:
        folder: a preset.
        as_base: if True, a head that can't be read is left out, with a note. If False, it is an
            error.

    Raises:
        ConversionError: The preset has another class, or a file is missing or damaged.
    """
    folder = Path(folder)
    raw = _read_object(folder / CONFIG_FILE, (_BACKBONE,))
    fields = Fields(raw)
    values: dict[str, Any] = {name: fields.whole(key) for name, key in _SIZES.items()}
    dropout = fields.number("dropout", 0.1)
    if fields.problems:
        raise ConversionError(f"{folder / CONFIG_FILE}: {'; '.join(fields.problems)}.")
    config = BertConfig(**values, activation=GELU_TANH, layer_norm_epsilon=EPSILON, dropout=dropout)
    weights = _read_encoder(folder, config)
    head, notes = _read_head(folder, config, as_base)
    checkpoint = Checkpoint(
        replace(config, **head.config),
        weights | head.weights,
        head.labels,
        str(folder),
        notes,
        head.problem,
        head.sentence,
    )
    weights = without_unread_pooler(checkpoint.weights, checkpoint.head)
    checkpoint = checkpoint.with_weights(weights)
    check_weights(checkpoint)
    return checkpoint


def _read_encoder(folder: Path, config: BertConfig) -> dict[str, np.ndarray]:
    """The arrays of the encoder and its pooler.

    Raises:
        ConversionError: A file is missing or damaged, or has another number of parameters or
            layers.
    """
    name, files = _weight_files(folder)
    _check_file_size(config, name, files)
    shapes = expected_shapes(config, 0, pooler=True)
    stated, count = _parameter_count(folder), sum(map(math.prod, shapes.values()))
    if stated not in (None, count):
        raise not_read(name, f"{METADATA_FILE} states {stated} parameters, {CONFIG_FILE} {count}")
    wanted = [row for row in rows(config) if row.neutral in shapes]
    with ArrayFiles(files, name) as arrays:
        if arrays.has(encoder_path(config.num_layers)):
            raise not_read(name, f"it has more layers than {CONFIG_FILE}: {config.num_layers}")
        return arrays.read(wanted, shapes, config)


def _read_head(
    folder: Path, config: BertConfig, as_base: bool
) -> tuple[PresetHead, tuple[str, ...]]:
    """The head, and a note if it is left out."""
    path = folder / TASK_FILE
    if not path.is_file():
        return PresetHead(), ()
    name = str(_PRESET.read(path).get("class_name"))
    try:
        return read_head(name, _read_object(path, (name,)), folder, config), ()
    except HeadError as error:
        if not as_base:
            raise ConversionError(f"{path}: {error}") from error
        return PresetHead(), (f"{folder} is a {name}: the head is left out: {error}",)


def _weight_files(folder: Path) -> tuple[Path, tuple[Path, ...]]:
    """The file that messages name, and the files with the arrays: one, or those of an index.

    Raises:
        ConversionError: The index is damaged, or names a file outside the folder.
    """
    path = folder / WEIGHTS_FILE
    index = folder / SHARDED_FILE
    if path.is_file() or not index.is_file():
        return path, (path,)
    weight_map = _PRESET.read(index).get("weight_map")
    shards = weight_map.values() if isinstance(weight_map, dict) else (None,)
    found: dict[str, Path] = {}
    for names in shards:
        for name in names if isinstance(names, list) else [names]:
            if not isinstance(name, str):
                raise ConversionError(
                    f"{index}: expected a 'weight_map' from array to file. "
                    f"Received: {short_repr(weight_map)}. Next: {_PRESET.next_step}."
                )
            found[name] = path_inside(folder, name)
    return index, tuple(found.values())


def _check_file_size(config: BertConfig, name: Path, files: Iterable[Path]) -> None:
    """Checks that the files can hold the weights, before anything of their size is allocated.

    Raises:
        ConversionError: They are too large, or too small: a parameter has at least 2 bytes.
    """
    there = [path for path in files if path.is_file()]
    require_weight_files(there)
    sizes = [path.stat().st_size for path in there]
    if sizes and sum(sizes) < 2 * config.parameters:
        raise not_read(
            name,
            f"{CONFIG_FILE} states {config.parameters} parameters, the files have {sum(sizes)} "
            "bytes",
        )


def read_vocabulary(folder: Path) -> Vocabulary:
    """Reads the vocabulary of a preset.

    Raises:
        ConversionError: The preset has none, or its tokenizer is not that of a BERT.
    """
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise ConversionError(
            f"{folder} has no {TOKENIZER_FILE}: only a backbone was saved. Next: also save its "
            f"tokenizer, with BertTokenizer.save_to_preset({str(folder)!r})."
        )
    raw = _read_object(path, (_TOKENIZER,))
    if not (folder / VOCABULARY_FILE).is_file():
        raise ConversionError(f"{folder} has no {VOCABULARY_FILE}.")
    if not raw.get("split", True):
        raise ConversionError(f"{path}: its tokenizer does not split text into words.")
    fields = Fields(raw)
    settings: dict[str, Any] = {
        "lowercase": fields.flag("lowercase", False),
        "strip_accents": fields.flag("strip_accents", False),
        "split_chinese_characters": fields.flag("split_on_cjk", True),
        "unknown_token": fields.text("oov_token", "[UNK]"),
        "continuing_prefix": fields.text("suffix_indicator", "##"),
    }
    if fields.problems:
        raise ConversionError(f"{path}: {'; '.join(fields.problems)}.")
    return Vocabulary(read_lines(folder / VOCABULARY_FILE), **settings)


def read_max_length(folder: Path) -> int | None:
    """The padding length of the preset's preprocessor, in tokens; None if it has none."""
    path = folder / PREPROCESSOR_FILE
    config = _PRESET.read(path).get("config") if path.is_file() else None
    length = config.get("sequence_length") if isinstance(config, dict) else None
    return length if isinstance(length, int) and length > 0 else None


def write_folder(
    checkpoint: Checkpoint, vocabulary: Vocabulary, folder: Path, max_length: int
) -> None:
    """Writes a preset of a keras-hub task model with its preprocessor, or of a backbone.

    The activation and the epsilon of keras-hub's BERT are fixed, so those of the checkpoint are not
    stored; the caller must measure the effect (see `differences`). A model without a pooler gets a
    pooler of zeros.

    Args:
        checkpoint: the model.
        vocabulary: its vocabulary.
        folder: the output folder.
        max_length: padding length of the preprocessor, in tokens.

    Raises:
        ConversionError: A preset can't represent the checkpoint or its tokenizer.
    """
    _require_supported(checkpoint, vocabulary)
    import keras_hub

    config = checkpoint.config
    backbone = build_backbone(config)
    weights = dict(checkpoint.weights)
    size = config.hidden_size
    weights.setdefault("pooler.kernel", np.zeros((size, size), np.float32))
    weights.setdefault("pooler.bias", np.zeros(size, np.float32))
    load_weights(backbone, weights, config)
    strip = vocabulary.strip_accents
    tokenizer = keras_hub.models.BertTokenizer(
        vocabulary=list(vocabulary.tokens),
        lowercase=vocabulary.lowercase,
        strip_accents=vocabulary.lowercase if strip is None else strip,
    )
    write_head(checkpoint, backbone, tokenizer, folder, max_length)


def differences(checkpoint: Checkpoint) -> list[str]:
    """Lists the differences between keras-hub's BERT and the checkpoint."""
    config, found = checkpoint.config, []
    if config.activation != GELU_TANH:
        found.append("its GELU is the tanh approximation, the model's is exact")
    if config.layer_norm_epsilon != EPSILON:
        found.append(f"its LayerNorm epsilon is {EPSILON}, the model's {config.layer_norm_epsilon}")
    return found + head_differences(checkpoint)


def _require_supported(checkpoint: Checkpoint, vocabulary: Vocabulary) -> None:
    config = checkpoint.config
    problems = head_problems(checkpoint)
    if config.is_mobile:
        problems.append("keras-hub has no MobileBERT")
    elif config.embedding_size:
        problems.append("keras-hub's BERT has no projection of its embeddings, the model has one")
    if config.activation == RELU:
        problems.append("keras-hub's BERT has GELU, the model ReLU")
    if config.pooler_activation != TANH and "pooler.kernel" in checkpoint.weights:
        problems.append(f"keras-hub's pooler has tanh, the model's {config.pooler_activation}")
    if set(vocabulary.special_tokens) != set(_SPECIAL_TOKENS):
        problems.append(
            f"keras-hub's special tokens are {', '.join(_SPECIAL_TOKENS)}, the model's "
            f"{', '.join(vocabulary.special_tokens)}"
        )
    if not vocabulary.split_chinese_characters:
        problems.append("keras-hub's tokenizer splits Chinese characters, the model's does not")
    if problems:
        raise ConversionError(
            f"A keras-hub preset can't represent this model: {'; '.join(problems)}."
        )


def _parameter_count(folder: Path) -> int | None:
    """The parameter count of the saved backbone; None if it is not stated."""
    path = folder / METADATA_FILE
    count = _PRESET.read(path).get("parameter_count") if path.is_file() else None
    return count if isinstance(count, int) else None


def _read_object(path: Path, classes: tuple[str, ...]) -> dict[str, Any]:
    """The configuration of a serialized keras-hub object of one of the given classes."""
    raw = _PRESET.read(path)
    package = str(raw.get("registered_name", "")).split(">")[0]
    config = raw.get("config")
    if package not in _PACKAGES or raw.get("class_name") not in classes or type(config) is not dict:
        raise ConversionError(
            f"{path}: expected keras-hub's {' or '.join(classes)}. "
            f"Received: {raw.get('registered_name')!r}."
        )
    return config
