"""The manifest: what is written is read back, and what is wrong is listed at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.tflite.graph_builder import GraphBuilder
from converters.tflite.metadata import add_metadata_buffers
from edgebert.errors import ModelError
from edgebert.models.manifest import MANIFEST_NAME, Manifest, read_manifest

MANIFEST = Manifest(
    task="ner",
    labels=("O", "B-DAY", "I-DAY"),
    decoding={"alignment": "first-piece", "window_overlap": 0.25},
    output="logits",
    lengths=(16, 32),
    max_length=32,
    tokenizer={"lowercase": True},
    vocabulary_sha256="ab",
    config={"num_segments": 2},
    history=({"stage": "finetune"},),
    quality={"metric": "entity_f1"},
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def file_with(manifest: bytes) -> bytes:
    builder = GraphBuilder("tiny")
    graph = builder.subgraph("tokens_8")
    graph.output("y", graph.rsqrt(graph.input("x", [1, 8]), "y"))
    return add_metadata_buffers(builder.finish(), {MANIFEST_NAME: manifest})


def test_a_manifest_comes_back() -> None:
    assert read_manifest(Path("m.tflite"), file_with(MANIFEST.to_bytes())) == MANIFEST


def test_optional_keys_are_absent_when_empty() -> None:
    content = replace(MANIFEST, quality={}).to_dict()
    assert not {"calibration", "parity", "quality"} & content.keys()
    assert MANIFEST.to_dict()["quality"] == {"metric": "entity_f1"}
    assert content["history"] == [{"stage": "finetune"}]


def test_keys_of_later_versions_are_ignored() -> None:
    assert Manifest.from_dict({**MANIFEST.to_dict(), "speed": "fast"}) == MANIFEST


def test_provenance_and_decoding_may_be_absent() -> None:
    content = MANIFEST.to_dict()
    for key in ("decoding", "recipe", "history", "quality", "versions"):
        del content[key]
    read = Manifest.from_dict(content)
    assert (read.decoding, read.recipe, read.history) == ({}, "", ())


def test_all_problems_are_listed() -> None:
    content: dict[str, Any] = {
        **MANIFEST.to_dict(),
        "task": "translation",
        "labels": ["O", 1],
        "lengths": [32, 16],
        "max_length": True,
        "config": {},
        "history": {},
    }
    del content["output"]
    with pytest.raises(ModelError) as caught:
        Manifest.from_dict(content, "m.tflite")
    message = str(caught.value)
    assert message.startswith("m.tflite: expected a complete manifest")
    for key in ("task", "labels", "lengths", "max_length", "config", "history"):
        assert f"{key}: " in message
    assert "output: one of" in message and "received nothing" in message


@pytest.mark.parametrize("version", [None, 0, 3, "1", True])
def test_other_formats_are_refused(version: object) -> None:
    with pytest.raises(ModelError, match=r"manifest of format 1 or 2\. Received: .*Next: export"):
        Manifest.from_dict({**MANIFEST.to_dict(), "format": version}, "m.tflite")


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'"text"', b"\xff", b"[" * 100_000])
def test_damaged_json_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"m\.tflite"):
        read_manifest(Path("m.tflite"), file_with(data))


@given(st.dictionaries(st.sampled_from(sorted(MANIFEST.to_dict())), json_values))
def test_any_values_give_a_manifest_or_an_error(changes: dict[str, Any]) -> None:
    content = {**MANIFEST.to_dict(), **changes}
    try:
        read = Manifest.from_dict(content)
    except ModelError as error:
        assert "Received" in str(error)
    else:
        json.dumps(read.to_dict())
