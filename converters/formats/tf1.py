"""Reads Google's TF1 folders (google-research/bert): bert_config.json and bert_model.ckpt.*.

The encoder and the heads of run_classifier.py, run_squad.py and run_pretraining.py are supported.
Optimizer variables are skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from converters import heads
from converters.checkpoint import (
    GELU_TANH,
    RELU,
    BertConfig,
    Checkpoint,
    check_weights,
    without_unread_pooler,
)
from converters.errors import ConversionError
from converters.formats.huggingface_table import BERT
from converters.formats.label_file import read_labels
from converters.formats.tf1_arrays import TensorBundle, data_files
from converters.formats.weight_names import CLASSIFIER, HEADS, LAYER, POOLER, Row, rows, turn_tf1
from converters.json_fields import Fields
from converters.json_files import JsonFormat
from converters.weight_files import require_weight_files

CONFIG_FILE = "bert_config.json"
_CONFIG = JsonFormat("the configuration of a BERT", "copy it from the model's release again")

# Google's modeling.py computes "gelu" by its tanh approximation.
_ACTIVATIONS = {"gelu": GELU_TANH, "relu": RELU}
_PROGRAMS = {
    heads.CLASSIFIER: "run_classifier.py",
    heads.SPANS: "run_squad.py",
    heads.MASKED_LM: "run_pretraining.py",
}
"""The heads of Google's programs. If a checkpoint has several, the first is read, so that a
fine-tuned head has precedence over the pre-training head."""
_LABELS = CLASSIFIER[0].tf1


def checkpoint_prefixes(folder: Path) -> list[str]:
    """The TF1 checkpoints of a folder: their file names without `.index`."""
    return sorted(path.name.removesuffix(".index") for path in folder.glob("*.index"))


def read_folder(folder: Path | str, as_base: bool = False) -> Checkpoint:
    """Reads an encoder with the head of run_classifier.py, run_squad.py or run_pretraining.py.

    The labels of a classifier are the lines of labels.txt, or LABEL_0, LABEL_1 ... without it. A
    classifier with one output is a regression.

    Args:
        folder: folder with bert_config.json and one checkpoint.
        as_base: if True, a head with missing tensors is left out, with a note. If False, it is an
            error.

    Raises:
        ConversionError: A file is missing, damaged, or not of a BERT; all missing tensors are
            listed.
    """
    folder = Path(folder)
    config = _read_config(folder / CONFIG_FILE)
    bundle = _open(folder)
    shapes = bundle.shapes
    head, notes = _head_in(shapes, config, folder, as_base)
    if LAYER[0].of_layer(config.num_layers).tf1 in shapes:
        raise ConversionError(
            f"{folder}: expected {config.num_layers} layers, as in {CONFIG_FILE}. Received: more "
            "layers in the checkpoint. Next: check that both belong to one model."
        )
    wanted = [row for row in rows(config, head) if row.tf1 in shapes]
    weights = {row.neutral: turn_tf1(_read_tensor(bundle, row, folder), row) for row in wanted}
    labels: tuple[str, ...] = ()
    problem = heads.SINGLE_LABEL
    outputs = (shapes.get(_LABELS) or [0])[0]
    if head == heads.CLASSIFIER and outputs == 1:
        problem = heads.REGRESSION
        notes = (*notes, f"{folder}: the classifier has one output, so it is read as a regression.")
    elif head == heads.CLASSIFIER:
        labels = read_labels(folder, outputs)
    weights = without_unread_pooler(weights, head)
    checkpoint = Checkpoint(config, weights, labels, str(folder), notes, problem)
    check_weights(checkpoint)
    return checkpoint


def _read_config(path: Path) -> BertConfig:
    if not path.is_file():
        raise ConversionError(
            f"{path.parent} has a TF1 checkpoint but no {CONFIG_FILE}. Next: copy it from the "
            "release that the model was trained from."
        )
    raw = _CONFIG.read(path)
    fields = Fields(raw | {"hidden_act": str(raw.get("hidden_act", "gelu")).lower()})
    activation = fields.text("hidden_act", choices=_ACTIVATIONS)
    values: dict[str, Any] = {name: fields.whole(key) for name, key in BERT.sizes.items()}
    num_segments = fields.whole("type_vocab_size", 16)
    dropout = fields.number("hidden_dropout_prob", 0.1)
    if fields.problems:
        raise ConversionError(
            f"{path}: expected a supported BERT. Received: {'; '.join(fields.problems)}."
        )
    return BertConfig(
        **values,
        num_segments=num_segments,
        activation=_ACTIVATIONS[activation],
        dropout=dropout,
    )


def _open(folder: Path) -> TensorBundle:
    """The arrays of the single checkpoint of the folder."""
    found = checkpoint_prefixes(folder)
    if len(found) != 1:
        raise ConversionError(
            f"{folder}: expected the files of one TF1 checkpoint (NAME.index and "
            f"NAME.data-00000-of-00001). Received: {', '.join(found) or 'none'}. Next: keep the "
            "files of one checkpoint in the folder, with bert_config.json and vocab.txt."
        )
    prefix = folder / found[0]
    parts = data_files(prefix)
    if not parts:
        raise ConversionError(f"{prefix}.index has no {found[0]}.data-* next to it.")
    require_weight_files([folder / f"{found[0]}.index", *parts])
    try:
        return TensorBundle(prefix)
    except (OSError, ValueError) as error:
        raise _damaged(prefix, error) from error


def _read_tensor(bundle: TensorBundle, row: Row, folder: Path) -> np.ndarray:
    try:
        return bundle.read(row.tf1)
    except (OSError, ValueError) as error:
        raise _damaged(folder / f"{checkpoint_prefixes(folder)[0]} ({row.tf1})", error) from error


def _damaged(what: Path, error: Exception) -> ConversionError:
    return ConversionError(
        f"{what} can't be read as a TF1 checkpoint ({error}). Next: a file is likely truncated; "
        "copy or download it again."
    )


def _head_in(
    shapes: Mapping[str, Any], config: BertConfig, folder: Path, as_base: bool
) -> tuple[str, tuple[str, ...]]:
    """The head to read, and a note for each other head.

    Raises:
        ConversionError: Tensors are missing; all are listed.
    """
    found = [head for head in _PROGRAMS if any(row.tf1 in shapes for row in HEADS[head])]
    head = found[0] if found else heads.ENCODER
    left_out = found[1:]
    missing = _missing(shapes, config, head)
    if missing and as_base and not _missing(shapes, config, heads.ENCODER):
        head, left_out = heads.ENCODER, found
    elif missing:
        raise ConversionError(
            f"{folder}: {len(missing)} tensors are missing: {', '.join(missing)}. Received: "
            f"{len(shapes)} tensors, such as {', '.join(sorted(shapes)[:3])}. Next: check that "
            f"{CONFIG_FILE} and the checkpoint belong to one model."
        )
    return head, tuple(
        f"{folder} has a head of {_PROGRAMS[other]}, which is left out." for other in left_out
    )


def _missing(shapes: Mapping[str, Any], config: BertConfig, head: str) -> list[str]:
    """The missing tensors of a model with this head.

    A pooler that the head does not read and a next sentence head are optional.
    """
    next_sentence = [row for row in HEADS.get(head, ()) if row.neutral.startswith("next_sentence.")]
    optional = set() if head == heads.CLASSIFIER else set(POOLER)
    if any(row.tf1 in shapes for row in next_sentence):
        optional = set()
    else:
        optional |= set(next_sentence)
    return [row.tf1 for row in rows(config, head) if row.tf1 not in shapes and row not in optional]
