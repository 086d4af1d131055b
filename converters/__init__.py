"""Translates BERT checkpoints: in from other libraries, out to them, and on to TFLite.

Nothing here decides anything and nothing imports `edgebert`: paths, bytes, numpy arrays and one
neutral object, `converters.checkpoint.Checkpoint`, go in and out.
"""
