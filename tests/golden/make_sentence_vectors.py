"""Makes sentence_vectors.npz, sentence_files.json and checkpoints/SentenceTransformer.

Run once in an environment of its own, with torch 2.13.0 (CPU), transformers 5.24 and
sentence-transformers 6.2.0:

    python -m tests.golden.make_sentence_vectors

Each model of `sentence_models` is saved by edgebert and opened by sentence-transformers, whose
vectors are stored; the JSON files that it read are stored too, so that a test sees when edgebert
writes others. The last model is written by sentence-transformers again, for edgebert to read.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from tests.golden.sentence_models import (
    FILES,
    FOLDER,
    HEADS,
    TEXTS,
    VECTORS,
    sentence_model,
    written_files,
)

KEPT = ("*.json", "*.safetensors", "*.txt")


def main() -> None:
    vectors, files = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, case in enumerate(HEADS):
            folder = sentence_model(case).save(Path(scratch) / str(number))
            opened = SentenceTransformer(str(folder), device="cpu")
            vectors[case] = opened.encode(list(TEXTS), batch_size=3).astype(np.float32)
            files[case] = written_files(folder)
        again = Path(scratch) / "again"
        opened.save_pretrained(str(again))
        shutil.rmtree(FOLDER, ignore_errors=True)
        for pattern in KEPT:
            for path in again.rglob(pattern):
                target = FOLDER / path.relative_to(again)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    np.savez_compressed(VECTORS, **vectors)
    FILES.write_text(json.dumps(files, indent=1) + "\n")


if __name__ == "__main__":
    main()
