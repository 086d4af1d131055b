"""The cloud target against scripts that replace Google's programs. No cloud is used.

`litert` prints what the LiteRT CLI's own source (0.2) prints, around a phone's log that is recorded
text of benchmark_model; `gcloud` is there and does nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgebert.data.datasets import Dataset, Example
from edgebert.errors import EdgebertError, UsageError
from edgebert.profiling.measurement import Measurement
from edgebert.profiling.target import Job, open_target
from edgebert.settings import ProfileSettings, TargetSettings

if TYPE_CHECKING:
    from tests.edgebert.profiling.conftest import TinyClassifier

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "benchmark_model"
SETTINGS = ProfileSettings(lengths=(8,), end_to_end=False, max_seconds=5)

LITERT = """#!/bin/sh
printf '%s\\n' "$@" -- >> "{here}/calls.log"
cat "{here}/output"
exit $(cat "{here}/exit_code")
"""

SUBMITTED = """Using specified GCS bucket 'gs://bucket'.
Fetching GCP access token...
Benchmark session submitted successfully!
View the outputs on the Cloud Console: https://console.cloud.google.com/storage/browser/b/s
..
"""

PORTAL_RESPONSE = {
    "results": [
        {
            "deviceModel": "pixel 7",
            "runs": [
                {
                    "latencyMetrics": {
                        "initMs": 5.5,
                        "firstInferenceMs": 4.0,
                        "avgMs": 2.5,
                        "minMs": 2.1,
                        "maxMs": 4.4,
                        "medianMs": 2.4,
                    },
                    "memoryMetrics": {"overallFootprintKb": "20480", "peakMemMb": 40.5},
                    "miscMetrics": {"numRuns": 50},
                }
            ],
        }
    ]
}


def as_logcat(text: str) -> str:
    """Recorded text in the format of a phone's log: time, process and tag before each line."""
    lines = []
    for line in text.splitlines():
        tag = "litert" if "benchmark_litert_model" in line else "tflite"
        plain = re.sub(r"^(INFO|VERBOSE): ", "", line)
        lines.append(f"09-28 22:30:00.100  4000  4000 I {tag}  : {plain}")
    return "\n".join(lines) + "\n"


LOG = as_logcat((GOLDEN / "litert_profile.txt").read_text())


class Cloud:
    """The next results of the scripts, and the commands that they received."""

    def __init__(self, here: Path) -> None:
        self.here = here
        self.says("")
        for name, script in (("litert", LITERT.format(here=here)), ("gcloud", "#!/bin/sh\n")):
            (here / name).write_text(script)
            (here / name).chmod(0o755)

    def says(self, output: str, exit_code: int = 0) -> None:
        (self.here / "output").write_text(output)
        (self.here / "exit_code").write_text(str(exit_code))

    def calls(self) -> list[list[str]]:
        text = (self.here / "calls.log").read_text()
        return [call.strip("\n").split("\n") for call in text.split("--\n")[:-1]]


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    here = tmp_path / "bin"
    here.mkdir()
    monkeypatch.setenv("PATH", f"{here}:/usr/bin:/bin")
    monkeypatch.setenv("LITERT_GCP_PROJECT", "project")
    return Cloud(here)


def run(
    name: str, model: Path, settings: ProfileSettings = SETTINGS, **values: Any
) -> list[Measurement]:
    target = open_target(f"cloud:{name}", TargetSettings(**values))
    return list(target.profile(Job((model,), settings)).measurements)


def test_the_platforms_results_are_measurements(cloud: Cloud, tiny: TinyClassifier) -> None:
    cloud.says(SUBMITTED + f"\nJob 'cpu-caiman-35': PASSED\nOutput files saved to: /no\n{LOG}")
    settings = replace(SETTINGS, min_runs=40, warmup_runs=3)
    (measured,) = run("caiman-35", tiny.path, settings)
    assert (measured.target, measured.signature, measured.length) == (
        "cloud:caiman-35",
        "tokens_8",
        8,
    )
    assert (measured.latency.p50_ms, measured.latency.runs) == (0.462, 2112)
    assert measured.latency.p99_ms is None
    assert measured.device.os == "Android API 35"
    assert any("p50 is its median" in warning for warning in measured.warnings)
    assert any("answers on the phone were not checked" in each for each in measured.warnings)
    (call,) = cloud.calls()
    assert call[:4] == ["benchmark", str(tiny.path), "--ddp", "--cpu"]
    assert {"--signature-key=tokens_8", "--num-runs=40", "--warmup-runs=3"} <= set(call)
    assert Measurement.from_dict(measured.to_dict()) == measured


