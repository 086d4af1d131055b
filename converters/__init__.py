"""Converts BERT checkpoints between formats, and to TFLite.

Inputs and outputs are paths, bytes, NumPy arrays and one neutral object,
`converters.checkpoint.Checkpoint`. The package makes no decisions about training or compression and
never imports `edgebert`.
"""
