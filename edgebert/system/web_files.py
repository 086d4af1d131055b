"""Finds the JavaScript of edgebert: the library and the pages that show a model's answers.

In a checkout they lie in `web/` beside the package; a wheel has them in `edgebert/web/` (setup.py).
"""

from __future__ import annotations

from pathlib import Path

from edgebert.errors import EdgebertError

LIBRARY = "src"
"""The library: ES modules without a build step."""
SITE = "site"
"""The page of `edgebert web`, and the view of answers that the page which profiles has, too."""
_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "web", _PACKAGE.parent / "web")


def web_files(folder: str) -> list[Path]:
    """The files of a folder, in the order of their names.

    Raises:
        EdgebertError: they were not installed.
    """
    for place in _PLACES:
        if (place / folder).is_dir():
            return sorted(path for path in (place / folder).iterdir() if path.is_file())
    raise EdgebertError(
        f"Expected the web files of edgebert in {_PLACES[0]}. Received: no folder {folder} there. "
        "Next: install edgebert again."
    )
