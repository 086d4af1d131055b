"""Tortures the stages: `make torture STAGE=... KILLS=... SEED=...`."""

from __future__ import annotations

import sys

import click

from tests.torture.running import Torturer
from tests.torture.stages import STAGES
from tests.torture.warming import warm

_MORE_MEMORY_BYTES = (1 << 20, 30 << 20, 100 << 20, 300 << 20)


@click.command()
@click.option("--stage", "stages", default="", help="Stages with commas; all without it.")
@click.option("--kills", default=50, show_default=True, help="Kills of each stage.")
@click.option("--full", default=10, show_default=True, help="Full disks of each kind and stage.")
@click.option("--seed", default=0, show_default=True)
def main(stages: str, kills: int, full: int, seed: int) -> None:
    """Kills stages, fills disks and takes memory away. Exit code 1 if a stage does not survive."""
    names = [name for name in stages.split(",") if name] or list(STAGES)
    if unknown := set(names) - set(STAGES):
        raise click.UsageError(f"Expected {', '.join(STAGES)}. Received: {', '.join(unknown)}.")
    warm()
    fell = False
    for name in names:
        torturer = Torturer(STAGES[name], seed, lambda line: click.echo(line, err=True))
        try:
            torturer.kill(kills)
            if full:
                torturer.fill_disk(full)
                torturer.limit_file_size(full)
                torturer.forbid_writing()
                ends = [torturer.limit_memory(more) or "done" for more in _MORE_MEMORY_BYTES]
        finally:
            torturer.close()
        click.echo(torturer.found.line() + (f", memory: {', '.join(ends)}" if full else ""))
        for problem in torturer.found.problems:
            fell = True
            click.echo(f"  {problem}")
    sys.exit(1 if fell else 0)


if __name__ == "__main__":
    main()
