"""sentence-transformers folders: the encoder, pooling, dense layers and normalization."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from converters.errors import ConversionError
from converters.formats.sentence_transformers import read_modules
from converters.heads import POOLINGS, SentenceHead
from edgebert.cli import cli
from edgebert.errors import ModelError, UsageError
from edgebert.evaluation.predictors import KerasPredictor, open_predictor, predict
from edgebert.exporting.artifact import export
from edgebert.models.task_model import open_model
from edgebert.settings import ExportSettings
from edgebert.tasks import task_of_checkpoint
from edgebert.tasks.foreign import TaskRequest
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
    """An encoder in a separate folder, mean and max pooling, a dense layer, normalization."""
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


def pooling_of(folder: Path) -> tuple[str, ...]:
    head = read_modules(folder).head
    assert head is not None
    return head.pooling


def test_the_head_is_read(folder: Path) -> None:
    modules = read_modules(folder)
    assert modules.encoder == folder / "0_Transformer"
    assert modules.head == SentenceHead(("mean",), ("tanh",), normalize=True)
    assert (modules.max_length, modules.lowercase) == (9, False)
    np.testing.assert_array_equal(modules.weights["sentence.dense.0.kernel"], KERNEL)
    np.testing.assert_array_equal(modules.weights["sentence.dense.0.bias"], np.ones(4))


def test_it_opens_as_a_model_of_embeddings(folder: Path) -> None:
    model = open_model(folder)
    assert (model.task.name, model.max_length) == ("embeddings", 9)
    assert model.checkpoint.sentence == SentenceHead(("mean",), ("tanh",), normalize=True)
    np.testing.assert_array_equal(model.checkpoint.weights["sentence.dense.0.kernel"], KERNEL)
    (entry,) = model.history
    assert entry == {
        "stage": "open",
        "format": "sentence-transformers folder",
        "pooling": ["mean"],
        "dense": [{"inputs": 8, "outputs": 4, "activation": "tanh"}],
        "normalize": True,
        "notes": [],
    }


def test_a_saved_model_is_read_back(folder: Path, tmp_path: Path) -> None:
    model = open_model(folder)
    out = tmp_path / "out"
    for _ in range(2):  # the second time into a folder that is there
        model.save(out)
    opened = open_model(out)
    assert (opened.task.name, opened.max_length, opened.history) == ("embeddings", 9, model.history)
    assert opened.checkpoint.sentence == model.checkpoint.sentence
    assert opened.checkpoint.weights.keys() == model.checkpoint.weights.keys()
    for name, array in model.checkpoint.weights.items():
        np.testing.assert_array_equal(opened.checkpoint.weights[name], array)


@pytest.mark.parametrize("pooling", [*((name,) for name in POOLINGS), ("mean", "max"), POOLINGS])
def test_every_pooling_is_read_back(folder: Path, tmp_path: Path, pooling: tuple[str, ...]) -> None:
    model = open_model(folder)
    checkpoint = replace(model.checkpoint, sentence=SentenceHead(pooling, (), normalize=False))
    replace(model, checkpoint=checkpoint).save(tmp_path / "out")
    assert open_model(tmp_path / "out").checkpoint.sentence == checkpoint.sentence


def test_another_model_saved_to_the_same_folder_has_no_modules(
    folder: Path, tmp_path: Path
) -> None:
    model = open_model(folder)
    model.save(tmp_path / "out")
    bare = replace(model.checkpoint, sentence=None)
    replace(model, checkpoint=bare, task=task_of_checkpoint(bare)).save(tmp_path / "out")
    assert open_model(tmp_path / "out").task.name == "encoder"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        # Flags have a fixed order, whatever that of the file: the library's.
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, ("max", "mean")),
        ({"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}, ("cls", "max")),
        ({"pooling_mode": "lasttoken"}, ("last",)),
        ({"pooling_mode": ["mean", "max"]}, ("mean", "max")),
    ],
)
def test_poolings(folder: Path, config: dict[str, Any], expected: tuple[str, ...]) -> None:
    write_json(folder / "1_Pooling" / "config.json", config)
    assert pooling_of(folder) == expected


def test_a_dense_layer_without_a_bias(folder: Path) -> None:
    config = json.loads((folder / "2_Dense" / "config.json").read_text())
    write_json(folder / "2_Dense" / "config.json", {**config, "bias": False})
    save_file({"linear.weight": KERNEL}, folder / "2_Dense" / "model.safetensors")
    assert not read_modules(folder).weights["sentence.dense.0.bias"].any()


def test_the_input_size_of_a_dense_layer_is_checked(folder: Path) -> None:
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode": ["mean", "max"]})
    with pytest.raises(
        ModelError, match=r"expects 8 inputs\. Received: 16, from mean, max pooling"
    ):
        open_model(folder)


def test_lowercasing_stated_by_the_folder(folder: Path) -> None:
    encoder = folder / "0_Transformer"
    config = json.loads((encoder / "tokenizer_config.json").read_text())
    cased = {**config, "do_lower_case": False, "strip_accents": None}
    write_json(encoder / "tokenizer_config.json", cased)
    (encoder / "tokenizer.json").unlink(missing_ok=True)
    assert not open_model(folder).tokenizer.vocabulary.lowercase
    write_json(encoder / "sentence_bert_config.json", {"do_lower_case": True})
    vocabulary = open_model(folder).tokenizer.vocabulary
    assert (vocabulary.lowercase, vocabulary.strip_accents) == (True, False)


PROMPTS = {"query": "query: ", "passage": "a long passage: "}


def write_prompts(folder: Path, default: str | None = "query") -> None:
    """Adds prompts, and leaves out the dense layer, which gives one vector for all texts."""
    modules = json.loads((folder / "modules.json").read_text())
    kept = [module for module in modules if not module["type"].endswith((".Dense", ".Normalize"))]
    write_json(folder / "modules.json", kept)
    content = {"prompts": PROMPTS, "default_prompt_name": default}
    write_json(folder / "config_sentence_transformers.json", content)


def test_the_default_prompt_is_put_before_every_text(folder: Path, tmp_path: Path) -> None:
    write_prompts(folder)
    model = open_model(folder)
    plain = KerasPredictor(replace(model, decoding={}))
    assert model.decoding == {"prompts": PROMPTS, "prompt": "query: "}
    saved = model.save(tmp_path / "saved")
    (saved / "edgebert.json").unlink()  # sentence-transformers' own files have the prompts
    assert open_model(saved).decoding == model.decoding
    settings = ExportSettings(recipe="float32", length=9)
    file = export(model, tmp_path / "m.tflite", settings)
    assert file.manifest.decoding == model.decoding
    vectors: list[list[float]] = []
    for prompt, text in {"": "query: ", "query": "query: ", "passage": "a long passage: "}.items():
        (expected,) = predict(plain, text + "a")
        vectors.append(expected["embedding"])
        for path in (folder, file.path):
            (got,) = predict(open_predictor(path, request=TaskRequest(prompt=prompt)), "a")
            assert got["text"] == "a"
            np.testing.assert_allclose(got["embedding"], expected["embedding"], atol=1e-5)
    (expected,) = predict(plain, "a")
    for vector in vectors:
        assert np.abs(np.subtract(vector, expected["embedding"])).max() > 1e-3
    assert np.abs(np.subtract(vectors[0], vectors[2])).max() > 1e-3
    for path in (folder, file.path):
        (got,) = predict(open_predictor(path, request=TaskRequest(prompt="none")), "a")
        np.testing.assert_allclose(got["embedding"], expected["embedding"], atol=1e-5)
        with pytest.raises(UsageError, match=r"prompts \(query, passage\), or none. Received: x"):
            open_predictor(path, request=TaskRequest(prompt="x"))


def test_a_prompt_is_chosen_by_its_name_on_the_command_line(folder: Path) -> None:
    write_prompts(folder)
    answers = {}
    for name in ("", "query", "passage", "none"):
        given = ["--prompt", name] if name else []
        run = CliRunner().invoke(cli, ["predict", str(folder), "a", "--json", *given])
        assert run.exit_code == 0, run.output
        answers[name] = run.stdout
    assert answers[""] == answers["query"]
    assert len(set(answers.values())) == 3
    run = CliRunner().invoke(cli, ["predict", str(folder), "a", "--prompt", "x"])
    assert run.exit_code == 2


def test_prompts_without_a_default_change_nothing(folder: Path) -> None:
    write_prompts(folder, None)
    assert open_model(folder).decoding == {"prompts": PROMPTS}
    write_prompts(folder, "missing")
    with pytest.raises(ModelError, match="the name of one or null as default_prompt_name"):
        open_model(folder)


def test_a_pooling_without_the_prompt_is_noted(folder: Path) -> None:
    write_prompts(folder)
    (path,) = folder.glob("*Pooling/config.json")
    write_json(path, {**json.loads(path.read_text()), "include_prompt": False})
    model = open_model(folder)
    assert model.decoding == {}
    assert "edgebert adds no prompt to texts" in model.checkpoint.notes[0]


def test_modules_of_newer_releases_are_detected_by_their_class(folder: Path) -> None:
    write_modules(folder, ("0_Transformer", "sentence_transformers.base.modules.x.Transformer"))
    assert read_modules(folder).head is None
    assert open_model(folder).task.name == "encoder"


@pytest.mark.parametrize(
    "kinds", [("Normalize",), ("Dense", "Pooling"), ("Pooling", "Normalize", "Dense")]
)
def test_an_unknown_order_of_modules(folder: Path, kinds: tuple[str, ...]) -> None:
    paths = {"Pooling": "1_Pooling", "Dense": "2_Dense", "Normalize": "3_Normalize"}
    modules = [(paths[kind], f"{MODULES}.{kind}") for kind in kinds]
    write_modules(folder, ("0_Transformer", f"{MODULES}.Transformer"), *modules)
    with pytest.raises(ConversionError, match=f"in this order. Received: {', '.join(kinds)}"):
        read_modules(folder)


def test_unknown_modules_are_all_named(folder: Path) -> None:
    write_modules(
        folder,
        ("0_Transformer", f"{MODULES}.Transformer"),
        ("1_CNN", f"{MODULES}.CNN"),
        ("2_Mine", "mine.Pooling"),
    )
    with pytest.raises(ModelError, match=rf"Received: {MODULES}\.CNN, mine\.Pooling"):
        open_model(folder)


@pytest.mark.parametrize("modules", [(), (("1_Pooling", f"{MODULES}.Pooling"),)])
def test_the_encoder_must_be_the_first_module(folder: Path, modules: tuple[Any, ...]) -> None:
    write_modules(folder, *modules)
    with pytest.raises(
        ConversionError, match="expected exactly one Transformer, as the first module"
    ):
        read_modules(folder)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("modules.json", {}, "expected a JSON list"),
        ("modules.json", ["Transformer"], "expected modules with a 'type'"),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False}, "Received: none"),
        ("1_Pooling/config.json", {"pooling_mode_median_tokens": True}, "Received: median_tokens"),
        ("2_Dense/config.json", {"activation_function": "x.Mish"}, r"Received: 'x\.Mish'"),
        ("2_Dense/config.json", {"use_residual": True}, r"without a residual\. Received: use_res"),
        (
            "3_Normalize/config.json",
            {"module_input_name": "token_embeddings"},
            "module_input_name 'token_embeddings'",
        ),
        (
            "2_Dense/config.json",
            {"in_features": 8, "out_features": 5},
            r"expected linear\.weight \[5, 8\]",
        ),
    ],
)
def test_files_with_wrong_content(folder: Path, file: str, content: Any, message: str) -> None:
    write_json(folder / file, content)
    with pytest.raises(ConversionError, match=message):
        read_modules(folder)


def test_missing_files(folder: Path) -> None:
    (folder / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(ConversionError, match=r"2_Dense has no model\.safetensors"):
        read_modules(folder)
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(ConversionError, match=r"config\.json is missing"):
        read_modules(folder)
    (folder / "modules.json").write_text("[")
    with pytest.raises(ConversionError, match="Received: no JSON"):
        read_modules(folder)
