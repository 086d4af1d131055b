"""Packs a corpus into rows of a masked language model, as single texts or as pairs.

The corpus is read once, in parts. Its tokens are appended to files (see `edgebert.data.disk_rows`),
so it may be larger than memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgebert.data.corpus_files import Document
from edgebert.data.disk_rows import NumbersOnDisk
from edgebert.encoding.encoded_rows import EncodedRows
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.tasks.masking import Ids

FOLLOWS, ELSEWHERE, ALONE = 1, 0, -1
SHORT_SHARE = 0.1
"""Share of the pairs that are shorter than the maximum length, as in BERT's pretraining."""
_SENTENCES_AT_ONCE = 8192
_PAIR_SEED = 20181011


@dataclass(frozen=True)
class CorpusRows:
    """A packed corpus.

    Attributes:
        rows: Rows `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`.
        follows: `FOLLOWS`, `ELSEWHERE` or `ALONE` for each row, int32 `[rows]`.
        owners: Index of the document of each row's first text, int32 `[rows]`.
    """

    rows: EncodedRows
    follows: npt.NDArray[np.int32]
    owners: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.rows)

    def tokens(self, row: int) -> tuple[Ids, Ids]:
        """Token ids and segment ids of a row, both int32 `[tokens]`."""
        part = slice(int(self.rows.starts[row]), int(self.rows.starts[row + 1]))
        return self.rows.token_ids[part], self.rows.segment_ids[part]


def pack_corpus(
    tokenizer: Tokenizer, documents: Iterable[Document], max_length: int, in_pairs: bool
) -> CorpusRows:
    """Encodes documents and packs their sentences.

    Args:
        tokenizer: The model's tokenizer.
        documents: At least one document; at least two for pairs.
        max_length: Maximum length of a row, in tokens.
        in_pairs: Whether to make pairs for next-sentence prediction. The same documents always give
            the same pairs.
    """
    packer = _Packer(tokenizer, max_length)
    generator = np.random.default_rng(_PAIR_SEED)
    known: list[list[Ids]] = []
    number = 0
    for part in _parts(tokenizer, documents):
        others = [document for document in (*known[-1:], *part) if document]
        for document in part:
            if in_pairs:
                packer.add_pairs(number, document, others, generator)
            else:
                packer.add_singles(number, document)
            number += 1
        known = others
    return packer.finish()


def _parts(tokenizer: Tokenizer, documents: Iterable[Document]) -> Iterator[list[list[Ids]]]:
    """Encoded documents in parts of some thousand sentences, each int32 `[tokens]`."""
    part: list[Document] = []
    sentences = 0
    for document in documents:
        part.append(document)
        sentences += len(document.sentences)
        if sentences >= _SENTENCES_AT_ONCE:
            yield _encoded(tokenizer, part)
            part, sentences = [], 0
    if part:
        yield _encoded(tokenizer, part)


def _encoded(tokenizer: Tokenizer, documents: Sequence[Document]) -> list[list[Ids]]:
    """The sentences' tokens without special tokens, even if a text contains them literally."""
    framing = tokenizer.vocabulary.framing_ids
    texts = [sentence for document in documents for sentence in document.sentences]
    ids = iter(np.array(encoding.token_ids, np.int32) for encoding in tokenizer.encode_batch(texts))
    found = []
    for document in documents:
        sentences = [next(ids) for _ in document.sentences]
        bare = [sentence[~np.isin(sentence, framing)] for sentence in sentences]
        found.append([sentence for sentence in bare if len(sentence)])
    return found


