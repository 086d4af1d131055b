"""The limit of the weight files of a model, which is checked before any of them is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from converters.bert_config import MAX_WEIGHT_BYTES
from converters.errors import ConversionError
from converters.limited_files import UnreadableFileError, require_limited


def require_weight_files(paths: Sequence[Path]) -> None:
    """Checks that files of weights are regular ones, and not too large together.

    Args:
        paths: the files of one model.

    Raises:
        ConversionError: They are larger, or one can't be read.
    """
    try:
        require_limited(paths, MAX_WEIGHT_BYTES)
    except UnreadableFileError as error:
        raise ConversionError(
            f"{paths[0]}: expected weights of at most {MAX_WEIGHT_BYTES} bytes, which is twice the "
            f"largest encoder in float32. Received: {error}. Next: save the weights of the model "
            "alone, without the state of an optimizer."
        ) from error
    except OSError as error:
        raise ConversionError(
            f"{error.filename} can't be read ({error.strerror}). Next: copy or download it again."
        ) from error
