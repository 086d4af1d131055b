"""The runner through its protocol, as a real process."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgebert.errors import EdgebertError
from edgebert.profiling import litert_requests, runner
from edgebert.profiling.process import RunnerProcess

if TYPE_CHECKING:
    from tests.edgebert.profiling.conftest import TinyClassifier

RUNNER = Path(runner.__file__)


def test_hello_describes_the_machine_and_the_runtime(runner_process: RunnerProcess) -> None:
    facts = runner_process.request("hello")
    assert facts["runtime"]["name"] == "ai-edge-litert"
    assert facts["runtime"]["version"][0].isdigit()
    assert facts["device"]["cpu"] and facts["device"]["cores"] >= 1
    assert facts["device"]["python"] == sys.version.split()[0]
    environment = facts["environment"]
    assert set(environment) == {"load_average", "governor", "core_mhz", "energy_denied"}


def test_load_lists_signatures(runner_process: RunnerProcess, tiny: TinyClassifier) -> None:
    loaded = runner_process.request("load", model=str(tiny.path))
    assert loaded["load_ms"] > 0
    assert set(loaded["signatures"]) == {"tokens_8", "tokens_16"}
    entry = loaded["signatures"]["tokens_16"]
    assert (entry["length"], entry["dynamic"], entry["outputs"]) == (16, False, ["logits"])
    assert {tensor["name"]: tensor["shape"] for tensor in entry["inputs"]} == {
        "token_ids": [1, 16],
        "padding_mask": [1, 16],
        "segment_ids": [1, 16],
    }


def test_run_times_the_requested_number_of_calls(
    runner_process: RunnerProcess, tiny: TinyClassifier
) -> None:
    runner_process.request("load", model=str(tiny.path))
    assert runner_process.request("first_call", signature="tokens_8")["first_call_ms"] > 0
    result = runner_process.request("run", signature="tokens_16", warmup=3, runs=17)
    assert len(result["latencies_ms"]) == 17
    assert min(result["latencies_ms"]) > 0
    assert result["wall_ms"] >= sum(result["latencies_ms"])


def test_run_continues_for_min_seconds(runner_process: RunnerProcess, tiny: TinyClassifier) -> None:
    runner_process.request("load", model=str(tiny.path))
    result = runner_process.request("run", signature="tokens_8", runs=1, min_seconds=0.02)
    assert len(result["latencies_ms"]) > 1
    assert result["wall_ms"] >= 20


def test_run_stops_at_max_seconds(runner_process: RunnerProcess, tiny: TinyClassifier) -> None:
    runner_process.request("load", model=str(tiny.path))
    result = runner_process.request("run", signature="tokens_8", runs=10**9, max_seconds=0.02)
    assert 1 <= len(result["latencies_ms"]) < 10**6


def test_predict_binds_inputs_by_name(runner_process: RunnerProcess, tiny: TinyClassifier) -> None:
    runner_process.request("load", model=str(tiny.path))
    rng = np.random.default_rng(3)
    batch = []
    for _ in range(3):
        ids = rng.integers(0, 128, 8).tolist()
        batch.append(
            {"segment_ids": [0] * 8, "padding_mask": [[1] * 5 + [0] * 3], "token_ids": ids}
        )
    outputs = runner_process.request("predict", signature="tokens_8", inputs=batch)["outputs"]
    assert len(outputs) == 3
    for inputs, output in zip(batch, outputs, strict=True):
        expected = tiny.logits(inputs["token_ids"], inputs["padding_mask"][0])
        assert np.shape(output["logits"]) == (1, 3)
        np.testing.assert_allclose(output["logits"], expected, atol=1e-5)


def test_a_dynamic_signature_runs_at_any_length(
    runner_process: RunnerProcess, dynamic: TinyClassifier
) -> None:
    entry = runner_process.request("load", model=str(dynamic.path))["signatures"]["tokens_dynamic"]
    assert (entry["length"], entry["dynamic"]) == (None, True)
    for length in (5, 12, 5):
        ids, ones = list(range(length)), [1] * length
        inputs = {"token_ids": ids, "padding_mask": ones, "segment_ids": ones}
        output = runner_process.request("predict", inputs=[inputs])["outputs"][0]
        np.testing.assert_allclose(output["logits"], dynamic.logits(ids, ones), atol=1e-5)
        assert len(runner_process.request("run", length=length, runs=2)["latencies_ms"]) == 2
    assert "needs a length" in runner_process.exchange("run")["error"]


def test_a_file_with_no_signature_runs(
    runner_process: RunnerProcess, no_signature: TinyClassifier
) -> None:
    loaded = runner_process.request("load", model=str(no_signature.path))
    assert list(loaded["signatures"]) == [""]
    assert loaded["signatures"][""]["length"] == 8
    assert runner_process.request("first_call")["first_call_ms"] > 0
    assert len(runner_process.request("run", signature="", runs=3)["latencies_ms"]) == 3
    ids, ones = list(range(8)), [1] * 8
    inputs = {"token_ids": ids, "padding_mask": ones, "segment_ids": ones}
    (output,) = runner_process.request("predict", inputs=[inputs])["outputs"]
    np.testing.assert_allclose(
        next(iter(output.values())), no_signature.logits(ids, ones), atol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "dtype", "expected"),
    [
        ("input_mask", "int32", {1}),
        ("segment_ids", "int32", {0}),
        ("input_type_ids", "int64", {0}),
        ("image", "float32", {0}),
        ("serving_default_ids:0", "int32", None),
    ],
)
def test_generated_inputs_match_their_names(name: str, dtype: str, expected: set | None) -> None:
    rng = np.random.default_rng(0)
    value = runner.made_up(name, [-1, -1], np.dtype(dtype), 64, rng)
    assert value.shape == (1, 64) and value.dtype == dtype
    if expected is None:
        assert set(value.ravel()) <= set(range(100))
        assert len(set(value.ravel())) > 10
    else:
        assert set(value.ravel()) == expected


def test_memory_is_that_of_this_process(
    runner_process: RunnerProcess, tiny: TinyClassifier
) -> None:
    ballast = np.ones(1 << 26, np.uint8)  # a child must not inherit its parent's peak
    loaded = runner_process.request("load", model=str(tiny.path))
    memory = runner_process.request("memory")
    assert loaded["rss_before"] <= memory["peak_rss"] < 150 << 20
    assert memory["rss"] <= memory["peak_rss"]
    assert ballast.sum() == 1 << 26


@pytest.mark.parametrize(
    ("request_fields", "part"),
    [
        ({"op": "nothing"}, "'op' is one of"),
        ({"op": "run"}, "The signature is one of"),
        ({"op": "run", "signature": "tokens_99"}, "tokens_16"),
        ({"op": "run", "signature": "tokens_8", "inputs": {"ids": [1]}}, "bound by name"),
        ({"op": "run", "signature": "tokens_8", "inputs": {"token_ids": [1, 2]}}, "shape [1, 8]"),
        ({"op": "predict", "signature": "tokens_8", "inputs": [{}]}, "All inputs are needed"),
        ({"op": "predict", "signature": "tokens_8"}, "inputs"),
        ({"op": "load"}, "model"),
    ],
)
def test_the_program_continues_after_bad_requests(
    runner_process: RunnerProcess, tiny: TinyClassifier, request_fields: dict, part: str
) -> None:
    runner_process.request("load", model=str(tiny.path))
    assert part in runner_process.exchange(**request_fields)["error"]
    assert len(runner_process.request("run", signature="tokens_8")["latencies_ms"]) == 1


def test_calls_need_a_loaded_model(runner_process: RunnerProcess) -> None:
    assert "send 'load'" in runner_process.exchange("run")["error"]


def test_missing_and_truncated_files_are_errors(
    runner_process: RunnerProcess, truncated: Path, tmp_path: Path
) -> None:
    missing = runner_process.exchange("load", model=str(tmp_path / "none.tflite"))
    assert "no file at" in missing["error"]
    assert (
        "not a valid Flatbuffer" in runner_process.exchange("load", model=str(truncated))["error"]
    )


def talk(*lines: str) -> list[dict]:
    command = [sys.executable, "-P", str(RUNNER)]
    done = subprocess.run(
        command, input="\n".join(lines), capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_invalid_lines_get_an_error_response() -> None:
    answers = talk("{", "[1]", '"x"', '{"op": "memory"}', '{"op": "exit"}', '{"op": "memory"}')
    assert [sorted(answer) for answer in answers] == [
        *[["error", "kind"]] * 3,
        ["peak_rss", "rss"],
        ["ended"],
    ]


def one_shot(path: Path) -> tuple[int, dict]:
    command = [sys.executable, str(RUNNER), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def test_one_shot_answers_all_requests_of_a_file(tiny: TinyClassifier, tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    requests = [
        {"op": "hello"},
        {"op": "load", "model": str(tiny.path)},
        {"op": "run", "signature": "tokens_8", "runs": 4},
    ]
    request.write_text(json.dumps({"requests": requests}))
    code, answer = one_shot(request)
    assert code == 0
    assert len(answer["responses"]) == 3
    assert len(answer["responses"][2]["latencies_ms"]) == 4


def test_one_shot_stops_at_the_first_error(truncated: Path, tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    requests = [{"op": "load", "model": str(truncated)}, {"op": "memory"}]
    request.write_text(json.dumps({"requests": requests}))
    code, answer = one_shot(request)
    assert code == 1
    assert "not a valid Flatbuffer" in answer["error"]
    assert len(answer["responses"]) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"requests": 3}', '{"requests": ["x"]}'])
def test_one_shot_refuses_other_files(content: str, tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text(content)
    code, answer = one_shot(request)
    assert code == 1
    assert "error" in answer


@pytest.mark.parametrize("program", [runner, litert_requests])
def test_it_is_one_file_for_python_3_8(program: ModuleType) -> None:
    source = Path(str(program.__file__)).read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 8))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "", "."[: node.level]]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name
    }
    assert imported - set(sys.stdlib_module_names) == {"numpy"}


def write(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n", encoding="utf-8")
    return root


def test_energy_is_the_sum_of_all_packages(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "intel-rapl:0/name": "package-0",
            "intel-rapl:0/energy_uj": 1000,
            "intel-rapl:0/max_energy_range_uj": 5000,
            "intel-rapl:0:0/name": "core",
            "intel-rapl:0:0/energy_uj": 700,
            "intel-rapl:1/name": "package-1",
            "intel-rapl:1/energy_uj": 4000,
            "intel-rapl:1/max_energy_range_uj": 5000,
            "intel-rapl:2/name": "psys",
            "intel-rapl:2/energy_uj": 1,
            "intel-rapl-mmio:0/name": "package-0",
            "intel-rapl-mmio:0/energy_uj": 1,
        },
    )
    before = runner.energy_counters(str(tmp_path))
    assert sorted(before.values()) == [1000, 4000]
    write(tmp_path, {"intel-rapl:0/energy_uj": 3000, "intel-rapl:1/energy_uj": 500})
    after = runner.energy_counters(str(tmp_path))
    assert runner.energy_between(before, after) == (2000 + 1500) / 1000  # the second began anew
    assert runner.energy_between(after, after) == 0


def test_unreadable_energy_is_unknown(tmp_path: Path) -> None:
    write(tmp_path, {"intel-rapl:0/name": "package-0"})  # a file that can't be opened reads as none
    counters = runner.energy_counters(str(tmp_path))
    assert list(counters.values()) == [None]
    assert runner.energy_between(counters, counters) is None


def test_a_machine_without_counters_has_no_energy(tmp_path: Path) -> None:
    assert runner.energy_counters(str(tmp_path)) == {}
    assert runner.energy_between({}, {}) is None


def test_sensors_give_the_hottest_zone_and_the_fastest_core(tmp_path: Path) -> None:
    core = runner.allowed_cores()[0]
    write(
        tmp_path,
        {
            "class/thermal/thermal_zone0/temp": 41500,
            "class/thermal/thermal_zone1/temp": 63250,
            "class/thermal/thermal_zone2/temp": 2147483647,
            "class/thermal/thermal_zone3/temp": -274000,
            "class/thermal/thermal_zone4/temp": "",
            "class/thermal/cooling_device0/cur_state": 9,
            f"devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq": 1804800,
        },
    )
    assert runner.sensors(str(tmp_path)) == {"temperature_c": 63.25, "frequency_mhz": 1804.8}
    assert runner.sensors(str(tmp_path / "none")) == {"temperature_c": None, "frequency_mhz": None}


def test_a_summary_replaces_the_latencies(
    runner_process: RunnerProcess, tiny: TinyClassifier
) -> None:
    runner_process.request("load", model=str(tiny.path))
    answer = runner_process.request("run", signature="tokens_8", runs=20, summary=True)
    assert answer["calls"] == 20
    assert 0 < answer["p50_ms"] <= answer["p90_ms"]
    assert {"temperature_c", "frequency_mhz", "wall_ms", "energy_mj"} < set(answer)
    assert "latencies_ms" not in answer


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores can't be chosen here")
def test_the_program_runs_on_its_cores(tiny: TinyClassifier) -> None:
    core = runner.allowed_cores()[-1]
    command = [sys.executable, "-P", str(RUNNER), "--cpu-mask", f"{1 << core:x}"]
    with RunnerProcess(command, "pinned") as process:
        assert process.request("hello")["device"]["cores"] == 1
        process.request("load", model=str(tiny.path), threads=2)
        process.request("run", signature="tokens_8", runs=5)
        status = Path(f"/proc/{process._process.pid}/status").read_text(encoding="utf-8")
    (allowed,) = [line for line in status.splitlines() if line.startswith("Cpus_allowed_list")]
    assert allowed.split()[1] == str(core)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores can't be chosen here")
def test_missing_cores_are_refused() -> None:
    beyond = max(runner.allowed_cores()) + 900
    command = [sys.executable, "-P", str(RUNNER), "--cpu-mask", f"{1 << beyond:x}"]
    with (
        RunnerProcess(command, "pinned") as process,
        pytest.raises(EdgebertError, match=rf"cores \[{beyond}\] were expected\. Received: only"),
    ):
        process.request("hello")
    assert os.sched_getaffinity(0)  # the parent's are as they were


def test_requests_are_added_from_a_file(runner_process: RunnerProcess, tmp_path: Path) -> None:
    program = tmp_path / "a1b2.tflite"  # as a board may name it
    program.write_text(
        "def requests(runner):\n"
        "    def double(service, request):\n"
        "        return {'twice': 2 * request['value'], 'has': hasattr(runner, 'time_once')}\n"
        "    return {'double': double}\n",
        encoding="utf-8",
    )
    assert "'op' is one of" in runner_process.exchange("double", value=4)["error"]
    assert runner_process.request("extend", program=str(program)) == {"requests": ["double"]}
    assert runner_process.request("double", value=4) == {"twice": 8, "has": True}
    assert "double" in runner_process.exchange("nothing")["error"]
    assert list(tmp_path.iterdir()) == [program]
