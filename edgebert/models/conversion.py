"""Conversion of a model to another library's folder, with a check of its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.errors import ConversionError
from converters.library_wordpiece import parts_in_words
from converters.vocabulary import Vocabulary
from edgebert.errors import ModelError, QualityGateError, UsageError
from edgebert.models.task_model import TaskModel, open_model
from edgebert.system import native_noise
from edgebert.system.storage import atomic_folder
from edgebert.tasks.masked_rows import PLACES

HUGGING_FACE, KERAS_HUB = "hugging-face", "keras-hub"
TARGETS = (HUGGING_FACE, KERAS_HUB)
MAX_DIFFERENCE = 1e-4
_ROWS, _TOKENS = 8, 64


@dataclass(frozen=True)
class Conversion:
    """A converted model.

    Attributes:
        path: The folder.
        to: One of `TARGETS`.
        max_difference: Largest absolute difference between an output of the model and of the
            reopened folder. Outputs are those of the head (`converters.heads`).
        notes: Differences between the model and the folder, one sentence each.
    """

    path: Path
    to: str
    max_difference: float
    notes: tuple[str, ...]


def convert(
    model: TaskModel, out: Path | str, to: str, max_difference: float = MAX_DIFFERENCE
) -> Conversion:
    """Writes a model as a folder that `transformers` or keras-hub opens.

    `TaskModel.save` writes a Hugging Face folder. keras-hub's BERT uses the tanh GELU and a
    LayerNorm epsilon of 1e-12, so other models have different outputs there. The outputs are
    compared on random tokens. If they differ by more than `max_difference`, nothing is written.

    Args:
        model: A model of any task for Hugging Face; a classifier, a masked LM or an embedding model
            for keras-hub.
        out: A new folder.
        to: One of `TARGETS`.
        max_difference: Maximum absolute difference of an output.

    Raises:
        UsageError: `out` exists and is not an empty folder, or `to` is unknown.
        ModelError: The folder's format does not support the model.
        QualityGateError: Outputs differ by more than `max_difference`.
    """
    out = Path(out)
    if to not in TARGETS:
        raise UsageError(f"Expected to convert to {' or '.join(TARGETS)}. Received: {to!r}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists. Next: give a new folder.")
    native_noise.load_keras()
    with atomic_folder(out) as temporary:
        try:
            reasons, notes = _write(model, temporary, to)
        except ConversionError as error:
            raise ModelError(str(error)) from error
        difference = _difference(model, open_model(temporary))
        if not difference <= max_difference:  # also refuses NaN
            raise QualityGateError(
                f"{out}: outputs would differ by {difference:.1e}, and at most "
                f"{max_difference:.1e} is allowed"
                + (f": {'; '.join(reasons)}" if reasons else "")
                + ". Nothing was written. Next: allow more with --max-difference."
            )
    return Conversion(out, to, difference, (*notes, *reasons))


def _write(model: TaskModel, folder: Path, to: str) -> tuple[list[str], list[str]]:
    """Writes the folder. Returns the reasons for different outputs, and further notes."""
    if to == HUGGING_FACE:
        model.save(folder)
        return [], []
    from converters.formats import keras_hub_preset

    checkpoint, vocabulary = model.checkpoint, model.tokenizer.vocabulary
    parts = parts_in_words(vocabulary.to_settings())
    if not isinstance(vocabulary, Vocabulary) or vocabulary.kind != Vocabulary.kind:
        raise ConversionError(
            "Expected a WordPiece vocabulary with BERT's text rules, since keras-hub's "
            f"BertTokenizer has no other. Received: {parts or 'SentencePiece (Unigram)'}. Next: "
            "convert to hugging-face."
        )
    keras_hub_preset.write_folder(checkpoint, vocabulary, folder, model.max_length)
    notes = []
    if "pooler.kernel" not in checkpoint.weights:
        notes.append("the model has no pooler: pooled_output is 0, sequence_output is the model's")
    if checkpoint.has_next_sentence:
        notes.append("keras-hub has no head for the next sentence: it is left out")
    return keras_hub_preset.differences(checkpoint), notes


def _difference(model: TaskModel, other: TaskModel) -> float:
    """The largest absolute difference of the outputs that both models have."""
    inputs = _random_inputs(model)
    tokens = inputs["padding_mask"].astype(bool)
    ours, theirs = (_outputs(each, inputs) for each in (model, other))
    differences = []
    for name in ours.keys() & theirs.keys():
        difference = np.abs(ours[name] - theirs[name])
        differences.append((difference[tokens] if difference.ndim == 3 else difference).max())
    return float(np.max(differences))


def _outputs(model: TaskModel, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of the model's head; for a masked LM at every token."""
    keras_model = model.keras_model()
    if PLACES in keras_model.input:
        places = np.arange(inputs["token_ids"].shape[1], dtype=np.int32)
        inputs = {**inputs, PLACES: np.tile(places, (_ROWS, 1))}
    outputs = keras_model(inputs)
    named = outputs if isinstance(outputs, dict) else {"": outputs}
    return {name: np.asarray(output) for name, output in named.items()}


def _random_inputs(model: TaskModel) -> dict[str, np.ndarray]:
    config, rng = model.checkpoint.config, np.random.default_rng(0)
    shape = (_ROWS, min(_TOKENS, config.max_positions))
    used = rng.integers(2, shape[1] + 1, _ROWS)[:, None]
    place = np.arange(shape[1])
    is_second = (place >= used // 2) & (place < used) & (config.num_segments > 1)
    return {
        "token_ids": rng.integers(0, config.vocab_size, shape).astype(np.int32),
        "padding_mask": (place < used).astype(np.int32),
        "segment_ids": is_second.astype(np.int32),
    }
