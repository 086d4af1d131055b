"""Every row once an epoch, in batches of similar length, in an order that can be made again."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.encoding import encoded_rows
from edgebert.encoding.encoded_rows import PAD_MULTIPLE, EncodedRows, encode_rows
from edgebert.encoding.tokenizer import pad
from edgebert.models.task_model import TaskModel
from edgebert.training.batches import count_batches, epoch_batches, sorted_batches

TEXTS = ["good", "a very nice film today", "", "lights off", "the music is great and not boring"]


@given(
    lengths=st.lists(st.integers(2, 64), min_size=1, max_size=300),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 50),
)
def test_an_epoch_has_every_row_once(
    lengths: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    made = epoch_batches(np.array(lengths), batch_size, seed, epoch)
    assert sorted(np.concatenate(made)) == list(range(len(lengths)))
    assert len(made) == count_batches(len(lengths), batch_size)
    assert sorted(map(len, made), reverse=True)[: len(made) - 1] == [batch_size] * (len(made) - 1)
    again = epoch_batches(np.array(lengths), batch_size, seed, epoch)
    assert all(np.array_equal(a, b) for a, b in zip(made, again, strict=True))


def test_epochs_and_seeds_differ() -> None:
    lengths = np.random.default_rng(0).integers(2, 64, 500)
    orders = [
        np.concatenate(epoch_batches(lengths, 16, seed, epoch)).tolist()
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_batches_hold_rows_of_similar_length_in_no_order_of_length() -> None:
    lengths = np.random.default_rng(0).geometric(0.08, 5000).clip(3, 64)
    made = epoch_batches(lengths, 32, 0, 0)
    padded = sum(len(rows) * lengths[rows].max() for rows in made)
    in_any_order = np.random.default_rng(1).permutation(5000).reshape(-1, 50)
    unsorted = sum(len(rows) * lengths[rows].max() for rows in in_any_order)
    assert padded < 1.1 * lengths.sum() < 0.5 * unsorted
    longest = [lengths[rows].max() for rows in made]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.25


def test_rows_are_padded_as_the_tokenizer_pads(
    tiny_model: TaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoded_rows, "ENCODED_AT_ONCE", 2)
    rows = encode_rows(tiny_model.tokenizer, TEXTS, max_length=20)
    encodings = tiny_model.tokenizer.encode_batch(TEXTS, 20)
    assert rows.lengths.tolist() == [len(encoding) for encoding in encodings]
    chosen = np.array([4, 0, 2])
    inputs = rows.padded(chosen, 20)
    expected = pad([encodings[i] for i in chosen], inputs["token_ids"].shape[1], rows.pad_id)
    for name, array in expected.items():
        np.testing.assert_array_equal(inputs[name], array)


@pytest.mark.parametrize(
    ("lengths", "longest", "columns"), [((3, 5), 64, 8), ((9, 2), 64, 16), ((9, 2), 12, 12)]
)
def test_lengths_are_multiples_up_to_the_longest(
    lengths: tuple[int, ...], longest: int, columns: int
) -> None:
    starts = np.concatenate([[0], np.cumsum(lengths)])
    flat = np.arange(1, starts[-1] + 1, dtype=np.int32)
    rows = EncodedRows(flat, np.zeros_like(flat), starts, pad_id=0)
    inputs = rows.padded(np.array([0, 1]), longest)
    assert inputs["token_ids"].shape == (2, columns)
    assert columns % PAD_MULTIPLE == 0 or columns == longest
    assert inputs["padding_mask"].sum(1).tolist() == list(lengths)
    assert inputs["token_ids"][1, : lengths[1]].tolist() == flat[lengths[0] :].tolist()


def test_scoring_goes_from_short_to_long() -> None:
    lengths = np.array([9, 3, 7, 5])
    assert [rows.tolist() for rows in sorted_batches(lengths, 3)] == [[1, 3, 2], [0]]


def test_a_dataset_that_is_done_does_not_keep_what_made_its_batches() -> None:
    pytest.importorskip("tensorflow")
    from edgebert.training.devices import batch_dataset, batch_signature

    class Loop:
        """Stands for a training loop, which has the model."""

        def make_batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
            return {"rows": rows}

    loop, batches = Loop(), [np.arange(3), np.arange(2)]
    kept = weakref.ref(loop)
    dataset = batch_dataset(batches, loop.make_batch, batch_signature({"rows": batches[0]}))
    read = [batch["rows"].numpy().tolist() for batch in dataset.prefetch(1)]
    assert read == [[0, 1, 2], [0, 1]]
    del loop, dataset
    gc.collect()
    assert kept() is None
