"""Device check: compares a device's answers and scores with those of this machine."""

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
"""Fields of version 1, which supported only classifiers."""
LARGEST_SCORE_ERROR = 1e-3
LARGEST_ROUNDINGS = 2.0
"""Limit of a device's error as a multiple of `rounding_error`. Measured with MiniLM in six
recipes and with tiny models of all tasks: at most 1.4 in LiteRT.js on
the CPU, 0.9 in LiteRT 1.4 and 1.3 on a GPU, all against LiteRT 2.3 with XNNPACK."""
SHOWN = 5


@dataclass(frozen=True)
class DeviceCheck:
    """The comparison of a device with this machine, for one file and labelled data.

    Attributes:
        model: Path of the file.
        name: Short name of the file, as in its `Measurement`.
        sha256: SHA-256 of the file.
        target: Target, as in its `Measurement`.
        device: Name or processor of the device, for tables.
        runtime: Name and version of the device's runtime.
        data: Name of the labelled data.
        data_sha256: SHA-256 of the data file.
        rows: Number of examples.
        token_ids_equal: Whether the device's tokenizer returned the token ids of this machine for
            every text. None if the device received the token ids.
        label_agreement: Share of equal predictions (label of a text, tag of a word, start of a
            span). None if the outputs are no distributions, such as vectors and scores.
        max_score_error: Largest absolute difference of a probability, or of another number.
        mean_score_error: Mean absolute difference.
        value: The task's metric on the device.
        host_value: The task's metric on this machine.
        metric: Name of the metric.
        differing: Up to five texts with different predictions: the text and both answers.
        notes: Notes on the device, one line each.
        logit_error: Root mean square difference of the logits, or of other numbers.
        rounding_error: The same difference on this machine if only the last bits of the biases
            change. None if it was not needed.
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
        """Whether all predictions are equal and all scores differ by at most 0.001."""
        same_choices = self.label_agreement in (None, 1.0)
        return same_choices and self.max_score_error <= LARGEST_SCORE_ERROR

    @property
    def passed(self) -> bool:
        """Whether the token ids are equal, and the scores too, up to the effect of rounding."""
        rounded = (
            self.rounding_error is not None
            and self.logit_error <= LARGEST_ROUNDINGS * self.rounding_error
        )
        return self.token_ids_equal is not False and (self.same_scores or rounded)

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types, with the derived value `passed`."""
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
        """Reads the result of `to_dict`.

        Raises:
            DataError: The format or version differs, or fields are missing.
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


class HostOutputs:
    """The outputs of one file on this machine for examples of its task.

    Args:
        path: An edgebert file with a task.
        examples: Texts, tuples of texts, or examples of the task's reader.

    Raises:
        ModelError: edgebert did not export the file.
        UsageError: The file is a bare encoder.
    """

    def __init__(self, path: Path, examples: Sequence[Any]) -> None:
        self.model = LiteRtModel.open(path)
        self.task = self.model.task
        if not self.task.has_answers:
            raise UsageError(
                f"--check expects models with a task. Received: {path}, a bare encoder. "
                "Next: leave --check out, or export a fine-tuned model."
            )
        self.features = features_of(self.model, examples, self.model.max_length)
        self.encodings = self.features.encodings
        self.outputs = self.model.outputs(self.encodings)
        self.numbers = [compared_numbers(self.task, output) for output in self.outputs]
        self.distributions = self.task.log_probabilities(self.outputs[0]) is not None

    def calls(self) -> list[tuple[str, dict[str, list[int]]]]:
        """The signature's key and the padded inputs by name, for each encoding."""
        return [self.model.call_of(encoding) for encoding in self.encodings]

    def outputs_of(self, named: Sequence[Mapping[str, np.ndarray]]) -> list[np.ndarray]:
        """The head's output for each encoding, from a runtime's outputs by name."""
        pairs = zip(named, self.encodings, strict=True)
        return [self.model.output_of(each, len(encoding)) for each, encoding in pairs]

    def answers_of(self, outputs: Sequence[npt.ArrayLike]) -> list[dict[str, Any]]:
        """The task's answers that a device's outputs give: see `Task.answers`."""
        return self._answers(self.read(outputs))

    def read(self, outputs: Sequence[npt.ArrayLike]) -> list[np.ndarray]:
        """What the head gives, of a device's outputs; as they are where there are too many."""
        given = [np.asarray(output, np.float64) for output in outputs]
        if len(given) != len(self.encodings):
            return given
        pairs = zip(given, self.encodings, strict=True)
        return [self.model.read(output, encoding) for output, encoding in pairs]

    @cached_property
    def rounding_error(self) -> float:
        """The effect of rounding on the outputs of this machine."""
        return rounding_error(self.model, self.encodings)

    def _answers(self, outputs: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        return self.task.answers(outputs, self.features, self.model.facts)


class HostReference(HostOutputs):
    """The outputs of one file on this machine for labelled data: the reference of device checks.

    Args:
        path: An edgebert file with a task.
        data: Labelled data from the reader of its task.

    Raises:
        ModelError: edgebert did not export the file.
        UsageError: The file is a bare encoder.
        DataError: The data has labels that the model does not know.
    """

    def __init__(self, path: Path, data: Dataset) -> None:
        super().__init__(path, data.examples)
        self.data = data
        self.task.require_known(data, self.model.labels)

    def compare(
        self,
        outputs: Sequence[npt.ArrayLike],
        facts: Mapping[str, str],
        token_ids: Sequence[Sequence[int]] | None = None,
    ) -> DeviceCheck:
        """Compares a device's outputs with those of this machine.

        Args:
            outputs: The file's output for each encoding, without padding: for a classifier
                `[labels]`, logits or probabilities, depending on the file; see `outputs_of`.
            facts: `model`, `name`, `sha256`, `target`, `device`, `runtime` of the `DeviceCheck`.
            token_ids: The token ids from the device's tokenizer for each text. None if the device
                has no tokenizer.

        Raises:
            DataError: The number or the shapes of the outputs are wrong.
        """
        theirs = self.read(outputs)
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
        return found if found.same_scores else self._with_rounding_error(found)

    def _differences(
        self, numbers: Sequence[np.ndarray], theirs: Sequence[np.ndarray]
    ) -> dict[str, Any]:
        """Agreement of predictions and errors of scores, as fields of a `DeviceCheck`."""
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
            found["differing"] = self._differing_answers(sorted(others)[:SHOWN], theirs)
        return found

    def _differing_answers(
        self, examples: Sequence[int], theirs: Sequence[np.ndarray]
    ) -> tuple[tuple[str, str, str], ...]:
        """The text and both answers of some examples."""
        if not examples:
            return ()
        device, here = (self._answers(outputs) for outputs in (theirs, self.outputs))
        return tuple(
            (str(here[i]["text"]), self._answer_text(device[i]), self._answer_text(here[i]))
            for i in examples
        )

    def _answer_text(self, answer: Mapping[str, Any]) -> str:
        return str(answer["label"]) if "label" in answer else self.task.format_answer(answer, 1)

    def _metric(self, outputs: Sequence[np.ndarray]) -> float:
        metrics = self.task.metrics(outputs, self.features, self.model.facts)
        return float(metrics[self.task.metric])

    def _with_rounding_error(self, found: DeviceCheck) -> DeviceCheck:
        """Adds the effect of rounding, and a note on it, to a check whose scores differ."""
        here, what = self.rounding_error, "logits" if self.distributions else "numbers"
        note = (
            f"{found.name} on {found.target}: {what} differ by {found.logit_error:.2g} (root mean "
            f"square). On this machine, rounding alone changes them by {here:.2g}, and up to "
            f"{LARGEST_ROUNDINGS:g} times that is accepted."
        )
        return replace(found, rounding_error=here, notes=(*found.notes, note))
