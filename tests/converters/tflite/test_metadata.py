"""Metadata and associated files: round trips, damage, and what real readers make of them."""

from __future__ import annotations

import functools
import io
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from converters import heads
from converters.errors import ConversionError
from converters.tflite import metadata, task_metadata
from converters.tflite.graph_builder import GraphBuilder
from converters.tflite.task_metadata import FileDescription
from tests.judges import judge_process, mediapipe_tasks

LENGTH = 8
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "##ly", "é", "!")
VOCABULARY = "".join(word + "\n" for word in WORDS).encode()
LABELS = ("negative", "positive")

file_names = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="/\\:"), min_size=1, max_size=20
)
files = st.dictionaries(file_names, st.binary(max_size=200), max_size=4)
readers: tuple[Callable[[bytes], Any], ...] = (
    metadata.describe_metadata,
    metadata.read_associated_files,
    lambda model: metadata.read_metadata_buffer(model, metadata.METADATA_BUFFER),
)


@functools.cache
def tiny_graph(lengths: tuple[int, ...] = (LENGTH,)) -> bytes:
    """A classifier that averages a row of two numbers a token; `[SEP]` weighs towards class 0."""
    rows = np.linspace(-4, 4, 2 * len(WORDS)).reshape(len(WORDS), 2).astype(np.float32)
    rows[:, 1] = np.roll(rows[:, 1], 3)
    builder = GraphBuilder("tiny")
    for length in lengths:
        graph = builder.subgraph(f"tokens_{length}")
        token_ids = graph.input("token_ids", [1, length])
        mask = graph.input("padding_mask", [1, length])
        segment_ids = graph.input("segment_ids", [1, length])
        x = graph.embedding_lookup(
            graph.reshape(token_ids, [-1], [length], "ids"), builder.constant("rows", rows), "x"
        )
        for name, tensor in (("mask", mask), ("segment", segment_ids)):
            column = graph.cast(
                graph.reshape(tensor, [-1, 1], [length, 1], f"{name}/column"), np.float32, name
            )
            x = graph.mul(x, column, "kept") if name == "mask" else graph.add(x, column, "sum")
        graph.output("probability", graph.softmax(graph.mean(x, 0, "mean"), "probability"))
    return builder.finish()


def classifier_metadata(**facts: Any) -> bytes:
    """TFLite Metadata of a text classifier."""
    file = FileDescription("A test.", **{"name": "tiny", **facts})
    made = task_metadata.task_metadata(heads.CLASSIFIER, "probabilities", file)
    assert made is not None
    return made


@functools.cache
def tiny_model() -> bytes:
    """The classifier with metadata, a manifest and its associated files."""
    contents = {
        metadata.METADATA_BUFFER: classifier_metadata(),
        "EDGEBERT_MANIFEST": b'{"task": "classification"}',
    }
    associated = {"vocab.txt": VOCABULARY, "labels.txt": task_metadata.labels_txt(LABELS)}
    return metadata.append_associated_files(
        metadata.add_metadata_buffers(tiny_graph(), contents), associated
    )


def probabilities(model: bytes, token_ids: Sequence[int]) -> np.ndarray:
    interpreter = Interpreter(model_content=model)
    (key,) = interpreter.get_signature_list()
    padded = np.zeros((2, 1, LENGTH), np.int32)
    padded[0, 0, : len(token_ids)], padded[1, 0, : len(token_ids)] = token_ids, 1
    outputs = interpreter.get_signature_runner(key)(
        token_ids=padded[0], padding_mask=padded[1], segment_ids=np.zeros_like(padded[0])
    )
    return np.asarray(outputs["probability"][0])


# --- TFLITE_METADATA ---------------------------------------------------------------------------


def test_describe_gives_what_was_written() -> None:
    described = metadata.describe_metadata(tiny_model())
    record = described["metadata"]
    (subgraph,) = record["subgraph_metadata"]
    assert record["name"] == "tiny"
    assert record["min_parser_version"] == "1.1.0"
    assert "version" not in record
    assert [t["name"] for t in subgraph["input_tensor_metadata"]] == ["ids", "mask", "segment_ids"]
    (process_unit,) = subgraph["input_process_units"]
    assert process_unit["options"]["type"] == "BertTokenizerOptions"
    (vocabulary,) = process_unit["options"]["vocab_file"]
    assert (vocabulary["name"], vocabulary["type"]) == ("vocab.txt", "VOCABULARY")
    (output,) = subgraph["output_tensor_metadata"]
    (labels,) = output["associated_files"]
    assert output["name"] == "probability"
    assert output["stats"] == {"max": [1.0], "min": [0.0]}
    assert (labels["name"], labels["type"]) == ("labels.txt", "TENSOR_AXIS_LABELS")
    assert described["associated_files"] == {"vocab.txt": len(VOCABULARY), "labels.txt": 18}
    assert described["buffers"]["EDGEBERT_MANIFEST"] == 26


