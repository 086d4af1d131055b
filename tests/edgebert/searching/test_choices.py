"""The choices of a search, by properties and on made-up files. No model is made."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.errors import UsageError
from edgebert.evaluation.paired_loss import PairedLoss
from edgebert.searching.attempts import Attempts
from edgebert.searching.choosing import (
    aimed_speedup,
    second_speedup,
    speedup_between,
    worth_pruning_again,
    worth_training,
)
from edgebert.searching.clock import Clock
from edgebert.searching.finishing import smaller_files
from edgebert.searching.front import (
    Budgets,
    Point,
    best,
    closest,
    dominates,
    pareto_front,
    read_budgets,
    read_max_time,
)
from edgebert.searching.halving import FIRST_RUNG, SECOND_RUNG, Halving
from edgebert.searching.judging import Standing, judged_points
from edgebert.searching.moves import BASELINE, Moves, Plan, Step, read_plan, total_speedup
from edgebert.searching.records import SearchFolder
from edgebert.searching.result import Candidate, front_of
from edgebert.searching.rounds import forms_of_round, promoted, settings_of_round
from edgebert.searching.sentences import describe_closest, rows_needed
from edgebert.settings import SearchSettings
from edgebert.system.progress import silent

ROWS = st.integers(0, 4).map(float)
POINTS = st.lists(st.builds(Point, ROWS, ROWS, ROWS), max_size=30)


@given(POINTS)
def test_no_point_dominates_the_front(points: list[Point]) -> None:
    front = pareto_front(points)
    for place, point in enumerate(points):
        dominated = any(dominates(other, point) for other in points)
        assert dominated == (place not in front)
    assert bool(front) == bool(points)


@given(POINTS)
def test_other_points_are_dominated_by_the_front(points: list[Point]) -> None:
    front = pareto_front(points)
    for place in set(range(len(points))) - set(front):
        assert any(dominates(points[member], points[place]) for member in front)


@dataclass(frozen=True)
class One:
    size_bytes: int
    latency_ms: float
    points_lost: float
    latency_ratio: float

    @property
    def budget_points(self) -> float:
        return self.points_lost


@given(
    st.lists(st.builds(One, st.integers(1, 9), ROWS, ROWS, ROWS), min_size=1),
    st.builds(
        Budgets,
        st.none() | st.integers(1, 9),
        st.none() | st.floats(0.5, 4),
        st.none(),
        st.none() | st.floats(0, 4),
    ),
)
def test_a_winner_meets_every_budget(ones: list[One], budgets: Budgets) -> None:
    place = best(ones, budgets)
    if place is None:
        assert all(budgets.over(one) for one in ones)
        nearest = budgets.distance(ones[closest(ones, budgets)])
        assert 0 < nearest <= min(map(budgets.distance, ones))
        return
    winner = ones[place]
    assert not budgets.over(winner)
    if budgets.drop_points is None:
        fitting = [one for one in ones if not budgets.over(one)]
        assert winner.points_lost == min(one.points_lost for one in fitting)


def test_of_equally_fast_files_the_one_that_loses_least_wins() -> None:
    """Latencies of 0.174 and 0.178 are one step, 0.26 is another."""
    ones = [One(8, 0.3, lost, ratio) for lost, ratio in ((0.9, 0.174), (0.2, 0.178), (0.0, 0.26))]
    assert best(ones, Budgets(size_bytes=9, drop_points=1.0)) == 1
    assert best(ones, Budgets(size_bytes=9, drop_points=0.1)) == 2


def test_budgets_are_parsed() -> None:
    assert read_budgets("8MB", "0.22x", 1.0) == (Budgets(8_000_000, None, 0.22, 1.0), [])
    assert read_budgets("900k", "3.5 ms", 100.0) == (Budgets(900_000, 3.5, None, None), [])
    assert read_budgets("", "2", 100.0) == (Budgets(None, 2.0, None, None), [])
    assert len(read_budgets("big", "fast", 101.0)[1]) == 3


def test_time_budgets_are_parsed() -> None:
    problems: list[str] = []
    written = ("90s", "45m", "2h", "1h 30m", "0.5m", "")
    assert [read_max_time(one, problems) for one in written] == [
        90, 2700, 7200, 5400, 30, math.inf
    ]  # fmt: skip
    assert not problems
    for wrong in ("2", "0s", "h", "2h 3"):
        read_max_time(wrong, problems)
    assert len(problems) == 4


def test_a_plan_has_the_baseline_first_and_each_trial_once() -> None:
    moves = read_plan(SearchSettings()).cheap()
    assert moves[0] == BASELINE
    assert len(set(moves)) == len(moves) == 24
    only = read_plan(SearchSettings(vocabulary="trimmed", embeddings="int4", speedups="2"))
    assert [one.text for one in only.cheap()] == [
        "int8 rows",
        "vocabulary trimmed, int4 rows",
        "pruned 2x, vocabulary trimmed, int4 rows",
    ]


def test_all_invalid_settings_are_listed() -> None:
    settings = SearchSettings(
        max_size="x", max_latency="y", speedups="2,z,0.5", embeddings="int2", distill_epochs=-1
    )
    with pytest.raises(UsageError) as caught:
        read_plan(settings)
    for name in ("max_size", "max_latency", "'z'", "above 1", "int2", "distill_epochs"):
        assert name in str(caught.value)


def candidate(speedup: float, ratio: float, lost: float, size: int, **moves: Any) -> Candidate:
    """A file that was never made."""
    rounds = moves.pop("rounds", 0)
    done = Moves((Step(speedup, rounds),) if speedup > 1 else (), **moves)
    return Candidate(
        done.text, done, Path("x"), {}, lost, size, size, 2 * ratio, ratio, (), 100, 0.0
    )


CHEAP = [
    candidate(1, 1.0, 0.0, 20),
    candidate(2, 0.5, 0.5, 16),
    candidate(3, 0.36, 3.0, 14),
    candidate(4, 0.27, 15.0, 12),
    candidate(4, 0.40, 15.0, 13, embedding="int4"),
]


def test_models_that_exceed_only_the_drop_are_trained() -> None:
    def chosen(**limits: Any) -> list[float]:
        return [total_speedup(steps) for steps in worth_training(CHEAP, Budgets(**limits))]

    assert chosen() == [2, 3, 4]
    assert chosen(drop_points=1.0) == [3, 4]
    assert chosen(drop_points=1.0, latency_ratio=0.3) == [4]
    assert chosen(size_bytes=8) == []


def test_a_size_budget_holds_for_the_smallest_file_of_a_model() -> None:
    """That of a pruned model need not be made: the float model's shows what it saves."""
    cheap = [*CHEAP[:4], candidate(1, 1.0, 0.2, 14, embedding="int4")]
    assert worth_training(cheap, Budgets(size_bytes=8, drop_points=1.0)) == [
        (Step(3),),
        (Step(4),),
    ]
    assert worth_training(cheap, Budgets(size_bytes=5, drop_points=1.0)) == []


