"""Several recipes of one model, each exported and held against the float model on labelled data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgebert.data.datasets import Dataset
from edgebert.errors import QualityGateError, UsageError
from edgebert.exporting.artifact import Artifact, export
from edgebert.exporting.parity import FloatReference
from edgebert.models.task_model import TaskModel
from edgebert.quantization.recipes import PLAIN_RECIPES, RECIPES
from edgebert.settings import ExportSettings
from edgebert.system.progress import Progress, silent


@dataclass(frozen=True)
class Trial:
    """A recipe that was tried: its file, or why it was refused."""

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
                "quality": self.artifact.manifest["quality"],
                "calibration": self.artifact.manifest.get("calibration", {}),
            }
        return content


def quantize(
    model: TaskModel,
    labelled: Dataset,
    out: Path,
    recipes: Sequence[str] = PLAIN_RECIPES,
    settings: ExportSettings = ExportSettings(),
    length_texts: Sequence[Any] = (),
    progress: Progress = silent,
    calibration_texts: Sequence[Any] = (),
) -> tuple[Trial, ...]:
    """Exports `<out>/<recipe>.tflite` for each recipe that keeps the task's metric.

    Args:
        labelled: data with labels that the model was not trained on.
        out: folder of the files.
        recipes: names of `RECIPES`.
        settings: of every export but for the recipe; `max_drop` refuses a recipe.
        length_texts: for `lengths = "auto"`: texts, or examples of the task's reader.
        calibration_texts: the same for recipes that decide by measurement; not the labelled data,
            which they are judged on.

    Raises:
        UsageError: a recipe that there is not, or a bare encoder.
    """
    unknown = [name for name in recipes if name not in RECIPES]
    if unknown or not recipes:
        raise UsageError(
            f"Recipes are {', '.join(RECIPES)}. Received: {', '.join(unknown) or 'none'}."
        )
    reference = FloatReference(model, labelled)
    trials = []
    for i, name in enumerate(recipes):
        progress("recipes", i, len(recipes), recipe=name)
        path, chosen = Path(out) / f"{name}.tflite", replace(settings, recipe=name)
        try:
            artifact = export(
                model,
                path,
                chosen,
                length_texts,
                reference=reference,
                calibration_texts=calibration_texts,
            )
            trials.append(Trial(name, RECIPES[name].trade_off, artifact))
        except QualityGateError as error:
            trials.append(Trial(name, RECIPES[name].trade_off, None, str(error)))
    progress("recipes", len(recipes), len(recipes))
    return tuple(trials)
