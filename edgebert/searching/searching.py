"""The order in which a search runs its trials, and its final choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgebert.data.datasets import Dataset
from edgebert.data.label_numbers import with_label_names
from edgebert.errors import ModelError
from edgebert.evaluation.paired_loss import grouped_metric, paired_loss
from edgebert.evaluation.predictors import KerasPredictor, evaluate
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, as_model
from edgebert.pruning.refusals import refuse_head, refuse_narrow_layers
from edgebert.searching import timing
from edgebert.searching.choosing import (
    HOPELESS_POINTS,
    aimed_speedup,
    speedup_between,
    worth_training,
)
from edgebert.searching.confirming import Confirmation, divide
from edgebert.searching.front import best
from edgebert.searching.moves import BASELINE, Moves, Plan, key_of, read_plan
from edgebert.searching.records import SearchFolder
from edgebert.searching.result import Candidate, SearchResult, front_of
from edgebert.searching.rounds import cost, promoted
from edgebert.searching.sentences import describe_closest
from edgebert.searching.timing import Round
from edgebert.searching.trials import TrialRunner
from edgebert.settings import SearchSettings
from edgebert.system.storage import atomic_files
from edgebert.training.stage_run import StageRun
from edgebert.training.state import describe_data, describe_model

CHEAP = Round("cheap", passes=7, openings=1)
ALL = Round("all", passes=9, openings=1)
_IDENTITY = ("seed", "tokens", "confirm_fraction")
FINALS = Round("finals", passes=21, openings=3)


def search(
    model: TaskModel | Path | str,
    train: Dataset,
    dev: Dataset,
    settings: SearchSettings,
    run: StageRun,
    test: Dataset | None = None,
) -> SearchResult:
    """Finds the Pareto front of size, latency and accuracy, and the best model under the budgets.

    Args:
        model: A fine-tuned model of a task that supports pruning and distillation, or its path.
        train: Data like the model's training data; students learn from it.
        dev: Labelled data. One part of it chooses epochs and files, and latencies are measured on
            it; the other part (`confirm_fraction`) confirms the losses of the files of the front.
        settings: The variants to try, and the budgets.
        run: Output folder, resuming and progress. A resumed search may have other budgets,
            speedups and further variants; finished trials are not repeated. It runs on one device.
        test: Labelled data on which the winner, the float model and the baseline are scored.

    Returns:
        The front. `require_winner` raises if no candidate meets the budgets.

    Raises:
        UsageError: Invalid settings (all of them are listed), or the folder of another search.
        DataError: The data has labels that the model does not know, or there is too little dev
            data to confirm losses.
    """
    run.require_one_device()
    model = as_model(model)
    plan = read_plan(settings)
    refuse_head(model)
    train, dev = (with_label_names(data, model.labels) for data in (train, dev))
    given = [f"speedups {settings.speedups}"] if plan.speedups else []
    search_without = "add --speedups '' to search without them"
    refuse_narrow_layers(model.checkpoint.config, given, search_without)
    for split in (dev, test):
        if split is not None:
            model.task.require_known(with_label_names(split, model.labels), model.labels)
    identity = {
        "model": describe_model(model),
        "train": describe_data(train),
        "dev": describe_data(dev),
        "settings": {name: getattr(settings, name) for name in _IDENTITY},
    }
    choosing, confirming = divide(dev, settings)
    folder = SearchFolder(run.out, identity, run.resume)
    trials = TrialRunner(model, train, choosing, settings, folder, run.progress)
    return _Search(trials, plan, Confirmation(trials, confirming)).run(test)


class _Search:
    """One search: its plan, its trials, and what was left out."""

    def __init__(self, trials: TrialRunner, plan: Plan, confirmation: Confirmation) -> None:
        self._trials, self._plan, self._confirmation = trials, plan, confirmation
        self._settings, self._folder = trials.settings, trials.folder
        self._progress, self._notes = trials.progress, list[str]()
        self._metric = trials.model.task.metric
        self._allowed, self._exported = list[Moves](), list[Moves]()
        self._texts = timing.latency_texts(
            trials.dev,
            trials.model,
            self._settings.tokens,
            self._settings.latency_texts,
            self._settings.seed,
        )
        self._float_metrics = self._folder.once("float", self._evaluate_float, numbers=1)

    def run(self, test: Dataset | None) -> SearchResult:
        self._try_all("cheap trials", self._plan.cheap())
        cheap = self._measure(CHEAP, self._exported)
        aimed = aimed_speedup(cheap, self._plan.budgets)
        if aimed is not None:
            self._try_all("trials aimed at the latency", self._plan.of_speedup(aimed))
            cheap = self._measure(CHEAP, self._exported)
        self._distill(cheap)
        self._refine()
        self._distill_further()
        candidates = self._measure(ALL, self._exported)
        finalists = [BASELINE, *(one.moves for one in front_of(candidates))]
        finals = {c.key: c for c in self._measure(FINALS, list(dict.fromkeys(finalists)))}
        candidates = [finals.get(candidate.key, candidate) for candidate in candidates]
        front = self._confirmation.confirm(front_of(list(finals.values())))
        return self._result(candidates, front, test)

    def _evaluate_float(self) -> dict[str, Any]:
        self._progress("float model", 0, 1)
        metrics = evaluate(KerasPredictor(self._trials.model), self._trials.dev).metrics
        self._progress("float model", 1, 1, **{self._metric: metrics[self._metric]})
        return dict(metrics)

    def _try_all(self, stage: str, wanted: Sequence[Moves]) -> None:
        """Runs trials, one pruned model at a time, within the limits of candidates and time."""
        room = self._settings.max_candidates - len(self._exported)
        if len(wanted) > room:
            self._note(f"{len(wanted) - room} {stage} were left out: --max-candidates is reached.")
        allowed = list(wanted[: max(room, 0)])
        self._allowed += allowed

        def report() -> None:
            finished = sum(self._trials.record(moves) is not None for moves in allowed)
            self._progress(stage, finished, len(allowed))

        for speedup in dict.fromkeys(moves.speedup for moves in allowed):
            group = [moves for moves in allowed if moves.speedup == speedup]
            self._trials.run(group, self._has_time_left, report)
        for moves in allowed:
            record = self._trials.record(moves)
            if record is None:
                self._note(f"{moves.text} was left out: --max-minutes is reached.")
            elif record["refused"]:
                self._note(f"{moves.text} was not made: {record['refused']}")
            else:
                self._exported.append(moves)

    def _has_time_left(self, needed_seconds: float = 0.0) -> bool:
        """Whether a trial of that duration may start. The baseline may always start."""
        records = [self._trials.record(moves) for moves in self._allowed]
        spent_seconds = sum(record["seconds"] for record in records if record)
        left = 60 * self._settings.max_minutes - spent_seconds
        no_limit = not self._settings.max_minutes or self._trials.record(BASELINE) is None
        return no_limit or left > needed_seconds

    def _expected_seconds(self, rounds: int) -> float:
        """The expected duration of a distillation; 0 before the first one.

        It is the longest so far for each pass over the texts, times the passes of this one. The
        duration of a distillation is in the record of the first trial that used it.
        """
        longest = 0.0
        for moves in self._exported:
            record = self._trials.record(moves)
            if record is not None and moves.distilled:
                passes = cost(self._trials.settings_of_round(moves.rounds))
                longest = max(longest, record["seconds"] / passes)
        return longest * cost(self._trials.settings_of_round(rounds))

    def _distill(self, cheap: Sequence[Candidate]) -> None:
        """Distills the promising pruned models, those with the smallest loss first."""
        allowed_drop = self._plan.budgets.drop_points
        chosen = worth_training(cheap, self._plan.budgets) if self._settings.distill_epochs else []
        for place, speedup in enumerate(chosen):
            self._try_distilled(speedup)
            lost = self._least_lost(rounds=1).get(speedup, 0.0)
            rest = ", ".join(f"{one:g}x" for one in chosen[place + 1 :])
            if allowed_drop is not None and rest and lost > allowed_drop + HOPELESS_POINTS:
                self._note(
                    f"{rest} were not distilled: {speedup:g}x, which had lost less, still lost "
                    f"{lost:.1f} points."
                )
                return

    def _refine(self) -> None:
        """Tries further speedups between the largest that meets the allowed drop and the next."""
        allowed_drop = self._plan.budgets.drop_points
        for _ in range(self._settings.refine if self._settings.distill_epochs else 0):
            lost = self._least_lost()
            speedup = None if allowed_drop is None else speedup_between(lost, allowed_drop)
            if speedup is None:
                return
            self._try_distilled(speedup)

    def _distill_further(self) -> None:
        """Gives half of the distilled models another round, and half of those a third one."""
        for finished in range(1, self._settings.rounds if self._settings.distill_epochs else 0):
            lost = self._least_lost(rounds=finished)
            for speedup in promoted(lost, self._plan.budgets.drop_points, finished):
                self._try_distilled(speedup, finished + 1)

    def _try_distilled(self, speedup: float, rounds: int = 1) -> None:
        group = self._plan.of_speedup(speedup, rounds)
        if all(self._trials.record(moves) is None for moves in group) and not (
            self._has_time_left(self._expected_seconds(rounds))
        ):
            self._note(f"{group[0].text} was left out: it would end after --max-minutes.")
            return
        self._try_all(f"distilled trials of {speedup:g}x, round {rounds}", group)

    def _least_lost(self, rounds: int = 0) -> dict[float, float]:
        """Points lost by the best model of each speedup, or by the best of one round."""
        lost: dict[float, float] = {}
        for moves in self._exported:
            record = self._trials.record(moves)
            if record is not None and rounds in (0, moves.rounds):
                points = self._points_lost(record)
                lost[moves.speedup] = min(lost.get(moves.speedup, 100.0), points)
        return lost

    def _points_lost(self, record: Mapping[str, Any]) -> float:
        """Loss of the metric against the float model, in hundredths, on the choosing part."""
        return float(100 * (self._float_metrics[self._metric] - record["dev"][self._metric]))

    def _measure(self, round_: Round, exported: Sequence[Moves]) -> list[Candidate]:
        """The candidates, with latencies that are measured in one round."""
        files = {self._trials.key(moves): moves for moves in exported}
        paths = {key: self._folder.file(key) for key in files}
        name = key_of([round_.name, round_.passes, round_.openings, sorted(files), self._texts])
        latencies = self._folder.once(
            f"rounds/{name}",
            lambda: timing.measure(
                self._trials.key(BASELINE), paths, self._texts, round_, self._progress
            ),
            numbers=2,
        )
        if lacking := files.keys() - latencies.keys():
            raise ModelError(
                f"{self._folder.path}/rounds/{name}.json: expected the latencies of every file. "
                f"Received: none of {', '.join(sorted(lacking))}. Next: delete it; the files are "
                "then measured again."
            )
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

    def _result(
        self, candidates: list[Candidate], front: list[Candidate], test: Dataset | None
    ) -> SearchResult:
        """Chooses the winner, exports it, scores it on the test data and writes front.json."""
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
            missed="" if winner else describe_closest(front, budgets),
            float_metrics=self._float_metrics,
            test=None if test is None or winner is None else self._test(winner, test),
            float_bytes=sum(4 * one.size for one in self._trials.model.checkpoint.weights.values()),
            tokens=self._trials.tokens,
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
        atomic_files(
            {
                copy: winner.path.with_name(winner.key + ending).read_bytes()
                for copy, ending in names.items()
            }
        )
        self._trials.variant(winner.moves).save(self._folder.path / "winner")
        return path

    def _test(self, winner: Candidate, test: Dataset) -> dict[str, Any]:
        """Scores on the test data, which is read once, after every choice is made."""

        def score() -> dict[str, Any]:
            self._progress("test", 0, 3)
            reference = grouped_metric(KerasPredictor(self._trials.model), test)
            self._progress("test", 1, 3)
            baseline = LiteRtModel.open(self._folder.file(self._trials.key(BASELINE)))
            baseline_metrics = evaluate(baseline, test, "baseline").metrics
            self._progress("test", 2, 3)
            found = grouped_metric(LiteRtModel.open(winner.path), test)
            self._progress("test", 3, 3)
            return {
                "float": reference.metrics,
                "baseline": baseline_metrics,
                "winner": found.metrics,
                "loss": paired_loss(reference, found).to_dict(),
            }

        name = f"tests/{key_of([winner.key, describe_data(test)])}"
        return {"data": describe_data(test), **self._folder.once(name, score, numbers=2)}

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)
