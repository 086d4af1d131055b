"""Detects the format of a model folder and reads it; one table row per format."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from converters.checkpoint import Checkpoint, without_head
from converters.errors import ConversionError
from converters.formats import cross_encoder, huggingface, keras_hub_preset, tf1
from converters.formats import sentence_transformers as sentences
from converters.heads import CLASSIFIER, REGRESSION
from converters.library_wordpiece import LibraryWordPiece
from converters.vocabulary import SubwordVocabulary, Vocabulary, read_vocabulary

HUGGING_FACE = "Hugging Face folder"
SENTENCE_TRANSFORMERS = "sentence-transformers folder"


@dataclass(frozen=True)
class ModelFolder:
    """The content of a model folder.

    Attributes:
        format: name of its row in `FORMATS`.
        checkpoint: encoder and head.
        vocabulary: the vocabulary.
        max_length: maximum text length of the model in tokens; None if the folder does not state
            it.
        facts: further facts of the folder, as JSON types.
        prompts: prompts of a sentence embedding model, see `SentenceModules`.
        is_pair: whether the folder says that an input of its classifier is a pair of texts.
    """

    format: str
    checkpoint: Checkpoint
    vocabulary: SubwordVocabulary
    max_length: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    prompts: dict[str, Any] = field(default_factory=dict)
    is_pair: bool = False


@dataclass(frozen=True)
class Format:
    """A format of model folders.

    Attributes:
        name: name for messages and provenance.
        marks: its typical files, in words.
        holds: whether a folder has this format.
        read: reads a folder. If its second argument is True, an unsupported head is left out with a
            note; if False, it is an error.
    """

    name: str
    marks: str
    holds: Callable[[Path], bool]
    read: Callable[[Path, bool], ModelFolder]


def recognise(folder: Path | str) -> Format:
    """Detects the format of a folder: the first matching row of `FORMATS`.

    Raises:
        ConversionError: It is no folder, or has no known format.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConversionError(f"{folder} is no folder. Expected a model folder: {_expected()}.")
    for known in FORMATS:
        if known.holds(folder):
            return known
    if (folder / "adapter_config.json").is_file():
        raise ConversionError(
            f"{folder}: expected a whole model. Received: a LoRA adapter without its base. Next: "
            "with peft, load the base and the adapter, call merge_and_unload() and "
            "save_pretrained(folder, safe_serialization=True)."
        )
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
    raise ConversionError(
        f"{folder} has no config.json and no known format. Expected a model folder: {_expected()}. "
        f"Received a folder with: {found}."
    )


def _expected() -> str:
    return "; ".join(f"a {known.name} ({known.marks})" for known in FORMATS)


def _read_huggingface(folder: Path, as_base: bool) -> ModelFolder:
    checkpoint = huggingface.read_folder(folder, as_base)
    is_pair = checkpoint.head == CLASSIFIER and cross_encoder.is_cross_encoder(folder)
    if is_pair and checkpoint.problem == REGRESSION:
        checkpoint = _with_activation(checkpoint, cross_encoder.activation(folder))
    vocabulary = read_vocabulary(folder)
    checkpoint = _with_tokenizer_notes(checkpoint, vocabulary, folder)
    return ModelFolder(HUGGING_FACE, checkpoint, vocabulary, is_pair=is_pair)


def _with_activation(checkpoint: Checkpoint, activation: str) -> Checkpoint:
    """The checkpoint with the activation of a CrossEncoder's score."""
    if activation == "Sigmoid":
        return replace(checkpoint, sigmoid_score=True)
    if activation == "Identity":
        return checkpoint
    note = (
        f"The CrossEncoder's score goes through {activation}, which is left out: scores are those "
        "before it."
    )
    return replace(checkpoint, notes=(*checkpoint.notes, note))


