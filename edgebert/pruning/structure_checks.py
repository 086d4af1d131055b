"""Checks of a model and of the settings before structured pruning starts."""

from __future__ import annotations

from converters.bert_config import BertConfig
from edgebert.errors import refuse
from edgebert.models.task_model import TaskModel
from edgebert.pruning.narrow_heads import LINEAR_POOLINGS, NARROWED_HEADS
from edgebert.pruning.refusals import refuse_narrow_layers
from edgebert.settings import StructureSettings, broken_rules

FEWEST_TEXTS = 16


def check_model(model: TaskModel, settings: StructureSettings) -> None:
    """Checks that a model can be pruned with these settings.

    Raises:
        UsageError: It can't; every problem is listed.
    """
    head = model.checkpoint.sentence
    problems = []
    if settings.hidden_size and model.checkpoint.head not in NARROWED_HEADS:
        problems.append(
            "hidden_size: expected a model of a task, whose head is fitted to the narrow states. "
            f"Received: {model.task.model_title()}. Next: fine-tune it first"
        )
    if settings.hidden_size and head is not None and not set(head.pooling) <= set(LINEAR_POOLINGS):
        problems.append(
            f"hidden_size: expected a pooling out of {', '.join(LINEAR_POOLINGS)}, since a dense "
            f"layer behind it restores the width of the vectors. Received: "
            f"{', '.join(head.pooling)}"
        )
    refuse(problems + _settings_problems(model.checkpoint.config, settings))


def check_settings(config: BertConfig, settings: StructureSettings) -> None:
    """Checks the settings of structured pruning against the shape of a model.

    Raises:
        UsageError: Settings are invalid; the message lists every problem.
    """
    refuse(_settings_problems(config, settings))


def _settings_problems(config: BertConfig, settings: StructureSettings) -> list[str]:
    names = ("target_speedup", "heads", "neurons", "hidden_size")
    given = [f"{name} {getattr(settings, name)}" for name in names if getattr(settings, name)]
    refuse_narrow_layers(config, given, "remove whole layers with --layers")
    speedup, by_count = settings.target_speedup, settings.heads or settings.neurons
    size, head_size = settings.hidden_size, config.head_size
    fits = 0 <= size <= config.hidden_size and size % head_size == 0
    # In `transformers`, an ELECTRA of equal widths has no projection of the embeddings.
    fits = fits and size != (config.embedding_size or -1)
    most_heads = size // head_size if fits and size else config.num_heads
    rules = [
        ("target_speedup", speedup == 0 or speedup > 1, "above 1, such as 2.5"),
        ("target_speedup", not (speedup and by_count), "alone, without heads and neurons"),
        (
            "heads",
            0 <= settings.heads <= most_heads,
            f"from 1 to {most_heads} per layer: a layer without heads can't read other words",
        ),
        (
            "neurons",
            0 <= settings.neurons <= config.intermediate_size,
            f"from 1 to {config.intermediate_size} per layer",
        ),
        (
            "hidden_size",
            fits,
            f"a multiple of {head_size}, the size of a head, up to {config.hidden_size}"
            + (f", and not {config.embedding_size}" if config.embedding_size else ""),
        ),
        ("layers", 0 <= settings.layers <= config.num_layers, f"from 1 to {config.num_layers}"),
        ("shots", settings.shots >= 1, "at least 1"),
        ("tokens", 0 <= settings.tokens <= config.max_positions, "a length that the model takes"),
        ("calibration_rows", settings.calibration_rows >= FEWEST_TEXTS, f"at least {FEWEST_TEXTS}"),
    ]
    return broken_rules(settings, rules)
