"""The interface of a task. Each task is one class in its own file; other rooms use this interface.

A task reads its data, encodes it (`Features`), prepares training rows (`TrainingRows`), builds its
head, and decodes a model's outputs: metrics of labelled data, and answers. The same methods serve
the Keras model and the `.tflite`.

The output for one encoding is that of the head (`converters.heads`) without padding, in float32.
Probabilities of a `.tflite` are first converted to log probabilities, or log odds (multi-label).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from converters.checkpoint import Checkpoint, config_to_train, without_unread_pooler
from converters.heads import PREFIXES, SINGLE_LABEL, is_head_weight
from edgebert.data.datasets import Dataset
from edgebert.data.labels import LabelUse
from edgebert.encoding.encoded_rows import Inputs
from edgebert.encoding.lengths import DEFAULT_LENGTHS
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.settings import DataSettings, FinetuneSettings, TaskSettings
from edgebert.tasks.app_readers import AppReaders
from edgebert.tasks.unlabelled import LearnsUnlabelled

if TYPE_CHECKING:
    import keras

Decoding = Mapping[str, Any]
"""Settings that the answers depend on besides the outputs, such as thresholds. Plain JSON types.
Stored in a folder's edgebert.json and in a file's manifest. `Task.decoding` documents the keys."""

EVALUATION = -1
"""Epoch number that selects the rows as they are evaluated: the same at every call."""


@dataclass(frozen=True)
class ModelFacts:
    """The facts of a model that decoding its outputs needs.

    Attributes:
        labels: Labels of the head, in the order of its outputs.
        decoding: The settings of the answers: see `Decoding`.
    """

    labels: tuple[str, ...] = ()
    decoding: Decoding = field(default_factory=dict)


@dataclass(frozen=True)
class Features:
    """An encoded data set. Tasks that need more fields have a subclass.

    Attributes:
        examples: The examples of the task's reader.
        encodings: The model's inputs: one for each example, or several where a text is split into
            windows or an example has several texts.
        owners: The index of each encoding's example, int32 `[encodings]`, ascending.
        truncated: Number of examples that lost tokens to the maximum length.
    """

    examples: Sequence[Any]
    encodings: Sequence[Encoding]
    owners: npt.NDArray[np.int32]
    truncated: int = 0


class TrainingRows(Protocol):
    """Training data by row. A row is one item of the loss."""

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row, `[rows]`: rows of like lengths go into one batch."""
        ...

    def __len__(self) -> int: ...

    def batch(
        self, rows: npt.NDArray[np.int64], longest: int, epoch: int
    ) -> tuple[Inputs, Any, npt.NDArray[np.float32]]:
        """A padded batch.

        Args:
            rows: Indices of the rows, `[batch]`.
            longest: Maximum number of columns.
            epoch: The epoch from 0, or `EVALUATION`. The same rows of the same epoch always give
                the same arrays: random draws depend on the seed, the epoch and the row's index.

        Returns:
            The model's inputs; the targets, an array or a dict of arrays; and the weights in the
            loss, float32, `[batch]` for rows or `[batch, length]` for tokens.
        """
        ...


F = TypeVar("F", bound=Features)


