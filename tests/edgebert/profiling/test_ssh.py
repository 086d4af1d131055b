"""The ssh target against a real sshd on loopback, which is the board. No timing is asserted.

The board's home, temporary folder and PATH are this file's, so that a board without Python, without
room, or with odd names is one line. Whatever happens, nothing may stay in its temporary folder.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.datasets import Dataset, Example
from edgebert.errors import EdgebertError, UsageError
from edgebert.profiling import board_python, ssh_connection
from edgebert.profiling.board import Board
from edgebert.profiling.board_python import BoardPython, find_python
from edgebert.profiling.cpu import with_package_path
from edgebert.profiling.measurement import Measurement, ratios
from edgebert.profiling.ssh import Address, SshTarget, open_target, parse_address
from edgebert.profiling.ssh_connection import Connection
from edgebert.profiling.target import Job, Outcome, profile
from edgebert.progress import silent
from edgebert.settings import ProfileSettings, TargetSettings
from tests.judges.sshd import Sshd

if TYPE_CHECKING:
    from tests.edgebert.profiling.conftest import TinyClassifier

TOOLS = ("sh", "env", "cat", "df", "mktemp", "rm", "mkdir", "dirname", "sleep")
"""All that a board needs beside Python."""

GONE_SECONDS = 10.0
BUSY_SECONDS = 0.8
"""So much CPU time is not spent before the first call."""


@dataclass(frozen=True)
class LoopbackBoard:
    """A board that is this machine, with folders of its own."""

    sshd: Sshd
    home: Path
    temporary: Path
    programs: Path

    def settings(self, **values: Any) -> TargetSettings:
        return TargetSettings(ssh_config=str(self.sshd.config), **values)

    def target(self, **values: Any) -> SshTarget:
        return open_target("board", self.settings(**values))

    def profile(self, job: Job, **values: Any) -> Outcome:
        return self.target(**values).profile(job)

    def reset(self) -> None:
        """Known and trusted, with its tools and a Python that can run models."""
        self.sshd.write_client_config()
        self.sshd.known_hosts.write_text(self.sshd.known_host("host_key"))
        shutil.rmtree(self.programs, ignore_errors=True)
        self.programs.mkdir()
        for tool in TOOLS:
            (self.programs / tool).symlink_to(tool_here(tool))
        self.python()

    def program(self, name: str, script: str) -> Path:
        """A shell program on the board's PATH, in the place of what had its name."""
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def python(self, name: str = "python3", python: str = sys.executable) -> Path:
        """A Python on the board's PATH; a link would lose the virtual environment's packages."""
        return self.program(name, f'exec "{python}" "$@"')

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with Connection("board", config=str(self.sshd.config)) as connection:
            connection.open(1)
            yield connection

    @contextmanager
    def machine(self, **values: Any) -> Iterator[Board]:
        with Connection("board", config=str(self.sshd.config)) as connection:
            yield Board("ssh:board", connection, self.settings(**values), 0, silent)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.temporary.iterdir())

    def processes(self) -> list[int]:
        """Processes that were started from the temporary folder."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                mine = str(self.temporary).encode() in path.read_bytes()
            except OSError:
                continue
            if mine:
                found.append(int(path.parent.name))
        return found

    def wait_until_clean(self) -> None:
        deadline = time.monotonic() + GONE_SECONDS
        while time.monotonic() < deadline and (self.left() or self.processes()):
            time.sleep(0.02)
        assert (self.left(), self.processes()) == ([], [])


def tool_here(name: str) -> str:
    found = shutil.which(name)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def server(sshd_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackBoard]:
    folder = tmp_path_factory.mktemp("board")
    home, temporary = folder / "home", folder / """temp of "Bob's" $HOME \\ `here`"""
    programs = folder / "programs"
    for path in (folder / "sshd", home, temporary):
        path.mkdir()
    environment = {"HOME": str(home), "TMPDIR": str(temporary), "PATH": str(programs)}
    network = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or "_proxy" in k.lower()}
    with Sshd(sshd_program, folder / "sshd", {**network, **environment}) as sshd:
        yield LoopbackBoard(sshd, home, temporary, programs)


@pytest.fixture
def board(server: LoopbackBoard) -> Iterator[LoopbackBoard]:
    """As a test expects it; and as it must be left: clean."""
    server.reset()
    yield server
    server.wait_until_clean()
    shutil.rmtree(server.home)
    server.home.mkdir()


@pytest.fixture
def job(quick: ProfileSettings, tiny: TinyClassifier) -> Job:
    return Job((tiny.path,), replace(quick, lengths=(8,), max_seconds=0.2))


@pytest.fixture
def long_job(tiny: TinyClassifier) -> Job:
    """One whose warm-up alone takes longer than any test."""
    calls = {"warmup_runs": 10**9, "min_runs": 10**9}
    return Job((tiny.path,), ProfileSettings(**calls, max_seconds=5000.0, end_to_end=False))


def test_two_models_side_by_side(
    board: LoopbackBoard, job: Job, tiny: TinyClassifier, other: TinyClassifier
) -> None:
    told: list[tuple] = []
    two = replace(job, models=(tiny.path, other.path))
    outcome = board.target().profile(two, lambda *stage, **facts: told.append(stage))
    assert [(m.name, m.length, m.kind) for m in outcome.measurements] == [
        ("tiny", 8, "model"),
        ("other", 8, "model"),
    ]
    for m in outcome.measurements:
        assert m.target == "ssh:board"
        assert m.runtime.startswith("ai-edge-litert ")
        assert m.device.cores == len(os.sched_getaffinity(0))
        assert m.load_ms > 0 and m.first_call_ms > 0 and m.latency.p50_ms > 0
        assert m.peak_memory_bytes > 0
        assert Measurement.from_dict(m.to_dict()) == m
    assert [ratio.paired for ratio in ratios(outcome.measurements)] == [True]
    kilobytes = -(-tiny.path.stat().st_size // 1000)
    assert ("send tiny (kB)", kilobytes, kilobytes) in told
    assert ("connect ssh:board", 1, 1) in told
    assert board.left() == []


def test_the_task_is_checked_on_the_board(board: LoopbackBoard, job: Job, with_text: Path) -> None:
    rows = {"wind": "calm", "rain. sunny rain": "storm", "sun": "fog", "rain " * 20: "calm"}
    data = Dataset("weather", tuple(starmap(Example, rows.items())), Path("weather.tsv"), "0" * 64)
    settings = replace(job.settings, end_to_end=True, operations=True)
    outcome = board.profile(Job((with_text,), settings, check=data))
    (check,) = outcome.checks
    assert (check.target, check.rows, check.label_agreement) == ("ssh:board", 4, 1.0)
    assert check.max_score_error < 1e-6
    assert check.passed
    (measured,) = outcome.measurements
    assert measured.operations
    assert any("Text in, label out is not timed on ssh:board" in w for w in measured.warnings)


def test_a_file_goes_to_the_board_once(
    board: LoopbackBoard, job: Job, tiny: TinyClassifier, tmp_path: Path
) -> None:
    copy = tmp_path / 'a copy; of "it"\n.tflite'
    copy.write_bytes(tiny.path.read_bytes())
    told: list[str] = []
    measured = profile(
        [tiny.path, copy],
        job.settings,
        progress=lambda stage, *rest, **facts: told.append(stage),
        target=f"ssh:{board.sshd.address}",
        target_settings=board.settings(),
    )
    assert [m.target for m in measured] == [f"ssh:{board.sshd.address}"] * 2
    sent = {stage for stage in told if "send" in stage}
    assert sent == {"send runner (kB)", "send tiny (kB)"}


def test_nothing_is_connected_for_a_job_that_makes_no_sense(job: Job) -> None:
    nowhere = SshTarget(Address("no.such.host.invalid"), TargetSettings())
    with pytest.raises(UsageError, match="threads are 1 or more"):
        nowhere.profile(replace(job, settings=replace(job.settings, threads=(0,))))


def test_the_cores_can_be_chosen(board: LoopbackBoard, job: Job) -> None:
    first = min(os.sched_getaffinity(0))
    (measured,) = board.profile(job, cpu_mask=f"{1 << first:x}").measurements
    assert measured.device.cores == 1
    assert measured.device.details["cpu_mask"] == f"{1 << first:x}"
    with (
        pytest.raises(EdgebertError, match=r"(?s)cores \[500\] were expected. Received: only"),
        board.machine(cpu_mask=f"{1 << 500:x}") as machine,
        machine.start_runner("pinned") as process,
    ):
        process.ask("hello")


@pytest.mark.parametrize("mask", ["big", "0", "-1", "f0 "])
def test_a_core_mask_is_hex(mask: str) -> None:
    with pytest.raises(UsageError, match="--cpu-mask expects cores in hex"):
        open_target("board", TargetSettings(cpu_mask=mask))


# What ssh refuses: with its own words, and what to do.


def test_an_unknown_host_key(board: LoopbackBoard, job: Job) -> None:
    board.sshd.known_hosts.write_text("")
    with pytest.raises(EdgebertError, match=r"(?s)No .* host key is known.*Next: connect once"):
        board.profile(job)
    assert board.sshd.known_hosts.read_text() == ""


@pytest.mark.parametrize("more", ["", "  StrictHostKeyChecking no\n"])
def test_a_changed_host_key(board: LoopbackBoard, job: Job, more: str) -> None:
    board.sshd.write_client_config(more=more)
    board.sshd.known_hosts.write_text(board.sshd.known_host("stranger_key"))
    with pytest.raises(EdgebertError, match=r"(?s)IDENTIFICATION HAS CHANGED.*Next: if the board"):
        board.profile(job)


def test_a_key_that_the_board_does_not_take(board: LoopbackBoard, job: Job) -> None:
    board.sshd.write_client_config(key="stranger_key")
    with pytest.raises(EdgebertError, match=r"(?s)Permission denied.*Next: .*ssh-copy-id -F "):
        board.profile(job)


def test_a_board_that_is_not_there(job: Job, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("")
    target = open_target("127.0.0.1:1", TargetSettings(ssh_config=str(config)))
    with pytest.raises(EdgebertError, match=r"(?s)Connection refused.*Next: see that an ssh"):
        target.profile(job)


def test_no_ssh_here(job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EdgebertError, match=r"no `ssh` on PATH.*apt install openssh-client"):
        open_target("board", TargetSettings()).profile(job)


def test_the_users_own_shared_connection_is_taken(board: LoopbackBoard) -> None:
    """It may be the only way in: here the key is refused once the connection stands."""
    with tempfile.TemporaryDirectory(dir="/tmp") as sockets:
        shared = f"  ControlMaster auto\n  ControlPath {sockets}/s\n  ControlPersist yes\n"
        board.sshd.write_client_config(more=shared)
        ssh = ["ssh", "-F", str(board.sshd.config)]
        subprocess.run([*ssh, "board", "true"], check=True, stderr=subprocess.DEVNULL)
        board.sshd.write_client_config(key="stranger_key", more=shared)
        try:
            with board.connect() as connection:
                assert connection.run(["sh", "-c", "exit 7"]).code == 7
            board.wait_until_clean()
        finally:
            subprocess.run([*ssh, "-O", "exit", "board"], check=True, capture_output=True)


def test_settings_of_the_user_that_would_break_it_do_not(board: LoopbackBoard) -> None:
    odd = ("RemoteCommand uptime", "RequestTTY force", "LogLevel QUIET", "ControlPersist 60")
    forwarding = "LocalForward 127.0.0.1:1 127.0.0.1:2\n  ExitOnForwardFailure yes\n"
    board.sshd.write_client_config(more="".join(f"  {line}\n" for line in (*odd, forwarding)))
    with board.connect() as connection:
        reply = connection.run(["sh", "-c", "cat; echo said >&2"], [b"\x00\r\n"])
        assert (reply.code, reply.stdout, reply.stderr) == (0, "\x00\r\n", "said\n")


@pytest.mark.parametrize("name", ["x" * 120, "50%d", "$HOME"])
def test_a_socket_is_not_put_in_a_long_or_odd_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", f"/t/{name}")
    assert ssh_connection._socket_base() == "/tmp"


# What the board lacks.


def found(board: LoopbackBoard, given: str = "", bootstrap: bool = False) -> BoardPython:
    with board.connect() as connection:
        return find_python(connection, given, bootstrap, silent)


def test_a_board_without_python(board: LoopbackBoard) -> None:
    (board.programs / "python3").unlink()
    missing = r"python3: not there; ~/\.cache/edgebert/venv/bin/python: not there.*--bootstrap"
    with pytest.raises(EdgebertError, match=missing):
        found(board)
    with pytest.raises(EdgebertError, match=r"--bootstrap expects Python 3\.8.*python3-venv"):
        found(board, bootstrap=True)


def test_a_python_without_packages(board: LoopbackBoard, job: Job) -> None:
    board.program("bare python", f'exec "{sys.executable}" -S "$@"')
    lacking = r"bare python 3\..*No module named 'numpy'; .*ai_edge_litert'.* / .*tflite_runtime'"
    with pytest.raises(EdgebertError, match=lacking):
        board.profile(job, remote_python="bare python")


OLD = '{"version": "3.7.9", "path": "/usr/bin/python3", "missing": []}'


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (f"echo '{OLD}'", r"3\.7\.9: too old"),
        ("kill -4 $$", "ended by signal 4"),
        ("echo 'Python was not found' >&2; exit 9", "not a Python.*: Python was not found"),
    ],
)
def test_a_python_that_does_not_serve(board: LoopbackBoard, script: str, problem: str) -> None:
    board.program("python3", script)
    with pytest.raises(EdgebertError, match=problem):
        found(board)


def test_python_is_found_where_bootstrap_puts_it(board: LoopbackBoard) -> None:
    venv = board.home / ".cache" / "edgebert" / "venv" / "bin"
    venv.mkdir(parents=True)
    shutil.move(board.python(), venv / "python")
    expected = BoardPython(sys.executable, f"ai-edge-litert {version('ai-edge-litert')}")
    assert found(board) == expected
    assert found(board, "~/.cache/edgebert/venv/bin/python") == expected


def test_a_board_with_no_room(board: LoopbackBoard, job: Job) -> None:
    board.program("df", "echo Filesystem; echo disk 100 98 2 98% /")
    with pytest.raises(EdgebertError, match=r"MB free.*has 0 MB; /tmp has 0 MB.*make room"):
        board.profile(job)


def test_a_write_that_fails_half_way(board: LoopbackBoard, job: Job) -> None:
    """A limit on the size of files stands in for a disk that fills up."""
    board.program("cat", f'trap "" XFSZ; ulimit -f 8; exec {tool_here("cat")} "$@"')
    with pytest.raises(EdgebertError, match=r"was expected to hold runner.py.*[Ff]ile too large"):
        board.profile(job)


def test_a_shell_that_is_not_silent(board: LoopbackBoard, job: Job) -> None:
    board.program("sh", f'echo "Welcome!"; exec {tool_here("sh")} "$@"')
    with pytest.raises(EdgebertError, match=r"print nothing else.*Welcome!.*~/\.bashrc"):
        board.profile(job)


# A virtual environment of ours on the board.


def fake_python(board: LoopbackBoard, ensurepip: str = "exit 0", made: str = "exit 1") -> None:
    """A Python without packages that makes virtual environments with a program for a Python."""
    facts = f'{{"version": "3.11.2", "path": "{board.programs}/python3", "missing": ["numpy"]}}'
    program, chmod = shlex.quote(f"#!/bin/sh\n{made}\n"), tool_here("chmod")
    make = f'mkdir -p "$3/bin"; echo {program} >"$3/bin/python"; {chmod} +x "$3/bin/python"'
    board.program(
        "python3",
        f"case $* in *ensurepip*) {ensurepip} ;; '-m venv '*) {make} ;; *) echo '{facts}' ;; esac",
    )


def test_a_python_that_makes_no_virtual_environment(board: LoopbackBoard) -> None:
    fake_python(board, ensurepip="exit 1")
    with pytest.raises(EdgebertError, match=r"venv and ensurepip .*sudo apt install python3-venv"):
        found(board, bootstrap=True)


def test_bootstrap_that_fails_leaves_nothing(board: LoopbackBoard) -> None:
    fake_python(board, made="echo 'ERROR: no matching wheel' >&2; exit 1")
    with pytest.raises(EdgebertError) as caught:
        found(board, bootstrap=True)
    message = str(caught.value)
    for line in board_python.REQUIREMENTS:
        package = line[0].format(here=version("ai-edge-litert"))
        assert f"{package}: ERROR: no matching wheel" in message
    assert list((board.home / ".cache" / "edgebert").iterdir()) == []


def test_bootstrap_that_is_interrupted_leaves_nothing(board: LoopbackBoard) -> None:
    fake_python(board)
    unfinished = board.home / ".cache" / "edgebert" / "venv" / ssh_connection.UNFINISHED

    def interrupt(stage: str, done: int, total: int, **facts: Any) -> None:
        if done == 1:
            assert unfinished.exists()
            raise KeyboardInterrupt

    with board.connect() as connection, pytest.raises(KeyboardInterrupt):
        find_python(connection, "", True, interrupt)
    assert list((board.home / ".cache" / "edgebert").iterdir()) == []


def test_bootstrap_and_its_second_choice(
    board: LoopbackBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For real: takes two packages from a package index."""
    known = board_python.REQUIREMENTS[0]
    monkeypatch.setattr(board_python, "REQUIREMENTS", (("edgebert-no-such-thing==0",), known))
    board.program("python3", f'exec "{sys.executable}" -S "$@"')
    told: list[tuple] = []
    try:
        with board.connect() as connection:
            made = find_python(connection, "", True, lambda *stage, **f: told.append((*stage, f)))
    except EdgebertError as error:
        if "reaches a package index" in str(error) and not os.environ.get("CI"):
            pytest.skip(f"no package index: {error}")
        raise
    venv, runtime = board.home / ".cache" / "edgebert" / "venv", made.runtime
    assert made == BoardPython(str(venv / "bin" / "python"), runtime)
    assert runtime == f"ai-edge-litert {version('ai-edge-litert')}"
    assert told[-1] == ("make ~/.cache/edgebert/venv", 3, 3, {"runtime": runtime})
    assert not (venv / ssh_connection.UNFINISHED).exists()
    assert found(board) == made


