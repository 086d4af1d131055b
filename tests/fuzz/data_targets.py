"""Targets of data files: every format, as every task that reads it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

from edgebert.data.columns import RowSpec
from edgebert.data.conll_files import read_tagged
from edgebert.data.corpus_files import read_corpus
from edgebert.data.datasets import Example, read_table
from edgebert.data.labels import ONE_LABEL
from edgebert.data.squad_files import read_questions
from edgebert.settings import DataSettings
from edgebert.tasks import bare_encoder, task_named, task_of_file
from tests.fuzz.mutations import Mutate, mutate_bytes, mutate_json, mutate_json_lines
from tests.fuzz.targets import Case, Target, written
from tests.tiny_tasks import write_task_file

TABLE = (
    b'text\tlabel\nthe movie is good\tpositive\nit is "bad", really\tnegative\n\nplay\tneutral\n'
)
PAIRS = b"sentence1\tsentence2\tscore\na film\ta movie\t4.5\nturn it off\tturn it on\t1,0\n"
CSV = b'text,label\n"a good, long ""film""",positive\nplay music,negative\n"two\nlines",neutral\n'
SEMICOLONS = b"text;score\nein Film;1,5\nnoch einer;2,25\n"
LINES = b'{"text": "a good film", "label": "yes"}\n{"text": "bad \\u00e9", "label": "no"}\n'
NESTED = b'{"data": {"text": "a"}, "labels": ["x", "y"]}\n{"data": {"text": "b"}, "labels": []}\n'
ARRAY = json.dumps([{"text": "a film", "label": 1}, {"text": "b", "label": 0}]).encode()
UTF16 = "text\tlabel\nz\u00e4h\tgut\n".encode("utf-16")
CONLL = (
    b"# sent_id = 1\nturn O\nthe O\nlights B-THING\non O\n\nplay\tO\nmusic\tI-THING\n\n"
    b"-DOCSTART- -X- O O\n"
)
UNIVERSAL = (
    b"# text = it is on\n1\tit\tit\tPRON\t_\t_\n2-3\tis\t_\t_\t_\t_\n2\tis\tbe\tAUX\t_\t_\n\n"
)
TAGGED = (
    b'{"tokens": ["the", "film"], "ner_tags": ["O", "B-X"]}\n{"tokens": ["a"], "ner_tags": [0]}\n'
)
CORPUS = b"a first sentence.\nanother one\n\na new document\nwith lines\n\n\nthe end\n"
QUESTION = (
    b'{"question": "what", "context": "it is on", '
    b'"answers": {"text": ["on"], "answer_start": [6]}}\n'
)


def _case(
    folder: Path, name: str, seeds: list[bytes], mutate: Mutate, read: Callable[[Path], object]
) -> Case:
    return Case(name, seeds, mutate, written(folder / name, read))


def _rows(path: Path) -> object:
    """Reads rows of texts and labels, and looks at each."""
    found = read_table(path, DataSettings(), RowSpec(ONE_LABEL, "optional"), Example)
    return [(example.text, example.label) for example in found.examples]


def _as_task(name: str, **columns: str) -> Callable[[Path], object]:
    task = task_named(name)

    def read(path: Path) -> object:
        found = task.read(path, DataSettings(**columns), "required")
        return [task.input_texts(example) for example in found.examples], found.labels

    return read


def _tables(folder: Path) -> list[Case]:
    tables = [TABLE, PAIRS, UTF16]
    return [
        _case(folder, "a.tsv", tables, mutate_bytes, _rows),
        _case(folder, "b.tsv", tables, mutate_bytes, _as_task("classification")),
        _case(folder, "c.tsv", tables, mutate_bytes, _as_task("pairs")),
        _case(folder, "d.tsv", tables, mutate_bytes, _as_task("regression")),
        _case(folder, "e.csv", [CSV, SEMICOLONS], mutate_bytes, _rows),
        _case(folder, "f.csv", [CSV, SEMICOLONS], mutate_bytes, _as_task("regression")),
        _case(folder, "g.csv", [CSV], mutate_bytes, _as_task("multi-label")),
        _case(folder, "h.txt", [CORPUS, UTF16], mutate_bytes, _rows),
        _case(folder, "i.tsv", [TABLE], mutate_bytes, _any_task),
    ]


def _any_task(path: Path) -> object:
    return task_of_file(path, bare_encoder())


def _json_rows(folder: Path) -> list[Case]:
    lines = [LINES, NESTED]
    return [
        _case(folder, "a.jsonl", lines, mutate_json_lines, _rows),
        _case(folder, "b.jsonl", lines, mutate_json_lines, _as_task("multi-label")),
        _case(
            folder,
            "c.jsonl",
            [NESTED],
            mutate_json_lines,
            _as_task("multi-label", text_column="data.text", label_column="labels"),
        ),
        _case(folder, "d.json", [ARRAY], mutate_json, _rows),
        _case(folder, "e.json", [ARRAY], mutate_json, _as_task("regression")),
        _case(folder, "f.json", [ARRAY], mutate_json, _any_task),
        _case(folder, "g.jsonl", [*lines, TAGGED, QUESTION], mutate_json_lines, _any_task),
    ]


def _tags(folder: Path) -> list[Case]:
    columns = [CONLL, UNIVERSAL]
    return [
        _case(folder, "a.conll", columns, mutate_bytes, read_tagged),
        _case(folder, "b.conllu", columns, mutate_bytes, _as_task("pos")),
        _case(folder, "c.conll", columns, mutate_bytes, _as_task("ner")),
        _case(folder, "d.jsonl", [TAGGED], mutate_json_lines, _as_task("ner")),
        _case(folder, "e.conll", columns, mutate_bytes, _any_task),
    ]


def _questions(folder: Path) -> list[Case]:
    squad = write_task_file(folder, "qa").read_bytes()
    return [
        _case(folder, "a.json", [squad], mutate_json, _as_task("qa")),
        _case(folder, "b.json", [squad], mutate_json, read_questions),
        _case(folder, "c.jsonl", [QUESTION], mutate_json_lines, _as_task("qa")),
        _case(folder, "d.json", [squad], mutate_json, _any_task),
    ]


def _corpora(folder: Path) -> list[Case]:
    def read(path: Path) -> object:
        corpus = read_corpus(path)
        return [corpus.examples[i] for i in range(len(corpus.examples))]

    return [_case(folder, "a.txt", [CORPUS, TABLE], mutate_bytes, read)]


def _packed(folder: Path) -> list[Case]:
    """Files with .gz: half of them packed again after the damage."""

    def damaged(name: str, content: bytes, read: Callable[[Path], object]) -> Case:
        return _case(folder, name, [gzip.compress(content, mtime=0)], mutate_bytes, read)

    return [
        damaged("a.tsv.gz", TABLE, _rows),
        damaged("b.jsonl.gz", LINES, _rows),
        damaged("c.txt.gz", CORPUS, read_corpus),
        damaged("d.json.gz", write_task_file(folder, "qa").read_bytes(), read_questions),
        damaged("e.tsv.gz", TABLE, _any_task),
    ]


TARGETS = (
    Target("data-tables", _tables),
    Target("data-json", _json_rows),
    Target("data-tags", _tags),
    Target("data-questions", _questions),
    Target("data-corpus", _corpora),
    Target("data-gzip", _packed),
)