def test_saved_logs_are_read_for_every_device(
    cloud: Cloud, tiny: TinyClassifier, tmp_path: Path
) -> None:
    sections = ""
    for device, ms in (("caiman-35", "0.46"), ("pa3q-35", "0.92")):
        folder = tmp_path / device
        folder.mkdir()
        other = LOG.replace("Inference (avg):      0.46", f"Inference (avg):      {ms}")
        (folder / "logcat.txt").write_text(other)
        sections += f"\nJob 'gpu-{device}': PASSED\nOutput files saved to: {folder}\nno log here\n"
    cloud.says(SUBMITTED + sections)
    first, second = run("ddp:caiman-35, pa3q-35", tiny.path, delegate="gpu")
    assert (first.target, first.latency.p50_ms) == ("cloud:caiman-35", 0.462)
    assert (second.target, second.latency.mean_ms) == ("cloud:pa3q-35", 0.92)
    assert any("runs no part of the graph" in warning for warning in first.warnings)
    assert cloud.calls()[0][3:6] == ["--gpu", "--devices", "caiman-35, pa3q-35"]


def test_the_portals_json_is_read_if_it_has_litert_fields(
    cloud: Cloud, no_signature: TinyClassifier
) -> None:
    done = "Benchmark operation completed successfully!\n"
    cloud.says(SUBMITTED + done + json.dumps(PORTAL_RESPONSE, indent=2))
    (measured,) = run("pixel 7", no_signature.path)
    assert (measured.latency.p50_ms, measured.latency.runs, measured.load_ms) == (2.4, 50, 5.5)
    assert (measured.model_memory_bytes, measured.peak_memory_bytes) == (20480 * 1024, 42467328)
    assert cloud.calls()[0][2:] == ["--gcp", "--cpu", "--devices", "pixel 7"]
    cloud.says(SUBMITTED + done + '{"name": "projects/p/benchmarks/b"}')
    with pytest.raises(EdgebertError, match=r"none in a known format[\s\S]*console.cloud.google"):
        run("pixel 7", no_signature.path)


def test_an_unknown_device_is_an_error(cloud: Cloud, tiny: TinyClassifier) -> None:
    cloud.says("Error: Failed to submit benchmark: 404 Not Found\nno such device: nokia-35\n", 1)
    with pytest.raises(EdgebertError, match=r"404 Not Found\n[\s\S]*device-run devices list"):
        run("nokia-35", tiny.path)


@pytest.mark.parametrize("exit_code", [0, 1])
def test_being_signed_out_is_an_error_for_any_exit_code(
    cloud: Cloud, tiny: TinyClassifier, exit_code: int
) -> None:
    cloud.says(
        "Error: Failed to get gcloud access token. Please run 'gcloud auth login' first.\n",
        exit_code,
    )
    with pytest.raises(EdgebertError, match=r"not signed in[\s\S]*gcloud auth login and"):
        run("caiman-35", tiny.path)


def test_a_failed_job_is_an_error(cloud: Cloud, tiny: TinyClassifier) -> None:
    cloud.says(SUBMITTED + "\nJob 'cpu-caiman-35': FAILED\nNo output files were reported.\n")
    with pytest.raises(EdgebertError, match="Expected figures for caiman-35"):
        run("caiman-35", tiny.path)


@pytest.mark.parametrize(
    ("missing", "words"),
    [("litert", "pip install litert-cli"), ("gcloud", "install Google's Cloud SDK")],
)
def test_missing_programs_are_an_error_with_the_fix(
    cloud: Cloud, tiny: TinyClassifier, missing: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cloud.here / missing).unlink()
    monkeypatch.setenv("PATH", str(cloud.here))
    with pytest.raises(UsageError, match=words):
        run("caiman-35", tiny.path)


def test_a_missing_project_is_an_error_with_the_fix(
    cloud: Cloud, tiny: TinyClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LITERT_GCP_PROJECT")
    with pytest.raises(UsageError, match="export LITERT_GCP_PROJECT=YOUR-PROJECT"):
        run("caiman-35", tiny.path)


def test_unsupported_jobs_are_refused_before_anything_is_billed(
    cloud: Cloud, tiny: TinyClassifier, dynamic: TinyClassifier
) -> None:
    with pytest.raises(UsageError, match="expects a device"):
        open_target("cloud")
    with pytest.raises(UsageError, match="cpu and gpu"):
        open_target("cloud:caiman-35", TargetSettings(delegate="nnapi"))
    with pytest.raises(UsageError, match="measures with one thread"):
        run("caiman-35", tiny.path, replace(SETTINGS, threads=(1, 2)))
    with pytest.raises(UsageError, match="only the first signature"):
        run("pixel 7", tiny.path)
    with pytest.raises(UsageError, match="fixed lengths"):
        run("caiman-35", dynamic.path)
    data = Dataset("w", (Example("rain", "storm"),), Path("w.tsv"), "0" * 64)
    with pytest.raises(UsageError, match="--check is not supported"):
        open_target("cloud:caiman-35").profile(Job((tiny.path,), SETTINGS, check=data))
    assert not (cloud.here / "calls.log").exists()


def test_unsupported_measurements_are_warnings(cloud: Cloud, tiny: TinyClassifier) -> None:
    cloud.says(SUBMITTED + f"\nJob 'cpu-caiman-35': PASSED\n{LOG}")
    settings = replace(SETTINGS, operations=True, end_to_end=True)
    (measured,) = run("caiman-35", tiny.path, settings)
    assert any("measure operations, text in" in warning for warning in measured.warnings)
