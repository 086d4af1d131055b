"""The tables and figures of a report; all renderers are complete, safe and consistent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from edgebert.profiling.measurement import Measurement
from edgebert.reporting.html import to_html
from edgebert.reporting.markdown import to_markdown
from edgebert.reporting.plots import pareto_front
from edgebert.reporting.report import Report, Row, StageFact, latency_ratio
from edgebert.reporting.tables import files_table, latency_tables, summary_table, warnings_text
from edgebert.reporting.terminal import print_report
from edgebert.reporting.units import ms_text, ratio_text, seconds_text, share_text, size_text
from edgebert.reporting.writing import write_report
from tests.edgebert.reporting.examples import measured

HOSTILE = "<script>alert('x')</script>|$\\frac{a$[link](javascript:1)&amp;\"onload=\""
VOID = {"meta", "br", "use", "path", "wbr"}


def file_row(name: str, ms: float, gzip_bytes: int, accuracy: float, **changes: object) -> Row:
    values: dict[str, object] = {
        "name": name,
        "model": "finetuned",
        "recipe": "float32",
        "metrics": {"accuracy": accuracy, "macro_f1": accuracy - 0.01},
        "size_bytes": gzip_bytes * 2,
        "gzip_bytes": gzip_bytes,
        "file": f"4-exported/{name}.tflite",
        "measurements": (measured(name, ms), measured(name, ms * 2, 32), measured(name, ms, None)),
    }
    return Row(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def report() -> Report:
    return Report(
        name="a run",
        rows=(
            Row("finetuned+keras", "finetuned", "Keras", {"accuracy": 0.9, "macro_f1": 0.89}),
            file_row("before", 8.0, 80_000_000, 0.9),
            file_row("after", 2.0, 20_000_000, 0.88, model="pruned", sparsity=0.5),
        ),
        stages=(StageFact("finetune", 93.0, "2026-01-02T03:04:05Z", True, {"epochs": 3}),),
        provenance={"Versions": {"edgebert": "0.1.0"}, "Empty": {}},
        notes=("A note.",),
    )


class Page(HTMLParser):
    """Checks that tags are balanced and gathers text, ids and addresses."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href"):
                self.addresses.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_startendtag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_number_formats() -> None:
    assert [ms_text(x) for x in (0.1234, 1.234, 12.34, 123.4, None)] == [
        "0.123",
        "1.23",
        "12.3",
        "123",
        "–",
    ]
    assert [size_text(x) for x in (12, 1234, 23_810_000, None)] == [
        "12 B",
        "1.2 kB",
        "23.81 MB",
        "–",
    ]
    assert (share_text(0.9427), ratio_text(0.256), ratio_text(float("inf"))) == (
        "94.3%",
        "0.26x",
        "–",
    )
    assert (seconds_text(8.24), seconds_text(59.99), seconds_text(185)) == (
        "8.2 s",
        "60.0 s",
        "3 min 05 s",
    )


def test_ratios_compare_with_the_first_file(report: Report) -> None:
    table = summary_table(report)
    size, gzip, p50 = (table.columns.index(name) for name in ("size", "gzip'd", "p50 ms"))
    assert table.rows[0][2:4] == ("90.0%", "89.0%")
    assert table.rows[0][size] == "–"
    assert table.rows[1][size] == "160.00 MB (1.00x)"
    assert table.rows[2][gzip] == "20.00 MB (0.25x)"
    assert table.rows[2][p50] == "2.20 (0.25x)"
    assert table.rows[2][table.columns.index("zeros")] == "50.0%"


def test_empty_columns_are_left_out(report: Report) -> None:
    bare = Report("", tuple(Row(r.name, r.model, r.recipe, r.metrics) for r in report.rows))
    assert summary_table(bare).columns == ("model", "recipe", "accuracy", "macro F1")
    assert bare.baseline is None
    assert "<svg" not in to_html(bare)


def test_latencies_are_grouped_by_length(report: Report) -> None:
    (table,) = latency_tables(report.measurements)
    assert [row[0] for row in table.rows] == [
        "16 tokens",
        "",
        "32 tokens",
        "",
        "text to answer",
        "",
    ]
    assert [row[1] for row in table.rows] == ["before", "after"] * 3
    assert [row[6] for row in table.rows] == ["1.00x", "0.25x"] * 3
    assert table.sections == (2, 4)
    assert table.title == "Latency in ms, 1 thread"


def test_several_thread_counts_are_named() -> None:
    (table,) = latency_tables([measured("a", 2.0), measured("a", 1.0, threads=2)])
    assert [row[0] for row in table.rows] == ["16 tokens, 1 thread", "16 tokens, 2 threads"]