class _Packer:
    """Packs sentences into rows and stores them."""

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        vocabulary = tokenizer.vocabulary
        self._max_length, self._pad_id = max_length, tokenizer.pad_id
        self._begin = np.array([vocabulary.id_of(vocabulary.cls_token)], np.int32)
        self._end = np.array([vocabulary.id_of(vocabulary.sep_token)], np.int32)
        self._separators = [self._end] * vocabulary.pair_separators
        self._pair_specials = tokenizer.specials(2)
        self._second_segment = max(tokenizer.encode("", "").segment_ids)
        self._token_ids, self._segment_ids = NumbersOnDisk(np.int32), NumbersOnDisk(np.int32)
        self._more_foreign = 0
        self._lengths, self._follows, self._owners = array("q"), array("i"), array("i")

    def add_singles(self, owner: int, document: Sequence[Ids]) -> None:
        """Packs consecutive sentences into rows. A sentence longer than a row is split."""
        room = self._max_length - 2
        row: list[Ids] = []
        for sentence in document:
            if row and sum(map(len, row)) + len(sentence) > room:
                self._add(owner, row)
                row = []
            while len(sentence) > room:
                self._add(owner, [sentence[:room]])
                sentence = sentence[room:]
            row.append(sentence)
        if row:
            self._add(owner, row)

    def add_pairs(
        self,
        owner: int,
        document: Sequence[Ids],
        others: Sequence[Sequence[Ids]],
        generator: np.random.Generator,
    ) -> None:
        """Packs pairs of consecutive texts; half of the second texts are from another document.

        The unused sentences of such a pair start the next one (Devlin et al. 2019, appendix A.2,
        and create_pretraining_data.py). A single last sentence can only have a second text from
        another document. Other pairs compensate, so that the share over all pairs is one half.
        """
        room = self._max_length - self._pair_specials
        foreign = [other for other in others if other is not document]
        chunk: list[Ids] = []
        size, place, target = 0, 0, _target(room, generator)
        while place < len(document):
            chunk.append(document[place])
            size += len(document[place])
            if place == len(document) - 1 or size >= target:
                split = int(generator.integers(1, len(chunk))) if len(chunk) > 1 else 1
                first, second, follows = chunk[:split], chunk[split:], FOLLOWS
                due = self._more_foreign <= 0 and generator.random() < 0.5
                if foreign and (due or not second):
                    place -= len(second)
                    second, follows = _stretch(foreign, target - _size(first), generator), ELSEWHERE
                if second:
                    self._add(owner, *_cut(first, second, room, generator), follows)
                else:
                    self.add_singles(owner, first)
                chunk, size, target = [], 0, _target(room, generator)
            place += 1

    def _add(
        self,
        owner: int,
        first: Sequence[Ids],
        second: Sequence[Ids] = (),
        follows: int = ALONE,
    ) -> None:
        tokens = [self._begin, *first, *(self._separators if second else [self._end])]
        in_first = sum(map(len, tokens))
        if second:
            tokens += [*second, self._end]
        ids = np.concatenate(tokens)
        segments = np.zeros(len(ids), np.int32)
        segments[in_first:] = self._second_segment
        self._token_ids.add(ids)
        self._segment_ids.add(segments)
        self._more_foreign += {FOLLOWS: -1, ELSEWHERE: 1, ALONE: 0}[follows]
        self._lengths.append(len(ids))
        self._follows.append(follows)
        self._owners.append(owner)

    def finish(self) -> CorpusRows:
        """All rows."""
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(self._lengths, dtype=np.int64)])
        rows = EncodedRows(
            self._token_ids.mapped(), self._segment_ids.mapped(), starts, self._pad_id
        )
        return CorpusRows(rows, np.array(self._follows, np.int32), np.array(self._owners, np.int32))


def _size(sentences: Sequence[Ids]) -> int:
    return sum(map(len, sentences))


def _target(room: int, generator: np.random.Generator) -> int:
    short = generator.random() < SHORT_SHARE
    return int(generator.integers(2, room + 1)) if short else room


def _stretch(
    documents: Sequence[Sequence[Ids]], wanted: int, generator: np.random.Generator
) -> list[Ids]:
    """Consecutive sentences from a random position of a random document, with enough tokens."""
    document = documents[int(generator.integers(len(documents)))]
    found: list[Ids] = []
    for sentence in document[int(generator.integers(len(document))) :]:
        found.append(sentence)
        if _size(found) >= wanted:
            break
    return found


def _cut(
    first: Sequence[Ids], second: Sequence[Ids], room: int, generator: np.random.Generator
) -> tuple[list[Ids], list[Ids]]:
    """Removes tokens at random from the front or the end of the longer text until both fit."""
    texts = [np.concatenate(first), np.concatenate(second)]
    shorter = min(map(len, texts))
    limit = room - shorter if 2 * shorter <= room else room // 2
    for place, text in enumerate(texts):
        excess = max(0, len(text) - limit)
        front = int(generator.binomial(excess, 0.5))
        texts[place] = text[front : len(text) - (excess - front)]
    return [texts[0]], [texts[1]]
