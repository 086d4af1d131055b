"""Searches whose students learn from rows without labels, too, on tiny models."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from edgebert import pipeline
from edgebert.cli import cli
from edgebert.data.datasets import Example
from edgebert.models.task_model import open_model
from edgebert.pipeline.config_file import read_config
from edgebert.pipeline.repeating import Origin, write_repeats
from edgebert.searching import TeachingData, search, trials
from edgebert.searching.clock import Clock
from edgebert.searching.moves import Moves, Step
from edgebert.searching.records import TAUGHT, SearchFolder
from edgebert.searching.trials import DISTILLATION, TrialRunner
from edgebert.settings import DataSettings
from edgebert.system.progress import silent
from edgebert.tasks.examples import with_unlabelled
from edgebert.training.kept_states import states_bytes
from edgebert.training.stage_run import StageRun
from edgebert.training.state import FOLDER
from tests.edgebert.searching.tiny_searches import SMALL, Splits, steady
from tests.edgebert.separable import separable

SHORT = replace(SMALL, vocabulary="whole", max_rows=0)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 40 texts without labels."""
    path = tmp_path_factory.mktemp("texts") / "more.txt"
    path.write_text("".join(f"{one.text}\n" for one in separable(40, 9).examples))
    return path


def teaching(trained: Path, data: Splits, texts: Path) -> TeachingData:
    task = open_model(trained).task
    return TeachingData(data[0], with_unlabelled(task, None, texts, DataSettings()))


