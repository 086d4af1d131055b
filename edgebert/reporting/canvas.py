"""Plots as SVG that stands in a page: no ids that clash, no addresses, the page's own colours.

matplotlib draws with stand-in colours; each becomes a CSS variable of the page, so one drawing is
right on a light and on a dark page. Text stays text, and is never read as mathematics.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from edgebert.errors import MissingExtraError

SERIES = 8
"""Colours before they come round again."""
MARKS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "*": "★"}
"""matplotlib's markers, and the characters that stand for them in a legend."""
LINES: tuple[Any, ...] = ("-", "-", (0, (4, 3)), (0, (1, 1.5)))

_STAND_INS = {
    "#010101": "var(--ink)",
    "#020202": "var(--faint)",
    "#030303": "var(--rule)",
    "#040404": "var(--card)",
    **{f"#0000{place + 16:02x}": f"var(--series-{place})" for place in range(SERIES)},
}
INK, FAINT, RULE, CARD, *COLOURS = _STAND_INS
WIDTH_INCHES, HEIGHT_INCHES = 4.3, 3.2
FONT_POINTS = 10.0
LETTER_POINTS = 0.62 * FONT_POINTS
"""About the width of a letter."""


def css_colour(place: int) -> str:
    """The page's colour of a series."""
    return f"var(--series-{place % SERIES})"


def mark_of(place: int) -> str:
    """Matplotlib's marker of a series."""
    return list(MARKS)[place % len(MARKS)]


def new_figure(
    x_label: str, y_label: str = "", height_inches: float = HEIGHT_INCHES
) -> tuple[Any, Any]:
    """A figure and its axes, in the page's colours.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "The plots of report.html need matplotlib. Next: pip install matplotlib"
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
    """Writes text at a point of the data, as it is."""
    axes.text(x, y, text, fontsize=FONT_POINTS, parse_math=False, **{"color": INK, **looks})


def shortened(text: str, width_points: float) -> str:
    """Text on one line that is no wider, with dots in its middle where it was."""
    text = " ".join(text.split())
    letters = max(8, int(width_points / LETTER_POINTS))
    if len(text) <= letters:
        return text
    head = (letters - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (letters - 1 - head) :]}"


def to_svg(figure: Any, title: str, prefix: str) -> str:
    """The figure as an `<svg>` element.

    Args:
        figure: from `new_figure`.
        title: for those who can't see it.
        prefix: of all ids; unique in the page.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}), _quiet_about_glyphs():
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
    """A tag of matplotlib's as it may stand in a page among others."""
    tag = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", tag)
    tag = re.sub(r'\bid="([^"]*)"', rf'id="{prefix}-\1"', tag)
    tag = re.sub(r'xlink:href="#', f'href="#{prefix}-', tag)
    tag = re.sub(r"url\(#", f"url(#{prefix}-", tag)
    tag = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", tag)
    for stand_in, variable in _STAND_INS.items():
        tag = tag.replace(stand_in, variable)
    return tag


@contextmanager
def _quiet_about_glyphs() -> Iterator[None]:
    """Matplotlib's own font lacks many letters, which the browser's fonts have."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield
