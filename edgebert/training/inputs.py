"""The inputs of a training run: checked settings, the chosen rows and their encoding."""

from __future__ import annotations

from edgebert.data.datasets import Dataset, split_dataset, take
from edgebert.errors import refuse
from edgebert.models.task_model import TaskModel
from edgebert.settings import DeviceSettings, FinetuneSettings, broken_rules
from edgebert.training.evaluator import EncodedSplit

_SHORTEST = 3


def check_settings(
    base: TaskModel,
    settings: FinetuneSettings,
    dev_is_given: bool,
    where: DeviceSettings = DeviceSettings(),
) -> None:
    """Checks the training settings against a model.

    Args:
        base: The model to train; it limits `max_length`.
        settings: The settings to check.
        dev_is_given: Whether there are dev rows, so that `dev_fraction` is not used.
        where: The devices, which limit `precision`.

    Raises:
        UsageError: Settings are invalid; the message lists every problem.
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
        (
            "precision",
            where.strategy == "none" or settings.precision != "float16",
            "float32 or bfloat16 with --strategy",
        ),
        ("dev_fraction", dev_is_given or 0 < settings.dev_fraction < 1, "between 0 and 1"),
    ]
    refuse(broken_rules(settings, rules))


def choose_rows(
    train: Dataset, dev: Dataset | None, settings: FinetuneSettings
) -> tuple[Dataset, Dataset]:
    """The rows to train on and the rows that select the best epoch.

    Without a dev set, `dev_fraction` of the training rows is held out. `max_rows` training rows
    are then taken at random.
    """
    if dev is None:
        train, dev = split_dataset(train, settings.dev_fraction, settings.seed)
    if settings.max_rows:
        train = take(train, settings.max_rows, settings.seed)
    return train, dev


def encode_split(
    model: TaskModel, data: Dataset, settings: FinetuneSettings, *, chooses: bool = False
) -> EncodedSplit:
    """Encodes labelled examples for training or evaluation.

    Args:
        model: Its task, tokenizer, labels and decoding options are used; its weights are not.
        data: Labelled examples of the model's task.
        settings: The largest length, and the class weights.
        chooses: Whether the task chooses its thresholds on this split.
    """
    task, facts = model.task, model.facts
    features = task.features(model.tokenizer, data.examples, settings.max_length, facts.decoding)
    rows = task.rows(features, facts, settings, model.tokenizer)
    return EncodedSplit(task, features, rows, facts, chooses)
