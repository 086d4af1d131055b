"""Tokenization: text to token ids and character offsets.

A vocabulary (WordPiece or Unigram) holds the tokens and the rules, and the library `tokenizers`
applies them, so ids equal those of `transformers`. Without that library, such as on a board,
`edgebert.encoding.python_tokenizer` gives the same ids of WordPiece in more time. This includes
special tokens: the literal text `[SEP]` or `[MASK]` becomes the special token. Callers that must
prevent this have to remove such literals from the text first.

No call changes a `Tokenizer`, so threads can share one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from converters.vocabulary import SubwordVocabulary, Vocabulary
from edgebert.data.characters import replace_lone_surrogates
from edgebert.errors import MissingExtraError, ModelError, UsageError

if TYPE_CHECKING:
    import tokenizers

    from edgebert.encoding.python_tokenizer import PythonEncoding, PythonTokenizer

WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""The characters with Unicode's property White_Space."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of a text, or of a pair of texts, without padding.

    Attributes:
        token_ids: ids of `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`; some vocabularies put two
            `[SEP]` between A and B (`pair_separators`).
        segment_ids: 1 for the tokens of B and its [SEP], 0 for the others; all 0 for some
            vocabularies (`second_segment`).
        offsets: start and end of each token in its text, in Unicode code points; (0, 0) for [CLS]
            and [SEP]. Pieces of Unigram are without the white space around them, unless they are
            white space only; the piece that is a space alone has an empty span.
    """

    token_ids: tuple[int, ...]
    segment_ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.token_ids)

    def part(self, start: int, stop: int) -> Encoding:
        """A window of the tokens of a single text, with the same [CLS] and [SEP].

        Args:
            start: first token of the window; 0 is the token after [CLS].
            stop: token after the last one of the window.
        """
        last = len(self) - 1
        kept = slice(min(1 + start, last), min(1 + stop, last))
        return Encoding(
            *(
                (row[0], *row[kept], row[last])
                for row in (self.token_ids, self.segment_ids, self.offsets)
            )
        )


