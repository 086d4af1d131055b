"""Size and time of ELECTRA-small and MobileBERT in their published shapes, with random weights.

    python -m benchmarks.small_shapes [ROUNDS]

All files are timed in turn in each round, with one thread, on a text that fills the length. The
time is that of the thread (`time.thread_time`), so that other programs of the machine disturb it
less; figures are medians of the rounds. In `int4`, every kernel of the encoder is in 4 bits, where
the recipe of the same name keeps the most sensitive ones in 8.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from converters.bert_config import NO_POOLER, RELU, BertConfig
from converters.checkpoint import GELU_EXACT, Checkpoint, expected_shapes
from converters.norm_folding import fold_norms
from converters.tflite.graph_heads import LOGITS
from converters.tflite.inference_graph import Precision, build_inference_graph, signature_key
from converters.tflite.quantized_matrix import quantize_int4
from edgebert.models.litert_runtime import open_runtime
from edgebert.quantization.sensitivity import parts_of

LENGTHS = (32, 128)
VOCABULARY = 30_522
MINILM = BertConfig(VOCABULARY, 384, 6, 12, 1536, 512)
SHAPES = {
    "MiniLM-L6": MINILM,
    "ELECTRA-small": BertConfig(
        VOCABULARY, 256, 12, 4, 1024, 512, embedding_size=128, pooler_activation=GELU_EXACT
    ),
    "MobileBERT": BertConfig(
        VOCABULARY,
        512,
        24,
        4,
        512,
        512,
        activation=RELU,
        pooler_activation=NO_POOLER,
        embedding_size=128,
        bottleneck_size=128,
        num_feed_forwards=4,
    ),
}
PRECISIONS = {
    "float32": Precision("float32", "float32"),
    "dynamic-int8": Precision("dynamic-int8", "int8"),
    "int4": Precision("dynamic-int8", "int4"),
}


def random_classifier(config: BertConfig) -> Checkpoint:
    """A classifier of two labels with random weights and the factors of a trained NoNorm."""
    rng = np.random.default_rng(0)
    weights = {}
    for name, shape in expected_shapes(config, 2, False).items():
        value = rng.normal(0, 0.02, shape)
        weights[name] = (value + name.endswith("scale")).astype(np.float32)
    return Checkpoint(config, weights, ("no", "yes"))


def build(config: BertConfig, name: str, path: Path) -> None:
    checkpoint = fold_norms(random_classifier(config))
    precision = PRECISIONS[name]
    if name == "int4":
        kernels = [kernel for part in parts_of(checkpoint) for kernel in part.kernels]
        stored = {each: quantize_int4(checkpoint.weights[f"{each}.kernel"]) for each in kernels}
        precision = replace(precision, by_kernel=stored)
    path.write_bytes(build_inference_graph(checkpoint, LENGTHS, precision, LOGITS).finish())


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        calls, sizes = {}, {}
        for shape, config in SHAPES.items():
            for precision in PRECISIONS:
                path = Path(scratch) / f"{shape}-{precision}.tflite"
                build(config, precision, path)
                sizes[shape, precision] = path.stat().st_size
                runtime = open_runtime(path, 1, fixed_lengths=True)
                for length in LENGTHS:
                    run = runtime.signature(signature_key(length))
                    calls[shape, precision, length] = (runtime, run)
        taken: dict[tuple[str, str, int], list[float]] = {key: [] for key in calls}
        for _ in range(rounds):
            for key, (_, run) in calls.items():
                ones = np.ones((1, key[2]), np.int32)
                inputs = {"token_ids": ones, "padding_mask": ones, "segment_ids": ones * 0}
                run(inputs)  # the first call after another model finds a cold cache
                start = time.thread_time()
                run(inputs)
                taken[key].append(1e3 * (time.thread_time() - start))
        median = {key: statistics.median(values) for key, values in taken.items()}
        for (shape, precision), size in sizes.items():
            parts = [f"{shape:14} {precision:13} {size / 1e6:7.2f} MB"]
            for length in LENGTHS:
                spent = median[shape, precision, length]
                ratio = spent / median["MiniLM-L6", "dynamic-int8", length]
                parts.append(f"{length} tokens {spent:7.2f} ms ({ratio:.2f} x MiniLM-L6 int8)")
            print("  ".join(parts))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
