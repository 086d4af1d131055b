"""Sections are there only with data, and have the measured values."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from edgebert.profiling.measurement import ColdStart, Measurement, OperationTime
from edgebert.reporting.configurations import device_labels
from edgebert.reporting.detail_tables import (
    cold_start_table,
    devices_table,
    operations_table,
    sustained_table,
)
from edgebert.reporting.figures import device_figures, operation_figures, trade_off_figures
from edgebert.reporting.html import to_html
from edgebert.reporting.markdown import to_markdown
from edgebert.reporting.merging import merge
from edgebert.reporting.operations import blocks_of, parts_of
from edgebert.reporting.report import Report
from edgebert.reporting.sections import sections_of
from edgebert.reporting.tables import checks_table
from tests.edgebert.reporting.examples import (
    PHONE,
    check,
    measured,
    operations,
    parts,
    sustained,
)
from tests.edgebert.reporting.test_merging import of


def headings(page: str) -> list[str]:
    return re.findall(r"<h2[^>]*>([^<]*)", page)


@pytest.fixture(scope="module")
def everything() -> Report:
    return merge(parts(), "everything")


@pytest.fixture(scope="module")
def page(everything: Report) -> str:
    return to_html(everything)


def test_all_sections_are_there_in_order(page: str) -> None:
    assert headings(page) == [
        "Trade-offs",
        "Devices compared",
        "Latency",
        "Operations",
        "Under load",
        "Starts, memory and energy",
        "Device checks",
        "Warnings",
        "Provenance",
    ]


def test_one_measurement_has_only_its_sections() -> None:
    bare = merge(of(measured("a", 1.0)))
    assert headings(to_html(bare)) == ["Latency", "Provenance"]
    assert merge([]).rows == () and headings(to_html(merge([]))) == []


def test_markdown_has_every_table_of_the_page(everything: Report) -> None:
    drawn = to_markdown(everything)
    for section in sections_of(everything):
        for table in section.tables:
            assert f"| {table.columns[0]} | {table.columns[1]} |" in drawn
        if section.tables or section.lines:
            assert not section.title or f"## {section.title}" in drawn


def test_the_table_of_contents_links_to_every_section(page: str) -> None:
    links = re.findall(r"<nav>.*?</nav>", page)[0]
    anchors = re.findall(r'href="#([^"]*)"', links)
    assert anchors == re.findall(r'<h2 id="([^"]*)"', page)


def test_devices_are_compared_in_common_configurations() -> None:
    here, there = measured("a", 2.0), measured("a", 6.0, target="adb:x", device=PHONE)
    alone = measured("a", 1.0, 32)
    table = devices_table([here, alone, there])
    assert table is not None
    assert [row[:4] for row in table.rows] == [
        ("a, 16 tokens", "a processor (cpu)", "2.20", "1.00x"),
        ("", "Google Pixel 7 (adb)", "6.60", "3.00x"),
    ]
    assert devices_table([here, alone]) is None
    report = merge(of(here, alone, there))
    (figure,) = device_figures(report)
    assert "16 tokens" in figure.caption and ">6.60<" in figure.svg


def test_device_bars_take_the_newest_measurement() -> None:
    old = measured("a", 2.0)
    new = measured("a", 3.0, session="two", measured="2027-01-01T00:00:00Z")
    there = measured("a", 6.0, target="adb:x", device=PHONE)
    (figure,) = device_figures(merge(of(old, new, there)))
    assert ">3.30<" in figure.svg and ">2.20<" not in figure.svg


def test_a_pareto_front_needs_two_files_with_accuracy(everything: Report) -> None:
    assert len(trade_off_figures(everything)) == 1 + len(device_labels(everything.measurements))
    few = replace(everything, rows=everything.rows[:1])
    assert trade_off_figures(few) == []


def test_parts_add_up_and_small_parts_are_combined() -> None:
    spent = operations(10.0)
    total = sum(operation.latency_ms for operation in spent)
    found = parts_of(spent)
    assert sum(part.latency_ms for part in found) == pytest.approx(total)
    assert sum(part.calls for part in found) == len(spent)
    assert found[0].name == "layers.*.attention.qkv" and found[0].calls == 6
    assert found[-1].name == "4 others"
    assert found[0].operations == ("FULLY_CONNECTED",)


def test_blocks_keep_order_and_total_time_of_the_graph() -> None:
    spent = operations(10.0)
    found = blocks_of(spent)
    assert list(found)[:3] == ["embeddings", "layers.0", "layers.1"]
    assert set(found["layers.0"]) == {"attention", "feed_forward"}
    total = sum(sum(block.values()) for block in found.values())
    assert total == pytest.approx(sum(operation.latency_ms for operation in spent))


def test_operations_without_layers_are_shown_by_kind() -> None:
    spent = (OperationTime("", "GELU", 1.0), OperationTime("", "GELU", 2.0))
    (part,) = parts_of(spent)
    assert (part.name, part.latency_ms, part.calls) == ("GELU", 3.0, 2)
    assert blocks_of(spent) == {"GELU": {"other": 3.0}}


def test_operations_of_the_longest_text_are_drawn() -> None:
    short, long = (measured("a", n / 10, n, operations=operations(n / 10)) for n in (16, 128))
    blocks, by_part = operation_figures(merge(of(short, long)))
    assert "128 tokens" in blocks.caption and "128 tokens" in by_part.caption
    assert {text for _, _, text in blocks.legend} == {
        "attention",
        "feed_forward",
        "tokens",
        "others",
    }
    table = operations_table([long], device_labels([long]))
    assert table.rows[0][:3] == ("a, 128 tokens", "layers.*.attention.qkv", "2.98")


def test_a_sustained_run_shows_its_start_and_end() -> None:
    m = measured("a", 10.0, sustained=sustained(10.0))
    (row,) = sustained_table([m], device_labels([m])).rows
    assert row == (
        "a",
        "16 tokens",
        "10 min 00 s",
        "10.0",
        "15.5",
        "1.55x",
        "32 to 44 °C",
        "2848 to 1839 MHz",
        "none, light, moderate",
    )


def test_cold_starts_compare_with_and_without_the_cache() -> None:
    m = measured("a", 1.0, cold_start=ColdStart(2.0, 48.0, 3.0, 7.0, 24_000_000))
    (row,) = cold_start_table([m], device_labels([m])).rows
    assert row[2:] == ("2.00", "48.0", "3.00", "7.00", "0.20x", "24.00 MB")


def test_failed_checks_and_differing_texts_are_shown(page: str) -> None:
    assert page.count('class="good"') == 2 and page.count('class="bad"') == 1
    for text in ("charming and often affecting", "negative", "positive", "ARM kernels emulated"):
        assert text in page


def test_a_check_that_passes_by_rounding_is_marked() -> None:
    rounded = check("a", max_score_error=0.01, logit_error=0.02, rounding_error=0.02)
    assert checks_table([check("a"), rounded]).rows[1][-1] == "pass, rounding"
    far = replace(rounded, logit_error=0.2)
    assert checks_table([far]).rows[0][-1] == "FAIL"


def test_the_summary_is_of_one_device(everything: Report) -> None:
    drawn = to_markdown(everything)
    assert "latency is text in, answer out on AMD EPYC 9R14 (cpu)" in drawn


def test_unknown_percentiles_are_not_zeros() -> None:
    m = measured("a", 1.0)
    latency = replace(m.latency, p90_ms=None, p99_ms=None, spread=None)
    phones = [
        replace(m, latency=latency, device=d, target=t)
        for d, t in ((m.device, "cpu"), (PHONE, "adb"))
    ]
    drawn: list[Measurement] = [*phones, replace(phones[0], length=32, signature="b")]
    assert "| – | – |" in to_markdown(merge(of(*drawn)))
    assert "<svg" in to_html(merge(of(*drawn)))
