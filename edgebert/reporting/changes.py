"""Tables and notes of a comparison of new measurements with old ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from edgebert.profiling.comparison import Change, Comparison
from edgebert.profiling.measurement import Measurement
from edgebert.reporting.configurations import workload_text
from edgebert.reporting.tables import Table
from edgebert.reporting.units import NOTHING, ms_text, ratio_text, threads_text

_MOST_NAMED = 6
_NOT_AGAIN = ("faster", "within noise", "slower")


def changes_table(comparison: Comparison, old: str) -> Table:
    """All configurations that were measured in both files.

    Args:
        comparison: the comparison.
        old: name of the old file.
    """
    return Table(
        f"Compared with {old}: medians in ms; ratios above 1 are slower or larger",
        (
            "timed",
            "model",
            "old",
            "new",
            "ratio",
            "95% range",
            "fastest",
            "size",
            "peak memory",
            "verdict",
        ),
        tuple(
            (
                _where(change, comparison.changes),
                _model_text(change),
                ms_text(change.old_ms),
                ms_text(change.new_ms),
                ratio_text(change.ratio),
                _range_text(change),
                ratio_text(change.best_ratio),
                ratio_text(change.size_ratio),
                ratio_text(change.memory_ratio),
                change.verdict,
            )
            for change in comparison.changes
        ),
        texts=2,
    )


def changes_notes(comparison: Comparison, old: str) -> list[str]:
    """Notes on the table: noise, other machines, configurations without a counterpart."""
    changes = comparison.changes
    differing = dict.fromkeys(f"{c.target}: {text}" for c in changes for text in c.differences)
    return [
        *(f"Since {old}, {text}." for text in differing),
        *_note(
            [c for c in changes if c.verdict == "other machine"],
            lambda listed: (
                f"{old} was measured on another machine, so these have no verdict: {listed}. "
                f"Next: measure {old} on this machine."
            ),
        ),
        *_note(
            [c for c in changes if c.verdict == "unsure"],
            lambda listed: (
                f"Too few calls to distinguish a change from noise: {listed}. Next: raise "
                "--max-seconds."
            ),
        ),
        *_note(
            [c for c in changes if _is_noisy(c, comparison.limit)],
            lambda listed: (
                f"Slower than the limit, but within noise, so not a failure: {listed}. The "
                "confidence intervals of the medians overlap, or the fastest blocks are equally "
                "fast. Next: close other programs, or raise --max-seconds."
            ),
        ),
        *_note(
            [c for c in changes if c.other_ratio is not None and c.verdict in _NOT_AGAIN],
            lambda listed: (
                "Too slow in the first measurement but not in the second, so not a failure: "
                f"{listed}."
            ),
        ),
        *_placed(f"Not in {old}, so not compared", comparison.added),
        *_placed(f"In {old}, but not measured now", comparison.gone),
    ]


def failure_text(comparison: Comparison, old: str) -> str:
    """The error message of a missed gate; empty if the gate was met."""
    slow = comparison.too_slow
    if not slow or comparison.limit is None:
        return ""
    received = "; ".join(
        f"{_change_text(c, slow)} {ms_text(c.old_ms)} to {ms_text(c.new_ms)} ms, "
        f"{ratio_text(c.ratio)} ({_range_text(c)})"
        + f", {ratio_text(c.other_ratio)} in the first measurement"
        * (c.other_ratio is not None)
        for c in slow
    )
    return (
        f"--fail-above {100 * comparison.limit:g}%: expected medians that are not slower than in "
        f"{old} by more than that. Received: {received}. Next: find the cause; if the slowdown is "
        f"intended, measure {old} again with -o."
    )


def _is_noisy(change: Change, limit: float | None) -> bool:
    return change.verdict == "within noise" and limit is not None and change.ratio > 1 + limit


def _note(changes: Sequence[Change], sentence: Callable[[str], str]) -> Iterable[str]:
    if changes:
        yield sentence(_listed([_change_text(change, changes) for change in changes]))


def _placed(what: str, measurements: Sequence[Measurement]) -> Iterable[str]:
    if measurements:
        texts = [f"{m.name} {_place(m.target, m)}" for m in measurements]
        yield f"{what}: {_listed(list(dict.fromkeys(texts)))}."


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
    return ", ".join(texts[:_MOST_NAMED]) + more


def _change_text(change: Change, among: Sequence[Change]) -> str:
    return f"{change.name} {_where(change, among)}"


def _where(change: Change, among: Sequence[Change]) -> str:
    """What was timed, with the target and the thread count if they differ."""
    parts = [workload_text(change)]
    if len({c.target for c in among}) > 1:
        parts.insert(0, change.target)
    if len({c.threads for c in among}) > 1:
        parts.append(threads_text(change.threads))
    return ", ".join(parts)


def _place(target: str, m: Measurement) -> str:
    return f"{workload_text(m)} on {target}, {threads_text(m.threads)}"


def _model_text(change: Change) -> str:
    renamed = f" (was {change.old_name})" if change.old_name != change.name else ""
    return change.name + renamed


def _range_text(change: Change) -> str:
    if change.ratio_low is None or change.ratio_high is None:
        return NOTHING
    return f"{change.ratio_low:.2f} to {change.ratio_high:.2f}"
