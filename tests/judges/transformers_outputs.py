"""The outputs of `transformers` for the model folders that edgebert writes.

`transformers` is a judge and no part of the product. It runs in its own process and environment. As
a script, with a Python that has torch and transformers:

    python transformers_outputs.py INPUTS.npz OUTPUTS.npz FOLDER [FOLDER ...]

Every folder is opened with the Auto class of its architecture. The outputs have the name of their
folder, as in `tests/golden/checkpoints/outputs.npz`. Missing or unexpected weights are an error.

From tests: `find_python()` and `outputs_of()`.
"""

from __future__ import annotations

import json
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
"""Lists that must be empty, except for weights of poolers that no head uses."""


def find_python() -> str | None:
    """A Python that has torch and transformers."""
    from tests.judges import judge_process  # not available when this file runs as a script

    return judge_process.find_python(PYTHON_VARIABLE, "torch", "transformers")


def outputs_of(
    python: str, folders: Sequence[Path], inputs: dict[str, np.ndarray], work: Path
) -> dict[str, np.ndarray]:
    """The outputs of `transformers` for the inputs, by the name of the folder.

    Args:
        python: The Python to run, from `find_python`.
        folders: Model folders with different names.
        inputs: `token_ids`, `padding_mask` and `segment_ids`, `[batch, tokens]`.
        work: Folder for the arrays.

    Raises:
        RuntimeError: A folder cannot be opened. The message has the end of the log.
    """
    inputs_path, outputs_path = work / "inputs.npz", work / "outputs.npz"
    np.savez(inputs_path, **inputs)
    script = str(Path(__file__).resolve())
    command = [python, script, str(inputs_path), str(outputs_path), *map(str, folders)]
    done = subprocess.run(command, capture_output=True, timeout=600, check=False)
    if done.returncode:
        log = done.stderr.decode("utf-8", "replace")[-2000:]
        raise RuntimeError(f"{python} failed (status {done.returncode}):\n{log}")
    with np.load(outputs_path, allow_pickle=False) as arrays:
        return {name: np.asarray(arrays[name]) for name in arrays}


def _auto_class(folder: Path) -> str:
    (name,) = json.loads((folder / "config.json").read_text())["architectures"]
    return next(auto for ending, auto in AUTO_CLASSES.items() if name.endswith(ending))


def _named_outputs(given: Any) -> dict[str, Any]:
    """A model's outputs, by the suffix of their name."""
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
