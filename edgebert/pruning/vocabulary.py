"""Vocabulary trimming: keeps the rows of the embedding table that texts of one kind need.

The table is half of a small BERT's file, and the texts of an app use only a part of it. Tokens keep
their order, so only their ids change: a text whose tokens are all kept gives the same scores. A
word whose token was removed is split into shorter tokens; it does not become unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.checkpoint import VOCABULARY_AXES
from converters.vocabulary import SubwordVocabulary
from edgebert.encoding.encoded_rows import EncodedRows, encode_rows
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import UsageError, refuse
from edgebert.models.task_model import TaskModel
from edgebert.pruning import token_choice
from edgebert.settings import VocabularySettings, broken_rules

STAGE = "trim"
TOKEN_TABLE = "embeddings.token"
MOST_UNKNOWN = 0.5
"""A corpus with a larger share of unknown words is refused: its script is not in the vocabulary."""
_FEWEST_TEXTS = 2
_NO_LIMIT = 2**31 - 1

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TokenRates:
    """How a vocabulary splits the words of some texts.

    Attributes:
        words: Number of words, with punctuation marks, without special and added tokens.
        unknown_rate: Share of the words that become [UNK].
        split_rate: Share of the words that become several tokens.
        pieces_per_word: Mean number of tokens per word.
    """

    words: int
    unknown_rate: float
    split_rate: float
    pieces_per_word: float


@dataclass(frozen=True)
class RateChange:
    """The rates of the same texts with the whole vocabulary and with the trimmed one.

    Attributes:
        texts: Number of texts.
        sha256: Hash of the texts, in hex.
        before: Rates of the whole vocabulary.
        after: Rates of the trimmed vocabulary.
        same_texts: Share of the texts that give the same tokens, and so the same scores.
    """

    texts: int
    sha256: str
    before: TokenRates
    after: TokenRates
    same_texts: float


@dataclass(frozen=True)
class TrimResult:
    """The result of trimming.

    Attributes:
        model: The model with fewer rows in its token table and one more history entry.
        kept_ids: The former ids of the remaining rows, int64 `[rows after]`, ascending.
        rows_before: Rows of the token table before.
        rows_after: Rows of the token table after.
        corpus: Rates on the text by which tokens were chosen.
        heldout: Rates on other text; None if there is none.
    """

    model: TaskModel
    kept_ids: Ids
    rows_before: int
    rows_after: int
    corpus: RateChange
    heldout: RateChange | None

    def to_dict(self) -> dict[str, Any]:
        """Everything except the model and the ids, as JSON."""
        return {
            "rows_before": self.rows_before,
            "rows_after": self.rows_after,
            "corpus": asdict(self.corpus),
            "heldout": None if self.heldout is None else asdict(self.heldout),
        }


def trim_vocabulary(
    model: TaskModel,
    corpus: Sequence[str],
    settings: VocabularySettings = VocabularySettings(),
    heldout: Sequence[str] = (),
) -> TrimResult:
    """Removes the tokens that texts like the corpus do not need. Nothing is trained.

    Args:
        model: A model of any task, or a bare encoder.
        corpus: Texts like those the model will read: the training texts, or an app's own.
        settings: Which tokens to keep.
        heldout: Other texts of the same kind, used for the rates only.

    Raises:
        UsageError: Invalid settings, fewer than two texts that are not empty, or a corpus with
            mostly unknown words; the message lists every problem.
    """
    tokenizer, embeddings = model.tokenizer, model.checkpoint.weights[TOKEN_TABLE]
    written = [text for text in corpus if text.strip()]
    problems = _setting_problems(settings, tokenizer.vocabulary) + _corpus_problems(corpus, written)
    refuse(problems if not written else [])
    rows = encode_rows(tokenizer, written, _NO_LIMIT)
    problems += _script_problems(_rates(tokenizer.vocabulary, rows))
    kept_ids, more = _choose(tokenizer, embeddings, written, rows, settings)
    refuse(problems + more)
    trimmed = with_rows(model, kept_ids)
    result = TrimResult(
        trimmed,
        kept_ids,
        tokenizer.vocabulary.size,
        len(kept_ids),
        _compare(model, trimmed, kept_ids, written, rows),
        _compare(model, trimmed, kept_ids, heldout) if heldout else None,
    )
    entry = {"stage": STAGE, "settings": asdict(settings), **result.to_dict()}
    return replace(result, model=replace(trimmed, history=(*model.history, entry)))


def kept_ids_of(before: SubwordVocabulary, after: SubwordVocabulary) -> Ids:
    """The id in the whole vocabulary of each token of a trimmed one: int64 `[after.size]`.

    Args:
        before: The whole vocabulary.
        after: The trimmed vocabulary.

    Raises:
        UsageError: `after` has tokens that `before` does not have.
    """
    ids = {token: token_id for token_id, token in enumerate(before.tokens)}
    unknown = [token for token in after.tokens if token not in ids]
    if unknown:
        raise UsageError(
            f"Expected a vocabulary that was trimmed from one of {before.size} tokens. Received: "
            f"one with {len(unknown)} other tokens, such as {unknown[0]!r}. Next: pass the model "
            "that was trimmed."
        )
    return np.array([ids[token] for token in after.tokens], np.int64)


def with_rows(model: TaskModel, kept_ids: Ids) -> TaskModel:
    """The model with these rows of the token table and their tokens only, in this order."""
    vocabulary, checkpoint = model.tokenizer.vocabulary, model.checkpoint
    selected = vocabulary.select(kept_ids.tolist())
    weights = dict(checkpoint.weights)
    for name, axis in VOCABULARY_AXES.items():
        if name in weights:
            weights[name] = np.take(weights[name], kept_ids, axis)
    config = replace(checkpoint.config, vocab_size=selected.size)
    return replace(
        model,
        checkpoint=replace(checkpoint, config=config, weights=weights),
        tokenizer=Tokenizer(selected, config.num_segments > 1),
    )


def _choose(
    tokenizer: Tokenizer,
    embeddings: npt.NDArray[np.float32],
    texts: Sequence[str],
    rows: EncodedRows,
    settings: VocabularySettings,
) -> tuple[Ids, list[str]]:
    """The ids to keep, and the problems of `keep_tokens`."""
    vocabulary = tokenizer.vocabulary
    counts = np.bincount(rows.token_ids, minlength=vocabulary.size)
    reachable = token_choice.reachable(tokenizer)
    scripts = token_choice.scripts_of(texts)
    base = token_choice.safe_base(vocabulary, reachable, settings, scripts)
    if 0 < settings.keep_tokens < base.sum():
        advice = " or characters='scripts'" if settings.characters == "all" else ""
        return np.zeros(0, np.int64), [
            f"keep_tokens: expected at least {base.sum()}, which are the special tokens, single "
            f"characters and common pieces that any text may need. Received: "
            f"{settings.keep_tokens}. Next: keep more, or set fewer common_pieces{advice}"
        ]
    scores = np.zeros(vocabulary.size)
    if settings.keep_tokens and settings.fill == "likeness":
        is_piece = token_choice.pieces(vocabulary)
        scores = token_choice.usage_probability(embeddings, counts > 0, reachable & ~base, is_piece)
    return np.flatnonzero(token_choice.choose(base, counts, reachable, scores, settings)), []


def _setting_problems(settings: VocabularySettings, vocabulary: SubwordVocabulary) -> list[str]:
    fills, characters = ("likeness", "frequency"), ("all", "scripts")
    rules = [
        ("min_count", settings.min_count >= 1, "at least 1"),
        (
            "keep_tokens",
            0 <= settings.keep_tokens <= vocabulary.size,
            f"0 or at most {vocabulary.size}, which is the whole vocabulary",
        ),
        ("fill", settings.fill in fills, f"one of {', '.join(fills)}"),
        ("characters", settings.characters in characters, f"one of {', '.join(characters)}"),
        ("common_pieces", settings.common_pieces >= 0, "at least 0"),
    ]
    return broken_rules(settings, rules)


def _corpus_problems(corpus: Sequence[str], written: Sequence[str]) -> list[str]:
    if len(written) >= _FEWEST_TEXTS:
        return []
    return [
        f"corpus: expected at least {_FEWEST_TEXTS} texts. Received: {len(corpus)}, of which "
        f"{len(written)} are not empty. Next: pass the training texts, one per line"
    ]


def _script_problems(rates: TokenRates) -> list[str]:
    if rates.words and rates.unknown_rate <= MOST_UNKNOWN:
        return []
    received = f"{100 * rates.unknown_rate:.1f} % of {rates.words} are unknown"
    return [
        "corpus: expected words that the vocabulary can spell. Received: "
        f"{received if rates.words else 'no words'}. Next: use a model whose vocabulary has the "
        "corpus's script, or check the encoding of the file"
    ]


def _compare(
    before: TaskModel,
    after: TaskModel,
    kept_ids: Ids,
    texts: Sequence[str],
    old: EncodedRows | None = None,
) -> RateChange:
    old = encode_rows(before.tokenizer, texts, _NO_LIMIT) if old is None else old
    new = encode_rows(after.tokenizer, texts, _NO_LIMIT)
    joined = b"".join(text.encode("utf-8", "surrogatepass") + b"\n" for text in texts)
    return RateChange(
        len(texts),
        hashlib.sha256(joined).hexdigest(),
        _rates(before.tokenizer.vocabulary, old),
        _rates(after.tokenizer.vocabulary, new),
        _same_rows(old, replace(new, token_ids=kept_ids[new.token_ids].astype(np.int32))),
    )


def _same_rows(old: EncodedRows, new: EncodedRows) -> float:
    same = sum(
        np.array_equal(old.token_ids[a:b], new.token_ids[c:d])
        for a, b, c, d in zip(
            old.starts[:-1], old.starts[1:], new.starts[:-1], new.starts[1:], strict=True
        )
    )
    return same / len(old)


def _rates(vocabulary: SubwordVocabulary, rows: EncodedRows) -> TokenRates:
    """The rates of encoded texts. Each token starts a word, except pieces and special tokens."""
    whole = {token.content for token in vocabulary.whole_tokens} - {vocabulary.unknown_token}
    starts_word = ~token_choice.pieces(vocabulary)
    starts_word[[vocabulary.id_of(token) for token in whole]] = False
    continues = token_choice.pieces(vocabulary)[rows.token_ids]
    starts = starts_word[rows.token_ids]
    words = int(starts.sum())
    unknown = int((rows.token_ids == vocabulary.id_of(vocabulary.unknown_token)).sum())
    split = int((starts[:-1] & continues[1:]).sum())
    total = max(words, 1)
    return TokenRates(words, unknown / total, split / total, (words + int(continues.sum())) / total)
