"""What goes into a training run: settings that make sense, the rows, and their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgebert.datasets import Dataset, split_dataset, take
from edgebert.errors import refuse
from edgebert.model import TaskModel
from edgebert.settings import FinetuneSettings, broken_rules
from edgebert.tasks import classification
from edgebert.training.batches import encode_rows

if TYPE_CHECKING:
    from edgebert.training.loop import LabelledRows

_SHORTEST = 3


def check_settings(base: TaskModel, settings: FinetuneSettings, dev_is_given: bool) -> None:
    """Refuses settings that make no sense.

    Raises:
        UsageError: every problem is listed.
    """
    limit = base.checkpoint.config.max_positions
    rules = [
        ("epochs", settings.epochs >= 1, "at least 1"),
        ("batch_size", settings.batch_size >= 1, "at least 1"),
        ("learning_rate", settings.learning_rate > 0, "above 0"),
        ("warmup_ratio", 0 <= settings.warmup_ratio <= 1, "between 0 and 1"),
        ("weight_decay", settings.weight_decay >= 0, "at least 0"),
        ("clip_norm", settings.clip_norm >= 0, "at least 0 (0 clips nothing)"),
        ("dropout", 0 <= settings.dropout < 1, "at least 0 and below 1"),
        (
            "max_length",
            _SHORTEST <= settings.max_length <= limit,
            f"between {_SHORTEST} and {limit}, the model's positions",
        ),
        ("patience", settings.patience >= 0, "at least 0"),
        ("max_rows", settings.max_rows >= 0, "at least 0"),
        ("seed", settings.seed >= 0, "at least 0"),
        ("dev_fraction", dev_is_given or 0 < settings.dev_fraction < 1, "between 0 and 1"),
    ]
    refuse(broken_rules(settings, rules))


def choose_rows(
    train: Dataset, dev: Dataset | None, settings: FinetuneSettings
) -> tuple[Dataset, Dataset]:
    """The rows that are trained on and those that epochs are judged by."""
    if dev is None:
        train, dev = split_dataset(train, settings.dev_fraction, settings.seed)
    if settings.max_rows:
        train = take(train, settings.max_rows, settings.seed)
    return train, dev


def label_rows(
    base: TaskModel,
    data: Dataset,
    targets: npt.NDArray[np.int32],
    settings: FinetuneSettings,
    num_labels: int,
) -> LabelledRows:
    """Encodes the texts and weighs the rows by their class."""
    from edgebert.training.loop import LabelledRows

    weights = np.ones(num_labels, np.float32)
    if settings.class_weights == "balanced":
        weights = classification.class_weights(targets, num_labels)
    rows = encode_rows(base.tokenizer, data.texts, settings.max_length)
    return LabelledRows(rows, targets, weights[targets])
