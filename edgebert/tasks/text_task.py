"""What tasks on whole texts share: one encoding a text or pair, BERT's own head on [CLS]."""

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
        problem: what the head's outputs are, one of `converters.heads.PROBLEMS`.
    """

    head = heads.CLASSIFIER
    problem: ClassVar[str]

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

    def input_texts(self, example: Any) -> tuple[str, ...]:
        return (example.text,) if example.pair is None else (example.text, example.pair)

    def prepare_checkpoint(self, checkpoint: Checkpoint, settings: TaskSettings) -> Checkpoint:
        """As every task's; a head whose outputs mean something else is left out."""
        base = super().prepare_checkpoint(checkpoint, settings)
        if base.problem == self.problem:
            return base
        encoder = {name: array for name, array in base.weights.items() if not is_head_weight(name)}
        return replace(base, weights=encoder, labels=(), problem=self.problem)

    def add_head(
        self, backbone: Any, checkpoint: Checkpoint, num_outputs: int, dropout: float, seed: int
    ) -> keras.Model:
        """The head is BERT's own: the pooled [CLS] row, dropout, one dense layer."""
        import keras

        x = backbone.output["pooled_output"]
        x = keras.layers.Dropout(dropout, seed=seed, name="classifier_dropout")(x)
        logits = output_layer(num_outputs, seed, CLASSIFIER_LAYER)(x)
        return keras.Model(backbone.input, logits, name=f"{self.name.replace('-', '_')}_model")


def output_layer(num_outputs: int, seed: int, name: str) -> Any:
    """The dense layer that ends a head, float32, with BERT's own initial weights."""
    import keras

    return keras.layers.Dense(
        num_outputs,
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02, seed=seed),
        dtype="float32",
        name=name,
    )


def asked(example: HasTexts) -> dict[str, str]:
    """What an answer says of its question: `text`, and `pair` where there are two."""
    return {"text": example.text} | ({} if example.pair is None else {"pair": example.pair})


def line(said: Sequence[str], answer: Mapping[str, Any]) -> str:
    """An answer as a line: what is said, then the texts, with tabs between them."""
    return "\t".join([*said, *(answer[key] for key in ("text", "pair") if key in answer)])


def pairs_of(task: TextTask, texts: Sequence[str]) -> list[Any]:
    """Each text with the one after it, the last with the first."""
    return [task.example(text, texts[(i + 1) % len(texts)]) for i, text in enumerate(texts)]
