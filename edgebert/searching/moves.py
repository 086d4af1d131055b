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
INT8, INT4 = "dynamic-int8", "int4"
"""Recipes of the encoder's kernels."""
WHOLE, TRIMMED = "whole", "trimmed"
_VOCABULARIES = {"both": (False, True), WHOLE: (False,), TRIMMED: (True,)}


@dataclass(frozen=True)
class Step:
    """One pruning step: a model is pruned, then distilled from the float model.

    Attributes:
        speedup: Speedup of structured pruning by the latency table, against the model before it.
        rounds: Rounds of distillation after the pruning; 0 is none.
        hidden_size: Width of the hidden states that the pruning keeps; 0 keeps all.
    """

    speedup: float
    rounds: int = 0
    hidden_size: int = 0

    @property
    def goal(self) -> str:
        """The speedup and the hidden size of the pruning."""
        width = f" to hidden size {self.hidden_size}" if self.hidden_size else ""
        return f"{self.speedup:g}x{width}"

    @property
    def text(self) -> str:
        """A description for tables."""
        trained = {0: "", 1: ", distilled"}
        after = trained.get(self.rounds, f", distilled in {self.rounds} rounds")
        return f"pruned {self.goal}{after}"


Steps = tuple[Step, ...]
"""The pruning steps of a model, in their order. None is the float model."""


def total_speedup(steps: Steps) -> float:
    """The speedup of all steps together."""
    return math.prod(step.speedup for step in steps)


def goals(steps: Steps) -> str:
    """The speedups and hidden sizes of all steps, for progress reports and notes."""
    return " and ".join(step.goal for step in steps)


def key_parts(steps: Steps) -> list[dict[str, Any]]:
    """The steps as a part of a key. A hidden size of 0 is left out, as older searches have it."""
    return [
        {name: value for name, value in asdict(step).items() if value or name != "hidden_size"}
        for step in steps
    ]


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
        keep_tokens: Tokens of the trimmed vocabulary; 0 keeps those of the training texts.
        recipe: Recipe of the export.
    """

    steps: Steps = ()
    trimmed: bool = False
    embedding: str = "int8"
    keep_tokens: int = 0
    recipe: str = INT8

    @property
    def vocabulary(self) -> tuple[bool, int]:
        """What makes the vocabulary: whether it is trimmed, and to how many tokens."""
        return self.trimmed, self.keep_tokens

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
            self._vocabulary_text,
            f"{self.embedding} rows",
            "int4 kernels" if self.recipe == INT4 else "",
        ]
        return ", ".join(filter(None, parts))

    @property
    def _vocabulary_text(self) -> str:
        if self.keep_tokens:
            return f"{self.keep_tokens:,} tokens"
        return "vocabulary trimmed" if self.trimmed else ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def key_part(self) -> dict[str, Any]:
        """The moves as a part of a key."""
        return {**self.to_dict(), "steps": key_parts(self.steps)}


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
        hidden_sizes: Hidden sizes to try with each speedup, ascending.
        second_speedups: Speedups of a second pruning step, ascending.
        vocabularies: Whether the vocabulary is trimmed: the values to try.
        embeddings: Precisions of the embedding rows to try.
        token_shares: Shares of the vocabulary to keep, to try for the best models.
        recipes: Recipes to try; `INT4` for the best models only.
        budgets: The budgets.
        max_seconds: Time budget of the search; infinite for no limit.
    """

    speedups: tuple[float, ...]
    hidden_sizes: tuple[int, ...]
    second_speedups: tuple[float, ...]
    vocabularies: tuple[bool, ...]
    embeddings: tuple[str, ...]
    token_shares: tuple[float, ...]
    recipes: tuple[str, ...]
    budgets: Budgets
    max_seconds: float

    def of_model(self, steps: Steps) -> list[Moves]:
        """The trials of one model, which has these pruning steps behind it."""
        return [
            Moves(steps, trimmed, embedding)
            for trimmed in self.vocabularies
            for embedding in self.embeddings
        ]

    def of_speedup(self, speedup: float) -> list[list[Moves]]:
        """The trials of each model that is pruned once by a speedup: one for each hidden size."""
        sizes = (0, *self.hidden_sizes)
        return [self.of_model((Step(speedup, hidden_size=size),)) for size in sizes]

    def pruned_once(self) -> list[list[Moves]]:
        """The trials of each model that is pruned once, without training, the slowest first."""
        return [group for speedup in self.speedups for group in self.of_speedup(speedup)]

    def cheap(self) -> list[Moves]:
        """All trials without training, the baseline first."""
        pruned = [moves for group in self.pruned_once() for moves in group]
        every = [*self.of_model(()), *pruned]
        return [BASELINE, *(moves for moves in every if moves != BASELINE)]


