"""Asks `transformers` what it makes of the folders that we write.

`transformers` is a judge and no part of the product: it runs in a process, and in an environment,
of its own. As a script, by a Python that has torch and transformers:

    python transformers_outputs.py INPUTS.npz OUTPUTS.npz FOLDER [FOLDER ...]

Every folder is opened with the Auto class of its architecture. The outputs have a folder's name, as
in `tests/golden/checkpoints/outputs.npz`; what a folder misses, or has too much, is an error.

From tests: `find_python()` and `outputs_of()`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

PYTHON_VARIABLE = "EDGEBERT_TRANSFORMERS_PYTHON"
NEXT_SENTENCE = ".next_sentence"
AUTO_CLASSES = {
    "SequenceClassification": "AutoModelForSequenceClassification",
    "TokenClassification": "AutoModelForTokenClassification",
    "QuestionAnswering": "AutoModelForQuestionAnswering",
    "MaskedLM": "AutoModelForMaskedLM",
    "PreTraining": "AutoModelForPreTraining",
    "Model": "AutoModel",
}
LOADING = ("missing_keys", "mismatched_keys", "unexpected_keys")
"""What must be empty, poolers aside: those that no head reads come and go with their encoder."""


def find_python() -> str | None:
    """A Python that has transformers: the variable's, else this one, else None."""
    if named := os.environ.get(PYTHON_VARIABLE):
        return named
    has_both = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))
    return sys.executable if has_both else None


def outputs_of(
    python: str, folders: Sequence[Path], inputs: dict[str, np.ndarray], work: Path
) -> dict[str, np.ndarray]:
    """What `transformers` computes for the inputs, by the folder's name.

    Args:
        python: the Python to run, from `find_python`.
        folders: of models, each of another name.
        inputs: `token_ids`, `padding_mask` and `segment_ids`, `[batch, tokens]`.
        work: a folder for the arrays.

    Raises:
        RuntimeError: it can't open a folder; the message has the end of its log.
    """
    given, told = work / "inputs.npz", work / "outputs.npz"
    np.savez(given, **inputs)
    command = [python, str(Path(__file__).resolve()), str(given), str(told), *map(str, folders)]
    done = subprocess.run(command, capture_output=True, timeout=600, check=False)
    if done.returncode:
        log = done.stderr.decode("utf-8", "replace")[-2000:]
        raise RuntimeError(f"{python} failed (status {done.returncode}):\n{log}")
    with np.load(told, allow_pickle=False) as arrays:
        return {name: np.asarray(arrays[name]) for name in arrays}


def _auto_class(folder: Path) -> str:
    (name,) = json.loads((folder / "config.json").read_text())["architectures"]
    return next(auto for ending, auto in AUTO_CLASSES.items() if name.endswith(ending))


def _named_outputs(given: Any) -> dict[str, Any]:
    """A model's outputs by what is added to its name."""
    import torch

    if "start_logits" in given:
        return {"": torch.stack([given.start_logits, given.end_logits], -1)}
    if "prediction_logits" in given:
        return {"": given.prediction_logits, NEXT_SENTENCE: given.seq_relationship_logits}
    return {"": given.logits if "logits" in given else given.last_hidden_state}


def main(inputs_path: str, outputs_path: str, folders: Sequence[str]) -> int:
    import torch
    import transformers

    with np.load(inputs_path, allow_pickle=False) as arrays:
        token_ids, padding_mask, segment_ids = (
            torch.tensor(arrays[name], dtype=torch.long)
            for name in ("token_ids", "padding_mask", "segment_ids")
        )
    outputs = {}
    for folder in map(Path, folders):
        kind = getattr(transformers, _auto_class(folder))
        model, loading = kind.from_pretrained(folder, output_loading_info=True)
        wrong = {name: [key for key in loading[name] if "pooler" not in key] for name in LOADING}
        if any(wrong.values()):
            print(f"{folder}: {wrong}", file=sys.stderr)
            return 1
        transformers.AutoTokenizer.from_pretrained(folder)
        given = {"input_ids": token_ids, "attention_mask": padding_mask}
        if getattr(model.config, "type_vocab_size", 1) > 1:
            given["token_type_ids"] = segment_ids
        with torch.no_grad():
            for ending, output in _named_outputs(model.eval()(**given)).items():
                outputs[folder.name + ending] = output.numpy()
    np.savez(outputs_path, **outputs)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
