"""A bare encoder as a task: it reads texts and gives hidden states, and answers nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from converters import heads
from converters.checkpoint import Checkpoint
from converters.tflite.output_names import HIDDEN_STATES
from edgebert.data.corpus_files import read_corpus, sentences_of
from edgebert.data.datasets import Dataset, Example, read_labelled
from edgebert.data.labels import LabelUse
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import UsageError
from edgebert.settings import DataSettings, FinetuneSettings, TaskSettings
from edgebert.tasks.task import Decoding, Features, ModelFacts, Task, TrainingRows

if TYPE_CHECKING:
    import keras


class Encoder(Task[Features]):
    """An encoder without a head: the null object among the tasks.

    It reads texts, builds its Keras model and exports a file. It can be pruned, and distilled from
    another encoder, whose hidden states it is compared with: the metric is the mean cosine. What
    needs labels, a loss or answers raises a `UsageError`.
    """

    name = "encoder"
    title = "bare encoder"
    head = heads.ENCODER
    metric = "cosine"
    file_outputs = (HIDDEN_STATES,)
    outputs_per_token = True
    has_answers = False

    def model_title(self) -> str:
        return "a bare encoder"

    def read(self, path: Path | str, columns: DataSettings, labels: LabelUse) -> Dataset:
        """Reads texts; labels are never required. Running text is read as single sentences."""
        if Path(path).name.lower().removesuffix(".gz").endswith(".txt"):
            return sentences_of(read_corpus(path, self.name, columns))
        use: LabelUse = "none" if labels == "none" else "optional"
        return read_labelled(path, columns, use)

    def resolve_settings(self, settings: TaskSettings, train: Dataset) -> TaskSettings:
        self._refuse()

    def features(
        self, tokenizer: Tokenizer, examples: Sequence[Any], max_length: int, decoding: Decoding
    ) -> Features:
        """Encodes the first text of each example."""
        encodings = tokenizer.encode_batch([example.text for example in examples], max_length)
        return Features(examples, encodings, np.arange(len(examples), dtype=np.int32))

    def example(self, *texts: str) -> Example:
        if len(texts) != 1:
            raise UsageError(f"Expected one text. Received: {len(texts)}.")
        return Example(texts[0])

    def copy_of(self, example: Any, texts: Sequence[str]) -> Example:
        return Example(texts[0])

    def rows(
        self,
        features: Features,
        facts: ModelFacts,
        settings: FinetuneSettings,
        tokenizer: Tokenizer,
    ) -> TrainingRows:
        self._refuse()

    def add_head(
        self, backbone: Any, checkpoint: Checkpoint, num_outputs: int, dropout: float, seed: int
    ) -> keras.Model:
        """No head: the output is `sequence_output`, `[batch, length, hidden]`."""
        import keras

        # Keras splits a model only at the output of a layer: see `edgebert.training.heads.Head`.
        states = keras.layers.Identity(name="hidden_states")(backbone.output["sequence_output"])
        return keras.Model(backbone.input, states, name="encoder")

    def loss(self, labels: Sequence[str]) -> Any:
        self._refuse()

    def metrics(
        self,
        outputs: Sequence[np.ndarray],
        features: Features,
        facts: ModelFacts,
    ) -> dict[str, float]:
        self._refuse()

    def answers(
        self,
        outputs: Sequence[np.ndarray],
        features: Features,
        facts: ModelFacts,
    ) -> list[dict[str, Any]]:
        self._refuse()

    def short_answer(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        self._refuse()

    def format_answer(self, answer: Mapping[str, Any], top: int) -> str:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UsageError(
            "Expected a model with a task. Received: a bare encoder, which has nothing to predict. "
            "Next: fine-tune it with `edgebert finetune`."
        )