class MadeUpFiles:
    """Sizes of finished files; other files have no record."""

    def __init__(self, sizes: dict[Moves, int]) -> None:
        self._sizes = sizes

    def record(self, moves: Moves) -> dict[str, Any] | None:
        size = self._sizes.get(moves)
        if size is None:
            return None
        tokens = 60 if moves.trimmed else 100
        return {"size_bytes": size, "vocabulary": tokens, "refused": "no" if size < 0 else ""}


def test_a_size_budget_chooses_the_files_of_a_distilled_model() -> None:
    plan = read_plan(SearchSettings(max_size="8", speedups="2,3"))
    steps = (Step(2, 1),)
    every = plan.of_model(steps)
    float_files = dict(zip(plan.of_model(()), (20, 14, 13, 9), strict=True))

    def exported(budget: str, files: dict[Moves, int]) -> list[Moves]:
        trials: Any = MadeUpFiles(files)
        trials.clock = None
        attempts = Attempts(trials, lambda _: None)
        return attempts.worth_exporting(steps, read_plan(SearchSettings(max_size=budget)))

    files = {**float_files, Moves((Step(2),)): 16}  # the estimates: 16, 10, 9, 5
    # 40 tokens take 5 bytes.
    assert exported("9", files) == [replace(every[3], keep_tokens=91), *every[2:]]
    assert exported("4", files) == [replace(every[3], keep_tokens=51), *every[3:]]
    assert exported("20", files) == exported("", files) == every
    assert exported("9", float_files) == exported("9", {**files, BASELINE: -1}) == every


