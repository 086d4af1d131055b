"""Reads `[[stages]]` of the TOML file of `edgebert run`: stages in an order of the user's choice.

Each table has the `kind` of its stage, whose settings are its other keys.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgebert.errors import UsageError
from edgebert.pipeline.config import (
    BASE,
    DISTILLED,
    FINETUNED,
    PRUNED,
    StepPlan,
    StepSettings,
    is_file_name,
)
from edgebert.settings import (
    DistillSettings,
    PruneSettings,
    StructureSettings,
    VocabularySettings,
    from_table,
)

KINDS: dict[str, type[StepSettings]] = {
    "structure": StructureSettings,
    "vocabulary": VocabularySettings,
    "prune": PruneSettings,
    "distill": DistillSettings,
}
"""The kinds of stages and their settings."""
_TAKEN = (BASE, FINETUNED, PRUNED, DISTILLED)


def read_steps(tables: Any, folder: Path) -> tuple[tuple[StepPlan, ...], list[str]]:
    """Reads the tables of `[[stages]]`.

    Args:
        tables: the value of `stages`.
        folder: the folder of the file, to which paths in it are relative.

    Returns:
        The stages, and the problems of all tables. With problems the stages are incomplete.
    """
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        return (), [f"[[stages]] must be a list of sections. Received: {tables!r}"]
    problems: list[str] = []
    steps = []
    for place, table in enumerate(tables):
        try:
            steps.append(_step(dict(table), place, folder))
        except UsageError as error:
            problems += str(error).splitlines()
    counts = Counter(step.name for step in steps)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        problems.append(
            f"[[stages]]: two stages have the name {', '.join(twice)}. Next: give each another "
            "'name'"
        )
    return tuple(steps), problems


def with_table_path(settings: StructureSettings, folder: Path) -> StructureSettings:
    """The settings with the path of their latency table relative to a folder.

    Raises:
        UsageError: The file does not exist.
    """
    if not settings.latency_table:
        return settings
    path = Path(os.path.normpath(folder / settings.latency_table))
    if not path.is_file():
        raise UsageError(f"latency_table = {path} does not exist")
    return replace(settings, latency_table=str(path))


def _step(table: dict[str, Any], place: int, folder: Path) -> StepPlan:
    """One table, whose place counts from 0."""
    where = f"[[stages]] number {place + 1}"
    kind = table.pop("kind", None)
    if kind not in KINDS:
        raise UsageError(
            f"{where}: 'kind' must be one of {', '.join(KINDS)}. Received: {kind!r}. Next: write "
            'it first, such as kind = "distill"'
        )
    problems = []
    name = table.pop("name", f"{kind}-{place + 1}")
    if not is_file_name(name) or name in _TAKEN:
        problems.append(
            f"{where}: 'name' must be a file name of letters, digits, '.', '_' and '-', and none "
            f"of {', '.join(_TAKEN)}. Received: {name!r}"
        )
    student = table.pop("student", "") if kind == "distill" else ""
    first = kind == "distill" and place == 0
    if not isinstance(student, str) or bool(student) != first:
        problems.append(
            f"{where}: 'student', such as \"half-depth\", is for a distillation that comes first "
            "and has no model before it; later ones train that model. Received: "
            + (repr(student) if student else "none")
        )
    settings: StepSettings | None = None
    try:
        settings = from_table(KINDS[kind], table, where)
        if isinstance(settings, StructureSettings):
            settings = with_table_path(settings, folder)
    except UsageError as error:
        text = str(error)
        problems.append(text if text.startswith(where) else f"{where}: {text}")
    if problems or settings is None:
        raise UsageError("\n".join(problems))
    return StepPlan(name, kind, settings, student)
