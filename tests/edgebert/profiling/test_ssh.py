"""The ssh target against a real sshd on loopback as the board. No timing is asserted.

After each test the board's temporary folder must be empty, whatever happened.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edgebert.data.datasets import Dataset, Example
from edgebert.errors import EdgebertError, UsageError
from edgebert.profiling.cpu import with_package_path
from edgebert.profiling.measurement import Measurement
from edgebert.profiling.ratios import ratios
from edgebert.profiling.ssh import Address, SshTarget, open_target, parse_address
from edgebert.profiling.ssh import connection as ssh_connection
from edgebert.profiling.target import Job, profile
from edgebert.settings import ProfileSettings, TargetSettings
from tests.edgebert.profiling.loopback_board import (
    GONE_SECONDS,
    LoopbackBoard,
    WhenBusy,
    cpu_seconds,
    tool_here,
)

if TYPE_CHECKING:
    from tests.edgebert.profiling.conftest import TinyClassifier


@pytest.fixture
def job(quick: ProfileSettings, tiny: TinyClassifier) -> Job:
    return Job((tiny.path,), replace(quick, lengths=(8,), max_seconds=0.2))


@pytest.fixture
def long_job(tiny: TinyClassifier) -> Job:
    """A job whose warm-up takes longer than any test."""
    calls = {"warmup_runs": 10**9, "min_runs": 10**9}
    return Job((tiny.path,), ProfileSettings(**calls, max_seconds=5000.0, end_to_end=False))


def test_two_models_side_by_side(
    board: LoopbackBoard, job: Job, tiny: TinyClassifier, other: TinyClassifier
) -> None:
    stages: list[tuple] = []
    two = replace(job, models=(tiny.path, other.path))
    outcome = board.target().profile(two, lambda *stage, **facts: stages.append(stage))
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
    assert ("send tiny (kB)", kilobytes, kilobytes) in stages
    assert ("connect ssh:board", 1, 1) in stages
    assert board.left() == []


def test_texts_are_timed_and_checked_on_the_board(
    board: LoopbackBoard, job: Job, with_text: Path
) -> None:
    rows = {"wind": "calm", "rain. sunny rain": "storm", "sun": "fog", "rain " * 20: "calm"}
    data = Dataset("weather", tuple(starmap(Example, rows.items())), Path("weather.tsv"), "0" * 64)
    settings = replace(job.settings, end_to_end=True, operations=True)
    outcome = board.profile(Job((with_text,), settings, tuple(rows), data))
    (check,) = outcome.checks
    assert (check.target, check.rows, check.label_agreement) == ("ssh:board", 4, 1.0)
    assert check.max_score_error < 1e-6
    assert check.token_ids_equal and check.passed
    alone, measured = outcome.measurements
    assert [(m.kind, m.texts) for m in (alone, measured)] == [("model", 0), ("end_to_end", 4)]
    assert alone.operations
    assert [each.operation for each in measured.operations] == ["TOKENIZE", "RUN"]
    assert (measured.target, measured.latency.runs % 4) == ("ssh:board", 0)
    assert not any(
        "tokenize" in w or "not timed" in w for m in outcome.measurements for w in m.warnings
    )


def test_a_file_is_copied_to_the_board_once(
    board: LoopbackBoard, job: Job, tiny: TinyClassifier, tmp_path: Path
) -> None:
    copy = tmp_path / 'a copy; of "it"\n.tflite'
    copy.write_bytes(tiny.path.read_bytes())
    stages: list[str] = []
    measured = profile(
        [tiny.path, copy],
        job.settings,
        progress=lambda stage, *rest, **facts: stages.append(stage),
        target=f"ssh:{board.sshd.address}",
        target_settings=board.settings(),
    )
    assert [m.target for m in measured] == [f"ssh:{board.sshd.address}"] * 2
    sent = {stage for stage in stages if "send" in stage}
    assert sent == {"send runner (kB)", "send tiny (kB)"}


def test_an_invalid_job_does_not_connect(job: Job) -> None:
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
        process.request("hello")


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


def test_a_key_that_the_board_rejects(board: LoopbackBoard, job: Job) -> None:
    board.sshd.write_client_config(key="stranger_key")
    with pytest.raises(EdgebertError, match=r"(?s)Permission denied.*Next: .*ssh-copy-id -F "):
        board.profile(job)


def test_a_missing_board(job: Job) -> None:
    target = open_target("127.0.0.1:1", TargetSettings(ssh_config="none"))
    with pytest.raises(EdgebertError, match=r"(?s)Connection refused.*Next: check that an ssh"):
        target.profile(job)


def test_a_board_that_does_not_respond(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_connection, "LOGIN_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        target = open_target(
            f"127.0.0.1:{mute.getsockname()[1]}", TargetSettings(ssh_config="none")
        )
        with pytest.raises(EdgebertError, match=r"Received: no answer for 0\.3 s"):
            target.profile(job)


def test_missing_ssh_is_an_error(job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EdgebertError, match=r"no `ssh` on PATH.*apt install openssh-client"):
        open_target("board", TargetSettings()).profile(job)


def test_the_shared_connection_of_the_user_is_used(board: LoopbackBoard) -> None:
    """It may be the only way to connect: here the key is refused after the connection is open."""
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


def test_conflicting_settings_of_the_user_are_overridden(board: LoopbackBoard) -> None:
    odd = ("RemoteCommand uptime", "RequestTTY force", "LogLevel QUIET", "ControlPersist 60")
    forwarding = "LocalForward 127.0.0.1:1 127.0.0.1:2\n  ExitOnForwardFailure yes\n"
    board.sshd.write_client_config(more="".join(f"  {line}\n" for line in (*odd, forwarding)))
    with board.connect() as connection:
        reply = connection.run(["sh", "-c", "cat; echo error >&2"], [b"\x00\r\n"])
        assert (reply.code, reply.stdout, reply.stderr) == (0, "\x00\r\n", "error\n")


@pytest.mark.parametrize("name", ["x" * 120, "50%d", "$HOME"])
def test_the_socket_folder_has_a_short_plain_path(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", f"/t/{name}")
    assert ssh_connection._socket_base() == "/tmp"


# What the board lacks.


def test_a_board_without_free_space(board: LoopbackBoard, job: Job) -> None:
    board.program("df", "echo Filesystem; echo disk 100 98 2 98% /")
    with pytest.raises(EdgebertError, match=r"MB free.*has 0 MB; /tmp has 0 MB.*make room"):
        board.profile(job)


def test_a_write_that_fails(board: LoopbackBoard, job: Job) -> None:
    """A limit on the file size simulates a full disk."""
    board.program("cat", f'trap "" XFSZ; ulimit -f 8; exec {tool_here("cat")} "$@"')
    with pytest.raises(EdgebertError, match=r"was expected to hold runner.py.*[Ff]ile too large"):
        board.profile(job)


def test_a_shell_with_extra_output(board: LoopbackBoard, job: Job) -> None:
    board.program("sh", f'echo "Welcome!"; exec {tool_here("sh")} "$@"')
    with pytest.raises(EdgebertError, match=r"print nothing else.*Welcome!.*~/\.bashrc"):
        board.profile(job)


# What goes wrong on the way.


def test_a_lost_connection(board: LoopbackBoard, long_job: Job) -> None:
    WhenBusy(board, board.sshd.cut_connections)
    with pytest.raises(EdgebertError, match=r"(?s)The connection to board was lost.*closed by"):
        board.profile(long_job)
    board.wait_until_clean()


def test_a_program_that_the_board_kills(board: LoopbackBoard, long_job: Job) -> None:
    """Like a board that is out of memory."""

    def kill() -> None:
        os.kill(max(board.processes(), key=cpu_seconds), signal.SIGKILL)

    WhenBusy(board, kill)
    with pytest.raises(EdgebertError, match=r"tiny, tokens_8.*during 'run'.*exit code 137"):
        board.profile(long_job)


def test_a_runner_ends_with_its_local_process(board: LoopbackBoard, job: Job) -> None:
    with board.machine() as machine:
        with machine.start_runner("mine") as process:
            assert process.request("hello")["device"]["cores"] >= 1
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
from edgebert.settings import ProfileSettings, TargetSettings

# As on a terminal: a shell's background job starts its programs with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
calls = ProfileSettings(warmup_runs=10**9, min_runs=10**9, max_seconds=5000.0, end_to_end=False)
profile([Path(sys.argv[1])], calls, target="ssh:board",
        target_settings=TargetSettings(ssh_config=sys.argv[2]))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_files_remain_when_this_program_is_killed(
    board: LoopbackBoard, tiny: TinyClassifier, how: signal.Signals
) -> None:
    """On a terminal Ctrl-C goes to the whole process group, also to the `ssh` of the runner."""
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


@hypothesis_settings(deadline=None)
@given(st.builds(Address, NAMES | IPV6_ADDRESSES, st.just("") | NAMES, PORTS))
def test_an_address_round_trip(address: Address) -> None:
    assert parse_address(str(address)) == address


@hypothesis_settings(deadline=None)
@given(st.text() | st.text("-@[]:%0129a o\n\\$;'\"`", max_size=12))
def test_invalid_addresses_never_reach_ssh(text: str) -> None:
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
def test_the_error_of_a_bad_address_names_the_problem(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        open_target(text, TargetSettings())


def test_a_missing_ssh_configuration() -> None:
    with pytest.raises(UsageError, match="--ssh-config expects a configuration file"):
        open_target("board", TargetSettings(ssh_config="/no/such/config"))
