"""Starts of a model in fresh processes, with and without XNNPACK's weight cache on disk.

XNNPACK packs a model's weights before the first call. With a cache it packs them once, ever: later
starts map the file. Starts of both kinds take turns. The model's file is in the system's page cache
all the while, as after a first start since boot; emptying that cache would need root.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from edgebert.profiling.measurement import ColdStart
from edgebert.profiling.process import Runner

STARTS = 5


def measure_cold_starts(
    start: Callable[[], Runner], request: Mapping[str, Any], extension: str
) -> tuple[ColdStart, int | None]:
    """Starts a model again and again.

    The cache is a file without a name, held by one more process: it is gone with that process, so
    nothing stays behind, whatever happens.

    Args:
        start: starts a fresh runner.
        request: fields that name the model, the threads and the call.
        extension: path of the runner's extension on the machine.

    Returns:
        The medians, and the bytes of heap that the first call took while the weights were in the
        cache's file: what tensors of one call need. None where the C library does not tell.

    Raises:
        EdgebertError: the machine has no such runtime, or a process failed.
    """

    def once(weight_cache: str) -> dict[str, Any]:
        with start() as process:
            process.request("extend", program=extension)
            return process.request("cold_start", **request, weight_cache=weight_cache)

    with start() as keeper:
        path = keeper.request("scratch")["path"]
        once(path)
        pairs = [(once(""), once(path)) for _ in range(STARTS)]
    plain, cached = zip(*pairs, strict=True)
    arenas = [answer["arena"] for answer in cached]
    return (
        ColdStart(
            load_ms=median(answer["load_ms"] for answer in plain),
            first_call_ms=median(answer["first_call_ms"] for answer in plain),
            cached_load_ms=median(answer["load_ms"] for answer in cached),
            cached_first_call_ms=median(answer["first_call_ms"] for answer in cached),
            cache_bytes=int(cached[-1]["cache"]),
        ),
        None if None in arenas else int(median(arenas)),
    )
