"""Reads data files: tables, CoNLL, SQuAD, running text, and the bundled sample set.

Readers return rows of text and labels, and list all problems of a file at once. This package knows
no tokens and no models.
"""