class Task(LearnsUnlabelled, ABC, Generic[F]):
    """A task. Instances have no state; `edgebert.tasks.task_named` has one of each.

    Attributes:
        name: Name in `--task`, in a model's folder and in a manifest.
        title: Name for people.
        head: Head behind the encoder, of `converters.heads`.
        problem: Meaning of a text classifier's outputs, of `converters.heads.PROBLEMS`.
        metric: Key of `metrics` for the choice of the best epoch and for quality gates: a share or
            a correlation. Higher is better.
        texts: Number of texts of an input: 1, or 2 for pairs.
        file_outputs: Outputs that a `.tflite` may have, the default first; names of
            `converters.tflite.inference_graph`.
        file_lengths: Default token lengths of a `.tflite`; those above the model's limit are left
            out.
        max_length: Default of `--max-length`.
        outputs_per_token: Whether the head has an output for each token.
        chooses_thresholds: Whether `choose_thresholds` chooses anything.
        has_answers: Whether the model predicts anything; False for a bare encoder.
        comparable: Whether the outputs of two models can be compared example by example, as
            distillation and structured pruning do.
        answers_with_label: Whether the answer to one text is one label, as
            `LiteRtModel.classify` gives it.
        evaluates_token_ids: Whether evaluation uses token ids that no text encodes to.
        app_readers: The ready-made readers on a phone that take a file of this task.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    head: ClassVar[str]
    problem: ClassVar[str] = SINGLE_LABEL
    metric: ClassVar[str]
    texts: ClassVar[int] = 1
    file_outputs: ClassVar[tuple[str, ...]]
    file_lengths: ClassVar[tuple[int, ...]] = DEFAULT_LENGTHS
    max_length: ClassVar[int] = 128
    outputs_per_token: ClassVar[bool] = False
    chooses_thresholds: ClassVar[bool] = False
    has_answers: ClassVar[bool] = True
    comparable: ClassVar[bool] = True
    answers_with_label: ClassVar[bool] = False
    evaluates_token_ids: ClassVar[bool] = False
    app_readers: ClassVar[AppReaders] = AppReaders()

    def model_title(self) -> str:
        """A model of this task, for error messages: `a model for question answering`."""
        return f"a model for {self.title}"

    def fits(self, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint has this task's head."""
        return (self.head, self.problem) == (checkpoint.head, checkpoint.problem)

    # Data

    @abstractmethod
    def read(self, path: Path | str, columns: DataSettings, labels: LabelUse) -> Dataset:
        """Reads a file of the task's own format.

        Args:
            path: The file, or `-` for the standard input.
            columns: Names of the columns, for formats with columns.
            labels: Whether every row must have a label, a score or what else the task predicts.

        Raises:
            DataError: The file is not valid. The problems are listed with their lines.
            UsageError: Columns are named, but the format has none.
        """

    def resolve_settings(self, settings: TaskSettings, train: Dataset) -> TaskSettings:
        """Resolves the settings that depend on the training data.

        Raises:
            UsageError: The settings don't fit the data.
        """
        return settings

    def label_names(self, train: Dataset) -> tuple[str, ...]:
        """The labels of a model trained on this data; empty for a task without labels.

        Raises:
            DataError: Rows have no label.
        """
        return ()

    def require_known(self, data: Dataset, labels: Sequence[str]) -> None:
        """Checks a data set against a model's labels, before any long computation.

        Raises:
            DataError: The data has labels that the model does not know, or rows without labels.
        """
        return

    def decoding(self, settings: TaskSettings) -> dict[str, Any]:
        """The decoding of a newly trained model, in plain JSON types."""
        return {}

    def complete_decoding(self, decoding: Decoding) -> dict[str, Any]:
        """A model's decoding with defaults for missing keys, for the manifest.

        Models that edgebert did not train have no decoding.
        """
        return dict(decoding)

    @abstractmethod
    def features(
        self, tokenizer: Tokenizer, examples: Sequence[Any], max_length: int, decoding: Decoding
    ) -> F:
        """Encodes examples, labelled or not.

        Args:
            tokenizer: The model's tokenizer.
            examples: Examples of `read` or `example`.
            max_length: Maximum length of an encoding, in tokens.
            decoding: The model's decoding.
        """

    @abstractmethod
    def example(self, *texts: str) -> Any:
        """An unlabelled example from input texts.

        Raises:
            UsageError: The number of texts is not the task's.
        """

    def input_texts(self, example: Any) -> tuple[str, ...]:
        """The input texts of an example: the arguments of `example`."""
        return (example.text,)

    def encoded_texts(self, example: Any) -> tuple[str, ...]:
        """All texts of an example that `features` encodes."""
        return self.input_texts(example)

    def texts_of(self, decoding: Decoding) -> int:
        """The number of texts of a model's input."""
        return self.texts

    def check_examples(self, texts: Sequence[str]) -> list[Any]:
        """Examples from plain texts, to compare a file with its model. Any text is valid."""
        return [self.example(text) for text in texts]

    # Training

    @abstractmethod
    def rows(
        self,
        features: F,
        facts: ModelFacts,
        settings: FinetuneSettings,
        tokenizer: Tokenizer,
    ) -> TrainingRows:
        """The training rows of labelled features.

        Args:
            features: Encoded labelled examples.
            facts: The model's labels and decoding.
            settings: The training settings; weights of the classes and the seed are used.
            tokenizer: The model's tokenizer.
        """

    def encodings_of_rows(self, features: F, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The indices of the encodings of a batch of rows, in the order of the outputs.

        By default each row is one encoding.
        """
        return rows

    def prepare_checkpoint(self, checkpoint: Checkpoint, settings: TaskSettings) -> Checkpoint:
        """Prepares a base checkpoint for this task: removes the arrays of other heads.

        Arrays of the task's own head stay, so that training can continue from them.
        """
        own = PREFIXES[self.head]
        weights = {
            name: array
            for name, array in without_unread_pooler(checkpoint.weights, self.head).items()
            if not is_head_weight(name) or name.startswith(own)
        }
        kept = checkpoint.head == self.head
        return replace(
            checkpoint,
            config=config_to_train(checkpoint.config, self.head),
            weights=weights,
            labels=checkpoint.labels if kept else (),
            problem=checkpoint.problem if kept else SINGLE_LABEL,
            sentence=checkpoint.sentence if kept else None,
        )

    def num_outputs(self, labels: Sequence[str]) -> int:
        """Number of outputs of a new head."""
        return len(labels)

    @abstractmethod
    def add_head(
        self, backbone: Any, checkpoint: Checkpoint, num_outputs: int, dropout: float, seed: int
    ) -> keras.Model:
        """A Keras model from the backbone's inputs to the head's outputs, padded `[batch, ...]`.

        The names of the head's layers match the table of weight names: a `Dense` layer `spans`
        has the variables `spans/kernel` and `spans/bias`.

        Args:
            backbone: Model with `.input`, a dict with `padding_mask`, and `.output`, a dict with
                `sequence_output` `[batch, length, hidden]` and `pooled_output` `[batch, hidden]`.
            checkpoint: The model's checkpoint, for the settings of its head.
            num_outputs: Number of outputs of the head.
            dropout: Dropout rate before the head.
            seed: Seed of new weights and of the dropout.
        """

    def start_head(self, model: keras.Model, rows: TrainingRows) -> None:
        """Sets the initial values of a new head from the training rows, before the first step."""
        return

    @abstractmethod
    def loss(self, labels: Sequence[str]) -> Any:
        """The Keras loss of a batch's outputs against the targets of `TrainingRows.batch`.

        The loss is the mean over the batch's rows. A loss of our own with another mean has a method
        `count(targets)`, the number of items in the mean. Training on several devices needs it to
        combine the parts of a batch.
        """

    def choose_thresholds(
        self, outputs: Sequence[np.ndarray], features: F, facts: ModelFacts
    ) -> dict[str, Any]:
        """The decoding with the values that are chosen on the dev split, such as thresholds."""
        return dict(facts.decoding)

    def training_units(self, train: Dataset) -> dict[str, Any]:
        """Decoding keys that apply during training only; `finalize` folds them into the weights."""
        return {}

    def finalize(
        self, checkpoint: Checkpoint, decoding: Decoding
    ) -> tuple[Checkpoint, dict[str, Any]]:
        """The trained checkpoint and its decoding as they are saved."""
        return checkpoint, dict(decoding)

    # Outputs

    def inputs(self, inputs: Inputs, encodings: Sequence[Encoding]) -> Inputs:
        """Adds the further inputs of the Keras model's head to a padded batch."""
        return inputs

    def split_outputs(self, outputs: Any, encodings: Sequence[Encoding]) -> list[np.ndarray]:
        """Splits a padded batch of outputs into one array per encoding.

        Outputs that are too large to keep for a whole data set are reduced here.

        Args:
            outputs: Array `[batch, ...]`, or a dict of arrays if the model has several outputs.
            encodings: The encodings of the batch.
        """
        if not self.outputs_per_token:
            return list(outputs)
        return [row[: len(encoding)] for row, encoding in zip(outputs, encodings, strict=True)]

    @abstractmethod
    def metrics(
        self,
        outputs: Sequence[np.ndarray],
        features: F,
        facts: ModelFacts,
    ) -> dict[str, float]:
        """The metrics of outputs on labelled features. Shares are from 0 to 1."""

    @abstractmethod
    def answers(
        self,
        outputs: Sequence[np.ndarray],
        features: F,
        facts: ModelFacts,
    ) -> list[dict[str, Any]]:
        """The answer to each example, a dict of plain JSON types.

        Every answer has the key `text`, the input text.
        """

    @abstractmethod
    def format_answer(self, answer: Mapping[str, Any], top: int) -> str:
        """Formats an answer as a line of text with the `top` most probable choices."""

    @abstractmethod
    def short_answer(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of an answer that tell the prediction, as the demo app returns them."""

    def log_probabilities(self, output: np.ndarray) -> np.ndarray | None:
        """The distributions of an output, float64 `[choices, outcomes]`, or None.

        A text's label is one choice. Each tag is one, a span's start and end are two. Vectors and
        scores are no distributions; they are compared as numbers.
        """
        return None
