"""Tiny keras-hub presets, written without Keras: the files of `save_to_preset`.

`tests/converters/formats/test_keras_hub_preset.py` reads what keras-hub itself writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from converters import heads
from converters.checkpoint import Checkpoint
from converters.expected_shapes import expected_shapes
from converters.formats.keras_arrays import dataset_path
from converters.formats.weight_names import HEADS, rows, to_keras_hub
from converters.vocabulary import Vocabulary

_HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    heads.CLASSIFIER: ("BertTextClassifier", {"activation": "linear", "dropout": 0.1}),
    heads.MASKED_LM: ("BertMaskedLM", {}),
    heads.SENTENCE: ("BertTextEmbedder", {"pooling_mode": "mean", "normalize": True}),
}


def write_preset(checkpoint: Checkpoint, vocabulary: Vocabulary, folder: Path) -> None:
    """Writes a preset of a classifier, a masked LM or an embedder."""
    words = folder / "assets" / "tokenizer" / "vocabulary.txt"
    words.parent.mkdir(parents=True)
    config = checkpoint.config
    sizes = {
        "vocabulary_size": config.vocab_size,
        "num_layers": config.num_layers,
        "num_heads": config.num_heads,
        "hidden_dim": config.hidden_size,
        "intermediate_dim": config.intermediate_size,
        "dropout": config.dropout,
        "max_sequence_length": config.max_positions,
        "num_segments": config.num_segments,
    }
    backbone = _object("BertBackbone", {"name": "bert_backbone", "trainable": True, **sizes})
    _write(folder / "config.json", backbone)
    tokenizer = _object(
        "BertTokenizer",
        {"name": "bert_tokenizer", "lowercase": True, "strip_accents": True, "split": True},
    )
    _write(folder / "tokenizer.json", tokenizer)
    words.write_text("\n".join(vocabulary.tokens) + "\n", encoding="utf-8")
    name, settings = _HEADS[checkpoint.head]
    if checkpoint.labels:
        settings = settings | {"num_classes": len(checkpoint.labels)}
    preprocessor = {"tokenizer": tokenizer, "sequence_length": 24}
    _write(folder / "preprocessor.json", _object(f"{name}Preprocessor", preprocessor))
    _write(folder / "task.json", _object(name, {"backbone": backbone, **settings}))
    shapes = expected_shapes(config, 0, pooler=True)
    zeros = {row: np.zeros(shape, np.float32) for row, shape in shapes.items()}
    count = sum(array.size for array in zeros.values())
    _write(folder / "metadata.json", {"keras_version": "3.15.1", "parameter_count": count})
    weights = zeros | dict(checkpoint.weights)
    write_arrays(
        folder / "model.weights.h5",
        {
            dataset_path(row.keras_hub): _turned(weights, row, config.head_size)
            for row in rows(config)
            if row.neutral in shapes
        },
    )
    if own := [row for row in HEADS.get(checkpoint.head, ()) if row.neutral in weights]:
        own = [row for row in own if not row.neutral.startswith("next_sentence.")]
        arrays = {dataset_path(row.keras_hub): _turned(weights, row, 1) for row in own}
        write_arrays(folder / "task.weights.h5", arrays)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an HDF5 file as Keras does: each layer has a group `vars`, and its name."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
            file[name].parent.attrs["name"] = name.split("/")[1]


def split_arrays(folder: Path) -> None:
    """Moves the arrays of a preset to two files with an index."""
    weight_map: dict[str, str] = {}
    arrays: dict[str, dict[str, np.ndarray]] = {}
    with h5py.File(folder / "model.weights.h5") as file:
        names: list[str] = []
        file.visit(names.append)
        for name in names:
            if isinstance(file[name], h5py.Dataset):
                shard = f"model_{len(weight_map) % 2:05}.weights.h5"
                weight_map.setdefault(f"/{name.rpartition('/')[0]}", shard)
                arrays.setdefault(shard, {})[name] = file[name][()]
    for shard, its in arrays.items():
        write_arrays(folder / shard, its)
    _write(folder / "model.weights.json", {"metadata": {}, "weight_map": weight_map})
    (folder / "model.weights.h5").unlink()


def _turned(weights: Mapping[str, np.ndarray], row: Any, head_size: int) -> np.ndarray:
    return np.asarray(to_keras_hub(weights[row.neutral], row.transform, head_size))


def _object(name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": "keras_hub.src.models.bert",
        "class_name": name,
        "config": config,
        "registered_name": f"keras_hub>{name}",
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=4), encoding="utf-8")
