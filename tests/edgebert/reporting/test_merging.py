"""Merging: one row per file, no duplicates, no losses."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edgebert.errors import DataError
from edgebert.profiling.measurement import Measurement
from edgebert.reporting.html import to_html
from edgebert.reporting.markdown import to_markdown
from edgebert.reporting.merging import merge
from edgebert.reporting.report import Report, Row, Score, StageFact, row_of
from edgebert.reporting.tables import summary_table
from tests.edgebert.reporting.examples import (
    BOARD,
    FILES,
    PHONE,
    check,
    measured,
    parts,
    scored_row,
    sha_of,
)


def of(*measurements: Measurement) -> list[Report]:
    """Each measurement as a small report, as it is read from a source."""
    return [Report("", (row_of(m),)) for m in measurements]


def test_accuracy_size_and_latency_of_a_file_share_a_row() -> None:
    m = measured("int8", 2.0, None, size_bytes=2000)
    evaluated = replace(scored_row("other name", 0.9), sha256=m.sha256)
    merged = merge([Report("", (evaluated,)), *of(m)])
    (row,) = merged.rows
    assert (row.size_bytes, row.metrics["accuracy"], len(row.measurements)) == (2000, 0.9, 1)
    assert row.measurements[0].name == row.name == "other name"
    assert summary_table(merged).title == (
        "Accuracy on test, 1821 rows; latency is text in, answer out"
    )


def test_equal_measurements_under_two_names_are_merged() -> None:
    m = measured("int8", 2.0)
    renamed = replace(m, name="a/int8", model="elsewhere/int8.tflite")
    assert merge(of(m, renamed, m)).measurements == (m,)


def test_two_sessions_of_one_configuration_are_kept_with_different_names() -> None:
    m = measured("int8", 2.0)
    again = replace(m, session="two", measured="2026-03-04T05:06:07Z")
    merged = merge(of(m, again))
    assert len(merged.measurements) == 2
    for drawn in (to_html(merged), to_markdown(merged)):
        assert "2026-01-02 03:04 UTC" in drawn and "2026-03-04 05:06 UTC" in drawn
        assert "measured more than once" in drawn
    assert "measured more than once" not in to_markdown(merge(of(m)))


def test_files_of_equal_name_get_their_hash() -> None:
    merged = merge(of(measured("int8", 2.0), measured("int8", 1.0, sha256="f" * 64)))
    names = [row.name for row in merged.rows]
    assert names == [f"int8 ({sha_of('int8')[:7]})", "int8 (fffffff)"]
    assert [m.name for m in merged.measurements] == names


def test_metrics_are_those_on_the_most_common_data() -> None:
    dev = Score("dev", "01", 872, {"accuracy": 0.5})
    first = replace(scored_row("a", 0.9), scores=(dev, *scored_row("a", 0.9).scores))
    only_dev = replace(scored_row("c", 0.8), scores=(dev,))
    merged = merge([Report("", (row,)) for row in (first, scored_row("b", 0.8), only_dev)])
    # Two have each text: the one with more rows is it.
    assert merged.scored_on == "test, 1821 rows"
    assert [row.metrics.get("accuracy") for row in merged.rows] == [0.9, 0.8, None]
    assert any("scores only on other data: c" in note for note in merged.notes)
    assert "50.0%" in to_markdown(merged), "the accuracy on dev is in a table of its own"


def test_scores_of_exporter_and_evaluation_are_merged() -> None:
    exported = Score("test", "ef", 1821, {"accuracy": 0.9})
    rows = [replace(scored_row("a", 0.9), scores=(exported,)), scored_row("a", 0.9)]
    merged = merge([Report("", (row,)) for row in rows])
    assert len(merged.rows[0].scores) == 1
    assert set(merged.rows[0].metrics) == {"accuracy", "macro_f1"}


def test_contradicting_accuracies_are_kept() -> None:
    merged = merge([Report("", (scored_row("a", accuracy),)) for accuracy in (0.9, 0.8)])
    assert [s.metrics["accuracy"] for s in merged.rows[0].scores] == [0.9, 0.8]


def test_a_check_takes_the_name_of_its_file() -> None:
    m = measured("int8", 2.0)
    named = check("what the phone called it", sha256=m.sha256)
    merged = merge([*of(m), Report("", (), checks=(named, named))])
    assert [c.name for c in merged.checks] == ["int8"]


def run_of(name: str, accuracy: float) -> Report:
    return Report(
        name,
        (
            Row("finetuned+keras", "finetuned", "Keras", {"accuracy": accuracy}),
            Row(
                "int8",
                "finetuned",
                "dynamic-int8",
                {"accuracy": accuracy},
                size_bytes=1000,
                gzip_bytes=800,
                sha256=sha_of(name),
                measurements=(measured("int8", 2.0, sha256=sha_of(name)),),
            ),
        ),
        stages=(StageFact("finetune", 9.0, "2026-01-02T03:04:05Z", False),),
        provenance={"Versions": {"edgebert": "0.1.0"}, "Commands": {"this run": f"run {name}"}},
        notes=("A note.",),
    )


def test_a_run_keeps_its_name_stages_notes_and_accuracies() -> None:
    merged = merge([run_of("first", 0.9), *of(measured("float", 9.0, size_bytes=4000))])
    assert merged.name == "first"
    assert [stage.name for stage in merged.stages] == ["finetune"]
    assert merged.notes == ("A note.",)
    assert merged.scored_on == "the test split of first"
    assert [row.metrics.get("accuracy") for row in merged.rows] == [0.9, 0.9, None]


def test_a_repeated_run_is_merged() -> None:
    once, twice = (merge([run_of("first", 0.9)] * times) for times in (1, 2))
    assert twice == once


def test_two_runs_keep_their_names() -> None:
    merged = merge([run_of("first", 0.9), run_of("second", 0.8)], "both")
    assert [stage.name for stage in merged.stages] == ["first: finetune", "second: finetune"]
    assert len({row.name for row in merged.rows}) == 4
    assert merged.notes[:2] == ("first: A note.", "second: A note.")
    assert "Versions" in merged.provenance and "Versions of second" not in merged.provenance
    assert merged.provenance["Commands"] == {"this run": "run first"}
    assert merged.provenance["Commands of second"] == {"this run": "run second"}


def test_a_merged_report_can_be_merged_again() -> None:
    once = merge(parts(), "all")
    read = Report.from_dict(json.loads(json.dumps(once.to_dict())))
    again = merge([read, *parts()], "all")
    assert again.rows == once.rows
    assert again.checks == once.checks
    assert again.provenance == once.provenance


def test_reports_survive_json_and_refuse_newer_versions() -> None:
    report = merge(parts(), "all")
    table = json.loads(json.dumps(report.to_dict()))
    assert Report.from_dict(table).to_dict() == report.to_dict()
    with pytest.raises(DataError, match="version 2"):
        Report.from_dict(table | {"version": 2})
    del table["rows"]
    with pytest.raises(DataError, match="without some of them"):
        Report.from_dict(table)


def test_provenance_has_all_facts_of_every_device() -> None:
    page = merge(parts(), "all")
    facts = page.provenance["Device: Google Pixel 7 (adb)"]
    assert facts["target"] == "adb:29051FDH2000XX"
    assert facts["system"] == PHONE.os
    assert facts["thermal state after"] == "light"
    assert page.provenance[f"Device: {BOARD.name} (ssh)"]["governor"] == "ondemand"
    assert set(page.provenance["Files"]) == {name for name, *_ in FILES}
