"""Stands in for the demo app's benchmark screen on the "phone" of adb_device_server.

It keeps to the contract of edgebert.profiling.adb.app with this machine's tokenizer and
runtime, so ids, outputs and labels are real and times are this machine's. How it misbehaves is
said in $PHONE/app_mode: "crash", "stall", "old", "other-label", "other-ids", "failed".

    python phone_app.py REQUEST.json RESULT.json
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from edgebert.models.litert_model import LiteRtModel


def main(request_path: str, result_path: str) -> int:
    phone = os.environ["PHONE"]
    mode_file = Path(phone, "app_mode")
    mode = mode_file.read_text() if mode_file.exists() else ""
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    head = {"format": "edgebert-app-result", "version": 1, "id": request["id"]}
    if mode == "old":
        head["version"] = 0
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
    first = timed_call(model, (timed["texts"] if timed else check)[0])
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
            "blocks_ms": blocks(model, timed) if timed else [],
            "check": [row(model, text, mode) for text in check] if check is not None else None,
        },
    )
    return 0


def blocks(model: LiteRtModel, timed: dict[str, Any]) -> list[list[float]]:
    texts = timed["texts"]
    return [
        [timed_call(model, texts[call % len(texts)]) for call in range(timed["block_calls"])]
        for _ in range(timed["blocks"])
    ]


def timed_call(model: LiteRtModel, text: str) -> float:
    began = time.perf_counter()
    model.classify(text)
    return 1e3 * (time.perf_counter() - began)


def row(model: LiteRtModel, text: str, mode: str) -> dict[str, Any]:
    encoding = model.tokenizer.encode(text, max_length=model.max_length)
    outputs = [float(value) for value in model.run(encoding)]
    label, _ = model.classify(text)
    ids = list(encoding.token_ids)
    if mode == "other-label":
        label = next(other for other in model.labels if other != label)
    if mode == "other-ids":
        ids[1:-1] = [1]
    return {"token_ids": ids, "outputs": outputs, "label": label}


def write(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result), encoding="utf-8")
    part.rename(path)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
