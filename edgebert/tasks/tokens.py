"""Common part of the tasks that tag words: data, head, loss, and the answer for each word."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from converters import heads
from converters.checkpoint import Checkpoint
from converters.tflite.output_names import LOGITS, PROBABILITIES
from edgebert.data.conll_files import TaggedSentence, has_tokens, read_tagged
from edgebert.data.datasets import Dataset, Example, read_labelled
from edgebert.data.files import STANDARD_INPUT
from edgebert.data.labels import LabelUse
from edgebert.encoding.encoded_rows import EncodedRows, Inputs, joined_rows, rows_of
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import DataError, UsageError
from edgebert.settings import DataSettings, FinetuneSettings, TaskSettings
from edgebert.tasks.classification import class_weights
from edgebert.tasks.probabilities import log_softmax
from edgebert.tasks.task import Decoding, Features, ModelFacts, Task
from edgebert.tasks.text_task import output_layer
from edgebert.tasks.word_alignment import WINDOW_OVERLAP, Parts, Places, align, joined_places

if TYPE_CHECKING:
    import keras

TOKEN_CLASSIFIER_LAYER = "token_classifier"
FIRST_PIECE = "first-piece"
FIRST_PARTS = "first"
NO_TARGET = -1
"""The target of a token that the loss ignores."""
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class TokenFeatures(Features):
    """Encoded sentences and texts with their alignment: see `edgebert.tasks.word_alignment`.

    Attributes:
        places: The positions of each example's words in its text.
        parts: The parts of each encoding.
    """

    places: Sequence[Places]
    parts: Sequence[Parts]


@dataclass(frozen=True)
class TokenRows:
    """Encoded windows with a target for each token.

    Attributes:
        encoded: The windows.
        targets: Label indices, or `NO_TARGET` for tokens that the loss ignores, int32
            `[tokens of all rows]`.
        label_weights: Weight of each label in the loss, float32 `[labels]`.
    """

    encoded: EncodedRows
    targets: npt.NDArray[np.int32]
    label_weights: npt.NDArray[np.float32]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row, `[rows]`."""
        return self.encoded.lengths

    def __len__(self) -> int:
        return len(self.encoded)

    def batch(
        self, rows: npt.NDArray[np.int64], longest: int, epoch: int
    ) -> tuple[Inputs, npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """See `edgebert.tasks.task.TrainingRows.batch`.

        Targets are int32 and weights float32, both `[batch, length]`.
        """
        inputs = self.encoded.padded(rows, longest)
        filled = inputs["padding_mask"].astype(bool)
        places = (self.encoded.starts[rows][:, None] + np.arange(filled.shape[1]))[filled]
        targets = np.full(filled.shape, NO_TARGET, np.int32)
        targets[filled] = self.targets[places]
        return inputs, targets, self.label_weights[np.maximum(targets, 0)]

    def texts_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The numbers of the encoded texts of a batch: each row is one."""
        return rows

    def followed_by(self, more: EncodedRows, sources: npt.NDArray[np.int64]) -> TokenRows:
        """See `edgebert.tasks.unlabelled.RowsToExtend.followed_by`."""
        ignored = np.full(len(more.token_ids), NO_TARGET, np.int32)
        targets = np.concatenate([self.targets, ignored])
        return replace(self, encoded=joined_rows([self.encoded, more]), targets=targets)


@dataclass(frozen=True)
class WordTags:
    """The predicted tags of one example.

    Attributes:
        tags: The tag of each word; None for a word without a token.
        scores: The probability of each tag; 0 for a word without a token.
    """

    tags: Sequence[str | None]
    scores: Sequence[float]


class TokenTask(Task[TokenFeatures]):
    """A task that predicts a tag for each word."""

    head = heads.TOKEN_CLASSIFIER
    file_outputs = (PROBABILITIES, LOGITS)
    outputs_per_token = True
    cuts_copies = False
    entities: bool
    """Whether the tags are IOB2 tags of entities."""

    def read(self, path: Path | str, columns: DataSettings, labels: LabelUse) -> Dataset:
        """Reads CoNLL columns or JSONL; without labels also plain texts.

        Plain texts are the content of a .txt or .csv file, the standard input, a JSONL file without
        lists of tokens, and a .tsv file if a column is given by name.
        """
        path = Path(path)
        if labels == "none" and _has_texts(path, columns):
            return read_labelled(path, columns, labels)
        dataset = read_tagged(path, columns, labels=labels, entities=self.entities)
        return replace(dataset, task=self.name) if labels == "required" else dataset

    def require_known(self, data: Dataset, labels: Sequence[str]) -> None:
        counts: Counter[str] = Counter()
        for tag, count in _tags_of(data).items():
            counts[self.required_label(tag)] += count
        known = set(map(self.required_label, labels))
        unknown = [f"{tag!r} ({counts[tag]}x)" for tag in sorted(counts) if tag not in known]
        if unknown:
            more = f", and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
            raise DataError(
                f"{data.name}: expected tags that the model knows: "
                f"{', '.join(map(repr, sorted(known)))}. "
                f"Received also: {', '.join(unknown[:_SHOWN])}{more}. "
                "Next: train with these tags, or take their sentences out."
            )

    def required_label(self, tag: str) -> str:
        """The part of a tag that the model's labels must contain for an evaluation."""
        return tag

    def decoding(self, settings: TaskSettings) -> dict[str, Any]:
        """The alignment (`edgebert.tasks.word_alignment`) and the parts of words with targets."""
        return {
            "alignment": FIRST_PIECE,
            "labelled_parts": settings.labelled_parts,
            "window_overlap": WINDOW_OVERLAP,
        }

    def complete_decoding(self, decoding: Decoding) -> dict[str, Any]:
        """Assumes that models from other sources were trained on the first part of each word."""
        return {**self.decoding(TaskSettings(labelled_parts=FIRST_PARTS)), **decoding}

    def features(
        self, tokenizer: Tokenizer, examples: Sequence[Any], max_length: int, decoding: Decoding
    ) -> TokenFeatures:
        """Aligns words and tokens. Long texts are split into windows, so no word is lost."""
        overlap = float(decoding.get("window_overlap", WINDOW_OVERLAP))
        texts = [example.text for example in examples]
        aligned = [
            align(
                example.text,
                encoding,
                tokenizer.vocabulary,
                max_length,
                places=joined_places(example.words)
                if isinstance(example, TaggedSentence)
                else None,
                window_overlap=overlap,
            )
            for example, encoding in zip(examples, tokenizer.encode_batch(texts), strict=True)
        ]
        windows = [len(each.windows) for each in aligned]
        return TokenFeatures(
            examples,
            [window for each in aligned for window in each.windows],
            np.repeat(np.arange(len(aligned), dtype=np.int32), windows),
            places=[each.places for each in aligned],
            parts=[parts for each in aligned for parts in each.parts],
        )

    def example(self, *texts: str) -> Example:
        if len(texts) != 1:
            raise UsageError(f"Expected one text. Received: {len(texts)}.")
        return Example(texts[0])

    def is_labelled(self, example: Any) -> bool:
        return isinstance(example, TaggedSentence) and None not in example.tags

    def copy_of(self, example: Any, texts: Sequence[str]) -> Example:
        return Example(texts[0])

    def rows(
        self,
        features: TokenFeatures,
        facts: ModelFacts,
        settings: FinetuneSettings,
        tokenizer: Tokenizer,
    ) -> TokenRows:
        number = {label: place for place, label in enumerate(facts.labels)}
        only_first = facts.decoding.get("labelled_parts") == FIRST_PARTS
        targets = []
        for encoding, owner, parts in zip(
            features.encodings, features.owners, features.parts, strict=True
        ):
            row = np.full(len(encoding), NO_TARGET, np.int32)
            tags = features.examples[owner].tags
            row[parts.tokens] = [
                number[tags[word] if first else self.tag_of_later_part(tags[word])]
                for word, first in zip(parts.words, parts.first, strict=True)
            ]
            if only_first:
                row[parts.tokens[~parts.first]] = NO_TARGET
            targets.append(row)
        flat = np.concatenate(targets)
        weights = np.ones(len(facts.labels), np.float32)
        if settings.class_weights == "balanced":
            weights = class_weights(flat[flat != NO_TARGET], len(facts.labels))
        return TokenRows(rows_of(features.encodings, tokenizer.pad_id), flat, weights)

    def tag_of_later_part(self, tag: str) -> str:
        """The target of the later parts of a word with this tag."""
        return tag

    def add_head(
        self, backbone: Any, checkpoint: Checkpoint, num_outputs: int, dropout: float, seed: int
    ) -> keras.Model:
        """BERT's own head: dropout and one dense layer for every token."""
        import keras

        x = backbone.output["sequence_output"]
        x = keras.layers.Dropout(dropout, seed=seed, name="token_dropout")(x)
        logits = output_layer(num_outputs, seed, TOKEN_CLASSIFIER_LAYER)(x)
        return keras.Model(backbone.input, logits, name="token_classification_model")

    def loss(self, labels: Sequence[str]) -> Any:
        """Cross-entropy of logits `[batch, length, labels]`, the mean over the batch's targets.

        Tokens without a target are ignored, as with PyTorch's `ignore_index`.
        """
        import keras

        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=NO_TARGET)

    def word_tags(
        self, outputs: Sequence[np.ndarray], features: TokenFeatures, labels: Sequence[str]
    ) -> list[WordTags]:
        """The most probable tag of each word of each example."""
        tags: list[list[str | None]] = [[None] * len(places) for places in features.places]
        scores = [[0.0] * len(places) for places in features.places]
        for output, owner, parts in zip(outputs, features.owners, features.parts, strict=True):
            rows = log_softmax(output[parts.tokens[parts.first]])
            words = parts.words[parts.first]
            for word, best, score in zip(words, rows.argmax(-1), rows.max(-1), strict=True):
                tags[owner][word], scores[owner][word] = labels[best], float(np.exp(score))
        return [WordTags(*pair) for pair in zip(tags, scores, strict=True)]

    def answers(
        self,
        outputs: Sequence[np.ndarray],
        features: TokenFeatures,
        facts: ModelFacts,
    ) -> list[dict[str, Any]]:
        """For each example `text`, `words` and the fields of `extra_fields`.

        A word has `text`, `start` and `end` (Unicode code points of the example's text), `tag`
        (None for a word without a token) and `score`, the tag's probability.
        """
        found = []
        for example, places, predicted in zip(
            features.examples,
            features.places,
            self.word_tags(outputs, features, facts.labels),
            strict=True,
        ):
            text = example.text
            words = [
                {"text": text[start:end], "tag": tag, "start": start, "end": end, "score": score}
                for (start, end), tag, score in zip(
                    places, predicted.tags, predicted.scores, strict=True
                )
            ]
            found.append({"text": text, "words": words, **self.extra_fields(text, words)})
        return found

    @abstractmethod
    def extra_fields(self, text: str, words: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The fields of an answer besides its words."""

    def log_probabilities(self, output: np.ndarray) -> np.ndarray:
        return log_softmax(output)


def true_tags(features: TokenFeatures) -> list[Sequence[str]]:
    """The tags of labelled sentences."""
    return [example.tags for example in features.examples]


def _has_texts(path: Path, columns: DataSettings) -> bool:
    """Whether a file that is read without tags has plain texts instead of words in columns."""
    if path == STANDARD_INPUT:
        return True
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    named = bool(columns.text_column) and not columns.text_column.isdigit()
    if ending == ".jsonl":
        return not has_tokens(path, columns.encoding)
    return {".txt": not columns.text_column, ".csv": True, ".json": True, ".tsv": named}.get(
        ending, False
    )


def _tags_of(data: Dataset) -> Counter[str]:
    """How often each tag occurs.

    Raises:
        DataError: Words have no tag.
    """
    tags = Counter(tag for example in data.examples for tag in getattr(example, "tags", (None,)))
    if tags.pop(None, 0):
        raise DataError(
            f"{data.name}: expected a tag for every word. Received: words without one. "
            "Next: read a file that has tags."
        )
    return Counter({str(tag): count for tag, count in tags.items()})


def tags_of(data: Dataset) -> list[str]:
    """The tags that occur, sorted.

    Raises:
        DataError: Words have no tag.
    """
    return sorted(_tags_of(data))
