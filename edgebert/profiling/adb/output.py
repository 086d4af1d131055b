"""Parses the output of `benchmark_model`: TensorFlow's tool of any version, and LiteRT's.

Both tools share code (the lines `count=... median=...` are the same) and differ in their final
results. Lines that a figure needs are required. All others may be missing, since versions differ.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgebert.errors import EdgebertError
from edgebert.profiling.measurement import OperationTime

LAST_LINES = 12
MEBIBYTE = 1 << 20
SAME_MEAN = 0.01
"""Tolerance between the mean of the summary and of its `count=` line, as a share."""
ROUNDED_MS = 0.011
"""Absolute tolerance: LiteRT's tool rounds to 10 us."""

_NUMBER = r"([0-9]{1,15}(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?)"
_LOGCAT = re.compile(r"^\d\d-\d\d \d\d:\d\d:\d\d\.\d+\s+\d+\s+\d+ ([VDIWEF]) [^:]*?\s*: ?")
_LEVEL = re.compile(r"^(VERBOSE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL): ?")
_PLACE = re.compile(r"^\[[^\]\s]+:\d+\] ?")
_COUNT = re.compile(r"^count=[0-9]")
_FIELD = re.compile(rf"(\w+)={_NUMBER}")
_TENSORFLOW = re.compile(
    rf"^Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}"
)
_TENSORFLOW_2019 = re.compile(
    rf"^Average inference timings in us: Warmup: {_NUMBER}, Init: {_NUMBER}, no stats: {_NUMBER}"
)
_LITERT = re.compile(
    r"^(Model initialization|Warmup \(first\)|Warmup \(avg\)|Inference \((?:avg|min|max|std)\)|"
    rf"Init footprint|Overall footprint|Peak memory):\s+{_NUMBER}(?: ms| MB)?"
    r"(?: \(([0-9]{1,15}) runs\))?"
)
_FOOTPRINT = re.compile(
    r"^(?:Memory footprint delta from the start of the tool|Peak memory footprint) \(MB\): "
    rf"init={_NUMBER} overall={_NUMBER}"
)
_PEAK = re.compile(rf"^Overall peak memory footprint \(MB\) via periodic monitoring: {_NUMBER}")
_REPLACED = re.compile(
    r"Replacing ([0-9]{1,9}) out of ([0-9]{1,9}) node\(s\) with delegate \(([^)]*)\) node, "
    r"yielding ([0-9]{1,9}) partitions"
)
_VERDICT = re.compile(
    r"(?:Explicitly applied|Though) (\w+) delegate.*will (not be|be completely|be partially) "
    r"executed by the delegate"
)
_UNCONSUMED = "Unconsumed cmdline flags:"
_TITLE = re.compile(r"^=+ (.*?) =+$")

Verdict = Literal["not", "partially", "completely"]


@dataclass(frozen=True)
class CallTimes:
    """Summary of successive calls, in ms. Values that the version does not print are None."""

    count: int
    mean_ms: float
    min_ms: float
    max_ms: float
    std_ms: float | None = None
    median_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True)
class Delegation:
    """The number of a subgraph's nodes that a delegate runs, and its partitions."""

    delegate: str
    nodes: int
    of_nodes: int
    partitions: int


@dataclass(frozen=True)
class ToolReport:
    """One run of the tool.

    Attributes:
        tool: Which of the two tools it was.
        init_ms: Time to load the file and prepare the graph.
        first_call_ms: Time of the first call.
        warmup: The warm-up calls, including the first call.
        steady: The timed calls.
        init_memory_bytes: Memory allocated during `init_ms`.
        memory_bytes: Memory allocated from the start to the end.
        peak_memory_bytes: Peak memory of the whole process, if requested.
        operations: Operations in the order of execution, if requested.
        delegations: The nodes that delegates run, in the order of application.
        verdicts: For each requested delegate, how much of the graph it runs.
        unconsumed: Flags that the tool did not know.
        complaints: Error messages of a run that did not fail.
    """

    tool: Literal["tensorflow", "litert"]
    init_ms: float
    first_call_ms: float
    steady: CallTimes
    warmup: CallTimes | None = None
    init_memory_bytes: int | None = None
    memory_bytes: int | None = None
    peak_memory_bytes: int | None = None
    operations: tuple[OperationTime, ...] = ()
    delegations: tuple[Delegation, ...] = ()
    verdicts: tuple[tuple[str, Verdict], ...] = ()
    unconsumed: tuple[str, ...] = ()
    complaints: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Line:
    level: str
    text: str


