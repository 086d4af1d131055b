"""The tables and the plots of docs/benchmarks.md, and the description of the machine."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

COLUMNS = (
    *("file", "size", "gzip'd", "load", "first call", "p50", "p90", "spread", "peak memory"),
    *("accuracy", "against edgebert"),
)
PEERS_MARK, GROWTH_MARK = "make bench: peers", "make bench: growth"


@dataclass(frozen=True)
class Row:
    """The figures of one file at one thread count.

    Attributes:
        spread: Interquartile range of the means of blocks, as a share of their median.
        ratio: Median over blocks of the first file's mean latency divided by this one's.
        peak_bytes: Growth of the process's peak memory over that before the runtime was loaded.
        accuracy: On the test split.
    """

    name: str
    threads: int
    size_bytes: int
    gzip_bytes: int
    load_ms: float
    first_ms: float
    p50_ms: float
    p90_ms: float
    spread: float
    ratio: float
    peak_bytes: int
    accuracy: float


def machine() -> str:
    """Processor, cores, system and the versions of our runtime."""
    info = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    flags = [flag for flag in ("avx512_vnni", "avx_vnni", "amx_int8") if f" {flag}" in info]
    cores = info.count("processor\t")
    return (
        f"{model[1] if model else platform.processor()}, {cores} cores"
        f"{' with ' + ', '.join(flags) if flags else ''}; {platform.system()}, Python "
        f"{platform.python_version()}, ai-edge-litert {metadata.version('ai-edge-litert')}; "
        f"{date.today().isoformat()}"
    )


def remark(row: Row, ours: Row) -> str:
    """What a reader should see first."""
    if row is ours:
        return ""
    faster, smaller = row.p50_ms < ours.p50_ms, row.size_bytes < ours.size_bytes
    won = [word for word, wins in (("faster", faster), ("smaller", smaller)) if wins]
    if row.accuracy > ours.accuracy:
        won.append("more accurate")
    said = f"dynamic-int8 of edgebert takes {row.ratio:.2f} of its time"
    return f"{said}; **it is {' and '.join(won)}**" if won else said


def table(rows: Sequence[Row]) -> str:
    """The Markdown table of one thread count."""
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "| --- " * len(COLUMNS) + "|",
    ]
    lines += [
        f"| {row.name} | {row.size_bytes / 1e6:.1f} MB | {row.gzip_bytes / 1e6:.1f} MB | "
        f"{row.load_ms:.0f} ms | {row.first_ms:.1f} ms | {row.p50_ms:.2f} ms | "
        f"{row.p90_ms:.2f} ms | {row.spread:.0%} | {row.peak_bytes / 1e6:.0f} MB | "
        f"{row.accuracy:.2%} | {remark(row, rows[0])} |"
        for row in rows
    ]
    return "\n".join(lines)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Latency over size of one thread count, as SVG; the label is the accuracy."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for row in rows:
        own = row.name.startswith("edgebert")
        size_mb = row.size_bytes / 1e6
        axes.plot(size_mb, row.p50_ms, "o" if own else "s", color="#0b6bcb" if own else "#c2410c")
        axes.annotate(
            f"{row.name} ({row.accuracy:.1%})",
            (size_mb, row.p50_ms),
            fontsize=7,
            xytext=(4, 4),
            textcoords="offset points",
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="size, MB",
        ylabel=f"text to label, median ms, {rows[0].threads} thread(s)",
    )
    axes.grid(alpha=0.3, which="both")
    figure.savefig(path, format="svg", metadata={"Date": None})


def replace_part(page: Path, mark: str, text: str) -> None:
    """Replaces the part of a page between two comments with the name `mark`."""
    begin, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{page} has no part between '{begin}' and '{end}'")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def write_page(
    rows: Sequence[Row], left_out: Sequence[str], test_rows: int, docs: Path | None
) -> None:
    """Prints the tables; writes them and the plot into `docs` if it is given."""
    parts = [f"Machine: {machine()}. Accuracy: SST-2, {test_rows} test rows."]
    for threads in dict.fromkeys(row.threads for row in rows):
        chosen = [row for row in rows if row.threads == threads]
        parts.append(f"{threads} thread{'s' if threads > 1 else ''}:\n\n{table(chosen)}")
    if left_out:
        parts.append(f"Not measured, because the file was not made: {', '.join(left_out)}.")
    text = "\n\n".join(parts)
    print(text)
    if docs is not None:
        first = [row for row in rows if row.threads == rows[0].threads]
        plot(first, docs / "benchmarks.svg")
        picture = "![Latency over size of all files](benchmarks.svg)"
        replace_part(docs / "benchmarks.md", PEERS_MARK, f"{text}\n\n{picture}")
