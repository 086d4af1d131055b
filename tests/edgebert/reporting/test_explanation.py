"""`edgebert explain`: the attention that it shows, and the page in a browser."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from matplotlib.image import imread

from converters.formats import keras_hub
from edgebert.cli import cli
from edgebert.models.attention import attention_weights, kept_heads
from edgebert.models.task_model import TaskModel
from edgebert.reporting.explanation import explain, explanation_html
from tests.edgebert.reporting.test_page import CUT, FAINT, OUTSIDE, PHONE_WIDTH
from tests.judges.chromium import Chromium, Viewport

TEXT = "the movie is <script>alert(1)</script> great & awful"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["explain", *map(str, arguments)])


def layer_norm(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, epsilon: float) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon) * scale + shift


def test_the_first_layer_equals_numpy(tiny_model: TaskModel) -> None:
    encoding = tiny_model.tokenizer.encode("the movie is great")
    found = attention_weights(tiny_model, encoding)
    config, weights = tiny_model.checkpoint.config, tiny_model.checkpoint.weights
    tokens = len(encoding)
    assert found.shape == (config.num_layers, config.num_heads, tokens, tokens)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
    embedded = (
        weights["embeddings.token"][list(encoding.token_ids)]
        + weights["embeddings.position"][:tokens]
        + weights["embeddings.segment"][list(encoding.segment_ids)]
    )
    x = layer_norm(
        embedded,
        weights["embeddings.norm.scale"],
        weights["embeddings.norm.bias"],
        config.layer_norm_epsilon,
    )
    parts = {}
    for part in ("query", "key"):
        name = f"layers.0.attention.{part}"
        flat = x @ weights[f"{name}.kernel"].T + weights[f"{name}.bias"]
        parts[part] = flat.reshape(tokens, config.num_heads, config.head_size)
    scores = np.einsum("ihd,jhd->hij", parts["query"], parts["key"]) / np.sqrt(config.head_size)
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    expected = exponents / exponents.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_pictures_hold_the_weights(tiny_model: TaskModel) -> None:
    found = explain(tiny_model, ["the movie is great"], "tiny")
    pictures = re.findall(r'href="data:image/png;base64,([^"]+)"', explanation_html(found))
    assert len(pictures) == found.kept.size
    opacity = imread(io.BytesIO(base64.b64decode(pictures[0])))[..., 3]
    np.testing.assert_allclose(opacity, np.sqrt(found.attention[0, 0]), atol=1 / 255)


def test_pruned_heads_are_left_out(tiny_model: TaskModel) -> None:
    weights = dict(tiny_model.checkpoint.weights)
    kernel = weights["layers.0.attention.output.kernel"].copy()
    kernel[:, : tiny_model.checkpoint.config.head_size] = 0
    weights["layers.0.attention.output.kernel"] = kernel
    model = TaskModel(
        tiny_model.checkpoint.with_weights(weights),
        tiny_model.tokenizer,
        tiny_model.max_length,
        tiny_model.task,
    )
    assert kept_heads(model)[0].tolist()[0] is False
    page = explanation_html(explain(model, ["great"], "tiny"))
    assert "Layer 1, 1 head pruned" in page
    assert "Layer 1, head 1<" not in page
    assert "Layer 2, head 1<" in page


@pytest.mark.parametrize("task", ["pairs", "qa"])
def test_two_texts(task: str, tiny_task_model: Callable[[str], TaskModel]) -> None:
    found = explain(tiny_task_model(task), ["the movie", "is great"], task)
    assert found.answer
    assert found.pieces.count("[SEP]") == 2
    assert 'class="second"' in explanation_html(found)


def test_a_bare_encoder_has_attention_without_an_answer(tiny_encoder: TaskModel) -> None:
    found = explain(tiny_encoder, ["the movie"], "encoder")
    assert found.answer == ""
    assert "<h2>Answer</h2>" not in explanation_html(found)


def test_the_command(tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    result = call(tiny_folder, TEXT, "-o", out, "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["pieces"][0] == "[CLS]"
    assert len(content["pieces"]) == len(content["token_ids"])
    page = out.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)


def test_the_terminal_gets_no_control_characters(tiny_folder: Path, tmp_path: Path) -> None:
    result = call(tiny_folder, "great \x1b]0;title\x07", "-o", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    assert "great" in result.stdout
    assert "\x1b" not in result.stdout


def test_wrong_input(tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    missing = call(tmp_path / "model.tflite", "text", "-o", out)
    assert missing.exit_code == 2
    assert "Expected a model folder" in missing.output
    assert call(tiny_folder, "one", "two", "three", "-o", out).exit_code == 2
    assert not out.exists()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("text", [TEXT, "great " * 38])
def test_a_phone_shows_all_of_it(
    text: str, dark: bool, tiny_model: TaskModel, chromium: Chromium, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    name = "a_long_name_of_a_model_" * 4
    out.write_text(explanation_html(explain(tiny_model, [text], name)), encoding="utf-8")
    page = chromium.open(out.as_uri(), Viewport(PHONE_WIDTH, 844, mobile=True, dark=dark))
    page.wait_for("document.readyState === 'complete'")
    assert page.evaluate("document.scrollingElement.scrollWidth") == PHONE_WIDTH
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(CUT) == []
    assert page.evaluate(FAINT) == []
    assert page.evaluate("document.scripts.length") == 0
    assert [url for url in page.requests if not url.startswith("data:")] == [out.as_uri()]
    assert page.problems == []
    page.close()


def test_weights_cover_the_backbone(tiny_model: TaskModel) -> None:
    """No weight of the encoder keeps its random initial value."""
    config = tiny_model.checkpoint.config
    backbone = keras_hub.build_backbone(config, dropout=0.0)
    missing = keras_hub.load_weights(backbone, tiny_model.checkpoint.weights, config)
    assert {name for name in missing if not name.startswith("pooler.")} == set()
