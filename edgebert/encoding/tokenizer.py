"""WordPiece tokenization: text to token ids and character offsets.

A `Vocabulary` holds the tokens and the rules, and the library `tokenizers` applies them, so ids
equal those of `transformers`' `BertTokenizer`. Without that library, such as on a board,
`edgebert.encoding.python_tokenizer` gives the same ids in more time. This includes special tokens:
the literal text `[SEP]` or `[MASK]` becomes the special token. Callers that must prevent this have
to remove such literals from the text first.

No call changes a `Tokenizer`, so threads can share one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from converters.vocabulary import Vocabulary, wordpiece_tokenizer
from edgebert.data.characters import replace_lone_surrogates
from edgebert.errors import UsageError

if TYPE_CHECKING:
    import tokenizers

    from edgebert.encoding.python_tokenizer import PythonEncoding, PythonTokenizer


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of a text, or of a pair of texts, without padding.

    Attributes:
        token_ids: ids of `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`.
        segment_ids: 1 for the tokens of B and its [SEP], 0 for the others.
        offsets: start and end of each token in its text, in Unicode code points; (0, 0) for [CLS]
            and [SEP].
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

    Any `str` is valid. Control characters are removed. A lone surrogate (half of a UTF-16 pair)
    counts as U+FFFD and is removed too. An empty text gives `[CLS] [SEP]`.

    Args:
        vocabulary: tokens and rules.
        segments: whether the segment ids of the second text of a pair are 1. If False they are 0,
            for a model whose segment table has one row.
    """

    def __init__(self, vocabulary: Vocabulary, segments: bool = True) -> None:
        # The library warns when a process forks after the use of threads. One thread encodes tens
        # of thousands of sentences per second. A setting of the user has precedence.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._vocabulary = vocabulary
        self._segments = segments
        self._backend = _backend_of(vocabulary)

    @property
    def vocabulary(self) -> Vocabulary:
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
        """
        try:
            encoded = self._backend.encode(text, pair)
        except TypeError:  # the library raises this for lone surrogates
            pair = pair if pair is None else replace_lone_surrogates(pair)
            encoded = self._backend.encode(replace_lone_surrogates(text), pair)
        return self._to_encoding(encoded, max_length)

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
        """
        if pairs is not None and len(pairs) != len(texts):
            raise UsageError(
                f"Expected a second text for each of {len(texts)} texts. Received: {len(pairs)}."
            )
        try:
            encoded = self._backend.encode_batch(_inputs(texts, pairs))
        except TypeError:
            texts = [replace_lone_surrogates(text) for text in texts]
            pairs = pairs if pairs is None else [replace_lone_surrogates(text) for text in pairs]
            encoded = self._backend.encode_batch(_inputs(texts, pairs))
        return [self._to_encoding(item, max_length) for item in encoded]

    def join(self, first: Encoding, second: Encoding) -> Encoding:
        """Joins the encodings of two texts to that of the pair: `[CLS] A [SEP] B [SEP]`."""
        segments = self._segment_ids((0,) * len(first) + (1,) * (len(second) - 1))
        return Encoding(
            first.token_ids + second.token_ids[1:], segments, first.offsets + second.offsets[1:]
        )

    def count_lengths(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """The number of tokens of each text, with [CLS] and [SEP]: int32 `[texts]`."""
        try:
            encoded = self._backend.encode_batch_fast(_inputs(texts, None))
        except TypeError:
            texts = [replace_lone_surrogates(text) for text in texts]
            encoded = self._backend.encode_batch_fast(_inputs(texts, None))
        return np.fromiter((len(item) for item in encoded), np.int32, len(encoded))

    def _to_encoding(
        self, encoded: tokenizers.Encoding | PythonEncoding, max_length: int | None
    ) -> Encoding:
        if max_length is not None and len(encoded) > max_length:
            return self._truncated(encoded, max_length)
        return Encoding(
            tuple(encoded.ids), self._segment_ids(encoded.type_ids), tuple(encoded.offsets)
        )

    def _segment_ids(self, type_ids: Sequence[int]) -> tuple[int, ...]:
        return tuple(type_ids) if self._segments else (0,) * len(type_ids)

    def _truncated(
        self, encoded: tokenizers.Encoding | PythonEncoding, max_length: int
    ) -> Encoding:
        """Cuts like the library's `longest_first`, which is a setting of a whole tokenizer."""
        texts = encoded.n_sequences
        room = max_length - texts - 1
        if room < 0:
            raise UsageError(
                f"max_length: expected at least {texts + 1}, the number of special tokens. "
                f"Received: {max_length}."
            )
        lengths = [encoded.sequence_ids.count(index) for index in range(texts)]
        kept = _longest_first(lengths, room)
        end_of_first = 1 + lengths[0]
        places = [*range(1 + kept[0]), end_of_first]
        if texts == 2:
            start = end_of_first + 1
            places += [*range(start, start + kept[1]), start + lengths[1]]
        ids, offsets = encoded.ids, encoded.offsets
        segments = self._segment_ids(encoded.type_ids)
        return Encoding(
            tuple(ids[place] for place in places),
            tuple(segments[place] for place in places),
            tuple(offsets[place] for place in places),
        )


def tokenizers_version() -> str:
    """The version of the `tokenizers` library; empty if it is not installed."""
    try:
        import tokenizers
    except ImportError:
        return ""
    return str(tokenizers.__version__)


def _backend_of(vocabulary: Vocabulary) -> tokenizers.Tokenizer | PythonTokenizer:
    if tokenizers_version():
        return wordpiece_tokenizer(vocabulary)
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
