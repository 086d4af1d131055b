"""The result of a search: candidates, their Pareto front, and the winner under the budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgebert.errors import QualityGateError
from edgebert.evaluation.paired_loss import PairedLoss
from edgebert.searching.front import Budgets, pareto_front, point_of
from edgebert.searching.moves import Moves

FORMAT = 2


@dataclass(frozen=True)
class Candidate:
    """One exported file.

    Attributes:
        key: Name of its trial.
        moves: How the model was changed.
        path: The `.tflite` file.
        metrics: Metrics of the file on the dev data.
        points_lost: Loss of the task's metric against the float model, in hundredths, on the dev
            data that chose the files.
        size_bytes: Size of the file.
        gzip_bytes: Size of the gzip'd file, which is what it adds to the download of an app.
        latency_ms: Latency from text to answer on this machine.
        latency_ratio: The same, divided by the baseline's, measured in turn with it.
        layers: Heads and neurons of each layer.
        vocabulary: Rows of the token table.
        seconds: Duration of the trial.
        confirmed: The loss on the dev data that confirms; None for files outside of the front.
        bound_points: Upper bound of the confirmed loss on unseen text.
        export: Settings of the export, and of the comparison in the manifest.
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
    confirmed: PairedLoss | None = None
    bound_points: float | None = None
    export: Mapping[str, Any] = field(default_factory=dict)

    @property
    def budget_points(self) -> float:
        """The loss that `--max-drop` limits: the upper bound once the loss is confirmed."""
        return self.points_lost if self.bound_points is None else self.bound_points

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "name": self.moves.text,
            "moves": self.moves.to_dict(),
            "path": str(self.path),
            "layers": list(self.layers),
            "confirmed": None if self.confirmed is None else self.confirmed.to_dict(),
        }


@dataclass(frozen=True)
class SearchResult:
    """The result of a search.

    Attributes:
        out: Folder of the search.
        budgets: The requested budgets.
        candidates: All exported files, the baseline first.
        front: The Pareto front, largest file first. Its latencies were measured together at the
            end.
        winner: The best candidate that meets the budgets; None if there is none.
        winner_path: A copy of the winner's file.
        missed: Description of the candidate closest to the budgets; empty if there is a winner.
        float_metrics: Metrics of the float model on the dev data.
        test: Metrics of the float model, the baseline and the winner on the test data, and the
            winner's loss with its interval.
        float_bytes: Size of the weights of the float model in float32.
        tokens: Text length of the latency table.
        notes: Trials that were left out, and the reasons.
        finished: Whether the search ended. If it was stopped, the front is that of its finished
            trials, with latencies from a short measurement.
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
    float_bytes: int
    tokens: int
    notes: tuple[str, ...]
    finished: bool = True

    @property
    def baseline(self) -> Candidate:
        """The unpruned dynamic-int8 file."""
        return self.candidates[0]

    def require_winner(self) -> Candidate:
        """The winner.

        Raises:
            QualityGateError: No candidate meets the budgets.
        """
        if self.winner is None:
            raise QualityGateError(self.missed)
        return self.winner

    def to_dict(self) -> dict[str, Any]:
        """The content of `front.json`."""
        return {
            "format": FORMAT,
            "finished": self.finished,
            "budgets": self.budgets.to_dict(),
            "float": self.float_metrics,
            "float_bytes": self.float_bytes,
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


class SearchStopped(KeyboardInterrupt):
    """A search was stopped by Ctrl-C after its first trial.

    Attributes:
        result: The result of the finished trials.
    """

    def __init__(self, result: SearchResult) -> None:
        super().__init__("The search was stopped.")
        self.result = result


def front_of(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The Pareto front of some candidates, largest file first."""
    places = pareto_front([point_of(candidate) for candidate in candidates])
    return sorted((candidates[place] for place in places), key=lambda one: -one.size_bytes)
