"""Fuzzes readers: `make fuzz FORMAT=... COUNT=... SEED=...`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tests.fuzz.all_targets import TARGETS
from tests.fuzz.running import fuzz, run_child
from tests.fuzz.targets import make_input


@click.command()
@click.option("--format", "formats", default="", help="Formats with commas; all without it.")
@click.option("--count", default=0, help="Inputs of each format; 0 takes the count of the format.")
@click.option("--seed", default=0, show_default=True)
@click.option("--first", default=0, help="Number of the first input.")
@click.option("--out", type=Path, default=Path("build/fuzz"), show_default=True)
@click.option("--show", default=-1, help="Write this input of the format to stdout instead.")
def main(formats: str, count: int, seed: int, first: int, out: Path, show: int) -> None:
    """Gives damaged files to the readers. Exit code 1 if one falls."""
    names = [name for name in formats.split(",") if name] or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        raise click.UsageError(f"Expected {', '.join(TARGETS)}. Received: {', '.join(unknown)}.")
    if show >= 0:
        _show(names[0], seed, show)
        return
    fell = False
    for name in names:
        outcome = fuzz(TARGETS[name], count or TARGETS[name].count, seed, out, first)
        click.echo(outcome.line())
        for found in outcome.findings:
            fell = True
            click.echo(f"  {found.kind}: input {found.number} ({found.case})")
            click.echo("".join(f"    {line}\n" for line in found.detail.splitlines()[-6:]))
    sys.exit(1 if fell else 0)


def _show(name: str, seed: int, number: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        case, data = make_input(TARGETS[name].cases(Path(folder)), name, seed, number)
    click.echo(case.name, err=True)
    sys.stdout.buffer.write(data)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _, _, target, first_, stop_, seed_, shared_, results_ = sys.argv
        run_child(
            TARGETS[target], int(first_), int(stop_), int(seed_), (Path(shared_), Path(results_))
        )
    else:
        main()
