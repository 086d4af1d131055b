"""Google's TF1 folders (google-research/bert), in: bert_config.json, bert_model.ckpt.*, vocab.txt.

Read are the encoder and the head of run_classifier.py. Optimizer slots and the heads of
pre-training are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from converters import heads
from converters.checkpoint import GELU_TANH, RELU, BertConfig, Checkpoint, check_weights
from converters.errors import ConversionError
from converters.huggingface_families import BERT, read_sizes
from converters.label_file import read_labels
from converters.weight_names import CLASSIFIER, LAYER, POOLER, Row, rows, turn_tf1

CONFIG_FILE = "bert_config.json"

# Google's own modeling.py computes "gelu" by its tanh approximation.
_ACTIVATIONS = {"gelu": GELU_TANH, "relu": RELU}
_QUESTION_ANSWERING = "cls/squad/"
_KERNEL, _BIAS = CLASSIFIER


def checkpoint_prefixes(folder: Path) -> list[str]:
    """The TF1 checkpoints of a folder: the names of their files less `.index`."""
    return sorted(path.name.removesuffix(".index") for path in folder.glob("*.index"))


def read_folder(folder: Path | str, as_base: bool = False) -> Checkpoint:
    """Reads an encoder, or a classifier that run_classifier.py fine-tuned.

    A classifier's labels are the lines of labels.txt; without it LABEL_0 and so on.

    Args:
        folder: with bert_config.json and one checkpoint.
        as_base: a head that is not read is left out, which a note says, instead of refused.

    Raises:
        ConversionError: a file is missing, damaged, or no BERT's; all missing tensors are listed.
    """
    folder = Path(folder)
    config = _read_config(folder / CONFIG_FILE)
    reader = _open(folder)
    shapes: dict[str, list[int]] = reader.get_variable_to_shape_map()
    left_out = _head_left_out(shapes, folder, as_base)
    is_classifier = _KERNEL.tf1 in shapes and not left_out
    wanted = _wanted_rows(shapes, config, is_classifier, folder)
    weights = {row.neutral: turn_tf1(_read_tensor(reader, row, folder), row) for row in wanted}
    labels = read_labels(folder, shapes[_KERNEL.tf1][0]) if is_classifier else ()
    notes = (f"{folder} is {left_out}: its head is left out.",) if left_out else ()
    checkpoint = Checkpoint(config, weights, labels, str(folder), notes)
    check_weights(checkpoint)
    return checkpoint


def _read_config(path: Path) -> BertConfig:
    if not path.is_file():
        raise ConversionError(
            f"{path.parent} has a TF1 checkpoint but no {CONFIG_FILE}. Next: copy it from the "
            "release that the model was trained from."
        )
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConversionError(f"{path} is no JSON: {error}.") from error
    if not isinstance(raw, dict):
        raise ConversionError(f"{path} must hold a JSON object. Received: {type(raw).__name__}.")
    values, problems = read_sizes(raw, BERT.sizes)
    activation = str(raw.get("hidden_act", "gelu")).lower()
    if activation not in _ACTIVATIONS:
        problems.append(
            f"hidden_act must be one of {', '.join(_ACTIVATIONS)}. "
            f"Received: {raw.get('hidden_act')!r}"
        )
    if problems:
        raise ConversionError(f"{path} is no BERT that we can read: {'; '.join(problems)}.")
    return BertConfig(
        **values,
        num_segments=raw.get("type_vocab_size", 16),
        activation=_ACTIVATIONS[activation],
        dropout=float(raw.get("hidden_dropout_prob", 0.1)),
    )


def _open(folder: Path) -> Any:
    """TensorFlow's reader of the folder's one checkpoint."""
    found = checkpoint_prefixes(folder)
    if len(found) != 1:
        raise ConversionError(
            f"{folder}: expected the files of one TF1 checkpoint (NAME.index and "
            f"NAME.data-00000-of-00001). Received: {', '.join(found) or 'none'}. Next: leave the "
            "files of one in the folder, with bert_config.json and vocab.txt beside them."
        )
    prefix = folder / found[0]
    if not list(folder.glob(f"{found[0]}.data-*")):
        raise ConversionError(f"{prefix}.index is there, but no {found[0]}.data-* beside it.")
    import tensorflow as tf

    try:
        return tf.train.load_checkpoint(str(prefix))
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise _damaged(prefix, error) from error


def _read_tensor(reader: Any, row: Row, folder: Path) -> np.ndarray:
    import tensorflow as tf

    try:
        return np.asarray(reader.get_tensor(row.tf1), np.float32)
    # A short data file raises IndexError: TensorFlow maps its OutOfRange to that.
    except (tf.errors.OpError, IndexError, ValueError, RuntimeError) as error:
        raise _damaged(folder / f"{checkpoint_prefixes(folder)[0]} ({row.tf1})", error) from error


def _damaged(what: Path, error: Exception) -> ConversionError:
    return ConversionError(
        f"{what} can't be read as a TF1 checkpoint ({error}). Next: a file is likely cut short; "
        "copy or download it again."
    )


def _wanted_rows(
    shapes: Mapping[str, Any], config: BertConfig, is_classifier: bool, folder: Path
) -> list[Row]:
    """The rows to read. A pooler may be missing where no classifier needs it."""
    optional = {row.neutral for row in (*POOLER, *CLASSIFIER)} if not is_classifier else set()
    table = list(rows(config.num_layers, heads.CLASSIFIER))
    missing = [row.tf1 for row in table if row.tf1 not in shapes and row.neutral not in optional]
    if missing:
        raise ConversionError(
            f"{folder}: {len(missing)} tensors are missing: {', '.join(missing)}. Received: "
            f"{len(shapes)} tensors, such as {', '.join(sorted(shapes)[:3])}. Next: check that "
            f"{CONFIG_FILE} and the checkpoint belong to one model."
        )
    if LAYER[0].of_layer(config.num_layers).tf1 in shapes:
        raise ConversionError(
            f"{folder}: {CONFIG_FILE} says {config.num_layers} layers, the checkpoint has more. "
            "Next: check that they belong to one model."
        )
    head_arrays = set() if is_classifier else {row.neutral for row in CLASSIFIER}
    return [row for row in table if row.tf1 in shapes and row.neutral not in head_arrays]


def _head_left_out(shapes: Mapping[str, Any], folder: Path, as_base: bool) -> str:
    """Names the model whose head is not read; empty where there is no such head."""
    what = ""
    if any(name.startswith(_QUESTION_ANSWERING) for name in shapes):
        what = "a question answerer (run_squad.py)"
    elif _KERNEL.tf1 in shapes and shapes[_KERNEL.tf1][0] < 2:
        what = "a classifier with one output"
    if what and not as_base:
        raise ConversionError(
            f"{folder}: expected an encoder or a classifier with one label a text. Received: "
            f"{what}, whose head is not read; as a base for fine-tuning it would do."
        )
    return what
