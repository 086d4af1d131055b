"""Models by name, fetched from a hub on loopback by the real huggingface_hub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgebert.errors import MissingExtraError, ModelError
from edgebert.evaluation.predictors import open_predictor
from edgebert.models import hub
from edgebert.models.task_model import TaskModel, open_model
from tests.golden.checkpoints import CHECKPOINTS
from tests.judges.hub_server import REVISION, serve_hub
from tests.tiny_presets import write_preset

OPEN = """
import json, sys
from edgebert.errors import EdgebertError
from edgebert.models.task_model import open_model
try:
    model = open_model(sys.argv[1])
    print(json.dumps({"history": model.history, "source": model.checkpoint.source}))
except EdgebertError as error:
    print(json.dumps({"error": str(error)}))
"""


def opened(name: str, endpoint: str, cache: Path, **variables: str) -> dict[str, object]:
    """The result of `open_model` in a new process, since the endpoint is read at import."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(cache), **variables}
    command = [sys.executable, "-c", OPEN, name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    content = json.loads(done.stdout)
    assert isinstance(content, dict)
    return content


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(CHECKPOINTS / "BertModel", tmp_path / "served"))
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling_mine.py").write_text("raise SystemExit")
    return folder


@pytest.mark.parametrize("name", ["tiny/bert", "tiny/bert@v1", f"tiny/bert@{REVISION}"])
def test_a_name_opens_with_its_revision_pinned(name: str, model: Path, tmp_path: Path) -> None:
    with serve_hub({"tiny/bert": model}) as endpoint:
        content = opened(name, endpoint, tmp_path / "cache")
    assert content["history"] == [
        {
            "stage": "open",
            "format": "Hugging Face folder",
            "hub": "tiny/bert",
            "revision": REVISION,
            "notes": [],
        }
    ]
    fetched = {path.name for path in Path(str(content["source"])).iterdir()}
    assert fetched == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    }


def test_unknown_models_and_revisions(model: Path, tmp_path: Path) -> None:
    with serve_hub({"tiny/bert": model}) as endpoint:
        for name in ("tiny/other", "tiny/bert@v9"):
            error = str(opened(name, endpoint, tmp_path)["error"])
            assert f"{name} is no folder, and the hub has no such model or revision" in error
            assert "\n" not in error


def test_no_network(tmp_path: Path) -> None:
    error = str(opened("tiny/bert", "http://127.0.0.1:9", tmp_path)["error"])
    assert error.startswith("tiny/bert is no folder, and the hub can't be reached (")
    assert "\n" not in error
    error = str(opened("tiny/bert", "http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")["error"])
    assert "the hub can't be reached" in error


def test_without_huggingface_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgebert\[hub\]'"):
        open_model("tiny/bert")


@pytest.mark.parametrize(
    "text", ["bert", "./tiny/bert", "/tiny/bert", "a/b/c", "a/b@", "@a/b", "a/b.h5"]
)
def test_texts_that_are_not_names(text: str) -> None:
    assert hub.fetch(text) is None
    with pytest.raises(ModelError, match=r"is no folder\. Expected a model folder"):
        open_model(text)


def test_a_missing_tflite_is_not_a_name() -> None:
    with pytest.raises(ModelError, match=r"does not exist\. Expected a model folder or a \.tflite"):
        open_predictor("out/model.tflite")


PRESET = "bert_tiny_en_uncased"


def test_a_preset_of_keras_hub_is_downloaded_and_read(
    tiny_model: TaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's download is replaced: there is no hub of presets on loopback."""
    asked: list[str] = []
    write_preset(tiny_model.checkpoint, tiny_model.tokenizer.vocabulary, tmp_path / "preset")

    def download(handle: str) -> str:
        asked.append(handle)
        return str(tmp_path / "preset")

    monkeypatch.setattr("kagglehub.model_download", download)
    model = open_model(PRESET)
    wanted = replace(tiny_model.checkpoint.config, activation="gelu_tanh")  # keras-hub's own
    assert model.checkpoint.config == wanted
    (handle,) = asked
    assert f"/{PRESET}/" in handle and not handle.startswith("kaggle://")
    assert model.history[0]["preset"] == PRESET
    assert model.history[0]["revision"] == handle.rpartition("/")[2]


def test_a_preset_that_cannot_be_had_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: str) -> str:
        raise OSError("Name or service not known.\nRetried.")

    monkeypatch.setattr("kagglehub.model_download", refuse)
    with pytest.raises(ModelError, match=r"can't be reached \(Name or service not known\)\. Next"):
        hub.fetch(PRESET)
    with pytest.raises(ModelError, match=f"no BERT preset of keras-hub.*{PRESET}"):
        hub.fetch("bert_huge_xx_uncased")
