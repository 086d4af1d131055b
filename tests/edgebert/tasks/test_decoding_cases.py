"""The golden decoding cases equal the tasks' answers; ports in other languages use the cases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgebert.settings import TASKS
from tests.golden.make_decoding_cases import OUTPUT, make_cases

STALE = "Next: python -m tests.golden.make_decoding_cases"


def assert_alike(here: Any, stored: Any, place: str) -> None:
    """Compares values; numbers with a tolerance."""
    if isinstance(stored, float) or isinstance(here, float):
        assert here == pytest.approx(stored, abs=1e-7), f"{place}. {STALE}"
    elif isinstance(stored, dict):
        assert list(here) == list(stored), f"{place}. {STALE}"
        for key in stored:
            assert_alike(here[key], stored[key], f"{place}.{key}")
    elif isinstance(stored, list):
        assert len(here) == len(stored), f"{place}. {STALE}"
        for number, (a, b) in enumerate(zip(here, stored, strict=True)):
            assert_alike(a, b, f"{place}[{number}]")
    else:
        assert here == stored, f"{place}. {STALE}"


def test_the_stored_cases_equal_the_tasks_answers() -> None:
    assert_alike(make_cases(), json.loads(OUTPUT.read_bytes()), "cases")


def test_the_cases_cover_windows_thresholds_and_outputs() -> None:
    content = json.loads(OUTPUT.read_text("ascii"))
    models, cases = content["models"], content["cases"]
    assert {model["task"] for model in models.values()} == set(TASKS)
    by_task: dict[str, list[dict[str, Any]]] = {task: [] for task in TASKS}
    for case in cases:
        by_task[models[case["model"]]["task"]].append(case)
    for task in ("ner", "pos", "qa"):
        assert max(len(case["windows"]) for case in by_task[task]) > 4
        assert all(
            len(window["token_ids"]) <= models[case["model"]]["max_length"]
            for case in by_task[task]
            for window in case["windows"]
        )
    no_answer = {case["answer"]["answers"][0]["end"] == 0 for case in by_task["qa"]}
    assert no_answer == {True, False}
    given = {len(case["answer"]["labels"]) for case in by_task["multi-label"]}
    assert {0, 1, 4} <= given
    behind_cut = [case for case in by_task["masked-lm"] if "behind the cut" in case["name"]]
    assert any(case["answer"]["masks"][0]["tokens"] == [] for case in behind_cut)
    outputs = {models[case["model"]]["output"] for case in cases}
    assert outputs == {"probabilities", "logits", "score", "embedding"}
    assert any("\ud800" in text for case in cases for text in case["texts"])
    assert OUTPUT.stat().st_size < 500_000
