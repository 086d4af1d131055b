"""A teacher's hidden states and outputs, computed once and read in every epoch.

In a step of distillation the student runs forwards and backwards, and the teacher forwards. The
more a student is pruned, the larger is the teacher's part of a step: half at 3x, and two thirds at
6x. But the teacher has no dropout, so its states for a text are the same in every epoch, and for
every student. They are written to a temporary file in float16: its rounding, 0.05 % of a value, is
far below the difference between a student and its teacher.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from converters.tflite.output_names import LOGITS
from edgebert.encoding.encoded_rows import EncodedRows, Inputs
from edgebert.system.progress import Progress
from edgebert.tasks.labelled_rows import TARGETS
from edgebert.tasks.qa import MASKED_LOGIT
from edgebert.tasks.task import TrainingRows
from edgebert.training.batches import sorted_batches

KEPT_BYTES = 12 * 10**9
"""Largest size of a file of states. Above it, the teacher runs in every step."""
FREE_SHARE = 0.5
"""The file takes this share of the free disk space at most."""
STATES, FIRST_STATES = "states", "first_states"
"""Keys of a batch's targets: hidden states of every token, and hidden states of [CLS]."""
_BATCH = 64
_FLOAT16_BYTES = 2

Arrays = dict[str, npt.NDArray[Any]]
RunTeacher = Callable[[Inputs], dict[str, Any]]
"""Computes for a batch what `KeptStates` keeps, by the keys above. States are float16 `[tokens,
layers * hidden_size]` without padding, [CLS] states float16 `[batch, hidden_size]`, and `logits`
float32 `[batch, ...]` or `[batch, length, ...]`. Any of them may be left out."""


class FixedRows(TrainingRows, Protocol):
    """Training rows whose model inputs are the same in every epoch."""

    @property
    def encoded(self) -> EncodedRows:
        """The encoded texts."""
        ...

    def texts_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The numbers of the encoded texts of a batch, in the order of its inputs."""
        ...


class KeptStates:
    """What a teacher computes for each encoded text.

    Args:
        encoded: The encoded texts.
        longest: Maximum number of columns of a batch.
        run: Runs the teacher.
        progress: Called after every batch.
    """

    def __init__(
        self, encoded: EncodedRows, longest: int, run: RunTeacher, progress: Progress
    ) -> None:
        self._starts, self._width = encoded.starts, 0
        self._of_texts: Arrays = {}
        self._of_tokens: Arrays = {}
        self._file: Any = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the states)
        batches = list(sorted_batches(encoded.lengths, _BATCH))
        for number, texts in enumerate(batches):
            found = run(encoded.padded(texts, longest))
            self._keep(texts, {key: np.asarray(array) for key, array in found.items()})
            progress("teacher", number + 1, len(batches))

    def _keep(self, texts: npt.NDArray[np.int64], found: Arrays) -> None:
        for key, array in found.items():
            if key == STATES:
                self._write_states(texts, array)
            elif key == LOGITS and array.ndim == 3:
                kept = _made(self._of_tokens, key, int(self._starts[-1]), array)
                for row, text in enumerate(texts):
                    start, end = self._starts[text : text + 2]
                    kept[start:end] = array[row, : end - start]
            else:
                _made(self._of_texts, key, len(self._starts) - 1, array)[texts] = array

    def _write_states(self, texts: npt.NDArray[np.int64], states: npt.NDArray[Any]) -> None:
        self._width = states.shape[1]
        ends = np.cumsum(self._starts[texts + 1] - self._starts[texts])
        for text, part in zip(texts, np.split(states, ends[:-1]), strict=True):
            if os.pwrite(self._file.fileno(), part.tobytes(), self._place(text)) < part.nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), tempfile.gettempdir())

    def _place(self, text: int) -> int:
        """The place of a text's states in the file, in bytes."""
        return int(self._starts[text]) * self._width * _FLOAT16_BYTES

    @property
    def outputs(self) -> npt.NDArray[np.float32]:
        """The outputs for each text, float32 `[texts, outputs]`, if a text has one row of them."""
        return self._of_texts[LOGITS]

    def batch(self, texts: npt.NDArray[np.int64], length: int) -> Arrays:
        """What the teacher computes for a batch.

        Args:
            texts: Numbers of the texts.
            length: Columns of the batch.

        Returns:
            Arrays by key, see `RunTeacher`. Columns of padding have `MASKED_LOGIT` in `logits`.
        """
        found = {key: kept[texts] for key, kept in self._of_texts.items()}
        if self._width:
            found[STATES] = np.concatenate([self._read_states(text) for text in texts])
        for key, kept in self._of_tokens.items():
            columns = np.arange(length)
            filled = columns < (self._starts[texts + 1] - self._starts[texts])[:, None]
            padded = np.full((*filled.shape, kept.shape[1]), MASKED_LOGIT, kept.dtype)
            padded[filled] = kept[(self._starts[texts][:, None] + columns)[filled]]
            found[key] = padded
        return found

    def _read_states(self, text: int) -> npt.NDArray[np.float16]:
        # A memory map of the file would count as memory of this process.
        size = self._place(text + 1) - self._place(text)
        read = os.pread(self._file.fileno(), size, self._place(text))
        return np.frombuffer(read, np.float16).reshape(-1, self._width)


