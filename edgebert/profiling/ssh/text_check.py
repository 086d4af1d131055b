"""Questions to a board that answers texts, and checks of its token ids, outputs and decoding.

Token ids must equal those of this machine. The answer must be the one that this machine decodes
from the board's own outputs. The outputs may differ by rounding only: `answer_check` and
`DeviceCheck` compare them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgebert.errors import EdgebertError
from edgebert.models.litert_model import LiteRtModel
from edgebert.profiling.device_check import DeviceCheck, HostOutputs, HostReference
from edgebert.profiling.plan import ModelFile
from edgebert.profiling.process import Runner
from edgebert.profiling.session import CHECK_BATCH_SIZE, sample_texts
from edgebert.profiling.text_rows import LARGEST_DIFFERENCE, check_inputs, input_of, read_rows
from edgebert.system.progress import Progress
from edgebert.tasks.examples import as_examples

BUILT_IN_TEXTS = 3
HARD_TEXT = "Ünïcödé\u3000 naïve don't 你好 🎉 e\u0323\u0301 [MASK] ＡＢＣ \x07 İstanbul"
"""Accents, scripts without spaces, signs and a control character: the rules of a tokenizer."""
MASKED_BATCH_SIZE = 2
"""Texts in a request of a masked language model, whose outputs are as long as the vocabulary."""
ROW_ID = "id"
"""The key of an answer that comes from the row of the data, not from the texts."""
SHOWN_CHARACTERS = 120
_AGAIN = "measure again; if this stays, give --no-end-to-end and report it with this message"


def ask(
    file: ModelFile, examples: Sequence[Any], process: Runner, progress: Progress
) -> list[dict[str, Any]]:
    """The board's answers to examples of the file's task, in their order.

    Args:
        file: A file that answers texts.
        examples: Examples of the task, texts, or tuples of texts.
        process: The program for texts, which has loaded the file.
        progress: Receives the progress after every request.
    """
    asked = as_examples(file.task, examples)
    answers: list[dict[str, Any]] = []
    for start in range(0, len(asked), CHECK_BATCH_SIZE):
        part = asked[start : start + CHECK_BATCH_SIZE]
        inputs = [input_of(file.task, example) for example in part]
        rows = process.request("answer", inputs=inputs, calls=False)["rows"]
        for example, row in zip(part, rows, strict=True):
            own = {ROW_ID: getattr(example, ROW_ID)} if ROW_ID in row["answer"] else {}
            answers.append({**row["answer"], **own})
        progress(f"answer {file.name}", len(answers), len(asked))
    return answers


def check_built_in_texts(target: str, file: ModelFile, process: Runner) -> None:
    """Checks the answers to a few texts of the file's task, and to one that is hard to tokenize.

    Args:
        target: The board's name in messages.
        file: A file that answers texts.
        process: The program for texts, which has loaded the file.

    Raises:
        EdgebertError: The board's token ids or answers are wrong.
    """
    label = f"{file.name} on {target}"
    host = HostOutputs(file.path, _examples(file))
    inputs = [input_of(host.task, example) for example in host.features.examples]
    counts = np.bincount(host.features.owners, minlength=len(inputs)).tolist()
    rows = process.request("answer", inputs=inputs)["rows"]
    run = read_rows(rows, counts, host, label)
    for owner, ours, theirs in zip(
        host.features.owners, host.encodings, run.token_ids, strict=True
    ):
        difference = first_difference(ours.token_ids, theirs, "token_ids")
        if difference:
            raise EdgebertError(
                f"{label}: the board's token ids are wrong for {_shown(inputs[owner])}. "
                f"{difference}. Next: install the version of `tokenizers` there that this machine "
                "has, or give --no-end-to-end."
            )
    _refuse_contradictions(host.answers_of(run.outputs), rows, label)


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
    run = read_rows(rows, [count for _, count in asked], reference, stage)
    if not is_masked:
        _refuse_contradictions(reference.answers_of(run.outputs), rows, stage)
    return reference.compare(run.outputs, facts, None if is_masked else run.token_ids)


def _examples(file: ModelFile) -> list[Any]:
    """Built-in examples of the file's task that its length can hold."""
    model, task = LiteRtModel.open(file.path), file.task
    samples = as_examples(task, sample_texts(task)[:BUILT_IN_TEXTS])
    found = []
    for example in [*samples, *task.check_examples([HARD_TEXT])]:
        try:
            model.encode(example)
        except EdgebertError:  # such as a question that leaves no room for its context
            continue
        found.append(example)
    return found


def _refuse_contradictions(
    expected: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], label: str
) -> None:
    """Raises an `EdgebertError` if an answer is not the one that the board's outputs give."""
    for ours, row in zip(expected, rows, strict=True):
        named = {name: value for name, value in ours.items() if name != ROW_ID}
        difference = first_difference(named, {name: row["answer"].get(name) for name in named})
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
    lists = (list, tuple)
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping) and ours.keys() == theirs.keys():
        pairs = [(f"{place}.{name}", ours[name], theirs[name]) for name in ours]
    elif isinstance(ours, lists) and isinstance(theirs, lists) and len(ours) == len(theirs):
        pairs = [(f"{place}[{i}]", a, b) for i, (a, b) in enumerate(zip(ours, theirs, strict=True))]
    elif ours != theirs:
        return f"Expected as {place}: {_shown(ours)}. Received: {_shown(theirs)}"
    return next(filter(None, (first_difference(a, b, each) for each, a, b in pairs)), "")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
