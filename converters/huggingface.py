"""Hugging Face BERT folders, in and out: config.json and safetensors (never a pickle)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from converters.checkpoint import (
    GELU_EXACT,
    GELU_TANH,
    RELU,
    BertConfig,
    Checkpoint,
    check_weights,
)
from converters.errors import ConversionError
from converters.weight_names import rows

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_ACTIVATIONS = {
    "gelu": GELU_EXACT,
    "gelu_new": GELU_TANH,
    "gelu_pytorch_tanh": GELU_TANH,
    "gelu_fast": GELU_TANH,
    "relu": RELU,
}
_ACTIVATIONS_OUT = {GELU_EXACT: "gelu", GELU_TANH: "gelu_new", RELU: "relu"}

_CONFIG_KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "intermediate_size": "intermediate_size",
    "max_position_embeddings": "max_positions",
}
CLASSIFIER = "BertForSequenceClassification"
ENCODER = "BertModel"
_HEADS_NOT_READ = (
    "BertForTokenClassification",
    "BertForQuestionAnswering",
    "BertForMultipleChoice",
)
_ENCODERS = (ENCODER, "BertForMaskedLM", "BertForPreTraining", "BertForNextSentencePrediction")


def read_folder(folder: Path | str) -> Checkpoint:
    """Reads a BERT sequence classifier or a bare BERT encoder.

    Weights in F32, F16 or BF16, in one safetensors file or in shards.

    Raises:
        ConversionError: the folder has no config.json or no safetensors, the config is no BERT,
            the file is cut short, arrays are missing or have another shape.
    """
    folder = Path(folder)
    raw = read_config(folder)
    config = _bert_config(raw, folder)
    arrays = {_neutral_key(name): array for name, array in _read_arrays(folder).items()}
    table = {row.huggingface: row.neutral for row in rows(config.num_layers)}
    weights = {table[name]: array for name, array in arrays.items() if name in table}
    labels = _labels(raw, weights, folder)
    checkpoint = Checkpoint(config, weights, labels, str(folder))
    check_weights(checkpoint)
    return checkpoint


def read_config(folder: Path) -> dict[str, Any]:
    """The content of config.json.

    Raises:
        ConversionError: no folder, no config.json, or no JSON object in it.
    """
    if not folder.is_dir():
        raise ConversionError(
            f"{folder} is no folder. Expected a Hugging Face model folder with config.json, "
            "model.safetensors and vocab.txt. Next: give the folder, no file in it and no hub name."
        )
    path = folder / "config.json"
    if not path.is_file():
        found = ", ".join(sorted(p.name for p in folder.iterdir())[:12]) or "nothing"
        raise ConversionError(f"{folder} has no config.json. Received a folder with: {found}.")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConversionError(f"{path} is no JSON: {error}.") from error
    if not isinstance(raw, dict):
        raise ConversionError(f"{path} must hold a JSON object. Received: {type(raw).__name__}.")
    return raw


def _bert_config(raw: Mapping[str, Any], folder: Path) -> BertConfig:
    problems = []
    if raw.get("model_type") != "bert":
        problems.append(f"model_type must be 'bert'. Received: {raw.get('model_type')!r}")
    architectures = raw.get("architectures") or [ENCODER]
    unread = [name for name in architectures if name in _HEADS_NOT_READ]
    unknown = [
        name for name in architectures if name not in (CLASSIFIER, *_ENCODERS, *_HEADS_NOT_READ)
    ]
    if unread or unknown:
        problems.append(
            f"the architecture must be {CLASSIFIER} or a bare encoder ({', '.join(_ENCODERS)}). "
            f"Received: {', '.join(unread + unknown)}"
        )
    if raw.get("position_embedding_type", "absolute") != "absolute":
        problems.append(
            "position_embedding_type must be 'absolute'. "
            f"Received: {raw['position_embedding_type']!r}"
        )
    if raw.get("is_decoder") or raw.get("add_cross_attention"):
        problems.append("it must be an encoder. Received: a decoder")
    activation = raw.get("hidden_act", "gelu")
    if activation not in _ACTIVATIONS:
        problems.append(
            f"hidden_act must be one of {', '.join(_ACTIVATIONS)}. Received: {activation!r}"
        )
    values: dict[str, int] = {}
    for key, name in _CONFIG_KEYS.items():
        value = raw.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            problems.append(f"{key} must be a whole number. Received: {value!r}")
        else:
            values[name] = value
    if problems:
        raise ConversionError(
            f"{folder / 'config.json'} is no BERT that we can read: {'; '.join(problems)}."
        )
    return BertConfig(
        **values,
        num_segments=raw.get("type_vocab_size", 2),
        activation=_ACTIVATIONS[activation],
        layer_norm_epsilon=float(raw.get("layer_norm_eps", 1e-12)),
        dropout=float(raw.get("hidden_dropout_prob", 0.1)),
    )


def _neutral_key(name: str) -> str:
    """Takes off the `bert.` prefix of task models and the names of LayerNorm in old files."""
    name = name.removeprefix("bert.")
    if name.endswith("LayerNorm.gamma"):
        return name.removesuffix("gamma") + "weight"
    if name.endswith("LayerNorm.beta"):
        return name.removesuffix("beta") + "bias"
    return name


def _labels(
    raw: Mapping[str, Any], weights: dict[str, np.ndarray], folder: Path
) -> tuple[str, ...]:
    if "classifier.kernel" not in weights:
        if CLASSIFIER in (raw.get("architectures") or []):
            raise ConversionError(
                f"{folder}: config.json says {CLASSIFIER}, but the weights have no "
                "'classifier.weight'. Next: save the fine-tuned model again, head included."
            )
        return ()
    count = int(weights["classifier.kernel"].shape[0])
    if raw.get("problem_type") in ("regression", "multi_label_classification") or count == 1:
        raise ConversionError(
            f"{folder}: expected a classifier with one label a text. Received: problem_type "
            f"{raw.get('problem_type')!r} with {count} outputs, which has another decoding."
        )
    names = raw.get("id2label") or {str(i): f"LABEL_{i}" for i in range(count)}
    try:
        labels = tuple(str(names[str(i)]) for i in range(count))
    except KeyError as error:
        raise ConversionError(
            f"{folder / 'config.json'}: id2label must name the outputs 0 to {count - 1}. "
            f"Received: {', '.join(sorted(map(str, names))[:8])}."
        ) from error
    if len(names) != count or len(set(labels)) != count:
        raise ConversionError(
            f"{folder / 'config.json'}: id2label has {len(names)} entries, {len(set(labels))} of "
            f"them different; the classifier has {count} outputs."
        )
    return labels


def _read_arrays(folder: Path) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for path in _weight_files(folder):
        arrays.update(read_safetensors(path))
    return arrays


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    index = folder / INDEX_FILE
    if index.is_file():
        try:
            names = sorted(
                set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConversionError(f"{index} has no 'weight_map' from array to file.") from error
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise ConversionError(
                f"{folder}: {INDEX_FILE} names files that are not here: {', '.join(missing)}."
            )
        return [folder / name for name in names]
    if (folder / "pytorch_model.bin").is_file():
        raise ConversionError(
            f"{folder} has only pytorch_model.bin, a pickle, which can run code when it is read; "
            f"expected {WEIGHTS_FILE}. Next: open it once where you trust it, with "
            "AutoModel.from_pretrained(folder).save_pretrained(folder, safe_serialization=True)."
        )
    raise ConversionError(f"{folder} has no {WEIGHTS_FILE} and no {INDEX_FILE}.")


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads the float arrays of a safetensors file as float32; integer arrays are left out.

    Raises:
        ConversionError: the file is cut short or no safetensors, or has floats of another kind.
    """
    try:
        entries = deserialize(path.read_bytes())
    except SafetensorError as error:
        raise ConversionError(
            f"{path} can't be read as safetensors ({error}); it holds {path.stat().st_size} bytes. "
            "Next: it is likely cut short; copy or download it again."
        ) from error
    arrays = {}
    for name, entry in entries:
        kind = entry["dtype"]
        if kind in _INTEGERS:
            continue
        if kind not in _FLOATS:
            raise ConversionError(
                f"{path}: {name} has dtype {kind}; expected F32, F16 or BF16. "
                "Next: save the model again in one of these."
            )
        arrays[name] = _FLOATS[kind](entry["data"]).reshape(entry["shape"])
    return arrays


