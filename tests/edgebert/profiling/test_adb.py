"""The adb target through the real adb client and server, against a simulated phone.

What `benchmark_model` prints is recorded text (tests/golden/benchmark_model): a stand-in program
that is really copied to the "phone" and really run there prints it. No figure here is a phone's.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebert.data.datasets import Dataset, Example
from edgebert.errors import EdgebertError, ModelError, UsageError
from edgebert.profiling.adb import client as adb_client
from edgebert.profiling.adb import session as adb_session
from edgebert.profiling.adb.device import Thermal, heat_notes
from edgebert.profiling.adb.tool import ROUNDS
from edgebert.profiling.measurement import Measurement
from edgebert.profiling.target import Job, Outcome, open_target
from edgebert.reporting.tables import latency_tables
from edgebert.settings import ProfileSettings, TargetSettings
from tests.conftest import _missing_judge
from tests.judges import adb_device_server
from tests.judges.adb_device_server import PhoneServer

if TYPE_CHECKING:
    from tests.edgebert.profiling.conftest import TinyClassifier

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "benchmark_model"
SETTINGS = ProfileSettings(min_runs=60, max_seconds=0.6, lengths=(8,), end_to_end=False)

TOOL = """#!/bin/sh
printf '%s\\n' "$*" >> "$PHONE/calls.log"
number=$(wc -l < "$PHONE/calls.log")
[ -f "$PHONE/slow" ] && sleep 5
[ -f "$PHONE/outputs/$number" ] && cat "$PHONE/outputs/$number" || cat "$PHONE/outputs/default"
[ -f "$PHONE/exit_code" ] && exit "$(cat "$PHONE/exit_code")"
exit 0
"""

PROPERTIES = """[ro.board.platform]: [gs201]
[ro.build.id]: [AP4A.250205.002]
[ro.build.version.release]: [15]
[ro.build.version.sdk]: [35]
[ro.product.cpu.abi]: [arm64-v8a]
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 7]
[ro.soc.manufacturer]: [Google]
[ro.soc.model]: [Tensor G2]
"""

THERMAL = """IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 4
Thermal Status: {status}
Cached temperatures:
\tTemperature{{mValue=84.2, mType=0, mName=CPU, mStatus=0}}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{{mValue={temperature}, mType=0, mName=CPU, mStatus=0}}
\tTemperature{{mValue=28.1, mType=3, mName=SKIN, mStatus=0}}
\tTemperature{{mValue=4214.0, mType=6, mName=vbat, mStatus=0}}
Current cooling devices from HAL:
\tCoolingDevice{{mValue=0, mType=2, mName=cpu0}}
"""

BATTERY = """Current Battery Service state:
  USB powered: true
  level: {level}
  scale: 100
  temperature: 281
"""


@pytest.fixture
def adb_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A separate real adb server for this test."""
    if adb_device_server.find_adb() is None:
        _missing_judge("no adb: apt-get install adb")
    with adb_device_server.adb_server(tmp_path / "home") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield


def make_phone(root: Path, **options: Any) -> PhoneServer:
    """A phone in good condition: cool, charged, awake."""
    phone = PhoneServer(root, **options)
    (root / "getprop.txt").write_text(PROPERTIES)
    set_heat(phone)
    (root / "dumpsys_battery.txt").write_text(BATTERY.format(level=93))
    (root / "dumpsys_power.txt").write_text("  mWakefulness=Awake\n  mWakefulnessChanging=false\n")
    (root / "settings_low_power.txt").write_text("0\n")
    (root / "proc" / "loadavg").write_text("1.25 1.10 0.90 2/2048 4242\n")
    (root / "proc" / "cpuinfo").write_text("processor : 0\nFeatures : fp asimd asimddp i8mm\n")
    for core in range(8):
        frequency = root / f"sys/devices/system/cpu/cpu{core}/cpufreq"
        frequency.mkdir(parents=True)
        (frequency / "scaling_governor").write_text("sched_pixel\n")
        (frequency / "scaling_cur_freq").write_text(f"{1803000 if core < 6 else 2850000}\n")
    (root / "outputs").mkdir()
    shutil.copy(GOLDEN / "litert_profile.txt", root / "outputs" / "default")
    return phone


