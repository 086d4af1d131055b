"""What an unattended search reaches on every task: MiniLM fine-tuned on real data, then searched.

    python -m benchmarks.search_tasks FOLDER --tasks sst2,restaurant8k --max-time 2h

For each task: `edgebert finetune` with fixed settings, then `edgebert search` with the largest loss
of the table below, to which the confirmed loss is held. The test split is read once, for the
winner. Finished steps stay in FOLDER, and a search that was stopped goes on. One row for each task
is printed as Markdown, and written to FOLDER/tasks.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import models

_COLUMNS = ("task", "float MB", "float", "int8", "winner", "lost (95 %)", "MB", "of int8", "hours")


@dataclass(frozen=True)
class Benchmark:
    """One data set with the settings of its fine-tuning and its largest loss.

    Attributes:
        data: Files of the training, dev and test split; without a dev file a part of the training
            rows is taken.
        finetuning: Options of `edgebert finetune`.
        metric: The metric of the table.
        max_drop: Largest loss in points; the budget of the search.
        searching: Further options of `edgebert search`.
        tuned: The task whose fine-tuned model is searched, if it is another one.
    """

    data: tuple[str, str, str]
    finetuning: tuple[str, ...]
    metric: str
    max_drop: float
    searching: tuple[str, ...] = ()
    tuned: str = ""


def _tuning(epochs: int, rate: str, length: int, *more: str) -> tuple[str, ...]:
    basic = ("--epochs", str(epochs), "--learning-rate", rate, "--max-length", str(length))
    return (*basic, *more)


_SST2 = ("sst2/train.tsv.gz", "sst2/dev.tsv", "sst2/test.tsv"), _tuning(3, "5e-5", 64), "accuracy"
TASKS = {
    "sst2": Benchmark(*_SST2, 1.0, ("--tokens", "24", "--max-size", "8.7MB")),
    "tiny": Benchmark(
        *_SST2,
        2.0,
        ("--tokens", "24", "--max-size", "2.6MB", "--max-latency", "0.15x"),
        tuned="sst2",
    ),
    "clinc150": Benchmark(
        ("clinc150/train.tsv.gz", "clinc150/dev.tsv", "clinc150/test.tsv"),
        _tuning(8, "1e-4", 64),
        "accuracy",
        1.0,
        ("--tokens", "12", "--max-size", "8MB"),
    ),
    "restaurant8k": Benchmark(
        ("restaurant8k/train.conll.gz", "", "restaurant8k/test.conll"),
        _tuning(3, "2e-4", 64, "--task", "ner"),
        "entity_f1",
        1.0,
    ),
    "ud_ewt": Benchmark(
        ("ud_ewt/train.tsv.gz", "ud_ewt/dev.tsv.gz", "ud_ewt/test.tsv.gz"),
        _tuning(3, "2e-4", 128, "--task", "pos"),
        "accuracy",
        0.5,
    ),
    "squad": Benchmark(
        ("squad/train.json.gz", "", "squad/test.json.gz"),
        _tuning(3, "1e-4", 256, "--task", "qa"),
        "f1",
        1.5,
    ),
    "stsb": Benchmark(
        ("stsb/train.tsv.gz", "stsb/dev.tsv", "stsb/test.tsv"),
        _tuning(2, "2e-5", 64, "--task", "embeddings"),
        "spearman",
        1.0,
        ("--max-size", "9MB"),
    ),
    "mrpc": Benchmark(
        ("mrpc/train.tsv.gz", "mrpc/dev.tsv", "mrpc/test.tsv"),
        _tuning(4, "5e-5", 128),
        "accuracy",
        1.0,
    ),
}


def main() -> None:
    """Runs the tasks, and prints their rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks", default=",".join(TASKS), help="names with commas")
    parser.add_argument("--max-time", default="2h", help="budget of each search")
    parser.add_argument("--max-rows", type=int, default=0, help="training rows; 0 takes all")
    arguments = parser.parse_args()
    names = [name for name in arguments.tasks.split(",") if name]
    if unknown := set(names) - set(TASKS):
        raise SystemExit(f"Expected {', '.join(TASKS)}. Received: {', '.join(sorted(unknown))}.")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path = arguments.folder / "tasks.json"
    rows: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for name in names:
        rows[name] = _run(arguments.folder, name, arguments)
        path.write_text(json.dumps(rows, indent=2) + "\n")
        print(_table(rows), flush=True)


def _run(folder: Path, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fine-tunes and searches. Returns the row of the task."""
    task = TASKS[name]
    train, dev, test = (str(models.DATA / name) if name else "" for name in task.data)
    splits = ("--train", train, *(("--dev", dev) if dev else ()))
    rows = ("--max-rows", str(arguments.max_rows)) if arguments.max_rows else ()
    tuned, found = folder / (task.tuned or name) / "tuned", folder / name / "found"
    if not tuned.exists():
        _edgebert("finetune", str(models.minilm_folder()), *splits, *rows, *task.finetuning, tuned)
    # A few hundred dev rows can't show that a loss is below a point with a confidence of 0.9.
    budgets = ("--max-drop", str(task.max_drop), "--confidence", "0.5")
    budgets += ("--max-time", arguments.max_time)
    resuming = ("--resume",) if found.exists() else ()
    options = (*splits, "--test", test, *rows, *budgets, *task.searching, *resuming)
    _edgebert("search", str(tuned), *options, found)
    front = json.loads((found / "front.json").read_text())
    clock = json.loads((found / "clock.json").read_text())  # of all runs of a resumed search
    return {"hours": clock["seconds"] / 3600, **_figures(front, task.metric)}


def _edgebert(*command: object) -> None:
    """Runs a command whose last argument is its output. A missed budget is no failure here."""
    *arguments, out = map(str, command)
    ended = subprocess.run([sys.executable, "-m", "edgebert", *arguments, "-o", out], check=False)
    if ended.returncode not in (0, 3):
        raise SystemExit(f"edgebert {arguments[0]} ended with exit code {ended.returncode}.")


def _figures(front: dict[str, Any], metric: str) -> dict[str, Any]:
    """What the table says of a finished search; without a winner its reason."""
    won = next((one for one in front["front"] if one["key"] == front["winner"]), None)
    if won is None or front["test"] is None:
        return {"missed": front["missed"]}
    test = front["test"]
    return {
        "metric": metric,
        "float_bytes": front["float_bytes"],
        "scores": {side: test[side][metric] for side in ("float", "baseline", "winner")},
        "loss": test["loss"],
        "winner": won["name"],
        "size_bytes": won["size_bytes"],
        "latency_ratio": won["latency_ratio"],
    }


def _table(rows: dict[str, Any]) -> str:
    lines = ["| " + " | ".join(_COLUMNS) + " |", "| " + " | ".join("---" for _ in _COLUMNS) + " |"]
    for name, row in rows.items():
        if "missed" in row:
            lines.append(f"| {name} | {row['missed']} |")
            continue
        loss, scores = row["loss"], row["scores"]
        cells = (
            f"{name}, {row['metric']}: {row['winner']}",
            f"{row['float_bytes'] / 1e6:.0f}",
            *(f"{100 * scores[side]:.2f}" for side in ("float", "baseline", "winner")),
            f"{loss['points']:.2f} ({loss['low']:.1f} to {loss['high']:.1f})",
            f"{row['size_bytes'] / 1e6:.2f}",
            f"{row['latency_ratio']:.3f}",
            f"{row['hours']:.1f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
