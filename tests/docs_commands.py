"""Runs the commands of the documentation on tiny models and tiny data.

`tests/test_docs.py` parses every command and runs the quick ones. `make docs` runs all of them:

    python -m tests.docs_commands
"""

from __future__ import annotations

import functools
import gzip
import itertools
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner

from converters.checkpoint import BertConfig
from converters.vocabulary import Vocabulary
from edgebert.cli import cli
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.exporting.artifact import export
from edgebert.settings import TASKS
from tests.conftest import TINY_TOKENS
from tests.tiny_tasks import random_task_model, write_task_file

ROOT = Path(__file__).resolve().parents[1]

NOT_RUN = {
    r"--target (adb|browser|ssh|cloud|\"cloud|qemu)": "needs a device; tests/edgebert/profiling "
    "has such commands with an adb server, an SSH server, a browser and qemu",
    r"--strategy (multi-worker|mirrored)": "needs several devices; see tests/edgebert/training",
    r"^edgebert run ": "needs hours; tests/edgebert/pipeline and searching run tiny TOML files",
    r"^edgebert search": "takes minutes; tests/edgebert/searching runs it on a tiny model",
    r"--cpu-mask f0": "needs cores 4 to 7",
    r"--sustained 5m": "takes 5 minutes; tests/edgebert/profiling runs 0.3 seconds",
    r"uncased_L-2": "needs a TF1 checkpoint; tests/converters/formats has one",
    r"--compare": "fails where the machine is busy; tests/edgebert/cli compares fixed files",
    r"--require-full-delegation": "a tiny file has other partitions than a real one",
    r"static|quantize": "tiny random models miss the limits of static recipes",
}
"""Commands that are parsed but not run, by a part of their text, and the reason."""

LANGUAGES = {
    "python": "run by tests/test_docs.py",
    **dict.fromkeys(
        ("", "console", "sh", "bash"),
        "commands of edgebert are parsed by tests/test_docs.py and run here; lines of other "
        "programs (make, pip, ssh, gcloud) are not run: they install, or need a device",
    ),
    "toml": "parsed, and its keys are checked, by tests/test_docs.py",
    "json": "parsed by tests/test_docs.py",
    "kotlin": "not run: it needs an Android project; android_demo/ has such code with tests",
    "java": "not run: it needs an Android project",
    "mermaid": "not run: a drawing",
}
"""What is done with the code blocks of each language."""

QUICK = ("predict", "evaluate", "inspect", "explain", "report", "app", "profile")
"""Commands that take about a second and are run by `make test`; `doctor` has its own tests."""

TASK_OF = {
    "assistant": "multi-label",
    "paraphrase": "pairs",
    "similarity": "regression",
    "my-ner": "ner",
    "slots": "ner",
    "tagger": "ner",
    "ner": "ner",
    "my-qa": "qa",
    "my-answerer": "qa",
    "qa": "qa",
    "task-library": "qa",
    "adapted": "masked-lm",
    "bert-base-uncased-folder": "masked-lm",
    "classifier": "classification",
    "embedder": "embeddings",
    "my-embedder": "embeddings",
}
"""The task of a model in the documentation, by its name; others are classifiers."""
PAGE_TASKS = {"docs/tasks/qa.md": "qa", "docs/tasks/embeddings.md": "embeddings"}
"""The task of a page whose models have names that other pages use for classifiers."""

TINY = {
    "finetune": ("--epochs", "1", "--batch-size", "4", "--max-length", "16"),
    "distill": ("--epochs", "1", "--batch-size", "4"),
    "profile": ("--min-runs", "2", "--max-seconds", "0.1", "--warmup-runs", "1"),
}
"""Options that make a command quick. The last value of an option counts."""
VALUES = {
    "--target-speedup": "1.02",
    "--hidden-size": "8",
    "--max-drop": "100",
    "--learning-rate": "1e-4",
    "--dimensions": "2",
}
"""Values of options for tiny models."""
NUMBERS = {"15261": "100", "128": "40", "384": "40"}
"""Numbers of tokens for tiny models."""
OUTPUTS = ("-o", "--out", "--index-cache")
CONFIG = BertConfig(
    vocab_size=len(TINY_TOKENS),
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    intermediate_size=24,
    max_positions=64,
)


def reason_not_run(line: str) -> str:
    """Why a command is parsed but not run; empty if it is run."""
    return next((why for part, why in NOT_RUN.items() if re.search(part, line)), "")


def is_quick(page: str, line: str) -> bool:
    """Whether `make test` runs a command: one of the guides that takes about a second."""
    name = line.split()[1]
    return page.startswith("docs/guides/") and name in QUICK and not reason_not_run(line)


