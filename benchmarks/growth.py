"""How cost grows from BERT-tiny to BERT-base (random weights): export, file, memory, latency.

    python -m benchmarks.growth --write

Each model is exported in a process of its own, with the recipe dynamic-int8 and one signature for
each length. Export time counts from the start of Python to its end. Latencies of all models at one
length are timed in turn.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measured_command import measure
from benchmarks.peer_page import GROWTH_MARK, machine, replace_part
from benchmarks.timing import in_turn

LENGTHS = (16, 32, 64, 128, 256, 512)
MODELS = {
    "BERT-tiny": (2, 128),
    "BERT-mini": (4, 256),
    "BERT-small": (4, 512),
    "BERT-medium": (8, 512),
    "BERT-base": (12, 768),
}
"""Layers and hidden size (Turc et al. 2019); heads of 64, neurons 4 times the hidden size."""
VOCABULARY = 30_522


@dataclass(frozen=True)
class Export:
    """One export: seconds, peak memory of its process, and sizes in bytes."""

    seconds: float
    peak_bytes: int
    float_bytes: int
    file_bytes: int


def write_model(folder: Path, layers: int, hidden: int) -> int:
    """Writes a classifier with random weights; gives the bytes of its float weights."""
    from converters.checkpoint import BertConfig, Checkpoint, expected_shapes
    from converters.vocabulary import Vocabulary
    from edgebert.encoding.tokenizer import Tokenizer
    from edgebert.models.task_model import TaskModel
    from edgebert.tasks import task_of_checkpoint

    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_layers=layers,
        num_heads=hidden // 64,
        intermediate_size=4 * hidden,
        max_positions=512,
    )
    rng = np.random.default_rng(0)
    weights = {
        name: (np.ones(shape) if name.endswith("scale") else rng.normal(0, 0.02, shape)).astype(
            np.float32
        )
        for name, shape in expected_shapes(config, 2, pooler=True).items()
    }
    checkpoint = Checkpoint(config, weights, ("negative", "positive"), "random")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = special + letters + [f"##{letter}" for letter in letters]
    words = [f"word{number}" for number in range(VOCABULARY - len(pieces))]
    tokenizer = Tokenizer(Vocabulary(tokens=(*pieces, *words), lowercase=True))
    TaskModel(checkpoint, tokenizer, 512, task_of_checkpoint(checkpoint)).save(folder)
    return sum(weight.nbytes for weight in weights.values())


def export_alone(folder: Path, out: Path, float_bytes: int) -> Export:
    """Exports in a process of its own."""
    lengths = ",".join(map(str, LENGTHS))
    cost = measure(["export", str(folder), "-o", str(out), "--lengths", lengths])
    return Export(cost.seconds, cost.peak_bytes, float_bytes, out.stat().st_size)


def latencies(files: dict[str, Path], passes: int) -> dict[str, dict[int, float]]:
    """Median milliseconds of each model at each length, one thread."""
    from edgebert.encoding.tokenizer import Encoding
    from edgebert.models.litert_model import LiteRtModel

    opened = {name: LiteRtModel.open(path) for name, path in files.items()}
    found: dict[str, dict[int, float]] = {name: {} for name in files}
    for length in LENGTHS:
        ids = tuple(int(i) for i in np.random.default_rng(length).integers(60, 20_000, length))
        encoding = Encoding(ids, (0,) * length, ((0, 0),) * length)
        sides: dict[str, Any] = {
            name: lambda _, model=model, encoding=encoding: model.run(encoding)
            for name, model in opened.items()
        }
        for timing in in_turn(sides, 1, passes):
            found[timing.name][length] = timing.median_ms
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=MODELS)
    parser.add_argument("--passes", type=int, default=15)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    arguments = parser.parse_args()
    exports, files = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.models:
            folder, out = Path(scratch) / name, Path(scratch) / f"{name}.tflite"
            exports[name] = export_alone(folder, out, write_model(folder, *MODELS[name]))
            files[name] = out
        found = latencies(files, arguments.passes)
    heads = " | ".join(f"{length} tokens" for length in LENGTHS)
    lines = [
        f"Machine: {machine()}. One thread, dynamic-int8, random weights, lengths "
        f"{', '.join(map(str, LENGTHS))} in one file.",
        "",
        f"| model | layers x hidden | float weights | file | export | peak memory | {heads} |",
        "| --- " * (6 + len(LENGTHS)) + "|",
    ]
    for name, made in exports.items():
        layers, hidden = MODELS[name]
        cells = " | ".join(f"{found[name][length]:.2f} ms" for length in LENGTHS)
        lines.append(
            f"| {name} | {layers} x {hidden} | {made.float_bytes / 1e6:.0f} MB | "
            f"{made.file_bytes / 1e6:.1f} MB | {made.seconds:.1f} s | "
            f"{made.peak_bytes / 1e6:.0f} MB ({made.peak_bytes / made.float_bytes:.1f} times the "
            f"float weights) | {cells} |"
        )
    text = "\n".join(lines)
    print(text)
    if arguments.write:
        docs = Path(__file__).resolve().parents[1] / "docs"
        replace_part(docs / "benchmarks.md", GROWTH_MARK, text)


if __name__ == "__main__":
    main()
