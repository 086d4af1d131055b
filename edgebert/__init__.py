"""edgebert takes a BERT from a checkpoint to a phone.

The public names of the pipeline, loaded when they are first used: `import edgebert` brings in no
TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "read_dataset": "edgebert.data.datasets",
    "sample_set": "edgebert.data.datasets",
    "Tokenizer": "edgebert.encoding.tokenizer",
    "TaskModel": "edgebert.models.task_model",
    "open_model": "edgebert.models.task_model",
    "StageRun": "edgebert.training.stage_run",
    "finetune": "edgebert.finetuning",
    "prune": "edgebert.pruning",
    "StructuredPruning": "edgebert.pruning.recovery",
    "prune_with_recovery": "edgebert.pruning.recovery",
    "distill": "edgebert.distillation",
    "make_student": "edgebert.models.students",
    "quantize": "edgebert.exporting.recipe_trials",
    "export": "edgebert.exporting.artifact",
    "open_predictor": "edgebert.evaluation.predictors",
    "predict": "edgebert.evaluation.predictors",
    "evaluate": "edgebert.evaluation.predictors",
    "profile": "edgebert.profiling.target",
    "TeachingData": "edgebert.searching",
    "search": "edgebert.searching",
    "run": "edgebert.pipeline",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgebert' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
