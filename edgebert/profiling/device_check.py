"""The task on a device, not only the clock: does it give the labels and scores of this machine?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebert.datasets import Dataset, encode_labels
from edgebert.errors import DataError, UsageError
from edgebert.litert_model import LiteRtModel
from edgebert.profiling.rounding import logit_error, rounding_error

FORMAT = "edgebert-device-check"
FORMAT_VERSION = 1
LARGEST_SCORE_ERROR = 1e-3
LARGEST_ROUNDINGS = 2.0
SHOWN = 5


@dataclass(frozen=True)
class DeviceCheck:
    """Labelled text through one file, on a device and on this machine.

    Attributes:
        model: path of the file.
        name: short name, as in its `Measurement`.
        sha256: of the file.
        target: as in its `Measurement`.
        device: the device's name or processor, for tables.
        runtime: name and version of the device's runtime.
        data: name of the labelled text.
        data_sha256: of its file.
        rows: how many texts.
        token_ids_equal: whether the device's own tokenizer gave this machine's ids on every text;
            None where the device was given the ids.
        label_agreement: share of the texts with this machine's label.
        max_score_error: largest absolute difference of a probability.
        mean_score_error: mean absolute difference of all probabilities.
        accuracy: on the device.
        host_accuracy: on this machine.
        differing: up to five texts with another label: the text and both labels.
        notes: what a reader must know of the device, a line each.
        logit_error: root mean square difference of the logits.
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
    label_agreement: float
    max_score_error: float
    mean_score_error: float
    accuracy: float
    host_accuracy: float
    differing: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()
    logit_error: float = 0.0
    rounding_error: float | None = None

    @property
    def same_scores(self) -> bool:
        """Whether the device gives this machine's labels, and scores to 0.001."""
        return self.label_agreement == 1.0 and self.max_score_error <= LARGEST_SCORE_ERROR

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
        kind, version = table.get("format"), table.get("version")
        if kind != FORMAT or version != FORMAT_VERSION:
            raise DataError(
                f"A device check ({FORMAT}, version {FORMAT_VERSION}) was expected. Received: "
                f"{kind!r}, version {version!r}. Next: check again with this version of edgebert."
            )
        names = cls.__dataclass_fields__
        values = {name: value for name, value in table.items() if name in names}
        try:
            values["differing"] = tuple((a, b, c) for a, b, c in table["differing"])
            values["notes"] = tuple(table.get("notes", ()))
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"A device check lacks fields: {error}. Next: check again.") from error


class HostReference:
    """What this machine says of labelled text with one file: what devices are held against.

    Args:
        path: a classifier of ours.
        data: labelled text.

    Raises:
        ModelError: the file is none of ours.
        UsageError: it is no classifier.
        DataError: labels that it does not know.
    """

    def __init__(self, path: Path, data: Dataset) -> None:
        self.model = LiteRtModel.open(path)
        if not self.model.labels:
            raise UsageError(
                f"--check expects classifiers. Received: {path}, a bare encoder. "
                "Next: leave --check out, or export a fine-tuned model."
            )
        self.data = data
        self.targets = encode_labels(data, self.model.labels)
        self.encodings = self.model.tokenizer.encode_batch(data.texts, self.model.max_length)
        self.log_probabilities = self.model.scores(self.encodings)
        self.probabilities = np.exp(self.log_probabilities)

    def calls(self) -> list[tuple[str, dict[str, list[int]]]]:
        """For each text the signature's key and the inputs by name, padded as they must be."""
        return [self.model.call_of(encoding) for encoding in self.encodings]

    def compare(
        self,
        outputs: Sequence[Sequence[float]] | npt.NDArray[np.float64],
        facts: Mapping[str, str],
        token_ids: Sequence[Sequence[int]] | None = None,
    ) -> DeviceCheck:
        """Holds a device's outputs against this machine's.

        Args:
            outputs: what the file's output tensor held for each text, `[texts, labels]`: logits or
                probabilities, as the file gives.
            facts: `model`, `name`, `sha256`, `target`, `device`, `runtime` of the `DeviceCheck`.
            token_ids: what the device's own tokenizer gave for each text; None where it has none.

        Raises:
            DataError: there are not as many outputs as texts and labels.
        """
        rows = np.asarray(outputs, np.float64)
        if rows.shape != self.probabilities.shape:
            raise DataError(
                f"Expected outputs of shape {self.probabilities.shape} from {facts['target']}. "
                f"Received: {rows.shape}."
            )
        logs = self.model.log_probabilities(rows)
        device = np.exp(logs)
        theirs, ours = device.argmax(-1), self.probabilities.argmax(-1)
        labels = self.model.labels
        errors = np.abs(device - self.probabilities)
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
            label_agreement=float(np.mean(theirs == ours)),
            max_score_error=float(errors.max()),
            mean_score_error=float(errors.mean()),
            accuracy=float(np.mean(theirs == self.targets)),
            host_accuracy=float(np.mean(ours == self.targets)),
            differing=tuple(
                (self.data.texts[i], labels[theirs[i]], labels[ours[i]])
                for i in np.flatnonzero(theirs != ours)[:SHOWN]
            ),
            logit_error=logit_error(self.log_probabilities, logs),
        )
        return found if found.same_scores else self._beside_rounding(found)

    def _beside_rounding(self, found: DeviceCheck) -> DeviceCheck:
        """A check whose scores differ, with how far rounding alone moves them, in a note too."""
        here = self.rounding_error
        note = (
            f"{found.name} on {found.target}: logits differ by {found.logit_error:.2g} (root mean "
            f"square). Here they move by {here:.2g} when nothing but the last bits of floats "
            f"changes, and up to {LARGEST_ROUNDINGS:g} times that passes."
        )
        return replace(found, rounding_error=here, notes=(*found.notes, note))

    @cached_property
    def rounding_error(self) -> float:
        """How far this machine's own logits move by rounding."""
        return rounding_error(self.model, self.encodings)