def set_heat(phone: PhoneServer, status: int = 0, temperature: float = 41.5) -> None:
    text = THERMAL.format(status=status, temperature=temperature)
    (phone.root / "dumpsys_thermalservice.txt").write_text(text)


@pytest.fixture
def phone(
    adb_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PhoneServer]:
    """A phone with half the number of starts for each configuration."""
    monkeypatch.setattr(adb_session, "ROUNDS", ROUNDS // 2)
    with make_phone(tmp_path / "phone") as made:
        made.connect()
        yield made


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    """A script instead of the tool: it stores its flags and prints recorded text."""
    path = tmp_path / "benchmark_model"
    path.write_text(TOOL)
    return path


def run(
    phone: PhoneServer,
    models: tuple[Path, ...],
    tool: Path | None,
    settings: ProfileSettings = SETTINGS,
    address: str = "",
    **target_settings: Any,
) -> Outcome:
    if tool is not None:
        target_settings["benchmark_binary"] = str(tool)
    target = open_target(f"adb:{address}" if address else "adb", TargetSettings(**target_settings))
    return target.profile(Job(models, settings))


def calls(phone: PhoneServer) -> list[list[str]]:
    return [line.split() for line in (phone.root / "calls.log").read_text().splitlines()]


def assert_clean(phone: PhoneServer) -> None:
    """No files of edgebert are left on the phone."""
    left = [path.name for path in phone.local("/data/local/tmp").iterdir()]
    assert [name for name in left if name.startswith("edgebert-")] == []


def notes(measured: Measurement, words: str) -> list[str]:
    return [warning for warning in measured.warnings if words in warning]


def test_a_phone_is_measured_like_any_target(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adb_session, "ROUNDS", ROUNDS)
    (measured,) = run(phone, (tiny.path,), tool).measurements
    assert (measured.target, measured.kind, measured.signature) == ("adb", "model", "tokens_8")
    latency = measured.latency
    assert (latency.runs, latency.p50_ms) == (6 * 2112, pytest.approx(0.462))
    assert latency.block_medians_ms == pytest.approx([0.462] * 6)
    assert (latency.p90_ms, latency.p99_ms, latency.spread) == (None, None, None)
    assert measured.load_ms == pytest.approx(4.48)
    assert measured.first_call_ms == pytest.approx(1.03)
    assert measured.stable
    assert measured.operations == ()
    assert notes(measured, "p90 and p99 are unknown")
    assert Measurement.from_dict(measured.to_dict()) == measured
    cells = latency_tables([measured])[0].rows[0]
    assert {"0.462", "–"} <= set(cells)
    assert_clean(phone)


def test_the_facts_of_the_phone(phone: PhoneServer, tool: Path, tiny: TinyClassifier) -> None:
    device = run(phone, (tiny.path,), tool).measurements[0].device
    assert (device.name, device.cpu, device.cores) == ("Google Pixel 7", "Google Tensor G2", 8)
    assert (device.os, device.architecture) == ("Android 15", "arm64-v8a")
    assert (device.governor, device.load_average) == ("sched_pixel", 1.25)
    assert device.cpu_features == ("asimd", "asimddp", "i8mm")
    details = device.details
    assert details["thermal_before"] == details["thermal_after"] == "none, 41.5 °C"
    assert (details["battery_percent"], details["battery_saver"]) == ("93", "off")
    assert (details["android_sdk"], details["serial"]) == ("35", phone.serial)
    assert re.fullmatch("[0-9a-f]{64}", details["benchmark_model_sha256"])
    assert details["delegated"] == "TfLiteXNNPackDelegate: 1 of 1 nodes, 1 partitions"


def test_flags_select_the_signature_and_its_inputs(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier
) -> None:
    run(phone, (tiny.path,), tool, replace(SETTINGS, threads=(2,)))
    flags = dict(flag.lstrip("-").split("=", 1) for flag in calls(phone)[0])
    assert flags["signature_to_run_for"] == "tokens_8"
    assert flags["input_layer"] == "token_ids,padding_mask,segment_ids"
    assert flags["input_layer_shape"] == "1,8:1,8:1,8"
    assert flags["input_layer_value_range"] == "token_ids,0,99:padding_mask,1,1:segment_ids,0,0"
    assert (flags["num_threads"], flags["num_runs"], flags["use_xnnpack"]) == ("2", "10", "true")
    assert "report_peak_memory_footprint" not in flags
    assert "--report_peak_memory_footprint=true" in calls(phone)[-1]


def test_dynamic_lengths_get_a_shape(
    phone: PhoneServer, tool: Path, dynamic: TinyClassifier
) -> None:
    settings = replace(SETTINGS, lengths=(24,))
    (measured,) = run(phone, (dynamic.path,), tool, settings).measurements
    assert measured.length == 24
    assert "--input_layer_shape=1,24:1,24:1,24" in calls(phone)[0]


def test_files_are_interleaved_and_copied_once(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier, other: TinyClassifier
) -> None:
    measured = run(phone, (tiny.path, other.path), tool).measurements
    assert [m.name for m in measured] == ["tiny", "other"]
    graphs = [call[0].rpartition("-")[2] for call in calls(phone)]
    one, two = "tiny.tflite", "other.tflite"
    assert graphs[:6] == [one, two, two, one, one, two]
    assert len(phone.sent) == 3


def test_operations_are_profiled(phone: PhoneServer, tool: Path, tiny: TinyClassifier) -> None:
    (measured,) = run(phone, (tiny.path,), tool, replace(SETTINGS, operations=True)).measurements
    assert "--enable_op_profiling=true" in calls(phone)[-1]
    assert "Fully Connected (NC, PF32) GEMM" in [o.operation for o in measured.operations]
    shutil.copy(GOLDEN / "tensorflow_xnnpack.txt", phone.root / "outputs" / "default")
    (measured,) = run(phone, (tiny.path,), tool, replace(SETTINGS, operations=True)).measurements
    assert notes(measured, "prints no times of operations")


def test_core_masks_are_passed_to_taskset(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier
) -> None:
    (measured,) = run(phone, (tiny.path,), tool, cpu_mask="0xF0").measurements
    assert set((phone.root / "taskset.log").read_text().split()) == {"f0"}
    assert (measured.device.cores, measured.device.details["cpu_mask"]) == (4, "0xF0")


def test_a_tool_on_the_phone_is_found(phone: PhoneServer, tool: Path, tiny: TinyClassifier) -> None:
    with pytest.raises(UsageError, match=r"expected at /data/local/tmp/benchmark_model"):
        run(phone, (tiny.path,), None)
    there = phone.local("/data/local/tmp/benchmark_model")
    shutil.copy(tool, there)
    there.chmod(0o755)
    run(phone, (tiny.path,), None)
    shutil.move(there, phone.local("/data/local/tmp/my tool"))
    run(phone, (tiny.path,), None, benchmark_binary="/data/local/tmp/my tool")
    assert_clean(phone)


def test_older_tools_print_no_median(phone: PhoneServer, tool: Path, tiny: TinyClassifier) -> None:
    shutil.copy(GOLDEN / "tensorflow_xnnpack.txt", phone.root / "outputs" / "default")
    (measured,) = run(phone, (tiny.path,), tool).measurements
    assert measured.latency.p50_ms == pytest.approx(55.0432)
    assert notes(measured, "starts' means")
    assert measured.model_memory_bytes == 19632173


def test_a_delegate_that_runs_nothing_is_reported(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier
) -> None:
    (measured,) = run(phone, (tiny.path,), tool, delegate="gpu").measurements
    assert "--use_gpu=true" in calls(phone)[0]
    assert notes(measured, "runs no part of the graph: these are figures of the CPU")
    shutil.copy(GOLDEN / "tensorflow_gpu.txt", phone.root / "outputs" / "default")
    (measured,) = run(phone, (tiny.path,), tool, delegate="gpu").measurements
    assert not notes(measured, "delegate runs")
    shutil.copy(GOLDEN / "tensorflow_nnapi_logcat.txt", phone.root / "outputs" / "default")
    (measured,) = run(phone, (tiny.path,), tool, delegate="nnapi").measurements
    assert notes(measured, "runs a part of the graph, the CPU runs the rest")


@pytest.mark.parametrize(
    ("unconsumed", "options", "words"),
    [
        ("--use_nnapi=true", {"length": 8, "delegate": "nnapi"}, "has no --use_nnapi"),
        ("--signature_to_run_for=tokens_16", {"length": 16}, "too old to run tokens_16"),
    ],
)
def test_unknown_flags_are_an_error(
    phone: PhoneServer,
    tool: Path,
    tiny: TinyClassifier,
    unconsumed: str,
    options: dict[str, Any],
    words: str,
) -> None:
    output = phone.root / "outputs" / "default"
    output.write_text(f"WARN: Unconsumed cmdline flags: {unconsumed}\n" + output.read_text())
    target_settings = {name: value for name, value in options.items() if name != "length"}
    settings = replace(SETTINGS, lengths=(options["length"],))
    with pytest.raises(EdgebertError, match=words):
        run(phone, (tiny.path,), tool, settings, **target_settings)
    assert_clean(phone)


def test_a_tool_that_fails_shows_its_last_lines(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier
) -> None:
    (phone.root / "outputs" / "default").write_text("ERROR: Didn't find op for builtin opcode\n")
    (phone.root / "exit_code").write_text("1")
    with pytest.raises(EdgebertError, match=r"exit code 1.*\n.*Didn't find op for builtin"):
        run(phone, (tiny.path,), tool)
    (phone.root / "exit_code").write_text("137")
    with pytest.raises(EdgebertError, match="because of low memory"):
        run(phone, (tiny.path,), tool)
    assert_clean(phone)


def test_a_tool_for_another_processor_is_refused(
    phone: PhoneServer, tiny: TinyClassifier, tmp_path: Path
) -> None:
    foreign = tmp_path / "benchmark_model_x86"
    foreign.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + bytes(44))
    with pytest.raises(UsageError, match=r"arm64-v8a.*made for x86_64"):
        run(phone, (tiny.path,), foreign)
    there = phone.local("/data/local/tmp/benchmark_model")
    there.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(44))
    there.chmod(0o755)
    with pytest.raises(EdgebertError, match="made for another processor than arm64-v8a"):
        run(phone, (tiny.path,), None)
    assert_clean(phone)


