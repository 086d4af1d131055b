"""Targets of the files of runs: records, configurations, reports, tables, caches and states."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from edgebert.evaluation import semantic_index
from edgebert.pipeline import records
from edgebert.pipeline.config_file import read_config
from edgebert.pruning.latency_table import LatencyTable, read_latency_table
from edgebert.reporting.merging import merge
from edgebert.reporting.sources import read_source
from edgebert.searching.records import SearchFolder
from edgebert.training.record import _read_speed, timings_path
from edgebert.training.state import TrainingFolder
from tests.edgebert.reporting.examples import check, everywhere, measured, parts
from tests.edgebert.reporting.test_sources import EVALUATION
from tests.fuzz.mutations import mutate_bytes, mutate_json, mutate_toml
from tests.fuzz.targets import Case, Target, written

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def _stage_records(folder: Path) -> list[Case]:
    (folder / "model.safetensors").write_bytes(b"weights")
    inputs = {"a": 1, "b": [1, {"c": None}]}
    record = records.Record("finetune", inputs, {}, {"rows": 3}, 1.5, "now")
    records.write_record(folder, record)
    path = folder / records.RECORD
    seed = path.read_bytes()
    content = json.loads(seed)
    content["outputs"] = {"model.safetensors": "00", "a/b.json": "11"}

    def read(path: Path) -> object:
        found = records.read_record(folder)
        return records.why_not_done(found, {"a": 2}, folder)

    def begin(path: Path) -> object:
        return records.begin(folder, {"a": 1}, False)

    def search(path: Path) -> object:
        made = SearchFolder(folder, {"model": 1, "settings": {"a": [1]}}, True)
        return made.trial("key")

    identity = json.dumps({"model": 1, "settings": {"a": [1]}}).encode()
    trials = folder / "trials"
    trials.mkdir()
    trial = json.dumps({"refused": "", "dev": {"accuracy": 0.5}, "size_bytes": 9}).encode()

    def read_trial(path: Path) -> object:
        (folder / "search.json").write_bytes(identity)
        return search(path)

    out = folder / "model"
    speed = json.dumps({"sentences_per_second": 3.5}).encode()
    return [
        Case("stage.json", [seed, json.dumps(content).encode()], mutate_json, written(path, read)),
        Case(".started.json", [b"00" * 32], mutate_bytes, written(folder / records.STARTED, begin)),
        Case("search.json", [identity], mutate_json, written(folder / "search.json", search)),
        Case("trial", [trial], mutate_json, written(trials / "key.json", read_trial)),
        Case(
            "timings", [speed], mutate_json, written(timings_path(out), lambda p: _read_speed(out))
        ),
    ]


def _toml(folder: Path) -> list[Case]:
    seeds = [path.read_bytes() for path in sorted(EXAMPLES.glob("*.toml"))]
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        (folder / name).write_text("text\tlabel\na\tb\n")
    small = (
        b'name = "x"\nbase = "b"\nout = "o"\ntask = "ner"\n[data]\ntrain = "train.tsv"\n'
        b'test = "test.tsv"\n[finetune]\nepochs = 2\n[structure]\nheads = 1\n[vocabulary]\n'
        b'common_pieces = 4\n[distill]\nstudent = "tiny"\nepochs = 1\n[[export]]\n'
        b'model = "finetuned"\nlengths = "8,24"\nrecipe = "float32"\n[profile]\nlengths = [24]\n'
    )
    return [
        Case(
            "run.toml",
            [small, small, *seeds],
            mutate_toml,
            written(folder / "run.toml", read_config),
        )
    ]


def _reports(folder: Path) -> list[Case]:
    values = everywhere()
    report = merge(parts()[:2])
    seeds = [
        [measured("int8", 2.0).to_dict(), check("int8").to_dict()],
        values[0].to_dict(),
        values[-1].to_dict(),
        [EVALUATION],
        report.to_dict(),
    ]
    texts = [json.dumps(seed).encode() for seed in seeds]
    return [Case("report.json", texts, mutate_json, written(folder / "r.json", read_source))]


def _latency_tables(folder: Path) -> list[Case]:
    curve = ((0, 0.0), (1, 0.5), (2, 0.9))
    table = LatencyTable("cpu", "int8", 24, 0.3, 0.1, curve, curve, curve, curve)
    seed = json.dumps(table.to_dict()).encode()

    def read(path: Path) -> object:
        found = read_latency_table(path)
        return found.attention_ms([0, 1, 2], True), found.feed_forward_ms([1], False)

    return [Case("table.json", [seed], mutate_json, written(folder / "table.json", read))]


def _indexes(folder: Path) -> list[Case]:
    stream = io.BytesIO()
    hashes, vectors = np.arange(96, dtype=np.uint8).reshape(3, 32), np.eye(3, dtype=np.float32)
    np.savez(stream, format=semantic_index._FORMAT, model="00", hashes=hashes, vectors=vectors)
    path = folder / "index.npz"

    def read(path: Path) -> object:
        return semantic_index._read(path, "00")

    return [Case("index", [stream.getvalue()], mutate_bytes, written(path, read))]


def _states(folder: Path) -> list[Case]:
    identity = {"stage": "finetune", "settings": {"epochs": 3}}
    made = TrainingFolder(folder, identity)
    made.write({"w": np.ones(3, np.float32)}, {"epoch": 1, "best_epoch": None})
    path = made.path / "state.safetensors"
    seed = path.read_bytes()
    header = seed[8 : 8 + int.from_bytes(seed[:8], "little")]

    def with_header(data: bytes) -> object:
        path.write_bytes(len(data).to_bytes(8, "little") + data + seed[-12:])
        return made.read()

    other = save({"w": np.ones(3, np.float32)}, {"identity": json.dumps(identity), "facts": "{}"})
    return [
        Case("state", [seed, other], mutate_bytes, written(path, lambda p: made.read())),
        Case("header", [header], mutate_json, with_header),
    ]


TARGETS = (
    Target("stage-records", _stage_records),
    Target("toml", _toml),
    Target("reports", _reports),
    Target("latency-tables", _latency_tables),
    Target("index-files", _indexes),
    Target("training-states", _states),
)
