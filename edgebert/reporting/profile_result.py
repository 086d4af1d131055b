"""The result of `edgebert profile`: measurements, JSON, tables and quality gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert.errors import DataError, EdgebertError, QualityGateError, UsageError
from edgebert.profiling.comparison import Comparison, compare_twice
from edgebert.profiling.device_check import DeviceCheck
from edgebert.profiling.measurement import Measurement
from edgebert.profiling.target import Job, Outcome, Target
from edgebert.reporting.changes import changes_notes, changes_table, failure_text
from edgebert.reporting.operation_tables import closer_tables
from edgebert.reporting.sources import read_sources
from edgebert.reporting.tables import (
    Table,
    checks_table,
    files_table,
    latency_tables,
    warnings_text,
)
from edgebert.system.plurals import counted
from edgebert.system.progress import Progress, silent


@dataclass(frozen=True)
class Baseline:
    """Earlier measurements to compare with.

    Attributes:
        path: The file with the measurements.
        measurements: The measurements.
        limit: Allowed slowdown of a median, as a share. None applies no limit.
    """

    path: Path
    measurements: tuple[Measurement, ...]
    limit: float | None = None


def read_baseline(path: Path | None, limit: float | None) -> Baseline | None:
    """Reads the baseline. Call it before the measurement, which takes long.

    Args:
        path: The file of --compare; None if there is none.
        limit: The share of --fail-above.

    Raises:
        UsageError: There is a limit and no file.
        DataError: The file has no measurements.
    """
    if path is None:
        if limit is not None:
            raise UsageError(
                "--fail-above expects --compare FILE. Received: no file. "
                "Next: write one with `edgebert profile -o`."
            )
        return None
    (source,), _ = read_sources([path])
    if not source.measurements:
        raise DataError(
            f"--compare expects measurements in {path}. Received: {source.content}. "
            "Next: write one with `edgebert profile -o`."
        )
    return Baseline(path, source.measurements, limit)


@dataclass(frozen=True)
class ProfileResult:
    """The results of a job on all targets.

    Attributes:
        measurements: All measurements, including those that confirm a slowdown.
        checks: All device checks.
        failures: Errors of the targets that failed.
        baseline: The earlier measurements, if there are any.
        comparison: The comparison with the baseline.
    """

    measurements: tuple[Measurement, ...]
    checks: tuple[DeviceCheck, ...]
    failures: tuple[EdgebertError, ...] = ()
    baseline: Baseline | None = None
    comparison: Comparison | None = None

    def records(self) -> list[dict[str, Any]]:
        """The measurements and the checks in plain JSON types."""
        return [m.to_dict() for m in self.measurements] + [c.to_dict() for c in self.checks]

    def to_json(self) -> list[dict[str, Any]]:
        """The records, and the comparison if there is one."""
        compared = [] if self.comparison is None else [self.comparison.to_dict()]
        return [*self.records(), *compared]

    def tables(self) -> list[Table]:
        """Files, latencies, optional measurements, checks and changes."""
        tables = [files_table(self.measurements)] if self.measurements else []
        tables += [*latency_tables(self.measurements), *closer_tables(self.measurements)]
        tables += [checks_table(self.checks)] if self.checks else []
        if self.baseline is not None and self.comparison is not None and self.comparison.changes:
            tables.append(changes_table(self.comparison, self.baseline.path.name))
        return tables

    def notes(self) -> list[str]:
        """One line for each machine, and the notes of the checks."""
        notes = [note for check in self.checks for note in check.notes]
        return list(dict.fromkeys([*map(_machine_line, self.measurements), *notes]))

    def warnings(self) -> list[str]:
        """The warnings of the measurements, each once."""
        return warnings_text(self.measurements)

    def comparison_notes(self) -> list[str]:
        """Notes that explain the comparison."""
        if self.baseline is None or self.comparison is None:
            return []
        return changes_notes(self.comparison, self.baseline.path.name)

    def require_all_targets(self) -> None:
        """Raises the errors of the targets that failed, if there are any."""
        if self.failures:
            raise _combined(self.failures)

    def require_gates(self) -> None:
        """Checks the gates of --check and --fail-above.

        Raises:
            QualityGateError: A device check failed, or a median is slower than the limit.
            UsageError: There is a limit, and the baseline has no measurement of the same machine.
        """
        missed = _failed_checks(self.checks)
        baseline, comparison = self.baseline, self.comparison
        if baseline is not None and comparison is not None:
            missed += filter(None, [failure_text(comparison, baseline.path.name)])
            if baseline.limit is not None and not comparison.conclusive:
                missed.append(
                    "--fail-above expects conclusive measurements of this machine in "
                    f"{baseline.path}. Received: none. Next: see the lines above."
                )
                raise UsageError("\n".join(missed))
        if missed:
            raise QualityGateError("\n".join(missed))


def profile_targets(
    targets: Sequence[Target], job: Job, baseline: Baseline | None, progress: Progress = silent
) -> ProfileResult:
    """Runs a job on every target and compares the measurements with the baseline.

    A target that fails does not affect the others. Its error is part of the result.

    Raises:
        EdgebertError: All targets failed.
    """
    measured: list[tuple[Target, Outcome]] = []
    failures: list[EdgebertError] = []
    for target in targets:
        try:
            measured.append((target, target.profile(job, progress)))
        except EdgebertError as error:
            failures.append(error)
    if not measured:
        raise _combined(failures)
    outcomes = [outcome for _, outcome in measured]
    measurements = [m for outcome in outcomes for m in outcome.measurements]
    comparison = None
    if baseline is not None:
        comparison, repeated = compare_twice(
            baseline.measurements, measured, baseline.limit, job, progress
        )
        measurements += repeated
    checks = [check for outcome in outcomes for check in outcome.checks]
    return ProfileResult(tuple(measurements), tuple(checks), tuple(failures), baseline, comparison)


def _combined(failures: Sequence[EdgebertError]) -> EdgebertError:
    """One error of the first one's type with all messages."""
    return type(failures[0])("\n".join(map(str, failures)))


def _failed_checks(checks: Sequence[DeviceCheck]) -> list[str]:
    failed = [f"{check.name} on {check.target}" for check in checks if not check.passed]
    if not failed:
        return []
    return [
        "--check expects the device to return the token ids and the predictions of this machine, "
        "and scores that differ by at most 0.001, or by twice the effect of rounding. "
        f"Received: other results from {', '.join(failed)}. Next: see the table, or --json for "
        "the texts."
    ]


def _machine_line(measured: Measurement) -> str:
    device = measured.device
    cores = counted(device.cores, "core") if device.cores else ""
    known = ", ".join(dict.fromkeys(filter(None, (device.name, device.cpu, cores, device.os))))
    return f"{measured.target}: {known}; {measured.runtime}"
