"""The order in which a search tries things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgebert.data.datasets import Dataset
from edgebert.evaluation.predictors import KerasPredictor, Predictor, evaluate
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel
from edgebert.pruning.structured import refuse_head
from edgebert.search import timing
from edgebert.search.choosing import (
    HOPELESS_POINTS,
    aimed_speedup,
    speedup_between,
    worth_training,
)
from edgebert.search.front import best
from edgebert.search.moves import BASELINE, Moves, Plan, key_of, read_plan
from edgebert.search.records import SearchFolder
from edgebert.search.result import Candidate, SearchResult, front_of, say_missed
from edgebert.search.trials import Workshop
from edgebert.settings import SearchSettings
from edgebert.system.progress import Progress, silent
from edgebert.system.storage import atomic_write
from edgebert.training.state import describe_data, describe_model

ROUNDS = {"cheap": (7, 1), "all": (9, 1), "finals": (21, 3)}
"""Passes and openings of each round of latencies."""


def search(
    model: TaskModel,
    train: Dataset,
    dev: Dataset,
    settings: SearchSettings,
    out: Path | str,
    test: Dataset | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> SearchResult:
    """Finds the best trades of size, latency and accuracy, and the winner under the budgets.

    Args:
        model: fine-tuned, of a task that can be pruned and distilled.
        train: data of the kind that it was fine-tuned on; students learn from it.
        dev: labelled data that every choice is made by, and that latencies are measured on.
        settings: what is tried, and the budgets.
        out: the folder of the search.
        test: labelled data that the winner, the float model and the baseline are scored on.
        resume: goes on with the search in `out`. Budgets, speedups and what else is tried may
            change; what was tried is not tried again.
        progress: told of each step.

    Returns:
        The front; `require_winner` raises where nothing meets the budgets.

    Raises:
        UsageError: settings that make no sense, all at once; a folder with another search.
        DataError: labels that the model does not know.
    """
    plan = read_plan(settings)
    refuse_head(model)
    for judged in (dev, test):
        if judged is not None:
            model.task.require_known(judged, model.labels)
    identity = {
        "model": describe_model(model),
        "train": describe_data(train),
        "dev": describe_data(dev),
        "settings": {name: getattr(settings, name) for name in ("seed", "tokens")},
    }
    folder = SearchFolder(out, identity, resume)
    workshop = Workshop(model, train, dev, settings, folder, progress)
    return _Search(workshop, plan).run(test)


class _Search:
    def __init__(self, workshop: Workshop, plan: Plan) -> None:
        self._workshop, self._plan = workshop, plan
        self._settings, self._folder = workshop.settings, workshop.folder
        self._progress, self._notes = workshop.progress, list[str]()
        self._metric = workshop.model.task.metric
        self._considered, self._tried = list[Moves](), list[Moves]()
        self._texts = timing.latency_texts(
            workshop.dev,
            workshop.model,
            self._settings.tokens,
            self._settings.latency_texts,
            self._settings.seed,
        )

    def run(self, test: Dataset | None) -> SearchResult:
        self._float = self._folder.once("float", self._float_metrics)
        self._try_all("cheap trials", self._plan.cheap())
        cheap = self._measured("cheap", self._tried)
        aimed = aimed_speedup(cheap, self._plan.budgets)
        if aimed is not None:
            self._try_all("trials aimed at the latency", self._plan.of_speedup(aimed))
            cheap = self._measured("cheap", self._tried)
        self._distil(cheap)
        self._refine()
        candidates = self._measured("all", self._tried)
        finalists = [BASELINE, *(one.moves for one in front_of(candidates))]
        finals = {c.key: c for c in self._measured("finals", list(dict.fromkeys(finalists)))}
        candidates = [finals.get(candidate.key, candidate) for candidate in candidates]
        front = front_of(list(finals.values()))
        return self._finished(candidates, front, test)

    def _float_metrics(self) -> dict[str, Any]:
        self._progress("float model", 0, 1)
        metrics = evaluate(KerasPredictor(self._workshop.model), self._workshop.dev).metrics
        self._progress("float model", 1, 1, **{self._metric: metrics[self._metric]})
        return dict(metrics)

    def _try_all(self, stage: str, wanted: Sequence[Moves]) -> None:
        """Runs the trials, a pruned model at a time, within the limits of files and time."""
        room = self._settings.max_candidates - len(self._tried)
        if len(wanted) > room:
            self._note(f"{len(wanted) - room} {stage} were left out: --max-candidates is reached.")
        allowed = list(wanted[: max(room, 0)])
        self._considered += allowed

        def done() -> None:
            finished = sum(self._workshop.record(moves) is not None for moves in allowed)
            self._progress(stage, finished, len(allowed))

        for speedup in dict.fromkeys(moves.speedup for moves in allowed):
            group = [moves for moves in allowed if moves.speedup == speedup]
            self._workshop.run(group, self._may_begin, done)
        for moves in allowed:
            record = self._workshop.record(moves)
            if record is None:
                self._note(f"{moves.text} was left out: --max-minutes are over.")
            elif record["refused"]:
                self._note(f"{moves.text} was not made: {record['refused']}")
            else:
                self._tried.append(moves)

    def _may_begin(self) -> bool:
        """Whether time is left; the baseline is made in any case."""
        records = [self._workshop.record(moves) for moves in self._considered]
        spent = sum(record["seconds"] for record in records if record)
        limit = self._settings.max_minutes
        return not limit or spent < 60 * limit or self._workshop.record(BASELINE) is None

    def _distil(self, cheap: Sequence[Candidate]) -> None:
        """Trains what is worth it, those that lost least first."""
        budget = self._plan.budgets.drop_points
        chosen = worth_training(cheap, self._plan.budgets) if self._settings.distill_epochs else []
        for place, speedup in enumerate(chosen):
            self._try_distilled(speedup)
            lost = self._least_lost(distilled=True).get(speedup, 0.0)
            rest = ", ".join(f"{one:g}x" for one in chosen[place + 1 :])
            if budget is not None and rest and lost > budget + HOPELESS_POINTS:
                self._note(
                    f"{rest} were not distilled: {speedup:g}x, which had lost less, still lost "
                    f"{lost:.1f} points."
                )
                return

    def _refine(self) -> None:
        """Tries speedups between the largest that meets the drop and the next, a few times."""
        budget = self._plan.budgets.drop_points
        for _ in range(self._settings.refine if self._settings.distill_epochs else 0):
            lost = self._least_lost()
            speedup = None if budget is None else speedup_between(lost, budget)
            if speedup is None:
                return
            self._try_distilled(speedup)

    def _try_distilled(self, speedup: float) -> None:
        group = self._plan.of_speedup(speedup, distilled=True)
        self._try_all(f"distilled trials of {speedup:g}x", group)

    def _least_lost(self, distilled: bool = False) -> dict[float, float]:
        """Points lost of the best model of each speedup, or of the distilled ones alone."""
        lost: dict[float, float] = {}
        for moves in self._tried:
            record = self._workshop.record(moves)
            if record is not None and (moves.distilled or not distilled):
                points = self._points_lost(record)
                lost[moves.speedup] = min(lost.get(moves.speedup, 100.0), points)
        return lost

    def _points_lost(self, record: Mapping[str, Any]) -> float:
        """Hundredths of the task's metric on the dev rows, against the float model."""
        return float(100 * (self._float[self._metric] - record["dev"][self._metric]))

    def _measured(self, stage: str, tried: Sequence[Moves]) -> list[Candidate]:
        """The candidates with latencies of one round."""
        passes, openings = ROUNDS[stage]
        files = {self._workshop.key(moves): moves for moves in tried}
        paths = {key: self._folder.file(key) for key in files}
        name = key_of([stage, passes, openings, sorted(files), self._texts])

        def made() -> dict[str, Any]:
            return timing.measure(
                self._workshop.key(BASELINE),
                paths,
                self._texts,
                passes,
                openings,
                self._progress,
                f"latencies, {stage}",
            )

        latencies = self._folder.once(f"rounds/{name}", made)
        return [self._candidate(key, moves, latencies[key]) for key, moves in files.items()]

    def _candidate(self, key: str, moves: Moves, latency: dict[str, float]) -> Candidate:
        record = self._folder.trial(key)
        assert record is not None
        return Candidate(
            key=key,
            moves=moves,
            path=self._folder.file(key),
            metrics=record["dev"],
            points_lost=self._points_lost(record),
            size_bytes=record["size_bytes"],
            gzip_bytes=record["gzip_bytes"],
            latency_ms=latency["ms"],
            latency_ratio=latency["ratio"],
            layers=tuple(record["layers"]),
            vocabulary=record["vocabulary"],
            seconds=record["seconds"],
        )

    def _finished(
        self, candidates: list[Candidate], front: list[Candidate], test: Dataset | None
    ) -> SearchResult:
        budgets = self._plan.budgets
        place = best(front, budgets)
        winner = None if place is None else front[place]
        result = SearchResult(
            out=self._folder.path,
            budgets=budgets,
            candidates=tuple(candidates),
            front=tuple(front),
            winner=winner,
            winner_path=self._export_winner(winner),
            missed="" if winner else say_missed(front, budgets),
            float_metrics=self._float,
            test=None if test is None or winner is None else self._tested(winner, test),
            tokens=self._workshop.tokens,
            notes=tuple(self._notes),
        )
        self._folder.write("front.json", result.to_dict())
        return result

    def _export_winner(self, winner: Candidate | None) -> Path | None:
        path = self._folder.path / "winner.tflite"
        names = {path: ".tflite", path.with_name(path.name + ".json"): ".tflite.json"}
        if winner is None:
            for stale in names:
                stale.unlink(missing_ok=True)
            return None
        for copy, ending in names.items():
            atomic_write(copy, winner.path.with_name(winner.key + ending).read_bytes())
        self._workshop.variant(winner.moves).save(self._folder.path / "winner")
        return path

    def _tested(self, winner: Candidate, test: Dataset) -> dict[str, Any]:
        """The claim: read once, after every choice is made."""

        def made() -> dict[str, Any]:
            baseline = self._folder.file(self._workshop.key(BASELINE))
            judged: dict[str, Predictor] = {
                "float": KerasPredictor(self._workshop.model),
                "baseline": LiteRtModel.open(baseline),
                "winner": LiteRtModel.open(winner.path),
            }
            scores = {}
            for name, predictor in judged.items():
                scores[name] = evaluate(predictor, test, name).metrics
                self._progress("test", len(scores), len(judged))
            return {"data": describe_data(test), **scores}

        return self._folder.once(f"tests/{key_of([winner.key, describe_data(test)])}", made)

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)
