"""sentence-transformers folders, in: modules.json and the configurations of the modules it names.

The encoder is a Hugging Face folder; what stands behind it (pooling, dense layers, normalization)
is a `SentenceHead`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.huggingface import WEIGHTS_FILE, read_safetensors

MODULES_FILE = "modules.json"
_TRANSFORMER = "Transformer"
_SETTINGS_FILE = "sentence_bert_config.json"
_MODE = "pooling_mode"
POOLINGS = {
    "cls_token": "cls",
    "mean_tokens": "mean",
    "max_tokens": "max",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean_tokens": "weighted_mean",
    "lasttoken": "last",
}
_POOLINGS_BY_NAME = {
    "cls": "cls",
    "mean": "mean",
    "max": "max",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
    "lasttoken": "last",
}
DENSE_ACTIVATIONS = {"Tanh": "tanh", "Identity": "identity", "ReLU": "relu", "GELU": "gelu"}


@dataclass(frozen=True)
class SentenceDense:
    """A dense layer behind the pooling: kernel `[outputs, inputs]`, bias `[outputs]` or none."""

    kernel: np.ndarray = field(repr=False)
    bias: np.ndarray | None = field(repr=False)
    activation: str


@dataclass(frozen=True)
class SentenceHead:
    """What makes one vector of the encoder's hidden states.

    Attributes:
        pooling: one or more of the values of `POOLINGS`, side by side.
        dense: layers, in their order.
        normalize: whether the vector gets length 1.
        max_length: the most tokens of a text that are read; None where it is not said.
    """

    pooling: tuple[str, ...] = ()
    dense: tuple[SentenceDense, ...] = ()
    normalize: bool = False
    max_length: int | None = None

    def facts(self) -> dict[str, Any]:
        """What can be said in JSON: all but the dense layers' numbers."""
        dense = [
            {"inputs": x.kernel.shape[1], "outputs": x.kernel.shape[0], "activation": x.activation}
            for x in self.dense
        ]
        return {"pooling": list(self.pooling), "dense": dense, "normalize": self.normalize}


def read_modules(folder: Path | str) -> tuple[Path, SentenceHead]:
    """The folder of the encoder, and the head.

    Raises:
        ConversionError: modules.json is damaged, has a module that is not known (all are named), or
            a module's own files are not as expected.
    """
    folder = Path(folder)
    path = folder / MODULES_FILE
    modules = _read_json(path, list)
    kinds = [_kind(module, path) for module in modules]
    unknown = [str(module["type"]) for module, kind in zip(modules, kinds, strict=True) if not kind]
    if unknown:
        raise ConversionError(
            f"{path} has modules that are not known: {', '.join(unknown)}. Expected "
            f"{_TRANSFORMER}, {', '.join(_READERS)} of sentence_transformers. Next: use the "
            "folder of its Transformer alone, if the encoder is what you want."
        )
    if not kinds or kinds[0] != _TRANSFORMER or _TRANSFORMER in kinds[1:]:
        raise ConversionError(
            f"{path}: expected one {_TRANSFORMER}, in the first place. Received: "
            f"{', '.join(kinds) or 'nothing'}."
        )
    encoder = folder / modules[0].get("path", "")
    head = SentenceHead(max_length=_max_length(encoder))
    for module, kind in zip(modules[1:], kinds[1:], strict=True):
        head = _READERS[kind](folder / module.get("path", ""), head)
    return encoder, head


def _kind(module: Any, path: Path) -> str:
    """A module's class without its package; empty where it is none that is known."""
    if not isinstance(module, dict) or not isinstance(module.get("type"), str):
        raise ConversionError(f"{path}: expected modules with a 'type'. Received: {module!r}.")
    package, _, kind = module["type"].rpartition(".")
    known = package.split(".")[0] == "sentence_transformers" and kind in (_TRANSFORMER, *_READERS)
    return kind if known else ""


def _max_length(encoder: Path) -> int | None:
    path = encoder / _SETTINGS_FILE
    if not path.is_file():
        return None
    length = _read_json(path, dict).get("max_seq_length")
    return length if isinstance(length, int) and length > 0 else None


def _pooling(folder: Path, head: SentenceHead) -> SentenceHead:
    path = folder / "config.json"
    raw = _read_json(path, dict)
    named = raw.get(_MODE)
    if named is None:
        prefix = f"{_MODE}_"
        asked = [key.removeprefix(prefix) for key in raw if key.startswith(prefix) and raw[key]]
        table = POOLINGS
    else:
        asked, table = ([named] if isinstance(named, str) else list(named)), _POOLINGS_BY_NAME
    unknown = [mode for mode in asked if mode not in table]
    if unknown or not asked:
        raise ConversionError(
            f"{path}: expected poolings out of {', '.join(table)}. "
            f"Received: {', '.join(map(str, unknown)) or 'none'}."
        )
    return replace(head, pooling=tuple(table[mode] for mode in asked))


def _dense(folder: Path, head: SentenceHead) -> SentenceHead:
    path = folder / "config.json"
    raw = _read_json(path, dict)
    activation = str(raw.get("activation_function", "Tanh")).rpartition(".")[2]
    if activation not in DENSE_ACTIVATIONS:
        raise ConversionError(
            f"{path}: activation_function must be one of {', '.join(DENSE_ACTIVATIONS)}. "
            f"Received: {raw['activation_function']!r}."
        )
    if not (folder / WEIGHTS_FILE).is_file():
        raise ConversionError(f"{folder} has no {WEIGHTS_FILE}, which its dense layer stands in.")
    arrays = read_safetensors(folder / WEIGHTS_FILE)
    kernel, bias = arrays.get("linear.weight"), arrays.get("linear.bias")
    shape = (raw.get("out_features"), raw.get("in_features"))
    if kernel is None or kernel.shape != shape or (bias is None) is bool(raw.get("bias", True)):
        found = {name: list(array.shape) for name, array in arrays.items()}
        raise ConversionError(f"{folder}: expected linear.weight {list(shape)}. Received: {found}.")
    layer = SentenceDense(kernel, bias, DENSE_ACTIVATIONS[activation])
    return replace(head, dense=(*head.dense, layer))


def _normalize(folder: Path, head: SentenceHead) -> SentenceHead:
    return replace(head, normalize=True)


_READERS: dict[str, Callable[[Path, SentenceHead], SentenceHead]] = {
    "Pooling": _pooling,
    "Dense": _dense,
    "Normalize": _normalize,
}


def _read_json(path: Path, kind: type) -> Any:
    if not path.is_file():
        raise ConversionError(f"{path} is not there, but {MODULES_FILE} needs it.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConversionError(f"{path} is no JSON: {error}.") from error
    if not isinstance(content, kind):
        raise ConversionError(
            f"{path}: expected a JSON {kind.__name__}. Received: {type(content).__name__}."
        )
    return content
