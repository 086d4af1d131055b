"""The errors of the converters."""

from __future__ import annotations


class ConversionError(Exception):
    """A checkpoint, a vocabulary or a `.tflite` can't be read or converted.

    The message says what was expected, what was received, and the next step.
    """


class HeadError(ConversionError):
    """The head of a model can't be read, but its encoder can serve as a base for fine-tuning."""
