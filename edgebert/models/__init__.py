"""Models as objects: `TaskModel` (a folder, Keras) and `LiteRtModel` (a `.tflite`).

This package opens, saves, converts and inspects models, and makes students of a teacher.
"""
