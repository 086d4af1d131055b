"""`TaskModel`: a BERT with its tokenizer, labels and history; a folder on disk.

The folder is a Hugging Face checkpoint (config.json, model.safetensors, vocab.txt and the
tokenizer's files) plus our `edgebert.json`, so `transformers` opens what we trained and a BERT that
was trained elsewhere is a `TaskModel` with no history. Weights are held as the neutral
`Checkpoint`; the Keras model is built from it where a stage trains or judges.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters import heads
from converters.checkpoint import Checkpoint, without_unread_pooler
from converters.compaction import expand
from converters.errors import ConversionError
from converters.formats import huggingface
from converters.formats.model_folder import HUGGING_FACE, recognise
from converters.formats.sentence_transformers import MODULES_FILE, write_modules
from converters.json_fields import Fields
from converters.json_files import JsonFormat
from converters.vocabulary import write_vocabulary
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import ModelError
from edgebert.models import hub
from edgebert.system import native_noise
from edgebert.system.storage import atomic_folder
from edgebert.tasks import task_named, task_of_checkpoint
from edgebert.tasks.task import Decoding, ModelFacts, Task

if TYPE_CHECKING:
    import keras

SIDECAR = "edgebert.json"
SIDECAR_FORMAT = 1
_SIDECAR_FORMAT = JsonFormat(
    "an object that `save` wrote",
    "save the model again with this version of edgebert, or delete the file",
    ModelError,
    versions=(SIDECAR_FORMAT,),
)
OPENED = "open"
"""The stage in a model's history that says what folder of somebody else it comes from."""


@dataclass(frozen=True)
class TaskModel:
    """A BERT ready for the next stage.

    Attributes:
        checkpoint: shape, weights, labels and head.
        tokenizer: the checkpoint's own.
        max_length: the longest text in tokens that the model is meant for, [CLS] and [SEP] counted.
        task: what the model does; a bare encoder is a task, too.
        history: one dict a stage that the model went through: name, settings, metrics.
        decoding: what its answers depend on beside its outputs; the task knows the keys.
    """

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    max_length: int
    task: Task[Any]
    history: tuple[dict[str, Any], ...] = ()
    decoding: Decoding = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.checkpoint.labels

    @property
    def facts(self) -> ModelFacts:
        """What the task must know to read the model's outputs."""
        return ModelFacts(self.labels, self.decoding)

    def keras_model(self, dropout: float = 0.0, seed: int = 0) -> keras.Model:
        """Builds the Keras model on keras-hub's `BertBackbone` and loads the weights.

        Inputs: a dict of int32 `token_ids`, `padding_mask`, `segment_ids`, each `[batch, length]`.
        Output: what the head gives (`converters.heads`), padded: logits `[batch, labels]` of a
        classifier, `sequence_output` `[batch, length, hidden]` of a bare encoder.

        Args:
            dropout: of hidden states, attention and head.
            seed: of weights that the checkpoint does not have, and of the dropout.
        """
        keras = native_noise.load_keras()
        from converters.formats import keras_hub

        config = self.checkpoint.config
        keras.utils.set_random_seed(seed)
        backbone = keras_hub.build_backbone(config, dropout)
        outputs = self.task.num_outputs(self.labels)
        model = self.task.add_head(backbone, self.checkpoint, outputs, dropout, seed)
        weights = self.checkpoint.weights
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
        from converters.formats import keras_hub

        narrow = keras_hub.read_weights(model, self.checkpoint.config.num_layers)
        checkpoint = replace(
            self.checkpoint, weights=expand(narrow, self.checkpoint), labels=labels
        )
        weights = without_unread_pooler(checkpoint.weights, checkpoint.head)
        if checkpoint.head == heads.MASKED_LM and not checkpoint.has_next_sentence:
            # Nothing trains it: one that the base did not have is still as it was drawn.
            own = self.checkpoint.weights
            weights = {k: v for k, v in weights.items() if k in own or not k.startswith("pooler.")}
        checkpoint = checkpoint.with_weights(weights)
        return replace(self, checkpoint=checkpoint, history=(*self.history, stage), **changes)

    def save(self, folder: Path | str) -> Path:
        """Writes the folder: whole or, if anything fails, not at all.

        Raises:
            ModelError: no class of Hugging Face's computes what the model does.
        """
        folder = Path(folder)
        sidecar = {
            "format": SIDECAR_FORMAT,
            "task": self.task.name,
            "labels": list(self.labels),
            "max_length": self.max_length,
            "decoding": dict(self.decoding),
            "history": list(self.history),
        }
        with atomic_folder(folder) as temporary:
            try:
                huggingface.write_folder(self.checkpoint, temporary, self.tokenizer.pad_id)
            except ConversionError as error:
                raise ModelError(f"{folder}: {error}") from error
            if self.checkpoint.sentence is not None:
                write_modules(self.checkpoint, temporary, self.max_length)
            write_vocabulary(
                self.tokenizer.vocabulary, temporary, self.checkpoint.config.max_positions
            )
            (temporary / SIDECAR).write_text(json.dumps(sidecar, indent=2) + "\n")
        if self.checkpoint.sentence is None:
            # Of a model that stood here before: it would make this one a sentence-transformers'.
            (folder / MODULES_FILE).unlink(missing_ok=True)
        return folder


def open_model(folder: Path | str, as_base: bool = False) -> TaskModel:
    """Opens a TaskModel folder, or a BERT classifier or encoder of somebody else.

    The folder may be Hugging Face's, sentence-transformers', a keras-hub preset or Google's TF1
    files (see `converters.formats.model_folder`). What is no folder may be a name on Hugging Face's
    hub, `owner/name` or `owner/name@revision`, or a keras-hub preset such as
    `bert_tiny_en_uncased`; both are fetched once and then kept in a cache. Where a model that is
    not ours comes from is the first entry of its history.

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
    if facts or checkpoint.notes or (read.format != HUGGING_FACE and not sidecar):
        entry = {"stage": OPENED, "format": read.format, **facts, **read.facts}
        history = (*history, {**entry, "notes": list(checkpoint.notes)})
    return TaskModel(
        checkpoint,
        Tokenizer(read.vocabulary, segments=checkpoint.config.num_segments > 1),
        min(sidecar.get("max_length", 0) or read.max_length or limit, limit),
        _task_in(sidecar, checkpoint),
        history,
        sidecar.get("decoding", {}),
    )


def _task_in(sidecar: Mapping[str, Any], checkpoint: Checkpoint) -> Task[Any]:
    """The task that the folder names, or, if the head is another one, the task of the head."""
    name = str(sidecar.get("task", ""))
    if name and (task := task_named(name)).fits(checkpoint):
        return task
    return task_of_checkpoint(checkpoint)


def _local_folder(folder: Path | str) -> tuple[Path, dict[str, str]]:
    """The folder on this machine, and where it comes from if it was fetched."""
    path, name = Path(folder), str(folder)
    if path.exists():
        return path, {}
    return hub.fetch(name) or (path, {})


def _read_sidecar(folder: Path) -> dict[str, Any]:
    """The fields of edgebert.json; empty if there is no such file."""
    path = folder / SIDECAR
    if not path.is_file():
        return {}
    fields = Fields(_SIDECAR_FORMAT.read(path))
    sidecar = {
        "task": fields.text("task", ""),
        "max_length": fields.whole("max_length", 0, least=0),
        "decoding": fields.table("decoding", {}),
        "history": fields.tables("history", ()),
    }
    if fields.problems:
        raise ModelError(
            f"{path}: {'; '.join(fields.problems)}. Next: {_SIDECAR_FORMAT.next_step}."
        )
    return sidecar
