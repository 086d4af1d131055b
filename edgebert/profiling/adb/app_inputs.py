"""Inputs of the demo app's requests, in the format of the contract in `app`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgebert.data.conll_files import TaggedSentence
from edgebert.profiling.device_check import HostReference
from edgebert.profiling.target import TextInput
from edgebert.tasks.task import Task

AppInput = dict[str, Any]
"""`texts`, `words`, or `token_ids` with `segment_ids`."""

INPUTS_OF_CHECK = 256
"""Number of inputs in one request of a check."""
MASKED_INPUTS_OF_CHECK = 8
"""The number for a masked LM, whose output for each mask is as long as the vocabulary."""


def timed_inputs(texts: Sequence[TextInput]) -> list[AppInput]:
    """The inputs of a timed request."""
    return [{"texts": [text] if isinstance(text, str) else list(text)} for text in texts]


def check_inputs(reference: HostReference) -> list[tuple[AppInput, int]]:
    """Each input of a check with the number of its encodings, in the order of the encodings.

    A masked LM is evaluated on single word pieces, which no text represents, so it gets token ids.
    """
    if reference.task.evaluates_token_ids:
        return [
            (
                {
                    "token_ids": [list(encoding.token_ids)],
                    "segment_ids": [list(encoding.segment_ids)],
                },
                1,
            )
            for encoding in reference.encodings
        ]
    counts = [0] * len(reference.features.examples)
    for owner in reference.features.owners:
        counts[owner] += 1
    inputs = [_input_of(reference, example) for example in reference.features.examples]
    return list(zip(inputs, counts, strict=True))


def _input_of(reference: HostReference, example: Any) -> AppInput:
    if isinstance(example, TaggedSentence):
        return {"words": list(example.words)}
    return {"texts": list(reference.task.encoded_texts(example))}


def chunk_size(task: Task[Any]) -> int:
    """Number of inputs of a check in one request."""
    return MASKED_INPUTS_OF_CHECK if task.evaluates_token_ids else INPUTS_OF_CHECK