def read_plan(settings: SearchSettings) -> Plan:
    """Parses the settings of a search.

    Raises:
        UsageError: Settings are invalid; the message lists every problem.
    """
    budgets, problems = read_budgets(settings.max_size, settings.max_latency, settings.max_drop)
    max_seconds = read_max_time(settings.max_time, problems)
    speedups, second_speedups = (
        _numbers(settings, name, (1, 1000), "above 1", problems)
        for name in ("speedups", "second_speedups")
    )
    hidden_sizes = _numbers(settings, "hidden_sizes", (0, math.inf), "above 0", problems)
    if any(size % 1 for size in hidden_sizes):
        problems.append(
            f"hidden_sizes: expected whole numbers. Received: {settings.hidden_sizes!r}"
        )
    if hidden_sizes and not speedups:
        problems.append(
            "hidden_sizes: expected --speedups, too, which the narrower models reach. Received: "
            f"{settings.hidden_sizes!r} without speedups"
        )
    token_shares = _numbers(settings, "token_shares", (0, 1), "between 0 and 1", problems)
    embeddings = _names(settings, "embeddings", EMBEDDINGS, problems)
    recipes = _names(settings, "recipes", (INT8, INT4), problems)
    if settings.vocabulary not in _VOCABULARIES:
        problems.append(
            f"vocabulary: expected one of {', '.join(_VOCABULARIES)}. "
            f"Received: {settings.vocabulary!r}"
        )
    problems += _out_of_bounds(settings)
    refuse(problems)
    return Plan(
        speedups,
        tuple(map(int, hidden_sizes)),
        second_speedups,
        _VOCABULARIES[settings.vocabulary],
        embeddings,
        token_shares,
        recipes,
        budgets,
        max_seconds,
    )


def _out_of_bounds(settings: SearchSettings) -> list[str]:
    """The problems of settings with one number each."""
    least = {
        "distill_epochs": 0,
        "rounds": 1,
        "max_rows": 0,
        "tokens": 0,
        "latency_texts": 1,
        "refine": 0,
        "max_candidates": 1,
    }
    rules = [
        (name, getattr(settings, name) >= bound, f"{bound} or more")
        for name, bound in least.items()
    ]
    rules += [
        ("confirm_fraction", 0 <= settings.confirm_fraction <= 0.9, "from 0 to 0.9"),
        ("confidence", 0.5 <= settings.confidence <= 0.999, "from 0.5 to 0.999"),
    ]
    return broken_rules(settings, rules)


def _numbers(
    settings: SearchSettings,
    name: str,
    between: tuple[float, float],
    expected: str,
    problems: list[str],
) -> tuple[float, ...]:
    """The numbers of a setting with commas between them, ascending; also lists their problems."""
    written, found = getattr(settings, name), set[float]()
    for part in filter(None, map(str.strip, written.split(","))):
        try:
            found.add(float(part))
        except ValueError:
            problems.append(f"{name}: expected numbers with commas. Received: {part!r}")
    low, high = between
    if any(not low < number < high for number in found):
        problems.append(f"{name}: expected numbers {expected}. Received: {written!r}")
    return tuple(sorted(found))


def _names(
    settings: SearchSettings, name: str, known: tuple[str, ...], problems: list[str]
) -> tuple[str, ...]:
    """The names of a setting with commas between them, each once; also lists their problems."""
    written = getattr(settings, name)
    found = tuple(dict.fromkeys(filter(None, map(str.strip, written.split(",")))))
    if not found or not set(found) <= set(known):
        problems.append(f"{name}: expected some of {', '.join(known)}. Received: {written!r}")
    return found
