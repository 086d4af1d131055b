"""Checks of a board that answers texts: its token ids, its outputs, and its decoding.

Token ids must equal those of this machine. The answer must be the one that this machine decodes
from the board's own outputs. The outputs may differ by rounding only: `answer_check` and
`DeviceCheck` compare them.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebert.errors import EdgebertError
from edgebert.models.litert_model import LiteRtModel
from edgebert.profiling.device_check import DeviceCheck, HostReference
from edgebert.profiling.plan import ModelFile
from edgebert.profiling.process import Runner
from edgebert.profiling.session import CHECK_BATCH_SIZE, sample_texts
from edgebert.profiling.text_rows import check_inputs
from edgebert.system.progress import Progress
from edgebert.tasks.examples import as_examples

BUILT_IN_TEXTS = 3
HARD_TEXT = "Ünïcödé\u3000 naïve don't 你好 🎉 e\u0323\u0301 [MASK] ＡＢＣ \x07 İstanbul"
"""Accents, scripts without spaces, signs and a control character: the rules of a tokenizer."""
MASKED_BATCH_SIZE = 2
"""Texts in a request of a masked language model, whose outputs are as long as the vocabulary."""
LARGEST_DIFFERENCE = 1e-4
"""Tolerance between numbers of an answer and the ones that its own outputs give, as a share."""
ROW_ID = "id"
"""The key of an answer that comes from the row of the data, not from the texts."""
SHOWN_CHARACTERS = 120
_AGAIN = "measure again; if this stays, give --no-end-to-end and report it with this message"


@dataclass(frozen=True)
class TextRun:
    """What a board made of texts.

    Attributes:
        outputs: The file's output for each encoding, without padding.
        token_ids: The token ids of each encoding.
        answers: The answer to each input; None for an input of token ids.
    """

    outputs: list[np.ndarray]
    token_ids: list[list[int]]
    answers: list[dict[str, Any] | None]


def check_built_in_texts(target: str, file: ModelFile, process: Runner) -> None:
    """Checks the answers to a few texts of the file's task, and to one that is hard to tokenize.

    Args:
        target: The board's name in messages.
        file: A file that answers texts.
        process: The program for texts, which has loaded the file.

    Raises:
        EdgebertError: The board's token ids or answers are wrong.
    """
    model = LiteRtModel.open(file.path)
    task, label = model.task, f"{file.name} on {target}"
    samples = as_examples(task, sample_texts(task)[:BUILT_IN_TEXTS])
    for example in [*samples, *task.check_examples([HARD_TEXT])]:
        try:
            features = model.encode(example)
        except EdgebertError:  # such as a question that leaves no room for its context
            continue
        inputs = [{"texts": list(task.encoded_texts(example))}]
        rows = process.request("answer", inputs=inputs)["rows"]
        run = read_rows(model, rows, [len(features.encodings)], label)
        expected = [encoding.token_ids for encoding in features.encodings]
        difference = first_difference(expected, run.token_ids, "token_ids")
        if difference:
            raise EdgebertError(
                f"{label}: the board's token ids are wrong for {_shown(inputs[0]['texts'])}. "
                f"{difference}. Next: install the version of `tokenizers` there that this machine "
                "has, or give --no-end-to-end."
            )
        outputs = [
            model.read(output, encoding)
            for output, encoding in zip(run.outputs, features.encodings, strict=True)
        ]
        _refuse_contradictions(task.answers(outputs, features, model.facts), run.answers, label)


def check_texts(
    file: ModelFile,
    reference: HostReference,
    process: Runner,
    facts: Mapping[str, str],
    progress: Progress,
) -> DeviceCheck:
    """Compares a board's token ids, outputs and answers for labelled texts with this machine's.

    Args:
        file: A file that answers texts.
        reference: The labelled texts, and the outputs of this machine for them.
        process: The program for texts, which has loaded the file.
        facts: See `session.facts_of_check`.
        progress: Receives the progress after every request.

    Raises:
        EdgebertError: The board's answers contradict its own outputs.
    """
    asked, stage = check_inputs(reference), f"check {file.name}"
    is_masked = reference.task.evaluates_token_ids
    size = MASKED_BATCH_SIZE if is_masked else CHECK_BATCH_SIZE
    rows: list[dict[str, Any]] = []
    for start in range(0, len(asked), size):
        inputs = [given for given, _ in asked[start : start + size]]
        rows += process.request("answer", inputs=inputs)["rows"]
        progress(stage, len(rows), len(asked))
    run = read_rows(reference.model, rows, [count for _, count in asked], stage)
    if not is_masked:
        _refuse_contradictions(reference.answers_of(run.outputs), run.answers, stage)
    return reference.compare(run.outputs, facts, None if is_masked else run.token_ids)


def read_rows(
    model: LiteRtModel, rows: Sequence[Mapping[str, Any]], counts: Sequence[int], label: str
) -> TextRun:
    """Converts the rows of an `answer`.

    Args:
        model: The file on this machine.
        rows: One row for each input.
        counts: Number of encodings of each input on this machine.
        label: Name of the current step in messages.

    Raises:
        EdgebertError: The number of rows or of their calls differs.
    """
    received = [len(row["calls"]) for row in rows]
    if received != list(counts):
        wrong = next((i for i, (a, b) in enumerate(zip(received, counts)) if a != b), len(received))  # noqa: B905
        raise EdgebertError(
            f"{label}: expected {len(counts)} rows with {sum(counts)} calls of the runtime. "
            f"Received: {len(received)} rows with {sum(received)} calls; row {wrong + 1} is the "
            f"first that differs. Next: {_AGAIN}."
        )
    calls = [call for row in rows for call in row["calls"]]
    return TextRun(
        [model.output_of(_arrays(call["outputs"]), len(call["token_ids"])) for call in calls],
        [call["token_ids"] for call in calls],
        [row["answer"] for row in rows],
    )


def _arrays(outputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {
        name: np.frombuffer(base64.b64decode(output["float32"]), "<f4").reshape(output["shape"])
        for name, output in outputs.items()
    }


def _refuse_contradictions(
    expected: Sequence[Mapping[str, Any]], given: Sequence[Any], label: str
) -> None:
    """Raises an `EdgebertError` if an answer is not the one that the board's outputs give."""
    for ours, theirs in zip(expected, given, strict=True):
        named = {name: value for name, value in ours.items() if name != ROW_ID}
        difference = first_difference(named, {name: theirs.get(name) for name in named})
        if difference:
            raise EdgebertError(
                f"{label}: the board's answer to {_shown(ours['text'])} contradicts its own "
                f"outputs. {difference}. Next: {_AGAIN}."
            )


def first_difference(ours: Any, theirs: Any, place: str = "answer") -> str:
    """The first difference of two answers in JSON types; empty if they are the same.

    Numbers may differ in their last digits.
    """
    is_number = isinstance(ours, float) and isinstance(theirs, (int, float))
    if is_number and math.isclose(
        ours, theirs, rel_tol=LARGEST_DIFFERENCE, abs_tol=LARGEST_DIFFERENCE
    ):
        return ""
    pairs: list[tuple[str, Any, Any]] = []
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping) and ours.keys() == theirs.keys():
        pairs = [(f"{place}.{name}", ours[name], theirs[name]) for name in ours]
    elif isinstance(ours, (list, tuple)) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(f"{place}[{i}]", a, b) for i, (a, b) in enumerate(zip(ours, theirs, strict=True))]
    elif ours != theirs:
        return f"Expected as {place}: {_shown(ours)}. Received: {_shown(theirs)}"
    return next(filter(None, (first_difference(a, b, each) for each, a, b in pairs)), "")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