def _bfloat16(data: bytes) -> np.ndarray:
    """A bfloat16 is the upper half of a float32."""
    return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)


_FLOATS = {
    "F32": lambda data: np.frombuffer(data, "<f4"),
    "F16": lambda data: np.frombuffer(data, "<f2").astype(np.float32),
    "BF16": _bfloat16,
}
_INTEGERS = ("BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64")


def config_json(checkpoint: Checkpoint) -> dict[str, Any]:
    """The config.json of a checkpoint, as `transformers` reads it."""
    config = checkpoint.config
    content: dict[str, Any] = {
        "architectures": [CLASSIFIER if checkpoint.is_classifier else ENCODER],
        "model_type": "bert",
        **{key: getattr(config, name) for key, name in _CONFIG_KEYS.items()},
        "type_vocab_size": config.num_segments,
        "hidden_act": _ACTIVATIONS_OUT[config.activation],
        "layer_norm_eps": config.layer_norm_epsilon,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.dropout,
        "position_embedding_type": "absolute",
        "pad_token_id": 0,
    }
    if checkpoint.labels:
        content["id2label"] = {str(i): label for i, label in enumerate(checkpoint.labels)}
        content["label2id"] = {label: i for i, label in enumerate(checkpoint.labels)}
        content["problem_type"] = "single_label_classification"
    return content


def safetensors_bytes(checkpoint: Checkpoint) -> bytes:
    """The model.safetensors of a checkpoint, float32, with Hugging Face's names."""
    prefix = "bert." if checkpoint.is_classifier else ""
    arrays = {}
    for row in rows(checkpoint.config.num_layers):
        if row.neutral in checkpoint.weights:
            head = row.neutral.startswith("classifier.")
            name = row.huggingface if head else prefix + row.huggingface
            arrays[name] = np.ascontiguousarray(checkpoint.weights[row.neutral], np.float32)
    return save(arrays, metadata={"format": "pt"})


def write_folder(checkpoint: Checkpoint, folder: Path) -> None:
    """Writes config.json and model.safetensors into a folder that is there."""
    (folder / "config.json").write_text(json.dumps(config_json(checkpoint), indent=2) + "\n")
    (folder / WEIGHTS_FILE).write_bytes(safetensors_bytes(checkpoint))
