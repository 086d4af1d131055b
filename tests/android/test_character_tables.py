"""The tables of the tokenizers in Kotlin and JavaScript are those of the installed library."""

from __future__ import annotations

import re
import unicodedata

import pytest
import tokenizers

from tests.golden import make_grapheme_tables
from tests.golden.kotlin_character_tables import KOTLIN_OUTPUT, kotlin_module
from tests.golden.make_character_tables import ask

REMAKE = "Next: python -m tests.golden.make_character_tables"


@pytest.fixture(scope="module")
def made() -> str:
    """The module as the script makes it now."""
    return kotlin_module(ask(), tokenizers.__version__)


def test_the_tables_are_what_the_library_does(made: str) -> None:
    """Only the category Mn is Python's own: it may be of another Unicode version."""
    written = KOTLIN_OUTPUT.read_text(encoding="ascii")
    for name in re.findall(r"val (\w+): String", made):
        if name != "nonspacingMarks":
            assert _table(written, name) == _table(made, name), f"{name} differs. {REMAKE}"


def test_the_marks_are_those_of_python(made: str) -> None:
    written = KOTLIN_OUTPUT.read_text(encoding="ascii")
    if f"Unicode {unicodedata.unidata_version}" not in written:
        pytest.skip(f"this Python has Unicode {unicodedata.unidata_version}, the table another")
    assert _table(written, "nonspacingMarks") == _table(made, "nonspacingMarks"), REMAKE


def test_the_classes_of_grapheme_clusters_are_those_of_the_library() -> None:
    tables = make_grapheme_tables.ask()
    for path, made in (
        (make_grapheme_tables.JAVASCRIPT, make_grapheme_tables.javascript_module(tables)),
        (make_grapheme_tables.KOTLIN, make_grapheme_tables.kotlin_module(tables)),
    ):
        written = path.read_text(encoding="ascii")
        remade = re.sub(r"`tokenizers` \([^)]*\)", _version_in(written), made)
        assert written == remade, f"{path.name}. Next: python -m tests.golden.make_grapheme_tables"


def _version_in(module: str) -> str:
    found = re.search(r"`tokenizers` \([^)]*\)", module)
    assert found is not None
    return found[0]


def _table(module: str, name: str) -> list[str]:
    found = re.search(rf'val {name}: String = """\n(.*?)\n"""', module, re.DOTALL)
    assert found is not None, name
    return found[1].split()
