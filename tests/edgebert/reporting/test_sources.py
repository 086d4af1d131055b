"""All outputs of edgebert commands are read; other files are errors, listed together."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters.tflite.metadata import add_metadata_buffers
from edgebert.errors import DataError
from edgebert.models.manifest import MANIFEST_NAME
from edgebert.reporting import sources
from edgebert.reporting.merging import merge_sources
from edgebert.reporting.report import Report
from edgebert.reporting.sources import Source, read_source, read_sources
from edgebert.reporting.writing import write_report
from tests.edgebert.profiling.conftest import build
from tests.edgebert.reporting.examples import check, measured, sha_of
from tests.edgebert.reporting.test_merging import run_of


def written(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def merged(*paths: Path) -> Report:
    return merge_sources(read_sources(paths)[0])


EVALUATION = {
    "model": "int8.tflite",
    "data": "test",
    "data_sha256": "ef",
    "rows": 1821,
    "metrics": {"accuracy": 0.91, "macro_f1": 0.9},
    "truncated_rows": 0,
    "sha256": sha_of("int8"),
}
MANIFEST = {
    "format": 1,
    "task": "classification",
    "labels": ["negative", "positive"],
    "decoding": {},
    "output": "probabilities",
    "lengths": [16, 32],
    "max_length": 32,
    "recipe": "dynamic-int8",
    "tokenizer": {},
    "vocabulary_sha256": "00",
    "config": {"num_segments": 2},
    "parity": {"final": {"label_agreement": 0.995}},
    "quality": {"data": "dev", "data_sha256": "01", "rows": 872, "metrics": {"accuracy": 0.92}},
}


@pytest.fixture
def profiled(tmp_path: Path) -> Path:
    return written(
        tmp_path / "profiled.json",
        [measured("int8", 2.0).to_dict(), check("int8").to_dict()],
    )


def test_a_profile_gives_measurements_and_checks(profiled: Path) -> None:
    source = read_source(profiled)
    assert source.content == "1 measurement, 1 device check"
    assert source.measurements == (measured("int8", 2.0),)
    report = merged(profiled)
    assert [c.to_dict() for c in report.checks] == [check("int8").to_dict()]
    assert report.provenance["This report"][str(profiled)].startswith(source.content)
    assert source.sha256 in report.provenance["This report"][str(profiled)]


def test_an_evaluation_is_merged_by_the_hash_of_the_file(profiled: Path, tmp_path: Path) -> None:
    scores = written(tmp_path / "scores.json", [EVALUATION])
    (row,) = merged(profiled, scores).rows
    assert row.metrics == EVALUATION["metrics"] and row.measurements


def test_an_evaluation_of_a_folder_is_a_keras_model(tmp_path: Path) -> None:
    (row,) = merged(written(tmp_path / "s.json", [EVALUATION | {"model": "my-bert"}])).rows
    assert (row.name, row.recipe, row.size_bytes) == ("my-bert", "Keras", None)


def test_an_evaluation_without_a_hash_has_a_separate_row_and_a_note(
    profiled: Path, tmp_path: Path
) -> None:
    old = {key: value for key, value in EVALUATION.items() if key != "sha256"}
    report = merged(profiled, written(tmp_path / "s.json", [old]))
    assert len(report.rows) == 2
    assert any("has a separate row" in note for note in report.notes)
    # Where the file is still there, its hash is.
    model = tmp_path / "there.tflite"
    model.write_bytes(b"bytes")
    (row,) = merged(written(tmp_path / "s.json", [old | {"model": str(model)}])).rows
    assert len(row.sha256) == 64


def exported(path: Path) -> Path:
    """A file with a manifest of edgebert."""
    data = build(path).path.read_bytes()
    buffers = {MANIFEST_NAME: json.dumps(MANIFEST).encode()}
    path.write_bytes(add_metadata_buffers(data, buffers))
    return path


def test_a_file_with_a_manifest_has_recipe_and_accuracy(tmp_path: Path) -> None:
    path = exported(tmp_path / "int8.tflite")
    (row,) = merged(path).rows
    assert (row.name, row.recipe, row.metrics["accuracy"]) == ("int8", "dynamic-int8", 0.92)
    assert row.size_bytes == path.stat().st_size and row.gzip_bytes
    assert len(row.sha256) == 64


def test_a_file_without_a_manifest_has_size_and_hash(tmp_path: Path) -> None:
    model = build(tmp_path / "tiny.tflite").path
    (row,) = merged(model).rows
    assert (row.name, row.recipe) == ("tiny", "")


@pytest.mark.parametrize(
    "content",
    [
        {
            "path": "m.tflite",
            "size_bytes": 9,
            "gzip_bytes": 8,
            "sha256": "aa",
            "manifest": MANIFEST,
        },
        {
            "path": "m.tflite",
            "model": {"sha256": "aa", "size_bytes": 9},
            "delegation": [],
            "manifest": MANIFEST,
        },
    ],
    ids=["export", "inspect"],
)
def test_export_and_inspect_give_recipe_agreement_and_accuracy(
    content: dict[str, Any], tmp_path: Path
) -> None:
    report = merged(written(tmp_path / "e.json", content))
    (row,) = report.rows
    assert (row.name, row.recipe, row.size_bytes) == ("m", "dynamic-int8", 9)
    assert (row.agreement, row.metrics["accuracy"]) == (0.995, 0.92)
    assert report.scored_on == "dev, 872 rows"


def test_a_manifest_is_read_with_its_file(tmp_path: Path) -> None:
    model = exported(tmp_path / "m.tflite")
    manifest = written(tmp_path / "m.tflite.json", MANIFEST)
    (row,) = merged(manifest).rows
    assert row.size_bytes == model.stat().st_size
    sources, skipped = read_sources([tmp_path])
    assert [source.path.name for source in sources] == ["m.tflite"] and skipped == ()
    model.unlink()
    with pytest.raises(DataError, match=r"give the \.tflite"):
        read_source(manifest)


def test_a_runs_report_and_a_merged_one_are_read(profiled: Path, tmp_path: Path) -> None:
    write_report(run_of("a run", 0.9), tmp_path / "run")
    first = merged(tmp_path / "run" / "report.json", profiled)
    assert first.name == "a run" and len(first.measurements) == 2
    write_report(first, tmp_path / "merged")
    again = merged(tmp_path / "merged")
    assert [row.to_dict() for row in again.measurements] == [
        row.to_dict() for row in first.measurements
    ]
    assert again.checks == first.checks


def test_a_folder_skips_unknown_files_and_lists_them(profiled: Path) -> None:
    written(profiled.parent / "package.json", {"name": "x"})
    written(profiled.parent / ".hidden.json", "{")
    written(profiled.parent / "notes.txt", "x")
    sources, skipped = read_sources([profiled.parent])
    assert [source.path for source in sources] == [profiled]
    (line,) = skipped
    assert "package.json" in line


def cut(source: str) -> str:
    return source[: len(source) // 2]


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "another program's": (lambda: {"name": "x"}, "no command of edgebert wrote it"),
    "a number": (lambda: 3, "no command of edgebert wrote it"),
    "empty": (lambda: "", "expected complete JSON"),
    "an empty list": (list, "an empty list"),
    "cut short": (lambda: cut(json.dumps([measured("a", 1.0).to_dict()])), "truncated"),
    "newer": (lambda: [measured("a", 1.0).to_dict() | {"version": 2}], "version 2"),
    "a newer kind": (lambda: [{"format": "edgebert-hologram"}], "update this one"),
    "a field of another type": (
        lambda: [measured("a", 1.0).to_dict() | {"threads": "two"}],
        "threads is 'two'",
    ),
    "a number that is none": (
        lambda: [measured("a", 1.0).to_dict() | {"load_ms": float("nan")}],
        "load_ms is nan",
    ),
    "a missing field": (
        lambda: [{k: v for k, v in check("a").to_dict().items() if k != "rows"}],
        "lacks fields",
    ),
    "an evaluation of words": (lambda: [EVALUATION | {"metrics": {"accuracy": "good"}}], "good"),
    "an inspection of nothing": (
        lambda: {"path": "", "model": [], "delegation": [], "manifest": None},
        "fields are missing",
    ),
    "deeply nested": (lambda: "[" * 100_000, "expected complete JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_an_error_with_its_reason(name: str, tmp_path: Path) -> None:
    make, reason = BAD[name]
    path = written(tmp_path / "bad.json", make())
    with pytest.raises(DataError) as caught:
        read_sources([path])
    message = str(caught.value)
    assert str(path) in message and reason in message and "Next:" in message


def test_a_file_over_the_size_limit_is_an_error(
    profiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 100)
    with pytest.raises(DataError, match="expected at most 100 bytes"):
        read_sources([profiled])


def test_all_bad_files_are_named_at_once(profiled: Path, tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{at}.json", make()) for at, (make, _) in enumerate(BAD.values())]
    missing, folder = tmp_path / "missing.json", tmp_path / "empty"
    folder.mkdir()
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    with pytest.raises(DataError) as caught:
        read_sources([*paths, missing, folder, broken, profiled])
    lines = str(caught.value).splitlines()[1:]
    for path in (*paths, missing, folder, broken):
        assert any(line.strip().startswith(f"{path}: ") for line in lines), path
    assert not any(str(profiled) in line for line in lines)


def test_each_bad_item_of_a_list_is_named(tmp_path: Path) -> None:
    good, bad = measured("a", 1.0).to_dict(), measured("a", 1.0).to_dict() | {"threads": None}
    path = written(tmp_path / "some.json", [good, bad, good, bad])
    with pytest.raises(DataError, match=r"item 2 of 4.*item 4 of 4"):
        read_sources([path])


def test_a_damaged_file_in_a_folder_is_an_error(profiled: Path) -> None:
    written(profiled.parent / "damaged.json", cut(profiled.read_text()))
    with pytest.raises(DataError, match=r"damaged\.json"):
        read_sources([profiled.parent])


def test_comparisons_next_to_measurements_add_nothing(tmp_path: Path) -> None:
    content = [measured("a", 1.0).to_dict(), {"format": "edgebert-comparison", "version": 1}]
    source: Source = read_source(written(tmp_path / "c.json", content))
    assert source.measurements == (replace(measured("a", 1.0)),)
