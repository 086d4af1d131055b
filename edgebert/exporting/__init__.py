"""Writes a `TaskModel` as a `.tflite`, holds it to the model, and packs what apps read from it."""