def run_command(page: str, line: str, folder: Path) -> None:
    """Runs one command in an empty folder, after it was filled with what the command reads.

    Raises:
        AssertionError: Its exit code is not 0.
    """
    arguments = _words(line)
    task = _task(page, arguments)
    for word, follows in zip(arguments[1:], arguments, strict=False):
        if follows not in OUTPUTS:
            _provide(word, task, folder)
    small = [arguments[0]]
    for option, word in itertools.pairwise(arguments):
        small.append(VALUES.get(option, NUMBERS.get(word, word)))
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(cli, [*small, *TINY.get(small[0], ())])
    finally:
        os.chdir(before)
    assert result.exit_code == 0, f"{page}: {line}\n{small}\n{result.output}\n{result.exception!r}"


def _words(line: str) -> list[str]:
    words = shlex.split(line.replace('"$(cat article.txt)"', '"The war began in 1973."'), True)[1:]
    ends = [words.index(stop) for stop in (">", "|", "&&") if stop in words]
    return words[: min(ends, default=len(words))]


def _task(page: str, arguments: list[str]) -> str:
    if "--task" in arguments:
        return arguments[arguments.index("--task") + 1]
    made = [word for option, word in itertools.pairwise(arguments) if option in OUTPUTS]
    names = [Path(word).stem for word in (*made, *arguments[1:])]
    return next(
        (TASK_OF[name] for name in names if name in TASK_OF),
        PAGE_TASKS.get(page, "classification"),
    )


def _provide(word: str, task: str, folder: Path) -> None:
    """Writes the input that a word of a command names, if it names one."""
    path = folder / word
    if path.exists() or " " in word:
        return
    kind = Path(word).suffix if Path(word).suffix != ".gz" else Path(word).with_suffix("").suffix
    if word.endswith("/") or word == "MINILM":
        shutil.copytree(_model(_source_task(word, task)), path)
    elif kind == ".tflite":
        path.write_bytes(_file(task).read_bytes())
    elif word in ("laptop.json", "phone.json", "all.json", "main.json"):
        path.write_bytes(_measured().read_bytes())
    elif word == "accuracy.json":
        path.write_text(_evaluated())
    elif kind in (".tsv", ".jsonl", ".json", ".conll", ".txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == ".jsonl" and task == "qa":
            path.write_text('{"question": "what is on", "context": "The movie is on today."}\n')
        elif kind == ".txt" and task != "masked-lm":
            path.write_text("turn the lights on today\nplay good music now\n")
        else:
            with tempfile.TemporaryDirectory() as scratch:
                data = write_task_file(Path(scratch), task, 4).read_bytes()
            path.write_bytes(gzip.compress(data) if word.endswith(".gz") else data)


def _source_task(word: str, task: str) -> str:
    """Folders such as minilm/ are bare encoders in the documentation."""
    bare = word.strip("/") in ("minilm", "bert", "MINILM", "all-MiniLM-L6-v2")
    return "embeddings" if bare else TASK_OF.get(word.strip("/"), task)


@functools.cache
def _scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="edgebert-docs-"))


@functools.cache
def _model(task: str) -> Path:
    tokenizer = Tokenizer(Vocabulary(tokens=TINY_TOKENS, lowercase=True))
    return random_task_model(CONFIG, tokenizer, task).save(_scratch() / task)


@functools.cache
def _file(task: str) -> Path:
    from edgebert.settings import ExportSettings

    settings = ExportSettings(length=40)
    return export(_model(task), _scratch() / f"{task}.tflite", settings).path


@functools.cache
def _measured() -> Path:
    out = _scratch() / "measured.json"
    command = ["profile", str(_file("classification")), *TINY["profile"], "-o", str(out)]
    assert CliRunner().invoke(cli, command).exit_code == 0
    return out


@functools.cache
def _evaluated() -> str:
    data = write_task_file(_scratch(), "classification")
    command = ["evaluate", str(_file("classification")), "--data", str(data), "--json"]
    return CliRunner().invoke(cli, command).stdout


def main() -> Iterator[str]:
    """Runs all commands; gives a line for each."""
    from tests.test_docs import COMMANDS

    for page, line in COMMANDS:
        why = reason_not_run(line)
        if why:
            yield f"parsed  {page}: {line}\n        {why}"
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                run_command(page, line, Path(folder))
            except AssertionError as error:
                yield f"FAILED  {error}"
            else:
                yield f"ran     {page}: {line} ({time.monotonic() - start:.1f} s)"


if __name__ == "__main__":
    assert set(TASK_OF.values()) <= set(TASKS)
    failed = False
    for row in main():
        print(row, flush=True)
        failed |= row.startswith("FAILED")
    shutil.rmtree(_scratch())
    sys.exit(failed)
