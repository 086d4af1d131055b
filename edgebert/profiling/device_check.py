"""The task on a device, not only the clock: does it give the answers and scores of this machine?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.json_files import JsonFormat
from edgebert.data.datasets import Dataset
from edgebert.errors import DataError, UsageError
from edgebert.models.litert_model import LiteRtModel
from edgebert.profiling.rounding import (
    compared_numbers,
    difference_of,
    number_error,
    rounding_error,
)
from edgebert.tasks.examples import features_of

FORMAT = "edgebert-device-check"
FORMAT_VERSION = 2
_JSON = JsonFormat(
    "a device check",
    "check again with this version of edgebert",
    DataError,
    FORMAT,
    versions=(1, FORMAT_VERSION),
)
_RENAMED = {"accuracy": "value", "host_accuracy": "host_value"}
"""Fields of version 1, which knew classifiers alone."""
LARGEST_SCORE_ERROR = 1e-3
LARGEST_ROUNDINGS = 2.0
SHOWN = 5


@dataclass(frozen=True)
class DeviceCheck:
    """Labelled data through one file, on a device and on this machine.

    Attributes:
        model: path of the file.
        name: short name, as in its `Measurement`.
        sha256: of the file.
        target: as in its `Measurement`.
        device: the device's name or processor, for tables.
        runtime: name and version of the device's runtime.
        data: name of the labelled text.
        data_sha256: of its file.
        rows: how many examples.
        token_ids_equal: whether the device's own tokenizer gave this machine's ids on every text;
            None where the device was given the ids.
        label_agreement: share of the choices (a text's label, a word's tag, a span's start) that
            are this machine's; None where outputs are no distributions: vectors, scores.
        max_score_error: largest absolute difference of a probability, or of another number.
        mean_score_error: mean absolute difference of all of them.
        value: the task's metric, on the device.
        host_value: on this machine.
        metric: which one that is.
        differing: up to five texts with another choice: the text and both answers.
        notes: what a reader must know of the device, a line each.
        logit_error: root mean square difference of the logits, or of other numbers.
        rounding_error: the same between this machine and itself where only the last bits of floats
            differ; None where it was not needed.
    """

    model: str
    name: str
    sha256: str
    target: str
    device: str
    runtime: str
    data: str
    data_sha256: str
    rows: int
    token_ids_equal: bool | None
    label_agreement: float | None
    max_score_error: float
    mean_score_error: float
    value: float
    host_value: float
    metric: str = "accuracy"
    differing: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()
    logit_error: float = 0.0
    rounding_error: float | None = None

    @property
    def same_scores(self) -> bool:
        """Whether the device makes this machine's choices, with scores to 0.001."""
        same_choices = self.label_agreement in (None, 1.0)
        return same_choices and self.max_score_error <= LARGEST_SCORE_ERROR

    @property
    def passed(self) -> bool:
        """Whether the device gives this machine's ids, and scores as near as rounding lets it."""
        rounded = (
            self.rounding_error is not None
            and self.logit_error <= LARGEST_ROUNDINGS * self.rounding_error
        )
        return self.token_ids_equal is not False and (self.same_scores or rounded)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, with `passed` for readers that don't compute."""
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            **self.__dict__,
            "differing": [list(row) for row in self.differing],
            "notes": list(self.notes),
            "passed": self.passed,
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> DeviceCheck:
        """Reads what `to_dict` gave.

        Raises:
            DataError: another format or version; fields are missing.
        """
        _JSON.require(table)
        names = cls.__dataclass_fields__
        renamed = {_RENAMED.get(name, name): value for name, value in table.items()}
        values = {name: value for name, value in renamed.items() if name in names}
        try:
            values["differing"] = tuple((a, b, c) for a, b, c in table["differing"])
            values["notes"] = tuple(table.get("notes", ()))
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"A device check lacks fields: {error}. Next: check again.") from error


