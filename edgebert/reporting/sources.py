"""Reads the output files of other commands as small reports, which are then merged.

`edgebert profile -o` writes measurements and device checks, `edgebert run` and `edgebert report`
write reports, `evaluate`, `export` and `inspect` print JSON with `--json`, and a `.tflite` of
edgebert has a manifest. The SHA-256 of a file connects its results.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.contained_paths import OutsideFolderError, path_inside
from converters.json_files import MAX_BYTES, InvalidJsonError, parse_json
from converters.limited_files import UnreadableFileError, read_limited
from edgebert.errors import DataError, EdgebertError, ModelError
from edgebert.models.manifest import MAX_FILE_BYTES, DamagedFileError, read_manifest
from edgebert.profiling.comparison import FORMAT as COMPARISON_FORMAT
from edgebert.profiling.device_check import FORMAT as CHECK_FORMAT
from edgebert.profiling.device_check import DeviceCheck
from edgebert.profiling.field_types import misfits
from edgebert.profiling.measurement import FORMAT as MEASUREMENT_FORMAT
from edgebert.profiling.measurement import Measurement
from edgebert.profiling.plan import read_model_files
from edgebert.reporting.report import FORMAT as REPORT_FORMAT
from edgebert.reporting.report import Report, Row, Score, row_of
from edgebert.reporting.units import counted
from edgebert.settings import TASKS
from edgebert.tasks import task_named

KERAS = "Keras"
MODEL_SUFFIX = ".tflite"
MANIFEST_SUFFIX = MODEL_SUFFIX + ".json"
_IDENTIFIER = slice(4, 8)
_FORMAT_PREFIX = '"edgebert-'
_EXPECTED = (
    "output of `edgebert profile -o` or `edgebert run`, the --json of `evaluate`, `export` or "
    "`inspect`, a .tflite, or a folder of such files"
)


class UnknownSourceError(DataError):
    """A file that no command of edgebert wrote; in a folder such files are skipped."""


@dataclass(frozen=True)
class Source:
    """One file that was read.

    Attributes:
        path: the path as given or found in a folder.
        sha256: SHA-256 of the file in hex.
        content: content of the file in words.
        reports: one small report for each item of the file.
    """

    path: Path
    sha256: str
    content: str
    reports: tuple[Report, ...]

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """All measurements of the file in order."""
        return tuple(m for report in self.reports for m in report.measurements)


def read_sources(paths: Sequence[Path]) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """Reads files and folders of files.

    Returns:
        The sources, and one line for each skipped file of a folder.

    Raises:
        DataError: Files are missing, of another origin, truncated or of a newer version, or a
            folder has no known file. All problems are listed.
    """
    sources: list[Source] = []
    problems: list[str] = []
    skipped: list[str] = []
    for given in paths:
        before = len(sources), len(problems)
        for path in _files_of(given):
            try:
                sources.append(read_source(path))
            except UnknownSourceError as error:
                (skipped if path != given else problems).append(f"{path}: {error}")
            except (EdgebertError, OSError) as error:
                problem = getattr(error, "strerror", None) or str(error)
                problems.append(f"{path}: {problem}")
        if before == (len(sources), len(problems)):
            problems.append(f"{given}: a folder without such files")
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise DataError(f"Expected {_EXPECTED}. Received:\n{listed}")
    return tuple(sources), tuple(skipped)


def _files_of(path: Path) -> list[Path]:
    """The files to read, without manifests next to their `.tflite`."""
    if not path.is_dir():
        return [path]
    found = [p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")]
    names = {p.name for p in found}
    return sorted(
        p
        for p in found
        if p.suffix in (MODEL_SUFFIX, ".json")
        and not (p.name.endswith(MANIFEST_SUFFIX) and p.name.removesuffix(".json") in names)
    )


def read_source(path: Path) -> Source:
    """Reads one file.

    Raises:
        UnknownSourceError: No command of edgebert wrote the file.
        DataError: The file is empty, truncated, too large or of a newer version; all problems are
            listed.
        OSError: The file can't be read.
    """
    try:
        data = read_limited(path, MAX_FILE_BYTES if path.suffix == MODEL_SUFFIX else MAX_BYTES)
    except UnreadableFileError as error:
        raise DataError(
            f"expected at most {MAX_BYTES} bytes of JSON. Received: {error}. "
            "Next: give the files of single runs."
        ) from error
    sha256 = hashlib.sha256(data).hexdigest()
    if path.suffix == MODEL_SUFFIX:
        return Source(path, sha256, "the .tflite itself", (_report_of(_model_row(path, data)),))
    kinds: Counter[str] = Counter()
    reports, problems = [], []
    tables = _tables(data)
    for index, table in enumerate(tables):
        try:
            kind = _kind_of(table)
            reports.append(kind.read(table, path))
            kinds[kind.noun] += 1
        except UnknownSourceError:
            raise
        except (EdgebertError, AttributeError, LookupError, TypeError, ValueError) as error:
            problem = str(error) if isinstance(error, EdgebertError) else _wrong_fields(error)
            where = f"item {index + 1} of {len(tables)}: " if len(tables) > 1 else ""
            problems.append(f"{where}{problem}")
    if problems:
        raise DataError("; ".join(problems))
    words = ", ".join(counted(count, noun) for noun, count in kinds.items())
    return Source(path, sha256, words, tuple(reports))


def _wrong_fields(error: Exception) -> str:
    return f"fields are missing or of another type ({error}). Next: make it again."


def _tables(data: bytes) -> list[Any]:
    """The JSON objects of a file: a single one, or a list.

    Raises:
        UnknownSourceError: The file is no JSON and has no format name of edgebert.
        DataError: The file has a format name of edgebert but is truncated, or is an empty list.
    """
    try:
        text = data.decode("utf-8")
        content = parse_json(text)
    except (UnicodeDecodeError, InvalidJsonError) as error:
        is_ours = _FORMAT_PREFIX in data.decode("utf-8", "replace")
        raise (DataError if is_ours else UnknownSourceError)(
            f"expected complete JSON. Received: {error}. Next: the file is likely truncated; write "
            "it again."
        ) from error
    if content == []:
        raise DataError(
            "an empty list without measurements. Next: run its command again and read the messages."
        )
    return content if isinstance(content, list) else [content]


@dataclass(frozen=True)
class _Kind:
    noun: str
    fits: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any], Path], Report]


def _kind_of(table: Any) -> _Kind:
    if isinstance(table, dict):
        for kind in _KINDS:
            if kind.fits(table):
                return kind
        named = table.get("format")
        if isinstance(named, str) and f'"{named}'.startswith(_FORMAT_PREFIX):
            raise DataError(
                f"expected a format that a report can read. Received: {named!r}. Next: if a newer "
                "edgebert wrote it, update this one."
            )
    raise UnknownSourceError(f"no command of edgebert wrote it. Next: give {_EXPECTED}.")


def _has_format(name: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda table: bool(table.get("format") == name)


def _has(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda table: all(key in table for key in keys)


def _report_of(row: Row, notes: tuple[str, ...] = ()) -> Report:
    return Report("", (row,), notes=notes)


def _checked_fields(thing: Any) -> Any:
    """Checks the field types of an object and returns it.

    Raises:
        DataError: Fields have another type; the first five are listed.
    """
    wrong = misfits(thing)
    if wrong:
        raise DataError(
            f"Fields have wrong values: {'; '.join(wrong[:5])}"
            f"{' and more' if len(wrong) > 5 else ''}. Next: measure again."
        )
    return thing


def _measurement(table: Mapping[str, Any], path: Path) -> Report:
    m: Measurement = _checked_fields(Measurement.from_dict(table))
    return _report_of(row_of(m))


def _device_check(table: Mapping[str, Any], path: Path) -> Report:
    check: DeviceCheck = _checked_fields(DeviceCheck.from_dict(table))
    metrics = {check.metric: check.host_value}
    score = Score(check.data, check.data_sha256, check.rows, metrics, check.metric)
    row = Row(check.name, "", "", {}, file=check.model, sha256=check.sha256, scores=(score,))
    return Report("", (row,), checks=(check,))


def _report(table: Mapping[str, Any], path: Path) -> Report:
    report: Report = _checked_fields(Report.from_dict(table))
    return report


def _comparison(table: Mapping[str, Any], path: Path) -> Report:
    """An empty report: the measurements in the same file have the content."""
    return Report("", ())


def _evaluation(table: Mapping[str, Any], path: Path) -> Report:
    facts = (table["data"], table.get("data_sha256", ""), table["rows"], table["metrics"])
    score = _checked_fields(Score(*facts, metric=_metric_of(table.get("task", ""))))
    model = Path(str(table["model"]))
    if model.suffix != MODEL_SUFFIX:
        return _report_of(Row(str(model), "", KERAS, {}, file=str(model), scores=(score,)))
    sha256 = str(table.get("sha256") or _hash_beside(path, model))
    row = Row(model.stem, "", "", {}, file=str(model), sha256=sha256, scores=(score,))
    if sha256:
        return _report_of(row)
    note = (
        f"{path.name}: the score of {model.name} has a separate row, since the evaluation has no "
        "SHA-256 and the file is not in the same folder. Next: evaluate it again."
    )
    return _report_of(row, (note,))


def _metric_of(task: str) -> str:
    """The main metric of a task; empty for old evaluations without a task."""
    return task_named(task).metric if task in TASKS else ""


def _hash_beside(source: Path, model: Path) -> str:
    """The hash of the `.tflite` of this name in the folder of a source; empty if it isn't there.

    Another folder that the source names isn't looked into.
    """
    try:
        path = path_inside(source.parent, model.name)
        if path.suffix != MODEL_SUFFIX or not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, OutsideFolderError):
        return ""


def _exported(table: Mapping[str, Any], path: Path) -> Report:
    model = Path(str(table["path"]))
    sha256 = str(table.get("sha256") or _hash_beside(path, model))
    if not sha256:
        raise DataError(
            f"expected the SHA-256 of {model}, or the file beside this one. Received: neither. "
            "Next: give the .tflite itself."
        )
    row = _manifest_row(
        model, sha256, table["manifest"], table["size_bytes"], table.get("gzip_bytes")
    )
    return _report_of(row)


def _inspection(table: Mapping[str, Any], path: Path) -> Report:
    model = table["model"]
    row = _manifest_row(
        Path(str(table["path"])), model["sha256"], table["manifest"] or {}, model["size_bytes"]
    )
    return _report_of(row)


def _manifest(table: Mapping[str, Any], path: Path) -> Report:
    model = path.with_name(path.name.removesuffix(".json"))
    if model.suffix != MODEL_SUFFIX or not model.is_file():
        raise DataError(
            "a manifest without its .tflite in the same folder. Next: give the .tflite."
        )
    return _report_of(_model_row(model, model.read_bytes()))


def _model_row(path: Path, data: bytes) -> Row:
    if data[_IDENTIFIER] != b"TFL3":
        raise UnknownSourceError("it is no .tflite. Next: it is likely truncated; export it again.")
    (file,) = read_model_files([path])
    try:
        manifest = read_manifest(path, data).to_dict()
    except DamagedFileError:
        raise
    except ModelError:  # no manifest: only size and hash are known
        manifest = {}
    return _manifest_row(path, file.sha256, manifest, file.size_bytes, file.gzip_bytes)


def _manifest_row(
    path: Path,
    sha256: str,
    manifest: Mapping[str, Any],
    size_bytes: int,
    gzip_bytes: int | None = None,
) -> Row:
    """The facts of a manifest: recipe, agreement, and metrics if they were measured."""
    quality = manifest.get("quality")
    final = (manifest.get("parity") or {}).get("final") or {}
    scores: tuple[Score, ...] = ()
    if quality:
        text = (quality["data"], quality["data_sha256"], quality["rows"])
        scores = (Score(*text, dict(quality["metrics"]), quality.get("metric", "")),)
    row: Row = _checked_fields(
        Row(
            path.stem,
            model="",
            recipe=manifest.get("recipe", ""),
            metrics={},
            size_bytes=size_bytes,
            gzip_bytes=gzip_bytes,
            agreement=final.get("label_agreement"),
            file=str(path),
            sha256=sha256,
            scores=scores,
        )
    )
    return row


_KINDS = (
    _Kind("measurement", _has_format(MEASUREMENT_FORMAT), _measurement),
    _Kind("device check", _has_format(CHECK_FORMAT), _device_check),
    _Kind("report", _has_format(REPORT_FORMAT), _report),
    _Kind("comparison", _has_format(COMPARISON_FORMAT), _comparison),
    _Kind("evaluation", _has("model", "data", "rows", "metrics"), _evaluation),
    _Kind("exported file", _has("path", "size_bytes", "manifest"), _exported),
    _Kind("inspection", _has("path", "model", "delegation", "manifest"), _inspection),
    _Kind("manifest", _has("recipe", "vocabulary_sha256", "lengths"), _manifest),
)
