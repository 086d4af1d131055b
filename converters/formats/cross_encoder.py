"""The marks of a CrossEncoder of sentence-transformers: a classifier of pairs of texts.

A CrossEncoder is a Hugging Face folder. Its releases keep their settings in different places; since
6.0 the folder has a modules.json, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.json_files import JsonFormat

SETTINGS = "sentence_transformers"
_OLD_ACTIVATION = "sbert_ce_default_activation_function"
_OWN_FILE = "config_sentence_transformers.json"
_FORMAT = JsonFormat("a file of a CrossEncoder", "save or download it again")
SIGMOID = "torch.nn.modules.activation.Sigmoid"


def is_cross_encoder(folder: Path) -> bool:
    """Whether a Hugging Face folder was saved by a CrossEncoder."""
    config, own = _read(folder / "config.json"), _read(folder / _OWN_FILE)
    return (
        isinstance(config.get(SETTINGS), dict)
        or _OLD_ACTIVATION in config
        or own.get("model_type") == "CrossEncoder"
    )


def activation(folder: Path) -> str:
    """The class that the score of a CrossEncoder with one output goes through, such as `Sigmoid`.

    Sigmoid is the default of its library where the folder names none; `Identity` changes nothing.
    """
    config, own = _read(folder / "config.json"), _read(folder / _OWN_FILE)
    settings = config.get(SETTINGS)
    named = [own.get("activation_fn"), config.get(_OLD_ACTIVATION)]
    if isinstance(settings, dict):
        named.insert(0, settings.get("activation_fn"))
    first = next((name for name in named if isinstance(name, str) and name), SIGMOID)
    return first.rpartition(".")[2]


def _read(path: Path) -> dict[str, Any]:
    return _FORMAT.read(path) if path.is_file() else {}
