"""Cold starts of a model in fresh processes, with and without XNNPACK's weight cache on disk.

XNNPACK packs a model's weights before the first call. With a weight cache it packs them once; later
starts map the cache file. Starts of both kinds alternate. The model's file stays in the system's
page cache, as after the first start since boot. Emptying the page cache would require root.
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
    """Starts a model several times, alternately without and with a weight cache.

    The cache is an unnamed temporary file of a separate process. It disappears when that process
    ends, so no file is left behind.

    Args:
        start: Starts a fresh runner.
        request: Fields that name the model, the threads and the call.
        extension: Path of the runner's extension on the machine.

    Returns:
        The medians, and the heap memory in bytes that the first call allocated while the weights
        were in the cache file: the tensors of one call. None if the C library does not report it.

    Raises:
        EdgebertError: The machine lacks the runtime, or a process failed.
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
