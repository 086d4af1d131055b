"""The manifest of an exported file: what a program needs to answer texts with it, and provenance.

It is the JSON object in the metadata buffer `EDGEBERT_MANIFEST`. `docs/file-format.md` specifies
it for readers in any language; this module is its only writer and the reader in Python.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from converters.checkpoint import LARGEST_SIZES
from converters.errors import ConversionError
from converters.json_files import JsonFormat
from converters.limited_files import read_limited
from converters.tflite.metadata import metadata_buffer_span
from converters.tflite.output_names import EMBEDDING, HIDDEN_STATES, LOGITS, PROBABILITIES, SCORE
from converters.vocabulary import SubwordVocabulary, Vocabulary
from edgebert.errors import ModelError
from edgebert.system.json_text import json_text
from edgebert.tasks import task_named
from edgebert.tasks.decoding_checks import decoding_problems

MANIFEST_NAME = "EDGEBERT_MANIFEST"
"""The name of the metadata buffer."""
MANIFEST_FORMAT = 1
UNIGRAM_FORMAT = 2
"""The format of files whose tokenizer is no WordPiece, which readers of format 1 can't apply."""
_FORMAT = JsonFormat(
    "a manifest",
    "export it again with this version",
    ModelError,
    versions=(MANIFEST_FORMAT, UNIGRAM_FORMAT),
)
UNSEALED = "0" * 64
"""The value of `file_sha256` while the hash is computed."""
MAX_FILE_BYTES = 2**32
"""The largest `.tflite` that is read: a flatbuffer has at most 2 GB, and files with weights behind
it are slightly larger."""
MAX_LENGTH = LARGEST_SIZES["max_positions"]
"""The longest input in tokens, which is checked before anything of that size is allocated."""
OUTPUTS = (PROBABILITIES, LOGITS, SCORE, EMBEDDING, HIDDEN_STATES)
_SHOWN_CHARACTERS = 60

Json = Mapping[str, Any]


class DamagedFileError(ModelError):
    """The hash of a file is not the one in its manifest."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One manifest. Fields are the keys of the JSON object, in its order.

    Attributes:
        format: version of the file format.
        task: name of the task; `encoder` for a bare encoder.
        labels: in the order of the outputs; empty for a model without labels.
        decoding: settings of the task's decoding.
        output: name of the output.
        lengths: token lengths of the signatures, ascending; empty for one free length.
        max_length: longest encoding in tokens.
        recipe: name of the quantization recipe.
        tokenizer: `SubwordVocabulary.to_settings()`.
        vocabulary_sha256: of the vocabulary in the file, hex.
        weights_sha256: of the checkpoint's weights, hex.
        file_sha256: of the whole file, hex, with 64 zeros in place of this value; empty, and absent
            in JSON, in a manifest of no file yet and in files of old versions.
        config: shape of the encoder before pruning.
        history: one entry per stage.
        versions: of the packages that wrote the file.
        precision: how `kernels` and `embeddings` are stored.
        calibration: measurements of a recipe that decides by them; else empty, and absent in JSON.
        layers: heads and neurons of each exported layer.
        parity: comparison with the Keras model.
        quality: metrics on labelled data; without such data empty, and absent in JSON.
    """

    format: int = MANIFEST_FORMAT
    task: str
    labels: tuple[str, ...]
    decoding: Json
    output: str
    lengths: tuple[int, ...]
    max_length: int
    recipe: str = ""
    tokenizer: Json
    vocabulary_sha256: str
    weights_sha256: str = ""
    file_sha256: str = ""
    config: Json
    history: tuple[Json, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    precision: Mapping[str, str] = field(default_factory=dict)
    calibration: Json = field(default_factory=dict)
    layers: tuple[Mapping[str, int], ...] = ()
    parity: Json = field(default_factory=dict)
    quality: Json = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            item.name: _to_json(getattr(self, item.name))
            for item in fields(self)
            if item.name not in _OPTIONAL or getattr(self, item.name)
        }

    def to_bytes(self) -> bytes:
        """The content of the metadata buffer."""
        return json_text(self.to_dict()).encode()

    @classmethod
    def from_dict(cls, content: Json, where: Path | str = "") -> Manifest:
        """Reads and checks the JSON object. Unknown keys are ignored.

        Args:
            content: the object.
            where: the file, for messages.

        Raises:
            ModelError: another format, or keys that answers need are missing or have another type;
                all of them are listed.
        """
        complete = {"decoding": {}, **_FORMAT.require(content, where)}
        problems = [
            f"{key}: {expected}, received {_shown(complete[key]) if key in complete else 'nothing'}"
            for key, (is_valid, expected) in _CHECKS.items()
            if (key in complete or key in _REQUIRED)
            and not (key in complete and is_valid(complete[key]))
        ]
        problems += decoding_problems(complete["decoding"]) if not problems else []
        if problems:
            raise ModelError(
                f"{where}: expected a complete manifest. Received: {'; '.join(problems)}. "
                "Next: export the file again."
            )
        known = {item.name for item in fields(cls)} & set(complete)
        return cls(**{key: _from_json(complete[key]) for key in known})