def last_lines(text: str) -> str:
    """The end of an output, indented, for an error message. Empty for an empty output."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()][-LAST_LINES:]
    return " Its last lines:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""


def unconsumed_flags(text: str) -> tuple[str, ...]:
    """Names, without dashes, of the flags that the tool reported as unknown."""
    found: list[str] = []
    for line in text.splitlines():
        _, marked, rest = line.partition(_UNCONSUMED)
        if marked:
            found += [flag.lstrip("-").partition("=")[0] for flag in rest.split()]
    return tuple(found)


def parse_report(text: str) -> ToolReport:
    """Parses the output of one run: stdout and stderr in one text, or the log of a phone.

    Raises:
        EdgebertError: The timings are missing, as after a failed run. The message has the last
            lines.
    """
    lines = [_plain(line) for line in text.splitlines()]
    try:
        timings = _tensorflow_timings(lines) or _litert_timings(lines)
        if timings is None:
            raise ValueError("no timings")
        tool, init_ms, first_ms, steady, warmup = timings
        memory = _memory(lines)
    except (ValueError, OverflowError) as error:
        raise EdgebertError(
            "Expected timings at the end of benchmark_model's output. Received: "
            f"{error}.{last_lines(text)}"
        ) from error
    return ToolReport(
        tool=tool,
        init_ms=init_ms,
        first_call_ms=first_ms,
        steady=steady,
        warmup=warmup,
        init_memory_bytes=memory.get("init"),
        memory_bytes=memory.get("overall"),
        peak_memory_bytes=memory.get("peak"),
        operations=_operations(lines),
        delegations=tuple(
            Delegation(found[3], int(found[1]), int(found[2]), int(found[4]))
            for line in lines
            if (found := _REPLACED.search(line.text))
        ),
        verdicts=tuple(
            (found[1], _verdict(found[2]))
            for line in lines
            if (found := _VERDICT.search(line.text))
        ),
        unconsumed=unconsumed_flags(text),
        complaints=tuple(
            dict.fromkeys(line.text.strip() for line in lines if line.level == "E" and line.text)
        ),
    )


_Timings = tuple[Literal["tensorflow", "litert"], float, float, CallTimes, CallTimes | None]


def _tensorflow_timings(lines: Sequence[_Line]) -> _Timings | None:
    """Timings of the last run of TensorFlow's tool; the `count=` lines precede them."""
    for place in range(len(lines) - 1, -1, -1):
        text = lines[place].text
        first: float | None = None
        if found := _TENSORFLOW.match(text):
            init, first, _, mean = (_number(part) / 1e3 for part in found.groups())
        elif found := _TENSORFLOW_2019.match(text):
            _, init, mean = (_number(part) / 1e3 for part in found.groups())
        else:
            continue
        steady, warmup, warmup_first = _call_statistics(lines[:place], mean)
        if steady is None:
            raise ValueError("timings, but no line 'count=...' of the calls they sum up")
        first = warmup_first if first is None else first
        return "tensorflow", init, steady.mean_ms if first is None else first, steady, warmup
    return None


def _litert_timings(lines: Sequence[_Line]) -> _Timings | None:
    """Timings of the last run of LiteRT's tool; the `count=` lines may be missing."""
    starts = [i for i, line in enumerate(lines) if line.text.startswith("Model initialization:")]
    if not starts:
        return None
    found = {m[1]: m for line in lines[starts[-1] :] if (m := _LITERT.match(line.text))}
    mean = found.get("Inference (avg)")
    if "Model initialization" not in found:
        raise ValueError("'Model initialization' without a figure")
    if mean is None or not mean[3]:
        raise ValueError("'Model initialization', but no line 'Inference (avg): ... (N runs)'")
    value = {name: _number(m[2]) for name, m in found.items()}
    mean_ms = value["Inference (avg)"]
    steady, warmup, _ = _call_statistics(lines[: starts[-1]], mean_ms)
    if steady is None:
        steady = CallTimes(
            count=int(mean[3]),
            mean_ms=mean_ms,
            min_ms=value.get("Inference (min)", mean_ms),
            max_ms=value.get("Inference (max)", mean_ms),
            std_ms=value.get("Inference (std)"),
        )
    if steady.count < 1:
        raise ValueError("no call at all")
    first_ms = value.get("Warmup (first)", mean_ms)
    return "litert", value["Model initialization"], first_ms, steady, warmup


