"""sentence-transformers folders: the encoder and what stands behind it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from converters.errors import ConversionError
from converters.sentence_transformers import SentenceHead, read_modules
from edgebert.errors import ModelError
from edgebert.model import open_model
from tests.golden.checkpoints import CHECKPOINTS

MODULES = "sentence_transformers.models"
KERNEL = np.arange(32, dtype=np.float32).reshape(4, 8)


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_modules(folder: Path, *modules: tuple[str, str]) -> None:
    content = [{"idx": i, "path": path, "type": kind} for i, (path, kind) in enumerate(modules)]
    write_json(folder / "modules.json", content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An encoder in a folder of its own, mean and max pooling, a dense layer, normalization."""
    shutil.copytree(CHECKPOINTS / "BertModel", tmp_path / "0_Transformer")
    write_json(tmp_path / "0_Transformer" / "sentence_bert_config.json", {"max_seq_length": 9})
    modes = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    write_json(tmp_path / "1_Pooling" / "config.json", {"word_embedding_dimension": 8, **modes})
    activation = "torch.nn.modules.activation.Tanh"
    dense = {"in_features": 8, "out_features": 4, "bias": True, "activation_function": activation}
    write_json(tmp_path / "2_Dense" / "config.json", dense)
    arrays = {"linear.weight": KERNEL, "linear.bias": np.ones(4, np.float32)}
    save_file(arrays, tmp_path / "2_Dense" / "model.safetensors")
    write_modules(
        tmp_path,
        ("0_Transformer", f"{MODULES}.Transformer"),
        ("1_Pooling", f"{MODULES}.Pooling"),
        ("2_Dense", f"{MODULES}.Dense"),
        ("3_Normalize", f"{MODULES}.Normalize"),
    )
    return tmp_path


def test_the_head_is_read(folder: Path) -> None:
    encoder, head = read_modules(folder)
    assert encoder == folder / "0_Transformer"
    assert (head.pooling, head.normalize, head.max_length) == (("mean",), True, 9)
    (dense,) = head.dense
    np.testing.assert_array_equal(dense.kernel, KERNEL)
    assert dense.bias is not None
    assert dense.activation == "tanh"


def test_it_opens_as_an_encoder_and_the_history_keeps_the_head(folder: Path) -> None:
    model = open_model(folder)
    assert (model.task, model.max_length) == ("encoder", 9)
    (entry,) = model.history
    assert entry == {
        "stage": "open",
        "format": "sentence-transformers folder",
        "pooling": ["mean"],
        "dense": [{"inputs": 8, "outputs": 4, "activation": "tanh"}],
        "normalize": True,
        "notes": [f"{folder} has dense layers behind its encoder (8 to 4): they are left out."],
    }


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}, ("cls", "max")),
        ({"pooling_mode": "lasttoken"}, ("last",)),
        ({"pooling_mode": ["mean", "max"]}, ("mean", "max")),
    ],
)
def test_poolings(folder: Path, config: dict[str, Any], expected: tuple[str, ...]) -> None:
    write_json(folder / "1_Pooling" / "config.json", config)
    assert read_modules(folder)[1].pooling == expected


def test_modules_of_a_newer_release_are_known_by_their_class(folder: Path) -> None:
    write_modules(folder, ("0_Transformer", "sentence_transformers.base.modules.x.Transformer"))
    assert read_modules(folder)[1] == SentenceHead(max_length=9)


def test_unknown_modules_are_all_named(folder: Path) -> None:
    write_modules(
        folder,
        ("0_Transformer", f"{MODULES}.Transformer"),
        ("1_CNN", f"{MODULES}.CNN"),
        ("2_Mine", "mine.Pooling"),
    )
    with pytest.raises(ModelError, match=rf"not known: {MODULES}\.CNN, mine\.Pooling"):
        open_model(folder)


@pytest.mark.parametrize("modules", [(), (("1_Pooling", f"{MODULES}.Pooling"),)])
def test_no_encoder_in_the_first_place(folder: Path, modules: tuple[Any, ...]) -> None:
    write_modules(folder, *modules)
    with pytest.raises(ConversionError, match="expected one Transformer, in the first place"):
        read_modules(folder)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("modules.json", {}, "expected a JSON list"),
        ("modules.json", ["Transformer"], "expected modules with a 'type'"),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False}, "Received: none"),
        ("1_Pooling/config.json", {"pooling_mode_median_tokens": True}, "Received: median_tokens"),
        ("2_Dense/config.json", {"activation_function": "x.Mish"}, r"Received: 'x\.Mish'"),
        (
            "2_Dense/config.json",
            {"in_features": 8, "out_features": 5},
            r"expected linear\.weight \[5, 8\]",
        ),
    ],
)
def test_files_that_are_not_as_expected(
    folder: Path, file: str, content: Any, message: str
) -> None:
    write_json(folder / file, content)
    with pytest.raises(ConversionError, match=message):
        read_modules(folder)


def test_files_that_are_not_there(folder: Path) -> None:
    (folder / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(ConversionError, match=r"2_Dense has no model\.safetensors"):
        read_modules(folder)
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(ConversionError, match=r"config\.json is not there"):
        read_modules(folder)
    (folder / "modules.json").write_text("[")
    with pytest.raises(ConversionError, match="is no JSON"):
        read_modules(folder)
