"""The measurement plan: the files, and the signatures and lengths to measure of each.

All inputs are checked before anything is timed. One error reports all problems.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert.encoding.lengths import DEFAULT_LENGTHS
from edgebert.errors import ModelError, UsageError
from edgebert.models.manifest import DamagedFileError, Manifest, read_manifest
from edgebert.settings import ProfileSettings
from edgebert.system.plurals import counted
from edgebert.tasks import bare_encoder, task_named
from edgebert.tasks.task import Task

OUR_SIGNATURES = "tokens_"
GZIP_WINDOW = 31
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelFile:
    """A `.tflite` on disk.

    Attributes:
        path: Path of the file.
        name: Short name, unique among the files of the job.
        size_bytes: Size of the file.
        gzip_bytes: Size after gzip (level 6).
        sha256: SHA-256 of the file, in hex.
        task: Task in edgebert's manifest; the bare encoder for files of other programs.
        has_manifest: Whether edgebert exported the file.
        max_length: Maximum length in tokens in edgebert's manifest. None for files of other
            programs.
    """

    path: Path
    name: str
    size_bytes: int
    gzip_bytes: int
    sha256: str
    task: Task[Any]
    has_manifest: bool
    max_length: int | None

    @property
    def answers(self) -> bool:
        """Whether the file is an edgebert model that answers texts."""
        return self.task.has_answers

    @property
    def described(self) -> str:
        """The file and its task, for error messages."""
        return f"{self.name} ({self.task.name if self.has_manifest else 'not of edgebert'})"

    @property
    def facts(self) -> dict[str, Any]:
        """The fields of a `Measurement` that describe the file."""
        return {
            "model": str(self.path),
            "name": self.name,
            "sha256": self.sha256,
            "size_bytes": self.size_bytes,
            "gzip_bytes": self.gzip_bytes,
        }


@dataclass(frozen=True)
class Configuration:
    """One signature of one file at one length.

    Attributes:
        file: The model.
        signature: Key of the signature. None for a file without signatures.
        length: Length in tokens. None for inputs without a token length.
    """

    file: ModelFile
    signature: str | None
    length: int | None

    @property
    def call(self) -> dict[str, Any]:
        """The fields of a runner's request that select this call."""
        return {"signature": self.signature or "", "length": self.length}

    def label(self, threads: int) -> str:
        """Name of the configuration in messages and progress."""
        return f"{self.file.name}, {self.signature or 'graph'}, {counted(threads, 'thread')}"


def read_model_files(paths: Sequence[Path]) -> tuple[ModelFile, ...]:
    """Reads sizes, hashes and manifests of the files.

    Raises:
        UsageError: No file was given, or one file was given twice.
        ModelError: Files are missing, folders, or unreadable. One error lists all of them.
    """
    if not paths:
        raise UsageError("profile expects at least one .tflite file. Received: none.")
    twice = [str(path) for path, count in Counter(p.resolve() for p in paths).items() if count > 1]
    if twice:
        raise UsageError(f"profile expects each file once. Received twice: {', '.join(twice)}.")
    problems, files = [], []
    for path, name in zip(paths, short_names(paths), strict=True):
        try:
            files.append(_read_model_file(path, name))
        except IsADirectoryError:
            problems.append(f"{path} is a folder; export it first with `edgebert export`")
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
    if problems:
        raise ModelError(f"profile expects .tflite files. Received: {'; '.join(problems)}.")
    return tuple(files)


def _read_model_file(path: Path, name: str) -> ModelFile:
    digest, gzip, size, packed = hashlib.sha256(), zlib.compressobj(wbits=GZIP_WINDOW), 0, 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            packed += len(gzip.compress(chunk))
    manifest = _manifest(path)
    return ModelFile(
        path,
        name,
        size,
        packed + len(gzip.flush()),
        digest.hexdigest(),
        task=_task_in(manifest),
        has_manifest=manifest is not None,
        max_length=None if manifest is None else manifest.max_length,
    )


