"""Names for the labels of a data file: `--label-map`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.json_files import JsonFormat
from edgebert.errors import UsageError

_FILE = JsonFormat(
    'an object of names by label, such as {"0": "negative"}', "correct the file", UsageError
)


def read_label_map(given: str) -> dict[str, str]:
    """The names by the labels of the data.

    Args:
        given: `0=negative,1=positive`, or the path of a .json with an object; empty for none.

    Raises:
        UsageError: It is neither, or a label or a name is empty or given twice.
    """
    if not given:
        return {}
    if given.lower().endswith(".json"):
        if not Path(given).is_file():
            raise UsageError(f"--label-map: {given} does not exist. Next: check the path.")
        found = [(label, name) for label, name in _FILE.read(Path(given)).items()]
    else:
        parts = (part.partition("=") for part in given.split(",") if part.strip())
        found = [(label.strip(), name.strip()) for label, _, name in parts]
    wrong = [label for label, name in found if not label or not isinstance(name, str) or not name]
    labels = [label for label, _ in found]
    if wrong or not found or len(set(labels)) < len(labels):
        raise UsageError(
            "--label-map: expected a name for each label, each once, such as "
            f"0=negative,1=positive, or a .json file with an object. Received: {given!r}."
        )
    return dict(found)


def renamed(label: Any, names: dict[str, str]) -> Any:
    """A label, or a tuple of labels, with the names of the map; other labels stay."""
    if not names or label is None:
        return label
    if isinstance(label, tuple):
        return tuple(dict.fromkeys(names.get(each, each) for each in label))
    return names.get(label, label)