class Tokenizer:
    """Encodes texts by the rules of a vocabulary.

    Any `str` is valid. WordPiece removes control characters. A lone surrogate (half of a UTF-16
    pair) counts as U+FFFD. An empty text gives `[CLS] [SEP]`.

    Args:
        vocabulary: tokens and rules.
        segments: whether the segment ids of the second text of a pair are 1. If False they are 0,
            for a model whose segment table has one row.
    """

    def __init__(self, vocabulary: SubwordVocabulary, segments: bool = True) -> None:
        # The library warns when a process forks after the use of threads. One thread encodes tens
        # of thousands of sentences per second. A setting of the user has precedence.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._vocabulary = vocabulary
        self._segments = segments
        self._separators = vocabulary.pair_separators
        self._space_id = vocabulary.space_id
        self._has_spaces = bool(vocabulary.space)
        self._backend = _backend_of(vocabulary)

    @property
    def vocabulary(self) -> SubwordVocabulary:
        """The tokens and the rules."""
        return self._vocabulary

    @property
    def pad_id(self) -> int:
        """The token id of the padding."""
        return self._vocabulary.id_of(self._vocabulary.pad_token)

    def encode(self, text: str, pair: str | None = None, max_length: int | None = None) -> Encoding:
        """Encodes a text, or a pair of texts.

        Args:
            text: any text.
            pair: a second text, for tasks on pairs.
            max_length: Maximum number of tokens, with [CLS] and [SEP], which are kept. In a pair,
                the longer text is cut first. None cuts nothing.

        Raises:
            UsageError: `max_length` is less than the number of special tokens.
            ModelError: The library can't apply the rules of the vocabulary to the text.
        """
        with _panic_as_error():
            try:
                encoded = self._backend.encode(text, pair)
            except TypeError:  # the library raises this for lone surrogates
                pair = pair if pair is None else replace_lone_surrogates(pair)
                encoded = self._backend.encode(replace_lone_surrogates(text), pair)
        return self._to_encoding(encoded, (text, pair or ""), max_length)

    def encode_batch(
        self,
        texts: Sequence[str],
        max_length: int | None = None,
        pairs: Sequence[str] | None = None,
    ) -> list[Encoding]:
        """Encodes texts, or pairs of texts; faster than `encode` for each.

        Args:
            texts: any texts.
            max_length: as for `encode`.
            pairs: the second text of each pair; the same number as `texts`.

        Raises:
            UsageError: As for `encode`, or `pairs` and `texts` differ in number.
            ModelError: As for `encode`.
        """
        if pairs is not None and len(pairs) != len(texts):
            raise UsageError(
                f"Expected a second text for each of {len(texts)} texts. Received: {len(pairs)}."
            )
        encoded: Sequence[tokenizers.Encoding | PythonEncoding]
        with _panic_as_error():
            try:
                encoded = self._backend.encode_batch(_inputs(texts, pairs))
            except TypeError:
                texts = list(map(replace_lone_surrogates, texts))
                pairs = pairs if pairs is None else list(map(replace_lone_surrogates, pairs))
                encoded = self._backend.encode_batch(_inputs(texts, pairs))
        others = texts if pairs is None else pairs
        return [
            self._to_encoding(encoded[i], (text, other), max_length)
            for i, (text, other) in enumerate(zip(texts, others, strict=True))
        ]

    def join(self, first: Encoding, second: Encoding) -> Encoding:
        """Joins the encodings of two texts to that of the pair: `[CLS] A [SEP] B [SEP]`."""
        more = self._separators - 1
        second_segments = (self._vocabulary.second_segment,) * (len(second) - 1)
        return Encoding(
            first.token_ids + first.token_ids[-1:] * more + second.token_ids[1:],
            self._segment_ids((0,) * (len(first) + more) + second_segments),
            first.offsets + first.offsets[-1:] * more + second.offsets[1:],
        )

    def specials(self, texts: int) -> int:
        """The number of special tokens that frame a text, or the two texts of a pair."""
        return 2 if texts == 1 else 2 + self._separators

    def count_lengths(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """The number of tokens of each text, with [CLS] and [SEP]: int32 `[texts]`.

        Raises:
            ModelError: As for `encode`.
        """
        with _panic_as_error():
            try:
                encoded = self._backend.encode_batch_fast(_inputs(texts, None))
            except TypeError:
                texts = list(map(replace_lone_surrogates, texts))
                encoded = self._backend.encode_batch_fast(_inputs(texts, None))
        return np.fromiter((len(item) for item in encoded), np.int32, len(encoded))

    def _to_encoding(
        self,
        encoded: tokenizers.Encoding | PythonEncoding,
        texts: tuple[str, str],
        max_length: int | None,
    ) -> Encoding:
        encoding = Encoding(
            tuple(encoded.ids), self._segment_ids(encoded.type_ids), self._offsets(encoded, texts)
        )
        if max_length is not None and len(encoded) > max_length:
            return self._truncated(encoding, encoded, max_length)
        return encoding

    def _offsets(
        self, encoded: tokenizers.Encoding | PythonEncoding, texts: tuple[str, str]
    ) -> tuple[tuple[int, int], ...]:
        if not self._has_spaces:
            return tuple(encoded.offsets)
        tokens = zip(encoded.ids, encoded.offsets, encoded.sequence_ids, strict=True)
        return tuple(
            offsets
            if index is None
            else _without_spaces(texts[index], offsets, token_id == self._space_id)
            for token_id, offsets, index in tokens
        )

    def _segment_ids(self, type_ids: Sequence[int]) -> tuple[int, ...]:
        return tuple(type_ids) if self._segments else (0,) * len(type_ids)

    def _truncated(
        self,
        encoding: Encoding,
        encoded: tokenizers.Encoding | PythonEncoding,
        max_length: int,
    ) -> Encoding:
        """Cuts like the library's `longest_first`, which is a setting of a whole tokenizer."""
        texts = encoded.n_sequences
        specials = self.specials(texts)
        room = max_length - specials
        if room < 0:
            raise UsageError(
                f"max_length: expected at least {specials}, the number of special tokens. "
                f"Received: {max_length}."
            )
        lengths = [encoded.sequence_ids.count(index) for index in range(texts)]
        kept = _longest_first(lengths, room)
        end_of_first = 1 + lengths[0]
        places = [*range(1 + kept[0]), end_of_first]
        if texts == 2:
            start = end_of_first + self._separators
            places[-1:] = range(end_of_first, start)
            places += [*range(start, start + kept[1]), start + lengths[1]]
        return Encoding(
            tuple(encoding.token_ids[place] for place in places),
            tuple(encoding.segment_ids[place] for place in places),
            tuple(encoding.offsets[place] for place in places),
        )


def tokenizers_version() -> str:
    """The version of the `tokenizers` library; empty if it is not installed."""
    try:
        import tokenizers
    except ImportError:
        return ""
    return str(tokenizers.__version__)


@contextlib.contextmanager
def _panic_as_error() -> Iterator[None]:
    """Raises a panic of the library, whose class is no `Exception` and has no public name, as ours.

    Raises:
        ModelError: The library panicked.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ModelError(
            "Expected tokenizer rules that the library tokenizers can apply to the text. Received: "
            f"{error}. Next: get the tokenizer files of the model again, or leave out the added "
            "tokens that it does not need."
        ) from error


def _backend_of(vocabulary: SubwordVocabulary) -> tokenizers.Tokenizer | PythonTokenizer:
    if tokenizers_version():
        return vocabulary.backend()
    if not isinstance(vocabulary, Vocabulary) or vocabulary.kind != Vocabulary.kind:
        raise MissingExtraError(
            f"Texts for a vocabulary of the kind {vocabulary.kind} need the library `tokenizers`. "
            "Received: it is not installed. Next: pip install tokenizers"
        )
    from edgebert.encoding.python_tokenizer import PythonTokenizer

    return PythonTokenizer(vocabulary)


def pad(
    encodings: Sequence[Encoding], length: int, pad_id: int = 0
) -> dict[str, npt.NDArray[np.int32]]:
    """Pads encodings to the input arrays of a model.

    Args:
        encodings: the rows, none longer than `length`.
        length: number of columns.
        pad_id: token id of the padding (`vocabulary.id_of(vocabulary.pad_token)`).

    Returns:
        int32 arrays `[encodings, length]`: `token_ids`, `padding_mask` (1 for tokens, 0 for
        padding) and `segment_ids`.

    Raises:
        UsageError: An encoding is longer than `length`.
    """
    longest = max((len(encoding) for encoding in encodings), default=0)
    if longest > length:
        raise UsageError(
            f"Expected encodings of at most {length} tokens. Received: one of {longest}. "
            "Next: encode with this max_length."
        )
    shape = (len(encodings), length)
    token_ids = np.full(shape, pad_id, np.int32)
    padding_mask = np.zeros(shape, np.int32)
    segment_ids = np.zeros(shape, np.int32)
    for row, encoding in enumerate(encodings):
        used = len(encoding)
        token_ids[row, :used] = encoding.token_ids
        padding_mask[row, :used] = 1
        segment_ids[row, :used] = encoding.segment_ids
    return {"token_ids": token_ids, "padding_mask": padding_mask, "segment_ids": segment_ids}


def _without_spaces(text: str, offsets: tuple[int, int], is_space: bool) -> tuple[int, int]:
    """The span without white space at its ends; the same span if it has nothing else.

    The span of a token that is only a space is empty, and lies behind the white space.
    """
    start, end = offsets
    span = text[start:end]
    left = len(span) - len(span.lstrip(WHITE_SPACE))
    if is_space:
        return start + left, start + left
    if left == len(span):
        return offsets
    return start + left, end - len(span) + len(span.rstrip(WHITE_SPACE))


def _longest_first(lengths: Sequence[int], room: int) -> list[int]:
    """The number of tokens to keep of each text, `room` in total."""
    if len(lengths) == 1:
        return [min(lengths[0], room)]
    shorter, longer = sorted(lengths)
    if shorter + longer > room:
        longer = max(shorter, room - shorter)
    if shorter + longer > room:
        shorter, longer = room // 2, room - room // 2
    return [shorter, longer] if lengths[0] <= lengths[1] else [longer, shorter]


def _inputs(texts: Iterable[str], pairs: Iterable[str] | None) -> list[str] | list[tuple[str, str]]:
    return list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