def _manifest(path: Path) -> Manifest | None:
    """The manifest that edgebert's exporter wrote; None for files of other programs."""
    try:
        return read_manifest(path)
    except DamagedFileError:
        raise
    except ModelError:
        return None


def _task_in(manifest: Manifest | None) -> Task[Any]:
    """The task of a manifest; a bare encoder for files without a manifest."""
    return bare_encoder() if manifest is None else task_named(manifest.task)


def task_of_files(paths: Sequence[Path]) -> Task[Any]:
    """The common task of the files; the bare encoder if none of them has a task.

    Raises:
        UsageError: The files have several tasks.
    """
    found = [_task_in(_manifest(path)) for path in paths if path.is_file()]
    tasks = {task for task in found if task.has_answers}
    if len(tasks) > 1:
        raise UsageError(
            "Expected files of one task, since they read one file of texts. Received: "
            f"{', '.join(sorted(task.name for task in tasks))}. "
            "Next: profile them one after the other."
        )
    return tasks.pop() if tasks else bare_encoder()


def short_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """The files' stems, prefixed with as many parent folders as needed to be unique."""
    spelled = [path.resolve().with_suffix("").parts for path in paths]
    if len(set(spelled)) < len(spelled):
        spelled = [path.resolve().parts for path in paths]
    depth = 1
    while len({parts[-depth:] for parts in spelled}) < len({*spelled}):
        depth += 1
    return tuple("/".join(parts[-depth:]) for parts in spelled)


def configurations(
    files: Sequence[ModelFile],
    signatures: Mapping[str, Mapping[str, Mapping[str, Any]]],
    settings: ProfileSettings,
) -> tuple[Configuration, ...]:
    """Every signature at every requested length, sorted by length.

    Args:
        files: The models, in the given order.
        signatures: The signatures that the runner's `load` returned, by file name.
        settings: `lengths` selects among fixed lengths, and sets the lengths of dynamic signatures.

    Raises:
        UsageError: No file has one of the lengths, or a file has none of them.
    """
    known = {file.name: _our_signatures(signatures[file.name]) for file in files}
    fixed = {entry["length"] for own in known.values() for entry in own.values()} - {None}
    chosen = []
    for file in files:
        for key, entry in known[file.name].items():
            lengths = _lengths(file, entry, fixed, settings)
            chosen += [Configuration(file, key or None, length) for length in lengths]
    _refuse_gaps(files, known, chosen, settings)
    return tuple(sorted(chosen, key=lambda c: (c.length is None, c.length or 0)))


def _our_signatures(entries: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """The signatures with edgebert's names, if there are any; otherwise all of them."""
    return {k: e for k, e in entries.items() if k.startswith(OUR_SIGNATURES)} or entries


def _lengths(
    file: ModelFile, entry: Mapping[str, Any], fixed: set[int], settings: ProfileSettings
) -> list[int | None]:
    """The lengths at which a signature is measured."""
    if entry["dynamic"]:
        lengths = settings.lengths or sorted(fixed) or DEFAULT_LENGTHS
        return [n for n in lengths if file.max_length is None or n <= file.max_length]
    own = entry["length"]
    return [own] if own is None or not settings.lengths or own in settings.lengths else []


def _refuse_gaps(
    files: Sequence[ModelFile],
    known: Mapping[str, Mapping[str, Mapping[str, Any]]],
    chosen: Sequence[Configuration],
    settings: ProfileSettings,
) -> None:
    problems = []
    for length in settings.lengths:
        if length not in {configuration.length for configuration in chosen}:
            problems.append(f"no file has length {length}")
    for file in files:
        if file not in {configuration.file for configuration in chosen}:
            problems.append(f"{file.name} has none of the requested lengths")
    if problems:
        has = "; ".join(
            f"{name} has {', '.join(str(entry['length'] or key) for key, entry in own.items())}"
            for name, own in known.items()
        )
        raise UsageError(
            f"--lengths expects lengths that the files have: {has}. "
            f"Received: {'; '.join(problems)}."
        )
