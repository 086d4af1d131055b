"""The changes that a search combines, as data, and the plan of a search."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from edgebert.errors import refuse
from edgebert.searching.front import Budgets, read_budgets, read_max_time
from edgebert.settings import SearchSettings, broken_rules

EMBEDDINGS = ("int8", "int4")
WHOLE, TRIMMED = "whole", "trimmed"
_VOCABULARIES = {"both": (False, True), WHOLE: (False,), TRIMMED: (True,)}


@dataclass(frozen=True)
class Step:
    """One pruning step: a model is pruned, then distilled from the float model.

    Attributes:
        speedup: Speedup of structured pruning by the latency table, against the model before it.
        rounds: Rounds of distillation after the pruning; 0 is none.
    """

    speedup: float
    rounds: int = 0

    @property
    def text(self) -> str:
        """A description for tables."""
        pruned = f"pruned {self.speedup:g}x"
        trained = {0: "", 1: ", distilled"}
        return pruned + trained.get(self.rounds, f", distilled in {self.rounds} rounds")


Steps = tuple[Step, ...]
"""The pruning steps of a model, in their order. None is the float model."""


def total_speedup(steps: Steps) -> float:
    """The speedup of all steps together."""
    return math.prod(step.speedup for step in steps)


def trained(steps: Steps, rounds: int) -> Steps:
    """The steps with another number of rounds after the last of them."""
    return (*steps[:-1], replace(steps[-1], rounds=rounds))


@dataclass(frozen=True)
class Moves:
    """The changes of one trial.

    Attributes:
        steps: Pruning steps, each with its rounds of distillation.
        trimmed: Whether the vocabulary is trimmed.
        embedding: Precision of the embedding rows.
    """

    steps: Steps = ()
    trimmed: bool = False
    embedding: str = "int8"

    @property
    def speedup(self) -> float:
        """The speedup of all pruning steps together; 1 without pruning."""
        return total_speedup(self.steps)

    @property
    def rounds(self) -> int:
        """Rounds of distillation after the last pruning step."""
        return self.steps[-1].rounds if self.steps else 0

    @property
    def distilled(self) -> bool:
        """Whether the pruned model is distilled."""
        return any(step.rounds for step in self.steps)

    @property
    def text(self) -> str:
        """A description for tables."""
        parts = [
            *(step.text for step in self.steps),
            "vocabulary trimmed" if self.trimmed else "",
            f"{self.embedding} rows",
        ]
        return ", ".join(filter(None, parts))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


BASELINE = Moves()
"""Dynamic int8 without other changes. Latencies are ratios to it."""


def key_of(content: Any) -> str:
    """The name of a trial, a model or a round: a short hash of its content."""
    written = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Plan:
    """The parsed settings of a search.

    Attributes:
        speedups: Speedups of structured pruning, ascending.
        second_speedups: Speedups of a second pruning step, ascending.
        vocabularies: Whether the vocabulary is trimmed: the values to try.
        embeddings: Precisions of the embedding rows to try.
        budgets: The budgets.
        max_seconds: Time budget of the search; infinite for no limit.
    """

    speedups: tuple[float, ...]
    second_speedups: tuple[float, ...]
    vocabularies: tuple[bool, ...]
    embeddings: tuple[str, ...]
    budgets: Budgets
    max_seconds: float

    def of_model(self, steps: Steps) -> list[Moves]:
        """The trials of one model, which has these pruning steps behind it."""
        return [
            Moves(steps, trimmed, embedding)
            for trimmed in self.vocabularies
            for embedding in self.embeddings
        ]

    def cheap(self) -> list[Moves]:
        """All trials without training, the baseline first."""
        models: list[Steps] = [(), *((Step(speedup),) for speedup in self.speedups)]
        every = [moves for steps in models for moves in self.of_model(steps)]
        return [BASELINE, *(moves for moves in every if moves != BASELINE)]


def read_plan(settings: SearchSettings) -> Plan:
    """Parses the settings of a search.

    Raises:
        UsageError: Settings are invalid; the message lists every problem.
    """
    budgets, problems = read_budgets(settings.max_size, settings.max_latency, settings.max_drop)
    max_seconds = read_max_time(settings.max_time, problems)
    speedups, second_speedups = (
        _numbers(settings, name, problems) for name in ("speedups", "second_speedups")
    )
    embeddings = [part.strip() for part in settings.embeddings.split(",") if part.strip()]
    if not embeddings or not set(embeddings) <= set(EMBEDDINGS):
        problems.append(
            f"embeddings: expected some of {', '.join(EMBEDDINGS)}. "
            f"Received: {settings.embeddings!r}"
        )
    if settings.vocabulary not in _VOCABULARIES:
        problems.append(
            f"vocabulary: expected one of {', '.join(_VOCABULARIES)}. "
            f"Received: {settings.vocabulary!r}"
        )
    least = {
        "distill_epochs": 0,
        "rounds": 1,
        "max_rows": 0,
        "tokens": 0,
        "latency_texts": 1,
        "refine": 0,
        "max_candidates": 1,
    }
    problems += broken_rules(
        settings,
        [
            (name, getattr(settings, name) >= bound, f"{bound} or more")
            for name, bound in least.items()
        ],
    )
    shares = [
        ("confirm_fraction", 0 <= settings.confirm_fraction <= 0.9, "from 0 to 0.9"),
        ("confidence", 0.5 <= settings.confidence <= 0.999, "from 0.5 to 0.999"),
    ]
    problems += broken_rules(settings, shares)
    refuse(problems)
    return Plan(
        speedups,
        second_speedups,
        _VOCABULARIES[settings.vocabulary],
        tuple(dict.fromkeys(embeddings)),
        budgets,
        max_seconds,
    )


def _numbers(settings: SearchSettings, name: str, problems: list[str]) -> tuple[float, ...]:
    """Speedups with commas between them, ascending; also lists their problems."""
    written, found = getattr(settings, name), set[float]()
    for part in filter(None, map(str.strip, written.split(","))):
        try:
            found.add(float(part))
        except ValueError:
            problems.append(f"{name}: expected numbers with commas. Received: {part!r}")
    if any(not 1 < speedup < 1000 for speedup in found):
        problems.append(f"{name}: expected numbers above 1. Received: {written!r}")
    return tuple(sorted(found))
