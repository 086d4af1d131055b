"""What MkDocs needs to build `docs/` as a site: pages from outside of `docs/`, and links to them.

The pages are written for a repository, where README.md is the first page and links lead to source
files. On the site README.md is the start page. A link to a source file becomes its text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "web/README.md": "web-library.md",
    "tests/golden/README.md": "golden-cases.md",
}
"""Pages outside of docs/, and where they are on the site."""


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages outside of docs/."""
    for source, target in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, target, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Points links to the pages of the site."""
    here = page.file.src_uri
    sources = {target: source for source, target in PAGES.items()}
    folder = posixpath.dirname(sources.get(here, f"docs/{here}"))

    def link(found: re.Match[str]) -> str:
        text, target, anchor = found.groups()
        if ":" in target or not target:
            return found[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        if path in PAGES:
            uri = PAGES[path]
        elif path.startswith("docs/"):
            uri = path.removeprefix("docs/")
        else:
            return text
        return f"[{text}]({posixpath.relpath(uri, posixpath.dirname(here) or '.')}{anchor or ''})"

    return re.sub(r"\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)", link, markdown)
