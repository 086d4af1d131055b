"""Exports on LiteRT's GPU delegate (WebGPU, software adapter) give this machine's answers.

One page runs all files: the browser compiles each shader once, which is most of the time.
"""

from __future__ import annotations

import runpy
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgebert.encoding.tokenizer import pad
from edgebert.errors import ModelError
from edgebert.exporting.artifact import ExportTexts, export
from edgebert.models.gpu_support import gpu_support_of
from edgebert.models.task_model import TaskModel
from edgebert.profiling.browser import BrowserTarget
from edgebert.profiling.browser.server import PageServer
from edgebert.profiling.device_check import DeviceCheck, HostReference
from edgebert.profiling.target import Job, Outcome
from edgebert.settings import DataSettings, ExportSettings, ProfileSettings, TargetSettings
from edgebert.tasks import task_named
from tests.judges.chromium import SOFTWARE_GPU, Chromium, find_chromium
from tests.judges.gpu_page import GpuPage

UPSTREAM = Path(__file__).parents[3] / "docs" / "upstream"
FACTS = {
    "model": "",
    "name": "",
    "sha256": "",
    "target": "browser",
    "device": "software adapter",
    "runtime": "LiteRT.js",
}


@dataclass(frozen=True)
class Case:
    """An export and the largest difference of a score."""

    task: str
    recipe: str
    lengths: str
    bound: float
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.task, self.recipe, self.lengths, *self.options])


CASES = (
    *(Case(task, "float32", "16", 1e-4) for task in ("classification", "multi-label", "pos")),
    *(Case(task, "float32", "16,24", 1e-4) for task in ("pairs", "regression")),
    *(Case(task, "float32", "8,16", 1e-4) for task in ("ner", "embeddings")),
    Case("masked-lm", "float32", "32,40", 1e-4),
    Case("qa", "float32", "40", 1e-4),
    Case("classification", "float16", "16", 1e-2),
    Case("masked-lm", "float16", "24", 1e-2),
)
INT8 = (
    Case("classification", "dynamic-int8", "16", 1e-4),
    Case("ner", "dynamic-int8", "8,16", 1e-4),
    Case("masked-lm", "dynamic-int8", "24", 1e-4),
)


@pytest.fixture(scope="module")
def gpu_browser(chromium: Chromium) -> Iterator[Chromium]:
    program = find_chromium()
    assert program is not None  # `chromium` has started it
    with Chromium(program, *SOFTWARE_GPU) as browser:
        yield browser


@pytest.fixture(scope="module")
def gpu(gpu_browser: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuPage]:
    with GpuPage(gpu_browser, tmp_path_factory.mktemp("gpu page")) as page:
        yield page


@pytest.fixture
def make(
    tiny_task_model: Callable[[str], TaskModel], tmp_path: Path
) -> Callable[[Case, str], Path]:
    def write(case: Case, recipe: str) -> Path:
        path = tmp_path / f"{case.task}-{recipe}.tflite"
        settings = ExportSettings(recipe=recipe, lengths=case.lengths, **case.options)
        texts = ExportTexts(calibration=["turn the lights on today"] * 16)
        return export(tiny_task_model(case.task), path, settings, texts=texts).path

    return write


def reference_of(path: Path, task: str, tiny_task_file: Callable[..., Path]) -> HostReference:
    data = task_named(task).read(tiny_task_file(task), DataSettings(), "required")
    return HostReference(path, data)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_float_exports_run_whole_on_the_gpu_and_give_the_answers_of_the_cpu(
    gpu: GpuPage,
    make: Callable[[Case, str], Path],
    tiny_task_file: Callable[..., Path],
    case: Case,
) -> None:
    path = make(case, case.recipe)
    for check in compare(gpu, path, reference_of(path, case.task, tiny_task_file), case):
        assert check.max_score_error <= case.bound
        assert check.label_agreement in (None, 1.0) and check.passed


@pytest.mark.parametrize("case", INT8, ids=str)
def test_int8_exports_run_whole_on_the_gpu_with_float_activations(
    gpu: GpuPage,
    make: Callable[[Case, str], Path],
    tiny_task_file: Callable[..., Path],
    case: Case,
) -> None:
    """The GPU dequantizes the weights: on a CPU, weight-int8 computes the same."""
    path = make(case, case.recipe)
    same_weights = reference_of(make(case, "weight-int8"), case.task, tiny_task_file)
    for check in compare(gpu, path, same_weights, case):
        assert check.max_score_error <= case.bound


