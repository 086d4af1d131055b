"""WordPiece tokenization: text in, token ids with their places in the text out.

The rules and the tokens are a `Vocabulary`; the work is done by the `tokenizers` library, so ids
are those of `transformers`' `BertTokenizer`. That holds for special tokens too: where a text has
`[SEP]` or `[MASK]` literally, it becomes the special token. Whoever must not let a text do that has
to take such literals out first.

A `Tokenizer` has no state that a call changes, so threads may share one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from converters.vocabulary import Vocabulary, wordpiece_tokenizer
from edgebert.errors import UsageError

if TYPE_CHECKING:
    import tokenizers

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT_CHARACTER = "\ufffd"


@dataclass(frozen=True, slots=True)
class Encoding:
    """A text, or a pair of texts, as a model takes it; never padded.

    Attributes:
        token_ids: `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`.
        segment_ids: 1 for the tokens of B and the [SEP] after it, 0 before.
        offsets: each token's start and end in its text, in characters (Python's, which are Unicode
            code points); (0, 0) for the tokens that frame the texts.
    """

    token_ids: tuple[int, ...]
    segment_ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.token_ids)

    def part(self, start: int, stop: int) -> Encoding:
        """Some tokens of a single text's encoding, framed as the whole is.

        Args:
            start: the first of them; 0 is the token after [CLS].
            stop: the one after the last.
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
    """Turns text into token ids by a vocabulary's rules.

    Any `str` is taken: control characters vanish, a lone surrogate (half of a UTF-16 pair, which is
    no character) counts as U+FFFD and vanishes too, an empty text gives `[CLS] [SEP]`.

    Args:
        vocabulary: tokens and rules.
        segments: whether segment ids tell the second text of a pair from the first. They are all 0
            for a model whose segment table has one row.
    """

    def __init__(self, vocabulary: Vocabulary, segments: bool = True) -> None:
        # The library warns when a process forks after it used threads; one thread is fast enough
        # (tens of thousands of sentences a second), and a user's own setting stands.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._vocabulary = vocabulary
        self._segments = segments
        self._backend = wordpiece_tokenizer(vocabulary)

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens and the rules."""
        return self._vocabulary

    @property
    def pad_id(self) -> int:
        """The token id that fills an input up."""
        return self._vocabulary.id_of(self._vocabulary.pad_token)

    def encode(self, text: str, pair: str | None = None, max_length: int | None = None) -> Encoding:
        """Encodes a text, or a pair of texts.

        Args:
            text: any text.
            pair: a second text, for tasks on pairs.
            max_length: cuts the encoding to so many tokens, special ones included; [CLS] and [SEP]
                stay. Of a pair, tokens are cut from the longer text first. None cuts nothing.

        Raises:
            UsageError: `max_length` leaves no room for the special tokens.
        """
        try:
            encoded = self._backend.encode(text, pair)
        except TypeError:  # how the library answers lone surrogates
            pair = pair if pair is None else _without_surrogates(pair)
            encoded = self._backend.encode(_without_surrogates(text), pair)
        return self._finished(encoded, max_length)

    def encode_batch(
        self,
        texts: Sequence[str],
        max_length: int | None = None,
        pairs: Sequence[str] | None = None,
    ) -> list[Encoding]:
        """Encodes texts, or pairs of texts: `encode` of each, in less time.

        Args:
            texts: any texts.
            max_length: as for `encode`.
            pairs: the second text of each pair, as many as `texts`.

        Raises:
            UsageError: as for `encode`, or there are not as many `pairs` as `texts`.
        """
        if pairs is not None and len(pairs) != len(texts):
            raise UsageError(
                f"Expected a second text for each of {len(texts)} texts. Received: {len(pairs)}."
            )
        try:
            encoded = self._backend.encode_batch(_inputs(texts, pairs))
        except TypeError:
            texts = [_without_surrogates(text) for text in texts]
            pairs = pairs if pairs is None else [_without_surrogates(text) for text in pairs]
            encoded = self._backend.encode_batch(_inputs(texts, pairs))
        return [self._finished(item, max_length) for item in encoded]

    def join(self, first: Encoding, second: Encoding) -> Encoding:
        """The encoding of a pair, of its texts' own encodings: `[CLS] A [SEP] B [SEP]`."""
        segments = self._segment_ids((0,) * len(first) + (1,) * (len(second) - 1))
        return Encoding(
            first.token_ids + second.token_ids[1:], segments, first.offsets + second.offsets[1:]
        )

    def count_lengths(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Returns how many tokens each text has, [CLS] and [SEP] included: int32 `[texts]`."""
        try:
            encoded = self._backend.encode_batch_fast(_inputs(texts, None))
        except TypeError:
            texts = [_without_surrogates(text) for text in texts]
            encoded = self._backend.encode_batch_fast(_inputs(texts, None))
        return np.fromiter((len(item) for item in encoded), np.int32, len(encoded))

    def _finished(self, encoded: tokenizers.Encoding, max_length: int | None) -> Encoding:
        if max_length is not None and len(encoded) > max_length:
            return self._truncated(encoded, max_length)
        return Encoding(
            tuple(encoded.ids), self._segment_ids(encoded.type_ids), tuple(encoded.offsets)
        )

    def _segment_ids(self, type_ids: Sequence[int]) -> tuple[int, ...]:
        return tuple(type_ids) if self._segments else (0,) * len(type_ids)

    def _truncated(self, encoded: tokenizers.Encoding, max_length: int) -> Encoding:
        """Cuts as the library's `longest_first` does, which is a setting of the whole tokenizer."""
        texts = encoded.n_sequences
        room = max_length - texts - 1
        if room < 0:
            raise UsageError(
                f"Expected a max_length of at least {texts + 1}, for the special tokens. "
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


def pad(
    encodings: Sequence[Encoding], length: int, pad_id: int = 0
) -> dict[str, npt.NDArray[np.int32]]:
    """Lays encodings out as the arrays that a model takes.

    Args:
        encodings: the rows, none longer than `length`.
        length: columns of the arrays.
        pad_id: the token id that fills a row up (`vocabulary.id_of(vocabulary.pad_token)`).

    Returns:
        int32 arrays `[encodings, length]`: `token_ids`, `padding_mask` (1 where there is a token, 0
        where there is padding) and `segment_ids`.

    Raises:
        UsageError: an encoding is longer than `length`.
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
    """Says how many tokens of each text stay, where all together may have `room`."""
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


def _without_surrogates(text: str) -> str:
    return _LONE_SURROGATE.sub(_REPLACEMENT_CHARACTER, text)