def test_a_missing_tool_is_an_error(phone: PhoneServer, tiny: TinyClassifier) -> None:
    with pytest.raises(UsageError, match="No such file"):
        run(phone, (tiny.path,), Path("nowhere/benchmark_model"))


def test_a_full_phone_is_an_error(phone: PhoneServer, tool: Path, tiny: TinyClassifier) -> None:
    phone.full = True
    with pytest.raises(EdgebertError, match=r"No space left on device[\s\S]*has free space"):
        run(phone, (tiny.path,), tool)
    assert_clean(phone)


def test_odd_file_names_are_quoted(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier, tmp_path: Path
) -> None:
    odd = tmp_path / "my model; touch owned, $(touch owned).tflite"
    shutil.copy(tiny.path, odd)
    (measured,) = run(phone, (odd,), tool).measurements
    assert measured.name == odd.stem
    assert calls(phone)[0][0].endswith("my_model__touch_owned____touch_owned_.tflite")
    assert not list(tmp_path.rglob("owned"))


def test_throttling_is_reported(phone: PhoneServer, tool: Path, tiny: TinyClassifier) -> None:
    phone.add_command(
        "dumpsys",
        'file="$PHONE/dumpsys_$1.txt"\n'
        'if [ "$1" = thermalservice ] && [ "$(wc -l < "$PHONE/calls.log")" -ge 3 ]; then\n'
        '  sed "s/Status: 0/Status: 2/; s/41.5/78.5/" "$file"\nelse cat "$file"; fi 2>/dev/null',
    )
    (phone.root / "calls.log").touch()
    (measured,) = run(phone, (tiny.path,), tool).measurements
    assert notes(measured, "rose from none, 41.5 °C to moderate, 78.5 °C")
    assert measured.device.details["thermal_after"] == "moderate, 78.5 °C"