def _read_sentence_transformers(folder: Path, as_base: bool) -> ModelFolder:
    modules = sentences.read_modules(folder)
    encoder = huggingface.read_folder(modules.encoder, as_base)
    checkpoint = modules.attach(encoder if modules.head is None else without_head(encoder))
    vocabulary = read_vocabulary(modules.encoder)
    if isinstance(vocabulary, Vocabulary):
        if modules.lowercase and isinstance(vocabulary, LibraryWordPiece):
            vocabulary = vocabulary.lower_cased()
        elif modules.lowercase and not vocabulary.lowercase:
            accents = vocabulary.strip_accents or False
            vocabulary = replace(vocabulary, lowercase=True, strip_accents=accents)
        checkpoint = _with_tokenizer_notes(checkpoint, vocabulary, modules.encoder)
    elif modules.lowercase:
        raise ConversionError(
            f"{folder}: expected do_lower_case false, since its vocabulary is SentencePiece's. "
            "Received: true. Next: set it to false in sentence_bert_config.json if the model was "
            "trained on text with its case."
        )
    return ModelFolder(
        SENTENCE_TRANSFORMERS,
        replace(checkpoint, source=str(folder)),
        vocabulary,
        modules.max_length,
        modules.facts(),
        modules.prompts if modules.head is not None else {},
    )


def _read_keras_hub(folder: Path, as_base: bool) -> ModelFolder:
    vocabulary = keras_hub_preset.read_vocabulary(folder)
    checkpoint = keras_hub_preset.read_folder(folder, as_base)
    max_length = keras_hub_preset.read_max_length(folder)
    return ModelFolder("keras-hub preset", checkpoint, vocabulary, max_length)


def _read_tf1(folder: Path, as_base: bool) -> ModelFolder:
    checkpoint = tf1.read_folder(folder, as_base)
    vocabulary = read_vocabulary(folder)
    if isinstance(vocabulary, Vocabulary):
        checkpoint = _with_case_note(checkpoint, vocabulary, folder)
    return ModelFolder("Google TF1 checkpoint", checkpoint, vocabulary)


def _with_tokenizer_notes(
    checkpoint: Checkpoint, vocabulary: SubwordVocabulary, folder: Path
) -> Checkpoint:
    """Adds what was assumed about the tokenizer, or what only Python can run of it."""
    if isinstance(vocabulary, LibraryWordPiece):
        note = (
            f"{folder} has another tokenizer than BERT's ({vocabulary.parts}): Python runs it, "
            "JavaScript and Kotlin can't."
        )
        return replace(checkpoint, notes=(*checkpoint.notes, note))
    if isinstance(vocabulary, Vocabulary) and not vocabulary.lowercase:
        return _with_case_note(checkpoint, vocabulary, folder)
    return checkpoint


def _with_case_note(checkpoint: Checkpoint, vocabulary: Vocabulary, folder: Path) -> Checkpoint:
    """Adds the assumed case rule to the notes if no file of the tokenizer has the rule."""
    if _states_case(folder):
        return checkpoint
    case = "is lower-cased" if vocabulary.lowercase else "keeps its case"
    has = "no word has" if vocabulary.lowercase else "words have"
    note = (
        f"{folder} does not say do_lower_case: text {case}, since {has} upper-case letters "
        "in vocab.txt."
    )
    return replace(checkpoint, notes=(*checkpoint.notes, note))


def _states_case(folder: Path) -> bool:
    """Whether a file states the case rule. `read_vocabulary` has checked the files."""
    config, fast = (
        json.loads(path.read_bytes()) if path.is_file() else {}
        for path in (folder / "tokenizer_config.json", folder / "tokenizer.json")
    )
    rules = (config.get("do_lower_case"), (fast.get("normalizer") or {}).get("lowercase"))
    return any(rule is not None for rule in rules)


FORMATS = (
    Format(
        SENTENCE_TRANSFORMERS,
        "modules.json",
        lambda folder: (
            (folder / sentences.MODULES_FILE).is_file()
            and not cross_encoder.is_cross_encoder(folder)
        ),
        _read_sentence_transformers,
    ),
    Format(
        "keras-hub preset",
        "config.json of keras-hub, model.weights.h5, tokenizer.json",
        keras_hub_preset.is_preset,
        _read_keras_hub,
    ),
    Format(
        HUGGING_FACE,
        "config.json, model.safetensors, vocab.txt",
        lambda folder: (folder / "config.json").is_file(),
        _read_huggingface,
    ),
    Format(
        "Google TF1 checkpoint",
        "bert_config.json, bert_model.ckpt.*, vocab.txt",
        lambda folder: (
            bool(tf1.checkpoint_prefixes(folder)) or (folder / tf1.CONFIG_FILE).is_file()
        ),
        _read_tf1,
    ),
)