def compare(gpu: GpuPage, path: Path, reference: HostReference, case: Case) -> list[DeviceCheck]:
    """Checks of the GPU's outputs, one for each signature; every text runs in every signature."""
    support = gpu_support_of(path)
    assert (support.faults, support.on_cpu) == ({}, {})
    assert gpu.load(path) == "webgpu"
    runtime, encodings = Interpreter(model_path=str(path)), reference.encodings
    checks = []
    for length in map(int, case.lengths.split(",")):
        key = f"tokens_{length}"
        details = runtime.get_signature_runner(key).get_output_details()
        rows = pad(encodings, length, reference.model.tokenizer.pad_id)
        named = []
        for i in range(len(encodings)):
            outputs = gpu.run(key, {name: values[i : i + 1] for name, values in rows.items()})
            named.append({name: outputs[name].reshape(details[name]["shape"]) for name in details})
        checks.append(reference.compare(reference.outputs_of(named), FACTS))
    return checks


def test_a_profile_on_the_gpu(
    gpu_browser: Chromium, make: Callable[[Case, str], Path], quick: ProfileSettings
) -> None:
    """The session refuses to time a wrong answer, so a measurement is a right one."""
    outcome: list[Outcome | BaseException] = []
    servers: list[PageServer] = []
    ready = threading.Event()

    def announce(server: PageServer, settings: TargetSettings) -> None:
        servers.append(server)
        ready.set()

    def run() -> None:
        settings = replace(quick, max_seconds=0.1, min_runs=1, warmup_runs=0)
        target = BrowserTarget(TargetSettings(accelerator="webgpu", wait_seconds=120.0), announce)
        try:
            outcome.append(target.profile(Job((make(CASES[0], "float32"),), settings)))
        except BaseException as error:
            outcome.append(error)
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(60) and servers, outcome
    page = gpu_browser.open(servers[0].url)
    thread.join(180)
    page.close()
    (found,) = outcome
    assert isinstance(found, Outcome), found
    (measured,) = found.measurements
    assert measured.runtime == "LiteRT.js 2.5.3, WebGPU"
    assert not any("differ from" in each or "it ran in" in each for each in measured.warnings)


@pytest.mark.parametrize(
    ("recipe", "options", "said"),
    [
        ("dynamic-int8", {"embedding": "int4"}, "EMBEDDING_LOOKUP .* --embedding int8"),
        ("weight-int8", {}, "FULLY_CONNECTED .* --recipe dynamic-int8"),
    ],
)
def test_files_that_fail_on_a_gpu_are_refused_before_a_browser_is_asked_for(
    make: Callable[[Case, str], Path],
    quick: ProfileSettings,
    recipe: str,
    options: dict[str, Any],
    said: str,
) -> None:
    path = make(Case("classification", recipe, "8", 0.0, options), recipe)
    target = BrowserTarget(TargetSettings(accelerator="webgpu"), lambda *_: pytest.fail("asked"))
    with pytest.raises(ModelError, match=said):
        target.profile(Job((path,), quick))


ZEROS_AND_ONES = {
    "gpu_constant_add": ({"x_2": np.zeros((4, 3)), "x_3": np.zeros((1, 4, 3))}, {"sum_2"}),
    "gpu_computed_weights": ({"x": np.zeros((2, 4)), "weights": np.zeros((3, 4))}, {"y"}),
    "gpu_cumsum": ({"x_1": np.ones(4), "x_3": np.ones((1, 1, 4))}, {"sum_1"}),
}


@pytest.mark.parametrize("name", ZEROS_AND_ONES)
def test_the_faults_of_the_delegate_are_as_reported(
    gpu: GpuPage, tmp_path: Path, name: str
) -> None:
    """See docs/upstream. If this fails after an update of LiteRT.js, the fault may be mended."""
    inputs, wrong = ZEROS_AND_ONES[name]
    path = tmp_path / f"{name}.tflite"
    path.write_bytes(runpy.run_path(str(UPSTREAM / f"{name}.py"))["build"]())
    (key,) = (signatures := Interpreter(str(path))).get_signature_list()
    floats = {name: values.astype(np.float32) for name, values in inputs.items()}
    right = signatures.get_signature_runner(key)(**floats)
    assert gpu.load(path) == "webgpu"
    found = gpu.run(key, floats)
    differing = {each for each in right if not np.array_equal(found[each], right[each].ravel())}
    assert differing == wrong
