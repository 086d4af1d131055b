"""Checks the line coverage that `make coverage` measured.

    python -m tests.coverage_limits coverage.json

The limits: all lines together, and each file. The exit code is 1 if one is missed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TOTAL_PERCENT, FILE_PERCENT = 92.0, 80.0
FEWEST_LINES = 10
"""Shorter files, such as `__init__.py`, count for the total only."""


def problems(measured: dict) -> list[str]:  # type: ignore[type-arg]
    """What is below its limit, from the JSON report of coverage.py."""
    total = measured["totals"]["percent_covered"]
    found = (
        [] if total >= TOTAL_PERCENT else [f"all files: {total:.1f} %, {TOTAL_PERCENT} expected"]
    )
    for name, file in sorted(measured["files"].items()):
        summary = file["summary"]
        covered = summary["percent_covered"]
        if summary["num_statements"] >= FEWEST_LINES and covered < FILE_PERCENT:
            found.append(f"{name}: {covered:.1f} %, {FILE_PERCENT} expected")
    return found


def main() -> None:
    measured = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(f"line coverage: {measured['totals']['percent_covered']:.2f} %")
    found = problems(measured)
    print("\n".join(found) or "all limits are kept")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
