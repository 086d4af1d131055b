"""Replaces the demo app's benchmark screen on the "phone" of adb_device_server.

It implements the contract of edgebert.profiling.adb.app with this machine's tokenizer and runtime,
so ids, outputs and labels are real, and times are those of this machine. The file $PHONE/app_mode
selects an error: "crash", "stall", "old", "other-answer", "other-ids", "constant-outputs",
"rounded-outputs", "failed".

    python phone_app.py REQUEST.json RESULT.json
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgebert.data.conll_files import TaggedSentence
from edgebert.encoding.tokenizer import Encoding
from edgebert.models.litert_model import LiteRtModel


def main(request_path: str, result_path: str) -> int:
    phone = os.environ["PHONE"]
    mode_file = Path(phone, "app_mode")
    mode = mode_file.read_text() if mode_file.exists() else ""
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    head = {"format": "edgebert-app-result", "version": 2, "id": request["id"]}
    if mode == "old":
        head["version"] = 1
    answer: dict[str, Any] = {**head, "state": "running", "done": 0, "total": 4, "error": ""}
    write(Path(result_path), answer)
    if mode == "crash":
        return 1
    if mode == "stall":
        time.sleep(60)
    if mode == "failed":
        write(Path(result_path), {**answer, "state": "failed", "error": "no OpenCL"})
        return 0
    path = Path(phone + request["model"])
    began = time.perf_counter()
    model = LiteRtModel.open(path, request["threads"])
    load_ms = 1e3 * (time.perf_counter() - began)
    timed, check = request["time"], request["check"]
    first = timed_call(model, (timed["inputs"] if timed else check)[0])
    write(
        Path(result_path),
        {
            **answer,
            "state": "done",
            "app_version": "0.1",
            "runtime": {"name": "LiteRT", "version": "stand-in"},
            "delegate": "cpu",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "load_ms": load_ms,
            "first_call_ms": first,
            "peak_memory_bytes": 50_000_000,
            "thermal_status": [None, None],
            "blocks_ms": blocks(model, timed) if timed else [],
            "check": [row(model, each, mode) for each in check] if check is not None else None,
        },
    )
    return 0


def blocks(model: LiteRtModel, timed: dict[str, Any]) -> list[list[float]]:
    inputs = timed["inputs"]
    return [
        [timed_call(model, inputs[call % len(inputs)]) for call in range(timed["block_calls"])]
        for _ in range(timed["blocks"])
    ]


def timed_call(model: LiteRtModel, given: dict[str, Any]) -> float:
    began = time.perf_counter()
    row(model, given, "")
    return 1e3 * (time.perf_counter() - began)


def row(model: LiteRtModel, given: dict[str, Any], mode: str) -> dict[str, Any]:
    task = model.task
    if "token_ids" in given:
        pairs = zip(given["token_ids"], given["segment_ids"], strict=True)
        encodings = [Encoding(tuple(ids), tuple(segments), ()) for ids, segments in pairs]
        return {"calls": [call(model, each, mode)[0] for each in encodings], "answer": None}
    if "words" in given:
        words = tuple(given["words"])
        example: Any = TaggedSentence(words, (None,) * len(words))
    else:
        example = task.example(*given["texts"])
    features = model.encode(example)
    calls, outputs = zip(*[call(model, each, mode) for each in features.encodings], strict=True)
    read = [model.read(*pair) for pair in zip(outputs, features.encodings, strict=True)]
    said = task.answers(read, features, model.facts)[0]
    answer = task.short_answer(said)
    if mode == "other-answer":
        answer = {name: 9.0 if isinstance(value, float) else "no" for name, value in answer.items()}
    return {"calls": list(calls), "answer": answer}


def call(model: LiteRtModel, encoding: Encoding, mode: str) -> tuple[dict[str, Any], np.ndarray]:
    named = model._slot(len(encoding))(encoding)
    if mode == "constant-outputs":
        named = {name: np.arange(output.size) + 0 * output for name, output in named.items()}
    elif mode == "rounded-outputs":
        named = {name: np.round(output, 2) for name, output in named.items()}
    ids = list(encoding.token_ids)
    if mode == "other-ids":
        ids[1:-1] = [1] * (len(ids) - 2)
    outputs = {
        name: base64.b64encode(np.asarray(output, "<f4").tobytes()).decode()
        for name, output in named.items()
    }
    made = {"token_ids": ids, "segment_ids": list(encoding.segment_ids), "outputs": outputs}
    return made, model.output_of(named, len(encoding))


def write(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result), encoding="utf-8")
    part.rename(path)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
