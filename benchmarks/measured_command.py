"""What one `edgebert` command costs in a process of its own: seconds, CPU seconds, peak memory.

    python -m benchmarks.measured_command export my-bert/ -o model.tflite

Time counts from the start of Python to its end. The memory is the largest one that the process had
in memory (VmHWM), with the interpreter, the libraries and the pages of files that it read.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_RESULT = "EDGEBERT_BENCHMARK_RESULT"


@dataclass(frozen=True)
class Cost:
    """The cost of a command."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s, {self.cpu_seconds:.1f} s of CPU, {self.peak_bytes / 1e6:.0f} MB"
        )


def measure(arguments: Sequence[str]) -> Cost:
    """Runs `edgebert` with these arguments.

    Raises:
        SystemExit: the command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.measured_command", *arguments],
            env={**os.environ, _RESULT: str(result)},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - start
        if done.returncode:
            raise SystemExit(f"edgebert {' '.join(arguments)}: {done.stderr[-2000:]}")
        found = json.loads(result.read_text())
    return Cost(seconds, found["cpu_seconds"], found["peak_bytes"])


def peak_bytes() -> int:
    """The largest memory of this process so far.

    `ru_maxrss` would be at least that of the parent at the start of the process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text("ascii").splitlines() if x.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _write_result(path: Path) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {"cpu_seconds": used.ru_utime + used.ru_stime, "peak_bytes": peak_bytes()}
    path.write_text(json.dumps(found))


def main() -> None:
    from edgebert.__main__ import main as run

    result = os.environ.pop(_RESULT, "")
    if result:
        atexit.register(_write_result, Path(result))
        run()
    else:
        print(measure(sys.argv[1:]))


if __name__ == "__main__":
    main()
