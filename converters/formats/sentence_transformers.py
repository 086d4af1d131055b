"""Reads and writes sentence-transformers folders: modules.json and the files of its modules.

The encoder is a Hugging Face folder. Pooling, dense layers and normalization become a
`SentenceHead` and the arrays `sentence.dense.N.kernel` and `.bias`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from converters.checkpoint import Checkpoint, check_finite
from converters.contained_paths import path_inside
from converters.errors import ConversionError
from converters.formats.huggingface import WEIGHTS_FILE, read_safetensors
from converters.formats.weight_names import MAX_SENTENCE_DENSE
from converters.heads import IDENTITY, SentenceHead
from converters.json_fields import Fields
from converters.json_files import JsonFormat, short_repr

MODULES_FILE = "modules.json"
_PACKAGE, _TRANSFORMER = "sentence_transformers", "Transformer"
_MODULE = JsonFormat("a file of a sentence-transformers folder", "save or download it again")
_SETTINGS_FILE = "sentence_bert_config.json"
_PROMPTS_FILE = "config_sentence_transformers.json"
SETTINGS_FILES = (_SETTINGS_FILE, _PROMPTS_FILE)
"""Files beside the encoder; the second one also marks a CrossEncoder."""
_NO_LIMIT = 10**9
_MODE, _FEATURE = "pooling_mode", "sentence_embedding"
# By the names of flags, in the order in which their results are concatenated.
_POOLINGS_BY_FLAG = {
    "cls_token": "cls",
    "max_tokens": "max",
    "mean_tokens": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean_tokens": "weighted_mean",
    "lasttoken": "last",
}
# By the names in newer releases, whose list gives the order of concatenation.
_POOLINGS_BY_NAME = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
    "lasttoken": "last",
}
_ACTIVATIONS = {
    "tanh": "torch.nn.modules.activation.Tanh",
    IDENTITY: "torch.nn.modules.linear.Identity",
    "relu": "torch.nn.modules.activation.ReLU",
    "gelu": "torch.nn.modules.activation.GELU",
}
_ACTIVATIONS_BY_CLASS = {path.rpartition(".")[2]: name for name, path in _ACTIVATIONS.items()}


@dataclass(frozen=True)
class SentenceModules:
    """The modules of a folder.

    Attributes:
        encoder: folder of the Transformer.
        head: the modules after the Transformer; None if there are none.
        weights: arrays of the dense layers by neutral name.
        max_length: maximum text length in tokens; None if it is not stated.
        lowercase: whether text is lowercased before tokenization.
        prompts: `prompts`, texts by name, and `prompt`, the one before every text; may be empty.
        notes: one sentence for each setting of the folder that is ignored.
    """

    encoder: Path
    head: SentenceHead | None = None
    weights: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    max_length: int | None = None
    lowercase: bool = False
    prompts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """The properties of the head as JSON types; empty if there is no head."""
        if self.head is None:
            return {}
        kernels = [array for name, array in self.weights.items() if name.endswith(".kernel")]
        dense = [
            {"inputs": kernel.shape[1], "outputs": kernel.shape[0], "activation": activation}
            for kernel, activation in zip(kernels, self.head.activations, strict=True)
        ]
        return {
            "pooling": list(self.head.pooling),
            "dense": dense,
            "normalize": self.head.normalize or self.head.normalize_before_cut,
            **({"dimensions": self.head.dimensions} if self.head.dimensions else {}),
        }

    def attach(self, checkpoint: Checkpoint) -> Checkpoint:
        """Adds the head to the checkpoint of the encoder.

        Raises:
            ConversionError: The input size of a dense layer does not fit the layer before it.
        """
        checkpoint = replace(checkpoint, notes=(*checkpoint.notes, *self.notes))
        if self.head is None:
            return checkpoint
        check_finite(self.weights, str(self.encoder))
        size = checkpoint.config.hidden_size * len(self.head.pooling)
        for i in range(len(self.head.activations)):
            outputs, inputs = self.weights[f"sentence.dense.{i}.kernel"].shape
            if inputs != size:
                raise ConversionError(
                    f"{self.encoder}: dense layer {i} after the pooling expects {inputs} inputs. "
                    f"Received: {size}, from {', '.join(self.head.pooling)} pooling and the "
                    "previous layers. Next: check that the modules belong to one model."
                )
            size = outputs
        weights, head = {**checkpoint.weights, **self.weights}, self.head
        if head.dimensions >= size:
            normalize = head.normalize or head.normalize_before_cut
            head = SentenceHead(head.pooling, head.activations, normalize)
        return replace(checkpoint, weights=weights, sentence=head)


def read_modules(folder: Path | str) -> SentenceModules:
    """Reads modules.json and the files of all modules except the encoder.

    Raises:
        ConversionError: modules.json is damaged, has unknown modules (all are listed) or an unknown
            order, or the files of a module are wrong.
    """
    folder = Path(folder)
    path = folder / MODULES_FILE
    modules = _read_json(path, list)
    kinds = [_kind(module, path) for module in modules]
    unknown = [str(module["type"]) for module, kind in zip(modules, kinds, strict=True) if not kind]
    if unknown:
        raise ConversionError(
            f"{path}: expected the modules {_TRANSFORMER}, {', '.join(_READERS)} of {_PACKAGE}. "
            f"Received: {', '.join(unknown)}. Next: if you only need the encoder, use the folder "
            "of the Transformer."
        )
    if not kinds or kinds[0] != _TRANSFORMER or _TRANSFORMER in kinds[1:]:
        raise ConversionError(
            f"{path}: expected exactly one {_TRANSFORMER}, as the first module. Received: "
            f"{', '.join(kinds) or 'nothing'}."
        )
    _check_order(kinds[1:], path)
    encoder = path_inside(folder, modules[0].get("path", ""))
    settings = _optional_json(encoder / _SETTINGS_FILE)
    # Newer releases store it with the tokenizer; a very large number there means no limit.
    length = settings.get("max_seq_length") or _optional_json(
        encoder / "tokenizer_config.json"
    ).get("model_max_length")
    read = SentenceModules(
        encoder,
        SentenceHead((), (), False) if len(kinds) > 1 else None,
        max_length=length if isinstance(length, int) and 0 < length < _NO_LIMIT else None,
        lowercase=settings.get("do_lower_case") is True,
        prompts=_prompts(folder),
    )
    for module, kind in zip(modules[1:], kinds[1:], strict=True):
        read = _READERS[kind](path_inside(folder, module.get("path", "")), read)
    return _with_cut(read, _truncate_dim(folder))


def _kind(module: Any, path: Path) -> str:
    """The class of a module without its package; empty if it is unknown."""
    texts = (module.get("type"), module.get("path", "")) if isinstance(module, dict) else (None,)
    if not all(isinstance(text, str) for text in texts):
        raise ConversionError(
            f"{path}: expected modules with a 'type' and a 'path'. Received: {short_repr(module)}."
        )
    package, _, kind = module["type"].rpartition(".")
    known = package.split(".")[0] == _PACKAGE and kind in (_TRANSFORMER, *_READERS)
    return kind if known else ""


def _check_order(kinds: list[str], path: Path) -> None:
    dense = kinds.count("Dense")
    ends = kinds[1 + dense :]
    in_order = kinds[: 1 + dense] == ["Pooling", *["Dense"] * dense] and ends in ([], ["Normalize"])
    if kinds and (not in_order or dense > MAX_SENTENCE_DENSE):
        raise ConversionError(
            f"{path}: expected after the {_TRANSFORMER} one Pooling, at most {MAX_SENTENCE_DENSE} "
            "Dense and at most one Normalize, in this order. "
            f"Received: {', '.join(kinds)}."
        )


def _truncate_dim(folder: Path) -> int:
    """The number of values of a vector that are kept; 0 for all."""
    path = folder / _PROMPTS_FILE
    value = _optional_json(path).get("truncate_dim")
    if value is None:
        return 0
    if type(value) is not int or value < 1:
        raise ConversionError(
            f"{path}: expected a truncate_dim of at least 1, or null. Received: {value!r}."
        )
    return value


def _with_cut(read: SentenceModules, dimensions: int) -> SentenceModules:
    """sentence-transformers cuts the vector after all modules, also after Normalize."""
    if read.head is None or not dimensions:
        return read
    return _with_head(
        read, dimensions=dimensions, normalize=False, normalize_before_cut=read.head.normalize
    )


def _prompts(folder: Path) -> dict[str, Any]:
    path = folder / _PROMPTS_FILE
    name, prompts = map(_optional_json(path).get, ("default_prompt_name", "prompts"))
    prompts = prompts or {}
    is_table = isinstance(prompts, dict) and all(isinstance(v, str) for v in prompts.values())
    if not is_table or not (name is None or (isinstance(name, str) and name in prompts)):
        raise ConversionError(
            f"{path}: expected prompts that are texts, and the name of one or null as "
            f"default_prompt_name. Received: {short_repr(prompts)} and {name!r}."
        )
    default = {} if name is None else {"prompt": prompts[name]}
    return {"prompts": prompts, **default} if any(prompts.values()) else {}


def _optional_json(path: Path) -> dict[str, Any]:
    return dict(_read_json(path, dict)) if path.is_file() else {}


def _pooling(folder: Path, read: SentenceModules) -> SentenceModules:
    path = folder / "config.json"
    raw = _read_json(path, dict)
    if read.prompts and raw.get("include_prompt") is False:
        note = f"{path} leaves prompts out of the pooling: edgebert adds no prompt to texts."
        read = replace(read, prompts={}, notes=(*read.notes, note))
    named = raw.get(_MODE)
    if named is None:
        prefix = f"{_MODE}_"
        flags = [key.removeprefix(prefix) for key in raw if key.startswith(prefix) and raw[key]]
        known = list(_POOLINGS_BY_FLAG)
        names = sorted(flags, key=lambda flag: known.index(flag) if flag in known else len(known))
        table = _POOLINGS_BY_FLAG
    else:
        listed = {_MODE: [named] if isinstance(named, str) else named}
        names = list(Fields(listed).texts(_MODE, ()))
        table = _POOLINGS_BY_NAME
    unknown = [mode for mode in names if mode not in table]
    if unknown or not names:
        raise ConversionError(
            f"{path}: expected poolings among {', '.join(table)}. "
            f"Received: {', '.join(map(str, unknown)) or 'none'}."
        )
    return _with_head(read, pooling=tuple(table[mode] for mode in names))


def _dense(folder: Path, read: SentenceModules) -> SentenceModules:
    path = folder / "config.json"
    raw = _read_json(path, dict)
    activation = str(raw.get("activation_function", "Tanh")).rpartition(".")[2]
    if activation not in _ACTIVATIONS_BY_CLASS:
        raise ConversionError(
            f"{path}: activation_function must be one of {', '.join(_ACTIVATIONS_BY_CLASS)}. "
            f"Received: {raw['activation_function']!r}."
        )
    _refuse_other_features(raw, path)
    if not (folder / WEIGHTS_FILE).is_file():
        raise ConversionError(
            f"{folder} has no {WEIGHTS_FILE} with the weights of its dense layer."
        )
    arrays = read_safetensors(folder / WEIGHTS_FILE)
    kernel, bias = arrays.get("linear.weight"), arrays.get("linear.bias")
    shape = (raw.get("out_features"), raw.get("in_features"))
    if kernel is None or kernel.shape != shape or (bias is None) is bool(raw.get("bias", True)):
        found = {name: list(array.shape) for name, array in arrays.items()}
        raise ConversionError(f"{folder}: expected linear.weight {list(shape)}. Received: {found}.")
    assert read.head is not None
    name = f"sentence.dense.{len(read.head.activations)}"
    if bias is None:
        bias = np.zeros(len(kernel), np.float32)
    weights = {**read.weights, f"{name}.kernel": kernel, f"{name}.bias": bias}
    activations = (*read.head.activations, _ACTIVATIONS_BY_CLASS[activation])
    return replace(_with_head(read, activations=activations), weights=weights)


def _normalize(folder: Path, read: SentenceModules) -> SentenceModules:
    path = folder / "config.json"
    if path.is_file():
        _refuse_other_features(_read_json(path, dict), path)
    return _with_head(read, normalize=True)


def _refuse_other_features(raw: dict[str, Any], path: Path) -> None:
    """Rejects modules of newer releases that read or write another feature, or add a residual."""
    other = [
        f"{key} {raw[key]!r}"
        for key, known in (
            ("module_input_name", (None, _FEATURE)),
            ("module_output_name", (None, _FEATURE)),
            ("use_residual", (None, False)),
        )
        if raw.get(key) not in known
    ]
    if other:
        raise ConversionError(
            f"{path}: expected a module with {_FEATURE!r} as input and output, without a residual. "
            f"Received: {', '.join(other)}."
        )


def _with_head(read: SentenceModules, **changes: Any) -> SentenceModules:
    assert read.head is not None
    return replace(read, head=replace(read.head, **changes))


_READERS: dict[str, Callable[[Path, SentenceModules], SentenceModules]] = {
    "Pooling": _pooling,
    "Dense": _dense,
    "Normalize": _normalize,
}


def write_modules(
    checkpoint: Checkpoint, folder: Path, max_length: int, prompts: Mapping[str, Any]
) -> None:
    """Adds the files of sentence-transformers, for all of its releases, to a Hugging Face folder.

    Args:
        checkpoint: a checkpoint with a sentence head.
        folder: the folder with the encoder.
        max_length: maximum text length in tokens.
        prompts: as in `SentenceModules`; other keys are ignored.
    """
    head = checkpoint.sentence
    assert head is not None
    modules = [_TRANSFORMER, "Pooling", *["Dense"] * len(head.activations)]
    modules += ["Normalize"] if head.normalize or head.normalize_before_cut else []
    settings: dict[str, Any] = {"truncate_dim": head.dimensions} if head.dimensions else {}
    if prompts.get("prompts"):
        names = {text: name for name, text in prompts["prompts"].items()}
        default = names.get(prompts.get("prompt"))
        settings |= {"prompts": prompts["prompts"], "default_prompt_name": default}
    if settings:
        _write_json(folder / _PROMPTS_FILE, settings)
    content = [
        {
            "idx": i,
            "name": str(i),
            "path": f"{i}_{kind}" if i else "",
            "type": f"{_PACKAGE}.models.{kind}",
        }
        for i, kind in enumerate(modules)
    ]
    _write_json(folder / MODULES_FILE, content)
    _write_json(folder / _SETTINGS_FILE, {"max_seq_length": max_length, "do_lower_case": False})
    size = checkpoint.config.hidden_size
    _write_json(folder / "1_Pooling" / "config.json", _pooling_config(head.pooling, size))
    for i, activation in enumerate(head.activations):
        name = f"sentence.dense.{i}"
        kernel, bias = (checkpoint.weights[f"{name}.{part}"] for part in ("kernel", "bias"))
        config = {
            "in_features": kernel.shape[1],
            "out_features": kernel.shape[0],
            "bias": True,
            "activation_function": _ACTIVATIONS[activation],
        }
        _write_json(folder / f"{i + 2}_Dense" / "config.json", config)
        arrays = {
            "linear.weight": np.ascontiguousarray(kernel, np.float32),
            "linear.bias": np.ascontiguousarray(bias, np.float32),
        }
        save_file(arrays, folder / f"{i + 2}_Dense" / WEIGHTS_FILE)


def _pooling_config(pooling: tuple[str, ...], size: int) -> dict[str, Any]:
    """Flags, which every release reads; a list if the order differs from that of the flags."""
    if pooling == tuple(name for name in _POOLINGS_BY_FLAG.values() if name in pooling):
        flags = {f"{_MODE}_{flag}": name in pooling for flag, name in _POOLINGS_BY_FLAG.items()}
        return {"word_embedding_dimension": size, **flags}
    names = {name: mode for mode, name in _POOLINGS_BY_NAME.items()}
    return {"word_embedding_dimension": size, _MODE: [names[name] for name in pooling]}


def _read_json(path: Path, kind: type) -> Any:
    if not path.is_file():
        raise ConversionError(f"{path} is missing, but {MODULES_FILE} refers to it.")
    content = _MODULE.read_value(path)
    if not isinstance(content, kind):
        raise ConversionError(
            f"{path}: expected a JSON {kind.__name__}. Received: {type(content).__name__}."
        )
    return content


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
