"""Any measurements with any names are rendered, and text is escaped."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebert.profiling.device_check import DeviceCheck
from edgebert.profiling.measurement import (
    ColdStart,
    Device,
    Measurement,
    OperationTime,
    SustainedPoint,
    summarize,
)
from edgebert.reporting.html import to_html
from edgebert.reporting.markdown import to_markdown
from edgebert.reporting.merging import merge
from edgebert.reporting.report import Report, Row
from edgebert.reporting.sections import sections_of
from edgebert.reporting.terminal import print_report
from edgebert.reporting.writing import write_report
from edgebert.system.shown_text import shown
from tests.edgebert.reporting.examples import check, scored_row
from tests.edgebert.reporting.test_drawing import HOSTILE, Page
from tests.edgebert.reporting.test_merging import of

OUR_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "nav", "a", "ul"),
    *("li", "span", "div", "table", "thead", "tbody", "tr", "th", "td", "wbr", "figure", "svg"),
    *("figcaption", "g", "path", "defs", "text", "use", "clippath", "rect", "tspan"),
}
SETTINGS = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}

# Few names, so that the same ones meet; and some that mean trouble to HTML, Markdown or SVG.
names = st.sampled_from(["a", "b", "", HOSTILE, "| a | b |", "日本語 ünï 😀", "]]>", "x" * 300]) | (
    st.text(max_size=12)
)
ms = st.floats(0, 1e6)
count = st.integers(0, 10**9)
moments = st.sampled_from(["", "2026-01-02T03:04:05Z", "2027-01-02T03:04:05Z", "nonsense"])


def maybe(values: st.SearchStrategy) -> st.SearchStrategy:  # type: ignore[type-arg]
    return st.none() | values


devices = st.builds(
    Device,
    names,
    names,
    st.integers(1, 8),
    names,
    names,
    st.lists(names, max_size=2).map(tuple),
    maybe(st.floats(0, 99)),
    maybe(names),
    st.dictionaries(names, names, max_size=2),
)
latencies = st.lists(st.lists(ms, min_size=1, max_size=4), min_size=1, max_size=8).map(summarize)
operation_times = st.builds(
    OperationTime,
    st.sampled_from(["", "layers.0.attention.query", "layers.1.norm", "embeddings"]) | names,
    names,
    ms,
    st.integers(1, 99),
)
stretches = st.builds(
    SustainedPoint,
    st.floats(0, 1e5),
    count,
    ms,
    maybe(ms),
    maybe(st.floats(-50, 200)),
    maybe(ms),
    names,
)
measurements = st.builds(
    Measurement,
    model=names,
    name=names,
    sha256=st.sampled_from(["", "aa", "bb"]),
    size_bytes=count,
    gzip_bytes=count,
    target=st.sampled_from(["cpu", "adb:x", "browser"]) | names,
    device=devices,
    runtime=names,
    session=names,
    threads=st.sampled_from([1, 2]),
    signature=st.sampled_from([None, "s"]),
    length=st.sampled_from([None, 16, 32]),
    kind=st.sampled_from(["model", "end_to_end"]),
    texts=count,
    load_ms=ms,
    first_call_ms=ms,
    latency=latencies,
    peak_memory_bytes=maybe(count),
    model_memory_bytes=maybe(count),
    warnings=st.lists(names, max_size=2).map(tuple),
    weights_bytes=maybe(count),
    arena_bytes=maybe(count),
    energy_mj=maybe(ms),
    operations=st.lists(operation_times, max_size=5).map(tuple),
    sustained=st.lists(stretches, max_size=4).map(tuple),
    cold_start=maybe(st.builds(ColdStart, ms, ms, ms, ms, count)),
    measured=moments,
)
checks = st.builds(
    lambda name, text, ids: check(
        name,
        target=text,
        device=text,
        data=text,
        token_ids_equal=ids,
        notes=(text,),
        differing=((text, name, text),),
    ),
    names,
    names,
    maybe(st.booleans()),
)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    found: list[Measurement] = draw(st.lists(measurements, max_size=4))
    if draw(st.booleans()):  # the same on another device
        found += [replace(m, target="browser", device=draw(devices)) for m in found]
    asked: list[DeviceCheck] = draw(st.lists(checks, max_size=2))
    parts = of(*found)
    if draw(st.booleans()):
        parts += [
            Report("", (Row(m.name, "", m.runtime, {}, sha256=m.sha256, scores=row.scores),))
            for m in found
            for row in [scored_row(m.name, draw(st.floats(0, 1)))]
        ]
    parts.append(Report(draw(names), (), notes=tuple(draw(st.lists(names, max_size=2)))))
    parts.append(Report("", (), checks=tuple(asked)))
    return merge(parts, draw(names))


@settings(max_examples=40, **SETTINGS)  # type: ignore[arg-type]
@given(report=reports())
def test_text_is_escaped_in_every_table(report: Report) -> None:
    lines = to_markdown(report).splitlines()
    for section in sections_of(report):
        for table in section.tables:
            assert {len(row) for row in table.rows} <= {len(table.columns)}, table.title
    bars = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines if line.startswith("|")]
    widths = [len(t.columns) + 1 for s in sections_of(report) for t in s.tables]
    rows = [len(t.rows) + 2 for s in sections_of(report) for t in s.tables]
    assert bars == [w for width, count in zip(widths, rows, strict=True) for w in [width] * count]
    assert not re.search(r"<(?!br>)", "".join(lines))
    json.dumps(report.to_dict(), allow_nan=False)
    assert Report.from_dict(report.to_dict()).to_dict() == report.to_dict()


@settings(max_examples=12, **SETTINGS)  # type: ignore[arg-type]
@given(report=reports())
def test_any_report_renders_to_a_complete_page(report: Report) -> None:
    page = Page(to_html(report))
    assert page.open == []
    assert page.tags <= OUR_TAGS
    assert page.handlers == []
    assert len(page.ids) == len(set(page.ids))
    assert all(address.startswith("#") for address in page.addresses)
    assert shown(report.name) in page.text


@settings(max_examples=5, **SETTINGS)  # type: ignore[arg-type]
@given(report=reports())
def test_any_report_is_printed_and_written(
    report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(report)
    capsys.readouterr()
    for path in write_report(report, tmp_path):
        assert path.read_bytes()
