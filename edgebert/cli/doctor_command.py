"""`edgebert doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click

from edgebert.cli.options import json_option, print_json
from edgebert.cli.shown_output import echo


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check this machine: versions, TFLite runtime, programs, disk and memory.

    Each gap has the command that closes it. The exit code is 1 only if export and predict can't
    work here.

    \b
    edgebert doctor
    edgebert doctor --json
    """
    from edgebert.profiling.doctor import diagnose, require_main_job

    findings = diagnose()
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            echo(f"{finding.status:<8} {finding.name:<{width}}  {finding.found}")
            if finding.fix:
                echo(f"{'':8} {'Next:':>{width}}  {finding.fix}")
    require_main_job(findings)