def test_field_numbers_are_those_of_the_public_schema() -> None:
    """Walks the flatbuffer with numbers read off metadata_schema.fbs, not with our table."""
    contents = classifier_metadata(version="7")
    assert contents[4:8] == b"M001"

    def at(position: int) -> flatbuffers.table.Table:
        return flatbuffers.table.Table(contents, position)

    def child(table: flatbuffers.table.Table, number: int, item: int) -> flatbuffers.table.Table:
        field = table.Offset(4 + 2 * number)
        return at(table.Indirect(table.Vector(field) + 4 * item))

    def string(table: flatbuffers.table.Table, number: int) -> bytes:
        return bytes(table.String(table.Pos + table.Offset(4 + 2 * number)))

    def number_of(table: flatbuffers.table.Table, number: int) -> int:
        return int(contents[table.Pos + table.Offset(4 + 2 * number)])

    model = at(int.from_bytes(contents[:4], "little"))
    assert (string(model, 0), string(model, 1), string(model, 2)) == (b"tiny", b"A test.", b"7")
    assert string(model, 7) == b"1.1.0"
    subgraph = child(model, 3, 0)
    assert [string(child(subgraph, 2, i), 0) for i in range(3)] == [b"ids", b"mask", b"segment_ids"]
    labels = child(child(subgraph, 3, 0), 6, 0)
    assert (string(labels, 0), number_of(labels, 2)) == (b"labels.txt", 2)
    process_unit = child(subgraph, 5, 0)
    assert number_of(process_unit, 0) == 4
    field = process_unit.Offset(6)
    options = at(process_unit.Indirect(process_unit.Pos + field))
    vocabulary = child(options, 0, 0)
    assert (string(vocabulary, 0), number_of(vocabulary, 2)) == (b"vocab.txt", 5)


@settings(deadline=None)
@given(st.text(min_size=1), st.text(), st.text())
def test_names_of_any_script_come_back(output: str, title: str, description: str) -> None:
    file = FileDescription(description, ("tokens_8", "tokens_16"), name=title)
    contents = task_metadata.task_metadata(heads.SENTENCE, output, file)
    assert contents is not None
    model = metadata.append_associated_files(
        metadata.add_metadata_buffers(tiny_graph(), {metadata.METADATA_BUFFER: contents}),
        {"vocab.txt": VOCABULARY, "labels.txt": b"a\n"},
    )
    record = metadata.describe_metadata(model)["metadata"]
    assert record["name"] == (title or "BERT text embedder")
    assert record.get("description", "") == description
    assert [s["name"] for s in record["subgraph_metadata"]] == ["tokens_8", "tokens_16"]
    for subgraph in record["subgraph_metadata"]:
        assert [tensor["name"] for tensor in subgraph["output_tensor_metadata"]] == [output]


@pytest.mark.parametrize("head", [heads.ENCODER, heads.MASKED_LM])
def test_heads_without_a_reader_have_no_metadata(head: str) -> None:
    assert task_metadata.task_metadata(head, "hidden_states", FileDescription("A test.")) is None


def test_scores_without_labels_have_no_metadata() -> None:
    file = FileDescription("A test.")
    assert task_metadata.task_metadata(heads.CLASSIFIER, "score", file, has_labels=False) is None


# --- labels ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1),
        min_size=1,
        unique=True,
    )
)
def test_labels_split_back_at_line_feeds(labels: list[str]) -> None:
    assert task_metadata.labels_txt(labels).decode().split("\n") == [*labels, ""]


def test_labels_that_would_shift_are_all_named() -> None:
    with pytest.raises(ConversionError) as caught:
        task_metadata.labels_txt(["a", "", "b\nc", "a", "d\r", "\ud800"])
    message = str(caught.value)
    for problem in (
        "label 1 is empty",
        r"label 2 contains",
        "'a' occurs 2 times",
        "label 4 contains",
        "label 5 contains",
    ):
        assert problem in message


def test_no_label_at_all_is_refused() -> None:
    with pytest.raises(ConversionError, match="there is no label"):
        task_metadata.labels_txt([])


# --- named buffers -----------------------------------------------------------------------------


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1), st.binary(max_size=100), max_size=4))
def test_named_buffers_come_back(buffers: dict[str, bytes]) -> None:
    model = metadata.add_metadata_buffers(tiny_graph(), buffers)
    for name, contents in buffers.items():
        assert metadata.read_metadata_buffer(model, name) == contents


