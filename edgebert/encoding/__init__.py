"""Turns text into token ids: the tokenizer, padded rows, lengths, word splitting, augmentation."""
