"""Exports a `TaskModel` as a `.tflite`: graph, checks against the model, metadata for apps."""
