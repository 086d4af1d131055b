"""Reads what other commands wrote, whatever it is, as small reports that can be merged.

`edgebert profile -o` writes measurements and device checks, `edgebert run` and `edgebert report`
write reports, `evaluate`, `export` and `inspect` print theirs with `--json`, and a `.tflite` of
ours says itself how it was made. What belongs to one file is joined by the file's SHA-256.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.json_files import InvalidJsonError, parse_json
from edgebert.errors import DataError, EdgebertError, ModelError
from edgebert.models.litert_model import read_manifest
from edgebert.profiling.comparison import FORMAT as COMPARISON_FORMAT
from edgebert.profiling.device_check import FORMAT as CHECK_FORMAT
from edgebert.profiling.device_check import DeviceCheck
from edgebert.profiling.field_types import misfits
from edgebert.profiling.measurement import FORMAT as MEASUREMENT_FORMAT
from edgebert.profiling.measurement import Measurement
from edgebert.profiling.plan import read_model_files
from edgebert.reporting.report import FORMAT as REPORT_FORMAT
from edgebert.reporting.report import Report, Row, Score
from edgebert.reporting.units import counted
from edgebert.settings import TASKS
from edgebert.tasks import task_named

KERAS = "Keras"
MODEL_SUFFIX = ".tflite"
MANIFEST_SUFFIX = MODEL_SUFFIX + ".json"
_IDENTIFIER = slice(4, 8)
_OURS = '"edgebert-'
_TAKEN = (
    "what `edgebert profile -o` or `edgebert run` wrote, the --json of `evaluate`, `export` or "
    "`inspect`, a .tflite, or a folder of such"
)


class NotOursError(DataError):
    """A file that no command of ours wrote. In a folder such files are passed over."""


@dataclass(frozen=True)
class Source:
    """One file that was read.

    Attributes:
        path: as it was given, or as found in a folder.
        sha256: of its bytes.
        told: what it holds, in words.
        reports: a small report for each thing in it.
    """

    path: Path
    sha256: str
    told: str
    reports: tuple[Report, ...]

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """All that are in it, in its order."""
        return tuple(m for report in self.reports for m in report.measurements)


def read_sources(paths: Sequence[Path]) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """Reads files, and folders of files.

    Returns:
        The sources, and a line for each file of a folder that was passed over.

    Raises:
        DataError: files that are missing, none of ours, cut short or of a newer version, folders
            with nothing of ours; all at once.
    """
    sources: list[Source] = []
    problems: list[str] = []
    passed_over: list[str] = []
    for given in paths:
        before = len(sources), len(problems)
        for path in _files_of(given):
            try:
                sources.append(read_source(path))
            except NotOursError as error:
                (passed_over if path != given else problems).append(f"{path}: {error}")
            except (EdgebertError, OSError) as error:
                told = getattr(error, "strerror", None) or str(error)
                problems.append(f"{path}: {told}")
        if before == (len(sources), len(problems)):
            problems.append(f"{given}: the folder holds no such file")
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise DataError(f"Expected {_TAKEN}. Received:\n{listed}")
    return tuple(sources), tuple(passed_over)


def _files_of(path: Path) -> list[Path]:
    """The files of a folder; a manifest is read with the file that it stands beside."""
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
        NotOursError: no command of ours wrote it.
        DataError: it is empty, cut short, or of a newer version; with all that is wrong.
        OSError: it can't be read.
    """
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    if path.suffix == MODEL_SUFFIX:
        return Source(path, sha256, "the file itself", (_of_row(_model_row(path, data)),))
    told: Counter[str] = Counter()
    reports, problems = [], []
    tables = _tables(data)
    for place, table in enumerate(tables):
        try:
            kind = _kind_of(table)
            reports.append(kind.read(table, path))
            told[kind.noun] += 1
        except NotOursError:
            raise
        except (EdgebertError, AttributeError, LookupError, TypeError, ValueError) as error:
            told_error = str(error) if isinstance(error, EdgebertError) else _lacking(error)
            where = f"item {place + 1} of {len(tables)}: " if len(tables) > 1 else ""
            problems.append(f"{where}{told_error}")
    if problems:
        raise DataError("; ".join(problems))
    words = ", ".join(counted(count, noun) for noun, count in told.items())
    return Source(path, sha256, words, tuple(reports))


def _lacking(error: Exception) -> str:
    return f"fields are missing or of another type ({error}). Next: make it again."


