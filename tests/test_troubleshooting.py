"""docs/troubleshooting.md: messages are those that programs print, and each has a solution."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
MESSAGES = [
    message
    for heading, body in ENTRIES
    for message in (
        *re.findall(r"^`(.+)`$", heading),
        *re.findall(r"^Also: `([^`]{20,})`", body, re.MULTILINE),
    )
]


@pytest.fixture(scope="module")
def known_texts() -> tuple[str, bytes]:
    """The source of edgebert as one line, and the libraries of the runtime."""
    sources = [
        path.read_text(encoding="utf-8")
        for room in ("edgebert", "converters")
        for path in sorted((ROOT / room).rglob("*.py"))
    ]
    spec = importlib.util.find_spec("ai_edge_litert")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    libraries = b"".join(path.read_bytes() for path in sorted(folder.glob("*litert_common*")))
    assert libraries, "the file of the interpreter's library has another name"
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(sources)), libraries


def test_messages_are_found() -> None:
    assert len(MESSAGES) >= 8
    assert len(ENTRIES) >= 16


@pytest.mark.parametrize("message", MESSAGES)
def test_a_program_prints_it(message: str, known_texts: tuple[str, bytes]) -> None:
    source, libraries = known_texts
    general = re.sub(r"'[A-Z_]+' version '\d+'", "'%s' version '%d'", message)
    general = re.sub(r"\b(INT64|INT32)\b", "%s", general)
    assert message in source or general.encode() in libraries, general


@pytest.mark.parametrize(("heading", "body"), ENTRIES)
def test_each_entry_has_a_cause_and_a_solution(heading: str, body: str) -> None:
    assert body.index("**Cause.**") < body.index("**Solution.**")
    solution = body.partition("**Solution.**")[2]
    assert re.search(r"```|`[^`]+`", solution), f"{heading}: no command or code"
