"""Inputs of the demo app's requests, in the format of the contract in `app`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgebert.profiling.target import TextInput
from edgebert.profiling.text_rows import CheckInput
from edgebert.tasks.task import Task

INPUTS_OF_CHECK = 256
"""Number of inputs in one request of a check."""
MASKED_INPUTS_OF_CHECK = 8
"""The number for a masked LM, whose output for each mask is as long as the vocabulary."""


def timed_inputs(texts: Sequence[TextInput]) -> list[CheckInput]:
    """The inputs of a timed request."""
    return [{"texts": [text] if isinstance(text, str) else list(text)} for text in texts]


def chunk_size(task: Task[Any]) -> int:
    """Number of inputs of a check in one request."""
    return MASKED_INPUTS_OF_CHECK if task.evaluates_token_ids else INPUTS_OF_CHECK