@pytest.mark.parametrize("size", [0, 1, 15, 16])
def test_parts_are_the_packed_file(size: int) -> None:
    graph, buffers, files = tiny_graph(), {"a": b"x" * size, "b": b"y"}, {"labels.txt": b"no\nyes"}
    parts = metadata.packed_parts(graph, buffers, files)
    with_buffers = metadata.add_metadata_buffers(graph, buffers)
    assert b"".join(parts) == metadata.append_associated_files(with_buffers, files)
    assert graph in [bytes(part) for part in parts]
    assert metadata.read_associated_files(b"".join(parts)) == files


def test_added_buffers_leave_the_graph_as_it_was() -> None:
    before = schema.Model.GetRootAs(tiny_graph(), 0)
    after = schema.Model.GetRootAs(tiny_model(), 0)
    assert after.Version() == before.Version() == 3
    assert after.Description() == before.Description()
    assert after.OperatorCodesLength() == before.OperatorCodesLength()
    assert after.SignatureDefs(0).SignatureKey() == b"tokens_8"
    assert after.BuffersLength() == before.BuffersLength() + 2
    for i in range(before.BuffersLength()):
        np.testing.assert_array_equal(
            after.Buffers(i).DataAsNumpy(), before.Buffers(i).DataAsNumpy()
        )
    np.testing.assert_array_equal(
        probabilities(tiny_model(), [2, 4, 6, 3]), probabilities(tiny_graph(), [2, 4, 6, 3])
    )


def test_buffers_stay_and_become_aligned() -> None:
    def data_positions(model: bytes) -> list[int]:
        root = schema.Model.GetRootAs(model, 0)
        tables = [root.Buffers(i)._tab for i in range(root.BuffersLength())]
        return [table.Vector(table.Offset(4)) % 16 for table in tables if table.Offset(4)]

    before, after = data_positions(tiny_graph()), data_positions(tiny_model())
    assert after[: len(before)] == before
    assert after[len(before) :] == [0, 0]


def test_a_buffer_of_the_same_name_is_replaced_and_the_rest_kept() -> None:
    model = metadata.add_metadata_buffers(tiny_model(), {"EDGEBERT_MANIFEST": b"{}"})
    assert metadata.read_metadata_buffer(model, "EDGEBERT_MANIFEST") == b"{}"
    assert metadata.describe_metadata(model)["metadata"]["name"] == "tiny"
    assert metadata.read_associated_files(model) == metadata.read_associated_files(tiny_model())
    names = [entry.name for entry in schema.ModelT.InitFromPackedBuf(model, 0).metadata]
    assert sorted(names) == [b"EDGEBERT_MANIFEST", b"TFLITE_METADATA"]
    np.testing.assert_array_equal(
        probabilities(model, [2, 5, 3]), probabilities(tiny_graph(), [2, 5, 3])
    )


def test_a_name_that_is_not_there_gives_none() -> None:
    assert metadata.read_metadata_buffer(tiny_graph(), "EDGEBERT_MANIFEST") is None
    assert metadata.read_associated_files(tiny_graph()) == {}


def test_weights_outside_the_flatbuffer_are_refused() -> None:
    model = schema.ModelT.InitFromPackedBuf(tiny_graph(), 0)
    model.buffers[1].data, model.buffers[1].offset, model.buffers[1].size = None, 4096, 64
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(ConversionError, match="outside the flatbuffer"):
        metadata.add_metadata_buffers(bytes(builder.Output()), {"a": b"b"})


# --- associated files --------------------------------------------------------------------------


@settings(deadline=None)
@given(files)
def test_associated_files_come_back_and_zipfile_agrees(associated: dict[str, bytes]) -> None:
    model = metadata.append_associated_files(tiny_graph(), associated)
    assert metadata.read_associated_files(model) == associated
    assert model.startswith(tiny_graph())
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == associated
        assert archive.testzip() is None
        assert all(e.compress_type == zipfile.ZIP_STORED for e in archive.infolist())
        # readers that know of no prefix take the offsets as they are
        assert all(model[e.header_offset :][:4] == b"PK\3\4" for e in archive.infolist())


@settings(deadline=None)
@given(files, files)
def test_appending_again_replaces_by_name(
    first: dict[str, bytes], second: dict[str, bytes]
) -> None:
    model = metadata.append_associated_files(tiny_graph(), first)
    again = metadata.append_associated_files(model, second)
    assert metadata.read_associated_files(again) == {**first, **second}


def test_the_same_files_give_the_same_bytes() -> None:
    associated = {"vocab.txt": VOCABULARY, "labels.txt": b"a\nb\n"}
    first, second = (metadata.append_associated_files(tiny_graph(), associated) for _ in range(2))
    assert first == second


def test_compressed_files_are_refused() -> None:
    stream = io.BytesIO()
    stream.write(tiny_graph())
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("vocab.txt", VOCABULARY)
    with pytest.raises(ConversionError, match=r"uncompressed.*vocab\.txt"):
        metadata.read_associated_files(stream.getvalue())


