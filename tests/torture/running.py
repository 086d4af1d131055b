"""Tortures one stage: kills, full disks, folders without permission, and little memory."""

from __future__ import annotations

import ctypes
import os
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.killing import End, run
from tests.torture.stages import Stage, check_folder, hashes

KILLS_IN_A_ROW = 5
"""A run is killed so often before it is let through: what a resumed run leaves is resumed, too."""
OUR_ERRORS = ("OutputError", "ModelError", "EdgebertError", "DataError", "UsageError")
_BEYOND_PERMISSIONS = 0b11110
"""The capabilities of root that go beyond the permissions of files (capabilities(7), 1 to 4)."""
_CAPABILITIES_VERSION = 0x20080522


@dataclass
class Tortured:
    """What happened.

    Attributes:
        stage: name of the stage.
        kills: number of kills.
        runs: number of runs that were killed and resumed to the end.
        full: number of full disks.
        problems: what was wrong, one line each.
        seconds: duration.
    """

    stage: str
    kills: int = 0
    runs: int = 0
    full: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def line(self) -> str:
        """One line for the terminal."""
        return (
            f"{self.stage}: {self.kills} kills in {self.runs} runs, {self.full} full disks, "
            f"{len(self.problems)} problems, {self.seconds:.0f} s"
        )


