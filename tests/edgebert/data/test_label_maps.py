"""Names for the labels of a file: `label_map`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgebert.data.label_maps import read_label_map
from edgebert.data.label_numbers import with_label_names
from edgebert.errors import DataError, UsageError
from edgebert.settings import DataSettings
from edgebert.tasks import task_named

MAP = DataSettings(label_map="0=no, 1=yes=true")


def test_labels_of_every_kind_are_named(tmp_path: Path) -> None:
    table = tmp_path / "a.tsv"
    table.write_text("text\tlabel\na\t1\nb\t0\nc\tother\n")
    labels = task_named("classification").read(table, MAP, "required").labels
    assert labels == ("yes=true", "no", "other")
    lists = tmp_path / "a.jsonl"
    lists.write_text('{"text": "a", "labels": [0, 1]}\n{"text": "b", "labels": []}\n')
    examples = task_named("multi-label").read(lists, MAP, "required").examples
    assert [example.labels for example in examples] == [("no", "yes=true"), ()]
    tagged = tmp_path / "b.jsonl"
    tagged.write_text('{"tokens": ["a", "b", "c"], "ner_tags": [1, 2, 0]}\n')
    tags = DataSettings(label_map="0=O,1=I-X,2=B-X")
    examples = task_named("ner").read(tagged, tags, "required").examples
    assert [example.tags for example in examples] == [("B-X", "B-X", "O")]


def test_a_json_file_has_the_names(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    path.write_text(json.dumps({"0": "no, thanks", "1": "yes"}))
    assert read_label_map(str(path)) == {"0": "no, thanks", "1": "yes"}


@pytest.mark.parametrize("given", ["0", "0=", "=a", "0=a,0=b", ",", "missing.json"])
def test_wrong_maps(given: str) -> None:
    with pytest.raises(UsageError, match="--label-map"):
        read_label_map(given)


def test_a_wrong_json_file(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    for content in ("[1]", '{"0": 1}', "{"):
        path.write_text(content)
        with pytest.raises(UsageError):
            read_label_map(str(path))


@pytest.mark.parametrize("task", ["regression", "qa", "embeddings", "masked-lm"])
def test_data_without_labels_has_none_to_name(tmp_path: Path, task: str) -> None:
    path = tmp_path / ("a.txt" if task == "masked-lm" else "a.jsonl")
    path.write_text('{"text": "a", "text2": "b", "score": 1}\n')
    with pytest.raises(UsageError, match="--label-map"):
        task_named(task).read(path, MAP, "required")


def test_numbers_of_tags_and_of_several_labels(tmp_path: Path) -> None:
    tagged = tmp_path / "a.jsonl"
    tagged.write_text('{"tokens": ["a", "b", "c"], "ner_tags": [3, 2, 0]}\n')
    data = task_named("ner").read(tagged, DataSettings(), "required")
    labels = ("O", "I-X", "E-X", "B-X")
    assert with_label_names(data, labels).examples[0].tags == ("B-X", "I-X", "O")
    with pytest.raises(DataError, match="--label-map 0=O"):
        task_named("ner").label_names(data)
    lists = tmp_path / "b.jsonl"
    lists.write_text('{"text": "a", "labels": [2, 0]}\n{"text": "b", "labels": []}\n')
    several = task_named("multi-label").read(lists, DataSettings(), "required")
    named = with_label_names(several, ("x", "y", "z"))
    assert [example.labels for example in named.examples] == [("z", "x"), ()]
    assert with_label_names(several, ("x", "y")) is several
