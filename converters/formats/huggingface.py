"""Reads and writes Hugging Face folders: config.json and safetensors (pickles are refused)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from converters import heads
from converters.bfloat16 import widened
from converters.checkpoint import TANH, Checkpoint, check_weights, without_unread_pooler
from converters.contained_paths import path_inside
from converters.errors import ConversionError, HeadError
from converters.formats.huggingface_families import (
    config_of_head,
    family_for,
    family_of,
    write_config,
)
from converters.formats.huggingface_families import read_config as bert_config
from converters.formats.huggingface_heads import (
    EMBEDDING_TABLE,
    FoundHead,
    encoder_rows,
    head_rows,
    name_of,
    read_head,
)
from converters.formats.huggingface_table import BERT, Family
from converters.formats.weight_names import LAYER
from converters.json_files import JsonFormat
from converters.mapped_weights import read_entries, write_arrays
from converters.weight_files import require_weight_files

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
_CONFIG = JsonFormat("the configuration of a model", "download config.json again")
_INDEX = JsonFormat("an index of safetensors files", "download it again")


def read_folder(folder: Path | str, as_base: bool = False) -> Checkpoint:
    """Reads a BERT, DistilBERT or ELECTRA with its head, one of `converters.heads`.

    The weights are F32, F16 or BF16, in one safetensors file or in shards.

    Args:
        folder: folder with config.json and the weights.
        as_base: if True, a head that can't be read is left out, with a note. If False, it is an
            error.

    Raises:
        ConversionError: The folder has no config.json or no safetensors, the configuration is not
            that of a BERT, the file is truncated, arrays are missing or have another shape, or the
            head differs from config.json.
    """
    folder = Path(folder)
    raw = read_config(folder)
    family = family_of(raw)
    config = bert_config(raw, as_base, str(folder / "config.json"))
    in_files = _read_arrays(folder)
    prefix = _encoder_prefix(in_files, family, str(folder))
    originals = {_bare_name(name, prefix): name for name in in_files}
    arrays = {bare: in_files[name] for bare, name in originals.items()}
    if name_of(LAYER[0].of_layer(config.num_layers), family) in arrays:
        raise ConversionError(
            f"{folder}: expected {config.num_layers} layers, as in config.json. Received: more "
            "layers in the weights. Next: check that both files belong to one model."
        )
    notes: tuple[str, ...] = ()
    try:
        head = read_head(raw, arrays, family)
    except HeadError as error:
        if not as_base:
            raise ConversionError(f"{folder}: {error}") from error
        head, notes = FoundHead(), (f"{folder}: the head is left out: {error}",)
    config = config_of_head(config, family, head.name)
    names = {row.neutral: name_of(row, family) for row in encoder_rows(family, config)}
    weights = {neutral: arrays[name] for neutral, name in names.items() if name in arrays}
    if not family.has_segments:
        shape = (config.num_segments, config.hidden_size)
        weights["embeddings.segment"] = np.zeros(shape, np.float32)
    weights = without_unread_pooler(weights | head.weights, head.name)
    checkpoint = Checkpoint(config, weights, head.labels, str(folder), notes, head.problem)
    names |= {row.neutral: name_of(row, family) for row in head_rows(family, head.name)}
    check_weights(checkpoint, {key: originals.get(name, name) for key, name in names.items()})
    return checkpoint


def read_config(folder: Path) -> dict[str, Any]:
    """Reads config.json.

    Raises:
        ConversionError: There is no such folder, no config.json, or no JSON object in it.
    """
    if not folder.is_dir():
        raise ConversionError(
            f"{folder} is no folder. Expected a Hugging Face model folder with config.json, "
            "model.safetensors and vocab.txt. Next: give the path of the folder itself."
        )
    path = folder / "config.json"
    if not path.is_file():
        found = ", ".join(sorted(p.name for p in folder.iterdir())[:12]) or "nothing"
        raise ConversionError(f"{folder} has no config.json. Received a folder with: {found}.")
    return _CONFIG.read(path)


def _encoder_prefix(names: Iterable[str], family: Family, where: str) -> str:
    """What stands before the names of the encoder's arrays, such as `bert.` in a task model.

    Classes of other projects may have another prefix there.

    Raises:
        ConversionError: The weights hold several encoders.
    """
    bare = [_without_wrapper(name) for name in names]
    found = {
        name.removesuffix(EMBEDDING_TABLE) for name in bare if name.endswith(f".{EMBEDDING_TABLE}")
    }
    if family.prefix in found or not found or EMBEDDING_TABLE in bare:
        return family.prefix
    if len(found) > 1:
        raise ConversionError(
            f"{where}: expected the weights of one encoder. Received: {len(found)} encoders, "
            f"{', '.join(sorted(found))}. Next: save the one that you need alone, with "
            "save_pretrained."
        )
    return found.pop()


def _without_wrapper(name: str) -> str:
    """Removes what DataParallel and torch.compile put before every name."""
    for wrapper in ("module.", "_orig_mod.", "module."):
        name = name.removeprefix(wrapper)
    return name


def _bare_name(name: str, prefix: str) -> str:
    """Removes the prefixes of the encoder and replaces the LayerNorm names of old files."""
    name = _without_wrapper(name).removeprefix(prefix)
    if name.endswith("LayerNorm.gamma"):
        return name.removesuffix("gamma") + "weight"
    if name.endswith("LayerNorm.beta"):
        return name.removesuffix("beta") + "bias"
    return name


def _read_arrays(folder: Path) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    paths = _weight_files(folder)
    require_weight_files(paths)
    for path in paths:
        arrays.update(read_safetensors(path))
    return arrays


_FROM = "save_pretrained(folder, safe_serialization=True)"
_OTHER_WEIGHTS = {
    "adapter_model.*": "the weights of a LoRA adapter without its base. Next: with peft, load the "
    f"base and the adapter, call merge_and_unload(), and {_FROM}",
    "tf_model.h5": "weights for TensorFlow. Next: convert them once with a transformers release "
    f"below 5: AutoModel.from_pretrained(folder, from_tf=True).{_FROM}",
    "flax_model.msgpack": "weights for Flax. Next: convert them once with a transformers release "
    f"below 5: AutoModel.from_pretrained(folder, from_flax=True).{_FROM}",
    "*.onnx": "a graph without named weights. Next: take the checkpoint that it was made from",
}
"""Weights that can't be read, by their files: what they are and what to do."""


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    index = folder / INDEX_FILE
    if index.is_file():
        weight_map = _INDEX.read(index).get("weight_map")
        if not isinstance(weight_map, dict) or not all(
            isinstance(name, str) for name in weight_map.values()
        ):
            raise ConversionError(
                f"{index}: expected a 'weight_map' from array to file. "
                f"Received: {str(weight_map)[:80]}. Next: download it again."
            )
        names = sorted(set(weight_map.values()))
        paths = [path_inside(folder, name) for name in names]
        missing = [name for name, path in zip(names, paths, strict=True) if not path.is_file()]
        if missing:
            raise ConversionError(
                f"{folder}: expected all files of {INDEX_FILE}. Missing: {', '.join(missing)}. "
                "Next: download them."
            )
        return paths
    if (folder / "pytorch_model.bin").is_file():
        raise ConversionError(
            f"{folder}: expected {WEIGHTS_FILE}. Received: pytorch_model.bin, a pickle, which can "
            "run code when it is read. Next: if you trust the file, convert it once with "
            "AutoModel.from_pretrained(folder).save_pretrained(folder, safe_serialization=True)."
        )
    other = next((name for name in _OTHER_WEIGHTS if any(folder.glob(name))), "")
    if other:
        raise ConversionError(
            f"{folder}: expected {WEIGHTS_FILE}. Received: {other}, {_OTHER_WEIGHTS[other]}."
        )
    raise ConversionError(f"{folder} has no {WEIGHTS_FILE} and no {INDEX_FILE}.")


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads the float arrays of a safetensors file as float32; integer arrays are left out.

    Arrays that are float32 in the file are read-only and stay there (`mapped_weights`).

    Raises:
        ConversionError: The file is truncated, no safetensors, too large, or has another float
            type.
    """
    require_weight_files((path,))
    arrays = {}
    for name, (kind, shape, data) in read_entries(path).items():
        if kind in _INTEGERS:
            continue
        if kind not in _FLOATS:
            raise ConversionError(
                f"{path}: {name} has dtype {kind}; expected F32, F16 or BF16. "
                "Next: save the model again in one of these."
            )
        arrays[name] = _FLOATS[kind](data).reshape(shape)
    return arrays


_FLOATS = {
    "F32": lambda data: np.frombuffer(data, "<f4"),
    "F16": lambda data: np.frombuffer(data, "<f2").astype(np.float32),
    "BF16": lambda data: widened(np.frombuffer(data, "<u2")),
}
_INTEGERS = ("BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64")


def _named_arrays(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The arrays of model.safetensors by Hugging Face's names.

    Arrays that the head does not read are kept if the class has them. For example, a masked LM
    keeps its pooler for later fine-tuning.
    """
    family, head = family_for(checkpoint), checkpoint.head
    weights = dict(checkpoint.weights)
    if not family.has_segments:
        segment = weights.pop("embeddings.segment")
        weights["embeddings.position"] = weights["embeddings.position"] + segment[0]
    if family is BERT and checkpoint.config.pooler_activation != TANH:
        weights = {name: array for name, array in weights.items() if not name.startswith("pooler.")}
    is_bare = head in (heads.ENCODER, heads.SENTENCE)
    prefix = "" if is_bare else family.prefix
    names = {
        row.neutral: prefix + name_of(row, family)
        for row in encoder_rows(family, checkpoint.config)
    } | {row.neutral: name_of(row, family) for row in head_rows(family, head)}
    return {name: weights[neutral] for neutral, name in names.items() if neutral in weights}


def write_folder(checkpoint: Checkpoint, folder: Path, pad_token_id: int = 0) -> None:
    """Writes config.json and model.safetensors into an existing folder.

    Raises:
        ConversionError: No class of Hugging Face computes the same function as the checkpoint.
    """
    content = write_config(checkpoint, family_for(checkpoint), pad_token_id)
    (folder / "config.json").write_text(json.dumps(content, indent=2) + "\n")
    write_arrays(folder / WEIGHTS_FILE, _named_arrays(checkpoint), {"format": "pt"})
