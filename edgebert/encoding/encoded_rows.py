"""Encoded texts in flat arrays, and the padded batches made from them."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from edgebert.data.disk_rows import NumbersOnDisk
from edgebert.encoding.tokenizer import Encoding, Tokenizer

PAD_MULTIPLE = 8
"""Batch lengths are multiples of this, so that few shapes are compiled."""
ENCODED_AT_ONCE = 8192
"""Texts that are encoded in one call of the tokenizer."""
IN_MEMORY_TOKENS = 1_000_000
"""Token count above which encodings are written to disk; as tuples they would take 170 MB."""

Inputs = dict[str, npt.NDArray[np.int32]]


@dataclass(frozen=True)
class EncodedRows:
    """Encoded texts, concatenated in flat arrays, which take a tenth of the memory of tuples.

    Attributes:
        token_ids: int32 `[tokens of all rows]`.
        segment_ids: int32 `[tokens of all rows]`.
        starts: int64 `[rows + 1]`; row `i` has the tokens `starts[i]` to `starts[i + 1]`.
        pad_id: token id of the padding.
    """

    token_ids: npt.NDArray[np.int32]
    segment_ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    pad_id: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of tokens of each row, int64 `[rows]`."""
        return np.diff(self.starts)

    def padded(self, rows: npt.NDArray[np.int64], longest: int) -> Inputs:
        """The padded model inputs of a batch.

        Args:
            rows: row numbers, int64 `[batch]`.
            longest: maximum number of columns; below it, the number is a multiple of
                `PAD_MULTIPLE`.

        Returns:
            int32 arrays `[batch, length]`: `token_ids`, `padding_mask`, `segment_ids`.
        """
        lengths = self.starts[rows + 1] - self.starts[rows]
        length = min(-(-int(lengths.max()) // PAD_MULTIPLE) * PAD_MULTIPLE, longest)
        columns = np.arange(length)
        filled = columns < lengths[:, None]
        places = (self.starts[rows][:, None] + columns)[filled]
        token_ids = np.full(filled.shape, self.pad_id, np.int32)
        segment_ids = np.zeros(filled.shape, np.int32)
        token_ids[filled] = self.token_ids[places]
        segment_ids[filled] = self.segment_ids[places]
        return {
            "token_ids": token_ids,
            "padding_mask": filled.astype(np.int32),
            "segment_ids": segment_ids,
        }


class EncodingsOnDisk(Sequence[Encoding]):
    """Encodings that are stored in flat arrays and made on access.

    Args:
        rows: token ids and segment ids.
        offsets: start and end of each token in its text, int32 `[tokens of all rows, 2]`.
    """

    def __init__(self, rows: EncodedRows, offsets: npt.NDArray[np.int32]) -> None:
        self.rows, self._offsets = rows, offsets

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Encoding: ...

    @overload
    def __getitem__(self, index: slice) -> list[Encoding]: ...

    def __getitem__(self, index: int | slice) -> Encoding | list[Encoding]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        number = range(len(self))[index]
        part = slice(int(self.rows.starts[number]), int(self.rows.starts[number + 1]))
        return Encoding(
            tuple(self.rows.token_ids[part].tolist()),
            tuple(self.rows.segment_ids[part].tolist()),
            tuple((start, end) for start, end in self._offsets[part].tolist()),
        )

    def __iter__(self) -> Iterator[Encoding]:
        return (self[i] for i in range(len(self)))


def store_encodings(parts: Iterable[Sequence[Encoding]], pad_id: int) -> Sequence[Encoding]:
    """Keeps few encodings in memory and writes many to disk.

    Args:
        parts: batches of encodings in order.
        pad_id: token id of the padding.
    """
    held: list[Encoding] = []
    tokens, rest = 0, iter(parts)
    for part in rest:
        held += part
        tokens += sum(map(len, part))
        if tokens > IN_MEMORY_TOKENS:
            break
    else:
        return held
    columns = [NumbersOnDisk(np.int32) for _ in range(3)]
    lengths = array("q")
    for part in itertools.chain([held], rest):
        flat = rows_of(part, pad_id)
        offsets = itertools.chain.from_iterable(each.offsets for each in part)
        pairs = np.fromiter(itertools.chain.from_iterable(offsets), np.int32)
        for column, numbers in zip(columns, (flat.token_ids, flat.segment_ids, pairs), strict=True):
            column.add(numbers)
        lengths.extend(flat.lengths.tolist())
        held.clear()
    token_ids, segment_ids, pairs = (column.mapped() for column in columns)
    rows = EncodedRows(token_ids, segment_ids, _starts(np.array(lengths, np.int64)), pad_id)
    return EncodingsOnDisk(rows, pairs.reshape(-1, 2))


def encode_rows(tokenizer: Tokenizer, texts: Sequence[str], max_length: int) -> EncodedRows:
    """Encodes texts into flat arrays, `ENCODED_AT_ONCE` texts at a time.

    Args:
        tokenizer: tokenizer of the model.
        texts: at least one text.
        max_length: maximum number of tokens per text; longer texts are cut.
    """
    return joined_rows(
        [
            rows_of(
                tokenizer.encode_batch(texts[start : start + ENCODED_AT_ONCE], max_length),
                tokenizer.pad_id,
            )
            for start in range(0, len(texts), ENCODED_AT_ONCE)
        ]
    )


def rows_of(encodings: Sequence[Encoding], pad_id: int) -> EncodedRows:
    """Converts encodings to flat arrays; encodings on disk stay there."""
    if isinstance(encodings, EncodingsOnDisk):
        return encodings.rows
    lengths = np.fromiter(map(len, encodings), np.int64, len(encodings))
    return EncodedRows(
        _flat([encoding.token_ids for encoding in encodings]),
        _flat([encoding.segment_ids for encoding in encodings]),
        _starts(lengths),
        pad_id,
    )


def joined_rows(parts: Sequence[EncodedRows]) -> EncodedRows:
    """Concatenates the rows of all parts."""
    return EncodedRows(
        np.concatenate([part.token_ids for part in parts]),
        np.concatenate([part.segment_ids for part in parts]),
        _starts(np.concatenate([part.lengths for part in parts])),
        parts[0].pad_id,
    )


def _starts(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def _flat(rows: Sequence[tuple[int, ...]]) -> npt.NDArray[np.int32]:
    size = sum(map(len, rows))
    return np.fromiter((value for row in rows for value in row), np.int32, size)