def test_two_signatures_of_one_length_have_different_names() -> None:
    both = [measured("a", 2.0, signature="x"), measured("a", 1.0, signature="y")]
    assert [row[1] for row in latency_tables(both)[0].rows] == ["a:x", "a:y"]
    assert [latency_ratio(m, both) for m in both] == [1.0, 0.5]


def test_no_ratio_for_a_length_that_the_first_model_lacks() -> None:
    both = [measured("a", 2.0, 16), measured("b", 1.0, 32)]
    assert latency_ratio(both[1], both) is None
    assert [row[2] for row in files_table(both).rows] == ["800 B (1.00x)", "800 B (1.00x)"]


def test_warnings_that_differ_only_in_numbers_are_listed_once() -> None:
    several = [measured("a", 1.0, n, warnings=(f"Known to {n}.5% only.",)) for n in (16, 32)]
    assert warnings_text(several) == [
        "a, 16 tokens, 1 thread: Known to 16.5% only. (Same for 1 more of 2 measurements.)"
    ]


def test_the_page_is_complete_and_has_every_row(report: Report) -> None:
    page = Page(to_html(report))
    assert page.open == []
    for text in (
        "a run",
        "finetuned",
        "Keras",
        "before",
        "after",
        "A note.",
        "0.25x",
        "edgebert",
        "epochs 3",
        "1 min 33 s",
        "text to answer",
    ):
        assert text in page.text
    assert "svg" in page.tags
    assert "script" not in page.tags


def test_the_page_needs_no_network(report: Report) -> None:
    content = to_html(report)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", content)
    page = Page(content)
    assert all(address.startswith("#") for address in page.addresses)
    assert len(page.ids) == len(set(page.ids)), "the plots' ids clash"
    assert {address[1:] for address in page.addresses} <= set(page.ids)
    assert set(re.findall(r"url\(#([^)]*)\)", content)) <= set(page.ids)


def test_plots_have_the_colours_of_the_page(report: Report) -> None:
    content = to_html(report)
    drawn = "".join(re.findall(r"<svg.*?</svg>", content, re.S))
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawn)) == set()
    used = set(re.findall(r"var\((--[\w-]+)\)", content))
    light, dark = content.split("prefers-color-scheme: dark")
    assert {"--ink", "--series-0", "--series-1"} <= used
    for variable in used:
        assert f"{variable}:" in light and f"{variable}:" in dark


def test_hostile_names_are_escaped(report: Report) -> None:
    first = file_row(HOSTILE, 1.0, 1000, 0.9, model=HOSTILE)
    hostile = Report(
        HOSTILE, (first, *report.rows), report.stages, {HOSTILE: {HOSTILE: HOSTILE}}, (HOSTILE,)
    )
    page = Page(to_html(hostile))
    assert page.open == []
    assert "script" not in page.tags
    assert page.handlers == []
    assert page.text.count(HOSTILE) >= 6
    lines = to_markdown(hostile).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert "<script" not in "".join(lines)
    assert "](" not in "".join(lines).replace("\\](", "")
    header = next(line for line in rows if "accuracy" in line)
    row = next(line for line in rows if "alert" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"(?<!\\)\|", header))


def test_json_has_ratios_and_measurements(report: Report, tmp_path: Path) -> None:
    json_path, markdown_path, html_path = write_report(report, tmp_path)
    content = json.loads(json_path.read_text())
    assert content["format"] == "edgebert-report"
    after = content["rows"][2]
    assert (after["size_ratio"], after["sparsity"]) == (0.25, 0.5)
    assert [m["latency_ratio"] for m in after["measurements"]] == pytest.approx([0.25] * 3)
    assert Measurement.from_dict(after["measurements"][0]) == report.rows[2].measurements[0]
    assert markdown_path.read_text().startswith("# a run\n")
    assert html_path.read_text().startswith("<!doctype html>")


def test_the_report_is_the_same_each_time(report: Report) -> None:
    assert to_html(report) == to_html(report)


@pytest.mark.parametrize("columns", [80, 100, 120, 200])
def test_no_number_is_cut_on_any_terminal(
    report: Report,
    columns: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    print_report(report)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= columns
    for figure in ("160.00 MB", "80.00 MB", "(0.25x)", "90.0%", "88.0%", "50.0%", "2.20", "50 MB"):
        assert figure in printed
    assert "…" not in printed


def test_a_pipe_gets_every_column(
    report: Report, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    print_report(report)
    assert "first call ms" in capsys.readouterr().out.split("Latency in ms")[0]


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([(1, 1)], [(1, 1)]),
        ([(1, 1), (2, 2), (3, 1.5)], [(1, 1), (2, 2)]),
        ([(2, 2), (1, 2), (1, 1)], [(1, 2)]),
    ],
)
def test_pareto_front(points: list[tuple[float, float]], front: list[tuple[float, float]]) -> None:
    assert pareto_front(points) == front
