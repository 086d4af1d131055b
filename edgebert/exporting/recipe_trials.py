"""Exports one model with several recipes, each compared with the float model on labelled data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgebert.errors import QualityGateError, UsageError
from edgebert.exporting.artifact import Artifact, ExportTexts, export
from edgebert.exporting.parity import FloatReference
from edgebert.models.task_model import TaskModel
from edgebert.quantization.recipes import PLAIN_RECIPES, RECIPES
from edgebert.settings import ExportSettings
from edgebert.system.progress import Progress, silent


@dataclass(frozen=True)
class RecipeTrial:
    """The export with one recipe.

    Attributes:
        recipe: its name.
        trade_off: its advantages and costs.
        artifact: the file; None if the recipe missed the quality gate.
        refused: the gate's error; empty if there is a file.
    """

    recipe: str
    trade_off: str
    artifact: Artifact | None
    refused: str = ""

    def to_dict(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "recipe": self.recipe,
            "trade_off": self.trade_off,
            "refused": self.refused,
        }
        if self.artifact:
            content |= {
                "path": str(self.artifact.path),
                "size_bytes": self.artifact.size_bytes,
                "gzip_bytes": self.artifact.gzip_bytes,
                "quality": dict(self.artifact.manifest.quality),
                "calibration": dict(self.artifact.manifest.calibration),
            }
        return content


def quantize(
    reference: FloatReference | TaskModel | Path | str,
    out: Path | str,
    recipes: str | Sequence[str] = PLAIN_RECIPES,
    settings: ExportSettings = ExportSettings(),
    *,
    texts: ExportTexts = ExportTexts(),
    progress: Progress = silent,
) -> tuple[RecipeTrial, ...]:
    """Exports `<out>/<recipe>.tflite` for each recipe that keeps the task's metric.

    Args:
        reference: the float model, with labelled data that it was not trained on.
        out: folder of the files.
        recipes: names of `RECIPES`, or one name.
        settings: of all exports, except the recipe; `max_drop` is the quality gate.
        texts: what the exports measure on. The calibration texts should not be the labelled data,
            which the recipes are compared on.
        progress: callback for progress.

    Raises:
        UsageError: a recipe is unknown, the reference has no labelled data, or the model is a bare
            encoder.
    """
    if not isinstance(reference, FloatReference):
        reference = FloatReference(reference)
    recipes = [recipes] if isinstance(recipes, str) else recipes
    unknown = [name for name in recipes if name not in RECIPES]
    if unknown or not recipes:
        raise UsageError(
            f"Recipes are {', '.join(RECIPES)}. Received: {', '.join(unknown) or 'none'}."
        )
    if reference.labelled is None:
        raise UsageError(
            "Expected labelled data to compare the recipes on. Received: none. "
            "Next: give quantize a FloatReference(model, dataset)."
        )
    trials = []
    for done, name in enumerate(recipes):
        progress("recipes", done, len(recipes), recipe=name)
        path, trade_off = Path(out) / f"{name}.tflite", RECIPES[name].trade_off
        chosen = replace(settings, recipe=name)
        try:
            artifact = export(reference.model, path, chosen, texts=texts, reference=reference)
            trials.append(RecipeTrial(name, trade_off, artifact))
        except QualityGateError as error:
            trials.append(RecipeTrial(name, trade_off, None, str(error)))
    progress("recipes", len(recipes), len(recipes))
    return tuple(trials)