def test_a_damaged_archive_is_named() -> None:
    model = tiny_model().replace(b"good\nbad", b"good\nbat")
    with pytest.raises(ConversionError, match="damaged"):
        metadata.read_associated_files(model)


# --- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", readers)
@pytest.mark.parametrize(
    "contents", [b"", b"TFL3", b"#!/bin/sh\necho", b"\x1c\0\0\0ONNX" + bytes(40), bytes(100)]
)
def test_other_files_are_refused(read: Callable[[bytes], Any], contents: bytes) -> None:
    with pytest.raises(ConversionError, match=r"Expected a \.tflite"):
        read(contents)


@pytest.mark.parametrize("read", readers)
@settings(deadline=None)
@given(fraction=st.floats(0, 1, exclude_max=True))
def test_a_graph_that_is_cut_short_is_refused(
    read: Callable[[bytes], Any], fraction: float
) -> None:
    model = tiny_graph()
    with pytest.raises(ConversionError):
        read(model[: int(fraction * len(model))])


@settings(deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_any_cut_of_a_whole_model_is_noticed(fraction: float) -> None:
    model = tiny_model()
    with pytest.raises(ConversionError):
        metadata.describe_metadata(model[: int(fraction * len(model))])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_bytes_give_an_answer_or_a_conversion_error(changes: list[tuple[int, int]]) -> None:
    model = bytearray(tiny_model())
    for position, value in changes:
        model[position % len(model)] = value
    for read in readers:
        try:
            read(bytes(model))
        except ConversionError as error:
            assert "Received" in str(error)


def test_a_model_without_metadata_says_what_it_has() -> None:
    model = metadata.add_metadata_buffers(tiny_graph(), {"min_runtime_version": b"1.5.0"})
    with pytest.raises(ConversionError, match=r"TFLITE_METADATA.*Received: min_runtime_version"):
        metadata.describe_metadata(model)


def test_metadata_of_another_kind_is_refused() -> None:
    model = metadata.add_metadata_buffers(tiny_graph(), {metadata.METADATA_BUFFER: bytes(64)})
    with pytest.raises(ConversionError, match=r"Expected TFLite Metadata \(identifier M001"):
        metadata.describe_metadata(model)


def test_files_that_the_metadata_names_are_missed() -> None:
    contents = classifier_metadata()
    model = metadata.add_metadata_buffers(tiny_graph(), {metadata.METADATA_BUFFER: contents})
    with pytest.raises(ConversionError, match=r"Received: no labels\.txt, vocab\.txt"):
        metadata.read_associated_files(model)


def test_reading_loads_no_runtime() -> None:
    code = "import sys, converters.tflite.metadata; print('ai_edge_litert' in sys.modules)"
    root = Path(metadata.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


# --- MediaPipe ---------------------------------------------------------------------------------


def test_mediapipe_gives_our_scores_by_label(mediapipe_python: str, tmp_path: Path) -> None:
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_model())
    texts = {"GOOD goodly!": [2, 4, 4, 6, 8, 3], "bad": [2, 5, 3], "what": [2, 1, 3]}
    judged = mediapipe_tasks.classify(mediapipe_python, path, list(texts))
    for scores, token_ids in zip(judged, texts.values(), strict=True):
        ours = dict(zip(LABELS, probabilities(tiny_model(), token_ids).tolist(), strict=True))
        assert scores == pytest.approx(ours, abs=1e-6)
        assert abs(ours["positive"] - 0.5) > 1e-3


def test_mediapipe_takes_one_signature_only(mediapipe_python: str, tmp_path: Path) -> None:
    contents = classifier_metadata(signatures=("a", "b"))
    model = metadata.append_associated_files(
        metadata.add_metadata_buffers(
            tiny_graph((LENGTH, 2 * LENGTH)), {metadata.METADATA_BUFFER: contents}
        ),
        {"vocab.txt": VOCABULARY, "labels.txt": task_metadata.labels_txt(LABELS)},
    )
    path = tmp_path / "two.tflite"
    path.write_bytes(model)
    with pytest.raises(judge_process.Refused, match="single subgraph"):
        mediapipe_tasks.classify(mediapipe_python, path, ["good"])


@pytest.mark.parametrize("entries", [2, 256, 2000])
def test_entries_that_overlap_are_refused_at_once(entries: int) -> None:
    whole = metadata.append_associated_files(tiny_graph(), {"vocab.txt": b"a" * 10_000})
    end = whole.rfind(b"PK\5\6")
    start = whole.rfind(b"PK\1\2", 0, end)
    listed = whole[start:end] * entries
    counts = struct.pack("<HHII", entries, entries, len(listed), start)
    data = whole[:start] + listed + whole[end : end + 8] + counts + b"\0\0"
    began = time.monotonic()
    with pytest.raises(ConversionError, match="don't overlap"):
        metadata.read_associated_files(data)
    assert time.monotonic() - began < 2
