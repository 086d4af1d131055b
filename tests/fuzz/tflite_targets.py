"""Targets of `.tflite` files: manifest, metadata, archive, structure, and the native runtime."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from converters.channel_scales import balance_channels
from converters.compaction import compact
from converters.tflite.metadata import (
    add_metadata_buffers,
    append_associated_files,
    describe_metadata,
    metadata_buffer_span,
    read_associated_files,
)
from converters.tflite.tflite_file import one_subgraph, read_model
from converters.tflite.verification import verify_model
from edgebert.exporting import artifact
from edgebert.exporting.graph import QuantizedGraph, build_graph
from edgebert.exporting.packaging import pack
from edgebert.exporting.signatures import choose_signatures
from edgebert.models import litert_model, runtime_trial
from edgebert.models.litert_model import LiteRtModel, _vocabulary
from edgebert.models.litert_runtime import load_interpreter, open_runtime
from edgebert.models.manifest import MANIFEST_NAME, read_manifest
from edgebert.profiling.plan import read_model_files
from edgebert.quantization.recipes import precision_of
from edgebert.settings import TASKS, ExportSettings
from tests.fuzz.checkpoint_targets import CONFIG, TEXT, tiny
from tests.fuzz.mutations import mutate_bytes, mutate_json
from tests.fuzz.targets import Case, Target, TrialEnded, written

TRIAL_SECONDS = 10.0
_NO_WEIGHTS = 2000
"""The tables of a graph are within this many bytes of its end or of its start."""


def exported(task: str, settings: ExportSettings) -> bytes:
    """The tiny model of a task as a file, without the hash of its bytes."""
    model = artifact._with_masks(tiny(task), settings)
    signatures = choose_signatures(model, settings, ())
    checkpoint = balance_channels(compact(model.checkpoint))
    body = build_graph(checkpoint, signatures, precision_of(settings))
    manifest = artifact._manifest(model, settings, signatures, QuantizedGraph(body, {}))
    parts = pack(body, manifest, model.tokenizer.vocabulary, model.checkpoint.head)
    return without_hash(b"".join(parts))


def without_hash(data: bytes) -> bytes:
    """A file as another program, or an old version, wrote it: nothing vouches for its bytes."""
    span = metadata_buffer_span(data, MANIFEST_NAME)
    assert span is not None
    content = json.loads(data[span.start : span.stop])
    del content["file_sha256"]
    return add_metadata_buffers(data, {MANIFEST_NAME: json.dumps(content).encode()})


def _seeds(*tasks: str) -> list[bytes]:
    return [exported(task, ExportSettings(lengths="8")) for task in tasks]


def _manifests(folder: Path) -> list[Case]:
    """A damaged manifest in a good file, which is opened and answers with an output of zeros."""
    mock.patch.object(litert_model, "require_loadable", lambda *_, **__: None).start()
    mock.patch.object(litert_model, "open_runtime", lambda *_, **__: _ZeroRuntime()).start()
    return [_manifest_case(folder, task) for task in TASKS]


class _ZeroRuntime:
    """Stands for the native runtime: outputs of zeros of the right shapes."""

    shapes: dict[str, tuple[int, ...]]

    def signature(self, key: str) -> Callable[[object], dict[str, np.ndarray]]:
        return lambda _: {name: np.zeros(shape, np.float32) for name, shape in self.shapes.items()}


def _manifest_case(folder: Path, task: str) -> Case:
    data = exported(task, ExportSettings(lengths="8"))
    span = metadata_buffer_span(data, MANIFEST_NAME)
    assert span is not None
    (subgraph,) = read_model(data).subgraphs
    shapes = {
        name: tuple(subgraph.tensors[index].shape) for name, index in _outputs(data, subgraph)
    }
    path = folder / f"{task}.tflite"

    def read(content: bytes) -> object:
        path.write_bytes(add_metadata_buffers(data, {MANIFEST_NAME: content}))
        _ZeroRuntime.shapes = shapes
        model = LiteRtModel.open(path)
        if not model.task.has_answers:
            return None
        return model.answer(model.task.example(*[TEXT] * model.task.texts_of(model.decoding)))

    return Case(task, [bytes(data[span.start : span.stop])], mutate_json, read)


def _outputs(data: bytes, subgraph: object) -> list[tuple[str, int]]:
    from converters.tflite.tflite_file import model_object

    (signature,) = model_object(data).signatureDefs
    return [(item.name.decode(), item.tensorIndex) for item in signature.outputs]


def _metadata(folder: Path) -> list[Case]:
    path = folder / "m.tflite"

    def read(data: bytes) -> object:
        path.write_bytes(data)
        with contextlib.suppress(litert_model.ModelError):
            _vocabulary(path, data, read_manifest(path, data))
        read_associated_files(data)
        return describe_metadata(data)

    seeds = _seeds("classification", "embeddings", "qa")
    small = [append_associated_files(one_subgraph(seeds[0], 0), {"a.txt": b"a\n", "b.txt": b"b"})]
    return [
        Case("file", seeds, mutate_bytes, read),
        Case("archive", small, mutate_bytes, read),
        Case("profiled", seeds, mutate_bytes, written(path, lambda p: read_model_files([p]))),
    ]


def _structures(folder: Path) -> list[Case]:
    def read(data: bytes) -> object:
        verify_model(data)
        return read_model(data)

    return [Case("graph", _seeds("classification", "qa", "masked-lm"), mutate_bytes, read)]


def _native(folder: Path) -> list[Case]:
    path = folder / "m.tflite"
    load_interpreter(_first(path), threads=1)  # so that the children needn't import it

    def read(data: bytes) -> object:
        path.write_bytes(data)
        verify_model(data)
        manifest = read_manifest(path, data)
        keys = [f"tokens_{length}" for length in manifest.lengths]
        ended = _in_child(lambda: runtime_trial._main(path, keys))
        if ended:
            raise TrialEnded(ended)
        ended = _in_child(lambda: _run_as_here(path, keys))
        if ended:
            raise AssertionError(f"a file that passed the trial ended this process: {ended}")
        return None

    def inspect(data: bytes) -> object:
        path.write_bytes(data)
        verify_model(data)
        ended = _in_child(lambda: load_interpreter(path, threads=1)._get_ops_details())
        if ended:
            raise TrialEnded(ended)
        return None

    recipes = ("dynamic-int8", "float32", "weight-int8", "float16")
    seeds = [exported("classification", ExportSettings(recipe=r, lengths="8")) for r in recipes]
    seeds += _seeds("qa", "embeddings", "masked-lm")
    return [
        Case("run", seeds, mutate_bytes, read),
        Case("run", seeds, mutate_bytes, read),
        Case("inspect", seeds, mutate_bytes, inspect),
    ]


def _first(path: Path) -> Path:
    path.write_bytes(_seeds("classification")[0])
    return path


def _run_as_here(path: Path, keys: list[str]) -> None:
    """Runs the signatures with the ids of a text, as this process does after the trial."""
    runtime = open_runtime(path, threads=1, fixed_lengths=True)
    rng = np.random.default_rng(0)
    for key in keys:
        shape = (1, int(key.removeprefix("tokens_")))
        ids = rng.integers(0, CONFIG.vocab_size, shape).astype(np.int32)
        ones = np.ones(shape, np.int32)
        runtime.signature(key)({"token_ids": ids, "padding_mask": ones, "segment_ids": ones})


def _in_child(work: Callable[[], object]) -> str:
    """Runs work in a forked process. Returns the signal that ended it, `hang`, or nothing."""
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        signal.alarm(0)
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    began = time.monotonic()
    while time.monotonic() - began < TRIAL_SECONDS:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else ""
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hang"


TARGETS = (
    Target("tflite-manifest", _manifests),
    Target("tflite-metadata", _metadata),
    Target("tflite-structure", _structures),
    Target("tflite-runtime", _native, count=10_000, is_slow=True),
)
