"""Common part of the tasks on whole texts: one encoding per example, BERT's head on [CLS]."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from converters import heads
from converters.checkpoint import Checkpoint
from converters.heads import is_head_weight
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import UsageError
from edgebert.settings import TaskSettings
from edgebert.tasks.task import Decoding, Features, Task
from edgebert.tasks.text_features import HasTexts, encode_texts, require_pairs

if TYPE_CHECKING:
    import keras

CLASSIFIER_LAYER = "classifier"


class TextTask(Task[Features]):
    """A task on whole texts, or pairs of texts.

    Attributes:
        problem: Meaning of the head's outputs, one of `converters.heads.PROBLEMS`.
    """

    head = heads.CLASSIFIER
    problem: ClassVar[str]
    teacher_runs_once = True

    def features(
        self, tokenizer: Tokenizer, examples: Sequence[Any], max_length: int, decoding: Decoding
    ) -> Features:
        if self.texts_of(decoding) == 2:
            require_pairs(examples)
        return encode_texts(tokenizer, examples, max_length)

    def example(self, *texts: str) -> Any:
        fewest = self.texts
        if not fewest <= len(texts) <= 2:
            expected = "two texts" if fewest == 2 else "a text or a pair of texts"
            raise UsageError(f"Expected {expected}. Received: {len(texts)}.")
        return self.unlabelled(texts[0], texts[1] if len(texts) == 2 else None)

    @abstractmethod
    def unlabelled(self, text: str, pair: str | None) -> Any:
        """An example without a label."""

    def copied_texts(self, example: Any) -> tuple[str, ...]:
        return self.input_texts(example)

    def copy_of(self, example: Any, texts: Sequence[str]) -> Any:
        return self.unlabelled(texts[0], texts[1] if len(texts) == 2 else None)

    def input_texts(self, example: Any) -> tuple[str, ...]:
        return (example.text,) if example.pair is None else (example.text, example.pair)

    def prepare_checkpoint(self, checkpoint: Checkpoint, settings: TaskSettings) -> Checkpoint:
        """See `Task.prepare_checkpoint`; a head for another problem is removed, too."""
        base = super().prepare_checkpoint(checkpoint, settings)
        if base.problem == self.problem:
            return base
        encoder = {name: array for name, array in base.weights.items() if not is_head_weight(name)}
        return replace(base, weights=encoder, labels=(), problem=self.problem)

    def add_head(
        self, backbone: Any, checkpoint: Checkpoint, num_outputs: int, dropout: float, seed: int
    ) -> keras.Model:
        """BERT's own head: the pooled [CLS] row, dropout, one dense layer."""
        import keras

        x = backbone.output["pooled_output"]
        x = keras.layers.Dropout(dropout, seed=seed, name="classifier_dropout")(x)
        logits = output_layer(num_outputs, seed, CLASSIFIER_LAYER)(x)
        return keras.Model(backbone.input, logits, name=f"{self.name.replace('-', '_')}_model")


def output_layer(num_outputs: int, seed: int, name: str) -> Any:
    """The last dense layer of a head, float32, with BERT's initial weights."""
    import keras

    return keras.layers.Dense(
        num_outputs,
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02, seed=seed),
        dtype="float32",
        name=name,
    )


def input_fields(example: HasTexts) -> dict[str, str]:
    """The input texts of an answer: `text`, and `pair` for pairs."""
    return {"text": example.text} | ({} if example.pair is None else {"pair": example.pair})


def answer_line(predictions: Sequence[str], answer: Mapping[str, Any]) -> str:
    """An answer as a line: the predictions, then the input texts, separated by tabs."""
    return "\t".join([*predictions, *(answer[key] for key in ("text", "pair") if key in answer)])


def pairs_of(task: TextTask, texts: Sequence[str]) -> list[Any]:
    """Pairs of each text with the next one, and of the last text with the first."""
    return [task.example(text, texts[(i + 1) % len(texts)]) for i, text in enumerate(texts)]
