"""Reads `[export]` and `[[export]]` of the TOML file of `edgebert run`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from edgebert.pipeline.config import FINETUNED, ExportPlan, attempt, is_file_name
from edgebert.settings import CheckSettings, ExportSettings, broken_rules, from_table

_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_exports(
    value: Any, models: Sequence[str], last_only: bool
) -> tuple[tuple[ExportPlan, ...], list[str]]:
    """Reads the files to write.

    Args:
        value: the value of `export`: a section, or a list of sections with one file each.
        models: names of the models of the run, in the order of the stages.
        last_only: whether a section without `models` leaves out the models between fine-tuning and
            the last stage.

    Returns:
        The files, and all problems. With problems the files are incomplete.
    """
    reader = _Reader(models)
    if isinstance(value, list):
        plans = [
            plan
            for place, table in enumerate(value)
            for plan in reader.table(table, f"[[export]] number {place + 1}")
        ]
    elif isinstance(value, dict):
        made = [name for name in models[1:] if name == FINETUNED or not last_only]
        plans = reader.section(value, list(dict.fromkeys([*made, models[-1]])))
    else:
        return (), [f"[export] must be a section. Received: {value!r}"]
    names = Counter(plan.name for plan in plans)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        reader.problems.append(
            f"[[export]]: two files have the name {', '.join(twice)}. Next: give each a 'name'"
        )
    return tuple(plans), reader.problems


class _Reader:
    """Reads the files to write, and collects all problems."""

    def __init__(self, models: Sequence[str]) -> None:
        self.problems: list[str] = []
        self._models = models

    def table(self, table: Any, where: str) -> list[ExportPlan]:
        """Reads one `[[export]]` table: a model, a recipe, optionally a name."""
        if not isinstance(table, dict):
            self.problems.append(f"{where} must be a section. Received: {table!r}")
            return []
        values = dict(table)
        model = values.pop("model", self._models[-1])
        name = values.pop("name", None)
        if not self._are_known([model], where):
            return []
        checks = self._checks(values, where)
        settings = attempt(self.problems, lambda: from_table(ExportSettings, values, where))
        if settings is None:
            return []
        return self._plan(name, ExportPlan("", str(model), settings, checks), where)

    def section(self, section: dict[str, Any], all_models: list[str]) -> list[ExportPlan]:
        """Reads `[export]`: every recipe for every model."""
        values, where = dict(section), "[export]"
        checks = self._checks(values, where)
        recipes = values.pop("recipes", None)
        if recipes is not None and "recipe" in values:
            self.problems.append(f"{where}: give either 'recipe' or 'recipes', not both")
        if recipes is None:
            recipes = [values.pop("recipe", ExportSettings().recipe)]
        chosen = values.pop("models", all_models)
        if not isinstance(recipes, list) or not isinstance(chosen, list):
            self.problems.append(f"{where}: 'recipes' and 'models' must be lists")
            return []
        if not self._are_known(chosen, where):
            return []
        plans: list[ExportPlan] = []
        for model in chosen:
            for recipe in recipes:
                table = {**values, "recipe": recipe}
                settings = attempt(
                    self.problems,
                    lambda table=table: from_table(  # type: ignore[misc]
                        ExportSettings, table, where
                    ),
                )
                if settings is None:
                    return []
                plans += self._plan(None, ExportPlan("", model, settings, checks), where)
        return plans

    def _checks(self, values: dict[str, Any], where: str) -> CheckSettings:
        """Takes the keys of the comparison out of an export table."""
        names = [field.name for field in fields(CheckSettings) if field.name in values]
        given = {name: values.pop(name) for name in names}
        checks = (
            attempt(self.problems, lambda: from_table(CheckSettings, given, where))
            or CheckSettings()
        )
        is_hash = not checks.sha256 or _SHA256.fullmatch(checks.sha256) is not None
        rules = [
            ("check_texts", checks.check_texts >= 0, "0 or more"),
            ("sha256", is_hash, "64 hexadecimal digits"),
        ]
        self.problems += [f"{where}: {problem}" for problem in broken_rules(checks, rules)]
        return checks

    def _are_known(self, names: list[Any], where: str) -> bool:
        unknown = [name for name in names if name not in self._models]
        if unknown:
            self.problems.append(
                f"{where}: expected a model of this run: {', '.join(self._models)}. "
                f"Received: {', '.join(map(repr, unknown))}"
            )
        return not unknown

    def _plan(self, name: Any, plan: ExportPlan, where: str) -> list[ExportPlan]:
        """The plan with its name, or with one that is made of its model and its recipe."""
        name = f"{plan.model}-{plan.settings.recipe}" if name is None else name
        if not is_file_name(name):
            self.problems.append(
                f"{where}: 'name' must be a file name of letters, digits, '.', '_' and '-'. "
                f"Received: {name!r}"
            )
            return []
        return [replace(plan, name=name)]
