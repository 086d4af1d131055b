"""Measurements of now against old ones, as a person reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from edgebert.profiling.comparison import Change, Comparison
from edgebert.profiling.measurement import Measurement
from edgebert.reporting.places import place_text
from edgebert.reporting.tables import Table
from edgebert.reporting.units import NOTHING, ms_text, ratio_text, threads_text

_MOST_NAMED = 6
_NOT_AGAIN = ("faster", "within noise", "slower")


def changes_table(comparison: Comparison, old: str) -> Table:
    """Every place that both have.

    Args:
        comparison: what was found.
        old: name of the old file.
    """
    return Table(
        f"Against {old}: medians in ms; ratios over 1 are slower, or larger",
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
    """What a reader of the table must know: noise, other machines, places without a match."""
    changes = comparison.changes
    differing = dict.fromkeys(f"{c.target}: {told}" for c in changes for told in c.differences)
    return [
        *(f"Since {old}, {told}." for told in differing),
        *_told(
            [c for c in changes if c.verdict == "other machine"],
            lambda places: (
                f"{old} was made on another machine, so these are not judged: {places}. "
                f"Next: measure {old} on this one."
            ),
        ),
        *_told(
            [c for c in changes if c.verdict == "unsure"],
            lambda places: (
                f"Too few calls to tell a change from noise: {places}. Next: raise --max-seconds."
            ),
        ),
        *_told(
            [c for c in changes if _is_noisy(c, comparison.limit)],
            lambda places: (
                f"Slower than the limit, but within noise, so not a failure: {places}. The "
                "medians' confidence intervals overlap, or the fastest stretches are alike. Next: "
                "close other programs, or raise --max-seconds."
            ),
        ),
        *_told(
            [c for c in changes if c.other_ratio is not None and c.verdict in _NOT_AGAIN],
            lambda places: f"Too slow at first, but not again, so not a failure: {places}.",
        ),
        *_placed(f"Not in {old}, so with nothing to compare with", comparison.added),
        *_placed(f"In {old}, but not measured now", comparison.gone),
    ]


def failure_text(comparison: Comparison, old: str) -> str:
    """Why a gate was missed; empty where it was not."""
    slow = comparison.too_slow
    if not slow or comparison.limit is None:
        return ""
    told = "; ".join(
        f"{_change_text(c, slow)} {ms_text(c.old_ms)} to {ms_text(c.new_ms)} ms, "
        f"{ratio_text(c.ratio)} ({_range_text(c)})"
        + f", {ratio_text(c.other_ratio)} at first"
        * (c.other_ratio is not None)
        for c in slow
    )
    return (
        f"--fail-above {100 * comparison.limit:g}%: medians must not be slower than in {old} "
        f"by more. Received: {told}. Next: find the change that made it slower; if that is wanted, "
        f"make {old} anew with -o."
    )


def _is_noisy(change: Change, limit: float | None) -> bool:
    return change.verdict == "within noise" and limit is not None and change.ratio > 1 + limit


def _told(changes: Sequence[Change], sentence: Callable[[str], str]) -> Iterable[str]:
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
    """What was timed; where and with how many threads, if that differs."""
    parts = [place_text(change)]
    if len({c.target for c in among}) > 1:
        parts.insert(0, change.target)
    if len({c.threads for c in among}) > 1:
        parts.append(threads_text(change.threads))
    return ", ".join(parts)


def _place(target: str, m: Measurement) -> str:
    return f"{place_text(m)} on {target}, {threads_text(m.threads)}"


def _model_text(change: Change) -> str:
    renamed = f" (was {change.old_name})" if change.old_name != change.name else ""
    return change.name + renamed


def _range_text(change: Change) -> str:
    if change.ratio_low is None or change.ratio_high is None:
        return NOTHING
    return f"{change.ratio_low:.2f} to {change.ratio_high:.2f}"
