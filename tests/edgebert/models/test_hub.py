"""Models by name, fetched from a hub on loopback by the real huggingface_hub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgebert.errors import MissingExtraError, ModelError
from edgebert.evaluation.predictors import open_predictor
from edgebert.models import hub
from edgebert.models.task_model import open_model
from tests.golden.checkpoints import CHECKPOINTS
from tests.judges.hub_server import REVISION, serve_hub

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
