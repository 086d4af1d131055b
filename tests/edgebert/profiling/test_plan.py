"""Which files, signatures and lengths are measured."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgebert.errors import ModelError, UsageError
from edgebert.profiling.plan import ModelFile, configurations, read_model_files, short_names
from edgebert.settings import ProfileSettings
from edgebert.tasks import task_named

if TYPE_CHECKING:
    from tests.edgebert.profiling.conftest import TinyClassifier


def entry(length: int | None, dynamic: bool = False) -> dict:
    return {"length": length, "dynamic": dynamic, "inputs": [], "outputs": []}


def model_file(name: str, max_length: int | None = None) -> ModelFile:
    return ModelFile(
        Path(f"{name}.tflite"), name, 1, 1, name, task_named("encoder"), False, max_length
    )


A, B = model_file("a"), model_file("b")
FIXED = {"tokens_8": entry(8), "tokens_16": entry(16)}
DYNAMIC = {"tokens_dynamic": entry(None, dynamic=True)}


def planned(files: list[ModelFile], signatures: dict, lengths: tuple[int, ...] = ()) -> list:
    plan = configurations(files, signatures, ProfileSettings(lengths=lengths))
    return [(c.file.name, c.signature, c.length) for c in plan]


def test_sizes_and_hash(tiny: TinyClassifier) -> None:
    (file,) = read_model_files([tiny.path])
    data = tiny.path.read_bytes()
    assert (file.name, file.size_bytes) == ("tiny", len(data))
    assert file.gzip_bytes == len(gzip.compress(data, compresslevel=6))
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert (file.described, file.answers, file.max_length) == (
        f"{file.name} (not of edgebert)",
        False,
        None,
    )


def test_our_manifest_is_read(with_text: Path) -> None:
    (file,) = read_model_files([with_text])
    assert (file.task.name, file.answers, file.max_length) == ("classification", True, 16)


def test_one_error_lists_all_bad_files(tiny: TinyClassifier, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        read_model_files([tmp_path / "none.tflite", tiny.path, tmp_path])
    assert "none.tflite" in str(caught.value)
    assert f"{tmp_path} is a folder; export it first" in str(caught.value)


def test_no_file_and_a_file_twice(tiny: TinyClassifier) -> None:
    with pytest.raises(UsageError, match="none"):
        read_model_files([])
    with pytest.raises(UsageError, match="twice"):
        read_model_files([tiny.path, Path(os.path.relpath(tiny.path))])


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["x/a.tflite", "x/b.tflite"], ("a", "b")),
        (["x/a.tflite", "y/a.tflite"], ("x/a", "y/a")),
        (["x/z/a.tflite", "y/z/a.tflite", "y/z/b.tflite"], ("x/z/a", "y/z/a", "y/z/b")),
        (["x/a.tflite", "x/a.bin"], ("a.tflite", "a.bin")),
    ],
)
def test_names_are_short_and_unique(paths: list[str], names: tuple[str, ...]) -> None:
    assert short_names([Path(path) for path in paths]) == names


def test_lengths_are_sorted_with_the_models_side_by_side() -> None:
    assert planned([A, B], {"a": FIXED, "b": FIXED}) == [
        ("a", "tokens_8", 8),
        ("b", "tokens_8", 8),
        ("a", "tokens_16", 16),
        ("b", "tokens_16", 16),
    ]


def test_lengths_select_signatures() -> None:
    assert planned([A], {"a": FIXED}, (16,)) == [("a", "tokens_16", 16)]


def test_a_dynamic_signature_uses_the_lengths_of_the_others() -> None:
    assert planned([A, B], {"a": FIXED, "b": DYNAMIC})[1::2] == [
        ("b", "tokens_dynamic", 8),
        ("b", "tokens_dynamic", 16),
    ]


def test_a_single_dynamic_signature_stops_at_its_maximum_length() -> None:
    short = model_file("a", max_length=40)
    assert [length for *_, length in planned([short], {"a": DYNAMIC})] == [16, 32]
    assert [length for *_, length in planned([A], {"a": DYNAMIC})] == [16, 32, 64, 128]


def test_signatures_of_other_programs() -> None:
    signatures = {"serving_default": entry(64), "extra": entry(None)}
    assert planned([A], {"a": signatures}) == [("a", "serving_default", 64), ("a", "extra", None)]
    assert planned([A], {"a": {"": entry(8)}}) == [("a", None, 8)]
    assert planned([A], {"a": signatures | FIXED}) == planned([A], {"a": FIXED})


def test_one_error_lists_all_missing_lengths() -> None:
    with pytest.raises(UsageError) as caught:
        planned([A, B], {"a": FIXED, "b": {"tokens_32": entry(32)}}, (8, 99))
    message = str(caught.value)
    assert "no file has length 99" in message
    assert "b has none of the requested lengths" in message
    assert "a has 8, 16; b has 32" in message
