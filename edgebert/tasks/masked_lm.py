"""Masked language modelling with next-sentence prediction: BERT's two objectives, on running text.

The model predicts the tokens at chosen positions of a text. In training, the positions are drawn
again in every epoch, and most of them, but not all, hold [MASK]. In evaluation and prediction all
of them hold [MASK], for a folder and a file alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converters import heads
from converters.checkpoint import Checkpoint
from converters.tflite.output_names import LOGITS
from edgebert.data.corpus_files import Corpus, Document, read_corpus, sentences_of
from edgebert.data.datasets import Dataset, Example, read_labelled
from edgebert.data.labels import LabelUse
from edgebert.encoding.encoded_rows import Inputs
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.errors import UsageError
from edgebert.settings import DataSettings, FinetuneSettings, TaskSettings
from edgebert.tasks.corpus_rows import CorpusRows, pack_corpus
from edgebert.tasks.mask_filling import MASK, fill_masks, top_tokens
from edgebert.tasks.masked_rows import (
    EVALUATION_SEED,
    NEXT_SENTENCE,
    PLACES,
    EvaluationTexts,
    MaskedRows,
    masked_encoding,
)
from edgebert.tasks.masking import MaskedEncoding, Masking, padded_places
from edgebert.tasks.probabilities import log_softmax
from edgebert.tasks.task import Decoding, Features, ModelFacts, Task, TrainingRows

if TYPE_CHECKING:
    import keras

EVALUATED_PLACES = 8
"""Maximum number of evaluated positions in a row. A file has few mask outputs, too."""
SCORES = np.dtype([("log_probability", "f4"), ("hit", "?"), ("next_sentence_hit", "f4")])
"""The result at an evaluated position, instead of logits for the whole vocabulary."""
_WORD = re.compile(r"\w+")
_MASK_EVERY = 5
_FRAME = 2


@dataclass(frozen=True)
class MaskedFeatures(Features):
    """Encoded texts with masked positions.

    Attributes:
        tokens: The tokens of the vocabulary.
        masking: The rules for the choice of positions.
        corpus: The rows of running text; None for input texts.
        space: The character for a space at the start of tokens; empty if they have none.
    """

    tokens: tuple[str, ...] = ()
    masking: Masking | None = field(default=None, repr=False)
    corpus: CorpusRows | None = field(default=None, repr=False)
    space: str = ""


class MaskedLM(Task[MaskedFeatures]):
    """Predicts masked tokens, and whether a second text follows the first."""

    name = "masked-lm"
    title = "masked language model"
    head = heads.MASKED_LM
    metric = "masked_accuracy"
    file_outputs = (LOGITS,)
    comparable = False
    evaluates_token_ids = True

    def model_title(self) -> str:
        return "a masked LM"

    def read(self, path: Path | str, columns: DataSettings, labels: LabelUse) -> Dataset:
        """Reads running text for training and evaluation; without labels, texts with [MASK].

        Without labels, each sentence of running text is a text. Blank lines between documents are
        skipped.
        """
        is_running_text = Path(path).name.lower().removesuffix(".gz").endswith(".txt")
        if columns.label_map:
            raise UsageError(
                "--label-map: expected data with labels. Received: running text. Next: leave "
                "--label-map out."
            )
        if labels != "none":
            return read_corpus(path, self.name, columns)
        if is_running_text:
            return sentences_of(read_corpus(path, self.name, columns))
        texts = read_labelled(path, columns, "none")
        return replace(texts, task=self.name)

    def resolve_settings(self, settings: TaskSettings, train: Dataset) -> TaskSettings:
        """Turns next-sentence prediction on if the text has several documents, unless it is off."""
        documents = train.examples
        many = isinstance(documents, Corpus) and documents.has_documents and len(documents) > 1
        if settings.next_sentence == "on" and not many:
            raise UsageError(
                f"{train.name}: expected documents for --next-sentence on. Received: one flat "
                "text. Next: put an empty line between documents, or leave the flag out."
            )
        if not 0 < settings.mask_share < 1:
            raise UsageError(
                f"--mask-share: expected between 0 and 1. Received: {settings.mask_share:g}."
            )
        wanted = settings.next_sentence != "off" and many
        return replace(settings, next_sentence="on" if wanted else "off")

    def decoding(self, settings: TaskSettings) -> dict[str, Any]:
        """`next_sentence`, `mask_share` and `whole_words`: the settings of the evaluation.

        A file also has `masks`, its number of mask outputs.
        """
        return {
            "next_sentence": settings.next_sentence != "off",
            "mask_share": settings.mask_share,
            "whole_words": settings.whole_words,
        }

    def features(
        self, tokenizer: Tokenizer, examples: Sequence[Any], max_length: int, decoding: Decoding
    ) -> MaskedFeatures:
        """Encodes running text as packed rows, or single texts with their [MASK] tokens.

        In a text without [MASK], positions are chosen as in running text. A text without any token
        becomes a single mask.
        """
        defaults = TaskSettings()
        masking = Masking.of(
            tokenizer.vocabulary,
            decoding.get("mask_share", defaults.mask_share),
            decoding.get("whole_words", defaults.whole_words),
        )
        most = min(EVALUATED_PLACES, decoding.get("masks", EVALUATED_PLACES))
        tokens = tokenizer.vocabulary.tokens
        if len(examples) and isinstance(examples[0], Document):
            in_pairs = bool(decoding.get("next_sentence")) and len(examples) > 1
            corpus = pack_corpus(tokenizer, examples, max_length, in_pairs)
            encodings: Sequence[Encoding] = EvaluationTexts(corpus, masking, most)
            return MaskedFeatures(examples, encodings, corpus.owners, 0, tokens, masking, corpus)
        mask = tokenizer.vocabulary.mask_token
        texts = [example.text.replace(MASK, mask) for example in examples]
        encoded = [
            encoding if len(encoding) > _FRAME else tokenizer.encode(mask)
            for encoding in tokenizer.encode_batch(texts, max_length)
        ]
        answered = decoding.get("masks")
        encodings = [_masked_input(encoding, masking, most, answered) for encoding in encoded]
        full = [i for i, encoding in enumerate(encoded) if len(encoding) == max_length]
        lengths = tokenizer.count_lengths([texts[i] for i in full])
        owners = np.arange(len(examples), dtype=np.int32)
        truncated = int(np.sum(lengths > max_length))
        space = tokenizer.vocabulary.space
        return MaskedFeatures(examples, encodings, owners, truncated, tokens, masking, space=space)

    def example(self, *texts: str) -> Example:
        if len(texts) != 1:
            raise UsageError(f"Expected one text with {MASK} in it. Received: {len(texts)} texts.")
        return Example(texts[0])

    def input_texts(self, example: Any) -> tuple[str, ...]:
        """The text; for a document its sentences, joined by spaces."""
        return (example.text if isinstance(example, Example) else " ".join(example.sentences),)

    def check_examples(self, texts: Sequence[str]) -> list[Any]:
        """The texts with every fifth word masked, up to `EVALUATED_PLACES` words."""
        return [Example(_masked_words(text)) for text in texts]

    def rows(
        self,
        features: MaskedFeatures,
        facts: ModelFacts,
        settings: FinetuneSettings,
        tokenizer: Tokenizer,
    ) -> MaskedRows:
        if features.corpus is None or features.masking is None:
            raise UsageError("Expected running text to train on. Received: texts with [MASK].")
        in_pairs = bool(facts.decoding.get("next_sentence"))
        return MaskedRows(
            features.corpus, features.masking, features.encodings, settings.seed, in_pairs
        )

    def prepare_checkpoint(self, checkpoint: Checkpoint, settings: TaskSettings) -> Checkpoint:
        """See `Task.prepare_checkpoint`; has the next-sentence arrays only if they are trained."""
        base = super().prepare_checkpoint(checkpoint, settings)
        size = base.config.hidden_size
        own = {"next_sentence.kernel": (2, size), "next_sentence.bias": (2,)}
        weights = {name: array for name, array in base.weights.items() if name not in own}
        if settings.next_sentence != "off":
            zeros = {name: np.zeros(shape, np.float32) for name, shape in own.items()}
            weights |= {name: base.weights.get(name, zeros[name]) for name in own}
        return base.with_weights(weights)

    def add_head(
        self, backbone: Any, checkpoint: Checkpoint, num_outputs: int, dropout: float, seed: int
    ) -> keras.Model:
        """BERT's own heads (Devlin et al. 2019): see `masked_lm_head`."""
        from edgebert.tasks import masked_lm_head

        return masked_lm_head.build(backbone, checkpoint, dropout, seed)

    def start_head(self, model: keras.Model, rows: TrainingRows) -> None:
        """Initializes the output's bias to the logarithm of each token's frequency.

        Otherwise the first steps only learn these frequencies: on SQuAD's text, MiniLM with a new
        head has a loss of 6.4 nats per token after 60 steps, and 6.7 with a bias of zeros.
        """
        from edgebert.tasks import masked_lm_head

        assert isinstance(rows, MaskedRows)
        masked_lm_head.set_bias(model, rows.log_frequencies())

    def loss(self, labels: Sequence[str]) -> Any:
        """The mean cross-entropy of a row's masked tokens plus that of the next sentence."""
        from edgebert.tasks import masked_lm_head

        return masked_lm_head.loss()

    # Outputs

    def inputs(self, inputs: Inputs, encodings: Sequence[Encoding]) -> Inputs:
        """Adds the masked positions."""
        return {**inputs, PLACES: padded_places([_masks(encoding) for encoding in encodings])}

    def split_outputs(self, outputs: Any, encodings: Sequence[Encoding]) -> list[np.ndarray]:
        """Logits `[masks, vocab_size]`, or `SCORES` `[masks]` if the original tokens are known.

        Args:
            outputs: `logits`, `[batch, positions, vocab_size]`, and optionally `next_sentence`,
                `[batch, 2]`.
            encodings: The encodings of the batch.
        """
        logits, following = outputs[LOGITS], outputs.get(NEXT_SENTENCE)
        found = []
        for row, encoding in enumerate(encodings):
            output = logits[row, : len(_masks(encoding))]
            if isinstance(encoding, MaskedEncoding) and encoding.hidden:
                two = None if following is None else following[row]
                output = _scored(output, encoding, two)
            found.append(output)
        return found

    def metrics(
        self,
        outputs: Sequence[np.ndarray],
        features: MaskedFeatures,
        facts: ModelFacts,
    ) -> dict[str, float]:
        """Perplexity and accuracy over all evaluated positions; for pairs next-sentence accuracy.

        Raises:
            UsageError: The features are of texts with [MASK], whose original tokens are unknown.
        """
        if features.corpus is None:
            raise UsageError("Expected running text to evaluate on. Received: texts with [MASK].")
        scores = np.concatenate(outputs)
        found = {
            "perplexity": float(np.exp(-scores["log_probability"].mean(dtype=np.float64))),
            "masked_accuracy": float(scores["hit"].mean()),
        }
        pairs = np.array([output["next_sentence_hit"][0] for output in outputs if len(output)])
        if np.isfinite(pairs).any():
            found["next_sentence_accuracy"] = float(np.nanmean(pairs))
        return found

    def answers(
        self,
        outputs: Sequence[np.ndarray],
        features: MaskedFeatures,
        facts: ModelFacts,
    ) -> list[dict[str, Any]]:
        """`text`; `masks` with the position and the top `tokens` of each [MASK]; the `filled` text.

        Each [MASK] is filled independently. A [MASK] behind the maximum length, or beyond the
        number of the file's mask outputs, stays unchanged and has no tokens.
        """
        assert features.masking is not None
        names = {MASK, features.tokens[features.masking.mask_id]}
        mask_pattern = re.compile("|".join(map(re.escape, names)))
        found = []
        for example, output, encoding in zip(
            features.examples, outputs, features.encodings, strict=True
        ):
            is_chosen = isinstance(encoding, MaskedEncoding) and encoding.chosen
            masks: list[dict[str, Any]] = [
                {"start": match.start(), "end": match.end(), "tokens": []}
                for match in mask_pattern.finditer(example.text)
            ]
            for mask, row in zip(masks, () if is_chosen else output, strict=False):
                mask["tokens"] = top_tokens(row, features.tokens)
            found.append(
                {
                    "text": example.text,
                    "filled": fill_masks(example.text, masks, features.space),
                    "masks": masks,
                }
            )
        return found

    def short_answer(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {"filled": answer["filled"]}

    def format_answer(self, answer: Mapping[str, Any], top: int) -> str:
        if not answer["masks"]:
            return f"{answer['text']}\t(no {MASK} in it)"
        choices = [
            ", ".join(f"{item['token']} {item['probability']:.3f}" for item in mask["tokens"][:top])
            for mask in answer["masks"]
        ]
        return "\t".join([answer["filled"], *(choice or "(no answer)" for choice in choices)])

    def log_probabilities(self, output: np.ndarray) -> np.ndarray | None:
        return None if output.dtype.names else log_softmax(output)


def _masked_input(
    encoding: Encoding, masking: Masking, most: int, answered: int | None
) -> MaskedEncoding:
    """An input text with its first `answered` masks, or with chosen ones if it has none."""
    ids = np.array(encoding.token_ids, np.int32)
    masks = np.flatnonzero(ids == masking.mask_id)[:answered]
    if not len(masks):
        generator = np.random.default_rng([EVALUATION_SEED, *encoding.token_ids])
        segments = np.array(encoding.segment_ids, np.int32)
        return replace(
            masked_encoding(ids, segments, masking, generator, most=most), hidden=(), chosen=True
        )
    return MaskedEncoding(
        encoding.token_ids, encoding.segment_ids, encoding.offsets, tuple(masks.tolist())
    )


def _masks(encoding: Encoding) -> tuple[int, ...]:
    return encoding.masks if isinstance(encoding, MaskedEncoding) else ()


def _masked_words(text: str) -> str:
    words = list(_WORD.finditer(text))[::_MASK_EVERY][:EVALUATED_PLACES]
    for word in reversed(words):
        text = text[: word.start()] + MASK + text[word.end() :]
    return text if words else f"{text} {MASK}"


def _scored(
    logits: np.ndarray, encoding: MaskedEncoding, following: np.ndarray | None
) -> np.ndarray:
    """The result of an evaluated text: `SCORES` `[masks]`."""
    hidden = np.array(encoding.hidden[: len(logits)], np.int64)
    scores = np.zeros(len(logits), SCORES)
    scores["log_probability"] = log_softmax(logits)[np.arange(len(logits)), hidden]
    scores["hit"] = logits.argmax(-1) == hidden
    scores["next_sentence_hit"] = np.nan
    if following is not None and encoding.follows >= 0:
        scores["next_sentence_hit"] = int(following.argmax()) == 1 - encoding.follows
    return scores