# What goes wrong on the way.


class WhenBusy:
    """Does something once the benchmark program on the board is in the middle of a long call."""

    def __init__(self, board: LoopbackBoard, act: Callable[[], object]) -> None:
        self._board, self._act = board, act
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        while not any(cpu_seconds(p) > BUSY_SECONDS for p in self._board.processes()):
            time.sleep(0.02)
        self._act()


def cpu_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_connection_that_is_lost(board: LoopbackBoard, long_job: Job) -> None:
    WhenBusy(board, board.sshd.cut_connections)
    with pytest.raises(EdgebertError, match=r"(?s)The connection to board was lost.*closed by"):
        board.profile(long_job)
    board.wait_until_clean()


def test_a_program_that_the_board_kills(board: LoopbackBoard, long_job: Job) -> None:
    """As one that is out of memory does."""

    def kill() -> None:
        os.kill(max(board.processes(), key=cpu_seconds), signal.SIGKILL)

    WhenBusy(board, kill)
    with pytest.raises(EdgebertError, match=r"tiny, tokens_8.*asked for 'run'.*exit code 137"):
        board.profile(long_job)


def test_a_runner_ends_with_its_local_end(board: LoopbackBoard, job: Job) -> None:
    with board.machine() as machine:
        with machine.start_runner("mine") as process:
            assert process.ask("hello")["device"]["cores"] >= 1
            assert board.processes()
        deadline = time.monotonic() + GONE_SECONDS
        while board.processes() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert board.processes() == []
        assert board.left() != []


