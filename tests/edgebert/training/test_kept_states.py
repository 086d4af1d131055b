"""The states of a teacher on disk."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.tflite.output_names import LOGITS
from edgebert.encoding.encoded_rows import EncodedRows, Inputs
from edgebert.system.progress import silent
from edgebert.tasks.qa import MASKED_LOGIT
from edgebert.training import kept_states
from edgebert.training.kept_states import (
    FIRST_STATES,
    STATES,
    KeptStates,
    SharedStates,
    has_room,
    states_bytes,
)

WIDTH = 6


class Disk(NamedTuple):
    """What `shutil.disk_usage` says."""

    free: int


def encoded_texts(lengths: list[int]) -> EncodedRows:
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.arange(starts[-1], dtype=np.int32)
    return EncodedRows(ids, np.zeros_like(ids), starts, pad_id=-1)


def states_of(ids: npt.NDArray[np.int32]) -> npt.NDArray[np.float16]:
    return (ids[:, None] * 8 + np.arange(WIDTH)).astype(np.float16)


def run(inputs: Inputs) -> dict[str, Any]:
    """A teacher whose states name the token."""
    ids = inputs["token_ids"]
    packed = ids[inputs["padding_mask"] > 0]
    first = states_of(ids[:, 0])
    return {STATES: states_of(packed), FIRST_STATES: first, LOGITS: ids[:, :, None] + [0.25, 0.5]}


@given(st.lists(st.integers(1, 9), min_size=1, max_size=150), st.randoms(use_true_random=False))
def test_a_batch_has_what_the_teacher_computes_for_it(lengths: list[int], random: Any) -> None:
    encoded = encoded_texts(lengths)
    kept = KeptStates(encoded, 16, run, silent)
    texts = np.array(random.choices(range(len(lengths)), k=5), np.int64)
    inputs = encoded.padded(texts, 16)
    found, wanted = kept.batch(texts, inputs["token_ids"].shape[1]), run(inputs)
    for key in (STATES, FIRST_STATES):
        np.testing.assert_array_equal(found[key], wanted[key])
        assert found[key].dtype == np.float16
    present = inputs["padding_mask"] > 0
    np.testing.assert_array_equal(found[LOGITS][present], wanted[LOGITS][present])
    assert (found[LOGITS][~present] == MASKED_LOGIT).all()


def test_outputs_may_be_all_that_is_kept() -> None:
    encoded = encoded_texts([2, 3])
    kept = KeptStates(encoded, 8, lambda inputs: {LOGITS: inputs["token_ids"][:, :1] / 2}, silent)
    found = kept.batch(np.array([1, 0]), 8)
    assert found.keys() == {LOGITS}
    np.testing.assert_array_equal(found[LOGITS], [[1], [0]])


def test_the_last_states_are_shared_and_their_file_is_closed() -> None:
    def files() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    encoded, before, shared = encoded_texts([3, 4]), files(), SharedStates()

    def make() -> KeptStates:
        return KeptStates(encoded, 8, run, silent)

    first = shared.of("a", 1, make)
    assert first is not None
    assert shared.of("a", 1, make) is first
    del first
    for key in "bcbc":
        shared.of(key, 1, make)
    assert files() == before + 1


def test_states_that_are_kept_need_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded, shared = encoded_texts([3]), SharedStates()

    def make() -> KeptStates:
        return KeptStates(encoded, 8, run, silent)

    first = shared.of("a", 1, make)
    monkeypatch.setattr(kept_states.shutil, "disk_usage", lambda _: Disk(0))
    assert shared.of("a", 1, make) is first is not None
    assert shared.of("b", 1, make) is None


def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", lambda number, data, place: len(data) - 1)
    with pytest.raises(OSError, match="No space left"):
        KeptStates(encoded_texts([3]), 8, run, silent)


def test_states_without_room_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    free_bytes = 10**6
    monkeypatch.setattr(kept_states.shutil, "disk_usage", lambda _: Disk(free_bytes))
    assert states_bytes(tokens=100, layers=5, hidden_size=384) == 384_000
    assert has_room(free_bytes // 2) and not has_room(free_bytes // 2 + 1)
    free_bytes = 10**15
    assert has_room(kept_states.KEPT_BYTES) and not has_room(kept_states.KEPT_BYTES + 1)
