"""The one error of the converters: a checkpoint or a file that can't be translated."""

from __future__ import annotations


class ConversionError(Exception):
    """A checkpoint, a vocabulary or a `.tflite` is not what its format says.

    The message says what was expected, what came, and what to do next.
    """


class HeadError(ConversionError):
    """A head that can't be read, whereas the encoder can: as a base the model would do."""