def test_pruned_models_that_were_left_out_wait_for_their_turn() -> None:
    settings = SearchSettings(speedups="2,3,4", hidden_sizes="64")
    plan = read_plan(settings)
    attempts: Any = MadeUpAttempts({})
    first, second = plan.of_model((Step(2),)), plan.of_model((Step(2, hidden_size=64),))
    attempts.trials = MadeUpFiles({first[0]: 5, second[1]: -1})
    halving = Halving(attempts, plan, settings, lambda: ())
    assert halving._without_file() == [
        (Step(speedup, hidden_size=size),) for speedup in (3, 4) for size in (0, 64)
    ]


def test_shares_of_the_budget_count_from_the_start_of_training(tmp_path: Path) -> None:
    clock = Clock(SearchFolder(tmp_path / "out", {}, False), 1000.0, silent)
    clock.reserved_seconds = 200.0
    assert clock.left(0.5) == pytest.approx(400, abs=1)
    clock.shared_from = 300.0
    assert clock.left(0.5) == pytest.approx(300 + 250, abs=1)
    assert clock.left(clock.part(0.5, 2)) == pytest.approx(550 / 2, abs=1)
    assert clock.part(-1.0, 2) == -1.0
    assert clock.left() == pytest.approx(800, abs=1)


def test_the_fastest_model_within_the_drop_is_pruned_again() -> None:
    trained = [
        CHEAP[0],
        candidate(2, 0.5, 0.2, 16, rounds=2),
        candidate(3, 0.36, 0.9, 14, rounds=2),
        candidate(4, 0.27, 3.0, 12, rounds=1),
    ]

    def parent(**limits: Any) -> float | None:
        found = worth_pruning_again(trained, Budgets(**limits))
        return None if found is None else found.moves.speedup

    assert parent(drop_points=1.0) == 3
    assert parent(drop_points=4.0) == 4
    assert parent(drop_points=0.1) == 2
    assert parent() == 3
    assert parent(drop_points=1.0, size_bytes=14) is None
    assert parent(drop_points=1.0, size_bytes=14, latency_ratio=0.3) == 3
    assert worth_pruning_again(CHEAP, Budgets()) is None
    assert second_speedup(trained[2], Budgets(latency_ratio=0.18)) == round(2 / 0.97, 2)
    assert second_speedup(trained[2], Budgets(latency_ratio=0.4)) is None


def test_a_speedup_for_the_latency_budget_is_interpolated() -> None:
    aimed = aimed_speedup(CHEAP[:4], Budgets(latency_ratio=0.32))
    assert aimed is not None
    assert 3 < aimed < 4
    assert aimed == aimed_speedup(CHEAP[:4], Budgets(latency_ms=0.64))
    for ratio in (0.29, 0.1, 2.0):
        assert aimed_speedup(CHEAP[:4], Budgets(latency_ratio=ratio)) is None
    assert aimed_speedup(CHEAP[:4], Budgets(drop_points=1.0)) is None


