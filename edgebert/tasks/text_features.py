"""Texts and pairs of texts as a model takes them: one encoding an example."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgebert.datasets import Example
from edgebert.tasks.task import Features
from edgebert.tokenizer import Tokenizer


def encode_texts(tokenizer: Tokenizer, examples: Sequence[Example], max_length: int) -> Features:
    """Encodes each text, or each pair where examples have a second text.

    Longer ones are cut: `Tokenizer.encode` says where.
    """
    texts = [example.text for example in examples]
    encodings = tokenizer.encode_batch(texts, max_length)
    full = [i for i, encoding in enumerate(encodings) if len(encoding) == max_length]
    lengths = tokenizer.count_lengths([texts[i] for i in full])
    owners = np.arange(len(examples), dtype=np.int32)
    return Features(examples, encodings, owners, int(np.sum(lengths > max_length)))