def test_throttling_is_detected_by_temperature_and_time_without_a_status() -> None:
    def at(*temperatures: float) -> list[Thermal]:
        return [Thermal(None, temperature, None) for temperature in temperatures]

    slower = [10.0, 10.0, 10.5, 11.0, 12.5, 12.5]
    assert "25% longer" in heat_notes(at(30, 31, 32, 33, 35, 38, 41), slower)[0]
    assert heat_notes(at(30, 30, 30, 30, 30, 30, 31), slower) == []
    assert heat_notes(at(30, 31, 32, 33, 35, 38, 41), [10.0] * 6) == []
    assert "was hot before" in heat_notes([Thermal(1, 45.0, None)] * 3, [1.0, 1.0])[0]


def test_conditions_that_slow_a_phone_are_reported(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier
) -> None:
    (phone.root / "settings_low_power.txt").write_text("1\n")
    (phone.root / "dumpsys_battery.txt").write_text(BATTERY.format(level=12))
    (phone.root / "dumpsys_power.txt").write_text("  mWakefulness=Asleep\n")
    (measured,) = run(phone, (tiny.path,), tool).measurements
    assert notes(measured, "Battery saver was on")
    assert notes(measured, "The battery was at 12 %")
    assert notes(measured, "The screen was off")


def test_old_phones_report_only_the_battery_temperature(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier
) -> None:
    (phone.root / "dumpsys_thermalservice.txt").write_text("Can't find service: thermalservice\n")
    (measured,) = run(phone, (tiny.path,), tool).measurements
    assert measured.device.details["thermal_before"] == "28.1 °C"


