"""Writes a tiny `.tflite` of every task, with random weights, for the tests of the Kotlin modules.

python -m tests.android.make_models FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from converters.checkpoint import BertConfig
from converters.vocabulary import Vocabulary
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.exporting.artifact import export
from edgebert.settings import TASKS, ExportSettings
from tests.conftest import TINY_TOKENS
from tests.tiny_tasks import random_task_model

CONFIG = BertConfig(
    vocab_size=len(TINY_TOKENS),
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    intermediate_size=24,
    max_positions=40,
)


def main(folder: Path) -> None:
    """`assets/` with a file a task, of 16 and 40 tokens, and beside it a file of any length.

    Files that are there already stay.
    """
    assets = folder / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    (assets / "compressed.bin").write_bytes(bytes(100_000))
    for task in TASKS:
        _write(assets / f"{task}.tflite", task, ExportSettings(lengths="16,40"))
    _write(folder / "any-length.tflite", "classification", ExportSettings(dynamic_length=True))


def _write(path: Path, task: str, settings: ExportSettings) -> None:
    if not path.exists():
        tokenizer = Tokenizer(Vocabulary(tokens=TINY_TOKENS, lowercase=True))
        export(random_task_model(CONFIG, tokenizer, task), path, settings)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
