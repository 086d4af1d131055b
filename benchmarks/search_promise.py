"""Whether `edgebert search` keeps what it promises: small searches, judged on unseen test text.

    python -m benchmarks.search_promise FOLDER TEACHER --data sst2 --searches 10 --kills 10

Each search has its own seed, its own training rows and its own dev rows. Its winner has to keep
`--max-drop` on text on which no choice was made. A row says what was promised (the loss on the
confirming rows and its upper bound) and what the test rows say. The last lines count the winners
that lost more on test than was allowed, beyond the noise of the test rows, and give the mean
difference of both losses. Finished searches are kept.

With `--kills`, the first search is also started again and killed at random moments, then resumed.
Its files and its front have to be the same. It takes over the latencies that the first search
measured, since these differ from run to run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks import models
from edgebert.data.datasets import Dataset, read_dataset, take

OPTIONS = (
    *("--speedups", "1.7,3", "--second-speedups", "", "--embeddings", "int4"),
    *("--vocabulary", "whole", "--token-shares", "", "--recipes", "dynamic-int8"),
    *("--distill-epochs", "1", "--rounds", "1", "--refine", "0", "--latency-texts", "8"),
)
"""Few moves, so that a search takes minutes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the searches")
    parser.add_argument("teacher", type=Path, help="fine-tuned model")
    parser.add_argument("--data", choices=("sst2", "clinc150"), default="sst2")
    parser.add_argument("--searches", type=int, default=10)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--max-drop", type=float, default=1.0)
    parser.add_argument("--rows", type=int, default=2500, help="training rows of a search")
    parser.add_argument("--dev-rows", type=int, default=1600, help="dev rows of a search")
    given = parser.parse_args()
    found = []
    for seed in range(given.searches):
        out = given.folder / f"{seed}"
        front = out / "front.json"
        if not front.is_file():
            resume = ["--resume"] if (out / "search.json").is_file() else []
            finished = subprocess.run([*command(given, seed, out), *resume], check=False)
            if finished.returncode not in (0, 3):  # 3: no file meets the budgets
                raise SystemExit(f"search {seed}: exit code {finished.returncode}")
        found.append(judge(json.loads(front.read_text()), given.max_drop, seed))
    summarize([one for one in found if one])
    for kill in range(given.kills):
        compare_killed(given, kill)


def command(given: argparse.Namespace, seed: int, out: Path) -> list[str]:
    """The command of one search, with its own rows.

    The test rows of CLINC150 are the dev rows that the search does not have: its test split has
    many more texts out of scope than its dev split, so that no dev rows can promise its loss.
    """
    folder = models.DATA / given.data
    train, dev = (read_dataset(folder / name) for name in ("train.tsv.gz", "dev.tsv"))
    chosen = take(dev, given.dev_rows, seed)
    test = read_dataset(folder / "test.tsv")
    if given.data == "clinc150":
        known = set(chosen.examples)
        test = replace(dev, examples=tuple(one for one in dev.examples if one not in known))
    parts = {"train": take(train, given.rows, seed), "dev": chosen, "test": test}
    flags = [
        word
        for part, data in parts.items()
        for word in (f"--{part}", str(write_rows(data, given.folder / part / f"{seed}.tsv")))
    ]
    settings = [*OPTIONS, "--seed", str(seed), "--max-drop", str(given.max_drop), "--json"]
    search = [sys.executable, "-m", "edgebert", "search", str(given.teacher), "-o", str(out)]
    return [*search, *flags, *settings]


def write_rows(data: Dataset, path: Path) -> Path:
    """Writes rows as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{one.text}\t{one.label}" for one in data.examples]
    path.write_text("\n".join(["text\tlabel", *lines]) + "\n", encoding="utf-8")
    return path


def judge(front: dict[str, Any], max_drop: float, seed: int) -> dict[str, float]:
    """Prints what a search promised and what the test rows say; empty without a winner."""
    if front["winner"] is None:
        print(f"search {seed}: no file keeps {max_drop:g} points. {front['missed']}", flush=True)
        return {}
    winner = next(one for one in front["front"] if one["key"] == front["winner"])
    loss, promised = front["test"]["loss"], winner["confirmed"]["points"]
    broken = loss["low"] > max_drop
    print(
        f"search {seed}: {winner['name']}; promised {promised:+.2f}, bound "
        f"{winner['bound_points']:+.2f}; chosen at {winner['points_lost']:+.2f}; test "
        f"{loss['points']:+.2f} ({loss['low']:+.1f} to {loss['high']:+.1f}); "
        f"{winner['latency_ratio']:.2f} of the int8 file" + (", broken" if broken else ""),
        flush=True,
    )
    return {
        "broken": float(broken),
        "over": float(loss["points"] > max_drop),
        "difference": loss["points"] - promised,
        "chosen": loss["points"] - winner["points_lost"],
    }


def summarize(found: Sequence[dict[str, float]]) -> None:
    if not found:
        return
    count = len(found)
    print(f"over the allowed drop on test: {sum(one['over'] for one in found):.0f} of {count}")
    print(f"beyond the noise of test: {sum(one['broken'] for one in found):.0f} of {count}")
    print(f"mean of (test - promised): {mean(one['difference'] for one in found):+.2f} points")
    print(f"mean of (test - chosen): {mean(one['chosen'] for one in found):+.2f} points")


def compare_killed(given: argparse.Namespace, kill: int) -> None:
    """Kills the first search at a random moment, resumes it, and compares the files."""
    whole, out = given.folder / "0", given.folder / f"killed-{kill}"
    duration = sum(json.loads(path.read_text())["seconds"] for path in (whole / "trials").iterdir())
    moment = random.Random(kill).uniform(0.05, 0.95) * duration
    start = command(given, 0, out)
    copy_latencies(whole, out)
    process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resume = ["--resume"] if (out / "search.json").is_file() else []
    subprocess.run([*start, *resume], check=False, stdout=subprocess.DEVNULL)
    same_files = hashes(out) == hashes(whole)
    fronts = [keys(folder) for folder in (whole, out)]
    print(
        f"killed after {moment:.0f} s of {duration:.0f} s: files "
        f"{'are the same' if same_files else 'DIFFER'}, front "
        f"{'is the same' if fronts[0] == fronts[1] else f'differs: {fronts}'}",
        flush=True,
    )


def copy_latencies(whole: Path, out: Path) -> None:
    """Gives a search the latencies of another one, so that they differ in nothing but the kill."""
    shutil.copytree(whole / "rounds", out / "rounds")
    shutil.copy(whole / "latency_table.json", out)


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a search."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (folder / "files").glob("*.tflite")
    }


def keys(folder: Path) -> list[str]:
    return [one["name"] for one in json.loads((folder / "front.json").read_text())["front"]]


if __name__ == "__main__":
    main()
