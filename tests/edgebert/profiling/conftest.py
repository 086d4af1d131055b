"""Tiny `.tflite` files, and programs that replace the runner and fail."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.tflite.graph_builder import FILE_IDENTIFIER, GraphBuilder
from converters.tflite.metadata import add_metadata_buffers, append_associated_files
from converters.tflite.subgraph_builder import DYNAMIC
from converters.vocabulary import Vocabulary
from edgebert.models.manifest import UNSEALED, seal
from edgebert.profiling.cpu import RUNNER
from edgebert.profiling.process import RunnerProcess
from edgebert.settings import ProfileSettings
from tests.edgebert.profiling.loopback_board import LoopbackBoard, loopback_board

VOCABULARY_SIZE, HIDDEN_SIZE, LABELS = 128, 8, ("calm", "storm", "fog")


@dataclass(frozen=True)
class TinyClassifier:
    """The function of the file: mean of the embeddings of unmasked tokens, times a matrix."""

    path: Path
    table: np.ndarray
    kernel: np.ndarray

    def logits(self, token_ids: Sequence[int], padding_mask: Sequence[int]) -> np.ndarray:
        rows = self.table[list(token_ids)] * np.asarray(padding_mask, np.float32)[:, None]
        return np.asarray(rows.mean(0, keepdims=True) @ self.kernel.T)


def build(
    path: Path, lengths: Sequence[int] = (8, 16), names: str = "tokens_{}", seed: int = 0
) -> TinyClassifier:
    """Writes a file with one signature for each length; `DYNAMIC` makes a dynamic one."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(VOCABULARY_SIZE, HIDDEN_SIZE)).astype(np.float32)
    kernel = rng.normal(size=(len(LABELS), HIDDEN_SIZE)).astype(np.float32)
    builder = GraphBuilder("tiny")
    for length in lengths:
        graph = builder.subgraph(names.format("dynamic" if length == DYNAMIC else length))
        token_ids = graph.input("token_ids", [1, length])
        mask = graph.input("padding_mask", [1, length])
        graph.input("segment_ids", [1, length])
        ids = graph.reshape(token_ids, [-1], [length], "ids")
        rows = graph.embedding_lookup(ids, builder.constant("table", table), "rows")
        kept = graph.cast(graph.reshape(mask, [-1, 1], [length, 1], "kept"), np.float32, "cast")
        mean = graph.mean(graph.mul(rows, kept, "masked"), 0, "mean")
        logits = graph.fully_connected(mean, builder.constant("kernel", kernel), None, "logits")
        graph.output("logits", logits)
    path.write_bytes(builder.finish())
    return TinyClassifier(path, table, kernel)


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def tiny(models_dir: Path) -> TinyClassifier:
    return build(models_dir / "tiny.tflite")


@pytest.fixture(scope="session")
def other(models_dir: Path) -> TinyClassifier:
    return build(models_dir / "other.tflite", seed=1)


@pytest.fixture(scope="session")
def dynamic(models_dir: Path) -> TinyClassifier:
    return build(models_dir / "dynamic.tflite", lengths=[DYNAMIC])


@pytest.fixture(scope="session")
def no_signature(models_dir: Path) -> TinyClassifier:
    """One subgraph without a signature."""
    made = build(models_dir / "no_signature.tflite", lengths=[8])
    model = schema.ModelT.InitFromPackedBuf(made.path.read_bytes())
    model.signatureDefs = None
    packer = flatbuffers.Builder(1024)
    packer.Finish(model.Pack(packer), file_identifier=FILE_IDENTIFIER)
    made.path.write_bytes(bytes(packer.Output()))
    return made


@pytest.fixture(scope="session")
def truncated(tiny: TinyClassifier, models_dir: Path) -> Path:
    path = models_dir / "truncated.tflite"
    data = tiny.path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


@pytest.fixture(scope="session")
def with_text(models_dir: Path) -> Path:
    """A file with a manifest and a vocabulary, for text in, answer out."""
    made = build(models_dir / "with_text.tflite")
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "wind", "rain", "sun", "##ny", ".")
    vocabulary = Vocabulary(words, True, None, True)
    manifest = {
        "format": 1,
        "task": "classification",
        "config": {"num_segments": 2},
        "labels": list(LABELS),
        "output": "logits",
        "lengths": [8, 16],
        "max_length": 16,
        "tokenizer": vocabulary.to_settings(),
        "vocabulary_sha256": vocabulary.sha256,
        "file_sha256": UNSEALED,
    }
    data = add_metadata_buffers(
        made.path.read_bytes(), {"EDGEBERT_MANIFEST": json.dumps(manifest).encode()}
    )
    data = append_associated_files(data, {"vocab.txt": vocabulary.to_vocab_txt()})
    made.path.write_bytes(seal(data))
    return made.path


@pytest.fixture(scope="session")
def board_server(
    sshd_program: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LoopbackBoard]:
    with loopback_board(sshd_program, tmp_path_factory.mktemp("board")) as board:
        yield board


@pytest.fixture
def board(board_server: LoopbackBoard) -> Iterator[LoopbackBoard]:
    """A board behind ssh. Afterwards it must have no files of edgebert."""
    board_server.reset()
    yield board_server
    board_server.wait_until_clean()


@pytest.fixture
def quick() -> ProfileSettings:
    return ProfileSettings(warmup_runs=2, min_runs=12, max_seconds=0.6, end_to_end=False)


@pytest.fixture
def runner_process() -> Iterator[RunnerProcess]:
    with RunnerProcess(RUNNER, "runner") as process:
        yield process


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[[str], RunnerProcess]]:
    """Starts a Python program, given as text, instead of the runner."""
    started = []

    def start(source: str) -> RunnerProcess:
        started.append(RunnerProcess([sys.executable, "-c", source], "stand-in"))
        return started[-1]

    yield start
    for process in started:
        process.close()
