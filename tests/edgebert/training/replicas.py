"""A program that trains tiny models under a strategy: TensorFlow takes it only in a fresh process.

    python -m tests.edgebert.training.replicas STRATEGY OUT TASK...

Prints JSON, a line a task: the losses after each step, the dev metrics, a sum over the weights, or
the error. Under `mirrored` there are two logical devices and batches of seven rows, so that batches
never divide evenly. One device alone, which the others are compared with, runs functions eagerly:
that is faster for a few steps. TEST_STOP_AT stops at that step as Ctrl-C does, TEST_RESUME resumes,
TEST_SLOW sleeps so many seconds after each step, TEST_WAIT waits so many seconds for other workers.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from converters.checkpoint import BertConfig
from converters.vocabulary import Vocabulary
from edgebert.distillation import distill
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import EdgebertError
from edgebert.finetuning import finetune
from edgebert.settings import (
    DataSettings,
    DeviceSettings,
    DistillSettings,
    FinetuneSettings,
    TaskSettings,
)
from edgebert.system.native_noise import load_keras
from edgebert.training.record import TrainingResult
from edgebert.training.stage_run import StageRun
from tests.conftest import TINY_TOKENS
from tests.edgebert.conftest import functions_run
from tests.tiny_tasks import random_task_model, write_task_file

DEVICES = 2
TAUGHT = {"distill": "classification"}
LESSONS = DistillSettings(
    method="soft-labels", epochs=2, batch_size=7, learning_rate=2e-3, max_length=40, seed=3
)
SETTINGS = FinetuneSettings(
    epochs=2, batch_size=7, learning_rate=2e-3, max_length=40, dropout=0.0, patience=0, seed=3
)


def make_devices() -> None:
    """Makes one CPU look like several; no tensor may have been made before."""
    load_keras()
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration()] * DEVICES
    tf.config.set_logical_device_configuration(cpu, parts)


def train(task: str, strategy: str, out: Path) -> dict[str, Any]:
    """Trains a tiny model."""
    vocabulary = Vocabulary(tokens=TINY_TOKENS, lowercase=True)
    config = BertConfig(vocabulary.size, 16, 1, 2, 24, 40)
    base = random_task_model(config, Tokenizer(vocabulary), TAUGHT.get(task, task))
    # Every worker writes its own: the same bytes.
    folder = out.parent / f"data-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    data = write_task_file(folder, base.task.name, repeats=12 if task == "masked-lm" else 3)
    read = base.task.read(data, DataSettings(), "required")
    losses: list[float] = []
    stop_at = int(os.environ.get("TEST_STOP_AT", "0"))

    def progress(stage: str, done: int, total: int, **facts: Any) -> None:
        if "loss" not in facts:  # a teacher that reads
            return
        losses.append(facts["loss"])
        print(f"step {done}", file=sys.stderr, flush=True)
        time.sleep(float(os.environ.get("TEST_SLOW", "0")))
        if done == stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    where = DeviceSettings(strategy, worker_wait_seconds=float(os.environ.get("TEST_WAIT", 60)))
    resume = "TEST_RESUME" in os.environ
    result: TrainingResult
    if task in TAUGHT:
        student = random_task_model(config, Tokenizer(vocabulary), base.task.name, seed=1)
        result = distill(
            base,
            student,
            read,
            read,
            LESSONS,
            StageRun(out, resume=resume, progress=progress, where=where),
        )
    else:
        kind = TaskSettings(task)
        result = finetune(
            base,
            read,
            read,
            SETTINGS,
            StageRun(out, resume=resume, progress=progress, where=where),
            task=kind,
        )
    weights = result.model.checkpoint.weights.values()
    return {
        "losses": losses,
        "steps": result.steps,
        "metrics": result.metrics,
        "weights": float(sum(np.abs(array).sum(dtype=np.float64) for array in weights)),
    }


def main() -> None:
    """Trains on each of the tasks that are named."""
    strategy, out, *tasks = sys.argv[1:]
    if strategy == "mirrored":
        make_devices()
    with functions_run(eagerly=strategy == "none"):
        for task in tasks:
            try:
                found: dict[str, Any] = train(task, strategy, Path(out) / f"{task}-{strategy}")
            except (EdgebertError, KeyboardInterrupt) as error:
                found = {"error": type(error).__name__, "message": str(error)}
            print(json.dumps({"task": task, **found}), flush=True)


if __name__ == "__main__":
    main()