PROFILE = """
import signal
import sys
from pathlib import Path
from edgebert.profiling.target import profile
from edgebert.progress import silent
from edgebert.settings import ProfileSettings, TargetSettings

# As on a terminal: a shell's background job starts its programs with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
calls = ProfileSettings(warmup_runs=10**9, min_runs=10**9, max_seconds=5000.0, end_to_end=False)
profile([Path(sys.argv[1])], calls, target="ssh:board",
        target_settings=TargetSettings(ssh_config=sys.argv[2]))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nothing_stays_when_this_program_is_ended(
    board: LoopbackBoard, tiny: TinyClassifier, how: signal.Signals
) -> None:
    """On a terminal Ctrl-C goes to the whole group: to the `ssh` of the runner too."""
    with tempfile.TemporaryDirectory(dir="/tmp") as here:
        program = subprocess.Popen(
            [sys.executable, "-c", PROFILE, str(tiny.path), str(board.sshd.config)],
            stderr=subprocess.DEVNULL,
            env={**with_package_path(os.environ), "TMPDIR": here},
            start_new_session=True,
        )
        with program:
            busy = WhenBusy(board, lambda: os.killpg(program.pid, how))
            assert program.wait(timeout=60) != 0
            busy.join()
        assert how == signal.SIGKILL or os.listdir(here) == []
        board.wait_until_clean()


# Addresses.

NAMES = st.text("abcxyzABC019._-", min_size=1).filter(lambda name: not name.startswith("-"))
PORTS = st.none() | st.integers(1, 65535)
IPV6_ADDRESSES = st.ip_addresses(v=6).map(str)


@given(
    st.builds(Address, NAMES | IPV6_ADDRESSES, st.just("") | NAMES, PORTS),
)
def test_an_address_is_read_as_it_is_written(address: Address) -> None:
    assert parse_address(str(address)) == address


@given(st.text() | st.text("-@[]:%0129a o\n\\$;'\"`", max_size=12))
def test_what_is_no_address_never_reaches_ssh(text: str) -> None:
    try:
        address = parse_address(text)
    except UsageError as error:
        assert "--target ssh expects ssh:user@host[:port]" in str(error)
        return
    for name in filter(None, (address.host, address.user)):
        assert not name.startswith("-")
        assert name.isprintable()
        assert not set(name) & set(" '\"`$;&<>|(){}[]*?!#\n")
    assert address.port is None or 1 <= address.port <= 65535


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no host"),
        ("pi@", "no host"),
        ("@board", "a user that is no plain name"),
        ("-oProxyCommand=reboot", "a host that is no plain name"),
        ("-pi@board", "a user that is no plain name"),
        ("board\n", "a host that is no plain name"),
        ("board:", "a port that is no number"),
        ("board:0", "a port that is no number"),
        ("board:65536", "a port that is no number"),
        ("board:ssh", "a port that is no number"),
        ("::1", "an IPv6 address without brackets"),
        ("pi@[board]", "no IPv6 address in the brackets"),
        ("ssh://board", "a port that is no number"),
        ("board;reboot", "a host that is no plain name"),
    ],
)
def test_a_bad_address_says_why(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        open_target(text, TargetSettings())


def test_an_ssh_configuration_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="--ssh-config expects a file"):
        open_target("board", TargetSettings(ssh_config="/no/such/config"))
