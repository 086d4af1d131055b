"""Which trades are worth having, and which of them meets a budget. Pure; nothing is measured here.

Size and latency are better when small, accuracy when large. Latency is a ratio to the baseline,
compared in steps of `LATENCY_STEP`, since two files of one graph differ by the machine's noise.
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
"""To lose so many points too much is as far off as twice the size."""
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_SIZE = re.compile(r"([0-9]*\.?[0-9]+)\s*([KMG]?B?)", re.IGNORECASE)
_LATENCY = re.compile(r"([0-9]*\.?[0-9]+)\s*(x|ms)?", re.IGNORECASE)


@dataclass(frozen=True)
class Point:
    """One trade.

    Attributes:
        size: small is good.
        latency: small is good.
        accuracy: large is good.
    """

    size: float
    latency: float
    accuracy: float


class Measured(Protocol):
    """What budgets look at."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def latency_ms(self) -> float: ...

    @property
    def latency_ratio(self) -> float: ...

    @property
    def points_lost(self) -> float: ...


def dominates(a: Point, b: Point) -> bool:
    """Whether `a` is nowhere worse than `b` and somewhere better."""
    no_worse = a.size <= b.size and a.latency <= b.latency and a.accuracy >= b.accuracy
    return no_worse and a != b


def pareto_front(points: Sequence[Point]) -> tuple[int, ...]:
    """Places of the points that no other dominates, in their order; equal points all stay."""
    return tuple(
        place
        for place, point in enumerate(points)
        if not any(dominates(other, point) for other in points)
    )


def point_of(measured: Measured) -> Point:
    """A candidate as the front sees it: latency in steps of `LATENCY_STEP`."""
    steps = round(math.log(max(measured.latency_ratio, 1e-9)) / LATENCY_STEP)
    return Point(measured.size_bytes, steps, -measured.points_lost)


@dataclass(frozen=True)
class Budgets:
    """What a model may cost; None is no limit.

    Attributes:
        size_bytes: of the file.
        latency_ms: from text to answer.
        latency_ratio: the same, as a share of the baseline's.
        drop_points: of dev accuracy against the float model.
    """

    size_bytes: int | None = None
    latency_ms: float | None = None
    latency_ratio: float | None = None
    drop_points: float | None = None

    def over(self, measured: Measured) -> dict[str, float]:
        """By which share each budget is overrun; empty where all are met.

        Points lost beyond the allowed ones count as a share of `POINTS_LIKE_DOUBLE`.
        """
        found = {}
        if self.size_bytes is not None:
            found["size"] = measured.size_bytes / self.size_bytes - 1
        if self.latency_ms is not None:
            found["latency"] = measured.latency_ms / self.latency_ms - 1
        if self.latency_ratio is not None:
            found["latency"] = measured.latency_ratio / self.latency_ratio - 1
        if self.drop_points is not None:
            found["points lost"] = (measured.points_lost - self.drop_points) / POINTS_LIKE_DOUBLE
        return {name: share for name, share in found.items() if share > 1e-9}

    def distance(self, measured: Measured) -> float:
        """How far a candidate is from meeting all budgets; 0 where it does."""
        return sum(map(math.log1p, self.over(measured).values()))

    def to_dict(self) -> dict[str, float | None]:
        return dict(self.__dict__)


def read_budgets(max_size: str, max_latency: str, max_drop: float) -> tuple[Budgets, list[str]]:
    """Budgets as they are written on a command line, and what is wrong with them."""
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
    """The place of the winner among those that meet every budget; None where none does.

    What has no limit is made best: the accuracy where no drop is set, else the product of the
    sizes and latencies that have none (of both where both have one).
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
            return float(one.size_bytes), one.points_lost
        if budgets.size_bytes is not None and not slow:
            return one.latency_ratio, one.points_lost
        return product, one.points_lost

    return min(fitting, key=cost)


def closest(measured: Sequence[Measured], budgets: Budgets) -> int:
    """The place of the one that is the least distance from meeting the budgets.

    Raises:
        UsageError: there is nothing to choose from.
    """
    if not measured:
        raise UsageError("Expected at least one candidate. Received: none.")
    return min(range(len(measured)), key=lambda place: budgets.distance(measured[place]))
