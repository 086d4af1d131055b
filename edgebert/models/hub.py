"""Downloads models by name. The library that downloads a model also caches it.

`owner/name` and `owner/name@revision` are models on Hugging Face's hub. Names such as
`bert_tiny_en_uncased` are keras-hub's presets. Only configurations, weights and tokenizer files are
downloaded, never code or pickles. The resolved revision is stored in the model's history.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgebert.errors import MissingExtraError, ModelError
from edgebert.system import native_noise

_NAME = re.compile(r"(?P<model>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?")
_PRESET = re.compile(
    "(bert|(all|paraphrase|multi_qa|msmarco)_minilm|bge|multilingual_e5|mxbai_embed)_[a-z0-9_.]+"
)
_FILE_ENDS = (".tflite", ".safetensors", ".h5", ".bin", ".txt", ".json")
_FILES = ("*.json", "*.safetensors", "vocab.txt", "*/vocab.txt")
_NOT = ("onnx/*", "openvino/*")


def is_name(text: str) -> bool:
    """Whether a text has the form of a model's name. Paths can have this form, too."""
    return not text.endswith(_FILE_ENDS) and bool(_NAME.fullmatch(text) or _PRESET.fullmatch(text))


def fetch(text: str) -> tuple[Path, dict[str, str]] | None:
    """Downloads a model by name.

    Paths can have the form of a name, so check first that no such path exists.

    Returns:
        The folder and the resolved name and revision, or None if the text is not a name.

    Raises:
        MissingExtraError: The library for the download is not installed.
        ModelError: There is no network, or no such model or revision.
    """
    if not is_name(text):
        return None
    return _fetch_from_hub(text) if _NAME.fullmatch(text) else _fetch_preset(text)


def _fetch_preset(name: str) -> tuple[Path, dict[str, str]]:
    native_noise.load_keras()
    import kagglehub
    import keras_hub

    presets = keras_hub.models.BertBackbone.presets
    if name not in presets:
        raise ModelError(
            f"{name} is no folder and no BERT preset of keras-hub. Expected a model folder, or one "
            f"of {', '.join(presets)}."
        )
    handle = presets[name]["kaggle_handle"].removeprefix("kaggle://")
    try:
        folder = Path(kagglehub.model_download(handle))
    except (OSError, ValueError) as error:
        raise _unreachable(f"{name} is no folder, and keras-hub's preset", error) from error
    return folder, {"preset": name, "revision": handle.rpartition("/")[2]}


def _fetch_from_hub(text: str) -> tuple[Path, dict[str, str]]:
    name = _NAME.fullmatch(text)
    assert name is not None, text
    try:
        import huggingface_hub
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError(
            f"{text} is no folder, and a model on the hub needs huggingface_hub. "
            "Next: pip install 'edgebert[hub]'."
        ) from error
    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                name["model"],
                revision=name["revision"],
                allow_patterns=list(_FILES),
                ignore_patterns=list(_NOT),
            )
        )
    except HfHubHTTPError as error:
        raise ModelError(
            f"{text} is no folder, and the hub has no such model or revision that we may read "
            f"({_first_line(error)}). Next: check the name, or download the model and give its "
            "folder."
        ) from error
    except (LocalEntryNotFoundError, OSError) as error:
        raise _unreachable(f"{text} is no folder, and the hub", error) from error
    return folder, {"hub": name["model"], "revision": folder.name}


def _unreachable(what: str, error: Exception) -> ModelError:
    return ModelError(
        f"{what} can't be reached ({_first_line(error)}). Next: check the path, or download the "
        "model where there is a network and give its folder."
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
