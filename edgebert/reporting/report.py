"""The content of a report: one row per model, stages, device checks, provenance and notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from converters.json_files import JsonFormat
from edgebert.errors import DataError
from edgebert.profiling.device_check import DeviceCheck
from edgebert.profiling.measurement import Measurement
from edgebert.profiling.ratios import ratios
from edgebert.reporting.configurations import (
    Configuration,
    common_configuration,
    configuration_of,
    latest,
)

FORMAT = "edgebert-report"
FORMAT_VERSION = 1
_JSON = JsonFormat(
    "a report",
    "make it again with this version of edgebert",
    DataError,
    FORMAT,
    versions=(FORMAT_VERSION,),
)
ACCURACY = "accuracy"


@dataclass(frozen=True)
class Score:
    """The metrics of a model on a labelled data set.

    Attributes:
        data: name of the data set.
        data_sha256: SHA-256 of its file; empty if unknown.
        rows: number of rows; 0 if unknown.
        metrics: values by name.
        metric: name of the task's main metric; empty means accuracy or, without it, the first.
    """

    data: str
    data_sha256: str
    rows: int
    metrics: Mapping[str, float]
    metric: str = ""

    @property
    def main(self) -> str:
        """The name of the main metric; empty if there are no metrics."""
        return self.metric or main_metric(self.metrics)


def main_metric(metrics: Mapping[str, float]) -> str:
    """The main metric of a model of unknown task: accuracy, or the first metric."""
    return ACCURACY if ACCURACY in metrics else next(iter(metrics), "")


@dataclass(frozen=True)
class Row:
    """One model: a Keras model, or a `.tflite` exported from it.

    Attributes:
        name: name, unique in the report; the stem of a file.
        model: stage that made the weights: base, finetuned or pruned.
        recipe: recipe of a `.tflite`, or the framework of a Keras model.
        metrics: metrics by name on the data set of the comparison.
        size_bytes: size of the `.tflite`; None for a Keras model.
        gzip_bytes: size of the `.tflite` after gzip.
        sparsity: share of zeros in the prunable weights; None if the model is not pruned.
        agreement: share of the parity texts with the same label as the Keras model.
        file: path of the `.tflite` relative to the report; empty for a Keras model.
        sha256: SHA-256 of the file, or of the float weights of a Keras model.
        measurements: latency and memory measurements.
        scores: metrics on all data sets.
        as_expected: whether the file has the expected SHA-256; None if none is expected.
    """

    name: str
    model: str
    recipe: str
    metrics: Mapping[str, float]
    size_bytes: int | None = None
    gzip_bytes: int | None = None
    sparsity: float | None = None
    agreement: float | None = None
    file: str = ""
    sha256: str = ""
    measurements: tuple[Measurement, ...] = ()
    scores: tuple[Score, ...] = ()
    as_expected: bool | None = None

    @property
    def end_to_end(self) -> Measurement | None:
        """The measurement from text to answer with the fewest threads; None if there is none."""
        found = [m for m in self.measurements if m.kind == "end_to_end"]
        return min(found, key=lambda m: m.threads) if found else None


@dataclass(frozen=True)
class StageFact:
    """One stage of a run.

    Attributes:
        name: name of the stage.
        seconds: duration of its last execution.
        finished: end of its last execution, ISO 8601, UTC.
        kept: whether the last run reused an earlier result.
        facts: facts of its result by name.
    """

    name: str
    seconds: float
    finished: str
    kept: bool
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A run, or measurements from several sources, for rendering.

    Attributes:
        name: title of the report.
        rows: Keras models first, then files in the requested order.
        stages: stages in order.
        provenance: groups of facts (data, machine, versions, commands ...) by title.
        notes: remarks on the figures.
        checks: comparisons of devices with the host on labelled data.
        scored_on: name of the data set of the rows' `metrics`.
    """

    name: str
    rows: tuple[Row, ...]
    stages: tuple[StageFact, ...] = ()
    provenance: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    checks: tuple[DeviceCheck, ...] = ()
    scored_on: str = "the test split"

    @property
    def metric(self) -> str:
        """The main metric of most rows; empty without metrics."""
        known = Counter(
            next((s.main for s in row.scores if s.main in row.metrics), main_metric(row.metrics))
            for row in self.rows
            if row.metrics
        )
        return known.most_common(1)[0][0] if known else ""

    @property
    def baseline(self) -> Row | None:
        """The first row with a file, which ratios refer to."""
        return next((row for row in self.rows if row.size_bytes is not None), None)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """All rows' measurements, the baseline's first."""
        return tuple(m for row in self.rows for m in row.measurements)

    @property
    def common_configuration(self) -> Configuration | None:
        """The configuration with the most models, which single latencies are taken from."""
        return common_configuration(self.measurements)

    def measured_at(self, row: Row, configuration: Configuration | None) -> Measurement | None:
        """A row's latest measurement in a configuration; None if there is none."""
        return next(
            (m for m in latest(row.measurements) if configuration_of(m) == configuration), None
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, with ratios for readers that do not compute them."""
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "name": self.name,
            "scored_on": self.scored_on,
            "rows": [self._row_to_dict(row) for row in self.rows],
            "checks": [check.to_dict() for check in self.checks],
            "stages": [dict(vars(stage), facts=dict(stage.facts)) for stage in self.stages],
            "provenance": {key: dict(group) for key, group in self.provenance.items()},
            "notes": list(self.notes),
        }

    def _row_to_dict(self, row: Row) -> dict[str, Any]:
        return {
            **vars(row),
            "metrics": dict(row.metrics),
            "scores": [dict(vars(score), metrics=dict(score.metrics)) for score in row.scores],
            "size_ratio": self.size_ratio(row.size_bytes, "size_bytes"),
            "gzip_ratio": self.size_ratio(row.gzip_bytes, "gzip_bytes"),
            "measurements": [
                m.to_dict() | {"latency_ratio": self.latency_ratio(m)} for m in row.measurements
            ],
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Report:
        """Makes a report from the output of `to_dict`, also after JSON.

        Raises:
            DataError: The format or version is another one, or fields are missing.
        """
        _JSON.require(table)
        try:
            return cls(
                name=table["name"],
                rows=tuple(map(_row_from_dict, table["rows"])),
                stages=tuple(StageFact(**_known(StageFact, row)) for row in table["stages"]),
                provenance={title: dict(group) for title, group in table["provenance"].items()},
                notes=tuple(table["notes"]),
                checks=tuple(map(DeviceCheck.from_dict, table.get("checks", ()))),
                scored_on=table.get("scored_on", cls.scored_on),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"Expected a report with the fields of {FORMAT} version {FORMAT_VERSION}. "
                f"Received: an object without some of them: {error}. Next: make it again."
            ) from error

    def latency_ratio(self, m: Measurement) -> float | None:
        """The ratio of a latency to that of the first file in the same configuration, or None."""
        return latency_ratio(m, self.measurements)

    def size_ratio(self, size: int | None, what: str) -> float | None:
        """The ratio of a size to that of the baseline; None if there is no baseline."""
        base = getattr(self.baseline, what) if self.baseline else None
        return size / base if size and base else None


def row_of(m: Measurement) -> Row:
    """The row of a single measurement."""
    return Row(
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


def _row_from_dict(table: Mapping[str, Any]) -> Row:
    values = _known(Row, table)
    values["measurements"] = tuple(map(Measurement.from_dict, table["measurements"]))
    values["scores"] = tuple(Score(**_known(Score, score)) for score in table.get("scores", ()))
    return Row(**values)


def _known(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in table.items() if name in names}


def latency_ratio(m: Measurement, among: Sequence[Measurement]) -> float | None:
    """The ratio of a latency to that of the first model in the same configuration.

    If the first model has several, the one of the same session is used, else the latest.

    Returns:
        The ratio; None if the first model was not measured in this configuration.
    """
    same = [
        b for b in among if b.name == among[0].name and configuration_of(b) == configuration_of(m)
    ]
    if not same:
        return None
    base = next((b for b in same if b.session == m.session), latest(same)[0])
    return 1.0 if base == m else ratios((base, m))[0].latency
