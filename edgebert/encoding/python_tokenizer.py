"""WordPiece in Python, for machines without the `tokenizers` library, such as small boards.

It gives what the library gives: the tests hold it to the golden cases (`tests/golden/README.md`,
which has the rules) and to the library on any text. It is slower.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from converters.normalization import (
    PlacedText,
    is_space,
    is_word_character,
    normalize,
    word_pattern,
)
from converters.vocabulary import AddedToken, Vocabulary
from edgebert.data.characters import replace_lone_surrogates

Offsets = tuple[int, int]
Piece = tuple[int, int, int]
"""Token id, and start and end in the text."""


@dataclass(frozen=True)
class PythonEncoding:
    """The encoding of a text or a pair, with the names of the library's `Encoding`.

    Attributes:
        ids: token ids.
        type_ids: 1 for the tokens of the second text and its [SEP], 0 for the others.
        offsets: start and end of each token in its text, in Unicode code points.
        sequence_ids: 0 or 1, the text of each token; None for [CLS] and [SEP].
        n_sequences: number of texts.
    """

    ids: list[int]
    type_ids: list[int]
    offsets: list[Offsets]
    sequence_ids: list[int | None]
    n_sequences: int

    def __len__(self) -> int:
        return len(self.ids)


class PythonTokenizer:
    """Encodes texts by the rules of a vocabulary, with the interface of the library's tokenizer.

    Args:
        vocabulary: tokens and rules.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._splitter = _Splitter(vocabulary)
        self._cls_id = vocabulary.id_of(vocabulary.cls_token)
        self._sep_id = vocabulary.id_of(vocabulary.sep_token)

    def encode(self, text: str, pair: str | None = None) -> PythonEncoding:
        """Encodes a text or a pair, without cutting it."""
        texts = [text] if pair is None else [text, pair]
        ids, type_ids, offsets = [self._cls_id], [0], [(0, 0)]
        sequence_ids: list[int | None] = [None]
        for number, each in enumerate(texts):
            pieces = self._splitter.split(each)
            ids += [token_id for token_id, _, _ in pieces]
            ids.append(self._sep_id)
            offsets += [(start, end) for _, start, end in pieces]
            offsets.append((0, 0))
            type_ids += [number] * (len(pieces) + 1)
            sequence_ids += [number] * len(pieces)
            sequence_ids.append(None)
        return PythonEncoding(ids, type_ids, offsets, sequence_ids, len(texts))

    def encode_batch(self, inputs: Iterable[str | tuple[str, str]]) -> list[PythonEncoding]:
        """Encodes texts or pairs."""
        return [
            self.encode(each) if isinstance(each, str) else self.encode(*each) for each in inputs
        ]

    encode_batch_fast = encode_batch


class _WholeTokens:
    """Tokens that are found whole in a text.

    Args:
        tokens: each token, by the text in which it is looked for.
        ids: token id by content.
    """

    def __init__(self, tokens: Mapping[str, AddedToken], ids: Callable[[str], int]) -> None:
        self._tokens = {text: (token, ids(token.content)) for text, token in tokens.items()}
        longest_first = sorted(tokens, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if tokens else None

    def parts(self, text: str) -> list[tuple[int | None, int, int]]:
        """Each part of a text, with start and end: a token's id, or None for other text."""
        found: list[tuple[int | None, int, int]] = []
        done = 0
        for match in self._pattern.finditer(text) if self._pattern else ():
            token, token_id = self._tokens[match[0]]
            start, end = match.span()
            if token.single_word and _touches_word(text, start, end):
                continue
            if token.lstrip:  # the token before may have taken that white space
                while start > done and is_space(text[start - 1]):
                    start -= 1
            if token.rstrip:
                while end < len(text) and is_space(text[end]):
                    end += 1
            if done < start:
                found.append((None, done, start))
            found.append((token_id, start, end))
            done = end
        if done < len(text):
            found.append((None, done, len(text)))
        return found


def _touches_word(text: str, start: int, end: int) -> bool:
    before = start > 0 and is_word_character(text[start - 1])
    return before or (end < len(text) and is_word_character(text[end]))


class _Splitter:
    """Splits texts into the tokens of a vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._rules = vocabulary.text_rules
        self._longest_word = vocabulary.max_input_chars_per_word
        self._unknown_id = vocabulary.id_of(vocabulary.unknown_token)
        whole = vocabulary.whole_tokens
        self._raw_tokens = _WholeTokens(
            {token.content: token for token in whole if not token.normalized}, vocabulary.id_of
        )
        self._normal_tokens = _WholeTokens(
            {normalize(t.content, self._rules).text: t for t in whole if t.normalized},
            vocabulary.id_of,
        )
        prefix = vocabulary.continuing_prefix
        pieces = {token: number for number, token in enumerate(vocabulary.word_pieces)}
        self._starts = pieces
        self._rests = {
            token.removeprefix(prefix): number
            for token, number in pieces.items()
            if token.startswith(prefix) and token != prefix
        }
        self._longest_piece = max(map(len, pieces), default=0)

    def split(self, text: str) -> list[Piece]:
        text = replace_lone_surrogates(text)
        found: list[Piece] = []
        for token_id, start, end in self._raw_tokens.parts(text):
            if token_id is None:
                self._split_normalized(normalize(text, self._rules, start, end), found)
            else:
                found.append((token_id, start, end))
        return found

    def _split_normalized(self, part: PlacedText, found: list[Piece]) -> None:
        text, places = part.text, part.places
        words = word_pattern()
        for token_id, start, end in self._normal_tokens.parts(text):
            if token_id is not None:
                found.append((token_id, places[start], places[end - 1] + 1))
                continue
            for word in words.finditer(text, start, end):
                found += self._pieces(word[0], places[word.start() : word.end()])

    def _pieces(self, word: str, places: Sequence[int]) -> list[Piece]:
        """The pieces of a word, the longest first; the unknown token if none make it up."""
        length, found = len(word), []
        pieces, start = self._starts, 0
        if length <= self._longest_word:
            while start < length:
                for end in range(min(length, start + self._longest_piece), start, -1):
                    token_id = pieces.get(word[start:end])
                    if token_id is not None:
                        break
                else:
                    break
                found.append((token_id, places[start], places[end - 1] + 1))
                start, pieces = end, self._rests
            else:
                return found
        return [(self._unknown_id, places[0], places[-1] + 1)]
