"""The Pareto front, and the best candidate under budgets. Pure functions; nothing is measured here.

Smaller sizes and latencies are better, and larger accuracies. Latency is a ratio to the baseline
and is compared in steps of `LATENCY_STEP`, since even two files with the same graph differ by
measurement noise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edgebert.errors import UsageError

LATENCY_STEP = 0.03
NO_LIMIT_POINTS = 100.0
POINTS_LIKE_DOUBLE = 5.0
"""Exceeding the allowed drop by this many points is as bad as a file of twice the allowed size."""
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_SIZE = re.compile(r"([0-9]*\.?[0-9]+)\s*([KMG]?B?)", re.IGNORECASE)
_LATENCY = re.compile(r"([0-9]*\.?[0-9]+)\s*(x|ms)?", re.IGNORECASE)
_NUMBER = r"([0-9]*\.?[0-9]+)"
_DURATION = re.compile(rf"(?:{_NUMBER} *h)? *(?:{_NUMBER} *m)? *(?:{_NUMBER} *s)?")


@dataclass(frozen=True)
class Point:
    """One point of the trade-off.

    Attributes:
        size: Smaller is better.
        latency: Smaller is better.
        accuracy: Larger is better.
    """

    size: float
    latency: float
    accuracy: float


class Measured(Protocol):
    """A candidate with the values that budgets limit."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def latency_ms(self) -> float: ...

    @property
    def latency_ratio(self) -> float: ...

    @property
    def points_lost(self) -> float: ...

    @property
    def budget_points(self) -> float: ...


def dominates(a: Point, b: Point) -> bool:
    """Whether `a` is better than `b` in one value at least and worse in none."""
    no_worse = a.size <= b.size and a.latency <= b.latency and a.accuracy >= b.accuracy
    return no_worse and a != b


def pareto_front(points: Sequence[Point]) -> tuple[int, ...]:
    """The places of the points that no other dominates, in their order. Equal points all stay."""
    return tuple(
        place
        for place, point in enumerate(points)
        if not any(dominates(other, point) for other in points)
    )


def point_of(measured: Measured) -> Point:
    """A candidate as a point, with its latency in steps of `LATENCY_STEP`."""
    steps = round(math.log(max(measured.latency_ratio, 1e-9)) / LATENCY_STEP)
    return Point(measured.size_bytes, steps, -measured.points_lost)


@dataclass(frozen=True)
class Budgets:
    """Upper limits of a candidate; None is no limit.

    Attributes:
        size_bytes: Size of the file.
        latency_ms: Latency from text to answer.
        latency_ratio: The same, divided by the baseline's.
        drop_points: Loss of the task's metric against the float model, in hundredths.
    """

    size_bytes: int | None = None
    latency_ms: float | None = None
    latency_ratio: float | None = None
    drop_points: float | None = None

    def over(self, measured: Measured) -> dict[str, float]:
        """The share by which each budget is exceeded; empty if all are met.

        Points beyond the allowed drop are divided by `POINTS_LIKE_DOUBLE`. Example: 10 MB with a
        budget of 8 MB gives 0.25; 3.5 points with an allowed drop of 1 gives (3.5 - 1) / 5 = 0.5.
        """
        found = {}
        if self.size_bytes is not None:
            found["size"] = measured.size_bytes / self.size_bytes - 1
        if self.latency_ms is not None:
            found["latency"] = measured.latency_ms / self.latency_ms - 1
        if self.latency_ratio is not None:
            found["latency"] = measured.latency_ratio / self.latency_ratio - 1
        if self.drop_points is not None:
            found["points lost"] = (measured.budget_points - self.drop_points) / POINTS_LIKE_DOUBLE
        return {name: share for name, share in found.items() if share > 1e-9}

    def distance(self, measured: Measured) -> float:
        """The distance of a candidate from the budgets; 0 if it meets all of them."""
        return sum(map(math.log1p, self.over(measured).values()))

    def to_dict(self) -> dict[str, float | None]:
        return dict(self.__dict__)


