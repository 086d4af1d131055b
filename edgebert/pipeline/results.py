"""Collects the results of all stages of a run into one `Report`."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from math import sqrt
from typing import Any

from converters.heads import CLASSIFIER
from converters.json_files import JsonFormat
from edgebert import __version__
from edgebert.errors import DataError
from edgebert.exporting.artifact import gzip_size, manifest_path
from edgebert.pipeline.config import PRUNED, ExportPlan
from edgebert.pipeline.session import (
    EVALUATED_FOLDER,
    EXPORTED_FOLDER,
    PROFILED_FOLDER,
    Session,
)
from edgebert.pipeline.stages import keras_name
from edgebert.profiling.measurement import Measurement
from edgebert.reporting.report import ACCURACY, Report, Row, Score, StageFact
from edgebert.reporting.units import metric_words, ratio_text, share_text

KERAS = "Keras"
_STAGE_FILE = JsonFormat("a result of a stage", "run the stage again with --force", DataError)
_PACKAGES = (
    "ai-edge-litert",
    "keras",
    "keras-hub",
    "numpy",
    "tensorflow",
    "tensorflow-model-optimization",
    "tokenizers",
)
_Z_95 = 1.96


def make_report(session: Session, stages: Sequence[StageFact]) -> Report:
    """The report of a finished run."""
    rows = (
        *(_keras_row(session, name) for name in session.exported_models),
        *(_file_row(session, plan) for plan in session.config.exports),
    )
    report = Report(session.config.name, rows, tuple(stages), _provenance(session, rows))
    return Report(
        report.name, rows, report.stages, report.provenance, tuple(_notes(session, report))
    )


def _keras_row(session: Session, model: str) -> Row:
    name = keras_name(model)
    return Row(
        name,
        model,
        KERAS,
        _evaluation(session, name)["metrics"],
        sparsity=_sparsity(session, model),
        scores=(_score(session, name),),
    )


def _file_row(session: Session, plan: ExportPlan) -> Row:
    path = session.tflite(plan)
    manifest = _STAGE_FILE.read(manifest_path(path))
    data = path.read_bytes()
    final = manifest["parity"]["final"] or {}
    measurements: tuple[Measurement, ...] = ()
    if session.config.profile is not None:
        stored = _STAGE_FILE.read_value(session.config.out / PROFILED_FOLDER / f"{plan.name}.json")
        measurements = tuple(map(Measurement.from_dict, stored))
    return Row(
        name=plan.name,
        model=plan.model,
        recipe=plan.settings.recipe,
        metrics=_evaluation(session, plan.name)["metrics"],
        size_bytes=len(data),
        gzip_bytes=measurements[0].gzip_bytes if measurements else gzip_size(data),
        sparsity=_sparsity(session, plan.model),
        agreement=final.get("label_agreement"),
        file=f"{EXPORTED_FOLDER}/{path.name}",
        sha256=_sha256(data),
        as_expected=plan.checks.sha256 == _sha256(data) if plan.checks.sha256 else None,
        measurements=measurements,
        scores=(_score(session, plan.name),),
    )


def _evaluation(session: Session, name: str) -> dict[str, Any]:
    return _STAGE_FILE.read(session.config.out / EVALUATED_FOLDER / f"{name}.json")


def _score(session: Session, name: str) -> Score:
    found = _evaluation(session, name)
    metrics = found["metrics"]
    return Score(found["data"], found["data_sha256"], found["rows"], metrics, session.task.metric)


def _sparsity(session: Session, model: str) -> float | None:
    """Share of zeros after magnitude pruning. None for a model that was not pruned this way."""
    step = next((step for step in session.config.steps if step.name == model), None)
    is_step = step is not None and step.kind == "prune"
    if not is_step and (model != PRUNED or session.config.prune is None):
        return None
    return float(session.model(model).history[-1]["sparsity"])


def _notes(session: Session, report: Report) -> Iterable[str]:
    """Notes that a reader needs to interpret the figures."""
    files = [row for row in report.rows if row.size_bytes is not None]
    yield from (_comparison(report, files[0], files[-1]) for _ in files[1:2])
    rows, name = len(session.test), session.task.metric
    unused = "chose the best epochs" if session.tests_on_dev else "were not used for any choice"
    known = ""
    if name == ACCURACY and session.task.head == CLASSIFIER:  # one choice a row
        accuracy = files[0].metrics[name]
        known = (
            f"; the 95% interval of an accuracy of {share_text(accuracy)} is about "
            f"+-{100 * half_width(accuracy, rows):.1f} points"
        )
    yield f"The test split has {rows} rows, which {unused}{known}."
    if any(row.sparsity for row in files):
        yield (
            "Magnitude pruning sets weights to zero. Zeros make the gzip'd file smaller, but not "
            "the file or its latency, because the kernels still multiply by them. The pruned model "
            "was also trained longer: recovery training comes after fine-tuning."
        )
    for row in files:
        if row.as_expected is not None:
            yield f"{row.name}: {_describe_hash(row)}"
    yield from _data_notes(session)
    if report.measurements:
        first = report.measurements[0]
        yield (
            f"Latency on {first.device.cpu}, {first.device.cores} cores, with {first.runtime}; "
            "the files were timed in turn, and each ratio compares blocks of the same round. "
            "Latency on a phone differs."
        )


def _describe_hash(row: Row) -> str:
    if row.as_expected:
        return f"the file has the expected bytes (SHA-256 {row.sha256})."
    return (
        "the file has other bytes than expected. Another machine, or other versions of packages, "
        f"can round differently. SHA-256 received: {row.sha256}."
    )


def _comparison(report: Report, before: Row, after: Row) -> str:
    ratios = [
        (ratio_text(report.size_ratio(after.size_bytes, "size_bytes")), "the size"),
        (ratio_text(report.size_ratio(after.gzip_bytes, "gzip_bytes")), "the gzip'd size"),
    ]
    if before.end_to_end and after.end_to_end:
        latency = report.latency_ratio(after.end_to_end)
        ratios.append((ratio_text(latency), "the time from text to answer"))
    points = 100 * (after.metrics[report.metric] - before.metrics[report.metric])
    listed = ", ".join(f"{ratio} {what}" for ratio, what in ratios)
    metric = metric_words(report.metric)
    return f"{after.name} against {before.name}: {listed}, {metric} {points:+.1f} points."


def half_width(share: float, count: int) -> float:
    """Half the width of the 95 % Wilson score interval (Wilson 1927) of a share of `count` rows."""
    return (_Z_95 / (1 + _Z_95**2 / count)) * sqrt(
        share * (1 - share) / count + _Z_95**2 / (4 * count**2)
    )


def _data_notes(session: Session) -> Iterable[str]:
    typed = session.task.input_texts
    trained = {typed(e) for part in (session.train, session.dev) for e in part.examples}
    known = sum(typed(example) in trained for example in session.test.examples)
    if known:
        yield f"Test texts that are also in the training or dev split: {known}."
    cut: dict[int, list[str]] = {}
    for plan in session.config.exports:
        cut.setdefault(_evaluation(session, plan.name)["truncated_rows"], []).append(plan.name)
    for rows, names in cut.items():
        if rows:
            listed = ", ".join(names)
            yield f"Test texts that were truncated to the longest length: {rows} ({listed})."


def _provenance(session: Session, rows: Sequence[Row]) -> dict[str, dict[str, str]]:
    config = session.config
    measured = next((m for row in rows for m in row.measurements), None)
    machine = {
        "processor": measured.device.cpu if measured else platform.processor(),
        "cores": str(measured.device.cores) if measured else "",
        "system": measured.device.os if measured else platform.platform(),
        "runtime": measured.runtime if measured else "",
        "features": ", ".join(measured.device.cpu_features) if measured else "",
    }
    return {
        "Data": {
            part: f"{dataset.name}, {len(dataset)} rows, file SHA-256 {dataset.sha256}"
            for part, dataset in session.parts.items()
        },
        "Files": {row.file: f"SHA-256 {row.sha256}" for row in rows if row.file},
        "Machine": {key: value for key, value in machine.items() if value},
        "Versions": {"edgebert": __version__, "python": platform.python_version(), **_versions()},
        "Commands": {
            "this run": f"edgebert run {config.path.name}",
            "base model": config.base if "/" not in config.base[:1] else "a local folder",
            "try it": f'edgebert predict {rows[-1].file} "..."',
        },
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
