"""A search on tiny models, its front by properties, and what a kill leaves."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from converters.checkpoint import BertConfig
from converters.vocabulary import Vocabulary
from edgebert import pipeline
from edgebert.cli import cli
from edgebert.data.datasets import Dataset, read_dataset
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import DataError, QualityGateError, UsageError
from edgebert.evaluation.paired_loss import PairedLoss
from edgebert.finetuning import finetune
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pipeline.config_file import read_config
from edgebert.pipeline.repeating import Origin, write_repeats
from edgebert.pruning.latency_table import LatencyTable
from edgebert.searching import search, timing, trials
from edgebert.searching.choosing import (
    aimed_speedup,
    second_speedup,
    speedup_between,
    worth_pruning_again,
    worth_training,
)
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
from edgebert.searching.judging import Standing, judged_points
from edgebert.searching.moves import BASELINE, Moves, Step, read_plan, total_speedup
from edgebert.searching.result import Candidate, SearchStopped, front_of
from edgebert.searching.rounds import promoted, settings_of_round
from edgebert.searching.sentences import describe_closest, describe_winner, rows_needed
from edgebert.settings import FinetuneSettings, SearchSettings
from edgebert.system.native_noise import load_keras
from edgebert.tasks import task_named
from edgebert.training.stage_run import StageRun
from tests.conftest import random_checkpoint
from tests.edgebert.separable import separable

SMALL = SearchSettings(
    speedups="1.3",
    embeddings="int4",
    distill_epochs=1,
    rounds=1,
    tokens=16,
    latency_texts=4,
    max_rows=32,
    max_drop=-50.0,
    second_speedups="",
    token_shares="",
    recipes="dynamic-int8",
)
"""No model gains 50 points, so the pruned ones are trained too."""
TABLE = LatencyTable(
    device="made up",
    recipe="int8",
    tokens=16,
    base_ms=1.0,
    empty_layer_ms=0.1,
    attention=((0, 0.0), (2, 1.0)),
    feed_forward=((0, 0.0), (48, 2.0)),
    last_attention=((0, 0.0), (2, 0.5)),
    last_feed_forward=((0, 0.0), (48, 0.2)),
)
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


@pytest.fixture(scope="module", autouse=True)
def without_tracing() -> Iterator[None]:
    """Functions of TensorFlow run eagerly: tracing takes most of the time of a tiny model."""
    load_keras()
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def trained(tiny_vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that has learnt the made-up texts, as a folder."""
    config = BertConfig(
        vocab_size=tiny_vocabulary.size,
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        intermediate_size=48,
        max_positions=40,
    )
    encoder = TaskModel(
        random_checkpoint(config), Tokenizer(tiny_vocabulary), 40, task_named("encoder")
    )
    out = tmp_path_factory.mktemp("search") / "trained"
    settings = FinetuneSettings(epochs=2, learning_rate=3e-3, max_length=24, dropout=0.0)
    finetune(encoder, separable(160, 1), separable(40, 2), settings, StageRun(out))
    return out


Splits = tuple[Dataset, Dataset]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The train, dev and test files."""
    folder = tmp_path_factory.mktemp("data")
    found = {}
    for part, rows, seed in (("train", 160, 1), ("dev", 40, 2), ("test", 30, 4)):
        lines = [f"{one.text}\t{one.label}" for one in separable(rows, seed).examples]
        found[part] = folder / f"{part}.tsv"
        found[part].write_text("\n".join(["text\tlabel", *lines]) + "\n")
    return found


@pytest.fixture(scope="module")
def data(files: dict[str, Path]) -> Splits:
    """The training rows and the dev rows."""
    return read_dataset(files["train"]), read_dataset(files["dev"])


def steady(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Latencies that are the same in every run, and the stages that asked for them."""
    asked: list[str] = []

    def measure(
        baseline: str,
        files: Mapping[str, Path],
        texts: Sequence[str],
        round_: timing.Round,
        progress: Any,
    ) -> timing.Latencies:
        asked.append(round_.name)
        base = files[baseline].stat().st_size
        ratios = {key: path.stat().st_size / base for key, path in files.items()}
        return {key: {"ratio": ratio, "ms": ratio} for key, ratio in ratios.items()}

    monkeypatch.setattr(timing, "measure", measure)
    monkeypatch.setattr(trials, "measure_latency_table", lambda *given, **named: TABLE)
    return asked


class KilledError(Exception):
    pass


def killer(kept: int, error: type[BaseException]) -> Any:
    """Raises an error when so many trials are on disk."""
    seen = 0

    def progress(stage: str, done: int, total: int, **facts: Any) -> None:
        nonlocal seen
        if "trials" in stage:
            seen += 1
            if seen == kept:
                raise error

    return progress


def found(result: Any) -> list[tuple[Any, ...]]:
    return [(c.key, c.metrics, c.size_bytes, c.latency_ratio) for c in result.front]


