"""README.md, CONTRIBUTING.md and docs/: every command parses, every link exists, Python runs."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import edgebert
from edgebert.cli import cli
from edgebert.exporting.artifact import export
from edgebert.models.task_model import TaskModel
from edgebert.pipeline.config_file import TOP_LEVEL_KEYS
from edgebert.settings import ExportSettings
from tests import docs_commands

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    )
}


def code_blocks(text: str, *languages: str) -> Iterator[str]:
    """The fenced blocks of these languages."""
    for language, code in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        if language in languages:
            yield code


def command_lines(text: str) -> Iterator[str]:
    """Every `edgebert ...` command of a page, without prompts, pipes and redirections."""
    indented = "\n".join(re.findall(r"^ {4}(.+)$", text, re.MULTILINE))
    code = "\n".join((*code_blocks(text, "", "console", "bash", "sh"), indented))
    for line in code.replace("\\\n", " ").splitlines():
        found = re.match(r"\s*(?:\$ )?(?:.*\| )?(edgebert [a-z].*)", line)
        if found:
            yield found[1]


COMMANDS = sorted({(page, line) for page, text in PAGES.items() for line in command_lines(text)})


def test_pages_with_commands_are_found() -> None:
    assert len(COMMANDS) > 60
    assert {"README.md", "docs/compression.md", "docs/profiling.md"} <= {
        page for page, _ in COMMANDS
    }


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_parse(page: str, line: str) -> None:
    arguments = shlex.split(line, comments=True)[1:]
    for stop in (">", "|", "&&"):
        arguments = arguments[: arguments.index(stop)] if stop in arguments else arguments
    name, *arguments = arguments
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, f"{page}: no command {name}"
    try:
        command.make_context(name, arguments)
    except click.exceptions.Exit as done:  # --help and --version
        assert done.exit_code == 0
    except click.UsageError as error:
        pytest.fail(f"{page}: {line}\n{error.format_message()}")


@pytest.mark.parametrize(
    ("page", "line"),
    [(page, line) for page, line in COMMANDS if docs_commands.is_quick(page, line)],
)
def test_quick_commands_of_the_guides_run(page: str, line: str, tmp_path: Path) -> None:
    docs_commands.run_command(page, line, tmp_path)


def test_every_language_has_a_rule() -> None:
    found = {
        language
        for text in PAGES.values()
        for language in re.findall(r"^```(\w*)\n.*?^```", text, re.DOTALL | re.MULTILINE)
    }
    assert found == docs_commands.LANGUAGES.keys()


def test_commands_are_left_out_by_rules_in_use() -> None:
    for part in docs_commands.NOT_RUN:
        assert any(re.search(part, line) for _, line in COMMANDS), part


@pytest.mark.parametrize("page", PAGES)
def test_json_is_valid(page: str) -> None:
    for code in code_blocks(PAGES[page], "json"):
        for line in [code] if code.lstrip().startswith("{\n") else code.splitlines():
            json.loads(line)


@pytest.mark.parametrize("page", PAGES)
def test_linked_files_exist(page: str) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", PAGES[page]):
        if not target.startswith(("https://", "http://", "mailto:")):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_linked_headings_exist(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", PAGES[page]):
        linked = (ROOT / page).parent / target if target else ROOT / page
        assert anchor in anchors(linked.read_text(encoding="utf-8")), f"{page}: {target}#{anchor}"


def test_the_reference_has_every_public_name() -> None:
    listed = set(re.findall(r"^::: (\S+)$", PAGES["docs/reference.md"], re.MULTILINE))
    for name in set(edgebert.__all__) - {"__version__"}:
        found = getattr(edgebert, name)
        assert {f"{home}.{name}" for home in _homes(found)} & listed, name


def _homes(found: object) -> tuple[str, str]:
    """The module of an object, and the package that may offer it."""
    module = found.__module__
    return module, module.rpartition(".")[0]


def test_the_site_has_every_page() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    for page in PAGES:
        if page.startswith("docs/"):
            assert f": {page.removeprefix('docs/')}\n" in menu, page


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z]+)[ `]|^\$ make ([a-z]+)", PAGES[page], re.MULTILINE):
        name = "".join(target)
        assert f"\n{name}:" in makefile, f"{page}: make {name}"


@pytest.mark.parametrize("page", PAGES)
def test_toml_is_valid(page: str) -> None:
    for code in code_blocks(PAGES[page], "toml"):
        table = tomllib.loads(code)
        if "config.toml" in code or "base" in table or "task" in table:
            assert table.keys() <= set(TOP_LEVEL_KEYS), f"{page}: {sorted(table)}"


@pytest.mark.parametrize(
    ("page", "code"),
    [(page, code) for page, text in PAGES.items() for code in code_blocks(text, "python")],
)
def test_python_runs(
    page: str,
    code: str,
    tiny_model: TaskModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny_model.save(tmp_path / "my-bert")
    if "export(" not in code:
        export(tiny_model, tmp_path / "model.tflite", ExportSettings(length=16))
    monkeypatch.chdir(tmp_path)
    exec(compile(code, page, "exec"), {})
    if page == "README.md":
        assert capsys.readouterr().out.count("\n") == 3
