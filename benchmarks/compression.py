"""What compression buys: pruned, trimmed and distilled MiniLM beside the unpruned int8 file and
ONNX Runtime, on test text: accuracy, size, and latency from text to label, all in turn in one run.

    python -m benchmarks.compression sst2 TEACHER --models small=FOLDER tiny=FOLDER

TEACHER is a fine-tuned folder; the FOLDERs are what `edgebert prune` and `edgebert distill` made of
it (docs/compression.md has the commands). Each is exported with int8 and with int4 embeddings.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import models
from benchmarks.timing import in_turn
from edgebert.data.datasets import read_dataset
from edgebert.evaluation.predictors import KerasPredictor, evaluate
from edgebert.exporting.artifact import ExportTexts, export
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import open_model
from edgebert.settings import ExportSettings

TEXTS, PASSES = 200, 15
EMBEDDINGS = ("int8", "int4")


def main() -> None:
    """Prints one row a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=("sst2", "clinc150"))
    parser.add_argument("teacher", type=Path)
    parser.add_argument("--models", nargs="*", default=[], help="name=folder")
    arguments = parser.parse_args()
    folder = models.DATA / arguments.data
    train, test = (read_dataset(folder / name) for name in ("train.tsv.gz", "test.tsv"))
    length_texts = [text for text in train.texts if len(text.split()) > 8]
    teacher = open_model(arguments.teacher)
    float_accuracy = evaluate(KerasPredictor(teacher), test).metrics["accuracy"]
    texts = list(np.random.default_rng(0).permutation(test.texts)[:TEXTS])
    candidates = [("unpruned", teacher, "int8")]
    for pair in arguments.models:
        name, _, path = pair.partition("=")
        candidates += [(f"{name} {kind}", open_model(path), kind) for kind in EMBEDDINGS]
    with tempfile.TemporaryDirectory() as scratch:
        rows, sides, cores = [], {}, {}
        for number, (name, model, embedding) in enumerate(candidates):
            path = Path(scratch) / f"{number}.tflite"
            settings = ExportSettings(lengths="auto", embedding=embedding)
            artifact = export(model, path, settings, texts=ExportTexts(lengths=length_texts))
            opened = LiteRtModel.open(path)
            accuracy = evaluate(opened, test).metrics["accuracy"]
            rows.append((name, artifact.size_bytes, accuracy))
            sides[name] = lambda i, opened=opened: opened.classify(texts[i])
            encoded = opened.tokenizer.encode_batch(texts, opened.max_length)
            cores[name] = lambda i, opened=opened, encoded=encoded: opened.run(encoded[i])
        head = teacher.checkpoint.weights["classifier.kernel"].T
        sides["ONNX Runtime"] = models.peer_classifier(
            models.onnx_runtime(1), teacher.tokenizer, texts, head
        )
        timings = {t.name: t for t in in_turn(sides, TEXTS, PASSES)}
        alone = {t.name: t for t in in_turn(cores, TEXTS, PASSES)}
    base, peer = timings["unpruned"].median_ms, timings["ONNX Runtime"].median_ms
    print(f"{arguments.data}: float {float_accuracy:.2%} on {len(test)} test rows")
    print(f"ONNX Runtime int8, unpruned: {peer:.3f} ms from text to label")
    for name, size, accuracy in rows:
        ms, model_ms = timings[name].median_ms, alone[name].median_ms
        lost = 100 * (float_accuracy - accuracy)
        print(
            f"{name:16s} {size / 1e6:6.2f} MB  {accuracy:.2%} ({lost:.2f} lost)  "
            f"text to label {ms:.3f} ms = {ms / base:.3f} of unpruned, {peer / ms:.1f} x faster "
            f"than ONNX Runtime; model alone {model_ms:.3f} ms = "
            f"{model_ms / alone['unpruned'].median_ms:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