def test_a_sustained_run(phone: PhoneServer, tool: Path, tiny: TinyClassifier) -> None:
    settings = replace(SETTINGS, sustained_seconds=0.8)
    (measured,) = run(phone, (tiny.path,), tool, settings).measurements
    assert len(measured.sustained) >= 2
    seconds = [point.seconds for point in measured.sustained]
    assert seconds == sorted(seconds)
    point = measured.sustained[0]
    assert (point.calls, point.p50_ms, point.p90_ms) == (2112, pytest.approx(0.462), None)
    assert (point.thermal_state, point.temperature_c, point.frequency_mhz) == ("none", 41.5, 2850)


def test_cold_starts_find_the_weight_cache(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier
) -> None:
    settings = replace(SETTINGS, cold_start=True)
    (measured,) = run(phone, (tiny.path,), tool, settings).measurements
    assert measured.cold_start is None
    assert notes(measured, "writes no weight cache")
    (phone.root / "calls.log").unlink()
    writes = 'for a; do case $a in --xnnpack_weight*) echo packed > "${a#*=}";; esac; done\n'
    tool.write_text(TOOL.replace("#!/bin/sh\n", "#!/bin/sh\n" + writes))
    default = (phone.root / "outputs" / "default").read_text()
    for number in (6, 7, 8):
        quicker = default.replace("Model initialization: 4.48 ms", "Model initialization: 1.20 ms")
        (phone.root / "outputs" / str(number)).write_text(quicker)
    (measured,) = run(phone, (tiny.path,), tool, settings).measurements
    cold = measured.cold_start
    assert cold is not None
    assert (cold.load_ms, cold.cached_load_ms, cold.cache_bytes) == (4.48, 1.20, 7)
    assert_clean(phone)


def test_no_phone_is_an_error(adb_environment: None, tiny: TinyClassifier) -> None:
    with pytest.raises(EdgebertError, match=r"Received: none. Next: plug a phone in"):
        open_target("adb").profile(Job((tiny.path,), SETTINGS))


def test_an_unauthorized_phone_is_an_error_with_the_fix(
    adb_environment: None, tmp_path: Path, tiny: TinyClassifier
) -> None:
    with make_phone(tmp_path / "phone", authorized=False) as phone:
        phone.connect()
        with pytest.raises(EdgebertError, match=r"authoriz.*allow USB debugging"):
            open_target("adb").profile(Job((tiny.path,), SETTINGS))


def test_an_offline_phone_is_an_error_with_the_fix(
    phone: PhoneServer, tiny: TinyClassifier
) -> None:
    phone.unplug()
    deadline = time.monotonic() + 10
    while adb_client.attached_devices()[0].state == "device" and time.monotonic() < deadline:
        time.sleep(0.05)
    with pytest.raises(EdgebertError, match=r"is offline \(plug the phone in again"):
        open_target("adb").profile(Job((tiny.path,), SETTINGS))


def test_an_unknown_serial_lists_the_attached_phones(
    phone: PhoneServer, tiny: TinyClassifier
) -> None:
    with pytest.raises(UsageError, match=rf"adb:R58 expects.*{phone.serial}"):
        open_target("adb:R58").profile(Job((tiny.path,), SETTINGS))


