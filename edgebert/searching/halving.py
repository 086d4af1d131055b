"""Trains the models of a search by successive halving: many for a short time, few for a long time.

A rung is one round of distillation (`rounds`). Half of the models of a rung go on to the next one.
All rungs cost about the same, as in a bracket of Hyperband (Li et al. 2018). After the first two
rungs the best model is pruned a second time, and the results enter the first rung.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgebert.searching.attempts import Attempts
from edgebert.searching.choosing import (
    HOPELESS_POINTS,
    second_speedup,
    speedup_between,
    worth_pruning_again,
    worth_training,
)
from edgebert.searching.moves import Plan, Step, Steps, goals, total_speedup, trained
from edgebert.searching.result import Candidate
from edgebert.searching.rounds import promoted, within_reach
from edgebert.settings import SearchSettings

FIRST_RUNG = 0.55
SECOND_RUNG = 0.75
SECOND_PRUNING = 0.9
"""The shares of the training time at which a part of the training has to end."""
FEWEST_ROWS = 1000
"""The first rung trains on this many texts at least, if there are so many."""
ROUNDS_BEFORE_SECOND_PRUNING = 2


class Halving:
    """The training of a search.

    Args:
        attempts: The trials so far.
        plan: The plan of the search.
        settings: Settings of the search.
        measured: Gives the distilled candidates so far, with latencies.
    """

    def __init__(
        self,
        attempts: Attempts,
        plan: Plan,
        settings: SearchSettings,
        measured: Callable[[], Sequence[Candidate]],
    ) -> None:
        self._attempts, self._plan, self._settings = attempts, plan, settings
        self._measured = measured
        self._allowed = plan.budgets.drop_points
        self._left_out: list[Steps] = []

    def run(self, cheap: Sequence[Candidate]) -> None:
        """Trains the promising ones of the pruned models.

        Args:
            cheap: The candidates that were made without training.
        """
        if not self._settings.distill_epochs:
            return
        chosen = [*worth_training(cheap, self._plan.budgets), *self._without_file()]
        trials, clock = self._attempts.trials, self._attempts.clock

        def start() -> dict[str, float]:
            clock.shared_from = clock.spent_seconds
            return {"rows": self._rows(chosen), "spent_seconds": clock.shared_from}

        first = trials.folder.once("first_rung", start, numbers=1)
        trials.first_rows = int(first.get("rows", 0))
        clock.shared_from = first.get("spent_seconds", 0.0)
        self._first_rung(chosen)
        self._refine()
        before = min(self._settings.rounds, ROUNDS_BEFORE_SECOND_PRUNING)
        for finished in range(1, before):
            self._next_rung(finished, 1, SECOND_RUNG)
        self._prune_again()
        for finished in range(1, before):
            self._next_rung(finished, 2, SECOND_PRUNING)
        for finished in range(before, self._settings.rounds):
            self._next_rung(finished, 0, 1.0)
        self._use_rest()

    def _without_file(self) -> list[Steps]:
        """The pruned models that `--max-time` left out, the slowest first.

        They are pruned when it is their turn to be distilled.
        """
        trials = self._attempts.trials
        return [
            group[0].steps
            for group in self._plan.pruned_once()
            if all(trials.record(moves) is None for moves in group)
        ]

    def _rows(self, chosen: Sequence[Steps]) -> int:
        """The number of texts with which the first rung keeps to its share of the training time.

        It is 0, for the number of the settings, if there is time for all of them.
        """
        attempts = self._attempts
        needed = sum(attempts.trials.expected_training(trained(steps, 1)) for steps in chosen)
        left = attempts.clock.left(FIRST_RUNG)
        if needed <= max(left, 0.0):
            return 0
        every = len(attempts.trials.taught)
        rows = min(self._settings.max_rows or every, every)
        return min(max(round(rows * left / needed), FEWEST_ROWS), rows)

    def _first_rung(self, chosen: Sequence[Steps]) -> None:
        """Distills the pruned models once, those with the smallest loss first.

        While they keep the allowed drop, the next one has the time of the second rung, too: a
        faster model is worth more than another round of one that is good enough.
        """
        share = FIRST_RUNG
        for place, steps in enumerate(chosen):
            self._train(trained(steps, 1), share)
            lost = self._attempts.judged().get(trained(steps, 1))
            if self._allowed is None or lost is None:
                continue
            share = SECOND_RUNG if lost <= self._allowed else FIRST_RUNG
            rest = ", ".join(map(goals, chosen[place + 1 :]))
            if rest and lost > self._allowed + HOPELESS_POINTS:
                self._attempts.note(
                    f"{rest} were not distilled: {goals(steps)}, which had lost less, "
                    f"still lost {lost:.1f} points."
                )
                return

    def _refine(self) -> None:
        """Tries further speedups between the largest that meets the allowed drop and the next.

        If further rounds follow, a model meets it whose loss they may still bring within the drop.
        The hidden size is that of the best model with the largest speedup below.
        """
        allowed = self._allowed
        if allowed is not None and self._settings.rounds > 1:
            allowed = within_reach(allowed, 1)
        for _ in range(self._settings.refine):
            judged = self._attempts.judged()
            best: dict[float, Steps] = {}
            for steps in sorted(judged, key=lambda steps: judged[steps]):
                best.setdefault(total_speedup(steps), steps)
            lost = {speedup: judged[steps] for speedup, steps in best.items()}
            between = None if allowed is None else speedup_between(lost, allowed)
            if between is None:
                return
            slower = best[max(speedup for speedup in best if speedup < between)]
            hidden_size = slower[-1].hidden_size if slower else 0
            self._train((Step(between, 1, hidden_size),), FIRST_RUNG)

    def _next_rung(self, finished: int, depth: int, share: float) -> None:
        """Gives half of the models with that many finished rounds another round.

        Args:
            finished: Rounds after the last pruning step.
            depth: Only models with that many pruning steps; 0 takes all.
            share: The share of the time budget in which the rung has to end. Its models have equal
                parts of the time.
        """
        lost = {
            steps: points
            for steps, points in self._attempts.judged().items()
            if steps and steps[-1].rounds == finished and depth in (0, len(steps))
        }
        chosen = promoted(lost, self._allowed, finished)
        for place, steps in enumerate(chosen):
            part = self._attempts.clock.part(share, len(chosen) - place)
            self._train(trained(steps, finished + 1), part)

    def _prune_again(self) -> None:
        """Prunes the best distilled model a second time and distills the results."""
        if not self._plan.second_speedups:
            return
        parent = worth_pruning_again(self._measured(), self._plan.budgets)
        if parent is None:
            return
        aimed = second_speedup(parent, self._plan.budgets)
        for speedup in self._plan.second_speedups if aimed is None else (aimed,):
            self._train((*parent.moves.steps, Step(speedup, 1)), SECOND_PRUNING)

    def _use_rest(self) -> None:
        """Trains what had no room in its share, if the rest of the time has room.

        Another round of a promising model comes before the first one of a faster model.
        """
        for steps in sorted(self._left_out, key=lambda steps: steps[-1].rounds == 1):
            if not self._train(steps, 1.0):
                text = self._plan.of_model(steps)[0].text
                self._attempts.note(f"{text} was left out: it would end after --max-time.")

    def _train(self, steps: Steps, share: float) -> bool:
        """Distills a model if that ends in a share of the time; returns whether it does."""
        group = self._attempts.worth_exporting(steps, self._plan)
        has_time = self._attempts.fits(group, share)
        if has_time:
            stage = f"distilled trials of {goals(steps)}, round {steps[-1].rounds}"
            self._attempts.run(stage, group)
        elif steps not in self._left_out:
            self._left_out.append(steps)
        return has_time