def _call_statistics(
    lines: Sequence[_Line], mean_ms: float
) -> tuple[CallTimes | None, CallTimes | None, float | None]:
    """The calls with the given mean, the warm-up calls before them, and the first call in ms."""
    counts = [dict(_FIELD.findall(line.text)) for line in lines if _COUNT.match(line.text)]
    times = [_call_times(fields) for fields in counts]
    for place in range(len(times) - 1, -1, -1):
        steady = times[place]
        if steady is not None and _same(steady.mean_ms, mean_ms):
            if place == 0:
                return steady, None, None
            first = counts[place - 1].get("first", counts[place - 1].get("curr"))
            return steady, times[place - 1], None if first is None else _number(first) / 1e3
    return None, None, None


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= max(SAME_MEAN * other, ROUNDED_MS)


def _call_times(fields: dict[str, str]) -> CallTimes | None:
    """Parses a `count=` line in us. If all calls took the same time, it has `curr` only."""
    count = int(_number(fields["count"])) if "count" in fields else 0
    if count < 1 or "curr" not in fields:
        return None
    ms = {name: _number(value) / 1e3 for name, value in fields.items()}
    return CallTimes(
        count=count,
        mean_ms=ms.get("avg", ms["curr"]),
        min_ms=ms.get("min", ms["curr"]),
        max_ms=ms.get("max", ms["curr"]),
        std_ms=ms.get("std"),
        median_ms=ms.get("median"),
        p95_ms=ms.get("p95"),
    )


def _memory(lines: Sequence[_Line]) -> dict[str, int]:
    """The printed memory values of the last run in bytes: "init", "overall" and "peak"."""
    megabytes: dict[str, str] = {}
    litert = {"Init footprint": "init", "Overall footprint": "overall", "Peak memory": "peak"}
    for line in lines:
        if found := _FOOTPRINT.match(line.text):
            megabytes |= {"init": found[1], "overall": found[2]}
        elif found := _PEAK.match(line.text):
            megabytes["peak"] = found[1]
        elif (found := _LITERT.match(line.text)) and found[1] in litert:
            megabytes[litert[found[1]]] = found[2]
    return {name: int(_number(value) * MEBIBYTE) for name, value in megabytes.items()}


def _operations(lines: Sequence[_Line]) -> tuple[OperationTime, ...]:
    """The operations of the regular runs, in the order of execution.

    The inner operations of a delegate have a separate table. They replace the delegate's node.
    """
    starts = [i for i, line in enumerate(lines) if line.text.startswith("Operator-wise Profiling")]
    outer: list[OperationTime] = []
    inner: list[OperationTime] = []
    rows, internal = outer, False
    columns: list[str] = []
    for line in lines[starts[-1] if starts else 0 :]:
        text = line.text
        if text.startswith("Profiling Info for Benchmark Initialization"):
            outer.clear()
            inner.clear()
        if text.startswith("Delegate internal"):
            internal = True
        if title := _TITLE.match(text.strip()):
            columns = []
            rows = inner if internal else outer
            if title[1] != "Run Order":
                rows = []
        elif "[node type]" in text:
            columns = [cell.strip().strip("[]").strip() for cell in text.split("\t")]
        elif columns:
            row = _operation(columns, text.split("\t"))
            if row is None:
                columns = []
            else:
                rows.append(row)
    if inner:
        outer = [row for row in outer if "delegate" not in row.operation.lower()]
    return tuple(row for row in (*outer, *inner) if row.calls)


def _operation(columns: Sequence[str], cells: Sequence[str]) -> OperationTime | None:
    if len(cells) != len(columns):
        return None
    cell = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
    try:
        calls = int(cell["times called"])
        latency_ms = float(cell["avg ms"]) * calls
        operation = cell["node type"]
    except (KeyError, ValueError, OverflowError):
        return None
    if not math.isfinite(latency_ms):
        return None
    return OperationTime(_layer(cell.get("Name", "")), operation, latency_ms, calls)


def _layer(name: str) -> str:
    """`[encoder/query]:7` is `encoder/query`; `Delegate/Softmax:7` is `Delegate`."""
    bracketed = re.match(r"^\[(.*)\](?::\d+)?$", name)
    return bracketed[1] if bracketed else name.rpartition("/")[0]


def _plain(line: str) -> _Line:
    """A line without the prefix of the logger, and its level as one letter, "" if unknown."""
    text, level = line, ""
    if found := _LOGCAT.match(text):
        level, text = found[1], text[found.end() :]
    if found := _LEVEL.match(text):
        level, text = found[1][0], text[found.end() :]
    if found := _PLACE.match(text):
        text = text[found.end() :]
    return _Line(level, text)


def _verdict(words: str) -> Verdict:
    return {"not be": "not", "be completely": "completely"}.get(words, "partially")  # type: ignore[return-value]


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the figure {text}")
    return value
