"""The page in a real browser, with the width of a phone, in light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgebert.reporting.merging import merge
from edgebert.reporting.report import Report
from edgebert.reporting.writing import write_report
from tests.edgebert.reporting.examples import FILES, everywhere, parts
from tests.edgebert.reporting.test_merging import of
from tests.judges.chromium import Chromium, Page, Viewport

PHONE_WIDTH = 390
LONG = "a_model_with_a_name_that_goes_on_and_on_" * 4

OUTSIDE = """
[...document.querySelectorAll('svg')].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter(text => {
    const own = text.getBoundingClientRect();
    return own.width > 0 && (own.left < box.left - 1 || own.right > box.right + 1
      || own.top < box.top - 1 || own.bottom > box.bottom + 1);
  }).map(text => svg.getAttribute('aria-label') + ': ' + text.textContent);
})"""
"""Text of figures outside of its figure."""

CUT = """
[...document.querySelectorAll('h1, h2, h3, p, li, figcaption, nav a, tr.group span')]
  .filter(element => element.getBoundingClientRect().right > innerWidth + 1)
  .map(element => element.textContent)"""
"""Text outside of tables that is wider than the screen."""

FAINT = """
[...document.querySelectorAll('h1, h2, h3, p, li, td, th, a, figcaption, svg text')]
  .filter(element => element.textContent.trim() && element.getClientRects().length)
  .filter(element => {
    const style = getComputedStyle(element);
    const inSvg = element.closest('svg');
    const paint = inSvg ? style.fill : style.color;
    const light = text => {
      const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(part => {
        const share = part / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = light(getComputedStyle(document.body).backgroundColor), own = light(paint);
    return (Math.max(ground, own) + 0.05) / (Math.min(ground, own) + 0.05) < 4.5;
  }).map(element => element.tagName + ': ' + element.textContent.slice(0, 40))"""
"""Text with less contrast than level AA of WCAG."""


@pytest.fixture(scope="module", params=["everything", "one bare measurement", "long names"])
def page_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    reports: dict[str, Report] = {
        "everything": merge(parts(), "SST-2 on four devices"),
        "one bare measurement": merge(of(everywhere()[0])),
        "long names": merge(
            of(*everywhere([(f"{LONG}{at}", *file[1:]) for at, file in enumerate(FILES[:2])])),
            LONG,
        ),
    }
    folder = tmp_path_factory.mktemp("page")
    return write_report(reports[request.param], folder)[2]


@pytest.fixture(params=["light", "dark"])
def phone(request: pytest.FixtureRequest, chromium: Chromium, page_file: Path) -> Iterator[Page]:
    dark = request.param == "dark"
    viewport = Viewport(PHONE_WIDTH, 844, mobile=True, dark=dark)
    page = chromium.open(page_file.as_uri(), viewport)
    page.wait_for("document.readyState === 'complete'")
    yield page
    page.close()


def brightness(colour: str) -> float:
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_a_phone_shows_all_of_it(phone: Page) -> None:
    assert phone.evaluate("document.scrollingElement.scrollWidth") == PHONE_WIDTH
    assert phone.evaluate(OUTSIDE) == []
    assert phone.evaluate(CUT) == []


def test_all_text_is_legible(phone: Page, request: pytest.FixtureRequest) -> None:
    ground = brightness(phone.evaluate("getComputedStyle(document.body).backgroundColor"))
    is_dark = phone.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert ground < 40 if is_dark else ground > 240
    assert phone.evaluate(FAINT) == []


def test_the_page_loads_nothing_else(phone: Page, page_file: Path) -> None:
    assert phone.requests == [page_file.as_uri()]
    assert phone.problems == []
    assert phone.evaluate("document.scripts.length") == 0


def test_a_wide_screen_has_plots_side_by_side(chromium: Chromium, page_file: Path) -> None:
    page = chromium.open(page_file.as_uri(), Viewport(1200, 900))
    page.wait_for("document.readyState === 'complete'")
    assert page.evaluate("document.scrollingElement.scrollWidth") == 1200
    assert page.evaluate(OUTSIDE) == []
    page.close()