def test_a_speedup_between_two_others() -> None:
    assert speedup_between({1: 0.0, 2: 0.5, 4: 3.0, 8: 0.9}, 1.0) is None
    assert speedup_between({1: 0.0, 2: 0.5, 8: 3.0}, 1.0) == 4
    assert speedup_between({2: 0.5, 2.1: 3.0}, 1.0) is None
    assert speedup_between({2: 0.5}, 0.1) is None


def test_half_of_the_models_go_on_to_the_next_round() -> None:
    lost = {
        (Step(speedup, 1),): points
        for speedup, points in ((2.0, 0.2), (3.0, 0.9), (4.5, 1.6), (6.0, 3.4), (9.0, 9.0))
    }

    def chosen(allowed: float | None, round_: int) -> list[float]:
        return [total_speedup(steps) for steps in promoted(lost, allowed, round_)]

    assert chosen(1.0, 1) == [6.0, 4.5, 3.0]
    assert chosen(1.0, 2) == [4.5, 3.0, 2.0]
    assert chosen(-5.0, 1) == [2.0]
    assert chosen(None, 1) == [2.0, 3.0, 4.5]
    assert promoted({}, 1.0, 1) == []


class MadeUpAttempts:
    """Losses of models after one round, and the shares of time they were given, by speedup."""

    def __init__(self, lost: dict[float, float], least_share: float = 0.0) -> None:
        self._lost, self._judged, self.shares = lost, dict[Any, float](), dict[float, float]()
        self._least_share, self.most_models, self.notes = least_share, 9, list[str]()

    def fits(self, group: list[Moves], share: float) -> bool:
        self.shares[group[0].speedup] = share
        return share >= self._least_share and len(self._judged) < self.most_models

    def note(self, text: str) -> None:
        self.notes.append(text)

    def run(self, stage: str, group: list[Moves]) -> None:
        self._judged[group[0].steps] = self._lost[group[0].speedup]

    def worth_exporting(self, steps: Any, plan: Plan) -> list[Moves]:
        return plan.of_model(steps)

    def judged(self) -> dict[Any, float]:
        return self._judged


def test_a_faster_model_has_more_time_while_slower_ones_keep_the_drop() -> None:
    settings = SearchSettings(max_drop=1.0)
    attempts: Any = MadeUpAttempts({3.0: -0.5, 4.5: 0.8, 6.0: 2.0, 9.0: 4.0})
    halving = Halving(attempts, read_plan(settings), settings, lambda: ())
    halving._first_rung([(Step(speedup),) for speedup in (3.0, 4.5, 6.0, 9.0)])
    assert attempts.shares == {3.0: FIRST_RUNG, 4.5: SECOND_RUNG, 6.0: SECOND_RUNG, 9.0: FIRST_RUNG}


def test_the_rest_of_the_time_goes_to_what_had_no_room_in_its_share() -> None:
    """A second round comes before a first one; what has no room is said."""
    settings = SearchSettings(max_drop=1.0)
    attempts: Any = MadeUpAttempts({4.5: 0.2, 6.0: 0.5, 9.0: 3.0}, least_share=0.8)
    halving = Halving(attempts, read_plan(settings), settings, lambda: ())
    for speedup, rounds in ((9.0, 1), (6.0, 2), (4.5, 2), (6.0, 2)):
        assert not halving._train((Step(speedup, rounds),), SECOND_RUNG)
    attempts.most_models = 2
    halving._use_rest()
    assert [steps[0].speedup for steps in attempts.judged()] == [6.0, 4.5]
    assert attempts.notes == [
        "pruned 9x, distilled, int8 rows was left out: it would end after --max-time."
    ]


def test_agreement_decides_within_the_noise() -> None:
    judged = judged_points(
        {
            "a": Standing(1.0, 0.4, 2.0),
            "b": Standing(1.2, 0.4, 1.0),
            "c": Standing(3.0, 0.4, 6.0),
        }
    )
    assert judged["b"] == pytest.approx(0.8)
    assert judged["b"] < judged["a"] < judged["c"]
    assert judged["c"] == pytest.approx(3.4)
    assert judged_points({"a": Standing(1.0, 0.4)}) == {"a": 1.0}


