"""The script side of `judge_process`: reads inputs from stdin, writes outputs to stdout.

It runs in the Python of a judge, from 3.8 on, so it needs the standard library only.
"""

from __future__ import annotations

import json
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def run_script(outputs_of: Callable[[list[Any]], list[Any]]) -> int:
    """Writes the outputs for the JSON list on stdin as a JSON list on stdout.

    Args:
        outputs_of: Computes one output for each input. If it raises RuntimeError or ValueError, the
            library cannot load or run the file; then `{"refused": message}` is written.

    Returns:
        The exit status: 1 if the library refused the file.
    """
    inputs = json.load(sys.stdin)
    try:
        outputs = outputs_of(inputs)
    except (RuntimeError, ValueError) as error:
        json.dump({"refused": str(error)}, sys.stdout)
        return 1
    json.dump(outputs, sys.stdout)
    return 0
