"""Text in, answer out over ssh, against the cpu target on the same machine.

    python -m benchmarks.ssh_overhead model.tflite ...

An sshd of its own on loopback makes this machine the board. Both programs answer the built-in texts
of each file's task, in blocks in turn, each in several fresh processes, as `edgebert profile` times
them. The ratio is the median of block against block, with its 95 % confidence interval.
`--no-tokenizers` hides `tokenizers` on the board, so that WordPiece in Python is timed there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from edgebert.profiling.cpu import CpuTarget
from edgebert.profiling.interleaving import BenchmarkCase, measure_interleaved
from edgebert.profiling.machine import Machine
from edgebert.profiling.measurement import median_interval
from edgebert.profiling.plan import ModelFile, read_model_files
from edgebert.profiling.session import sample_texts
from edgebert.profiling.ssh.board import Board
from edgebert.profiling.ssh.connection import Connection
from edgebert.settings import ProfileSettings, TargetSettings
from edgebert.system.progress import silent
from tests.judges.sshd import Sshd, find_sshd


def case_of(machine: Machine, file: ModelFile) -> BenchmarkCase:
    """The texts of the file's task on a machine."""
    texts, label = sample_texts(file.task), f"{file.name} on {machine.target}"
    load = {"model": machine.place(file), "threads": 1, "texts": texts}
    start = partial(machine.start_end_to_end, label)
    return BenchmarkCase(label, start, load, {}, round_calls=len(texts))


def print_ratio(board: Machine, file: ModelFile, max_seconds: float) -> None:
    """Times one file on both sides in turn."""
    support = board.text_support(file)
    if support.obstacle:
        sys.exit(support.obstacle)
    cases = [case_of(CpuTarget(), file), case_of(board, file)]
    settings = ProfileSettings(max_seconds=max_seconds)
    measure_interleaved(cases, settings)
    here, there = ([float(np.median(block)) for block in case.blocks] for case in cases)
    count = min(len(here), len(there))
    ratios = np.divide(there[:count], here[:count])
    low, high = median_interval(ratios)
    print(
        f"{file.name:<16} {file.task.name:<14} cpu {np.median(here):8.3f} ms   "
        f"ssh {np.median(there):8.3f} ms   ssh/cpu {np.median(ratios):.3f} "
        f"({low:.3f} to {high:.3f})   {count} blocks",
        flush=True,
    )


def hide_tokenizers(folder: Path) -> None:
    """Makes an `env` that starts Python without `tokenizers`, for the front of a PATH."""
    start = "import sys; sys.modules['tokenizers'] = None\n"
    (folder / "sitecustomize.py").write_text(start, encoding="ascii")
    program = folder / "env"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec {shutil.which("env")} "$@"\n')
    program.chmod(0o755)


def main() -> None:
    parser = argparse.ArgumentParser(description="Text to answer over ssh against the cpu target.")
    parser.add_argument("models", type=Path, nargs="+", help=".tflite files with a task")
    parser.add_argument("--max-seconds", type=float, default=30.0, help="time of each side")
    parser.add_argument("--no-tokenizers", action="store_true", help="hide tokenizers on the board")
    arguments = parser.parse_args()
    program = find_sshd()
    if program is None:
        sys.exit("An OpenSSH server and client are expected on this machine. Received: none.")
    with tempfile.TemporaryDirectory(prefix="edgebert-sshd-") as folder:
        programs, keys = Path(folder) / "programs", Path(folder) / "sshd"
        for made in (programs, keys):
            made.mkdir()
        if arguments.no_tokenizers:
            hide_tokenizers(programs)
        path = os.pathsep.join([str(programs), os.environ["PATH"]])
        with Sshd(program, keys, {"PATH": path}) as sshd:
            settings = TargetSettings(ssh_config=str(sshd.config), remote_python=sys.executable)
            sshd.write_client_config()
            sshd.known_hosts.write_text(sshd.known_host("host_key"))
            with Connection("board", config=str(sshd.config)) as connection:
                files = read_model_files(arguments.models)
                size_bytes = sum(file.size_bytes for file in files)
                board = Board("ssh", connection, settings, size_bytes, silent)
                for file in files:
                    print_ratio(board, file, arguments.max_seconds)


if __name__ == "__main__":
    main()