@pytest.fixture(scope="module")
def whole(trained: Path, data: Splits, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A search that nothing stopped, with steady latencies."""
    with pytest.MonkeyPatch.context() as patch:
        steady(patch)
        out = tmp_path_factory.mktemp("search") / "whole"
        return search(open_model(trained), *data, SMALL, StageRun(out))


def test_a_search_runs_cheap_and_distilled_trials(whole: Any) -> None:
    assert len(whole.candidates) == 7
    assert sum(one.moves.distilled for one in whole.candidates) == 2
    assert whole.baseline.moves == BASELINE
    assert all(one.path.is_file() for one in whole.candidates)
    assert whole.winner is None
    assert "points lost on 20 confirming examples, upper bound" in whole.missed
    assert "against -50.00" in whole.missed
    assert all(one.confirmed.rows == 20 for one in whole.front)
    with pytest.raises(QualityGateError, match="Closest"):
        whole.require_winner()
    written = json.loads((whole.out / "front.json").read_text())
    assert [one["key"] for one in written["front"]] == [one.key for one in whole.front]


def test_a_distilled_file_is_made_again_to_the_byte(
    trained: Path, files: dict[str, Path], whole: Any, tmp_path: Path
) -> None:
    """Pruned, distilled and trimmed; without a test file the confirming rows are the test split."""
    one = next(each for each in whole.candidates if each.moves.distilled and each.moves.trimmed)
    chosen = replace(whole, front=(one,), winner=one)
    origin = Origin(trained, files["train"], files["dev"])
    repeats = write_repeats(chosen, open_model(trained), SMALL, origin)
    assert repeats.winner == whole.out / "winner.toml"
    config = read_config(repeats.winner, tmp_path / "again")
    assert [step.kind for step in config.steps] == ["structure", "distill", "vocabulary"]
    report = pipeline.run(config)
    made = tmp_path / "again" / "4-exported" / "winner.tflite"
    assert made.read_bytes() == one.path.read_bytes()
    assert report.rows[-1].as_expected
    assert report.rows[-1].scores[0].rows == 20
    assert any("has the expected bytes" in note for note in report.notes)
    assert read_config(repeats.front[one.key]).steps == config.steps
    other = replace(origin, train=Path("-"))
    repeats = write_repeats(chosen, open_model(trained), SMALL, other)
    assert repeats.winner is None
    assert "standard input" in repeats.notes[0]
    assert not (whole.out / "winner.toml").exists()


@pytest.mark.parametrize(("kept", "error"), [(3, KilledError), (6, KeyboardInterrupt)])
def test_a_killed_search_resumes_to_the_same_front(
    trained: Path,
    data: Splits,
    whole: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kept: int,
    error: type[BaseException],
) -> None:
    steady(monkeypatch)
    with pytest.raises(error) as caught:
        search(open_model(trained), *data, SMALL, StageRun(tmp_path, progress=killer(kept, error)))
    if isinstance(caught.value, SearchStopped):
        assert len(caught.value.result.candidates) == kept
        assert all(one.confirmed is not None for one in caught.value.result.front)
        assert not json.loads((tmp_path / "front.json").read_text())["finished"]
    finished = {path: path.read_bytes() for path in (tmp_path / "trials").iterdir()}
    assert len(finished) == kept
    with pytest.raises(UsageError, match="--resume"):
        search(open_model(trained), *data, SMALL, StageRun(tmp_path))
    resumed = search(open_model(trained), *data, SMALL, StageRun(tmp_path, resume=True))
    assert found(resumed) == found(whole)
    assert all(path.read_bytes() == content for path, content in finished.items())


def test_another_budget_repeats_no_trial(
    trained: Path, data: Splits, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = steady(monkeypatch)
    before = {path: path.stat().st_mtime_ns for path in (whole.out / "trials").iterdir()}
    settings = replace(SMALL, max_size="1GB", max_drop=-40.0)
    search(open_model(trained), *data, settings, StageRun(whole.out, resume=True))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert asked == []
    with pytest.raises(UsageError, match="dev"):
        search(
            open_model(trained), data[0], separable(40, 3), SMALL, StageRun(whole.out, resume=True)
        )


def test_a_winner_is_tested_once_and_exported(trained: Path, data: Splits, tmp_path: Path) -> None:
    """Real latencies; nothing is trained."""
    settings = replace(
        SMALL,
        distill_epochs=0,
        max_drop=60.0,
        vocabulary="trimmed",
        speedups="",
        token_shares="0.9",
        recipes="dynamic-int8,int4",
    )
    test = separable(30, 4)
    result = search(open_model(trained), *data, settings, StageRun(tmp_path), test=test)
    winner = result.require_winner()
    assert result.winner_path is not None
    assert result.winner_path.read_bytes() == winner.path.read_bytes()
    assert LiteRtModel.open(result.winner_path).classify("a great movie")[0] in ("positive",)
    assert open_model(tmp_path / "winner").tokenizer.vocabulary.size == winner.vocabulary
    assert result.test is not None
    assert set(result.test) == {"data", "float", "baseline", "winner", "loss"}
    assert result.test["loss"]["rows"] == 30
    assert winner.confirmed is not None
    assert winner.confirmed.rows == 20
    assert winner.confirmed.points <= winner.budget_points <= 60
    said = describe_winner(result)
    assert "on 30 test texts (95 % interval: " in said
    assert said.startswith(f"{winner.size_bytes / 1e6:.1f} MB instead of ")
    assert result.baseline.latency_ratio == 1.0
    assert any(one.moves.recipe == "int4" for one in result.candidates)
    assert any(one.moves.keep_tokens for one in result.candidates)
    assert worth_training(result.candidates, result.budgets) == []


def test_a_second_round_starts_from_the_first(
    trained: Path, data: Splits, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady(monkeypatch)
    again = StageRun(whole.out, resume=True)
    settings = replace(SMALL, rounds=2, vocabulary="whole", second_speedups="1.1")
    result = search(open_model(trained), *data, settings, again)
    assert [one.moves.steps for one in result.candidates[-4:]] == [
        (Step(1.3, 1),),
        (Step(1.3, 2),),
        (Step(1.3, 2), Step(1.1, 1)),
        (Step(1.3, 2), Step(1.1, 2)),
    ]
    recipes = [
        json.loads((whole.out / "trials" / f"{one.key}.json").read_text())["recipe"]
        for one in result.candidates[-4:]
    ]
    assert all(longer[:-1] == shorter for shorter, longer in pairwise(recipes))
    assert (
        "pruned 1.3x, distilled in 2 rounds, pruned 1.1x, distilled,"
        in result.candidates[-2].moves.text
    )
    short = replace(SMALL, rounds=3, max_time="0.1s")
    result = search(open_model(trained), *data, short, again)
    assert any("it would end after --max-time" in note for note in result.notes)


def test_too_little_dev_data_to_confirm_is_an_error(trained: Path, tmp_path: Path) -> None:
    data = separable(160, 1), separable(30, 2)
    with pytest.raises(DataError, match="--confirm-fraction 0"):
        search(open_model(trained), *data, SMALL, StageRun(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_notes_name_the_trials_left_out(
    trained: Path, data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady(monkeypatch)
    settings = replace(
        SMALL,
        vocabulary="whole",
        embeddings="int8,int4",
        speedups="500",
        distill_epochs=0,
        max_candidates=3,
    )
    result = search(open_model(trained), *data, settings, StageRun(tmp_path))
    assert [one.moves.text for one in result.candidates] == ["int8 rows", "int4 rows"]
    assert "--max-candidates" in result.notes[0]
    assert "500 times faster" in result.notes[1]
    settings = replace(settings, max_time="1s", embeddings="int8", vocabulary="both")
    result = search(open_model(trained), *data, settings, StageRun(tmp_path, resume=True))
    assert len(result.candidates) == 1
    assert any("--max-time" in note for note in result.notes)


def flags(files: dict[str, Path]) -> list[object]:
    return [each for part, path in files.items() for each in (f"--{part}", path)]


def call(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(cli, [str(a) for a in arguments])


def test_the_command_shows_the_front(trained: Path, files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "found"
    quick = ("--speedups", "", "--latency-texts", 4, "--vocabulary", "whole")
    command = ("search", trained, "-o", out, *flags(files), *quick)
    result = call(*command, "--max-drop", 60)
    assert result.exit_code == 0, result.output
    assert "points lost" in result.stdout
    assert "* " in result.stdout
    assert str(out / "winner.tflite") in result.stdout
    assert "test accuracy (30 rows)" in result.stdout
    assert f"edgebert run {out / 'winner.toml'}" in result.stdout.replace("\n", "")
    again = json.loads(call("run", out / "winner.toml", "--json").stdout)
    assert again["rows"][-1]["as_expected"]
    assert (out / "front.png").read_bytes().startswith(b"\x89PNG")
    result = call(*command, "--max-size", "1kB", "--resume", "--json")
    assert result.exit_code == 3
    assert "MB against 0.001 MB" in result.stderr
    content = json.loads(result.stdout)
    assert content["winner"] is None
    assert content["front"]
    assert not (out / "winner.tflite").exists()
    assert content["repeat"] is None
    assert not (out / "winner.toml").exists()


def test_the_command_refuses_bad_flags(
    trained: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    bad = ("--max-size", "huge", "--max-latency", "quick", "--speedups", "0.5")
    result = call("search", trained, "-o", tmp_path / "o", *flags(files), *bad)
    assert result.exit_code == 2
    for name in ("max_size", "max_latency", "speedups"):
        assert name in result.stderr
    assert not (tmp_path / "o").exists()
