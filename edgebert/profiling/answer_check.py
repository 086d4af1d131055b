"""The first step on a target: outputs of each file there, compared with those of this machine.

A latency of a wrong answer has no meaning. So before anything is timed, every signature of the plan
runs with a few built-in texts of the file's task, if it has one, and with generated inputs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebert.encoding.tokenizer import pad
from edgebert.errors import EdgebertError
from edgebert.models.litert_model import LiteRtModel
from edgebert.profiling import runner
from edgebert.profiling.device_check import (
    LARGEST_ROUNDINGS,
    LARGEST_SCORE_ERROR,
    HostOutputs,
)
from edgebert.profiling.machine import RunnerMachine
from edgebert.profiling.plan import Configuration, ModelFile
from edgebert.profiling.rounding import (
    compared_numbers,
    difference_of,
    number_error,
    perturb_vectors,
)
from edgebert.profiling.target import TextInput
from edgebert.system.progress import Progress
from edgebert.tasks.examples import encodings_of

CALLS = 3
"""Built-in texts of each configuration, or generated inputs if the file answers no texts."""
SEEDS = 3
"""Copies with changed last bits, whose outputs show the effect of rounding."""
LARGEST_SHARE = 0.2
"""Smaller differences, as a share of what the texts change in the outputs, are rounding, too: few
texts estimate the effect of rounding in an int8 file only roughly. The limit is twice the largest
right difference measured with MiniLM against LiteRT 2.3 with XNNPACK. dynamic-int8 differs by 2 %
in LiteRT.js on the CPU, by 4 % on a GPU (float activations), by 9 % in LiteRT's kernels without
XNNPACK; static-int8 by 0.3 % in LiteRT 1.4, by 5 % on a GPU, by 10 % without XNNPACK; int4 by 2 %;
float32, float16 and weight-int8 by less than 0.01 %. Wrong answers differ more: by 94 % where a GPU
leaves out biases."""
LARGEST_NUMBER = 1e3
"""Larger outputs mark padding, such as the logits of answer spans."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Calls:
    """The calls of one configuration: its signature, and the inputs by name of each call."""

    signature: str
    inputs: list[dict[str, Any]]


def check_answers(
    machine: RunnerMachine,
    plan: Sequence[Configuration],
    texts_of: Mapping[str, Sequence[TextInput]],
    threads: int,
    progress: Progress,
) -> dict[str, list[str]]:
    """Runs each file of a plan on a machine and here, and compares the outputs.

    Args:
        machine: The machine that will be timed.
        plan: The configurations that will be timed.
        texts_of: Built-in texts of each file that answers texts, by its name.
        threads: Number of threads on the machine.
        progress: Receives the progress.

    Returns:
        Warnings by the name of the file: its outputs differ only as rounding makes them differ.

    Raises:
        EdgebertError: Outputs differ by more than that.
    """
    by_file = sorted(plan, key=lambda c: c.file.name)
    warnings: dict[str, list[str]] = {}
    for name, group in groupby(by_file, key=lambda c: c.file.name):
        stage, configurations = f"check answers of {name}", list(group)
        file = configurations[0].file
        progress(stage, 0, 1)
        calls = _calls(file, configurations, texts_of.get(name, ()))
        with machine.start_runner(stage) as process:
            process.request("load", model=machine.place(file), threads=threads)
            answers = [
                process.request("predict", signature=each.signature, inputs=each.inputs)
                for each in calls
            ]
        warnings[name] = _compare(machine.target, file, calls, answers)
        progress(stage, 1, 1)
    return warnings


def _calls(
    file: ModelFile, configurations: Sequence[Configuration], texts: Sequence[TextInput]
) -> list[_Calls]:
    model = LiteRtModel.open(file.path) if texts else None
    service = _loaded(file.path)
    calls = []
    for each in configurations:
        inputs = [] if model is None else _text_inputs(model, texts, each.length)
        for seed in range(1 if inputs else CALLS):
            made = service.inputs_of({**each.call, "seed": seed})
            inputs.append({name: values.tolist() for name, values in made.items()})
        calls.append(_Calls(each.signature or "", inputs))
    return calls


def _text_inputs(
    model: LiteRtModel, texts: Sequence[TextInput], length: int | None
) -> list[dict[str, Any]]:
    """Built-in texts, cut and padded to a length; none if the task needs a greater length."""
    if length is None:
        return []
    try:
        encodings = list(encodings_of(model, texts, length))[:CALLS]
    except EdgebertError:  # such as a question that leaves no room for its context
        return []
    rows = pad(encodings, length, model.tokenizer.pad_id)
    return [
        {name: row[i : i + 1].tolist() for name, row in rows.items()} for i in range(len(encodings))
    ]


def _loaded(path: Path) -> runner.ModelService:
    """The benchmark program of this machine with a file, in this process."""
    service = runner.ModelService()
    _answer(service, {"op": "load", "model": str(path)})
    return service


def _answer(service: runner.ModelService, request: dict[str, Any]) -> dict[str, Any]:
    answer = service.answer(request)
    if "error" in answer:
        raise EdgebertError(f"'{request['op']}' failed on this machine: {answer['error']}")
    return answer


def _here(path: Path, calls: Sequence[_Calls]) -> list[list[Numbers]]:
    """Outputs on this machine: for each configuration, one row of numbers for each call."""
    service = _loaded(path)
    return _rows(
        [
            _answer(service, {"op": "predict", "signature": c.signature, "inputs": c.inputs})
            for c in calls
        ]
    )