def test_a_later_round_learns_slower_from_more_copies() -> None:
    steps = [(Step(3.0, number),) for number in (1, 2, 3, 4)]
    rounds = [settings_of_round(SearchSettings(), one, True) for one in steps]
    assert [one.augment for one in rounds] == [0, 2, 4, 4]
    assert [one.learning_rate for one in rounds] == [4e-4, 3e-4, 2e-4, 2e-4]
    assert len({one.seed for one in rounds}) == 4
    again = settings_of_round(SearchSettings(), (Step(3.0, 2), Step(1.5, 1)), True)
    assert (again.augment, again.learning_rate, again.seed) == (2, 4e-4, rounds[2].seed)
    labelled = settings_of_round(SearchSettings(), steps[2], False)
    assert labelled.augment == 0
    assert labelled.hard_weight > 0


def test_a_round_is_shortened_to_less_than_half_at_most() -> None:
    """The work of a form here: the texts of all epochs."""
    whole = settings_of_round(SearchSettings(), (Step(3.0, 2),), True)
    forms = forms_of_round(whole, lambda form: form.epochs * (1 + form.augment))
    assert [(form.epochs, form.augment) for form in forms] == [(3, 2), (3, 1), (2, 2), (2, 1)]
    assert {replace(form, epochs=3, augment=2) for form in forms} == {whole}
    labelled = settings_of_round(SearchSettings(), (Step(3.0, 2),), False)
    assert [form.epochs for form in forms_of_round(labelled, lambda form: form.epochs)] == [3, 2]


def test_a_bound_above_the_allowed_drop_asks_for_more_examples() -> None:
    loss = PairedLoss(400, 0.4, 0.9, 40)
    one = replace(CHEAP[1], confirmed=loss, bound_points=1.6)
    assert rows_needed(one, 1.0) == 1600
    assert rows_needed(one, 0.3) is None
    assert rows_needed(one, 2.0) is None
    assert rows_needed(CHEAP[1], 1.0) is None
    said = describe_closest([one], Budgets(drop_points=1.0))
    assert "0.40 points lost on 400 confirming examples, upper bound 1.60, against 1.00" in said
    assert "about 3,200 dev examples" in said


def test_the_closest_candidate_is_described_with_every_miss() -> None:
    said = describe_closest(front_of(CHEAP), Budgets(size_bytes=11, drop_points=1.0))
    assert "pruned 2x" in said
    assert "0.000 MB against" in said
    said = describe_closest(CHEAP, Budgets(latency_ms=0.5, drop_points=14.0))
    assert "pruned 4x" in said
    assert "0.540 ms against 0.500 ms; 15.00 points lost against 14.00" in said


def test_the_number_of_tokens_meets_the_size_budget() -> None:
    def files(budget: str, **settings: Any) -> list[tuple[int, str]]:
        whole = replace(candidate(3, 0.3, 0.5, 14_000), vocabulary=10_000)
        fewer = replace(candidate(3, 0.3, 0.9, 8_000, trimmed=True), vocabulary=4_000)
        plan = read_plan(SearchSettings(max_drop=1.0, max_size=budget, **settings))
        return [(moves.keep_tokens, moves.recipe) for moves in smaller_files([whole, fewer], plan)]

    assert files("12kB") == [(7880, "dynamic-int8")]
    assert files("6kB") == [(1940, "dynamic-int8"), (0, "int4"), (1940, "int4")]
    assert files("20kB") == []
    assert files("", token_shares="0.5,0.25", recipes="dynamic-int8") == [(2500, "dynamic-int8")]
    assert files("", vocabulary="whole") == [(0, "int4")]
