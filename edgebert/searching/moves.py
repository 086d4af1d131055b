"""The changes that a search combines, as data, and the plan of a search."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from edgebert.errors import refuse
from edgebert.searching.front import Budgets, read_budgets
from edgebert.settings import SearchSettings, broken_rules

EMBEDDINGS = ("int8", "int4")
WHOLE, TRIMMED = "whole", "trimmed"
_ROUNDS_TEXT = {0: "", 1: "distilled"}
_VOCABULARIES = {"both": (False, True), WHOLE: (False,), TRIMMED: (True,)}


@dataclass(frozen=True)
class Moves:
    """The changes of one trial.

    Attributes:
        speedup: Speedup of structured pruning by the latency table; 1 prunes nothing.
        trimmed: Whether the vocabulary is trimmed.
        embedding: Precision of the embedding rows.
        rounds: Rounds of distillation of the pruned model from the float model; 0 is none.
    """

    speedup: float = 1.0
    trimmed: bool = False
    embedding: str = "int8"
    rounds: int = 0

    @property
    def distilled(self) -> bool:
        """Whether the pruned model is distilled."""
        return self.rounds > 0

    @property
    def text(self) -> str:
        """A description for tables."""
        parts = [
            f"pruned {self.speedup:g}x" if self.speedup > 1 else "",
            _ROUNDS_TEXT.get(self.rounds, f"distilled in {self.rounds} rounds"),
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
        vocabularies: Whether the vocabulary is trimmed: the values to try.
        embeddings: Precisions of the embedding rows to try.
        budgets: The budgets.
    """

    speedups: tuple[float, ...]
    vocabularies: tuple[bool, ...]
    embeddings: tuple[str, ...]
    budgets: Budgets

    def of_speedup(self, speedup: float, rounds: int = 0) -> list[Moves]:
        """The trials of one pruned model, or of one distilled in that many rounds."""
        return [
            Moves(speedup, trimmed, embedding, rounds)
            for trimmed in self.vocabularies
            for embedding in self.embeddings
        ]

    def cheap(self) -> list[Moves]:
        """All trials without training, the baseline first."""
        rest = [
            moves
            for s in (1.0, *self.speedups)
            for moves in self.of_speedup(s)
            if moves != BASELINE
        ]
        return [BASELINE, *rest]


def read_plan(settings: SearchSettings) -> Plan:
    """Parses the settings of a search.

    Raises:
        UsageError: Settings are invalid; the message lists every problem.
    """
    budgets, problems = read_budgets(settings.max_size, settings.max_latency, settings.max_drop)
    speedups: list[float] = []
    for part in filter(None, map(str.strip, settings.speedups.split(","))):
        try:
            speedups.append(float(part))
        except ValueError:
            problems.append(f"speedups: expected numbers with commas. Received: {part!r}")
    if any(not 1 < speedup < 1000 for speedup in speedups):
        problems.append(f"speedups: expected numbers above 1. Received: {settings.speedups!r}")
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
        "max_minutes": 0,
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
    vocabularies = _VOCABULARIES[settings.vocabulary]
    return Plan(
        tuple(sorted(set(speedups))), vocabularies, tuple(dict.fromkeys(embeddings)), budgets
    )