def _rows(answers: Sequence[dict[str, Any]]) -> list[list[Numbers]]:
    return [[_flat(output) for output in answer["outputs"]] for answer in answers]


def _flat(output: dict[str, Any]) -> Numbers:
    """All numbers of the outputs of a call, in the order of their names."""
    parts = [np.ravel(np.asarray(output[name], np.float64)) for name in sorted(output)]
    return np.concatenate(parts)


def _compare(
    target: str, file: ModelFile, calls: Sequence[_Calls], answers: Sequence[dict[str, Any]]
) -> list[str]:
    """The warnings of one file: see `check_answers`."""
    ours, theirs = _here(file.path, calls), _rows(answers)
    sizes = [[[row.size for row in rows] for rows in side] for side in (theirs, ours)]
    if sizes[0] != sizes[1]:
        raise EdgebertError(
            f"{file.name} on {target}: expected outputs of {sizes[1]} numbers. Received: "
            f"{sizes[0]}. Next: export the model again."
        )
    if all(_is_close(a, b) for a, b in _pairs(ours, theirs)):
        return []
    error, share = _root_mean_square(ours, theirs), _share_of_signal(ours, theirs)
    return _verdict(target, file.name, error, share, _rounding(file.path, calls, ours))


def compare_texts(
    target: str, name: str, host: HostOutputs, outputs: Sequence[npt.ArrayLike]
) -> list[str]:
    """Compares a device's outputs for built-in texts with those of this machine.

    Args:
        target: Name of the target.
        name: Name of the file.
        host: The outputs of this machine.
        outputs: The file's output for each encoding, without padding: see `HostReference.compare`.

    Returns:
        A warning if the outputs differ only as rounding makes them differ; else nothing.

    Raises:
        EdgebertError: Outputs differ by more than that.
    """
    theirs = [compared_numbers(host.task, output) for output in host.read(outputs)]
    shapes = [[each.shape for each in side] for side in (host.numbers, theirs)]
    if shapes[0] != shapes[1]:
        raise EdgebertError(
            f"{name} on {target}: expected outputs of shapes such as {shapes[0][:1]} for built-in "
            f"texts. Received: {shapes[1][:1]}. Next: use the same version of edgebert there."
        )
    if all(map(_is_close, host.numbers, theirs)):
        return []
    error = number_error(host.numbers, theirs, host.distributions)
    share = error / _signal(host.numbers) if _signal(host.numbers) else float("inf")
    return _verdict(target, name, error, share, host.rounding_error)


def _signal(numbers: Sequence[Numbers]) -> float:
    """What the texts change in the numbers; where they have no common shape, their spread."""
    if len({each.shape for each in numbers}) == 1:
        return float(np.stack(numbers).std(0).mean())
    return float(np.mean([each.std(-1).mean() for each in numbers]))


def _is_close(ours: Numbers, theirs: Numbers) -> bool:
    error = np.abs(difference_of(ours, theirs))
    return bool((error <= LARGEST_SCORE_ERROR * np.maximum(1, np.abs(ours))).all())


def _verdict(target: str, name: str, error: float, share: float, rounding: float) -> list[str]:
    """A warning for a difference of rounding, an error for a greater one."""
    facts = (
        f"its outputs for built-in texts differ from this machine's by {error:.2g} (root mean "
        f"square, {share:.0%} of what the texts change in them); rounding alone changes them by "
        f"{rounding:.2g}"
    )
    if error <= LARGEST_ROUNDINGS * rounding or share <= LARGEST_SHARE:
        return [f"{name} on {target}: {facts}. Next: compare the metric by --check."]
    raise EdgebertError(
        f"{name} gives wrong answers on {target}, so its latency was not measured. Expected: "
        f"this machine's outputs. Received: {facts}. Next: update the runtime of the target, use "
        "another accelerator, or export the model with another --recipe."
    )


def _pairs(ours: list[list[Numbers]], theirs: list[list[Numbers]]) -> list[tuple[Numbers, Numbers]]:
    return [pair for a, b in zip(ours, theirs, strict=True) for pair in zip(a, b, strict=True)]


def _root_mean_square(ours: list[list[Numbers]], theirs: list[list[Numbers]]) -> float:
    parts = [difference_of(a, b) for a, b in _pairs(ours, theirs)]
    return float(np.sqrt(np.mean(np.concatenate(parts) ** 2)))


def _share_of_signal(ours: list[list[Numbers]], theirs: list[list[Numbers]]) -> float:
    """Largest error of a configuration, relative to what the inputs change in its outputs."""
    shares = []
    for here, there in zip(map(np.stack, ours), map(np.stack, theirs), strict=True):
        kept = (np.abs(here) < LARGEST_NUMBER).all(0)
        signal = np.sqrt(np.mean((here - here.mean(0))[:, kept] ** 2))
        error = np.sqrt(np.mean(difference_of(here, there)[:, kept] ** 2))
        shares.append(float(error / signal) if signal else float("inf") if error else 0.0)
    return max(shares)


def _rounding(path: Path, calls: Sequence[_Calls], ours: list[list[Numbers]]) -> float:
    """The largest error of copies of the file with changed last bits of the biases."""
    data, errors = path.read_bytes(), []
    with tempfile.TemporaryDirectory(prefix="edgebert-rounding-") as folder:
        copy = Path(folder) / "perturbed.tflite"
        for seed in range(SEEDS):
            copy.write_bytes(perturb_vectors(data, seed))
            errors.append(_root_mean_square(ours, _here(copy, calls)))
    return max(errors)
