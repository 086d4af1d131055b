"""Models as objects: `TaskModel` (a folder, Keras) and `LiteRtModel` (a `.tflite`).

Opens, saves, converts and inspects them, and makes a student out of a teacher. Training and
measurement of accuracy are rooms of their own.
"""
