"""Models that are often taken for a BERT, and what serves instead."""

from __future__ import annotations

_DISTILLED = "Next: use distilbert-base-uncased or a MiniLM with BERT's vocabulary"
OTHER_MODELS = {
    "roberta": "RoBERTa is no BERT: it splits text by byte pairs, and positions start at 2. "
    f"{_DISTILLED}",
    "xlm-roberta": "XLM-RoBERTa is no BERT: it splits text by SentencePiece, and positions start "
    "at 2. Next: use paraphrase-multilingual-MiniLM-L12-v2 or multilingual-e5-small, BERTs with "
    "its vocabulary, or bert-base-multilingual-cased",
    "camembert": "CamemBERT is a RoBERTa with SentencePiece, no BERT. Next: use a BERT of the "
    "language, or bert-base-multilingual-cased",
    "mpnet": "MPNet is no BERT: it adds relative positions in attention. Next: use "
    "sentence-transformers/all-MiniLM-L12-v2, a BERT for the same purpose",
    "albert": "ALBERT is no BERT: its layers share weights, and it splits text by SentencePiece. "
    f"{_DISTILLED}",
    "modernbert": "ModernBERT is no BERT: it has rotary positions and splits text by byte pairs. "
    f"{_DISTILLED}",
    "deberta": f"DeBERTa is no BERT: its attention reads relative positions. {_DISTILLED}",
    "deberta-v2": f"DeBERTa is no BERT: its attention reads relative positions. {_DISTILLED}",
    "nomic_bert": f"Nomic BERT is no BERT: it has rotary positions. {_DISTILLED}",
    "new": f"This model has rotary positions, as no BERT. {_DISTILLED}",
    "t5": f"T5 is no BERT: it is an encoder and a decoder. {_DISTILLED}",
}
"""For a `model_type` that is often taken for a BERT: what it is, and what serves instead."""