class HostReference:
    """What this machine says of labelled data with one file: what devices are held against.

    Args:
        path: a file of ours that answers texts.
        data: labelled, of its task's reader.

    Raises:
        ModelError: the file is none of ours.
        UsageError: it is a bare encoder.
        DataError: labels that it does not know.
    """

    def __init__(self, path: Path, data: Dataset) -> None:
        self.model = LiteRtModel.open(path)
        if not self.model.task.has_answers:
            raise UsageError(
                f"--check expects models with a task. Received: {path}, a bare encoder. "
                "Next: leave --check out, or export a fine-tuned model."
            )
        self.data, self.task = data, self.model.task
        self.task.require_known(data, self.model.labels)
        self.features = features_of(self.model, data.examples, self.model.max_length)
        self.encodings = self.features.encodings
        self.outputs = self.model.outputs(self.encodings)
        self.numbers = [compared_numbers(self.task, output) for output in self.outputs]
        self.distributions = self.task.log_probabilities(self.outputs[0]) is not None

    def calls(self) -> list[tuple[str, dict[str, list[int]]]]:
        """For each encoding the signature's key and the inputs by name, padded as they must be."""
        return [self.model.call_of(encoding) for encoding in self.encodings]

    def outputs_of(self, named: Sequence[Mapping[str, np.ndarray]]) -> list[np.ndarray]:
        """What the head says of each encoding, out of a runtime's outputs by name."""
        pairs = zip(named, self.encodings, strict=True)
        return [self.model.output_of(each, len(encoding)) for each, encoding in pairs]

    def compare(
        self,
        outputs: Sequence[npt.ArrayLike],
        facts: Mapping[str, str],
        token_ids: Sequence[Sequence[int]] | None = None,
    ) -> DeviceCheck:
        """Holds a device's outputs against this machine's.

        Args:
            outputs: what the file gave for each encoding, padding taken off: `[labels]` of a
                classifier, logits or probabilities, as the file gives; see `outputs_of`.
            facts: `model`, `name`, `sha256`, `target`, `device`, `runtime` of the `DeviceCheck`.
            token_ids: what the device's own tokenizer gave for each text; None where it has none.

        Raises:
            DataError: they are not as many, or of other shapes.
        """
        theirs = self._read(outputs)
        received, expected = ([np.shape(x) for x in each] for each in (theirs, self.outputs))
        if received != expected:
            raise DataError(
                f"Expected {len(expected)} outputs, of shapes such as {expected[0]}, from "
                f"{facts['target']}. Received: {len(received)}, of shapes such as {received[:1]}."
            )
        numbers = [compared_numbers(self.task, output) for output in theirs]
        same_ids = None
        if token_ids is not None:
            same_ids = [tuple(ids) for ids in token_ids] == [e.token_ids for e in self.encodings]
        named: dict[str, Any] = dict(facts)
        found = DeviceCheck(
            **named,
            data=self.data.name,
            data_sha256=self.data.sha256,
            rows=len(self.data),
            token_ids_equal=same_ids,
            **self._differences(numbers, theirs),
            metric=self.task.metric,
            value=self._metric(theirs),
            host_value=self._metric(self.outputs),
            logit_error=number_error(self.numbers, numbers, self.distributions),
        )
        return found if found.same_scores else self._beside_rounding(found)

    def answers_of(self, outputs: Sequence[npt.ArrayLike]) -> list[dict[str, Any]]:
        """The task's answers that a device's outputs give: see `compare` and `Task.answers`."""
        return self._answers(self._read(outputs))

    def _read(self, outputs: Sequence[npt.ArrayLike]) -> list[np.ndarray]:
        """What the head gives, of a device's outputs; as they are where there are too many."""
        given = [np.asarray(output, np.float64) for output in outputs]
        if len(given) != len(self.encodings):
            return given
        pairs = zip(given, self.encodings, strict=True)
        return [self.model.read(output, encoding) for output, encoding in pairs]

    def _differences(
        self, numbers: Sequence[np.ndarray], theirs: Sequence[np.ndarray]
    ) -> dict[str, Any]:
        """Agreement of the choices and errors of the scores, as fields of a `DeviceCheck`."""
        scores = np.exp if self.distributions else np.asarray
        pairs = zip(self.numbers, numbers, strict=True)
        errors = [np.abs(difference_of(scores(a), scores(b))) for a, b in pairs]
        count = sum(error.size for error in errors)
        found: dict[str, Any] = {
            "label_agreement": None,
            "max_score_error": float(np.max([error.max() for error in errors])),
            "mean_score_error": sum(float(error.sum()) for error in errors) / count,
        }
        if self.distributions:
            same = [
                a.argmax(-1) == b.argmax(-1) for a, b in zip(self.numbers, numbers, strict=True)
            ]
            found["label_agreement"] = float(np.mean(np.concatenate(same)))
            others = {int(self.features.owners[i]) for i in range(len(same)) if not same[i].all()}
            found["differing"] = self._shown(sorted(others)[:SHOWN], theirs)
        return found

    def _shown(
        self, examples: Sequence[int], theirs: Sequence[np.ndarray]
    ) -> tuple[tuple[str, str, str], ...]:
        """The text and both answers of some examples."""
        if not examples:
            return ()
        device, here = (self._answers(outputs) for outputs in (theirs, self.outputs))
        return tuple(
            (str(here[i]["text"]), self._said(device[i]), self._said(here[i])) for i in examples
        )

    def _said(self, answer: Mapping[str, Any]) -> str:
        return str(answer["label"]) if "label" in answer else self.task.format_answer(answer, 1)

    def _answers(self, outputs: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        return self.task.answers(outputs, self.features, self.model.facts)

    def _metric(self, outputs: Sequence[np.ndarray]) -> float:
        metrics = self.task.metrics(outputs, self.features, self.model.facts)
        return float(metrics[self.task.metric])

    def _beside_rounding(self, found: DeviceCheck) -> DeviceCheck:
        """A check whose scores differ, with how far rounding alone moves them, in a note too."""
        here, what = self.rounding_error, "logits" if self.distributions else "numbers"
        note = (
            f"{found.name} on {found.target}: {what} differ by {found.logit_error:.2g} (root mean "
            f"square). Here they move by {here:.2g} when nothing but the last bits of floats "
            f"changes, and up to {LARGEST_ROUNDINGS:g} times that passes."
        )
        return replace(found, rounding_error=here, notes=(*found.notes, note))

    @cached_property
    def rounding_error(self) -> float:
        """How far this machine's own outputs move by rounding."""
        return rounding_error(self.model, self.encodings)
