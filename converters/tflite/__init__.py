"""Builds the `.tflite`: the encoder graph, weight storage, quantizer and metadata."""
