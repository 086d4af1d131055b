"""What a search found: candidates, their front, and the one that meets the budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert.errors import QualityGateError
from edgebert.search.front import Budgets, closest, pareto_front, point_of
from edgebert.search.moves import Moves

FORMAT = 1


@dataclass(frozen=True)
class Candidate:
    """One exported file.

    Attributes:
        key: of its trial.
        moves: what was done.
        path: of the `.tflite`.
        metrics: on the dev text, of the file itself.
        points_lost: of dev accuracy against the float model.
        size_bytes: of the file.
        gzip_bytes: of the file as an app store ships it.
        latency_ms: from text to answer, on this machine.
        latency_ratio: the same, as a share of the baseline's, measured in turn with it.
        layers: heads and neurons left in each layer.
        vocabulary: rows of the token table.
        seconds: that the trial took.
    """

    key: str
    moves: Moves
    path: Path
    metrics: dict[str, float]
    points_lost: float
    size_bytes: int
    gzip_bytes: int
    latency_ms: float
    latency_ratio: float
    layers: tuple[dict[str, int], ...]
    vocabulary: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "name": self.moves.text,
            "moves": self.moves.to_dict(),
            "path": str(self.path),
            "layers": list(self.layers),
        }


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        out: its folder.
        budgets: what was asked for.
        candidates: every file, the baseline first.
        front: the best trades, largest first; their latencies were measured together at the end.
        winner: the one that meets the budgets; None where none does.
        winner_path: a copy of its file.
        missed: what came closest and by how much; empty where there is a winner.
        float_metrics: of the float model on the dev text.
        test: metrics of the float model, the baseline and the winner on the test text.
        tokens: length that the latency table was measured at.
        notes: what was left out, and why.
    """

    out: Path
    budgets: Budgets
    candidates: tuple[Candidate, ...]
    front: tuple[Candidate, ...]
    winner: Candidate | None
    winner_path: Path | None
    missed: str
    float_metrics: dict[str, float]
    test: dict[str, Any] | None
    tokens: int
    notes: tuple[str, ...]

    @property
    def baseline(self) -> Candidate:
        """The unpruned dynamic-int8 file."""
        return self.candidates[0]

    def require_winner(self) -> Candidate:
        """The winner.

        Raises:
            QualityGateError: nothing meets the budgets.
        """
        if self.winner is None:
            raise QualityGateError(self.missed)
        return self.winner

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "format": FORMAT,
            "budgets": self.budgets.to_dict(),
            "float": self.float_metrics,
            "baseline": self.baseline.key,
            "winner": self.winner.key if self.winner else None,
            "winner_path": str(self.winner_path) if self.winner_path else None,
            "missed": self.missed,
            "test": self.test,
            "tokens": self.tokens,
            "notes": list(self.notes),
            "front": [candidate.to_dict() for candidate in self.front],
            "candidates": [candidate.to_dict() for candidate in self.candidates],
        }


def front_of(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The best trades, largest first."""
    places = pareto_front([point_of(candidate) for candidate in candidates])
    return sorted((candidates[place] for place in places), key=lambda one: -one.size_bytes)


def say_missed(candidates: Sequence[Candidate], budgets: Budgets) -> str:
    """Which candidate came closest to the budgets, and by how much it misses each."""
    near = candidates[closest(candidates, budgets)]
    over = budgets.over(near)
    size, drop = budgets.size_bytes, budgets.drop_points
    parts = {
        "size": f"{near.size_bytes / 1e6:.3f} MB against {(size or 0) / 1e6:.3f} MB",
        "latency": f"{near.latency_ratio:.3f}x of the baseline against {budgets.latency_ratio:g}x"
        if budgets.latency_ratio is not None
        else f"{near.latency_ms:.3f} ms against {budgets.latency_ms or 0:.3f} ms",
        "points lost": f"{near.points_lost:.2f} points lost against {drop or 0:.2f}",
    }
    misses = "; ".join(parts[name] for name in over)
    return (
        f"No candidate meets every budget. Closest: {near.moves.text} "
        f"({near.path}). Received: {misses}. Next: relax that budget, distill longer with "
        "--distill-epochs, or add --speedups between those tried; --resume keeps what is done."
    )
