"""Encodes texts and pairs of texts: one encoding for each example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from edgebert.encoding.encoded_rows import ENCODED_AT_ONCE, store_encodings
from edgebert.encoding.tokenizer import Encoding, Tokenizer
from edgebert.errors import DataError
from edgebert.tasks.task import Features


class HasTexts(Protocol):
    """An example with one text or a pair of texts."""

    @property
    def text(self) -> str: ...

    @property
    def pair(self) -> str | None:
        """The second text; None where there is one text."""
        ...


def encode_texts(tokenizer: Tokenizer, examples: Sequence[HasTexts], max_length: int) -> Features:
    """Encodes each text, or each pair if the example has a second text.

    Longer inputs are truncated: see `Tokenizer.encode`.
    """
    truncated: list[int] = []

    def encode(part: Sequence[HasTexts]) -> Sequence[Encoding]:
        encodings = _encoded(tokenizer, part, max_length)
        full = [i for i, encoding in enumerate(encodings) if len(encoding) == max_length]
        whole = _encoded(tokenizer, [part[i] for i in full], None)
        truncated.append(sum(len(encoding) > max_length for encoding in whole))
        return encodings

    starts = range(0, len(examples), ENCODED_AT_ONCE)
    parts = (encode(list(examples[start : start + ENCODED_AT_ONCE])) for start in starts)
    encodings = store_encodings(parts, tokenizer.pad_id)
    owners = np.arange(len(examples), dtype=np.int32)
    return Features(examples, encodings, owners, sum(truncated))


def require_pairs(examples: Sequence[HasTexts]) -> None:
    """Checks that all examples are pairs.

    Raises:
        DataError: Examples have one text.
    """
    single = [i for i, example in enumerate(examples) if example.pair is None]
    if single:
        raise DataError(
            f"Expected pairs of texts, which the model was trained on. Received: {len(single)} of "
            f"{len(examples)} examples with one text, the first of them number {single[0] + 1}. "
            "Next: give two texts; in a file, name the second one's column with --pair-column."
        )


def _encoded(
    tokenizer: Tokenizer, examples: Sequence[HasTexts], max_length: int | None
) -> Sequence[Encoding]:
    """Encodes single texts and pairs, which may be mixed."""
    found: dict[int, Encoding] = {}
    for is_pair in (False, True):
        rows = [i for i, example in enumerate(examples) if (example.pair is not None) == is_pair]
        texts = [examples[i].text for i in rows]
        pairs = [examples[i].pair or "" for i in rows] if is_pair else None
        found.update(zip(rows, tokenizer.encode_batch(texts, max_length, pairs), strict=True))
    return [found[i] for i in range(len(examples))]