def _made(arrays: Arrays, key: str, rows: int, like: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array of a key, made when the first batch gives its width."""
    if key not in arrays:
        arrays[key] = np.zeros((rows, like.shape[-1]), like.dtype)
    return arrays[key]


@dataclass(frozen=True)
class TaughtRows:
    """Training rows whose targets have the teacher's states and outputs, too."""

    rows: FixedRows
    states: KeptStates

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row, `[rows]`."""
        return self.rows.lengths

    def __len__(self) -> int:
        return len(self.rows)

    def batch(
        self, rows: npt.NDArray[np.int64], longest: int, epoch: int
    ) -> tuple[Inputs, Any, npt.NDArray[np.float32]]:
        """See `edgebert.tasks.task.TrainingRows.batch`."""
        inputs, targets, weights = self.rows.batch(rows, longest, epoch)
        own = targets if isinstance(targets, dict) else {TARGETS: targets}
        kept = self.states.batch(self.rows.texts_of(rows), inputs["token_ids"].shape[1])
        return inputs, {**kept, **own}, weights


@dataclass
class SharedStates:
    """What is computed of a teacher once for its students: the states of the last texts, metrics.

    Attributes:
        key: What the states were computed from.
        states: The states, or None.
        metrics: Metrics of the teacher by what they were computed from.
    """

    key: str = ""
    states: KeptStates | None = field(default=None, repr=False)
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)

    def of(self, key: str, size_bytes: int, make: Callable[[], KeptStates]) -> KeptStates | None:
        """The states with this key; makes them if the last ones had another key.

        Args:
            key: What the states are computed from.
            size_bytes: The size of their file.
            make: Computes them.

        Returns:
            None if they have no room.
        """
        if self.states is None or self.key != key:
            self.states = None  # The old file is closed first, so that its space is free.
            if has_room(size_bytes):
                self.key, self.states = key, make()
        return self.states

    def metrics_of(self, key: str, make: Callable[[], dict[str, float]]) -> dict[str, float]:
        """The metrics with this key, which are computed once."""
        if key not in self.metrics:
            self.metrics[key] = make()
        return dict(self.metrics[key])


def has_room(size_bytes: int) -> bool:
    """Whether states of this size are kept: within `KEPT_BYTES` and the free disk space.

    Windows has no `os.pwrite`: none are kept there.
    """
    free = shutil.disk_usage(tempfile.gettempdir()).free
    return hasattr(os, "pwrite") and size_bytes <= min(KEPT_BYTES, FREE_SHARE * free)


def states_bytes(tokens: int, layers: int, hidden_size: int) -> int:
    """The size of the hidden states of some layers for a number of tokens, in bytes."""
    return tokens * layers * hidden_size * _FLOAT16_BYTES
