"""The hidden size as a move of a search, on tiny models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters.compaction import LayerWidth
from edgebert import pipeline
from edgebert.errors import UsageError
from edgebert.models.task_model import open_model
from edgebert.pipeline.config_file import read_config
from edgebert.pipeline.repeating import Origin, write_repeats
from edgebert.pruning.latency_table import LatencyTable
from edgebert.searching import search, trials
from edgebert.searching.moves import Moves, Step, read_plan
from edgebert.searching.records import tables_of
from edgebert.searching.rounds import promoted
from edgebert.settings import SearchSettings
from edgebert.training.stage_run import StageRun
from tests.edgebert.searching.tiny_searches import SMALL, TABLE, Splits, steady

NARROW = replace(SMALL, speedups="4", hidden_sizes="8", vocabulary="whole", distill_epochs=0)
HALF = replace(
    TABLE,
    base_ms=0.8,
    attention=((0, 0.0), (1, 0.5)),
    feed_forward=((0, 0.0), (48, 1.2)),
    last_attention=((0, 0.0), (1, 0.3)),
    last_feed_forward=((0, 0.0), (48, 0.1)),
    hidden_size=8,
)
TABLES = replace(TABLE, hidden_size=16, narrower=(HALF,))


def with_tables(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Steady latencies, with a table of half of the width, and the sizes that were asked for."""
    steady(monkeypatch)
    asked: list[tuple[int, ...]] = []

    def measure(*given: Any, hidden_sizes: tuple[int, ...], **named: Any) -> LatencyTable:
        asked.append(hidden_sizes)
        return TABLES if hidden_sizes else replace(TABLE, hidden_size=16)

    monkeypatch.setattr(trials, "measure_latency_table", measure)
    return asked


def test_each_speedup_is_tried_with_each_hidden_size() -> None:
    settings = SearchSettings(
        speedups="2,3", hidden_sizes="256,192", vocabulary="whole", embeddings="int4"
    )
    texts = [moves.text for moves in read_plan(settings).cheap()]
    assert texts[2:] == [
        f"pruned {speedup}x{size}, int4 rows"
        for speedup in (2, 3)
        for size in ("", " to hidden size 192", " to hidden size 256")
    ]
    assert Step(3.0, 2, 256).text == "pruned 3x to hidden size 256, distilled in 2 rounds"
    for sizes, expected in (("0", "above 0"), ("8.5", "whole numbers"), ("x", "'x'")):
        with pytest.raises(UsageError, match=f"hidden_sizes: expected.*{expected}"):
            read_plan(replace(settings, hidden_sizes=sizes))
    with pytest.raises(UsageError, match="hidden_sizes: expected --speedups"):
        read_plan(replace(settings, speedups=""))


def test_steps_that_keep_the_width_have_the_keys_of_older_searches() -> None:
    older = {"speedup": 2.0, "rounds": 1}
    assert Moves((Step(2.0, 1),)).key_part()["steps"] == [older]
    narrow = Moves((Step(2.0, 1, 256),))
    assert narrow.key_part()["steps"] == [{**older, "hidden_size": 256}]
    assert narrow.to_dict()["steps"] == ({**older, "hidden_size": 256},)


def test_of_equal_speedups_the_better_model_goes_on_first() -> None:
    wide, narrow = (Step(2.0, 1),), (Step(2.0, 1, 256),)
    assert promoted({wide: 0.9, narrow: 0.5}, 1.0, 1) == [narrow]
    assert promoted({wide: 0.5, narrow: 0.9}, 1.0, 1) == [wide]


def test_sizes_that_do_not_fit_the_model_are_all_listed(
    trained: Path, data: Splits, tmp_path: Path
) -> None:
    settings = replace(NARROW, hidden_sizes="8,12,16,24")
    with pytest.raises(UsageError) as caught:
        search(open_model(trained), *data, settings, StageRun(tmp_path / "new"))
    said = str(caught.value)
    assert said.count("expected a multiple of 8, the size of a head, up to 16") == 2
    assert "less than the model's 16. Received: 16" in said
    assert "Received: 12" in said
    assert "Received: 24" in said
    assert not (tmp_path / "new").exists()


def test_a_narrow_model_is_found_pruned_again_and_made_again_to_the_byte(
    trained: Path,
    files: dict[str, Path],
    data: Splits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = with_tables(monkeypatch)
    model = open_model(trained)
    out = StageRun(tmp_path / "found", resume=True)
    search(model, *data, replace(NARROW, hidden_sizes=""), out)
    result = search(model, *data, NARROW, out)
    assert asked == [(), (8,)]
    assert [path.name for path in tables_of(out.out)] == [
        "latency_table-8.json",
        "latency_table.json",
    ]
    one = next(each for each in result.candidates if each.moves.steps == (Step(4.0, 0, 8),))
    assert one.moves.text == "pruned 4x to hidden size 8, int4 rows"
    record = json.loads((out.out / "trials" / f"{one.key}.json").read_text())
    assert record["moves"]["steps"] == [{"speedup": 4.0, "rounds": 0, "hidden_size": 8}]
    again = replace(NARROW, distill_epochs=1, second_speedups="1.05", rounds=1, max_rows=16)
    result = search(model, *data, again, out)
    steps = (Step(4.0, 1, 8), Step(1.05, 1))
    last = next(each for each in result.candidates if each.moves.steps == steps)
    chosen = replace(result, front=(last,), winner=last)
    origin = Origin(trained, files["train"], files["dev"])
    repeats = write_repeats(chosen, model, again, origin)
    assert not repeats.notes
    assert repeats.winner is not None
    written = repeats.winner.read_text()
    assert written.count("hidden_size = 8") == 1
    assert written.count('latency_table = "latency_table-8.json"') == 2
    report = pipeline.run(read_config(repeats.winner, tmp_path / "again"))
    made = tmp_path / "again" / "4-exported" / "winner.tflite"
    assert made.read_bytes() == last.path.read_bytes()
    assert report.rows[-1].as_expected
    narrow = open_model(tmp_path / "again" / "2-stages" / "structure-1")
    assert narrow.checkpoint.weights["embeddings.token"].shape[1] == 8
    entries = [each for each in last_history(tmp_path) if each["stage"] == "prune-structure"]
    before = [each["latency_ms"]["before"] for each in entries]
    widths = [LayerWidth(**width) for width in entries[0]["widths"]]
    assert before[0] == pytest.approx(TABLE.model_ms([LayerWidth(2, 48)] * 2))
    assert before[1] == pytest.approx(HALF.model_ms(widths))


def last_history(folder: Path) -> Any:
    """The stages of the model that the run exported."""
    return open_model(folder / "again" / "2-stages" / "distill-4").history


def test_a_hidden_size_that_is_fast_enough_alone_is_left_out(
    trained: Path, data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_tables(monkeypatch)
    result = search(
        open_model(trained), *data, replace(NARROW, speedups="1.3"), StageRun(tmp_path / "found")
    )
    assert [one.moves.text for one in result.candidates[2:]] == ["pruned 1.3x, int4 rows"]
    assert "pruned 1.3x to hidden size 8, int4 rows was not made" in result.notes[0]
    assert "Received: 8, which alone is 1.60 times faster" in result.notes[0]
