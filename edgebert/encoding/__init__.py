"""Turns text into token ids: tokenizer, padded rows, token lengths, word splitting,
augmentation.
"""
