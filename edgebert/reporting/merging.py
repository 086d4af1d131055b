"""Merges reports into one, with one row per file.

Files are identified by their SHA-256. Equal measurements, checks and notes are kept once; different
measurements of the same configuration are all kept.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from edgebert import __version__
from edgebert.profiling.device_check import DeviceCheck
from edgebert.profiling.measurement import Measurement
from edgebert.reporting.configurations import DeviceKey, device_labels, device_of
from edgebert.reporting.report import Report, Row, Score, StageFact
from edgebert.reporting.sources import Source
from edgebert.reporting.units import counted, moment_text

MACHINE_GROUP, FILES_GROUP, OWN_GROUP = "Machine", "Files", "This report"
DEVICE_GROUP = "Device: "
T = TypeVar("T")

_NAMES = ("name", "model", "measured")
_SHA_DIGITS = 7
_MOST_VALUES = 4


def merge(reports: Sequence[Report], name: str = "") -> Report:
    """Merges reports.

    Rows keep the order of their first occurrence, Keras models before files. `metrics` are those on
    the data set that most rows were scored on; all others are in `scores`.

    Args:
        reports: reports of runs, or partial ones with a single row or measurement.
        name: title; empty uses the name of the run if there is only one, else a general title.
    """
    runs = list(dict.fromkeys(report.name for report in reports if report.name))
    groups: dict[object, list[Row]] = defaultdict(list)
    for report in reports:
        for row in report.rows:
            scored = _with_scores(row, report)
            groups[_identity(scored)].append(scored)
    rows = _named(
        sorted(map(_merged_row, groups.values()), key=lambda row: row.size_bytes is not None)
    )
    rows, scored_on, notes = _scored(rows)
    names = {row.sha256: row.name for row in rows if row.sha256}
    checks = [replace(c, name=names.get(c.sha256, c.name)) for r in reports for c in r.checks]
    merged = Report(
        name or (runs[0] if len(runs) == 1 else "Measurements"),
        tuple(rows),
        stages=_stages(reports, several=len(runs) > 1),
        notes=(*_notes(reports, several=len(runs) > 1), *notes),
        checks=tuple(_without_duplicates(checks, _check_content)),
        scored_on=scored_on,
    )
    return replace(merged, provenance=_provenance(reports, merged))


def merge_sources(sources: Sequence[Source], name: str = "", command: str = "") -> Report:
    """Merges the reports of files, and adds the files to the provenance.

    Args:
        sources: sources of `read_sources`.
        name: title, as for `merge`.
        command: command that makes the report again.
    """
    merged = merge([report for source in sources for report in source.reports], name)
    made = {"command": command, "edgebert": __version__}
    read = {str(s.path): f"{s.content}; SHA-256 {s.sha256}" for s in sources}
    facts = {fact: text for fact, text in (made | read).items() if text}
    return replace(merged, provenance={**merged.provenance, OWN_GROUP: facts})


def _identity(row: Row) -> object:
    """The identity of a row: the SHA-256 of its file or, without a file, all of its facts."""
    if row.sha256:
        return row.sha256
    scores = [(*_text_of(score), *sorted(score.metrics.items())) for score in row.scores]
    return (row.name, row.model, row.recipe, row.file, *scores)


def _with_scores(row: Row, report: Report) -> Row:
    """Adds a score to a row of an old report, which has only metrics."""
    if row.scores or not row.metrics:
        return row
    text = f"{report.scored_on} of {report.name}" if report.name else report.scored_on
    return replace(row, scores=(Score(text, "", 0, row.metrics),))


def _merged_row(rows: Sequence[Row]) -> Row:
    """Merges rows of the same file; each fact comes from the first row that has it."""
    facts = ("model", "recipe", "size_bytes", "gzip_bytes", "sparsity", "agreement", "file")
    known: dict[str, Any] = {
        fact: next((v for row in rows if (v := getattr(row, fact)) not in (None, "")), absent)
        for fact, absent in ((fact, getattr(rows[0], fact)) for fact in facts)
    }
    measurements = [m for row in rows for m in row.measurements]
    return replace(
        rows[0],
        **known,
        measurements=tuple(_without_duplicates(measurements, _measurement_content)),
        scores=_merged_scores([score for row in rows for score in row.scores]),
    )


def _without_duplicates(items: Sequence[T], content: Callable[[T], object]) -> list[T]:
    """Removes duplicates by content and keeps the order of first occurrence."""
    found: dict[object, T] = {}
    for item in items:
        found.setdefault(content(item), item)
    return list(found.values())


def _measurement_content(m: Measurement) -> str:
    """The content of a measurement without its names; session and times distinguish it."""
    table = {key: value for key, value in m.to_dict().items() if key not in _NAMES}
    return json.dumps(table, sort_keys=True)


def _check_content(check: DeviceCheck) -> str:
    table = {key: value for key, value in check.to_dict().items() if key not in _NAMES}
    return json.dumps(table, sort_keys=True)


def _text_of(score: Score) -> tuple[str, int]:
    """The identity of the data set of a score."""
    return (score.data_sha256 or score.data, score.rows)


def _merged_scores(scores: Sequence[Score]) -> tuple[Score, ...]:
    """Merges scores on the same data set, unless they contradict each other."""
    joined: list[Score] = []
    for score in scores:
        for index, other in enumerate(joined):
            common = other.metrics.keys() & score.metrics.keys()
            if _text_of(other) == _text_of(score) and all(
                other.metrics[name] == score.metrics[name] for name in common
            ):
                joined[index] = replace(other, metrics={**other.metrics, **score.metrics})
                break
        else:
            joined.append(score)
    return tuple(joined)


def _named(rows: Sequence[Row]) -> list[Row]:
    """Gives rows unique names, also in their measurements."""
    count = Counter(row.name for row in rows)
    taken: set[str] = set()
    named = []
    for row in rows:
        name = row.name
        if count[name] > 1 and row.sha256:
            name = f"{name} ({row.sha256[:_SHA_DIGITS]})"
        plain, number = name, 1
        while name in taken:
            number += 1
            name = f"{plain} #{number}"
        taken.add(name)
        measurements = tuple(replace(m, name=name) for m in row.measurements)
        named.append(replace(row, name=name, measurements=measurements))
    return named


def _scored(rows: Sequence[Row]) -> tuple[list[Row], str, list[str]]:
    """Chooses the data set that most rows were scored on.

    Returns:
        The rows with their metrics on it, its name, and a note on rows without a score on it.
    """
    texts: dict[tuple[str, int], Score] = {}
    count: Counter[tuple[str, int]] = Counter()
    for row in rows:
        for text in dict.fromkeys(map(_text_of, row.scores)):
            count[text] += 1
        for score in row.scores:
            texts.setdefault(_text_of(score), score)
    if not count:
        return [replace(row, metrics={}) for row in rows], "", []
    best = max(count, key=lambda text: (count[text], text[1]))
    scored, elsewhere = [], []
    for row in rows:
        metrics = next((s.metrics for s in row.scores if _text_of(s) == best), {})
        scored.append(replace(row, metrics=metrics))
        if row.scores and not metrics:
            elsewhere.append(row.name)
    scored_on = score_text(texts[best])
    notes = [
        f"Accuracy is compared on {scored_on}, on which most models have a score. Models with "
        f"scores only on other data: {', '.join(elsewhere)}."
    ] * bool(elsewhere)
    return scored, scored_on, notes


def score_text(score: Score) -> str:
    """The name of the data set of a score, with its number of rows."""
    return score.data + (f", {counted(score.rows, 'row')}" if score.rows else "")


def _stages(reports: Sequence[Report], several: bool) -> tuple[StageFact, ...]:
    stages = [
        replace(stage, name=f"{report.name}: {stage.name}") if several else stage
        for report in reports
        for stage in report.stages
    ]
    return tuple(_without_duplicates(stages, lambda stage: (stage.name, stage.finished)))


def _notes(reports: Sequence[Report], several: bool) -> list[str]:
    notes = [
        f"{report.name}: {note}" if several and report.name else note
        for report in reports
        for note in report.notes
    ]
    return list(dict.fromkeys(notes))


def _provenance(reports: Sequence[Report], merged: Report) -> dict[str, Mapping[str, str]]:
    """Groups of facts; groups with the same title in two runs stay separate if they differ."""
    groups: dict[str, Mapping[str, str]] = {}
    for report in reports:
        for title, facts in report.provenance.items():
            if title == FILES_GROUP or title.startswith(DEVICE_GROUP):
                continue  # made again from rows and measurements
            if title == MACHINE_GROUP and report.measurements:
                continue  # the device groups have these facts
            if title == OWN_GROUP:
                title = f"{report.name}, a source"
            known = groups.get(title)
            if known is None or all(known.get(key, value) == value for key, value in facts.items()):
                groups[title] = {**(known or {}), **facts}
            else:
                groups[f"{title} of {report.name}"] = dict(facts)
    files = {
        row.name: _file_text(row) for row in merged.rows if row.sha256 or row.size_bytes is not None
    }
    devices = {
        DEVICE_GROUP + label: _device_facts(key, merged.measurements)
        for key, label in device_labels(merged.measurements).items()
    }
    return {**devices, FILES_GROUP: files, **groups}


def _file_text(row: Row) -> str:
    return ", ".join(filter(None, (row.file, f"SHA-256 {row.sha256}" if row.sha256 else "")))


def _device_facts(key: DeviceKey, measurements: Sequence[Measurement]) -> Mapping[str, str]:
    """The facts of a device; values that differ between measurements are listed."""
    made = [m for m in measurements if device_of(m) == key]
    moments = sorted(m.measured for m in made if m.measured)
    span = list(dict.fromkeys(map(moment_text, (moments[0], moments[-1])))) if moments else []
    facts = {
        "target": [key.target],
        "name": [key.name],
        "processor": [key.cpu],
        "cores": [str(key.cores) if key.cores else ""],
        "architecture": [key.architecture],
        "system": [key.os],
        "runtime": [key.runtime],
        "governor": [m.device.governor or "" for m in made],
        "load before": [_range_text([m.device.load_average for m in made])],
        "features": [", ".join(m.device.cpu_features) for m in made],
        "measured": [" to ".join(span)],
    }
    for m in made:
        for fact, value in m.device.details.items():
            facts.setdefault(fact, []).append(value)
    return {fact: text for fact, values in facts.items() if (text := _listed(values))}


def _range_text(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    ends = (f"{min(known):.1f}", f"{max(known):.1f}") if known else ()
    return " to ".join(dict.fromkeys(ends))


def _listed(values: Sequence[str]) -> str:
    known = list(dict.fromkeys(filter(None, values)))
    more = f" and {len(known) - _MOST_VALUES} more" if len(known) > _MOST_VALUES else ""
    return "; ".join(known[:_MOST_VALUES]) + more
