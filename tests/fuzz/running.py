"""Runs a target in child processes: one that hangs, grows or dies is a finding, and is replaced.

The child writes the number of its current input to a file that is shared with the parent, so that
the parent knows which input ended it.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from tests.fuzz.targets import ACCEPTED, Target, TrialEnded, make_input

HANG_SECONDS = 10.0
LARGEST_MEMORY_BYTES = 2 * 2**30
_LOOK_SECONDS = 0.2
_START_SECONDS = 180.0
_REPORT_SECONDS = 30.0
_ROOT = Path(__file__).resolve().parents[2]
_NUMBER_BYTES = 8


@dataclass(frozen=True)
class Finding:
    """An input that fell.

    Attributes:
        number: of the input.
        case: of the target.
        kind: the exception with its innermost line of the project, `hang`, `memory` or a signal.
        detail: the traceback.
    """

    number: int
    case: str
    kind: str
    detail: str = ""


@dataclass
class Outcome:
    """The result of a run.

    Attributes:
        target: name of the format.
        seed: of the run.
        inputs: number of inputs that were read.
        refused: number of inputs that ended with an error of ours.
        seconds: duration.
        ended: number of inputs that ended the process in which the product tries a file.
        findings: one for each kind.
    """

    target: str
    seed: int
    inputs: int = 0
    refused: int = 0
    seconds: float = 0.0
    ended: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, found: Finding) -> None:
        """Adds a finding unless there is one of its kind."""
        if found.kind not in {each.kind for each in self.findings}:
            self.findings.append(found)

    def line(self) -> str:
        """One line for the terminal."""
        ended = f", {self.ended} ended the trial process" if self.ended else ""
        return (
            f"{self.target}: {self.inputs} inputs, {self.refused} refused, {self.seconds:.0f} s"
            f"{ended}, {len(self.findings)} kinds of findings"
        )


def read_inputs(target: Target, seed: int, numbers: Sequence[int]) -> Outcome:
    """Reads inputs in this process."""
    outcome = Outcome(target.name, seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edgebert-fuzz-", dir=_scratch()) as folder:
        cases = target.cases(Path(folder))
        for number in numbers:
            case, data = make_input(cases, target.name, seed, number)
            found = _try(case.read, data)
            outcome.inputs += 1
            outcome.refused += found == ""
            outcome.ended += isinstance(found, TrialEnded)
            if found and not isinstance(found, TrialEnded):
                outcome.add(Finding(number, case.name, *_described(found)))
    outcome.seconds = time.monotonic() - began
    return outcome


def _try(read: object, data: bytes) -> BaseException | str | None:
    """None for an input that was read, an empty text for a refused one, else the exception."""
    try:
        read(data)  # type: ignore[operator]
    except ACCEPTED as error:
        return "" if str(error) else AssertionError("an error without a message")
    except Exception as error:
        return error
    return None


def _described(error: object) -> tuple[str, str]:
    assert isinstance(error, BaseException)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(str(_ROOT)) and "/tests/fuzz/" not in frame.filename
    ]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    detail = "".join(traceback.format_exception(error))
    return f"{type(error).__name__} at {where}", detail[-4000:]


def fuzz(target: Target, count: int, seed: int, out: Path, first: int = 0) -> Outcome:
    """Reads `count` inputs in child processes, and writes findings and the outcome to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    outcome = Outcome(target.name, seed)
    began, number = time.monotonic(), first
    while number < first + count:
        number = _run_child(target, seed, number, first + count, outcome)
        outcome.seconds = time.monotonic() - began
        _save(outcome, out)
    return outcome


def _save(outcome: Outcome, out: Path) -> None:
    path = out / f"{outcome.target}.json"
    path.write_text(json.dumps(asdict(outcome), indent=2) + "\n", encoding="utf-8")


def _hangs_again(target: Target, seed: int, number: int) -> bool:
    """Whether an input hangs alone, too: a busy machine may stop a process for some seconds."""
    again = Outcome(target.name, seed)
    _run_child(target, seed, number, number + 1, again, is_again=True)
    return bool(again.findings)