def _tables(data: bytes) -> list[Any]:
    """The JSON objects of a file: one, or a list of them.

    Raises:
        NotOursError: it is no JSON, and nothing in it is ours.
        DataError: it is ours but cut short, or an empty list.
    """
    try:
        text = data.decode("utf-8")
        content = parse_json(text)
    except (UnicodeDecodeError, InvalidJsonError) as error:
        ours = _OURS in data.decode("utf-8", "replace")
        raise (DataError if ours else NotOursError)(
            f"it is no whole JSON ({error}). Next: it is likely cut short; write it again."
        ) from error
    if content == []:
        raise DataError(
            "an empty list: it holds no measurement. Next: run the command that made it again and "
            "look at its messages."
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
        if isinstance(named, str) and f'"{named}'.startswith(_OURS):
            raise DataError(
                f"format {named!r} is not one that a report takes. Next: if a newer edgebert "
                "wrote it, update this one."
            )
    raise NotOursError(f"none of our commands wrote it. Next: give {_TAKEN}.")


def _has_format(name: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda table: bool(table.get("format") == name)


def _has(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda table: all(key in table for key in keys)


def _of_row(row: Row, notes: tuple[str, ...] = ()) -> Report:
    return Report("", (row,), notes=notes)


def _fitting(thing: Any) -> Any:
    """The thing, unless fields of it are of another type.

    Raises:
        DataError: some are; all of them.
    """
    wrong = misfits(thing)
    if wrong:
        raise DataError(
            f"Fields are not what they should be: {'; '.join(wrong[:5])}"
            f"{' and more' if len(wrong) > 5 else ''}. Next: measure again."
        )
    return thing


def _measurement(table: Mapping[str, Any], path: Path) -> Report:
    m: Measurement = _fitting(Measurement.from_dict(table))
    return _of_row(
        Row(
            m.name,
            model="",
            recipe="",
            metrics={},
            size_bytes=m.size_bytes,
            gzip_bytes=m.gzip_bytes,
            file=m.model,
            sha256=m.sha256,
            measurements=(m,),
        )
    )


def _device_check(table: Mapping[str, Any], path: Path) -> Report:
    check: DeviceCheck = _fitting(DeviceCheck.from_dict(table))
    metrics = {check.metric: check.host_value}
    score = Score(check.data, check.data_sha256, check.rows, metrics, check.metric)
    row = Row(check.name, "", "", {}, file=check.model, sha256=check.sha256, scores=(score,))
    return Report("", (row,), checks=(check,))


def _report(table: Mapping[str, Any], path: Path) -> Report:
    report: Report = _fitting(Report.from_dict(table))
    return report


def _comparison(table: Mapping[str, Any], path: Path) -> Report:
    """Says nothing that the measurements beside it don't."""
    return Report("", ())


def _evaluation(table: Mapping[str, Any], path: Path) -> Report:
    facts = (table["data"], table.get("data_sha256", ""), table["rows"], table["metrics"])
    score = _fitting(Score(*facts, metric=_metric_of(table.get("task", ""))))
    model = Path(str(table["model"]))
    if model.suffix != MODEL_SUFFIX:
        return _of_row(Row(str(model), "", KERAS, {}, file=str(model), scores=(score,)))
    sha256 = str(table.get("sha256") or _hash_of(model))
    row = Row(model.stem, "", "", {}, file=str(model), sha256=sha256, scores=(score,))
    if sha256:
        return _of_row(row)
    note = (
        f"{path.name}: the score of {model.name} stands in a row of its own, since neither the "
        "evaluation nor a file there says which bytes it was. Next: evaluate it again."
    )
    return _of_row(row, (note,))


def _metric_of(task: str) -> str:
    """A task's own metric; nothing of evaluations from before there were tasks."""
    return task_named(task).metric if task in TASKS else ""


def _hash_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _exported(table: Mapping[str, Any], path: Path) -> Report:
    model = Path(str(table["path"]))
    sha256 = str(table.get("sha256") or _hash_of(model))
    if not sha256:
        raise DataError(
            f"it doesn't say which bytes {model} has, and the file is not there. "
            "Next: give the .tflite itself."
        )
    row = _manifest_row(
        model, sha256, table["manifest"], table["size_bytes"], table.get("gzip_bytes")
    )
    return _of_row(row)


def _inspection(table: Mapping[str, Any], path: Path) -> Report:
    model = table["model"]
    row = _manifest_row(
        Path(str(table["path"])), model["sha256"], table["manifest"] or {}, model["size_bytes"]
    )
    return _of_row(row)


def _manifest(table: Mapping[str, Any], path: Path) -> Report:
    model = path.with_name(path.name.removesuffix(".json"))
    if model.suffix != MODEL_SUFFIX or not model.is_file():
        raise DataError(
            "the manifest of a file that does not stand beside it. Next: give the .tflite."
        )
    return _of_row(_model_row(model, model.read_bytes()))


def _model_row(path: Path, data: bytes) -> Row:
    if data[_IDENTIFIER] != b"TFL3":
        raise NotOursError("it is no .tflite. Next: it is likely cut short; export it again.")
    (file,) = read_model_files([path])
    try:
        manifest = read_manifest(path, data)
    except ModelError:  # somebody else's file: its size and hash are all that is known
        manifest = {}
    return _manifest_row(path, file.sha256, manifest, file.size_bytes, file.gzip_bytes)


def _manifest_row(
    path: Path,
    sha256: str,
    manifest: Mapping[str, Any],
    size_bytes: int,
    gzip_bytes: int | None = None,
) -> Row:
    """What the exporter says of a file: recipe, agreement, and metrics where asked for."""
    quality = manifest.get("quality")
    final = (manifest.get("parity") or {}).get("final") or {}
    scores: tuple[Score, ...] = ()
    if quality:
        text = (quality["data"], quality["data_sha256"], quality["rows"])
        scores = (Score(*text, dict(quality["metrics"]), quality.get("metric", "")),)
    row: Row = _fitting(
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