def read_budgets(max_size: str, max_latency: str, max_drop: float) -> tuple[Budgets, list[str]]:
    """Parses budgets in the form of the command line; also returns their problems.

    Args:
        max_size: Such as `8MB`; empty is no limit.
        max_latency: Milliseconds such as `3.5`, or a share of the baseline such as `0.22x`.
        max_drop: Points; 100 or more is no limit.
    """
    problems: list[str] = []
    size = _number(_SIZE, max_size, "max_size", "a size such as 8MB", problems)
    latency = _number(
        _LATENCY,
        max_latency,
        "max_latency",
        "milliseconds such as 3.5 or a share of the baseline such as 0.22x",
        problems,
    )
    if not (math.isfinite(max_drop) and max_drop <= NO_LIMIT_POINTS):
        problems.append(f"max_drop: expected points up to 100. Received: {max_drop}")
    by_share = latency is not None and latency[1].lower() == "x"
    unit = "" if size is None else size[1].upper()
    factor = _UNITS.get(unit if unit.endswith("B") or not unit else unit + "B", 1)
    return (
        Budgets(
            None if size is None else max(1, int(size[0] * factor)),
            latency[0] if latency and not by_share else None,
            latency[0] if latency and by_share else None,
            None if max_drop >= NO_LIMIT_POINTS else max_drop,
        ),
        problems,
    )


def read_max_time(written: str, problems: list[str]) -> float:
    """A time budget such as `90s`, `45m`, `2h` or `1h30m`, in seconds; empty is infinite.

    Args:
        written: The budget.
        problems: Receives the problem of an invalid one.
    """
    if not written.strip():
        return math.inf
    found = _DURATION.fullmatch(written.strip().lower())
    parts = [float(part or 0) for part in found.groups()] if found else [0.0]
    seconds = sum(part * size for part, size in zip(parts, (3600, 60, 1), strict=False))
    if not seconds > 0:
        problems.append(f"max_time: expected a time such as 90s, 45m or 2h. Received: {written!r}")
    return seconds or math.inf


def _number(
    pattern: re.Pattern[str], text: str, name: str, expected: str, problems: list[str]
) -> tuple[float, str] | None:
    if not text.strip():
        return None
    found = pattern.fullmatch(text.strip())
    if found is None or float(found[1]) <= 0:
        problems.append(f"{name}: expected {expected}. Received: {text!r}")
        return None
    return float(found[1]), found[2] or ""


def best(measured: Sequence[Measured], budgets: Budgets) -> int | None:
    """The place of the best candidate that meets every budget; None if there is none.

    A value without a limit is optimized: the accuracy if there is no allowed drop; otherwise the
    size or the latency that has no limit; otherwise the product of both. Latencies within a step
    of `LATENCY_STEP` are equal: of equal candidates, the one with the smallest loss is best.
    """
    fitting = [place for place, one in enumerate(measured) if not budgets.over(one)]
    if not fitting:
        return None

    def cost(place: int) -> tuple[float, float]:
        one = measured[place]
        product = one.size_bytes * one.latency_ratio
        if budgets.drop_points is None:
            return one.points_lost, product
        slow = budgets.latency_ms is not None or budgets.latency_ratio is not None
        if slow and budgets.size_bytes is None:
            return float(one.size_bytes), one.budget_points
        if budgets.size_bytes is not None and not slow:
            return point_of(one).latency, one.budget_points
        return product, one.budget_points

    return min(fitting, key=cost)


def closest(measured: Sequence[Measured], budgets: Budgets) -> int:
    """The place of the candidate closest to the budgets.

    Raises:
        UsageError: There are no candidates.
    """
    if not measured:
        raise UsageError("Expected at least one candidate. Received: none.")
    return min(range(len(measured)), key=lambda place: budgets.distance(measured[place]))
