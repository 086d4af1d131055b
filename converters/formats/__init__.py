"""Checkpoint formats, read and written: Hugging Face, TF1, keras-hub, sentence-transformers."""