class Torturer:
    """Tortures a stage in folders of its own.

    Args:
        stage: the stage.
        seed: of the moments.
        say: called with the counts after every run.
    """

    def __init__(
        self, stage: Stage, seed: int, say: Callable[[str], object] = lambda _: None
    ) -> None:
        self._stage, self._say = stage, say
        self._source = random.Random(f"{stage.name} {seed}")
        self._scratch = Path(tempfile.mkdtemp(prefix="edgebert-torture-"))
        self.found = Tortured(stage.name)
        self._began = time.monotonic()
        whole = self._folder()
        first = self._run(whole, resume=False)
        if first.error:
            raise RuntimeError(
                f"{stage.name} fails without torture: {first.message}\n{first.trace}"
            )
        self.changes = first.changes
        self.seconds = time.monotonic() - self._began
        self._expected = hashes(whole, stage.ignored)
        self._whole = whole

    def close(self) -> None:
        """Removes the folders."""
        self.found.seconds = time.monotonic() - self._began
        shutil.rmtree(self._scratch, ignore_errors=True)

    def kill(self, kills: int) -> None:
        """Kills runs until there were `kills` kills, a third of them after a random time."""
        while self.found.kills < kills and not self.found.problems:
            folder = self._folder()
            for number in range(min(KILLS_IN_A_ROW, kills - self.found.kills)):
                if self._source.random() < 2 / 3:
                    at = {"kill_at": self._source.randint(1, max(self.changes, 1))}
                    end = self._run(folder, resume=number > 0, **at)
                else:
                    after = self._source.uniform(0.01, self.seconds)
                    end = self._run(folder, resume=number > 0, kill_after_s=after)
                self.found.kills += end.killed
                if end.error:
                    self._tell(f"a resumed run failed: {end.error}: {end.message}\n{end.trace}")
                    return
                self._check(folder)
                if not end.killed:
                    break
            self.found.runs += 1
            self._finish(folder)

    def fill_disk(self, times: int) -> None:
        """Lets every change from a random one on fail as on a full disk, then lets it through."""
        for _ in range(times):
            folder = self._folder()
            at = self._source.randint(1, max(self.changes, 1))
            end = self._run(folder, resume=False, fail_at=at)
            self.found.full += bool(end.error)
            if end.error and end.error not in ("OSError", *OUR_ERRORS):
                self._tell(f"full disk at change {at}: {end.error}: {end.message}\n{end.trace}")
            self._require_no_leftovers(folder, f"full disk at change {at}")
            self._check(folder)
            self._finish(folder, resume=True)

    def limit_file_size(self, times: int) -> None:
        """Lets writes beyond a random number of bytes fail, also those of native code."""
        largest = max(path.stat().st_size for path in self._whole.rglob("*") if path.is_file())
        for _ in range(times):
            folder, size = self._folder(), self._source.randrange(largest)

            def limit(size: int = size) -> None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

            end = self._run(folder, resume=False, prepare=limit)
            self.found.full += bool(end.error)
            if end.error and end.error not in ("OSError", *OUR_ERRORS):
                self._tell(f"files of {size} bytes: {end.error}: {end.message}\n{end.trace}")
            self._require_no_leftovers(folder, f"files of {size} bytes")
            self._check(folder)
            self._finish(folder, resume=True)

    def forbid_writing(self) -> None:
        """Runs the stage as a user who may not write there."""
        folder = self._folder()
        (folder / "out").mkdir()
        os.chmod(folder, 0o555)
        os.chmod(folder / "out", 0o555)

        end = self._run(folder, resume=False, prepare=_obey_permissions)
        if end.error not in ("PermissionError", *OUR_ERRORS):
            self._tell(f"no permission: {end.error or 'no error'}: {end.message}\n{end.trace}")
        if [path for path in folder.rglob("*") if path.is_file()]:
            self._tell("no permission, but files were written")

    def limit_memory(self, more_bytes: int) -> str:
        """Runs the stage with little more memory than it starts with. Returns how it ended."""
        folder = self._folder()

        def limit() -> None:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            size = pages * os.sysconf("SC_PAGE_SIZE") + more_bytes
            resource.setrlimit(resource.RLIMIT_AS, (size, size))

        end = self._run(folder, resume=False, prepare=limit)
        self._require_no_leftovers(
            folder, "little memory", is_killed=end.error.startswith(("SIG", "exit"))
        )
        self._check(folder)
        return end.error

    def _folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._scratch))

    def _run(
        self,
        folder: Path,
        resume: bool,
        *,
        kill_at: int = 0,
        fail_at: int = 0,
        kill_after_s: float = 0.0,
        prepare: Callable[[], object] = lambda: None,
    ) -> End:
        return run(
            lambda: self._stage.work(folder, resume),
            folder,
            kill_at=kill_at,
            fail_at=fail_at,
            kill_after_s=kill_after_s,
            prepare=prepare,
        )

    def _check(self, folder: Path) -> None:
        try:
            check_folder(folder)
        except Exception as error:
            self._tell(f"a folder can't be opened: {error}")

    def _finish(self, folder: Path, resume: bool = True) -> None:
        """Runs to the end, and compares the files with those of the run without torture."""
        end = self._run(folder, resume)
        self.found.seconds = time.monotonic() - self._began
        self._say(self.found.line())
        if end.error:
            self._tell(f"the last run failed: {end.error}: {end.message}\n{end.trace}")
            return
        found = hashes(folder, self._stage.ignored)
        if found != self._expected:
            names = sorted(
                name
                for name in found.keys() | self._expected.keys()
                if found.get(name) != self._expected.get(name)
            )
            self._tell(f"other files than without torture: {', '.join(names)}")
        shutil.rmtree(folder, ignore_errors=True)

    def _require_no_leftovers(self, folder: Path, what: str, is_killed: bool = False) -> None:
        left = [path.name for path in folder.rglob(".*-*") if path.name.endswith(_ENDINGS)]
        if left and not is_killed:
            self._tell(f"{what}: left {', '.join(left)}")

    def _tell(self, problem: str) -> None:
        self.found.problems.append(problem)


def _obey_permissions() -> None:
    """Gives up the right of root to write where permissions forbid it."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    for place in range(3):  # effective, permitted and inheritable, the lower 32 of each
        sets[place] &= ~_BEYOND_PERMISSIONS
    libc.capset(header, sets)


_ENDINGS = (".part", ".ready", ".old")
