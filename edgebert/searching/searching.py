"""The order in which a search runs its trials, and its final choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgebert.data.datasets import Dataset
from edgebert.data.label_numbers import with_label_names
from edgebert.errors import ModelError, UsageError, refuse
from edgebert.evaluation.paired_loss import grouped_metric, paired_loss
from edgebert.evaluation.predictors import KerasPredictor, evaluate
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, as_model
from edgebert.pruning.refusals import refuse_base, refuse_narrow_layers
from edgebert.pruning.structure_checks import check_model
from edgebert.searching import timing
from edgebert.searching.attempts import Attempts
from edgebert.searching.choosing import aimed_speedup
from edgebert.searching.clock import Clock
from edgebert.searching.confirming import Confirmation, divide
from edgebert.searching.finishing import smaller_files
from edgebert.searching.front import best
from edgebert.searching.halving import Halving
from edgebert.searching.judging import FILE, TEXT
from edgebert.searching.moves import BASELINE, Moves, Plan, key_of, read_plan
from edgebert.searching.records import TAUGHT, SearchFolder
from edgebert.searching.result import (
    FORMAT,
    Candidate,
    SearchResult,
    SearchStopped,
    front_of,
)
from edgebert.searching.sentences import describe_closest
from edgebert.searching.status import show_status
from edgebert.searching.teaching_data import TeachingData
from edgebert.searching.timing import Round
from edgebert.searching.trials import EXPORT, TrialRunner
from edgebert.settings import SearchSettings, StructureSettings
from edgebert.system.storage import atomic_files
from edgebert.training.stage_run import StageRun
from edgebert.training.state import describe_data, describe_model

CHEAP = Round("cheap", passes=7, openings=1)
ALL = Round("all", passes=9, openings=1)
FINALS = Round("finals", passes=21, openings=3)
STOPPED = Round("stopped", passes=3, openings=1)
LATENCIES = "latencies"
"""A kind of step of the clock. Its unit is one pass of one file over the texts."""
CHEAP_SHARE = 0.2
"""The share of the time budget for trials without training. The first file of each model comes
first. A pruned model that is left out is pruned when it is its turn to be distilled."""
MOST_FINALISTS = 14
"""The expected number of files of the front, at most."""
FILES_TO_FINISH = 4
RESERVE_MARGIN, MOST_RESERVED = 1.2, 0.2
_IDENTITY = ("seed", "tokens", "confirm_fraction")


def search(
    model: TaskModel | Path | str,
    train: Dataset | TeachingData,
    dev: Dataset,
    settings: SearchSettings,
    run: StageRun,
    test: Dataset | None = None,
) -> SearchResult:
    """Finds the Pareto front of size, latency and accuracy, and the best model under the budgets.

    Args:
        model: A fine-tuned model of a task that supports pruning and distillation, or its path.
        train: Data like the model's training data; students learn from it, and from further rows
            without labels if it is a `TeachingData`.
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
        SearchStopped: Ctrl-C, which is a `KeyboardInterrupt`. Its `result` has the front of the
            finished trials, whose files are written. A second Ctrl-C stops at once.
    """
    run.require_one_device()
    model = as_model(model)
    plan = read_plan(settings)
    refuse_base(model)
    data = train if isinstance(train, TeachingData) else TeachingData(train)
    data = replace(data, train=with_label_names(data.train, model.labels))
    dev = with_label_names(dev, model.labels)
    given = [f"speedups {settings.speedups}"] if plan.speedups else []
    search_without = "add --speedups '' to search without them"
    refuse_narrow_layers(model.checkpoint.config, given, search_without)
    for split in (dev, test):
        if split is not None:
            model.task.require_known(with_label_names(split, model.labels), model.labels)
    _check_hidden_sizes(model, plan.hidden_sizes)
    identity = {
        "format": FORMAT,
        "model": describe_model(model),
        "train": describe_data(data.train),
        "dev": describe_data(dev),
        "settings": {name: getattr(settings, name) for name in _IDENTITY},
    }
    if data.unlabelled is not None:
        identity[TAUGHT] = describe_data(data.taught)
    choosing, confirming = divide(dev, settings)
    folder = SearchFolder(run.out, identity, run.resume)
    clock = Clock(folder, plan.max_seconds, run.progress)
    trials = TrialRunner(model, data, choosing, settings, folder, clock)
    return _Search(trials, plan, Confirmation(trials, confirming), test).run()


def _check_hidden_sizes(model: TaskModel, sizes: Sequence[int]) -> None:
    """Checks that the model can be narrowed to each of the sizes.

    Raises:
        UsageError: It can't; every problem is listed.
    """
    problems, own = [], model.checkpoint.config.hidden_size
    for size in sizes:
        if size == own:
            problems.append(f"hidden_size: expected less than the model's {own}. Received: {size}")
        try:
            check_model(model, StructureSettings(hidden_size=size))
        except UsageError as error:
            problems.append(str(error).removesuffix("."))
    refuse(problems)


class _Search:
    """One search: its plan, its trials, and what was left out."""

    def __init__(
        self, trials: TrialRunner, plan: Plan, confirmation: Confirmation, test: Dataset | None
    ) -> None:
        self._trials, self._plan, self._confirmation = trials, plan, confirmation
        self._settings, self._folder, self._test_data = trials.settings, trials.folder, test
        self._clock, self._attempts = trials.clock, Attempts(trials, self._seen)
        self._to_finish = 0
        self._progress = self._clock.shown
        self._metric = trials.model.task.metric
        self._texts = timing.latency_texts(
            trials.dev,
            trials.model,
            self._settings.tokens,
            self._settings.latency_texts,
            self._settings.seed,
        )

    def run(self) -> SearchResult:
        """Runs the search.

        Raises:
            SearchStopped: Ctrl-C. It has the result of the finished trials.
        """
        try:
            self._explore()
            return self._finish()
        except KeyboardInterrupt as interrupt:
            stopped = self._stop()
            if stopped is None:
                raise
            raise SearchStopped(stopped) from interrupt

    def _explore(self) -> None:
        """Runs all trials."""
        self._float_metrics = dict(self._trials.judge.float_metric.metrics)
        self._try_cheap()
        cheap = self._measure(CHEAP)
        aimed = aimed_speedup(cheap, self._plan.budgets)
        if aimed is not None:
            group = [moves for model in self._plan.of_speedup(aimed) for moves in model]
            self._attempts.run("trials aimed at the latency", group, CHEAP_SHARE)
            cheap = self._measure(CHEAP)
        self._to_finish = FILES_TO_FINISH
        self._reserve()
        training = Halving(self._attempts, self._plan, self._settings, self._distilled)
        training.run(cheap)
        self._to_finish = 0
        self._reserve()
        smaller = smaller_files(self._measure(CHEAP), self._plan)
        self._attempts.run("trials of smaller files", smaller)

    def _finish(self) -> SearchResult:
        """Measures, confirms and tests the front of the finished trials."""
        candidates = self._measure(ALL)
        finalists = [BASELINE, *(one.moves for one in front_of(candidates))]
        finalists = list(dict.fromkeys(finalists))
        finals = {c.key: c for c in self._measure(self._final_round(len(finalists)), finalists)}
        candidates = [finals.get(candidate.key, candidate) for candidate in candidates]
        front = self._confirmation.confirm(front_of(list(finals.values())))
        return self._result(candidates, front, self._test_data)

    def _final_round(self, files: int) -> Round:
        """The last round of latencies; shorter where its time is more than half of what is left."""
        left = (self._clock.limit_seconds - self._clock.spent_seconds) / 2
        needed = self._clock.expected(LATENCIES, files * FINALS.calls)
        if needed <= left:
            return FINALS
        passes = int(FINALS.passes * FINALS.openings * left / needed)
        return Round(FINALS.name, max(passes, STOPPED.passes), openings=1)

    def _stop(self) -> SearchResult | None:
        """Measures and confirms the front so far in a short time; None before the baseline."""
        if BASELINE not in self._attempts.exported:
            return None
        self._progress("stopping", 0, 1)
        self._attempts.note(
            "The search was stopped: this is the front of its finished trials. Next: run the same "
            "command with --resume."
        )
        candidates = self._measure(STOPPED)
        front = self._confirmation.confirm(front_of(candidates))
        result = self._result(candidates, front, None, finished=False)
        self._progress("stopping", 1, 1)
        return result

    def _try_cheap(self) -> None:
        """Runs the trials without training.

        With a time budget, each model gets one file first. With a size budget, too, the float model
        gets all of its files before: one of them may be the only one that meets it in time.
        """
        cheap = self._plan.cheap()
        firsts = [moves for moves in cheap if moves == self._plan.of_model(moves.steps)[0]]
        if math.isfinite(self._plan.max_seconds):
            small = self._plan.of_model(()) if self._plan.budgets.size_bytes is not None else []
            first = list(dict.fromkeys([BASELINE, *small, *firsts]))
            self._attempts.run("first cheap trials", first, CHEAP_SHARE)
        self._attempts.run("cheap trials", cheap, CHEAP_SHARE)

    def _seen(self, attempts: Attempts) -> None:
        """Reserves the time that the file of a new trial needs, and shows the front."""
        self._reserve()
        show_status(attempts)

    def _reserve(self) -> None:
        """Reserves the time of the end of the search: latencies, confirmation and test."""
        if math.isinf(self._plan.max_seconds):
            return
        expected, every = self._clock.expected, len(self._attempts.exported) + self._to_finish
        finalists = min(every, MOST_FINALISTS)
        passes = every * (CHEAP.calls + ALL.calls) + finalists * FINALS.calls
        seconds = expected(LATENCIES, passes) + self._to_finish * expected(EXPORT)
        for data, files in ((self._confirmation.data, finalists), (self._test_data, 2)):
            rows = len(data) if data is not None else 0
            seconds += expected(TEXT, rows) + files * expected(FILE, rows)
        most = MOST_RESERVED * self._plan.max_seconds
        self._clock.reserved_seconds = min(RESERVE_MARGIN * seconds, most)

    def _measure(self, round_: Round, only: Sequence[Moves] = ()) -> list[Candidate]:
        """The candidates, or some of them, with latencies that are measured in one round."""
        files = {self._trials.key(moves): moves for moves in only or self._attempts.exported}
        paths = {key: self._folder.file(key) for key in files}
        name = key_of([round_.name, round_.passes, round_.openings, sorted(files), self._texts])

        def measure() -> timing.Latencies:
            baseline = self._trials.key(BASELINE)
            with self._clock.timed(LATENCIES, len(paths) * round_.calls):
                return timing.measure(baseline, paths, self._texts, round_, self._progress)

        if round_ == STOPPED:
            latencies = measure()
        else:
            latencies = self._folder.once(f"rounds/{name}", measure, numbers=2)
        if lacking := files.keys() - latencies.keys():
            raise ModelError(
                f"{self._folder.path}/rounds/{name}.json: expected the latencies of every file. "
                f"Received: none of {', '.join(sorted(lacking))}. Next: delete it; the files are "
                "then measured again."
            )
        return [self._candidate(key, moves, latencies[key]) for key, moves in files.items()]

    def _distilled(self) -> list[Candidate]:
        """The distilled candidates, with latencies."""
        distilled = [moves for moves in self._attempts.exported if moves.distilled]
        return self._measure(CHEAP, [BASELINE, *distilled])[1:] if distilled else []

    def _candidate(self, key: str, moves: Moves, latency: dict[str, float]) -> Candidate:
        record = self._folder.trial(key)
        assert record is not None
        return Candidate(
            key=key,
            moves=moves,
            path=self._folder.file(key),
            metrics=record["dev"],
            points_lost=self._attempts.points_lost(moves),
            size_bytes=record["size_bytes"],
            gzip_bytes=record["gzip_bytes"],
            latency_ms=latency["ms"],
            latency_ratio=latency["ratio"],
            layers=tuple(record["layers"]),
            vocabulary=record["vocabulary"],
            seconds=record["seconds"],
            export=record["export"],
        )

    def _result(
        self,
        candidates: list[Candidate],
        front: list[Candidate],
        test: Dataset | None,
        finished: bool = True,
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
            notes=tuple(self._attempts.notes),
            finished=finished,
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