def test_a_student_of_unlabelled_rows_is_made_again_to_the_byte(
    trained: Path,
    files: dict[str, Path],
    data: Splits,
    texts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steady(monkeypatch)
    model, out = open_model(trained), StageRun(tmp_path / "found")
    result = search(model, teaching(trained, data, texts), data[1], SHORT, out)
    one = next(each for each in result.candidates if each.moves.distilled)
    chosen = replace(result, front=(one,), winner=one)
    origin = Origin(trained, files["train"], files["dev"], unlabelled=texts)
    repeats = write_repeats(chosen, model, SHORT, origin)
    assert repeats.winner is not None
    config = read_config(repeats.winner, tmp_path / "again")
    assert config.data.unlabelled == texts
    assert pipeline.run(config).rows[-1].as_expected
    made = tmp_path / "again" / "4-exported" / "winner.tflite"
    assert made.read_bytes() == one.path.read_bytes()
    pruned, distilled = open_model(tmp_path / "again" / "2-stages" / "distill-2").history[-2:]
    assert pruned["started_from"]["calibration"]["rows"] == 160
    assert distilled["started_from"]["train"]["rows"] == 200
    origin = replace(origin, unlabelled=Path("-"))
    assert "standard input" in write_repeats(chosen, model, SHORT, origin).notes[0]


def test_expected_work_counts_the_unlabelled_rows(
    trained: Path, data: Splits, texts: Path, tmp_path: Path
) -> None:
    folder = SearchFolder(tmp_path / "found", {}, resume=False)
    clock = Clock(folder, math.inf, silent)
    with clock.timed(DISTILLATION):
        pass
    both = teaching(trained, data, texts)
    with_all, labelled = (
        TrialRunner(open_model(trained), each, data[1], SHORT, folder, clock).expected_training(
            (Step(2.0, 1),)
        )
        for each in (both, TeachingData(both.train))
    )
    assert with_all / labelled == pytest.approx(200 / 160)


def test_the_room_for_states_is_expected_from_the_texts_that_students_learn_from(
    trained: Path, data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dev texts may be longer: phrases and whole sentences in SST-2."""
    sizes: list[int] = []
    monkeypatch.setattr(trials, "has_room", lambda size: not sizes.append(size))
    folder, model = SearchFolder(tmp_path / "found", {}, resume=False), open_model(trained)
    clock, longer = (
        Clock(folder, math.inf, silent),
        [f"{one.text} " * 3 for one in data[1].examples],
    )
    dev = replace(data[1], examples=tuple(map(Example, longer)))
    TrialRunner(model, TeachingData(data[0]), dev, SHORT, folder, clock).expected_training(
        (Step(2.0, 1),)
    )
    encodings = model.tokenizer.encode_batch(data[0].texts, model.max_length)
    config = model.checkpoint.config
    tokens = sum(map(len, encodings))
    assert sizes == [states_bytes(tokens, config.num_layers, config.hidden_size)]


def test_only_whole_trainings_tell_how_long_one_takes(
    trained: Path, data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished one is read from its folder, and the rest of a resumed one is shorter."""
    trainings: list[Path] = []

    def fake(*inputs: Any) -> Any:
        student, run = inputs[1], inputs[-1]
        trainings.append(run.out)
        student.save(run.out)
        return SimpleNamespace(model=student)

    monkeypatch.setattr(trials, "distill", fake)
    monkeypatch.setattr(TrialRunner, "_pruned", lambda runner, _: runner.model)
    folder = SearchFolder(tmp_path / "found", {}, resume=False)
    clock = Clock(folder, math.inf, silent)
    runner = TrialRunner(open_model(trained), TeachingData(data[0]), data[1], SHORT, folder, clock)
    steps = (Step(2.0, 1),)
    runner.model_of(steps)
    known = clock.expected(DISTILLATION)
    assert known > 0
    runner.model_of(steps)
    assert len(trainings) == 1
    (trainings[0] / FOLDER).mkdir()
    runner.model_of(steps)
    assert len(trainings) == 2
    assert clock.expected(DISTILLATION) == known


def test_a_round_takes_the_longest_form_that_ends_in_time_and_keeps_it(
    trained: Path, data: Splits, tmp_path: Path
) -> None:
    folder = SearchFolder(tmp_path / "found", {}, resume=False)
    clock = Clock(folder, math.inf, silent)
    with clock.timed(DISTILLATION):
        pass
    steps, settings = (Step(2.0, 1), Step(1.5, 1)), replace(SHORT, distill_epochs=4)

    def runner() -> TrialRunner:
        return TrialRunner(
            open_model(trained), TeachingData(data[0]), data[1], settings, folder, clock
        )

    first = runner()
    whole = first.settings_of(steps)
    assert (whole.epochs, whole.augment) == (4, 2)
    assert not first.fit(steps, lambda seconds: False)
    limit = 0.6 * first.expected_training(steps)
    assert first.fit(steps, lambda seconds: seconds <= limit)
    shorter = first.settings_of(steps)
    assert first.expected_training(steps) <= limit
    assert (shorter.epochs, shorter.augment) == (2, 2)
    again = runner()
    assert again.fit(steps, lambda seconds: False)
    assert again.settings_of(steps) == shorter
    assert again.key(Moves(steps)) == first.key(Moves(steps)) != runner().key(Moves(steps))


def test_the_command_reads_the_file_and_resumes_with_the_same_one(
    trained: Path,
    files: dict[str, Path],
    texts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steady(monkeypatch)
    out = tmp_path / "found"
    command = ["search", trained, "-o", out, "--train", files["train"], "--dev", files["dev"]]
    command += ["--speedups", "", "--latency-texts", 4, "--vocabulary", "whole", "--unlabelled"]

    def call(*more: object) -> tuple[int, str]:
        result = CliRunner().invoke(cli, [str(each) for each in (*command, *more)])
        return result.exit_code, result.stderr

    code, said = call(texts, "--embeddings", "int8")
    assert code == 0, said
    assert json.loads((out / "search.json").read_text())[TAUGHT]["rows"] == 200
    assert read_config(out / "winner.toml").data.unlabelled == texts
    other = tmp_path / "other.txt"
    other.write_text("another text\n")
    code, said = call(other, "--resume")
    assert code == 2
    assert TAUGHT in said
