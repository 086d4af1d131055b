"""Plots as inline SVG: unique ids, no external addresses, and the colours of the page.

matplotlib draws with placeholder colours, which are replaced by CSS variables of the page, so one
drawing fits a light and a dark page. Text stays text and is never parsed as mathematics.
"""

from __future__ import annotations

import importlib.util
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgebert.errors import MissingExtraError
from edgebert.reporting.escaping import escape

SERIES = 8
"""Number of colours before they repeat."""
MARKS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "*": "★"}
"""matplotlib's markers, and the characters for them in a legend."""
LINES: tuple[Any, ...] = ("-", "-", (0, (4, 3)), (0, (1, 1.5)))

_PLACEHOLDERS = {
    "#010101": "var(--ink)",
    "#020202": "var(--faint)",
    "#030303": "var(--rule)",
    "#040404": "var(--card)",
    **{f"#0000{index + 16:02x}": f"var(--series-{index})" for index in range(SERIES)},
}
INK, FAINT, RULE, CARD, *COLOURS = _PLACEHOLDERS
WIDTH_INCHES, HEIGHT_INCHES = 4.3, 3.2
FONT_POINTS = 10.0
LETTER_POINTS = 0.62 * FONT_POINTS
"""Estimated width of a letter, in points."""


def css_colour(index: int) -> str:
    """The CSS colour of a series."""
    return f"var(--series-{index % SERIES})"


def mark_of(index: int) -> str:
    """The matplotlib marker of a series."""
    return list(MARKS)[index % len(MARKS)]


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def new_figure(
    x_label: str, y_label: str = "", height_inches: float = HEIGHT_INCHES
) -> tuple[Any, Any]:
    """A figure and its axes in the colours of the page.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "The plots of report.html need matplotlib. Next: pip install 'matplotlib>=3.8,<4'"
        ) from error
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    axes.set_xlabel(x_label, color=INK, fontsize=FONT_POINTS)
    axes.set_ylabel(y_label, color=INK, fontsize=FONT_POINTS)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=FONT_POINTS, length=3)
    axes.grid(color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
    return figure, axes


def write_text(axes: Any, text: str, x: float, y: float, **looks: Any) -> None:
    """Writes text at data coordinates, without parsing it as mathematics."""
    axes.text(x, y, text, fontsize=FONT_POINTS, parse_math=False, **{"color": INK, **looks})


def shortened(text: str, width_points: float) -> str:
    """Text on one line, shortened in the middle to a maximum width in points."""
    text = " ".join(text.split())
    letters = max(8, int(width_points / LETTER_POINTS))
    if len(text) <= letters:
        return text
    head = (letters - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (letters - 1 - head) :]}"


def to_svg(figure: Any, title: str, prefix: str) -> str:
    """Converts a figure to an `<svg>` element.

    Args:
        figure: figure of `new_figure`.
        title: text for screen readers.
        prefix: prefix of all ids, unique in the page.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with (
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}),
        _without_glyph_warnings(),
    ):
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
        )
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", drawn, flags=re.S)
    drawn = re.sub(r"<[^>]+>", lambda tag: _in_page(tag[0], prefix), drawn)
    view_box = re.search(r'viewBox="[^"]*"', drawn)
    assert view_box is not None
    opening = f'<svg {view_box[0]} role="img" aria-label="{escape(title)}">'
    return opening + drawn[drawn.index(">") + 1 :]


def _in_page(tag: str, prefix: str) -> str:
    """Adapts an SVG tag of matplotlib to a page: prefixed ids, CSS colours, no namespaces."""
    tag = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", tag)
    tag = re.sub(r'\bid="([^"]*)"', rf'id="{prefix}-\1"', tag)
    tag = re.sub(r'xlink:href="#', f'href="#{prefix}-', tag)
    tag = re.sub(r"url\(#", f"url(#{prefix}-", tag)
    tag = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", tag)
    for placeholder, variable in _PLACEHOLDERS.items():
        tag = tag.replace(placeholder, variable)
    return tag


@contextmanager
def _without_glyph_warnings() -> Iterator[None]:
    """Hides warnings about glyphs that matplotlib's font lacks but browser fonts have."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield
