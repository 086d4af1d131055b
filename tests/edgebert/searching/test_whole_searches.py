"""Whole searches whose trials are made up: no model is trained, and no file is measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgebert.evaluation.paired_loss import GroupedMetric
from edgebert.models.task_model import TaskModel
from edgebert.searching import search, timing, trials
from edgebert.searching.judging import Judge
from edgebert.searching.result import SearchResult, SearchStopped
from edgebert.settings import ExportSettings, SearchSettings
from edgebert.training.stage_run import StageRun
from tests.edgebert.separable import separable
from tests.torture.stages import base

SETTINGS = SearchSettings(confirm_fraction=0, max_drop=-0.5, latency_texts=2)


def _number(name: str) -> float:
    """A number from 0 to 1 that depends on a name alone."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32


def _export(model: TaskModel, path: Path, settings: ExportSettings, **_: Any) -> Any:
    size = round((500 if settings.recipe == "int4" else 1000) * (1 + _number(path.name)))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * size)
    path.with_name(path.name + ".json").write_text("{}")
    return SimpleNamespace(size_bytes=size, gzip_bytes=size)


def _score(judge: Judge, file: Path, agreement: bool) -> dict[str, Any]:
    lost = 0.03 * _number(file.name)
    return {"dev": {"accuracy": 0.9 - lost}, "error_points": 0.5, "disagreement": 100 * lost}


def _measure(baseline: str, files: dict[str, Path], *_: Any) -> timing.Latencies:
    return {
        key: {"ratio": 1.0, "ms": 1.0}
        if key == baseline
        else {"ratio": 0.2 + _number(key), "ms": 0.2 + _number(key)}
        for key in files
    }


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    floats = GroupedMetric(20, 0.9, (0.9,) * 20, {"accuracy": 0.9})
    monkeypatch.setattr(Judge, "float_metric", floats)
    monkeypatch.setattr(Judge, "score", _score)
    monkeypatch.setattr(timing, "measure", _measure)
    monkeypatch.setattr(trials, "export", _export)
    monkeypatch.setattr(trials, "FloatReference", lambda model: None)
    monkeypatch.setattr(trials.LiteRtModel, "open", lambda path: path)
    for name in ("model_of", "_with_vocabulary"):
        monkeypatch.setattr(trials.TrialRunner, name, lambda runner, *_: runner.model)
    return


def run(out: Path, settings: SearchSettings = SETTINGS, **more: Any) -> SearchResult:
    return search(
        base(), separable(40, 1), separable(40, 2), settings, StageRun(out, resume=True, **more)
    )


def without_times(out: Path) -> Any:
    content = json.loads((out / "front.json").read_text().replace(str(out), "OUT"))
    for one in (*content["front"], *content["candidates"]):
        del one["seconds"]
    return content


def test_the_moves_of_a_whole_search(tmp_path: Path) -> None:
    found = [one.moves for one in run(tmp_path).candidates]
    assert len(set(found)) == len(found)
    assert {moves.rounds for moves in found} == {0, 1, 2, 3}
    assert {len(moves.steps) for moves in found} == {0, 1, 2}
    assert any(moves.recipe == "int4" for moves in found)


@pytest.mark.parametrize(("kept", "error"), [(12, RuntimeError), (34, KeyboardInterrupt)])
def test_a_stopped_search_resumes_to_the_same_front(
    tmp_path: Path, kept: int, error: type[BaseException]
) -> None:
    seen: list[str] = []

    def stop(stage: str, done: int, total: int, **_: Any) -> None:
        if "trials" in stage:
            seen.append(stage)
            if len(seen) == kept:
                raise error

    with pytest.raises(error) as caught:
        run(tmp_path / "stopped", progress=stop)
    if isinstance(caught.value, SearchStopped):
        assert len(caught.value.result.candidates) == kept
        assert not json.loads((tmp_path / "stopped" / "front.json").read_text())["finished"]
    run(tmp_path / "stopped")
    run(tmp_path / "whole")
    assert without_times(tmp_path / "stopped") == without_times(tmp_path / "whole")


def test_a_short_time_budget_leaves_trials_out(tmp_path: Path) -> None:
    result = run(tmp_path, replace(SETTINGS, max_time="0.001s"))
    assert [one.moves.text for one in result.candidates] == ["int8 rows"]
    assert any("--max-time" in note for note in result.notes)
    assert len(run(tmp_path).candidates) > 30