def test_several_phones_are_measured_at_once(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier, tmp_path: Path
) -> None:
    with make_phone(tmp_path / "second") as alike, make_phone(tmp_path / "third", model="A54") as a:
        alike.connect()
        a.connect()
        measured = run(phone, (tiny.path,), tool).measurements
        assert {m.target for m in measured} == {
            f"adb:Pixel 7 {phone.serial}",
            f"adb:Pixel 7 {alike.serial}",
            "adb:A54",
        }
        (one,) = run(phone, (tiny.path,), tool, address=alike.serial).measurements
        assert one.target == f"adb:{alike.serial}"
        for each in (phone, alike, a):
            assert_clean(each)


def test_a_failing_phone_is_a_warning_of_the_others(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier, tmp_path: Path
) -> None:
    with make_phone(tmp_path / "second", model="A54") as bad:
        (bad.root / "exit_code").write_text("1")
        bad.connect()
        (measured,) = run(phone, (tiny.path,), tool).measurements
    assert measured.target == "adb:Pixel 7"
    assert notes(measured, "adb:A54 gave no result: adb:A54: benchmark_model")


def test_an_unplugged_phone_is_an_error(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier
) -> None:
    (phone.root / "slow").touch()
    phone.unplug_at = "--graph="
    began = time.monotonic()
    with pytest.raises(EdgebertError, match=rf"connection to {phone.serial} was lost"):
        run(phone, (tiny.path,), tool)
    assert time.monotonic() - began < 5


def test_folders_on_an_unplugged_phone_are_removed_a_day_later(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier
) -> None:
    stale, fresh = (phone.local(f"/data/local/tmp/edgebert-{name}") for name in ("old", "new"))
    for folder in (stale, fresh):
        folder.mkdir()
        (folder / "model.tflite").touch()
    day_and_half = time.time() - 36 * 3600
    subprocess.run(["touch", "-d", f"@{day_and_half:.0f}", str(stale)], check=True)
    run(phone, (tiny.path,), tool)
    assert not stale.exists()
    assert fresh.exists()


def test_ctrl_c_ends_the_run_and_removes_the_folder(
    phone: PhoneServer, tool: Path, tiny: TinyClassifier
) -> None:
    (phone.root / "slow").touch()

    def press() -> None:
        deadline = time.monotonic() + 20
        while not (phone.root / "calls.log").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    try:
        threading.Thread(target=press, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            run(phone, (tiny.path,), tool)
        assert time.monotonic() - began < 5
    finally:
        signal.signal(signal.SIGINT, previous)
    assert_clean(phone)


def test_a_missing_client_is_an_error_with_the_fix(
    tiny: TinyClassifier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EdgebertError, match="apt-get install adb"):
        open_target("adb").profile(Job((tiny.path,), SETTINGS))


@pytest.mark.parametrize(
    ("target_settings", "words"),
    [
        ({"cpu_mask": "big"}, "cores in hex"),
        ({"cpu_mask": "0"}, "cores in hex"),
        ({"benchmark_binary": "a", "fetch_benchmark_binary": True}, "exclude each other"),
        ({"app": True, "cpu_mask": "f0"}, "takes no benchmark binary and no --cpu-mask"),
    ],
)
def test_contradicting_settings_are_refused(target_settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_target("adb", TargetSettings(**target_settings))


def test_errors_that_need_no_phone_come_first(tiny: TinyClassifier, truncated: Path) -> None:
    check_data = Dataset("weather", (Example("rain", "storm"),), Path("weather.tsv"), "0" * 64)
    with pytest.raises(ModelError, match="cut short"):
        open_target("adb").profile(Job((truncated,), SETTINGS))
    with pytest.raises(UsageError, match="no file has length 99"):
        open_target("adb").profile(Job((tiny.path,), replace(SETTINGS, lengths=(99,))))
    with pytest.raises(UsageError, match=r"--check on adb runs the task in the demo app"):
        open_target("adb").profile(Job((tiny.path,), SETTINGS, check=check_data))
    with pytest.raises(UsageError, match="--app expects models of edgebert with a task"):
        open_target("adb", TargetSettings(app=True)).profile(Job((tiny.path,), SETTINGS))
