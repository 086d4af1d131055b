"""`TaskModel`: a BERT with its tokenizer, labels and history; a folder on disk.

The folder is a Hugging Face checkpoint (config.json, model.safetensors, vocab.txt and the
tokenizer's files) plus edgebert's `edgebert.json`. `transformers` opens such a folder. A BERT from
another source is a `TaskModel` without history. The weights are a `Checkpoint`, which no framework
defines; training and evaluation build the Keras model from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters import heads
from converters.checkpoint import Checkpoint, cut_vocabulary, without_unread_pooler
from converters.compaction import expand
from converters.errors import ConversionError
from converters.formats import huggingface
from converters.formats.model_folder import HUGGING_FACE, recognise
from converters.formats.sentence_transformers import MODULES_FILE, SETTINGS_FILES, write_modules
from converters.json_fields import Fields
from converters.json_files import JsonFormat
from converters.vocabulary import SubwordVocabulary, write_vocabulary
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import ModelError, UsageError
from edgebert.models import hub
from edgebert.system import native_noise
from edgebert.system.storage import atomic_folder, restore_folder
from edgebert.tasks.decoding_checks import decoding_problems
from edgebert.tasks.foreign import TaskRequest, find_task
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
_READ_FILES = (MODULES_FILE, *SETTINGS_FILES, "added_tokens.json")
OPENED = "open"
"""The stage of the history entry for a model that edgebert did not save."""


@dataclass(frozen=True)
class TaskModel:
    """A BERT ready for the next stage.

    Attributes:
        checkpoint: Shape, weights, labels and head.
        tokenizer: The checkpoint's tokenizer.
        max_length: Maximum length of an input in tokens, with [CLS] and [SEP].
        task: The model's task; a bare encoder is a task, too.
        history: One dict for each stage of the model: name, settings, metrics.
        decoding: Settings of the answers; the task defines the keys.
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
        """The labels and the decoding."""
        return ModelFacts(self.labels, self.decoding)

    def keras_model(self, dropout: float = 0.0, seed: int = 0) -> keras.Model:
        """Builds the Keras model on keras-hub's `BertBackbone` and loads the weights.

        Inputs: a dict of int32 `token_ids`, `padding_mask`, `segment_ids`, each `[batch, length]`.
        Output: the padded output of the head (`converters.heads`), such as logits `[batch, labels]`
        of a classifier or `sequence_output` `[batch, length, hidden]` of a bare encoder.

        Args:
            dropout: Dropout rate of hidden states, attention and head.
            seed: Seed of weights that the checkpoint does not have, and of the dropout.
        """
        keras = native_noise.load_keras()
        from converters.formats import keras_hub

        config = self.checkpoint.config
        keras.utils.set_random_seed(seed)
        backbone = keras_hub.build_backbone(config, dropout)
        outputs = self.task.num_outputs(self.labels)
        model = self.task.add_head(backbone, self.checkpoint, outputs, dropout, seed)
        weights = self.checkpoint.weights
        keras_hub.load_weights(model, weights, config)
        return model

    def updated(
        self, model: keras.Model, labels: tuple[str, ...], stage: dict[str, Any], **changes: Any
    ) -> TaskModel:
        """The `TaskModel` after a stage, with the Keras model's weights and a new history entry.

        Args:
            model: Keras model that was built from this `TaskModel`. Pruned parts, which the Keras
                model does not have, become zeros again.
            labels: Labels of the head.
            stage: The new history entry.
            **changes: Other attributes that the stage changes.
        """
        from converters.formats import keras_hub

        narrow = keras_hub.read_weights(model, self.checkpoint.config)
        checkpoint = replace(
            self.checkpoint, weights=expand(narrow, self.checkpoint), labels=labels
        )
        weights = without_unread_pooler(checkpoint.weights, checkpoint.head)
        if checkpoint.head in (heads.MASKED_LM, heads.ENCODER) and not checkpoint.has_next_sentence:
            # The pooler is not trained here. If the base had none, its weights are random: drop it.
            own = self.checkpoint.weights
            weights = {k: v for k, v in weights.items() if k in own or not k.startswith("pooler.")}
        checkpoint = checkpoint.with_weights(weights)
        return replace(self, checkpoint=checkpoint, history=(*self.history, stage), **changes)

    def save(self, folder: Path | str) -> Path:
        """Writes the folder. If writing fails, nothing changes on disk.

        Raises:
            ModelError: No Hugging Face class computes this model.
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
        with atomic_folder(folder, is_kept=_is_kept) as temporary:
            try:
                huggingface.write_folder(self.checkpoint, temporary, self.tokenizer.pad_id)
            except ConversionError as error:
                raise ModelError(f"{folder}: {error}") from error
            if self.checkpoint.sentence is not None:
                write_modules(self.checkpoint, temporary, self.max_length, self.decoding)
            write_vocabulary(
                self.tokenizer.vocabulary, temporary, self.checkpoint.config.max_positions
            )
            (temporary / SIDECAR).write_text(json.dumps(sidecar, indent=2) + "\n")
        return folder


def open_model(
    folder: Path | str, as_base: bool = False, request: TaskRequest = TaskRequest()
) -> TaskModel:
    """Opens a folder that edgebert saved, or a BERT from another source.

    The folder may be a Hugging Face folder, a sentence-transformers folder, a keras-hub preset or
    Google's TF1 files (see `converters.formats.model_folder`). A name that is no folder may be a
    model on Hugging Face's hub, `owner/name` or `owner/name@revision`, or a keras-hub preset such
    as `bert_tiny_en_uncased`. Both are downloaded once and cached. The source of such a model is
    the first entry of its history.

    Args:
        folder: The folder or the name.
        as_base: Whether a new head will be trained on the model. An unsupported head is then left
            out, with a note in the checkpoint, instead of refused.
        request: the task of the model, where its files don't tell it.

    Raises:
        UsageError: The requested task does not fit the model's head.
        ModelError: The folder is no known format, a file is damaged, the vocabulary has more tokens
            than the embedding table has rows, or the hub can't be reached.
    """
    folder, facts = _local_folder(folder)
    try:
        read = recognise(folder).read(folder, as_base)
    except ConversionError as error:
        raise ModelError(str(error)) from error
    checkpoint = _with_vocabulary(read.checkpoint, read.vocabulary, folder)
    sidecar = read_sidecar(folder)
    decoding = sidecar.get("decoding", read.prompts)
    found = find_task(checkpoint, decoding, str(sidecar.get("task", "")), read.is_pair, request)
    checkpoint = found.checkpoint
    limit = checkpoint.config.max_positions
    history = tuple(sidecar.get("history", ()))
    if facts or checkpoint.notes or (read.format != HUGGING_FACE and not sidecar):
        entry = {"stage": OPENED, "format": read.format, **facts, **read.facts}
        history = (*history, {**entry, "notes": list(checkpoint.notes)})
    return TaskModel(
        checkpoint,
        Tokenizer(read.vocabulary, segments=checkpoint.config.num_segments > 1),
        min(sidecar.get("max_length", 0) or read.max_length or limit, limit),
        found.task,
        history,
        found.decoding,
    )


def as_model(model: TaskModel | Path | str, as_base: bool = False) -> TaskModel:
    """The model itself, or the one that `open_model` opens at a path or by a name.

    Raises:
        ModelError: See `open_model`.
        UsageError: It is something else.
    """
    if isinstance(model, TaskModel):
        return model
    if isinstance(model, (str, Path)):
        return open_model(model, as_base)
    raise UsageError(
        "Expected a TaskModel, or the path or name of a model. "
        f"Received: {type(model).__name__}. Next: open the model with edgebert.open_model."
    )


def _with_vocabulary(
    checkpoint: Checkpoint, vocabulary: SubwordVocabulary, folder: Path
) -> Checkpoint:
    """The checkpoint with one embedding row for each token.

    Raises:
        ModelError: The vocabulary has too many tokens, or no mask token for a masked LM.
    """
    rows = checkpoint.config.vocab_size
    if vocabulary.size > rows:
        raise ModelError(
            f"{folder}: the vocabulary has {vocabulary.size} tokens and the embedding table "
            f"{rows} rows; every token needs a row. Next: put the vocabulary of the model's "
            "training into the folder."
        )
    if checkpoint.head == heads.MASKED_LM and not vocabulary.has_mask:
        raise ModelError(
            f"{folder}: expected a vocabulary with a mask token, since the model is a masked "
            "language model. Received: none. Next: put the vocabulary of the model's training into "
            "the folder."
        )
    return checkpoint if vocabulary.size == rows else cut_vocabulary(checkpoint, vocabulary.size)


def _local_folder(folder: Path | str) -> tuple[Path, dict[str, str]]:
    """The local folder, and the source of a downloaded model for the history."""
    path, name = Path(folder), str(folder)
    restore_folder(path)
    if path.exists():
        return path, {}
    return hub.fetch(name) or (path, {})


def _is_kept(file: Path) -> bool:
    """Whether a file of a previous model stays in its folder: not one that is read with the new."""
    return file.as_posix() not in _READ_FILES


def read_sidecar(folder: Path) -> dict[str, Any]:
    """The fields of edgebert.json; empty if there is no such file."""
    path = folder / SIDECAR
    if not path.is_file():
        return {}
    fields = Fields(_SIDECAR_FORMAT.read(path))
    sidecar: dict[str, Any] = {
        "task": fields.text("task", ""),
        "max_length": fields.whole("max_length", 0, least=0),
        "decoding": fields.table("decoding", {}),
        "history": fields.tables("history", ()),
    }
    problems = fields.problems + decoding_problems(sidecar["decoding"])
    if problems:
        raise ModelError(f"{path}: {'; '.join(problems)}. Next: {_SIDECAR_FORMAT.next_step}.")
    return sidecar
