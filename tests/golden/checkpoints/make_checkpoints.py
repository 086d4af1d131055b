"""Makes the tiny checkpoints of this folder and outputs.npz: `transformers`' own files and outputs.

Run once in an environment of its own, with torch 2.13.0 (CPU) and transformers 5.24.0:

    python tests/golden/checkpoints/make_checkpoints.py

Each folder is what `save_pretrained` writes of a model with random weights and of its tokenizer.
The outputs are what the head gives for `inputs()`: logits, start and end logits side by side, or
hidden states where there is no head. A pre-trained BERT's next sentence has a name of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
TAGS = {
    "id2label": {0: "O", 1: "B-film", 2: "I-film"},
    "label2id": {"O": 0, "B-film": 1, "I-film": 2},
}
MULTI_LABEL = {**LABELS, "problem_type": "multi_label_classification"}
REGRESSION = {"num_labels": 1, "problem_type": "regression"}
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
SMALL = {"embedding_size": 6}
"""The embeddings of ELECTRA-small are narrower than its encoder."""
MOBILEBERT = {
    **BERT,
    "hidden_size": 12,
    "embedding_size": 6,
    "intra_bottleneck_size": 8,
    "num_feedforward_networks": 3,
    "classifier_activation": False,
}
POOLER = {"classifier_activation": True}
FAMILIES = {
    "Bert": (transformers.BertConfig, BERT, transformers.BertTokenizer),
    "DistilBert": (transformers.DistilBertConfig, DISTILBERT, transformers.DistilBertTokenizer),
    "Electra": (transformers.ElectraConfig, ELECTRA, transformers.ElectraTokenizer),
    "MobileBert": (transformers.MobileBertConfig, MOBILEBERT, transformers.MobileBertTokenizer),
}
# Folder: class and configuration. The place in the table seeds the weights: add at its end.
FOLDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "BertModel": ("BertModel", LABELS),
    "BertForSequenceClassification": ("BertForSequenceClassification", LABELS),
    "BertForTokenClassification": ("BertForTokenClassification", LABELS),
    "DistilBertModel": ("DistilBertModel", LABELS),
    "DistilBertForSequenceClassification": ("DistilBertForSequenceClassification", LABELS),
    "DistilBertForQuestionAnswering": ("DistilBertForQuestionAnswering", {}),
    "ElectraModel": ("ElectraModel", LABELS),
    "ElectraForSequenceClassification": ("ElectraForSequenceClassification", LABELS),
    "ElectraForPreTraining": ("ElectraForPreTraining", LABELS),
    "BertMultiLabel": ("BertForSequenceClassification", MULTI_LABEL),
    "BertRegression": ("BertForSequenceClassification", REGRESSION),
    "BertForQuestionAnswering": ("BertForQuestionAnswering", {}),
    "BertForMaskedLM": ("BertForMaskedLM", {}),
    "BertForPreTraining": ("BertForPreTraining", {}),
    "DistilBertMultiLabel": ("DistilBertForSequenceClassification", MULTI_LABEL),
    "DistilBertRegression": ("DistilBertForSequenceClassification", REGRESSION),
    "DistilBertForTokenClassification": ("DistilBertForTokenClassification", TAGS),
    "DistilBertForMaskedLM": ("DistilBertForMaskedLM", {}),
    "ElectraMultiLabel": ("ElectraForSequenceClassification", MULTI_LABEL),
    "ElectraRegression": ("ElectraForSequenceClassification", REGRESSION),
    "ElectraForTokenClassification": ("ElectraForTokenClassification", TAGS),
    "ElectraForQuestionAnswering": ("ElectraForQuestionAnswering", {}),
    # Its head has the exact GELU, whatever the encoder has.
    "ElectraForMaskedLM": ("ElectraForMaskedLM", {"hidden_act": "gelu_new"}),
    "ElectraSmallModel": ("ElectraModel", SMALL),
    "ElectraSmallForSequenceClassification": (
        "ElectraForSequenceClassification",
        {**SMALL, **LABELS},
    ),
    "ElectraSmallForTokenClassification": ("ElectraForTokenClassification", {**SMALL, **TAGS}),
    "ElectraSmallForQuestionAnswering": ("ElectraForQuestionAnswering", SMALL),
    "ElectraSmallForMaskedLM": ("ElectraForMaskedLM", SMALL),
    "MobileBertModel": ("MobileBertModel", {}),
    "MobileBertForSequenceClassification": ("MobileBertForSequenceClassification", LABELS),
    "MobileBertWithPooler": ("MobileBertForSequenceClassification", {**POOLER, **LABELS}),
    "MobileBertForTokenClassification": ("MobileBertForTokenClassification", TAGS),
    "MobileBertForQuestionAnswering": ("MobileBertForQuestionAnswering", {}),
    "MobileBertForMaskedLM": ("MobileBertForMaskedLM", {}),
    "MobileBertForPreTraining": ("MobileBertForPreTraining", POOLER),
}
NEXT_SENTENCE = ".next_sentence"


def inputs() -> dict[str, np.ndarray]:
    """Two rows of twelve tokens; the second has padding, both have two segments."""
    token_ids = np.random.default_rng(5).integers(5, len(TOKENS), (2, 12))
    padding_mask, segment_ids = np.ones_like(token_ids), np.zeros_like(token_ids)
    padding_mask[1, 7:] = 0
    segment_ids[:, 4:] = 1
    return {"token_ids": token_ids, "padding_mask": padding_mask, "segment_ids": segment_ids}


def outputs(model: Any, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a model's head gives, by what is added to the model's name."""
    given = {"input_ids": arrays["token_ids"], "attention_mask": arrays["padding_mask"]}
    if not isinstance(model, transformers.DistilBertPreTrainedModel):
        given["token_type_ids"] = arrays["segment_ids"]
    tensors = {key: torch.tensor(value) for key, value in given.items()}
    name = type(model).__name__
    with torch.no_grad():
        if name.endswith("Model") or name == "ElectraForPreTraining":
            return {"": model.base_model(**tensors).last_hidden_state.numpy()}
        given = model(**tensors)
    if name.endswith("QuestionAnswering"):
        return {"": torch.stack([given.start_logits, given.end_logits], -1).numpy()}
    if name.endswith("PreTraining"):
        next_sentence = given.seq_relationship_logits.numpy()
        return {"": given.prediction_logits.numpy(), NEXT_SENTENCE: next_sentence}
    return {"": given.logits.numpy()}


def main() -> None:
    arrays = inputs()
    for number, (folder, (name, settings)) in enumerate(FOLDERS.items()):
        make_config, sizes, tokenizer = FAMILIES[name.split("For")[0].removesuffix("Model")]
        model = getattr(transformers, name)(make_config(**{**sizes, **settings})).eval()
        generator = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for parameter_name, value in model.named_parameters():
                value.normal_(0, 0.3, generator=generator)
                if "orm.weight" in parameter_name:
                    value.add_(1)
        model.save_pretrained(HERE / folder)
        vocabulary = HERE / folder / "vocab.txt"
        vocabulary.write_text("\n".join(TOKENS) + "\n")
        tokenizer(vocab=str(vocabulary)).save_pretrained(HERE / folder)
        for ending, array in outputs(model, arrays).items():
            arrays[folder + ending] = array
    np.savez_compressed(HERE / "outputs.npz", **arrays)


if __name__ == "__main__":
    main()
