"""Makes the tiny checkpoints of this folder and outputs.npz: `transformers`' own files and outputs.

Run once in an environment of its own, with torch 2.13.0 (CPU) and transformers 5.24.0:

    python tests/golden/checkpoints/make_checkpoints.py

Each folder is what `save_pretrained` writes of a model with random weights and of its tokenizer.
The outputs are hidden states, or a classifier's logits, for `inputs()`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import transformers

HERE = Path(__file__).parent
WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] the a movie was good bad not very it s t ##s ##ing play ##ed "
    "music light . , ! ?"
)
TOKENS = tuple(WORDS.split())
LABELS = {
    "id2label": {0: "bad", 1: "so so", 2: "good"},
    "label2id": {"bad": 0, "so so": 1, "good": 2},
}
BERT = {
    "vocab_size": len(TOKENS),
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
}
DISTILBERT = {
    "vocab_size": len(TOKENS),
    "dim": 8,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dim": 12,
    "max_position_embeddings": 16,
}
ELECTRA = {**BERT, "embedding_size": 8}
FAMILIES = {
    "Bert": (transformers.BertConfig, BERT, transformers.BertTokenizer),
    "DistilBert": (transformers.DistilBertConfig, DISTILBERT, transformers.DistilBertTokenizer),
    "Electra": (transformers.ElectraConfig, ELECTRA, transformers.ElectraTokenizer),
}
CLASSES = (
    "BertModel",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "DistilBertModel",
    "DistilBertForSequenceClassification",
    "DistilBertForQuestionAnswering",
    "ElectraModel",
    "ElectraForSequenceClassification",
    "ElectraForPreTraining",
)


def inputs() -> dict[str, np.ndarray]:
    """Two rows of twelve tokens; the second has padding, both have two segments."""
    token_ids = np.random.default_rng(5).integers(5, len(TOKENS), (2, 12))
    padding_mask, segment_ids = np.ones_like(token_ids), np.zeros_like(token_ids)
    padding_mask[1, 7:] = 0
    segment_ids[:, 4:] = 1
    return {"token_ids": token_ids, "padding_mask": padding_mask, "segment_ids": segment_ids}


def main() -> None:
    arrays = inputs()
    for number, name in enumerate(CLASSES):
        stem = name.split("For")[0].removesuffix("Model")
        make_config, sizes, tokenizer = FAMILIES[stem]
        heads = {} if name.endswith("QuestionAnswering") else LABELS
        model = getattr(transformers, name)(make_config(**sizes, **heads)).eval()
        generator = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for parameter_name, value in model.named_parameters():
                value.normal_(0, 0.3, generator=generator)
                if "orm.weight" in parameter_name:
                    value.add_(1)
        model.save_pretrained(HERE / name)
        vocabulary = HERE / name / "vocab.txt"
        vocabulary.write_text("\n".join(TOKENS) + "\n")
        tokenizer(vocab=str(vocabulary)).save_pretrained(HERE / name)
        given = {"input_ids": arrays["token_ids"], "attention_mask": arrays["padding_mask"]}
        if stem != "DistilBert":
            given["token_type_ids"] = arrays["segment_ids"]
        with torch.no_grad():
            tensors = {key: torch.tensor(value) for key, value in given.items()}
            if name.endswith("SequenceClassification"):
                arrays[name] = model(**tensors).logits.numpy()
            else:
                arrays[name] = model.base_model(**tensors).last_hidden_state.numpy()
    np.savez_compressed(HERE / "outputs.npz", **arrays)


if __name__ == "__main__":
    main()
