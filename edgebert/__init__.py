"""edgebert takes a BERT from a checkpoint to a phone.

The public names of the pipeline, loaded when they are first used: `import edgebert` brings in no
TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "read_dataset": "edgebert.datasets",
    "sample_set": "edgebert.datasets",
    "Tokenizer": "edgebert.tokenizer",
    "TaskModel": "edgebert.model",
    "open_model": "edgebert.model",
    "finetune": "edgebert.finetuning",
    "prune": "edgebert.pruning",
    "prune_with_recovery": "edgebert.pruning.recovery",
    "distill": "edgebert.distillation",
    "make_student": "edgebert.students",
    "quantize": "edgebert.recipe_trials",
    "export": "edgebert.exporting",
    "open_predictor": "edgebert.evaluation",
    "predict": "edgebert.evaluation",
    "evaluate": "edgebert.evaluation",
    "profile": "edgebert.profiling.target",
    "search": "edgebert.search",
    "run": "edgebert.pipeline",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgebert' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
