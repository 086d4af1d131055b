"""What a report is: a row a model, the devices and the versions behind the figures, and notes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from converters.json_files import JsonFormat
from edgebert.errors import DataError
from edgebert.profiling.device_check import DeviceCheck
from edgebert.profiling.measurement import Measurement
from edgebert.profiling.ratios import ratios
from edgebert.reporting.places import Place, common_place, latest, place_of
from edgebert.system.storage import atomic_write

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
    """How a model does on labelled text.

    Attributes:
        data: name of the text.
        data_sha256: of its file; empty where unknown.
        rows: how many texts; 0 where unknown.
        metrics: by name: shares of 1, correlations and what else the task has.
        metric: the task's own among them; accuracy, or the first, where it is empty.
    """

    data: str
    data_sha256: str
    rows: int
    metrics: Mapping[str, float]
    metric: str = ""

    @property
    def main(self) -> str:
        """The metric that the model is judged by; empty where there is none."""
        return self.metric or main_metric(self.metrics)


def main_metric(metrics: Mapping[str, float]) -> str:
    """The metric that matters of a model whose task is not known: accuracy, or else the first."""
    return ACCURACY if ACCURACY in metrics else next(iter(metrics), "")


@dataclass(frozen=True)
class Row:
    """One model: a Keras model, or a `.tflite` that was made of it.

    Attributes:
        name: unique in the report; a file's stem.
        model: the stage that made the weights: base, finetuned or pruned.
        recipe: of a `.tflite`; what a Keras model computes in otherwise.
        metrics: on the text that the report compares on, by name.
        size_bytes: of the `.tflite`; None for a Keras model.
        gzip_bytes: of the `.tflite`, gzip'd.
        sparsity: share of zeros among the weights that pruning may touch; None where not pruned.
        agreement: share of the certificate's texts on which it gives the Keras model's label.
        file: path of the `.tflite`, as seen from the report; empty for a Keras model.
        sha256: of the file, or of the float weights of a Keras model.
        measurements: its latencies and memory.
        scores: what is known of it on any text; `metrics` are those of one of them.
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

    @property
    def end_to_end(self) -> Measurement | None:
        """Text in, answer out, with the fewest threads that were timed."""
        found = [m for m in self.measurements if m.kind == "end_to_end"]
        return min(found, key=lambda m: m.threads) if found else None


@dataclass(frozen=True)
class StageFact:
    """One stage of the run: how long it took, when it ended, what it says of itself.

    Attributes:
        name: of the stage.
        seconds: it took when it last ran.
        finished: when that was, ISO 8601, UTC.
        kept: whether the last run found it done.
        facts: what the stage says of its result, by name.
    """

    name: str
    seconds: float
    finished: str
    kept: bool
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A whole run, or measurements from many, ready to be drawn.

    Attributes:
        name: title of the report.
        rows: Keras models first, then files in the order they were asked for.
        stages: in order.
        provenance: groups of facts (data, machine, versions, commands ...), each by name.
        notes: what a reader must know to judge the figures.
        checks: labelled text on devices, against the machine that asked.
        scored_on: the text that the rows' `metrics` were counted on.
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
        """The metric that most rows are judged by; empty where none is."""
        known = Counter(
            next((s.main for s in row.scores if s.main in row.metrics), main_metric(row.metrics))
            for row in self.rows
            if row.metrics
        )
        return known.most_common(1)[0][0] if known else ""

    @property
    def baseline(self) -> Row | None:
        """The first row that has a file: what ratios compare with."""
        return next((row for row in self.rows if row.size_bytes is not None), None)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """All rows' measurements, the baseline's first."""
        return tuple(m for row in self.rows for m in row.measurements)

    @property
    def common_place(self) -> Place | None:
        """Where the most models were measured: what one figure a model is taken from."""
        return common_place(self.measurements)

    def measured_at(self, row: Row, place: Place | None) -> Measurement | None:
        """A row's last measurement in a place; None where it has none."""
        return next((m for m in latest(row.measurements) if place_of(m) == place), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; ratios are put in for readers that don't compute."""
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
        """Reads what `to_dict` gave, also after a trip through JSON.

        Raises:
            DataError: another format or a newer version; fields are missing.
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
                f"A report has the fields of {FORMAT} version {FORMAT_VERSION}. Received: a table "
                f"that lacks some: {error}. Next: make it again."
            ) from error

    def latency_ratio(self, m: Measurement) -> float | None:
        """A latency against the first file's in the same place; None where that was not timed."""
        return latency_ratio(m, self.measurements)

    def size_ratio(self, size: int | None, what: str) -> float | None:
        """A size against the baseline's; None where there is none."""
        base = getattr(self.baseline, what) if self.baseline else None
        return size / base if size and base else None


def _row_from_dict(table: Mapping[str, Any]) -> Row:
    values = _known(Row, table)
    values["measurements"] = tuple(map(Measurement.from_dict, table["measurements"]))
    values["scores"] = tuple(Score(**_known(Score, score)) for score in table.get("scores", ()))
    return Row(**values)


def _known(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in table.items() if name in names}


def latency_ratio(m: Measurement, among: Sequence[Measurement]) -> float | None:
    """A latency against that of the first model in the same place; None where that was not timed.

    Of several such, it is the one that took turns with it, else the newest.
    """
    same = [b for b in among if b.name == among[0].name and place_of(b) == place_of(m)]
    if not same:
        return None
    base = next((b for b in same if b.session == m.session), latest(same)[0])
    return 1.0 if base == m else ratios((base, m))[0].latency


def write_report(report: Report, folder: Path) -> tuple[Path, Path, Path]:
    """Writes `report.json`, `report.md` and `report.html` into a folder.

    Raises:
        MissingExtraError: matplotlib is not installed; the other two are written.
    """
    from edgebert.reporting.html import to_html
    from edgebert.reporting.markdown import to_markdown

    content = json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n"
    return (
        atomic_write(folder / "report.json", _encodable(content)),
        atomic_write(folder / "report.md", _encodable(to_markdown(report))),
        atomic_write(folder / "report.html", _encodable(to_html(report))),
    )


def _encodable(text: str) -> str:
    """Half characters, which JSON may hold and a file can't, become question marks."""
    return text.encode("utf-8", "replace").decode()
