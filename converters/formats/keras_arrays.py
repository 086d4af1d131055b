"""Reads the arrays of Keras's HDF5 files (`.weights.h5`) by name, without building a model.

A dataset is read only if it has the expected shape, so that a damaged or hostile file can't ask for
memory. Links to other files, and datasets whose values are in other files, are refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from converters.bert_config import BertConfig
from converters.bfloat16 import widened
from converters.errors import ConversionError
from converters.formats.weight_names import Row, from_keras_hub

_HDF5_ERRORS = (OSError, LookupError, ValueError, TypeError, RuntimeError, ArithmeticError)
"""Errors of h5py for a file that is truncated or damaged."""
_LAYERS = {
    "token_embedding": "reversible_embedding",
    "position_embedding": "position_embedding",
    "segment_embedding": "embedding",
    "embeddings_layer_norm": "layer_normalization",
    "pooled_dense": "dense",
    "classifier": "dense",
    "masked_lm_dense": "masked_lm_head/_intermediate_dense",
    "masked_lm_norm": "masked_lm_head/_intermediate_layer_norm",
    "masked_lm": "masked_lm_head",
}
"""What Keras names a layer in a file: its class, in place of its name in the model."""
_INNER = {
    "self_attention_layer": "_self_attention_layer",
    "query": "query_dense",
    "key": "key_dense",
    "value": "value_dense",
    "attention_output": "output_dense",
}
_SECOND = ("bias", "beta")
"""Keras numbers the variables of a layer. These follow a kernel or a scale."""


def dataset_path(variable: str) -> str:
    """The path of a variable in a file, such as `layers/dense/vars/0` for `classifier/kernel`.

    Args:
        variable: its path in the model: the column `keras_hub` of `weight_names`.
    """
    first, *inner, name = variable.split("/")
    encoder, is_encoder, number = first.partition("transformer_layer_")
    if is_encoder and not encoder:
        layer = "transformer_encoder" + ("" if number == "0" else f"_{number}")
    else:
        layer = _LAYERS[first]
    below = [_INNER.get(part, f"_{part}") for part in inner]
    is_second = name in _SECOND and first != "masked_lm"
    return "/".join(("layers", layer, *below, "vars", str(int(is_second))))


def encoder_path(layer: int) -> str:
    """The path of an encoder layer."""
    return dataset_path(f"transformer_layer_{layer}/x").rpartition("/vars/")[0]


class ArrayFiles:
    """The HDF5 files that hold the weights of a model. It is a context manager.

    Args:
        paths: the files; an array is in any of them.
        name: the file that messages name.

    Raises:
        ConversionError: A file is missing or damaged.
    """

    def __init__(self, paths: Iterable[Path], name: Path) -> None:
        import h5py

        self._h5py = h5py
        self._name = name
        self._open = contextlib.ExitStack()
        self._files: list[Any] = []
        self._items: dict[tuple[int, str], Any] = {}
        for path in paths:
            if not path.is_file():
                self._open.close()
                raise ConversionError(f"{path.parent} has no {path.name}.")
            try:
                self._files.append(self._open.enter_context(h5py.File(path, "r")))
            except _HDF5_ERRORS as error:
                self._open.close()
                raise not_read(path, _line(error)) from error

    def __enter__(self) -> ArrayFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self._items.clear()
        with contextlib.suppress(*_HDF5_ERRORS):
            self._open.close()

    def has(self, path: str) -> bool:
        """Whether there is something at a path.

        Raises:
            ConversionError: A file is damaged.
        """
        return self._find(path) is not None

    def read(
        self, rows: Iterable[Row], shapes: Mapping[str, tuple[int, ...]], config: BertConfig
    ) -> dict[str, np.ndarray]:
        """Reads arrays.

        Args:
            rows: the names of the arrays.
            shapes: the neutral shape of each, by neutral name.
            config: sizes of the encoder.

        Returns:
            float32 arrays in their neutral form, by neutral name.

        Raises:
            ConversionError: Arrays are missing, have another shape or type, or a file is damaged;
                all missing and wrong arrays are listed.
        """
        arrays, missing, wrong = {}, [], []
        for row in rows:
            dataset = self._find(dataset_path(row.keras_hub))
            if not isinstance(dataset, self._h5py.Dataset):
                missing.append(row.neutral)
                continue
            expected = _shape_in_file(shapes[row.neutral], row.transform, config.head_size)
            try:
                if dataset.shape != expected:
                    wrong.append(f"{row.neutral}: expected {expected}. Received: {dataset.shape}")
                    continue
                arrays[row.neutral] = from_keras_hub(_values(dataset), row.transform)
            except _HDF5_ERRORS as error:
                raise not_read(self._name, f"{row.neutral}: {_line(error)}") from error
        problems = [f"{len(missing)} arrays are missing: {', '.join(missing)}"] if missing else []
        if problems or wrong:
            raise not_read(self._name, "; ".join((*problems, *wrong)))
        return arrays

    def _find(self, path: str) -> Any:
        """The group or dataset at a path of the first file that has it, or None."""
        try:
            found = (self._in_file(number, path) for number in range(len(self._files)))
            return next((item for item in found if item is not None), None)
        except _HDF5_ERRORS as error:
            raise not_read(self._name, f"{path}: {_line(error)}") from error

    def _in_file(self, number: int, path: str) -> Any:
        """The same in one file. Groups are kept, since many arrays are in one."""
        if not path:
            return self._files[number]
        if (number, path) not in self._items:
            above, _, name = path.rpartition("/")
            group = self._in_file(number, above)
            self._items[number, path] = self._child(group, name)
        return self._items[number, path]

    def _child(self, group: Any, name: str) -> Any:
        link = group.get(name, getlink=True) if isinstance(group, self._h5py.Group) else None
        if link is not None and not isinstance(link, self._h5py.HardLink):
            raise ValueError(f"{name} is a link to another place")
        return None if link is None else group[name]


def _values(dataset: Any) -> np.ndarray:
    """The values as float32. A bfloat16 is stored as two bytes without a meaning."""
    if dataset.external or dataset.is_virtual:
        raise ValueError("its values are in another file")
    kind, width = dataset.dtype.kind, dataset.dtype.itemsize
    if kind == "V" and width == 2 and dataset.dtype.names is None:
        halves = np.asarray(dataset[()]).view("<u2").reshape(dataset.shape)
        return widened(halves)
    if kind != "f" or width not in (2, 4, 8):
        raise ValueError(f"expected float values. Received: {dataset.dtype}")
    return np.asarray(dataset[()], np.float32)


def _shape_in_file(shape: tuple[int, ...], transform: str, head_size: int) -> tuple[int, ...]:
    """The shape that keras-hub gives to an array of a neutral shape: see `to_keras_hub`."""
    outputs, inputs = shape[0], shape[-1]
    return {
        "same": shape,
        "transpose": (inputs, outputs),
        "heads_bias": (outputs // head_size, head_size),
        "heads_out": (inputs, outputs // head_size, head_size),
        "heads_in": (inputs // head_size, head_size, outputs),
    }[transform]


def _line(error: BaseException) -> str:
    """The first line of an error's message."""
    return str(error).strip().split("\n", maxsplit=1)[0]


def not_read(path: Path, reason: str) -> ConversionError:
    """The error for a weights file that does not fit its preset."""
    return ConversionError(
        f"{path} can't be read ({reason}). Next: it is truncated, or does not belong to "
        "config.json; copy it again."
    )
