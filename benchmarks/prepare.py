"""Makes what `benchmarks.peers` times: an SST-2 classifier, our files of it, and the peers' files.

    python -m benchmarks.prepare FOLDER --peers-python PYTHON

Each file is made once; what is there already stays. On two cores it takes about 20 minutes, most of
it fine-tuning and distillation.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tokenizers import BertWordPieceTokenizer

from benchmarks import models
from edgebert.data.datasets import read_dataset
from edgebert.models.task_model import open_model

HERE = Path(__file__).resolve().parent
SST2 = models.DATA / "sst2"
SPLITS = ("--train", str(SST2 / "train.tsv.gz"), "--dev", str(SST2 / "dev.tsv"))
TRAIN_TEXTS = 2000


def stages(folder: Path, rows: int) -> dict[str, tuple[str, ...]]:
    """The command of edgebert that makes each model folder or file, in this order."""
    some = ("--max-rows", str(rows))
    training = (*SPLITS, *some, "--epochs", "1", "--max-length", "64")
    tuned, pruned, student = (str(folder / name) for name in ("tuned", "pruned", "student"))
    narrowed, tiny = str(folder / "narrowed"), str(folder / "tiny")
    lengths = ("--lengths", "auto", "--lengths-from", str(SST2 / "train.tsv.gz"))
    learning = ("--learning-rate", "4e-4", "--hard-weight", "0")
    shape = ("--layers", "4", "--target-speedup", "1.9", "--keep-tokens", "7600")
    trimmed = ("--vocabulary-from", SPLITS[1], "--characters", "scripts")
    return {
        "tuned": ("finetune", str(models.minilm_folder()), *training),
        "pruned": (
            "prune",
            tuned,
            *SPLITS,
            "--target-speedup",
            "4.5",
            "--tokens",
            "24",
            "--epochs",
            "0",
        ),
        "student": ("distill", tuned, "--student", pruned, *training, *learning),
        "narrowed": (
            "prune",
            student,
            *SPLITS,
            *shape,
            *trimmed,
            "--tokens",
            "24",
            "--epochs",
            "0",
        ),
        "tiny": ("distill", tuned, "--student", narrowed, *training, *learning),
        "float32.tflite": ("export", tuned, "--recipe", "float32", *lengths),
        "dynamic_int8.tflite": ("export", tuned, *lengths),
        "int4.tflite": ("export", tuned, "--recipe", "int4", "--calibration", SPLITS[1], *lengths),
        "student.tflite": ("export", student, "--embedding", "int4", *lengths),
        "tiny.tflite": ("export", tiny, "--embedding", "int4", *lengths),
    }


def run_edgebert(command: tuple[str, ...], out: Path) -> None:
    """Runs a command, unless its output is there."""
    if out.exists():
        print(f"there already  {out.name}", flush=True)
        return
    subprocess.run(
        [sys.executable, "-m", "edgebert", *command, "-o", str(out)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    print(f"made           {out.name}", flush=True)


def make_keras_hub(folder: Path) -> None:
    """keras-hub's own LiteRT export at 128 tokens, in float and in int8."""
    out = folder / "keras_hub_int8.tflite"
    if not out.exists():
        models.keras_hub_litert(open_model(folder / "tuned"), 128, out)
        out.with_suffix(".float.tflite").rename(folder / "keras_hub_float.tflite")
        print(f"made           {out.name}", flush=True)


def write_inputs(folder: Path) -> None:
    """The peers' tokenizer, and training texts for calibration."""
    vocabulary = str(folder / "tuned" / "vocab.txt")
    BertWordPieceTokenizer(vocabulary, lowercase=True).save(str(folder / "tokenizer.json"))
    texts = read_dataset(SST2 / "train.tsv.gz").texts[:TRAIN_TEXTS]
    (folder / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=20_000, help="training rows of each stage")
    parser.add_argument("--peers-python", help="a Python with torch, onnxruntime and openvino")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name, command in stages(folder, arguments.rows).items():
        run_edgebert(command, folder / name)
    make_keras_hub(folder)
    write_inputs(folder)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if arguments.peers_python:
        made_of = (folder / "tuned", folder, folder / "texts.txt")
        command = [arguments.peers_python, str(HERE / "make_peers.py"), *map(str, made_of)]
        subprocess.run(command, check=True, env=clean)


if __name__ == "__main__":
    main()
