"""What a task is: one class a task, in a file of its own; nothing above asks which one it has.

A task reads its data, says what a model takes of it (`Features`), what it is to learn
(`TrainingRows`), which head it trains, and what a model's outputs mean: metrics of labelled data,
answers for somebody who asks. The same methods serve the Keras model and the `.tflite`.

The output of a model for one encoding, padding taken off, is what its head gives
(`converters.heads`): logits, hidden states or a vector, float32. A file that gives probabilities
has them turned back to log probabilities first (to log odds where labels don't exclude each other).
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

if TYPE_CHECKING:
    import keras

Decoding = Mapping[str, Any]
"""What a model's answers depend on beside its outputs, ready for JSON; it travels in the folder's
edgebert.json and in the file's manifest. Each task says in `decoding` which keys it has."""


EVALUATION = -1
"""Epoch number that selects the rows as they are evaluated: the same at every call."""


@dataclass(frozen=True)
class ModelFacts:
    """What a task must know of a model to read its outputs.

    Attributes:
        labels: Labels of the head, in the order of its outputs.
        decoding: The settings of the answers: see `Decoding`.
    """

    labels: tuple[str, ...] = ()
    decoding: Decoding = field(default_factory=dict)


@dataclass(frozen=True)
class Features:
    """A data set as a model takes it; tasks that need more of it have a subclass.

    Attributes:
        examples: what the task's reader gave.
        encodings: what the model reads: one an example, or several where a text is cut into
            windows or where an example has several texts.
        owners: the example that each encoding is of, int32 `[encodings]`, ascending.
        truncated: examples of which tokens were cut off.
    """

    examples: Sequence[Any]
    encodings: Sequence[Encoding]
    owners: npt.NDArray[np.int32]
    truncated: int = 0


