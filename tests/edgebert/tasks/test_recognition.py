"""The task of a training file, from its name and first lines."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebert.settings import TASKS, DataSettings
from edgebert.tasks import task_named, task_of_file

CONLL = "EU\tB-ORG\nrejects\tO\n\nPeter\tB-PER\n"
UPOS = "From\tADP\nthe\tDET\n\nThis\tPRON\n"
SQUAD = '{"version": "1.1", "data": []}'


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content", "task"),
    [
        ("a.tsv", "text\tlabel\none\tyes\n", "classification"),
        ("a.csv", 'label,text\nyes,"one, two"\n', "classification"),
        ("a.tsv", "text\tlabel\none\t1\n", "classification"),
        ("a.tsv", 'text\tlabel\n"unclosed\tyes\n', "classification"),
        ("a.tsv", "sentence1\tsentence2\tlabel\na\tb\t1\n", "pairs"),
        ("a.jsonl.gz", '{"premise": "a", "hypothesis": "b", "label": 0}\n', "pairs"),
        ("a.tsv", "sentence1\tsentence2\tscore\tgenre\na\tb\t2.5\tnews\n", "regression"),
        ("a.tsv", "anchor\tpositive\na\tb\n", "embeddings"),
        ("a.csv", "text,rating\nnice,4\n", "regression"),
        ("a.jsonl", '{"text": "a", "labels": []}\n{"text": "b", "labels": ["x"]}\n', "multi-label"),
        ("a.jsonl", '{"text": "a", "label": ["x", "y"]}\n', "multi-label"),
        ("a.tsv", "text\tlabels\na\tx|y\n", "multi-label"),
        ("a.conll", CONLL, "ner"),
        ("a.conll.gz", CONLL, "ner"),
        ("a.bio", "EU B-ORG\n\nrejects O\n", "ner"),
        ("a.conll", UPOS, "pos"),
        ("a.conllu", "# text = x\n1\tx\tx\tNOUN\t_\t_\t0\troot\t_\t_\n", "pos"),
        ("a.tsv.gz", UPOS, "pos"),
        ("a.tsv", CONLL, "ner"),
        ("a.jsonl", '{"tokens": ["EU"], "tags": ["B-ORG"]}\n', "ner"),
        ("a.jsonl", '{"tokens": ["EU"], "tags": ["PROPN"]}\n', "pos"),
        ("a.json", SQUAD, "qa"),
        ("a.json", '[{"question": "who", "context": "x", "answers": []}]', "qa"),
        ("a.json", '\n [{"text": "a", "label": "x"}]', "classification"),
        ("a.json.gz", '[{"text": "a", "score": 1.5}]', "regression"),
        ("a.json", '[{"text": "a",', "qa"),
        ("a.jsonl", '{"question": "who", "context": "x", "answers": []}\n', "qa"),
        ("a.txt", "one\n\ntwo\n", "masked-lm"),
        ("a.jsonl", "no JSON\n", "classification"),
        ("a.tsv", "", "classification"),
        ("a.xlsx", "PK", "classification"),
    ],
)
def test_the_task_of_a_file(tmp_path: Path, name: str, content: str, task: str) -> None:
    assert task_of_file(write(tmp_path, name, content), task_named("encoder")).name == task


@pytest.mark.parametrize(
    ("content", "base", "task"),
    [
        ("text\tlabel\none\t1|2\n", "multi-label", "multi-label"),
        ("text\tlabel\none\t1\n", "multi-label", "classification"),
        ("text\tlabel\none\t1\n", "regression", "regression"),
        ("text\tlabel\none\tgood\n", "regression", "classification"),
        ("sentence1\tsentence2\tlabel\na\tb\t1\n", "classification", "pairs"),
        ("sentence1\tsentence2\tlabel\na\tb\t1\n", "pairs", "pairs"),
        ("sentence1\tsentence2\tscore\na\tb\t1\n", "embeddings", "embeddings"),
        ("sentence1\tsentence2\tscore\na\tb\t1\n", "pairs", "regression"),
        ("text\tlabel\none\tyes\n", "pairs", "classification"),
        (CONLL, "pos", "pos"),
    ],
)
def test_the_base_task_has_precedence_if_the_file_fits_it(
    tmp_path: Path, content: str, base: str, task: str
) -> None:
    assert task_of_file(write(tmp_path, "a.tsv", content), task_named(base)).name == task


@pytest.mark.parametrize(
    ("header", "columns", "task"),
    [
        ("a\tb\tlabel", DataSettings("a", "b"), "pairs"),
        ("sentence1\tsentence2\tlabel", DataSettings("sentence1"), "classification"),
        ("text\tscore\tgold", DataSettings(label_column="gold"), "classification"),
        ("text\tlabel\tscore", DataSettings(label_column="score"), "regression"),
    ],
)
def test_columns_that_the_user_names(
    tmp_path: Path, header: str, columns: DataSettings, task: str
) -> None:
    path = write(tmp_path, "a.tsv", f"{header}\n1\t2\tyes\n")
    assert task_of_file(path, task_named("encoder"), columns).name == task


def test_missing_files() -> None:
    assert task_of_file("-", task_named("encoder")).name == "classification"
    assert task_of_file("nowhere.tsv", task_named("pairs")).name == "classification"


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(
    data=st.binary(max_size=80),
    head=st.sampled_from([b"", b"text\tlabel\n", b'text,"', b'{"text": [1]}\n', b"\n\ta\n"]),
    ending=st.sampled_from(["tsv", "csv", "jsonl", "txt", "json", "conll", "tsv.gz", "conll.gz"]),
)
def test_any_bytes_have_a_task(tmp_path: Path, data: bytes, head: bytes, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(head + data)
    assert task_of_file(path, task_named("encoder")).name in TASKS


@pytest.mark.parametrize("task", TASKS)
def test_small_files_of_every_task(tiny_task_file: Callable[[str], Path], task: str) -> None:
    path = tiny_task_file(task)
    assert task_of_file(path, task_named(task)).name == task
    others = {"embeddings": "regression"}
    assert task_of_file(path, task_named("encoder")).name == others.get(task, task)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("clinc150/train.tsv.gz", "classification"),
        ("sst2/dev.tsv", "classification"),
        ("mrpc/train.tsv.gz", "pairs"),
        ("rte/train.tsv.gz", "pairs"),
        ("stsb/train.tsv.gz", "regression"),
        ("squad/test.json.gz", "qa"),
        ("wnut17/train.conll.gz", "ner"),
        ("restaurant8k/test.conll", "ner"),
        ("uner_ewt/dev.conll.gz", "ner"),
        ("ud_ewt/train.tsv.gz", "pos"),
    ],
)
def test_real_files(data_dir: Path, name: str, task: str) -> None:
    assert task_of_file(data_dir / name, task_named("encoder")).name == task
