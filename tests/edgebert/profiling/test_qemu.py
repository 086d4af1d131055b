"""The qemu-arm64 target with a real emulator and a real arm64 Python in the user's cache.

How the folder is made is tested apart, with programs of our own on the PATH and no network.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgebert.cli import cli
from edgebert.data.datasets import Dataset, Example
from edgebert.errors import EdgebertError, UsageError
from edgebert.evaluation.predictors import open_predictor
from edgebert.exporting.artifact import export
from edgebert.models.task_model import TaskModel
from edgebert.profiling import arm64_root as making
from edgebert.profiling import qemu
from edgebert.profiling.arm64_root import arm64_root
from edgebert.profiling.cpu import with_package_path
from edgebert.profiling.qemu import Emulator, find_emulator, open_target
from edgebert.profiling.target import Job
from edgebert.settings import ExportSettings, ProfileSettings, TargetSettings
from tests.conftest import _missing_judge

WORDS = ("the movie is great", "awful", "turn the lights off now please", "is it on")
TEXTS = ("wind", "rain. sunny rain", "sun . wind", "[unknown] words", "")


@pytest.fixture(scope="session")
def emulator() -> Emulator:
    if not any(map(shutil.which, qemu.PROGRAMS)):
        _missing_judge("no qemu-aarch64-static: apt-get install qemu-user-static")
    return find_emulator(qemu.DEFAULT_CPU)


@pytest.fixture(scope="session")
def root(emulator: Emulator) -> Path:
    """The arm64 Python from the cache, or a new one."""
    try:
        return arm64_root(emulator.prove)
    except EdgebertError as error:
        _missing_judge(f"no arm64 Python: {error}")
        raise


def dataset(path: Path, texts: tuple[str, ...] = TEXTS) -> Dataset:
    """Texts with the labels that the model predicts on this machine."""
    predictor = open_predictor(path)
    rows = tuple(Example(text, predictor.classify(text)[0]) for text in texts)
    return Dataset("own answers", rows, Path("none"), "0" * 64)


@pytest.mark.parametrize("cpu", qemu.CPUS)
def test_a_float_file_has_the_scores_of_this_machine(cpu: str, root: Path, with_text: Path) -> None:
    target = open_target(cpu, TargetSettings())
    outcome = target.profile(Job((with_text,), ProfileSettings(), check=dataset(with_text)))
    (check,) = outcome.checks
    assert outcome.measurements == ()
    assert check.passed
    assert (check.rows, check.label_agreement, check.value) == (len(TEXTS), 1.0, 1.0)
    assert check.max_score_error < 1e-5
    assert check.target.startswith(f"qemu-arm64:{cpu}")
    assert check.device.startswith(cpu) and "qemu" in check.device
    assert check.runtime.startswith("ai-edge-litert ")
    (note,) = check.notes
    assert "No latency is given" in note


def test_an_int8_file_has_the_labels_of_this_machine(
    root: Path, tiny_model: TaskModel, tmp_path: Path
) -> None:
    settings = [
        ExportSettings(lengths="16,40"),
        ExportSettings(dynamic_length=True),
        ExportSettings(length=16, embedding="int4"),
    ]
    paths = [export(tiny_model, tmp_path / f"{i}.tflite", s).path for i, s in enumerate(settings)]
    checked = dataset(paths[0], WORDS)
    job = Job(tuple(paths), ProfileSettings(), check=checked)
    checks = open_target("", TargetSettings()).profile(job).checks
    assert [check.name for check in checks] == ["0", "1", "2"]
    for check in checks:
        assert check.label_agreement == 1.0
        assert check.max_score_error < 0.02
        assert check.passed


def test_a_wrong_kernel_is_detected(
    emulator: Emulator, root: Path, tiny_model: TaskModel, tmp_path: Path
) -> None:
    if not qemu.FIRST_SME <= emulator.version < qemu.RIGHT_SME:
        pytest.skip(f"qemu {emulator.version} computes all kernels rightly")
    path = export(tiny_model, tmp_path / "m.tflite", ExportSettings(length=16)).path
    job = Job((path,), ProfileSettings(), check=dataset(path, WORDS))
    (check,) = open_target("max,sme=on", TargetSettings()).profile(job).checks
    assert not check.passed
    assert check.rounding_error is not None
    assert check.logit_error > 100 * check.rounding_error


def test_the_command_explains_the_missing_latency(
    root: Path, with_text: Path, tmp_path: Path
) -> None:
    rows = "".join(f"{e.text}\t{e.label}\n" for e in dataset(with_text, TEXTS[:3]).examples)
    (tmp_path / "check.tsv").write_text("text\tlabel\n" + rows, encoding="utf-8")
    command = ["profile", str(with_text), "--target", "qemu-arm64"]
    command += ["--check", str(tmp_path / "check.tsv"), "--out", str(tmp_path / "out.json")]
    done = CliRunner(env={"COLUMNS": "160"}).invoke(cli, command)
    assert done.exit_code == 0, done.output
    assert "pass" in done.stdout and "No latency is given" in done.stdout
    (check,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert check["passed"] is True
    assert "No latency is given" in check["notes"][0]


def test_the_guest_is_arm64_and_writes_no_files(emulator: Emulator, root: Path) -> None:
    before = sorted(root.rglob("*"))
    source = (
        "import platform, sys, numpy; print(platform.machine(), sys.flags.isolated, "
        "'flags' in open('/proc/cpuinfo').read(), numpy.__file__)"
    )
    with emulator.python(root) as command:
        seen = Path(command[command.index("-L") + 1])
        done = subprocess.run(
            [*command, *qemu.ISOLATED, "-c", source], capture_output=True, text=True, check=True
        )
    machine, isolated, host_cpu, numpy_path = done.stdout.split()
    assert (machine, isolated, host_cpu) == ("aarch64", "1", "False")
    assert Path(numpy_path).is_relative_to(root)
    assert not seen.exists()
    assert sorted(root.rglob("*")) == before


def test_a_folder_may_be_given(root: Path, with_text: Path, tmp_path: Path) -> None:
    settings = TargetSettings(arm64_root=str(root))
    job = Job((with_text,), ProfileSettings(), check=dataset(with_text))
    (check,) = open_target("", settings).profile(job).checks
    assert check.passed
    for wrong in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match=r"--arm64-root expects .*usr/bin/python3.*Next: "):
            open_target("", replace(settings, arm64_root=str(wrong))).profile(job)


def test_nothing_to_check_is_an_error(emulator: Emulator, with_text: Path) -> None:
    with pytest.raises(UsageError, match=r"times nothing.*Next: .*--check FILE"):
        open_target("", TargetSettings()).profile(Job((with_text,), ProfileSettings()))


def test_an_arm64_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu.platform, "machine", lambda: "aarch64")
    with pytest.raises(UsageError, match="--target cpu runs the real kernels"):
        open_target("", TargetSettings())


# From here on, programs of our own.


@dataclass(frozen=True)
class Tools:
    """A folder that is the only one on PATH."""

    folder: Path
    cache: Path

    def add(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def add_real(self, *names: str) -> None:
        for name in names:
            found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
            if found is None:
                pytest.skip(f"no {name}: this is no Debian")
            (self.folder / name).symlink_to(found)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """An empty PATH and an empty cache."""
    (tmp_path / "tools").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "tools"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Tools(tmp_path / "tools", tmp_path / "cache" / "edgebert")


def fake_qemu(tools: Tools, version: str, code: int = 0) -> None:
    tools.add(
        "qemu-aarch64-static",
        f'[ "$1" = --version ] && echo "qemu-aarch64 version {version} (Debian)" && exit\n'
        '[ "$2" = help ] && printf "Available CPUs:\\n  cortex-a53\\n  max\\n" && exit\n'
        f"echo 'uncaught target signal 11' >&2; exit {code}",
    )


def test_missing_qemu_is_an_error(tools: Tools) -> None:
    with pytest.raises(EdgebertError, match=r"Received: none\. Next: .*qemu-user-static"):
        open_target("", TargetSettings())


@pytest.mark.parametrize(
    ("version", "requested", "taken"),
    [
        ("7.2.22", "max", "max,sme=off"),
        ("9.2.0", "max,sve=off", "max,sve=off,sme=off"),
        ("7.2.22", "max,sme=on", "max,sme=on"),
        ("6.2.0", "max", "max"),
        ("10.0.2", "max", "max"),
        ("7.2.22", "cortex-a53", "cortex-a53"),
    ],
)
def test_sme_is_disabled_on_older_emulators(
    version: str, requested: str, taken: str, tools: Tools
) -> None:
    fake_qemu(tools, version)
    assert find_emulator(requested).cpu == taken


def test_an_unknown_processor_lists_the_known_ones(tools: Tools) -> None:
    fake_qemu(tools, "7.2.22")
    with pytest.raises(UsageError, match=r"cortex-a53, max\. Received: snapdragon"):
        find_emulator("snapdragon")
    tools.add("qemu-aarch64-static", "echo hello")
    with pytest.raises(EdgebertError, match="Expected a version"):
        find_emulator("max")


def test_one_error_lists_all_missing_tools(tools: Tools) -> None:
    tools.add("dpkg-deb", "exit 0")
    with pytest.raises(EdgebertError, match=r"no apt-get, tar on the path.*--arm64-root.*ssh"):
        arm64_root(nothing)
    assert not tools.cache.exists()


def test_missing_pip_is_an_error(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in making.TOOLS:
        tools.add(name, "exit 0")
    monkeypatch.setattr(making.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EdgebertError, match=r"Next: .*ensurepip"):
        arm64_root(nothing)


def nothing(root: Path) -> None:
    """Accepts any folder."""


def add_apt(tools: Tools, debs: Path) -> None:
    """An apt-get that serves the packages of a folder and refuses other configurations."""
    tools.add_real("dpkg-deb", "tar", "cp", "grep")
    tools.add(
        "apt-get",
        'case "$1" in -c*) conf="${1#-c}";; *) exit 9;; esac\n'
        'grep -q \'APT::Architecture "arm64"\' "$conf" || exit 9\n'
        'for option; do case "$option" in -oDir::Cache=*) cache="${option#*=}";; esac; done\n'
        f'case "$*" in *install*) cp {debs}/*.deb "$cache/archives/";; esac',
    )


@pytest.fixture
def debs(tmp_path: Path) -> Path:
    """A package with the layout of older systems: libraries in /lib, and documentation."""
    content, folder = tmp_path / "content", tmp_path / "debs"
    files = {
        "DEBIAN/control": "Package: p\nVersion: 1\nArchitecture: arm64\nMaintainer: t <t@t>\n"
        "Description: a package\n",
        "lib/ld-linux-aarch64.so.1": "loader",
        "usr/lib/libz.so": "library",
        "usr/bin/python3.99": "python",
        "usr/share/doc/p/copyright": "words",
    }
    for name, text in files.items():
        (content / name).parent.mkdir(parents=True, exist_ok=True)
        (content / name).write_text(text, encoding="utf-8")
    (content / "usr/bin/python3").symlink_to("python3.99")
    folder.mkdir()
    if shutil.which("dpkg-deb") is None:
        pytest.skip("no dpkg-deb: this is no Debian")
    build = ["dpkg-deb", "--root-owner-group", "--build", str(content), str(folder / "p.deb")]
    subprocess.run(build, check=True, capture_output=True)
    return folder


@pytest.fixture
def pip_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pip that stores its arguments."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/pip\n', encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setattr(making.sys, "executable", str(script))
    return tmp_path / "pip"


def test_the_folder_is_made_once(debs: Path, tools: Tools, pip_calls: Path) -> None:
    add_apt(tools, debs)
    proven: list[Path] = []
    stages: list[tuple[str, int, int]] = []
    made = arm64_root(proven.append, lambda *facts, **_: stages.append(facts))
    assert len(proven) == 1 and proven[0] != made
    assert (made / "lib" / "ld-linux-aarch64.so.1").read_text() == "loader"
    assert (made / "usr" / "lib" / "ld-linux-aarch64.so.1").is_file()
    assert (made / "lib" / "libz.so").is_file()
    assert not (made / "usr" / "share" / "doc").exists()
    arguments = pip_calls.read_text()
    assert "--python-version 3.99" in arguments and "manylinux_2_27_aarch64" in arguments
    assert f"ai-edge-litert=={making.importlib.metadata.version('ai-edge-litert')}" in arguments
    assert [done for _, done, _ in stages] == [0, 1, 2, 3, 4, 5]
    assert os.listdir(tools.cache) == [made.name]
    (tools.folder / "apt-get").unlink()
    assert arm64_root(proven.append) == made
    assert len(proven) == 1


def raise_interrupt(root: Path) -> None:
    raise KeyboardInterrupt


def raise_error(root: Path) -> None:
    raise EdgebertError("it does not load")


@pytest.mark.parametrize(
    ("prove", "error"), [(raise_interrupt, KeyboardInterrupt), (raise_error, EdgebertError)]
)
def test_a_failure_leaves_no_partial_folder(
    prove: Callable[[Path], None],
    error: type[BaseException],
    debs: Path,
    tools: Tools,
    pip_calls: Path,
) -> None:
    add_apt(tools, debs)
    with pytest.raises(error):
        arm64_root(prove)
    assert os.listdir(tools.cache) == []


def test_the_folder_of_the_faster_process_is_used(
    debs: Path, tools: Tools, pip_calls: Path
) -> None:
    add_apt(tools, debs)

    def other_process(root: Path) -> None:
        faster = arm64_root(nothing)
        (faster / "faster").touch()

    assert (arm64_root(other_process) / "faster").exists()
    assert len(os.listdir(tools.cache)) == 1


@pytest.mark.parametrize(
    ("tool", "script", "words"),
    [
        ("apt-get", "echo E: Unable to locate package >&2; exit 100", r"Unable to locate.*ports"),
        ("dpkg-deb", "echo bad deb >&2; exit 2", r"p\.deb failed.*bad deb.*--arm64-root"),
        ("python", "echo no matching distribution >&2; exit 1", r"pip .*3\.99.*no matching.*index"),
    ],
)
def test_the_error_has_the_output_of_the_tool(
    tool: str, script: str, words: str, debs: Path, tools: Tools, pip_calls: Path
) -> None:
    add_apt(tools, debs)
    if tool == "python":
        Path(sys.executable).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    else:
        (tools.folder / tool).unlink()
        update = 'case "$*" in *update*) echo W: no network >&2; exit 0;; esac\n'
        tools.add(tool, update + script)
    with pytest.raises(EdgebertError, match=f"(?s){words}") as caught:
        arm64_root(nothing)
    assert tool != "apt-get" or "W: no network" in str(caught.value)
    assert os.listdir(tools.cache) == []


def test_a_runtime_that_does_not_load_is_an_error(
    debs: Path, tools: Tools, pip_calls: Path
) -> None:
    fake_qemu(tools, "7.2.22", code=139)
    add_apt(tools, debs)
    with pytest.raises(EdgebertError, match=r"can't load.*139.*signal 11.*Next: try a newer qemu"):
        arm64_root(find_emulator("max").prove)
    assert os.listdir(tools.cache) == []


MAKES = """
import signal
from edgebert.profiling.arm64_root import arm64_root

# As on a terminal: a shell's background job starts its programs with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
arm64_root(print)
"""


def test_ctrl_c_ends_apt_and_leaves_no_files(debs: Path, tools: Tools, tmp_path: Path) -> None:
    add_apt(tools, debs)
    tools.add_real("sleep")
    (tools.folder / "apt-get").unlink()
    tools.add("apt-get", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    parent = subprocess.Popen(
        [sys.executable, "-c", MAKES],
        env=with_package_path(os.environ),
        stderr=subprocess.DEVNULL,
    )
    with parent:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            assert parent.poll() is None
            time.sleep(0.02)
        apt = Path("/proc") / (tmp_path / "pid").read_text().strip()
        parent.send_signal(signal.SIGINT)
        assert parent.wait(timeout=20) != 0
    assert os.listdir(tools.cache) == []
    assert not apt.exists()
