"""Semantic search: exact results, and a cache of the vectors."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgebert.cli import cli
from edgebert.encoding.tokenizer import Encoding
from edgebert.errors import UsageError
from edgebert.evaluation.predictors import KerasPredictor, open_predictor
from edgebert.evaluation.semantic_index import embed, open_index
from edgebert.exporting.artifact import export
from edgebert.models.task_model import TaskModel
from edgebert.settings import ExportSettings

TEXTS = (
    "the movie is great",
    "stop the alarm",
    "play music",
    "the film is great",
    "stop the alarm",
)


class Counted(KerasPredictor):
    """A predictor that counts the encodings it computes."""

    def __init__(self, model: TaskModel) -> None:
        super().__init__(model)
        self.embedded = 0

    def outputs(self, encodings: Sequence[Encoding], batch_size: int = 32) -> list[np.ndarray]:
        self.embedded += len(encodings)
        return super().outputs(encodings, batch_size)


@pytest.fixture
def predictor(tiny_task_model: Callable[[str], TaskModel]) -> Counted:
    return Counted(tiny_task_model("embeddings"))


def test_results_are_sorted_and_ties_keep_their_order(predictor: Counted) -> None:
    index = open_index(predictor, TEXTS)
    (hits,) = index.search(embed(predictor, ["stop the alarm"]), 10)
    assert [hit.row for hit in hits[:2]] == [2, 5]
    assert len(hits) == len(TEXTS)
    assert hits[0].cosine == pytest.approx(1, abs=1e-6)
    assert [hit.text for hit in hits] == [TEXTS[hit.row - 1] for hit in hits]
    query, rows = embed(predictor, ["stop the alarm"]), embed(predictor, TEXTS)
    expected = sorted((rows @ query[0]).tolist(), reverse=True)
    assert [hit.cosine for hit in hits] == pytest.approx(expected)


def test_a_cache_saves_the_embedding(predictor: Counted, tmp_path: Path) -> None:
    cache = tmp_path / "index.npz"
    made = open_index(predictor, TEXTS, cache)
    assert predictor.embedded == made.num_computed == len(set(TEXTS))
    kept = open_index(predictor, TEXTS, cache)
    assert predictor.embedded == len(set(TEXTS))
    np.testing.assert_array_equal(made.vectors, kept.vectors)


def test_only_new_texts_are_computed(predictor: Counted, tmp_path: Path) -> None:
    cache = tmp_path / "index.npz"
    open_index(predictor, TEXTS, cache)
    before = predictor.embedded
    changed = ["a new line", *reversed(TEXTS[1:])]
    index = open_index(predictor, changed, cache)
    assert predictor.embedded - before == index.num_computed == 1
    np.testing.assert_allclose(index.vectors, embed(predictor, changed), atol=1e-6)
    again = open_index(predictor, TEXTS, cache)
    assert again.num_computed == 1, "texts that are gone are not kept"


def test_a_cache_of_an_older_version_or_another_model_is_replaced(
    predictor: Counted, tmp_path: Path
) -> None:
    cache = tmp_path / "index.npz"
    np.savez(cache, format=1, key="x", vectors=np.zeros((2, 4), np.float32))
    open_index(predictor, TEXTS[:2], cache)
    assert predictor.embedded == 2
    shorter = Counted(replace(predictor.model, max_length=4))
    open_index(shorter, TEXTS[:2], cache)
    assert shorter.embedded == 2
    prompted = Counted(replace(shorter.model, decoding={"prompt": "query: "}))
    open_index(prompted, TEXTS[:2], cache)
    assert prompted.embedded == 2


@pytest.mark.parametrize("content", [b"", b"notes of mine", b"PK\x03\x04 cut short"])
def test_a_file_of_another_kind_is_not_overwritten(
    content: bytes, predictor: Counted, tmp_path: Path
) -> None:
    path = tmp_path / "notes.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"not an index of edgebert.*not overwritten"):
        open_index(predictor, TEXTS, path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("member", [b"no array", b"\x93NUMPY\x01\x00\x10\x00{'descr': ('|u1',\n"])
def test_a_damaged_member_is_named(member: bytes, predictor: Counted, tmp_path: Path) -> None:
    path, damaged = tmp_path / "index.npz", tmp_path / "damaged.npz"
    open_index(predictor, TEXTS, path)
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(damaged, "w") as other:
        for name in whole.namelist():
            other.writestr(name, member if name == "hashes.npy" else whole.read(name))
    with pytest.raises(UsageError, match=r"damaged\.npz is not an index of edgebert"):
        open_index(predictor, TEXTS, damaged)


def test_invalid_indexes_are_refused(predictor: Counted, tiny_model: TaskModel) -> None:
    with pytest.raises(UsageError, match=r"at least one text to search"):
        open_index(predictor, ())
    with pytest.raises(UsageError, match=r"Expected an embedding model\. Received: a model for"):
        open_index(KerasPredictor(tiny_model), TEXTS)


def test_the_command_searches_a_file(
    tiny_task_model: Callable[[str], TaskModel], tmp_path: Path
) -> None:
    settings = ExportSettings(length=24, recipe="float32")
    path = export(tiny_task_model("embeddings"), tmp_path / "m.tflite", settings).path
    (tmp_path / "lines.txt").write_text("\n".join(TEXTS))
    cache = tmp_path / "lines.npz"
    asked = ["predict", str(path), "--index", str(tmp_path / "lines.txt")]
    run = CliRunner().invoke(cli, [*asked, "--index-cache", str(cache), "play music"])
    assert run.exit_code == 0, run.output
    first = run.stdout.splitlines()[0].split("\t")
    assert first == ["1.000", "3", "play music"]
    assert len(run.stdout.splitlines()) == 5
    assert cache.is_file()
    run = CliRunner().invoke(cli, [*asked, "--top", "2", "--json", "play music", "the movie"])
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert [answer["text"] for answer in answers] == ["play music", "the movie"]
    assert [len(answer["hits"]) for answer in answers] == [2, 2]
    assert answers[0]["hits"][0]["row"] == 3


def test_vectors_of_texts_and_the_cosine_of_a_pair(
    tiny_task_model: Callable[[str], TaskModel], tmp_path: Path
) -> None:
    folder = tiny_task_model("embeddings").save(tmp_path / "m")
    run = CliRunner().invoke(cli, ["predict", str(folder), "the movie", "play music"])
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    expected = embed(open_predictor(folder), ["the movie", "play music"])
    np.testing.assert_allclose([a["embedding"] for a in answers], expected, atol=1e-6)


def test_a_cache_needs_an_index() -> None:
    run = CliRunner().invoke(cli, ["predict", "m", "--index-cache", "x.npz", "text"])
    assert run.exit_code == 2
    assert "add --index FILE" in run.stderr
