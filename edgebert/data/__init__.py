"""Reads data files: tables, CoNLL, SQuAD, running text, and the bundled sample set.

What a file holds as rows of text and labels, with every problem of a file listed at once. Nothing
here knows of tokens or models.
"""
