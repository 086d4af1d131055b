"""`TaskModel`: a BERT with its tokenizer, labels and history; a folder on disk.

The folder is a Hugging Face checkpoint (config.json, model.safetensors, vocab.txt and the
tokenizer's files) plus our `edgebert.json`, so `transformers` opens what we trained and a BERT that
was trained elsewhere is a `TaskModel` with no history. Weights are held as the neutral
`Checkpoint`; the Keras model is built from it where a stage trains or judges.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters import huggingface
from converters.checkpoint import Checkpoint
from converters.compaction import expand
from converters.errors import ConversionError
from converters.model_folder import HUGGING_FACE, recognise
from converters.vocabulary import write_vocabulary
from edgebert import hub, native_noise
from edgebert.errors import ModelError
from edgebert.storage import atomic_folder
from edgebert.tokenizer import Tokenizer

if TYPE_CHECKING:
    import keras

SIDECAR = "edgebert.json"
SIDECAR_FORMAT = 1
CLASSIFICATION, ENCODER = "classification", "encoder"
OPENED = "open"
"""The stage in a model's history that says what folder of somebody else it comes from."""


@dataclass(frozen=True)
class TaskModel:
    """A BERT ready for the next stage.

    Attributes:
        checkpoint: shape, weights and labels.
        tokenizer: the checkpoint's own.
        max_length: the longest text in tokens that the model is meant for, [CLS] and [SEP] counted.
        history: one dict a stage that the model went through: name, settings, metrics.
    """

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    max_length: int
    history: tuple[dict[str, Any], ...] = field(default=())

    @property
    def labels(self) -> tuple[str, ...]:
        return self.checkpoint.labels

    @property
    def task(self) -> str:
        return CLASSIFICATION if self.checkpoint.is_classifier else ENCODER

    def keras_model(
        self, num_labels: int | None = None, dropout: float = 0.0, seed: int = 0
    ) -> keras.Model:
        """Builds the Keras model on keras-hub's `BertBackbone` and loads the weights.

        Inputs: a dict of int32 `token_ids`, `padding_mask`, `segment_ids`, each `[batch, length]`.
        Output: logits `[batch, labels]` of a classifier, `sequence_output`
        `[batch, length, hidden]` of a bare encoder.

        Args:
            num_labels: gives a head with so many outputs; a head of another width gets new weights.
            dropout: of hidden states, attention and head.
            seed: of weights that the checkpoint does not have, and of the dropout.
        """
        keras = native_noise.load_keras()
        from converters import keras_hub
        from edgebert.tasks import classification

        config, weights = self.checkpoint.config, dict(self.checkpoint.weights)
        keras.utils.set_random_seed(seed)
        backbone = keras_hub.build_backbone(config, dropout)
        labels = len(self.labels) if num_labels is None else num_labels
        if labels:
            model = classification.add_head(backbone, labels, dropout, seed)
        else:
            model = keras.Model(backbone.input, backbone.output["sequence_output"], name="encoder")
        if labels and len(self.labels) != labels:
            weights = {k: v for k, v in weights.items() if not k.startswith("classifier.")}
        keras_hub.load_weights(model, weights, config.num_layers, config.head_size)
        return model

    def updated(
        self, model: keras.Model, labels: tuple[str, ...], stage: dict[str, Any], **changes: Any
    ) -> TaskModel:
        """The `TaskModel` after a stage: weights taken from the Keras model, history one longer.

        Args:
            model: was built from this `TaskModel`; what is structurally zero here is zero there.
            labels: of the head.
            stage: the history's new entry.
            **changes: other attributes that the stage sets.
        """
        from converters import keras_hub

        narrow = keras_hub.read_weights(model, self.checkpoint.config.num_layers)
        weights = expand(narrow, self.checkpoint)
        checkpoint = replace(self.checkpoint, weights=weights, labels=labels)
        return replace(self, checkpoint=checkpoint, history=(*self.history, stage), **changes)

    def save(self, folder: Path | str) -> Path:
        """Writes the folder: whole or, if anything fails, not at all."""
        folder = Path(folder)
        sidecar = {
            "format": SIDECAR_FORMAT,
            "task": self.task,
            "labels": list(self.labels),
            "max_length": self.max_length,
            "history": list(self.history),
        }
        with atomic_folder(folder) as temporary:
            huggingface.write_folder(self.checkpoint, temporary, self.tokenizer.pad_id)
            write_vocabulary(
                self.tokenizer.vocabulary, temporary, self.checkpoint.config.max_positions
            )
            (temporary / SIDECAR).write_text(json.dumps(sidecar, indent=2) + "\n")
        return folder


def open_model(folder: Path | str, as_base: bool = False) -> TaskModel:
    """Opens a TaskModel folder, or a BERT classifier or encoder of somebody else.

    The folder may be Hugging Face's, sentence-transformers', a keras-hub preset or Google's TF1
    files (see `converters.model_folder`). What is no folder may be a name on Hugging Face's hub,
    `owner/name` or `owner/name@revision`, or a keras-hub preset such as `bert_tiny_en_uncased`;
    both are fetched once and then kept in a cache. Where a model that is not ours comes from is the
    first entry of its history.

    Args:
        folder: the folder or the name.
        as_base: the model is what a new head is trained on: a head that is not read is left out,
            which a note of the checkpoint says, instead of refused.

    Raises:
        ModelError: it is no such folder, a file is damaged, the vocabulary and the embedding table
            have different sizes, or the hub can't be reached.
    """
    folder, facts = _local_folder(folder)
    try:
        known = recognise(folder)
        if known.by_tensorflow:
            native_noise.load_keras()
        read = known.read(folder, as_base)
    except ConversionError as error:
        raise ModelError(str(error)) from error
    checkpoint = read.checkpoint
    if read.vocabulary.size != checkpoint.config.vocab_size:
        raise ModelError(
            f"{folder}: the vocabulary has {read.vocabulary.size} tokens and the embedding table "
            f"{checkpoint.config.vocab_size} rows; they must agree. Next: put the vocabulary that "
            "the model was trained with into the folder."
        )
    sidecar = _read_sidecar(folder)
    limit = checkpoint.config.max_positions
    history = tuple(sidecar.get("history", ()))
    if facts or read.format != HUGGING_FACE or checkpoint.notes:
        entry = {"stage": OPENED, "format": read.format, **facts, **read.facts}
        history = (*history, {**entry, "notes": list(checkpoint.notes)})
    return TaskModel(
        checkpoint,
        Tokenizer(read.vocabulary, segments=checkpoint.config.num_segments > 1),
        min(int(sidecar.get("max_length", read.max_length or limit)), limit),
        history,
    )


def _local_folder(folder: Path | str) -> tuple[Path, dict[str, str]]:
    """The folder on this machine, and where it comes from if it was fetched."""
    path, name = Path(folder), str(folder)
    if path.exists():
        return path, {}
    return hub.fetch(name) or (path, {})


def _read_sidecar(folder: Path) -> dict[str, Any]:
    path = folder / SIDECAR
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} is no JSON: {error}. Next: delete it or restore it.") from error
    if not isinstance(content, dict) or content.get("format") != SIDECAR_FORMAT:
        raise ModelError(
            f"{path}: expected an object with format {SIDECAR_FORMAT}. "
            f"Received: {str(content)[:80]}. Next: it is of another version of edgebert."
        )
    return content