def _run_child(
    target: Target, seed: int, first: int, stop: int, outcome: Outcome, *, is_again: bool = False
) -> int:
    """Runs a child from input `first`. Returns the number of the next input."""
    with tempfile.TemporaryDirectory(prefix="edgebert-fuzz-", dir=_scratch()) as folder:
        shared = Path(folder) / "number"
        shared.write_bytes(bytes(_NUMBER_BYTES))
        results = Path(folder) / "results"
        command = [sys.executable, "-m", "tests.fuzz", "--child", target.name]
        command += [str(each) for each in (first, stop, seed, shared, results)]
        with (Path(folder) / "log").open("w+b") as log:
            process = subprocess.Popen(
                command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            kind = _watch(process, shared)
            log.seek(0)
            tail = log.read()[-4000:].decode("utf-8", "replace")
        reached = _number(shared)
        for line in results.read_text().splitlines() if results.exists() else ():
            facts = json.loads(line)
            outcome.refused += facts.pop("refused", 0)
            outcome.ended += facts.pop("ended", 0)
            if "kind" in facts:
                outcome.add(Finding(**facts))
        if not reached:
            raise RuntimeError(f"{target.name}: the child process did not start.\n{tail}")
        current = first + reached - 1
        outcome.inputs += reached
        if not kind:
            return stop
        if kind != "hang" or is_again or _hangs_again(target, seed, current):
            outcome.add(Finding(current, "", kind, tail))
        return current + 1


def _watch(process: subprocess.Popen[bytes], shared: Path) -> str:
    """Waits for the child. Returns what ended it; empty if it is done.

    Time is counted in looks, so that a run that is stopped and continued finds no hang.
    """
    last, looks = 0, 0
    while process.poll() is None:
        time.sleep(_LOOK_SECONDS)
        number, looks = _number(shared), looks + 1
        if number != last:
            last, looks = number, 0
        if looks * _LOOK_SECONDS > (HANG_SECONDS if number else _START_SECONDS):
            _end(process)
            return "hang"
        if _resident_bytes(process.pid) > 2 * LARGEST_MEMORY_BYTES:
            _end(process)
            return "memory"
    if process.returncode < 0:
        return signal.Signals(-process.returncode).name
    return "" if process.returncode == 0 else f"exit code {process.returncode}"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _number(shared: Path) -> int:
    return int.from_bytes(shared.read_bytes()[:_NUMBER_BYTES], "little")


def _resident_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def run_child(target: Target, first: int, stop: int, seed: int, paths: tuple[Path, Path]) -> None:
    """The child: reads inputs and appends findings to a file."""
    shared, results = paths
    kinds: set[str] = set()
    counts: Counter[str] = Counter()
    told = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="edgebert-fuzz-", dir=shared.parent) as folder,
        shared.open("r+b") as counter,
        results.open("a", encoding="utf-8") as file,
    ):
        numbers = mmap.mmap(counter.fileno(), _NUMBER_BYTES)
        cases = target.cases(Path(folder))
        before = _peak_bytes()
        for number in range(first, stop):
            case, data = make_input(cases, target.name, seed, number)
            numbers[:] = (number - first + 1).to_bytes(_NUMBER_BYTES, "little")
            found = _try(case.read, data)
            counts["refused"] += found == ""
            counts["ended"] += isinstance(found, TrialEnded)
            is_fall = found and not isinstance(found, TrialEnded)
            kind, detail = _described(found) if is_fall else ("", "")
            peak = _peak_bytes()
            if peak > LARGEST_MEMORY_BYTES and before <= LARGEST_MEMORY_BYTES:
                kind, detail = "memory", f"{peak} bytes"
            before = peak
            if kind and kind not in kinds:
                kinds.add(kind)
                facts = {"number": number, "case": case.name, "kind": kind, "detail": detail}
                print(json.dumps(facts), file=file, flush=True)
            if time.monotonic() - told > _REPORT_SECONDS:
                told = time.monotonic()
                _tell(counts, file)
        _tell(counts, file)


def _tell(counts: Counter[str], file: TextIO) -> None:
    """Writes what was counted since the last call."""
    print(json.dumps(counts), file=file, flush=True)
    counts.clear()


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _scratch() -> str | None:
    """A folder in memory where there is one: each input is written to a file."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > 2**28 else None
