"""`edgebert` and `python -m edgebert`: the command line.

The first import of a third-party package is inside `main`, so that a package that is not installed
is one line with the command that installs it.
"""

from __future__ import annotations

import sys

from edgebert.system.missing_packages import missing_package


def main() -> None:
    """Runs the command line."""
    try:
        from edgebert.cli import main as run
    except ImportError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        sys.exit(f"Error: {missing}")
    run()


if __name__ == "__main__":
    main()
