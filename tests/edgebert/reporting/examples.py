"""Example measurements of a laptop, a board, phones and browsers with invented values."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace

from edgebert.profiling.device_check import DeviceCheck
from edgebert.profiling.measurement import (
    ColdStart,
    Device,
    Measurement,
    OperationTime,
    SustainedPoint,
    summarize,
)
from edgebert.reporting.report import Report, Row, Score, row_of

LAPTOP = Device("", "AMD EPYC 9R14", 2, "x86_64", "Linux-6.1", ("avx2", "avx512_vnni"), 0.1)
BOARD = Device(
    "Raspberry Pi 5 Model B Rev 1.0",
    "Cortex-A76",
    4,
    "aarch64",
    "Linux-6.6",
    ("asimddp",),
    0.2,
    "ondemand",
    {"python": "3.11.2"},
)
PHONE = Device(
    "Google Pixel 7",
    "Tensor G2",
    8,
    "arm64-v8a",
    "Android 14",
    ("asimddp",),
    None,
    "sched_pixel",
    {"battery saver": "off", "thermal state before": "none", "thermal state after": "light"},
)
BROWSER = Device(
    "iPhone 15",
    "",
    6,
    "arm64",
    "iOS 17.5",
    details={"browser": "Safari 17.5", "wasm build": "simd, one thread"},
)
PLACES = (
    ("cpu", LAPTOP, "ai-edge-litert 2.3.0", 1.0),
    ("ssh:pi@raspberrypi", BOARD, "ai-edge-litert 2.3.0", 6.1),
    ("adb:29051FDH2000XX", PHONE, "benchmark_model of LiteRT 2.3.0", 3.4),
    ("browser", BROWSER, "LiteRT.js 2.5.3, wasm", 9.2),
)
FILES = (
    ("sst2_float32", 91_000_000, 84_000_000, 3.1, 0.921),
    ("sst2_int8", 23_680_000, 21_150_000, 1.0, 0.917),
    ("sst2_int8_pruned", 17_100_000, 15_300_000, 0.6, 0.898),
)
LENGTHS = (16, 32, 64, 128)


def sha_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def measured(name: str, ms: float, length: int | None = 16, **changes: object) -> Measurement:
    values: dict[str, object] = {
        "model": f"{name}.tflite",
        "name": name,
        "sha256": sha_of(name),
        "size_bytes": 1000,
        "gzip_bytes": 800,
        "target": "cpu",
        "device": Device("", "a processor", 2, "x86_64", "Linux"),
        "runtime": "ai-edge-litert 2.3.0",
        "session": "one",
        "threads": 1,
        "signature": f"tokens_{length}" if length else None,
        "length": length,
        "kind": "model" if length else "end_to_end",
        "texts": 0 if length else 8,
        "load_ms": 3.0,
        "first_call_ms": 4.0,
        "latency": summarize([[ms, ms * 1.1, ms * 1.5]] * 6),
        "peak_memory_bytes": 50_000_000,
        "model_memory_bytes": 1_000_000,
        "warnings": (),
        "measured": "2026-01-02T03:04:05Z",
    }
    return Measurement(**{**values, **changes})  # type: ignore[arg-type]


def operations(total_ms: float, layers: int = 6) -> tuple[OperationTime, ...]:
    """Operation times of a BERT: most of the time is in matrix products."""
    shares = (
        ("attention.qkv", "FULLY_CONNECTED", 0.24),
        ("attention.scores", "BATCH_MATMUL", 0.08),
        ("attention.softmax", "SOFTMAX", 0.04),
        ("attention.context", "BATCH_MATMUL", 0.07),
        ("attention.output", "FULLY_CONNECTED", 0.08),
        ("attention.norm", "MEAN", 0.01),
        ("feed_forward.up", "FULLY_CONNECTED", 0.21),
        ("feed_forward.gelu", "GELU", 0.04),
        ("feed_forward.down", "FULLY_CONNECTED", 0.21),
        ("feed_forward.norm", "MEAN", 0.01),
    )
    first = (
        OperationTime("embeddings.tokens", "EMBEDDING_LOOKUP", 0.02 * total_ms),
        OperationTime("embeddings.norm", "MEAN", 0.005 * total_ms),
    )
    last = (OperationTime("classifier", "FULLY_CONNECTED", 0.002 * total_ms),)
    body = tuple(
        OperationTime(f"layers.{layer}.{part}", kind, share * 0.97 * total_ms / layers)
        for layer in range(layers)
        for part, kind, share in shares
    )
    return (*first, *body, *last)


def sustained(ms: float, minutes: int = 10) -> tuple[SustainedPoint, ...]:
    """A phone that becomes warm and slower."""
    points = []
    for step in range(1, minutes * 4 + 1):
        warm = 1 - math.exp(-step / 14)
        slow = 1 + 0.55 / (1 + math.exp(-(step - 18) / 2.5))
        points.append(
            SustainedPoint(
                seconds=15.0 * step,
                calls=int(15_000 / (ms * slow)),
                p50_ms=ms * slow,
                p90_ms=ms * slow * 1.15,
                temperature_c=31 + 14 * warm,
                frequency_mhz=2850 / slow,
                thermal_state="none" if step < 14 else "light" if step < 26 else "moderate",
            )
        )
    return tuple(points)


def everywhere(files: Sequence[tuple[str, int, int, float, float]] = FILES) -> list[Measurement]:
    """Each file on each device."""
    found = []
    for place, (target, device, runtime, slowness) in enumerate(PLACES):
        for name, size, gzip, speed, _ in files:
            facts = {
                "size_bytes": size,
                "gzip_bytes": gzip,
                "target": target,
                "device": device,
                "runtime": runtime,
                "session": f"{place}f3a9c1d2e4b",
                "load_ms": 2.0 * slowness,
                "first_call_ms": 40.0 * slowness,
                "measured": f"2026-01-02T1{place}:30:00Z",
            }
            for length in LENGTHS:
                ms = 0.03 * length * speed * slowness
                more: dict[str, object] = {}
                if length == LENGTHS[-1] and name == "sst2_int8" and target != "browser":
                    more["operations"] = operations(ms)
                if length == LENGTHS[-1] and target.startswith("adb"):
                    more["sustained"] = sustained(ms)
                    more["warnings"] = (
                        "The phone grew warm: its thermal state went from none to moderate. "
                        "Next: let it cool down and measure again.",
                    )
                if target == "cpu":
                    more["weights_bytes"] = size
                    more["arena_bytes"] = 20_000 * length
                    more["energy_mj"] = 12.5 * ms
                if target == "cpu" and length == LENGTHS[0]:
                    more["cold_start"] = ColdStart(1.5, 45.0, 1.6, 11.0, size)
                found.append(measured(name, ms, length, **facts, **more))
            if target in ("cpu", "browser"):
                found.append(measured(name, 0.8 * speed * slowness, None, **facts))
    return found


def check(name: str, **changes: object) -> DeviceCheck:
    values: dict[str, object] = {
        "model": f"{name}.tflite",
        "name": name,
        "sha256": sha_of(name),
        "target": "adb:29051FDH2000XX",
        "device": "Google Pixel 7",
        "runtime": "LiteRT 2.3.0",
        "data": "dev",
        "data_sha256": "cd",
        "rows": 200,
        "token_ids_equal": True,
        "label_agreement": 1.0,
        "max_score_error": 2.4e-4,
        "mean_score_error": 1e-5,
        "value": 0.915,
        "host_value": 0.915,
    }
    return DeviceCheck(**{**values, **changes})  # type: ignore[arg-type]


def checks() -> list[DeviceCheck]:
    return [
        check("sst2_int8"),
        check(
            "sst2_int8",
            target="browser",
            device="iPhone 15",
            runtime="LiteRT.js 2.5.3",
            label_agreement=0.995,
            max_score_error=0.031,
            value=0.91,
            differing=(("it's a charming and often affecting journey.", "negative", "positive"),),
        ),
        check(
            "sst2_int8",
            target="qemu-arm64",
            device="",
            token_ids_equal=None,
            notes=("ARM kernels emulated: they say what is computed, never how fast.",),
        ),
    ]


def scored_row(name: str, accuracy: float) -> Row:
    score = Score("test", "ef", 1821, {"accuracy": accuracy, "macro_f1": accuracy - 0.002})
    return Row(name, "", "dynamic-int8", {}, sha256=sha_of(name), scores=(score,))


def parts() -> list[Report]:
    """All examples as small reports, as they are read from sources."""
    rows = list(map(row_of, everywhere()))
    again = replace(rows[4].measurements[0], session="second", measured="2026-01-03T08:00:00Z")
    return [
        *(Report("", (row,)) for row in rows),
        Report("", (replace(rows[4], measurements=(again,)),)),
        *(Report("", (scored_row(name, accuracy),)) for name, *_, accuracy in FILES),
        *(Report("", (), checks=(one,)) for one in checks()),
    ]
