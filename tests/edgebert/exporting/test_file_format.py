"""`docs/file-format.md` has every key of the manifest and of each task's decoding, in order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from converters.tflite.inference_graph import INPUTS
from converters.unigram import CHARSMAP_FILE
from converters.unigram import SCORES_FILE as UNIGRAM_SCORES
from edgebert.exporting.artifact import export
from edgebert.models.manifest import MANIFEST_NAME, OUTPUTS, Manifest
from edgebert.models.task_model import TaskModel
from edgebert.settings import ExportSettings
from edgebert.settings.task import TASKS
from edgebert.tasks import task_named
from tests.golden.make_unigram_cases import make_vocabularies

PAGE = (Path(__file__).parents[3] / "docs" / "file-format.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text below a heading, up to the next heading."""
    return re.split(r"^#+ ", PAGE.split(f" {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def first_column(table: str) -> list[str]:
    return re.findall(r"^\| `([a-z_0-9]+)`", table, re.MULTILINE)


def test_the_page_lists_the_keys_of_the_manifest_in_order() -> None:
    assert first_column(section("The manifest")) == [field.name for field in fields(Manifest)]
    assert MANIFEST_NAME in PAGE


def test_the_page_lists_inputs_outputs_and_tasks() -> None:
    signatures = section("Signatures")
    assert tuple(first_column(signatures.split("All outputs")[0])) == INPUTS
    for name in (*OUTPUTS, *TASKS, "encoder"):
        assert f"`{name}`" in signatures


def test_the_example_is_a_manifest() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", section("Example"), re.DOTALL)
    content = json.loads(example)
    assert Manifest.from_dict(content).to_dict() == content
    order = [field.name for field in fields(Manifest)]
    assert list(content) == [key for key in order if key in content]


def test_the_page_has_the_keys_of_unigram() -> None:
    settings = make_vocabularies()["spaces kept"].to_settings()
    table = section("Unigram").split("A step of")[0]
    assert set(settings) <= set(re.findall(r"`(\w+)`", table))
    rules = re.findall(r"^\| `(\w+)` \|", section("Unigram").split("A step of")[1], re.MULTILINE)
    assert {rule["type"] for rule in settings["normalizers"]} == set(
        rules[1:]
    )  # the first is the head of the table
    assert {UNIGRAM_SCORES, CHARSMAP_FILE} <= set(re.findall(r"`([\w.]+)`", section("The archive")))


@pytest.mark.parametrize("task", TASKS)
def test_an_exported_file_has_only_keys_of_the_page(
    task: str, tiny_task_model: Callable[[str], TaskModel], tmp_path: Path
) -> None:
    artifact = export(tiny_task_model(task), tmp_path / "m.tflite", ExportSettings(length=40))
    manifest = artifact.manifest
    documented = set(re.findall(r"`(\w+)`", section("`decoding`")))
    assert set(manifest.decoding) | set(task_named(task).complete_decoding({})) <= documented
    for key, title in (("tokenizer", "WordPiece"), ("config", "`config`")):
        assert set(getattr(manifest, key)) <= set(re.findall(r"`(\w+)`", section(title)))
    outputs = {name for name in OUTPUTS if f"| `{name}` |" in section("Signatures")}
    assert manifest.output in outputs
