"""Models of embeddings whose vectors sentence-transformers gave: make_sentence_vectors.py did."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from converters.heads import POOLINGS, SentenceHead
from edgebert.models.task_model import TaskModel, open_model
from edgebert.tasks import task_named
from tests.golden.checkpoints import CHECKPOINTS

HERE = Path(__file__).parent
FOLDER = CHECKPOINTS / "SentenceTransformer"
"""What sentence-transformers wrote of the case `all`."""
VECTORS = HERE / "sentence_vectors.npz"
FILES = HERE / "sentence_files.json"
TEXTS = (
    "the movie was very good, and the music was not bad!",
    "music",
    "",
    "it's a light play",
    "the movie the movie the movie the movie the movie the movie the movie the movie",
)
HEADS: dict[str, SentenceHead] = {
    **{pooling: SentenceHead((pooling,), (), normalize=False) for pooling in POOLINGS},
    "mean, normalized": SentenceHead(("mean",), (), normalize=True),
    "an order of its own": SentenceHead(("mean", "cls"), ("relu",), normalize=False),
    "all": SentenceHead(
        ("cls", "max", "mean", "mean_sqrt_len", "weighted_mean", "last"),
        ("tanh", "identity", "gelu"),
        normalize=True,
    ),
}
DENSE_SIZE = 6
MAX_LENGTH = 14


def sentence_model(case: str) -> TaskModel:
    """The tiny golden BERT with a head of `HEADS`; its dense layers come from a seed."""
    model, head = open_model(CHECKPOINTS / "BertModel"), HEADS[case]
    rng = np.random.default_rng(17)
    weights = dict(model.checkpoint.weights)
    size = model.checkpoint.config.hidden_size * len(head.pooling)
    for i in range(len(head.activations)):
        kernel = rng.normal(0, 0.5, (DENSE_SIZE, size))
        weights[f"sentence.dense.{i}.kernel"] = kernel.astype(np.float32)
        bias = rng.normal(0, 0.5, DENSE_SIZE)
        weights[f"sentence.dense.{i}.bias"] = bias.astype(np.float32)
        size = DENSE_SIZE
    checkpoint = replace(model.checkpoint, weights=weights, sentence=head, labels=())
    return replace(
        model, checkpoint=checkpoint, task=task_named("embeddings"), max_length=MAX_LENGTH
    )


def written_files(folder: Path) -> dict[str, str]:
    """What a folder says of its sentence head: the JSON files of sentence-transformers."""
    paths = [folder / "modules.json", folder / "sentence_bert_config.json"]
    paths += sorted(folder.glob("*_*/config.json"))
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


def golden_vectors(case: str) -> np.ndarray:
    """What sentence-transformers gave for `TEXTS`, float32 `[texts, size]`."""
    with np.load(VECTORS, allow_pickle=False) as arrays:
        return np.asarray(arrays[case])


def golden_files(case: str) -> dict[str, str]:
    """The files that it read then, as `written_files` gives them."""
    content: dict[str, dict[str, str]] = json.loads(FILES.read_text())
    return content[case]
