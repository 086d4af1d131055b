"""Searches of tiny models, and what a kill leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edgebert import pipeline
from edgebert.cli import cli
from edgebert.errors import DataError, QualityGateError, UsageError
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import open_model
from edgebert.pipeline.config_file import read_config
from edgebert.pipeline.repeating import Origin, write_repeats
from edgebert.searching import search
from edgebert.searching.choosing import worth_training
from edgebert.searching.moves import BASELINE, Step
from edgebert.searching.result import SearchStopped
from edgebert.searching.sentences import describe_winner
from edgebert.training.stage_run import StageRun
from tests.edgebert.searching.tiny_searches import SMALL, Splits, steady
from tests.edgebert.separable import separable


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
    on_all = np.average(
        [winner.points_lost, winner.confirmed.points], weights=[len(data[1]) - 20, 20]
    )
    bound = winner.confirmed.bound(settings.confidence)
    assert winner.budget_points == pytest.approx(max(on_all, bound)) and winner.budget_points <= 60
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


def test_a_size_budget_tries_the_files_of_the_float_model_before_any_pruning(
    trained: Path, data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady(monkeypatch)
    settings = replace(
        SMALL, embeddings="int8,int4", distill_epochs=0, max_time="1h", max_size="1MB"
    )
    result = search(open_model(trained), *data, settings, StageRun(tmp_path))
    tried = [bool(one.moves.steps) for one in result.candidates]
    assert tried == [False] * 4 + [True] * 4


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
