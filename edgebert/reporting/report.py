"""What a report is: a row a model, the machine and the versions behind the figures, and notes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgebert.profiling.measurement import Measurement, ratios
from edgebert.storage import atomic_write

FORMAT = "edgebert-report"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Row:
    """One model: a Keras model, or a `.tflite` that was made of it.

    Attributes:
        name: unique in the report; a file's stem.
        model: the stage that made the weights: base, finetuned or pruned.
        recipe: of a `.tflite`; what a Keras model computes in otherwise.
        metrics: on the test split, by name, each a share of 1.
        size_bytes: of the `.tflite`; None for a Keras model.
        gzip_bytes: of the `.tflite`, gzip'd.
        sparsity: share of zeros among the weights that pruning may touch; None where not pruned.
        agreement: share of the certificate's texts on which it gives the Keras model's label.
        file: path of the `.tflite`, as seen from the report; empty for a Keras model.
        sha256: of the file, or of the float weights of a Keras model.
        measurements: its latencies and memory.
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

    @property
    def end_to_end(self) -> Measurement | None:
        """Text in, label out, with the fewest threads that were timed."""
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
    """A whole run, ready to be drawn.

    Attributes:
        name: title of the run.
        rows: Keras models first, then files in the order they were asked for.
        stages: in order.
        provenance: groups of facts (data, machine, versions, commands ...), each by name.
        notes: what a reader must know to judge the figures.
    """

    name: str
    rows: tuple[Row, ...]
    stages: tuple[StageFact, ...] = ()
    provenance: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def baseline(self) -> Row | None:
        """The first row that has a file: what ratios compare with."""
        return next((row for row in self.rows if row.size_bytes is not None), None)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """All rows' measurements, the baseline's first."""
        return tuple(m for row in self.rows for m in row.measurements)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; ratios are put in for readers that don't compute."""
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "name": self.name,
            "rows": [self._row_to_dict(row) for row in self.rows],
            "stages": [dict(vars(stage), facts=dict(stage.facts)) for stage in self.stages],
            "provenance": {key: dict(group) for key, group in self.provenance.items()},
            "notes": list(self.notes),
        }

    def _row_to_dict(self, row: Row) -> dict[str, Any]:
        return {
            **vars(row),
            "metrics": dict(row.metrics),
            "size_ratio": self.size_ratio(row.size_bytes, "size_bytes"),
            "gzip_ratio": self.size_ratio(row.gzip_bytes, "gzip_bytes"),
            "measurements": [
                m.to_dict() | {"latency_ratio": self.latency_ratio(m)} for m in row.measurements
            ],
        }

    def latency_ratio(self, m: Measurement) -> float | None:
        """A latency against the first file's in the same place; None where that was not timed."""
        return latency_ratio(m, self.measurements)

    def size_ratio(self, size: int | None, what: str) -> float | None:
        """A size against the baseline's; None where there is none."""
        base = getattr(self.baseline, what) if self.baseline else None
        return size / base if size and base else None


def latency_ratio(m: Measurement, among: Sequence[Measurement]) -> float | None:
    """A latency against that of the first model, with as many threads, at the same length."""

    def place(other: Measurement) -> tuple[object, ...]:
        return (other.target, other.threads, other.length, other.kind)

    first = next((b for b in among if b.name == among[0].name and place(b) == place(m)), None)
    if first is None:
        return None
    return 1.0 if first == m else ratios((first, m))[0].latency


def write_report(report: Report, folder: Path) -> tuple[Path, Path, Path]:
    """Writes `report.json`, `report.md` and `report.html` into a folder.

    Raises:
        MissingExtraError: matplotlib is not installed; the other two are written.
    """
    from edgebert.reporting.html import to_html
    from edgebert.reporting.markdown import to_markdown

    content = json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n"
    return (
        atomic_write(folder / "report.json", content),
        atomic_write(folder / "report.md", to_markdown(report)),
        atomic_write(folder / "report.html", to_html(report)),
    )
