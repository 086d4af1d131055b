"""Latency of the MiniLM encoder at fixed lengths, and from text to label, against ready-made int8
encoders of ONNX Runtime and OpenVINO in EDGEBERT_PEERS and keras-hub's own export.

    python -m benchmarks.encoder_latency

`benchmarks.peers` compares whole classifiers and makes the peers' files itself.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import models
from benchmarks.timing import in_turn, print_timings
from edgebert.data.datasets import read_dataset
from edgebert.encoding.tokenizer import Encoding
from edgebert.exporting.artifact import ExportTexts, export
from edgebert.models.litert_model import LiteRtModel
from edgebert.settings import ExportSettings

TEXTS = 200


def fixed_length(length: int, threads: int, scratch: Path, stock: bool) -> None:
    """One length, ids in, scores out."""
    model = models.minilm_classifier()
    ours = export(model, scratch / f"ours_{length}.tflite", ExportSettings(length=length))
    opened = LiteRtModel.open(ours.path, threads)
    token_ids = np.random.default_rng(0).integers(1000, 20000, (1, length))
    row = tuple(int(i) for i in token_ids[0])
    encoding = Encoding(row, (0,) * length, ((0, 0),) * length)
    sides = {"edgebert dynamic-int8": lambda _: opened.run(encoding)}
    ort, ov = models.onnx_runtime(threads), models.openvino(threads)
    sides["ONNX Runtime int8"] = lambda _: ort(token_ids)
    sides["OpenVINO int8"] = lambda _: ov(token_ids)
    if stock:
        path = models.keras_hub_litert(model, length, scratch / "keras_hub.tflite")
        hub = models.litert(path, threads)
        sides["keras-hub export, int8"] = lambda _: hub(token_ids)
        size = path.stat().st_size
        print(
            f"size: ours {ours.size_bytes / 1e6:.2f} MB, keras-hub's {size / 1e6:.2f} MB, "
            f"ratio {ours.size_bytes / size:.3f}"
        )
    print_timings(f"{length} tokens, {threads} thread(s)", in_turn(sides, 20, 15))


def text_to_label(threads: int, scratch: Path) -> None:
    """SST-2's test sentences: tokenization, inference and the best label, a text at a time."""
    train = read_dataset(models.DATA / "sst2" / "train.tsv.gz").texts
    texts = list(read_dataset(models.DATA / "sst2" / "test.tsv").texts)[:TEXTS]
    model = models.minilm_classifier()
    sentences = [text for text in train if len(text.split()) > 8]
    ways = {
        "edgebert, --lengths auto": ExportSettings(lengths="auto"),
        "edgebert, 16,32,64,128": ExportSettings(),
        "edgebert, --dynamic-length": ExportSettings(dynamic_length=True),
    }
    sides = {}
    for name, settings in ways.items():
        path = scratch / f"{abs(hash(name))}.tflite"
        artifact = export(model, path, settings, texts=ExportTexts(lengths=sentences))
        print(
            f"{name}: lengths {artifact.manifest.lengths or 'free'}, "
            f"{artifact.size_bytes / 1e6:.2f} MB"
        )
        opened = LiteRtModel.open(path, threads)
        sides[name] = lambda i, opened=opened: opened.classify(texts[i])
    head = model.checkpoint.weights["classifier.kernel"].T
    for name, run in (
        ("ONNX Runtime int8", models.onnx_runtime(threads)),
        ("OpenVINO int8", models.openvino(threads)),
    ):
        sides[name] = models.peer_classifier(run, model.tokenizer, texts, head)
    counts = model.tokenizer.count_lengths(texts)
    timings = in_turn(sides, len(texts), 9)
    print_timings(
        f"SST-2 test, {len(texts)} sentences of {counts.mean():.1f} tokens on average, "
        f"text in, label out, {threads} thread(s)",
        timings,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-stock", action="store_true", help="leave keras-hub's export out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        text_to_label(arguments.threads, scratch)
        for length in (128, 32):
            fixed_length(length, arguments.threads, scratch, not arguments.no_stock)


if __name__ == "__main__":
    main()
