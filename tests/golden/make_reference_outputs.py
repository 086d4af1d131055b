"""Makes reference_outputs.npz and the tiny reference model: the original library's own outputs.

Run once in an environment of its own, with torch 2.13.0 (CPU) and transformers:

    python tests/golden/make_reference_outputs.py MINILM_FOLDER

Stored are, for MiniLM (all-MiniLM-L6-v2), the token ids and the last hidden state of three texts,
cut to their first 16 values a token, and for BERTs with random weights their whole logits. The
random weights are made by numpy from a seed, here and in the tests, so none are stored.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForSequenceClassification

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.golden.reference import TEXTS  # noqa: E402

KEPT = 16
ACTIVATIONS = ("gelu", "gelu_new", "relu")


def random_state(model: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Weights by name order from one generator; tests make the same ones."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, value in sorted(model.state_dict().items()):
        array = rng.normal(0, 0.3, tuple(value.shape)).astype(np.float32)
        state[name] = torch.from_numpy(array)
    return state


def main(minilm: str) -> None:
    arrays = {}
    tokenizer, model = AutoTokenizer.from_pretrained(minilm), AutoModel.from_pretrained(minilm)
    for i, text in enumerate(TEXTS):
        batch = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            hidden = model.eval()(**batch).last_hidden_state
        arrays[f"minilm_{i}_ids"] = batch["input_ids"].numpy()[0]
        arrays[f"minilm_{i}_hidden"] = hidden.numpy()[0, :, :KEPT]
    for activation in ACTIVATIONS:
        config = BertConfig(
            vocab_size=50,
            hidden_size=24,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=40,
            max_position_embeddings=32,
            type_vocab_size=2,
            hidden_act=activation,
            num_labels=5,
            layer_norm_eps=1e-6,
        )
        classifier = BertForSequenceClassification(config).eval()
        classifier.load_state_dict(random_state(classifier, seed=7))
        rng = np.random.default_rng(11)
        ids = rng.integers(0, 50, (2, 12))
        mask = np.ones_like(ids)
        mask[1, 8:] = 0
        segments = np.zeros_like(ids)
        segments[:, 5:] = 1
        with torch.no_grad():
            logits = classifier(
                input_ids=torch.tensor(ids),
                attention_mask=torch.tensor(mask),
                token_type_ids=torch.tensor(segments),
            ).logits
        arrays[f"random_{activation}_logits"] = logits.numpy()
        names = {name: list(value.shape) for name, value in classifier.state_dict().items()}
    np.savez_compressed(HERE / "reference_outputs.npz", **arrays)
    (HERE / "reference_names.json").write_text(json.dumps(names, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
