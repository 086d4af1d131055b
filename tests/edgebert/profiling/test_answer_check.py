"""Files whose outputs on a target are wrong are not timed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgebert.errors import EdgebertError
from edgebert.profiling import runner
from edgebert.profiling.cpu import CpuTarget
from edgebert.profiling.process import RunnerProcess
from edgebert.profiling.session import measure
from edgebert.profiling.target import Job
from edgebert.settings import ProfileSettings
from edgebert.system.progress import silent
from tests.edgebert.profiling.conftest import TinyClassifier

# The runner with changed outputs: `change` takes and returns the numbers of one output.
CHANGED = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np
import runner

class Changed(runner.ModelService):
    first = None
    def _op_predict(self, request):
        answer = super()._op_predict(request)
        for output in answer["outputs"]:
            for name, values in output.items():
                x = np.array(values)
                self.first = x if self.first is None else self.first
                output[name] = ({change}).tolist()
        return answer

sys.exit(runner.main([], Changed()))
"""


class ChangedMachine(CpuTarget):
    """This machine, with a runtime that changes outputs."""

    def __init__(self, change: str) -> None:
        super().__init__()
        self._program = CHANGED.format(folder=str(Path(runner.__file__).parent), change=change)

    def start_runner(self, label: str) -> RunnerProcess:
        return RunnerProcess([sys.executable, "-c", self._program], label)


@pytest.fixture
def run(quick: ProfileSettings) -> Callable[..., list[str]]:
    def warnings_of(path: Path, change: str) -> list[str]:
        job = Job((path,), replace(quick, lengths=(8,), max_seconds=0.1))
        outcome = measure(ChangedMachine(change), job, silent)
        return [warning for m in outcome.measurements for warning in m.warnings]

    return warnings_of


@pytest.mark.parametrize("change", ["self.first", "x + 3", "x * np.nan", "x[:, :2]"])
def test_no_latency_of_a_wrong_answer(
    run: Callable[..., list[str]], with_text: Path, change: str
) -> None:
    with pytest.raises(EdgebertError, match=r"with_text .*Received: .*Next: "):
        run(with_text, change)


def test_a_file_without_a_task_is_checked_with_generated_inputs(
    run: Callable[..., list[str]], tiny: TinyClassifier
) -> None:
    with pytest.raises(EdgebertError, match="tiny gives wrong answers on cpu"):
        run(tiny.path, "x + 3")
    assert not any("differ from this machine" in each for each in run(tiny.path, "x + 1e-5"))


def test_a_small_difference_is_a_warning(run: Callable[..., list[str]], with_text: Path) -> None:
    warnings = run(with_text, "x + 3e-3")
    assert any("differ from this machine's by 0.003" in each for each in warnings)