class TrainingRows(Protocol):
    """What is learnt, row by row. A row is what the loss sees as one."""

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row, `[rows]`: rows of like lengths go into one batch."""
        ...

    def __len__(self) -> int: ...

    def batch(
        self, rows: npt.NDArray[np.int64], longest: int, epoch: int
    ) -> tuple[Inputs, Any, npt.NDArray[np.float32]]:
        """Some rows, padded.

        Args:
            rows: their numbers, `[batch]`.
            longest: the columns are at most so many.
            epoch: from 0, or `EVALUATION`. The same rows of the same epoch give the same arrays,
                always: what is random is drawn from the seed, the epoch and the row's number.

        Returns:
            The model's inputs; the targets, an array or a dict of arrays; and the weight of each
            row in the loss, float32 `[batch]`, or of each of its tokens, `[batch, length]`.
        """
        ...


F = TypeVar("F", bound=Features)


class Task(ABC, Generic[F]):
    """One task. Instances have no state: there is one of each, in `edgebert.tasks`.

    Attributes:
        name: what `--task` says and the model's folder and manifest keep.
        title: for people.
        head: what stands behind the encoder, of `converters.heads`.
        problem: what the outputs of a classifier of texts are, of `converters.heads.PROBLEMS`.
        metric: the key of `metrics` that epochs are chosen by and that gates look at: a share, or
            a correlation; more is better.
        texts: how many texts an example has that somebody types: 1, or 2 for pairs.
        file_outputs: what a `.tflite` may give, the default first, names of
            `converters.tflite.inference_graph`.
        file_lengths: the token lengths that a `.tflite` has where none are asked for, as far as
            the model goes.
        max_length: the default of `--max-length`.
        chooses_thresholds: Whether `choose_thresholds` chooses anything.
        has_answers: Whether the model predicts anything; False for a bare encoder.
        comparable: Whether the outputs of two models can be compared example by example, as
            distillation and structured pruning do.
        distills_unlabelled: Whether a student can learn from text without labels.
        answers_with_label: Whether the answer to one text is one label, as
            `LiteRtModel.classify` gives it.
        answered_in_browser: Whether the browser page turns outputs into answers.
        evaluates_token_ids: Whether evaluation encodes token ids that no text stands for.
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
    chooses_thresholds: ClassVar[bool] = False
    has_answers: ClassVar[bool] = True
    comparable: ClassVar[bool] = True
    distills_unlabelled: ClassVar[bool] = False
    answers_with_label: ClassVar[bool] = False
    answered_in_browser: ClassVar[bool] = False
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
            path: the file, or `-`.
            columns: which columns have what, where the format has any.
            labels: whether every row must have what is to be predicted.

        Raises:
            DataError: it can't be read as that: the problems are listed with their lines.
            UsageError: columns are named where there are none.
        """

    def resolve_settings(self, settings: TaskSettings, train: Dataset) -> TaskSettings:
        """The settings after what the training data decides was decided.

        Raises:
            UsageError: they don't fit the data.
        """
        return settings

    def label_names(self, train: Dataset) -> tuple[str, ...]:
        """The labels of a model that is trained on this; empty for a task without labels.

        Raises:
            DataError: rows without a label.
        """
        return ()

    def require_known(self, data: Dataset, labels: Sequence[str]) -> None:
        """Holds data against a model's labels, before anything costly starts.

        Raises:
            DataError: the data has labels that the model does not know, or rows without any.
        """
        return

    def decoding(self, settings: TaskSettings) -> dict[str, Any]:
        """What a newly trained model's answers depend on, ready for JSON."""
        return {}

    def complete_decoding(self, decoding: Decoding) -> dict[str, Any]:
        """A model's decoding with what a model of somebody else does not say, for a manifest."""
        return dict(decoding)

    @abstractmethod
    def features(
        self, tokenizer: Tokenizer, examples: Sequence[Any], max_length: int, decoding: Decoding
    ) -> F:
        """Encodes examples, labelled or not.

        Args:
            tokenizer: the model's.
            examples: of `read` or `example`.
            max_length: the longest encoding that the model takes, in tokens.
            decoding: the model's.
        """

    @abstractmethod
    def example(self, *texts: str) -> Any:
        """An example without a label, out of what somebody typed.

        Raises:
            UsageError: not as many texts as the task wants; it says which.
        """

    def input_texts(self, example: Any) -> tuple[str, ...]:
        """The texts of an example as somebody would type them: what `example` takes."""
        return (example.text,)

    def encoded_texts(self, example: Any) -> tuple[str, ...]:
        """All texts of an example that `features` encodes."""
        return self.input_texts(example)

    def texts_of(self, decoding: Decoding) -> int:
        """How many texts an example of a model has."""
        return self.texts

    def check_examples(self, texts: Sequence[str]) -> list[Any]:
        """Examples made of plain texts, to hold a file against its model; any text must do."""
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
        """What there is to learn of labelled features."""

    def encodings_of_rows(self, features: F, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Which encodings a batch of rows gives outputs for, in the order of the outputs.

        A row is an encoding, unless the task says otherwise.
        """
        return rows

    def prepare_checkpoint(self, checkpoint: Checkpoint, settings: TaskSettings) -> Checkpoint:
        """A base for this task: without other heads' arrays, with what its own head must say.

        What of the task's own head is there already stays; it is trained on where it fits.
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
        """Outputs of a new head."""
        return len(labels)

    @abstractmethod
    def add_head(
        self, backbone: Any, checkpoint: Checkpoint, num_outputs: int, dropout: float, seed: int
    ) -> keras.Model:
        """A Keras model from the backbone's inputs to the head's outputs, padded `[batch, ...]`.

        Args:
            backbone: has `.input`, a dict with `padding_mask`, and `.output`, a dict with
                `sequence_output` `[batch, length, hidden]` and `pooled_output` `[batch, hidden]`;
                its own layers stand in `.layers`.
            checkpoint: of the model: its head may have settings.
            num_outputs: of the head.
            dropout: before the head, in training.
            seed: of fresh weights and of the dropout.

        The head's layers are named so that their variables are those of the table of weight names:
        a `Dense` named `spans` has `spans/kernel` and `spans/bias`.
        """

    def start_head(self, model: keras.Model, rows: TrainingRows) -> None:
        """Sets what a new head should start with, as the training rows say; before any step."""
        return

    @abstractmethod
    def loss(self, labels: Sequence[str]) -> Any:
        """The Keras loss of a batch's outputs against the targets of `TrainingRows.batch`.

        It is the mean over the batch's rows. Where it is the mean over something else and not one
        of Keras' own, it has a method `count(targets)`, which says over how many: several devices
        put the batch's loss together by it.
        """

    def choose_thresholds(
        self, outputs: Sequence[np.ndarray], features: F, facts: ModelFacts
    ) -> dict[str, Any]:
        """The decoding after what is chosen on the dev split, such as thresholds, was chosen."""
        return dict(facts.decoding)

    def training_units(self, train: Dataset) -> dict[str, Any]:
        """Decoding keys that hold while a new head is trained; `finalize` works them in."""
        return {}

    def finalize(
        self, checkpoint: Checkpoint, decoding: Decoding
    ) -> tuple[Checkpoint, dict[str, Any]]:
        """The trained checkpoint and its decoding as they are kept."""
        return checkpoint, dict(decoding)

    # Outputs

    def inputs(self, inputs: Inputs, encodings: Sequence[Encoding]) -> Inputs:
        """A padded batch as the Keras model takes it: what its head reads beside the tokens."""
        return inputs

    def split_outputs(self, outputs: Any, encodings: Sequence[Encoding]) -> list[np.ndarray]:
        """A padded batch of the head's outputs, as one array an encoding.

        What would be too large to keep for a whole data set is made smaller here.

        Args:
            outputs: `[batch, ...]`, or a dict of such arrays where the Keras model gives several.
            encodings: of the batch.
        """
        return list(outputs)

    @abstractmethod
    def metrics(
        self,
        outputs: Sequence[np.ndarray],
        features: F,
        facts: ModelFacts,
    ) -> dict[str, float]:
        """How outputs do on labelled features; shares from 0 to 1 where the metric is a share."""

    @abstractmethod
    def answers(
        self,
        outputs: Sequence[np.ndarray],
        features: F,
        facts: ModelFacts,
    ) -> list[dict[str, Any]]:
        """What each example is answered with, ready for JSON: one dict an example.

        Every answer has the key `text`, what was asked, and is told to a person by `format_answer`.
        """

    @abstractmethod
    def format_answer(self, answer: Mapping[str, Any], top: int) -> str:
        """One answer as a line of text, for a person; `top`: how many choices to show."""

    @abstractmethod
    def short_answer(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of an answer that tell the prediction, as the demo app returns them."""

    def log_probabilities(self, output: np.ndarray) -> np.ndarray | None:
        """The distributions that an output is, float64 `[choices, outcomes]`; None if it is none.

        A text's label is one choice, each of its tags one, a span's start and end two. Outputs that
        are no distributions (vectors, scores) are compared as numbers.
        """
        return None
