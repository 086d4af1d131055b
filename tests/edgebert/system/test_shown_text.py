"""Control characters of texts are shown as escapes, and never reach the terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from edgebert.cli import cli
from edgebert.models.task_model import TaskModel
from edgebert.reporting.escaping import escape
from edgebert.reporting.html import to_html
from edgebert.reporting.markdown import to_markdown
from edgebert.reporting.report import Report, Row
from edgebert.system.shown_text import open_console, shown

EVIL = "good\x1b]0;owned\x07\x1b[2J\x9b1m\u202edab"
HIDDEN = "\x1b\x07\x9b\u202e"


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    left = [c for c in shown(text) if not c.isprintable() and c not in "\t\n"]
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in left)
    assert shown(shown(text)) == shown(text)


def test_other_texts_are_unchanged() -> None:
    text = "Grüße, 你好, שלום\tتونس 😀\n\\x1b"
    assert shown(text) == text and shown("\x1b") == "\\x1b" and shown("\u202e") == "\\u202e"


def test_a_table_on_a_terminal_has_only_its_own_escapes() -> None:
    file = io.StringIO()
    table = Table("label", title=EVIL)
    table.add_row(EVIL)
    open_console(file=file, force_terminal=True, color_system=None, width=100).print(table, EVIL)
    assert "\\x1b]0;owned" in file.getvalue()
    assert not any(c in file.getvalue() for c in ("\x07", "\x9b", "\u202e", "\x1b]"))


def test_a_report_has_no_control_characters() -> None:
    row = Row(EVIL, "", EVIL, {EVIL: 0.5}, file=EVIL)
    report = Report(EVIL, (row,), notes=(EVIL,))
    for text in (to_markdown(report), to_html(report)):
        assert "owned" in text and not any(c in text for c in HIDDEN)
    assert escape(EVIL + "<") == shown(EVIL) + "&lt;"


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_predict_shows_an_evil_label(
    tiny_model: TaskModel, tmp_path_factory: pytest.TempPathFactory, arguments: tuple[str, ...]
) -> None:
    labels = tuple(EVIL + str(i) for i in range(3))
    model = replace(tiny_model, checkpoint=replace(tiny_model.checkpoint, labels=labels))
    folder = model.save(tmp_path_factory.mktemp("evil") / "model")
    result = CliRunner().invoke(cli, ["predict", str(folder), "a film\x1b[2J", *arguments])
    assert result.exit_code == 0, result.output
    assert "owned" in result.output and "\x1b" not in result.output