def read_manifest(path: Path, data: bytes | None = None) -> Manifest:
    """The manifest in a file.

    Args:
        path: the file.
        data: its bytes; None to read them.

    Raises:
        ModelError: the file is cut short, is not a `.tflite`, has no manifest, or one that is
            damaged or of another format, or the hash of the file differs.
    """
    data = read_bytes(path) if data is None else data
    try:
        span = metadata_buffer_span(data, MANIFEST_NAME)
    except ConversionError as error:
        raise ModelError(f"{path}: {error}") from error
    if span is None:
        raise ModelError(
            f"{path} has no edgebert metadata, so its vocabulary and labels are unknown. "
            "Next: export it with `edgebert export`; `edgebert profile` and `edgebert inspect` "
            "take any .tflite."
        )
    manifest = Manifest.from_dict(_FORMAT.parse(data[span.start : span.stop], path), path)
    if manifest.file_sha256:
        _check_hash(path, data, span, manifest.file_sha256)
    return manifest


def format_for(vocabulary: SubwordVocabulary) -> int:
    """The lowest format whose readers can apply a vocabulary."""
    return MANIFEST_FORMAT if vocabulary.kind == Vocabulary.kind else UNIGRAM_FORMAT


def seal(data: bytes) -> bytes:
    """The file with the hash of the whole file in its manifest.

    Args:
        data: a file whose manifest has `UNSEALED` as `file_sha256`.
    """
    span = metadata_buffer_span(data, MANIFEST_NAME)
    assert span is not None
    place = data.index(UNSEALED.encode(), span.start, span.stop)
    sha256 = hashlib.sha256(data).hexdigest().encode()
    return b"".join((data[:place], sha256, data[place + len(sha256) :]))


def _check_hash(path: Path, data: bytes, span: range, expected: str) -> None:
    place = data.find(expected.encode(), span.start, span.stop)
    view = memoryview(data)
    found = hashlib.sha256(view[: max(place, 0)])
    found.update(UNSEALED.encode())
    found.update(view[place + len(UNSEALED) :])
    if place < 0 or found.hexdigest() != expected:
        raise DamagedFileError(
            f"{path} is damaged: expected the SHA-256 {expected[:12]}, which its manifest has. "
            f"Received: {found.hexdigest()[:12]}. Next: copy or export it again; another program "
            "may have changed it."
        )


def read_bytes(path: Path) -> bytes:
    """The content of a model file.

    Raises:
        ModelError: it can't be read.
    """
    try:
        return read_limited(path, MAX_FILE_BYTES)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}.") from error


def _to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _from_json(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_length(value: Any) -> bool:
    return _is_whole(value) and value <= MAX_LENGTH


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_sha256(value: Any) -> bool:
    return _is_text(value) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_task(value: Any) -> bool:
    try:
        return _is_text(value) and bool(task_named(value))
    except ModelError:
        return False


def _is_list_of(is_item: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and all(map(is_item, value))


def _are_lengths(value: Any) -> bool:
    return _is_list_of(_is_length)(value) and list(value) == sorted(set(value))


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "task": (_is_task, "a task that this version knows"),
    "labels": (_is_list_of(_is_text), "a list of texts"),
    "decoding": (_is_object, "an object"),
    "output": (lambda value: value in OUTPUTS, f"one of {', '.join(OUTPUTS)}"),
    "lengths": (_are_lengths, f"ascending whole numbers up to {MAX_LENGTH}"),
    "max_length": (_is_length, f"a whole number from 1 to {MAX_LENGTH}"),
    "tokenizer": (_is_object, "an object"),
    "vocabulary_sha256": (_is_text, "a text"),
    "config": (
        lambda value: _is_object(value) and _is_whole(value.get("num_segments")),
        "an object with num_segments, a whole number",
    ),
    "recipe": (_is_text, "a text"),
    "weights_sha256": (_is_text, "a text"),
    "file_sha256": (_is_sha256, "64 lower-case hexadecimal digits"),
    "history": (_is_list_of(_is_object), "a list of objects"),
    "versions": (_is_object, "an object"),
    "precision": (_is_object, "an object"),
    "calibration": (_is_object, "an object"),
    "layers": (_is_list_of(_is_object), "a list of objects"),
    "parity": (_is_object, "an object"),
    "quality": (_is_object, "an object"),
}
"""For each key: the check of its value, and what is expected, for messages."""
_OPTIONAL = ("file_sha256", "calibration", "parity", "quality")
"""Keys that are absent in JSON when empty."""
_REQUIRED = tuple(
    item.name
    for item in fields(Manifest)
    if item.default is MISSING and item.default_factory is MISSING
)
"""Keys that answers depend on."""
