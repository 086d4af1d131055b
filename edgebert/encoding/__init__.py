"""Turns text into token ids: tokenizer, padding, lengths, word splitting, augmentation."""
