"""Runs the trials of a search within its limits of files and time, and keeps what came of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from edgebert.searching.choosing import SLACK
from edgebert.searching.clock import OutOfTimeError
from edgebert.searching.finishing import tokens_within
from edgebert.searching.judging import Standing, judged_points
from edgebert.searching.moves import BASELINE, Moves, Plan, Steps, trained
from edgebert.searching.trials import EXPORT, TrialRunner


class Attempts:
    """The trials that a search ran so far.

    Args:
        trials: Runs one trial.
        seen: Called after each trial.

    Attributes:
        exported: The trials that made a file, in their order.
        notes: What was left out, and the reasons.
    """

    def __init__(self, trials: TrialRunner, seen: Callable[[Attempts], None]) -> None:
        self.trials, self.clock, self._seen = trials, trials.clock, seen
        self.exported, self.notes = list[Moves](), list[str]()

    def note(self, text: str) -> None:
        """Keeps a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def run(
        self,
        stage: str,
        wanted: Sequence[Moves],
        share: float = 1.0,
    ) -> None:
        """Runs trials, one model at a time, within the limits of candidates and time.

        Args:
            stage: Name of the stage in progress reports.
            wanted: The trials.
            share: The share of the time budget in which they have to end.
        """
        wanted = [moves for moves in wanted if moves not in self.exported]
        room = self.trials.settings.max_candidates - len(self.exported)
        if len(wanted) > room:
            self.note(f"{len(wanted) - room} {stage} were left out: --max-candidates is reached.")
        allowed = list(wanted[: max(room, 0)])
        self.clock.stops_trials = self.trials.record(BASELINE) is not None

        def has_time_left(seconds: float) -> bool:
            is_first = self.trials.record(BASELINE) is None
            return is_first or self.clock.allows(seconds, share)

        def report() -> None:
            finished = sum(self.trials.record(moves) is not None for moves in allowed)
            self.exported += [
                moves for moves in allowed if moves not in self.exported and self._has_file(moves)
            ]
            self._seen(self)
            self.clock.shown(stage, finished, len(allowed))
            self.clock.stops_trials = True

        for steps in dict.fromkeys(moves.steps for moves in allowed):
            group = [moves for moves in allowed if moves.steps == steps]
            try:
                self.trials.run(group, has_time_left, report)
            except OutOfTimeError as error:
                self.note(str(error))
            self._keep(group)
        self._note_missing(stage, allowed)

    def _note_missing(self, stage: str, allowed: Sequence[Moves]) -> None:
        missing = [moves for moves in allowed if self.trials.record(moves) is None]
        if len(missing) == 1:
            self.note(f"{missing[0].text} was left out: it would end after --max-time.")
        elif missing:
            self.note(f"{len(missing)} {stage} were left out: they would end after --max-time.")

    def _has_file(self, moves: Moves) -> bool:
        record = self.trials.record(moves)
        return record is not None and not record["refused"]

    def _keep(self, group: Sequence[Moves]) -> None:
        """Keeps the files of a group in its order, which is the same in a search that resumes."""
        self.exported = [moves for moves in self.exported if moves not in group]
        for moves in group:
            record = self.trials.record(moves)
            if record is not None and record["refused"]:
                self.note(f"{moves.text} was not made: {record['refused']}")
            elif record is not None:
                self.exported.append(moves)

    def worth_exporting(self, steps: Steps, plan: Plan) -> list[Moves]:
        """The files of a distilled model that may meet the size budget; the smallest if none may.

        If the trimmed vocabulary leaves room, a file with as many tokens as have room is among
        them: a model is judged by the best file that can be shipped. Sizes are estimated from the
        files of the float model and of the pruned model. Without them, or without a size budget,
        all files are worth it.
        """
        group, limit = plan.of_model(steps), plan.budgets.size_bytes
        before, baseline = self._record(Moves(trained(steps, 0))), self._record(BASELINE)
        of_float = {moves: self._record(replace(moves, steps=())) for moves in group}
        if limit is None or before is None or baseline is None or None in of_float.values():
            return group
        removed = baseline["size_bytes"] - before["size_bytes"]
        sizes = {
            moves: (record["size_bytes"] - removed, record["vocabulary"])
            for moves, record in of_float.items()
            if record is not None
        }
        fitting = [moves for moves in group if sizes[moves][0] <= (1 + SLACK) * limit]
        smallest = min(group, key=lambda moves: sizes[moves])
        whole = sizes.get(replace(smallest, trimmed=False), sizes[smallest])
        count = tokens_within(limit, whole, sizes[smallest]) if plan.token_shares else 0
        between = [replace(smallest, keep_tokens=count)] if count else []
        return [*between, *(fitting or [smallest])]

    def _record(self, moves: Moves) -> dict[str, Any] | None:
        """The record of a finished file, or None."""
        record = self.trials.record(moves)
        return None if record is None or record["refused"] else record

    def fits(self, group: Sequence[Moves], share: float = 1.0) -> bool:
        """Whether the distillation and the export of one model's files end in time.

        The distillation is shortened for that, if need be (`TrialRunner.fit`). It is also true if a
        file of the group is finished.
        """
        if any(self.trials.record(moves) is not None for moves in group):
            return True
        steps = group[0].steps
        others = self.trials.expected_pruning(trained(steps, 0))
        others += len(group) * self.clock.expected(EXPORT)
        return self.trials.fit(steps, lambda seconds: self.clock.allows(others + seconds, share))

    def points_lost(self, moves: Moves) -> float:
        """Loss of a file against the float model, in hundredths, on the data that chooses."""
        record = self.trials.record(moves)
        assert record is not None
        float_metric = self.trials.judge.float_metric.whole
        return float(100 * (float_metric - record["dev"][self.trials.model.task.metric]))

    def standings(self) -> dict[Steps, Standing]:
        """The best file of each model."""
        best: dict[Steps, Moves] = {}
        for moves in self.exported:
            known = best.get(moves.steps)
            if known is None or self.points_lost(moves) < self.points_lost(known):
                best[moves.steps] = moves
        return {steps: self._standing(moves) for steps, moves in best.items()}

    def judged(self) -> dict[Steps, float]:
        """The losses by which models are compared (`judging.judged_points`).

        Distilled models are judged together, and so are the others.
        """
        standings = self.standings()
        found: dict[Steps, float] = {}
        for is_distilled in (False, True):
            part = {
                steps: standing
                for steps, standing in standings.items()
                if Moves(steps).distilled == is_distilled
            }
            found |= judged_points(part)
        return found

    def _standing(self, moves: Moves) -> Standing:
        record = self.trials.record(moves)
        assert record is not None
        return Standing(self.points_lost(moves), record["error_points"], record.get("disagreement"))
