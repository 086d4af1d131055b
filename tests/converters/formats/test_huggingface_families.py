"""BERT, DistilBERT and ELECTRA: read, computed and written as by `transformers`."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from converters import heads
from converters.checkpoint import GELU_EXACT, GELU_TANH, NO_POOLER, RELU, TANH, Checkpoint
from converters.errors import ConversionError
from converters.formats.huggingface import read_folder, write_folder
from converters.tflite.graph_heads import outputs_of
from converters.tflite.inference_graph import LOGITS, build_inference_graph, signature_key
from edgebert.errors import ModelError
from edgebert.models.litert_runtime import load_interpreter
from edgebert.models.task_model import open_model
from edgebert.settings import TaskSettings
from edgebert.tasks import task_named
from tests.converters.formats.test_huggingface import assert_same_checkpoint, edit_config
from tests.converters.tflite.test_inference_graph import FLOAT
from tests.golden.checkpoints import (
    CHECKPOINTS,
    checkpoint_inputs,
    checkpoint_output,
    next_sentence_output,
)

LABELS = ("bad", "so so", "good")
TAGS = ("O", "B-film", "I-film")
FOLDERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "BertModel": ("encoder", ()),
    "DistilBertModel": ("encoder", ()),
    "ElectraModel": ("encoder", ()),
    "ElectraForPreTraining": ("encoder", ()),
    "BertForSequenceClassification": ("classification", LABELS),
    "DistilBertForSequenceClassification": ("classification", LABELS),
    "ElectraForSequenceClassification": ("classification", LABELS),
    "BertMultiLabel": ("multi-label", LABELS),
    "DistilBertMultiLabel": ("multi-label", LABELS),
    "ElectraMultiLabel": ("multi-label", LABELS),
    "BertRegression": ("regression", ()),
    "DistilBertRegression": ("regression", ()),
    "ElectraRegression": ("regression", ()),
    "BertForTokenClassification": ("pos", LABELS),
    "DistilBertForTokenClassification": ("ner", TAGS),
    "ElectraForTokenClassification": ("ner", TAGS),
    "BertForQuestionAnswering": ("qa", ()),
    "DistilBertForQuestionAnswering": ("qa", ()),
    "ElectraForQuestionAnswering": ("qa", ()),
    "BertForMaskedLM": ("masked-lm", ()),
    "BertForPreTraining": ("masked-lm", ()),
    "DistilBertForMaskedLM": ("masked-lm", ()),
    "ElectraForMaskedLM": ("masked-lm", ()),
    "ElectraSmallModel": ("encoder", ()),
    "ElectraSmallForSequenceClassification": ("classification", LABELS),
    "ElectraSmallForTokenClassification": ("ner", TAGS),
    "ElectraSmallForQuestionAnswering": ("qa", ()),
    "ElectraSmallForMaskedLM": ("masked-lm", ()),
    "MobileBertModel": ("encoder", ()),
    "MobileBertForSequenceClassification": ("classification", LABELS),
    "MobileBertWithPooler": ("classification", LABELS),
    "MobileBertForTokenClassification": ("ner", TAGS),
    "MobileBertForQuestionAnswering": ("qa", ()),
    "MobileBertForMaskedLM": ("masked-lm", ()),
    "MobileBertForPreTraining": ("masked-lm", ()),
}
"""Every golden folder with its detected task and labels."""
MASKED_LMS = tuple(name for name, (task, _) in FOLDERS.items() if task == "masked-lm")
PRETRAINED = ("BertForPreTraining", "MobileBertForPreTraining")
OTHERS = tuple(name for name in FOLDERS if name not in MASKED_LMS)
CLASSIFIERS = {
    "BertForSequenceClassification": TANH,
    "DistilBertForSequenceClassification": RELU,
    "ElectraForSequenceClassification": GELU_EXACT,
    "ElectraSmallForSequenceClassification": GELU_EXACT,
    "MobileBertForSequenceClassification": NO_POOLER,
    "MobileBertWithPooler": TANH,
}
WRITTEN_AS = {
    "ElectraModel": "BertModel",
    "ElectraForPreTraining": "BertModel",
    "DistilBertModel": "BertModel",
    "DistilBertForTokenClassification": "BertForTokenClassification",
    "ElectraForTokenClassification": "BertForTokenClassification",
    "DistilBertForQuestionAnswering": "BertForQuestionAnswering",
    "ElectraForQuestionAnswering": "BertForQuestionAnswering",
    "DistilBertForMaskedLM": "BertForMaskedLM",
}
"""Folders that are written as a BERT with the same function."""
TOLERANCE = 1e-4


def own_inputs(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The golden inputs; a model without segments has one row for them."""
    inputs = checkpoint_inputs()
    if checkpoint.config.num_segments == 1:
        inputs["segment_ids"][:] = 0
    return inputs


def assert_same_outputs(output: np.ndarray, expected: np.ndarray) -> None:
    """Sets the outputs of padding to zero, which are not compared."""
    tokens = checkpoint_inputs()["padding_mask"].astype(bool)
    if expected.ndim == 3:
        output, expected = output[tokens], expected[tokens]
    np.testing.assert_allclose(output, expected, atol=TOLERANCE)


def graph_outputs(checkpoint: Checkpoint, folder: Path) -> np.ndarray:
    """The outputs of a `.tflite` graph for the golden inputs, `[2, ...]`; spans concatenated."""
    given = outputs_of(checkpoint)
    output = LOGITS if LOGITS in given else given[0]
    path = folder / "graph.tflite"
    path.write_bytes(build_inference_graph(checkpoint, [12], FLOAT, output).finish())
    run = load_interpreter(path, 1).get_signature_runner(signature_key(12))
    inputs, rows = own_inputs(checkpoint), []
    for row in range(2):
        named = run(**{key: value[row : row + 1] for key, value in inputs.items()})
        if checkpoint.head == heads.SPANS:
            rows.append(np.stack([named["start_logits"], named["end_logits"]], -1))
        else:
            rows.append(next(iter(named.values())))
    return np.concatenate(rows)


@pytest.mark.parametrize("name", FOLDERS)
def test_the_task_is_detected_from_the_head(name: str) -> None:
    model = open_model(CHECKPOINTS / name)
    assert (model.task.name, model.labels) == FOLDERS[name]
    asked = ["--pairs"] if name.endswith("Regression") else []
    asked += ["--task ner"] if model.task.name == "pos" else []
    notes = model.checkpoint.notes
    assert len(notes) == len(asked)
    assert all(option in note for option, note in zip(asked, notes, strict=True))
    assert bool(model.history) == bool(notes)


@pytest.mark.parametrize("name", OTHERS)
def test_outputs_equal_those_of_transformers(name: str) -> None:
    model = open_model(CHECKPOINTS / name)
    output = np.asarray(model.keras_model()(own_inputs(model.checkpoint)))
    assert_same_outputs(output, checkpoint_output(name))


@pytest.mark.parametrize("name", OTHERS)
def test_the_tflite_graph_gives_the_outputs_of_transformers(name: str, tmp_path: Path) -> None:
    checkpoint = read_folder(CHECKPOINTS / name)
    assert_same_outputs(graph_outputs(checkpoint, tmp_path), checkpoint_output(name))


@pytest.mark.parametrize(
    "name",
    [
        *CLASSIFIERS,
        "BertRegression",
        "BertForTokenClassification",
        "MobileBertForTokenClassification",
    ],
)
def test_the_training_graph_gives_the_outputs_of_transformers(name: str) -> None:
    from edgebert.training.fitting import build_frozen

    model = open_model(CHECKPOINTS / name)
    output = np.asarray(build_frozen(model)(own_inputs(model.checkpoint)))
    assert_same_outputs(output, checkpoint_output(name))


def masked_lm_outputs(keras_model: Any) -> dict[str, np.ndarray]:
    """The outputs of a masked LM for every token of the golden inputs, and next sentence logits."""
    places = np.tile(np.arange(12, dtype=np.int32), (2, 1))
    outputs = keras_model({**checkpoint_inputs(), "mask_places": places})
    return {name: np.asarray(value) for name, value in outputs.items()}


@pytest.mark.parametrize(
    ("name", "trained"),
    [*((name, False) for name in MASKED_LMS), *((name, True) for name in PRETRAINED)],
)
def test_masked_tokens_are_predicted_as_by_transformers(name: str, trained: bool) -> None:
    from edgebert.training.fitting import build_frozen

    model = open_model(CHECKPOINTS / name)
    outputs = masked_lm_outputs(build_frozen(model) if trained else model.keras_model())
    assert_same_outputs(outputs["logits"], checkpoint_output(name))
    assert ("next_sentence" in outputs) == name.endswith("ForPreTraining")
    if "next_sentence" in outputs:
        assert_same_outputs(outputs["next_sentence"], next_sentence_output(name))


@pytest.mark.parametrize("name", MASKED_LMS)
def test_the_tflite_graph_predicts_masked_tokens_as_transformers_does(
    name: str, tmp_path: Path
) -> None:
    """The golden inputs have no [MASK], so the graph uses their most common token as [MASK]."""
    inputs, expected = checkpoint_inputs(), checkpoint_output(name)
    asked = int(np.bincount(inputs["token_ids"][inputs["padding_mask"] == 1]).argmax())
    checkpoint = replace(
        read_folder(CHECKPOINTS / name), masked=heads.MaskedTokens(mask_id=asked, count=4)
    )
    output = graph_outputs(checkpoint, tmp_path)
    for row in range(2):
        places = np.flatnonzero(inputs["token_ids"][row] == asked)[:4]
        assert len(places)
        given = output[row, : len(places)]
        np.testing.assert_allclose(given, expected[row, places], atol=TOLERANCE)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_keeps_its_pooler_s_activation(name: str) -> None:
    assert read_folder(CHECKPOINTS / name).config.pooler_activation == CLASSIFIERS[name]


def test_electra_s_masked_lm_has_the_exact_gelu_in_its_head() -> None:
    config = read_folder(CHECKPOINTS / "ElectraForMaskedLM").config
    assert (config.activation, config.transform_activation) == (GELU_TANH, GELU_EXACT)


@pytest.mark.parametrize("name", FOLDERS)
def test_written_files_are_read_back(name: str, tmp_path: Path) -> None:
    model = open_model(CHECKPOINTS / name)
    again = open_model(model.save(tmp_path / "saved"))
    assert (again.task.name, again.labels) == (model.task.name, model.labels)
    assert again.history == model.history
    assert again.checkpoint.problem == model.checkpoint.problem
    assert_same_checkpoint(again.checkpoint, model.checkpoint)


@pytest.mark.parametrize("name", FOLDERS)
def test_written_folders_have_the_arrays_and_the_config_of_transformers(
    name: str, tmp_path: Path
) -> None:
    source = CHECKPOINTS / name
    write_folder(read_folder(source), tmp_path)
    expected = json.loads((source / "config.json").read_text())
    written = json.loads((tmp_path / "config.json").read_text())
    if name in WRITTEN_AS:
        assert written["architectures"] == [WRITTEN_AS[name]]
        same = json.loads((CHECKPOINTS / WRITTEN_AS[name] / "config.json").read_text())
        expected = {key: expected.get(key, same.get(key)) for key in written} | {
            key: same[key] for key in ("architectures", "model_type")
        }
        theirs = load_file(CHECKPOINTS / WRITTEN_AS[name] / "model.safetensors")
        poolers = {key for key in theirs if "pooler" in key}
        assert load_file(tmp_path / "model.safetensors").keys() >= theirs.keys() - poolers
    else:
        theirs = load_file(source / "model.safetensors")
        ours = load_file(tmp_path / "model.safetensors")
        assert ours.keys() == theirs.keys()
        for key, array in theirs.items():
            np.testing.assert_array_equal(ours[key], array, err_msg=key)
    free = {"problem_type", "position_embedding_type", "seq_classif_dropout"}
    if "problem_type" in expected:
        free.discard("problem_type")
    assert {key: expected.get(key) for key in written if key not in free} == {
        key: value for key, value in written.items() if key not in free
    }


def test_learned_segments_of_distilbert_are_added_to_its_positions(tmp_path: Path) -> None:
    checkpoint = read_folder(CHECKPOINTS / "DistilBertForSequenceClassification")
    row = np.arange(8, dtype=np.float32)[None]
    trained = checkpoint.with_weights({**checkpoint.weights, "embeddings.segment": row})
    write_folder(trained, tmp_path)
    written = load_file(tmp_path / "model.safetensors")[
        "distilbert.embeddings.position_embeddings.weight"
    ]
    np.testing.assert_array_equal(written, checkpoint.weights["embeddings.position"] + row)


def test_a_distilbert_classifier_has_no_segments() -> None:
    model = open_model(CHECKPOINTS / "DistilBertForSequenceClassification")
    assert set(model.tokenizer.encode("good movie", "bad movie").segment_ids) == {0}
    (batch,) = model.tokenizer.encode_batch(["good movie"], 5, ["bad movie"])
    assert (len(batch), set(batch.segment_ids)) == (5, {0})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_segments": 2}, "2 segments, whereas DistilBert has none"),
        ({"layer_norm_epsilon": 1e-6}, "a LayerNorm epsilon other than 1e-12: 1e-06"),
    ],
)
def test_checkpoints_that_distilbert_cannot_represent(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    checkpoint = read_folder(CHECKPOINTS / "DistilBertForSequenceClassification")
    with pytest.raises(ConversionError, match=message):
        write_folder(replace(checkpoint, config=replace(checkpoint.config, **changes)), tmp_path)


def test_a_base_with_a_projection_is_trained_with_electra_s_heads(tmp_path: Path) -> None:
    base = open_model(CHECKPOINTS / "ElectraSmallModel", as_base=True)
    assert base.checkpoint.config.embedding_size == 6
    for task, activation in (("classification", GELU_EXACT), ("masked-lm", GELU_EXACT)):
        settings = TaskSettings(task=task)
        prepared = task_named(task).prepare_checkpoint(base.checkpoint, settings)
        assert prepared.config.pooler_activation == activation
        assert prepared.config.transform_activation == activation


def test_a_projection_that_electra_cannot_represent(tmp_path: Path) -> None:
    checkpoint = read_folder(CHECKPOINTS / "ElectraSmallForSequenceClassification")
    config = replace(checkpoint.config, pooler_activation=TANH)
    with pytest.raises(ConversionError, match=r"Electra can't hold.*a pooler with tanh, whereas"):
        write_folder(replace(checkpoint, config=config), tmp_path)


@pytest.mark.parametrize("size", [-1, 0.5, "6", 10**6])
def test_a_wrong_embedding_size(size: Any, tmp_path: Path) -> None:
    shutil.copytree(CHECKPOINTS / "ElectraSmallModel", tmp_path, dirs_exist_ok=True)
    edit_config(tmp_path, embedding_size=size)
    with pytest.raises(ConversionError, match="embedding_size"):
        read_folder(tmp_path)


@pytest.mark.parametrize("folder", ["MobileBertForSequenceClassification"], indirect=True)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_bottleneck_attention": True}, "use_bottleneck_attention must be false, as in"),
        ({"normalization_type": "layer_norm"}, "normalization_type must be no_norm.*'layer_norm'"),
        ({"trigram_input": False, "use_bottleneck": False}, "trigram_input.*use_bottleneck must"),
        ({"embedding_size": 12}, "embedding_size must be below its hidden_size. Received: 12 and"),
        ({"intra_bottleneck_size": 0}, "intra_bottleneck_size must be a whole number, at least 1"),
        ({"intra_bottleneck_size": 9}, "bottleneck_size must be a multiple of num_heads"),
        ({"num_feedforward_networks": 4}, "arrays are missing: .*layers.0.feed_forwards.2"),
        ({"classifier_activation": "no"}, "classifier_activation must be true or false"),
        ({"architectures": None}, "expected its class in config.json. Received: none"),
    ],
)
def test_mobileberts_that_are_not_read(folder: Path, changes: dict[str, Any], message: str) -> None:
    edit_config(folder, **changes)
    with pytest.raises(ModelError, match=message):
        open_model(folder)


def test_a_saved_model_has_its_padding_id(tmp_path: Path) -> None:
    model = open_model(CHECKPOINTS / "BertModel")
    tokens = list(model.tokenizer.vocabulary.tokens)
    tokens[0], tokens[7] = tokens[7], tokens[0]
    moved = replace(
        model,
        tokenizer=type(model.tokenizer)(replace(model.tokenizer.vocabulary, tokens=tuple(tokens))),
    )
    moved.save(tmp_path / "moved")
    assert json.loads((tmp_path / "moved" / "config.json").read_text())["pad_token_id"] == 7


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a golden folder, to be damaged by a test."""
    return Path(shutil.copytree(CHECKPOINTS / request.param, tmp_path / request.param))


def edit_arrays(folder: Path, **changes: np.ndarray | None) -> None:
    """Adds arrays to a folder, or removes those that are None."""
    path = folder / "model.safetensors"
    arrays = {**load_file(path), **changes}
    save_file({name: value for name, value in arrays.items() if value is not None}, path)


def assert_left_out_of_a_base(folder: Path, message: str) -> None:
    """Checks that the folder is an error, and that as a base it is read with a note."""
    with pytest.raises(ModelError, match=message):
        open_model(folder)
    base = open_model(folder, as_base=True)
    assert base.task.name == "encoder"
    (note,) = base.checkpoint.notes
    assert note.startswith(f"{folder}: the head is left out: ")
    assert re.search(message, note)


@pytest.mark.parametrize(
    ("folder", "gone"),
    [
        ("BertForTokenClassification", "classifier.weight"),
        ("DistilBertForQuestionAnswering", "qa_outputs.weight"),
        ("ElectraForSequenceClassification", "classifier.out_proj.weight"),
        ("BertForMaskedLM", "cls.predictions.transform.dense.weight"),
        ("ElectraForMaskedLM", "generator_predictions.dense.weight"),
        ("BertForPreTraining", "cls.seq_relationship.weight"),
    ],
    indirect=["folder"],
)
def test_a_head_without_weights(folder: Path, gone: str) -> None:
    others = {"cls.seq_relationship.bias": None} if "seq_relationship" in gone else {}
    edit_arrays(folder, **{gone: None}, **others)
    assert_left_out_of_a_base(
        folder, rf"names {folder.name}, but the weights have no '{re.escape(gone)}'"
    )


@pytest.mark.parametrize("folder", ["BertForQuestionAnswering"], indirect=True)
def test_spans_of_another_width(folder: Path) -> None:
    wide = {"qa_outputs.weight": np.ones((3, 8), np.float32), "qa_outputs.bias": np.ones(3, "f4")}
    edit_arrays(folder, **wide)
    assert_left_out_of_a_base(folder, r"two outputs, start and end. Received: 3 in 'qa_outputs")


@pytest.mark.parametrize("folder", ["BertRegression"], indirect=True)
@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification"])
def test_one_output_that_is_not_a_regression(folder: Path, problem: str) -> None:
    edit_config(folder, problem_type=problem)
    if problem == "single_label_classification":
        assert_left_out_of_a_base(folder, f"problem_type '{problem}' and 1 outputs")
    else:
        assert open_model(folder).labels == ("LABEL_0",)


@pytest.mark.parametrize("folder", ["BertRegression"], indirect=True)
def test_one_output_without_a_problem_type_is_a_regression(folder: Path) -> None:
    edit_config(folder, problem_type=None)
    assert open_model(folder).task.name == "regression"


@pytest.mark.parametrize(
    ("folder", "decoder"),
    [
        ("BertForMaskedLM", "cls.predictions.decoder"),
        ("DistilBertForMaskedLM", "vocab_projector"),
        ("ElectraForMaskedLM", "generator_lm_head"),
    ],
    indirect=["folder"],
)
def test_an_untied_decoder(folder: Path, decoder: str) -> None:
    """A decoder that equals the embedding table is read; another or a missing one is an error."""
    expected = read_folder(folder)
    table = expected.weights["embeddings.token"]
    edit_config(folder, tie_word_embeddings=False)
    assert_left_out_of_a_base(folder, "a separate")
    edit_arrays(folder, **{f"{decoder}.weight": table})
    assert_same_checkpoint(read_folder(folder), expected)
    edit_config(folder, tie_word_embeddings=None)
    edit_arrays(folder, **{f"{decoder}.weight": table + 1})
    assert_left_out_of_a_base(folder, rf"expected a masked LM whose '{decoder}\.weight' is its")


@pytest.mark.parametrize("folder", ["BertForMaskedLM"], indirect=True)
def test_the_bias_of_a_masked_lm_has_two_names(folder: Path) -> None:
    expected = read_folder(folder)
    bias = expected.weights["masked_lm.bias"]
    edit_arrays(folder, **{"cls.predictions.bias": None, "cls.predictions.decoder.bias": bias})
    assert_same_checkpoint(read_folder(folder), expected)
    edit_arrays(folder, **{"cls.predictions.bias": bias + 1})
    assert_left_out_of_a_base(folder, "'cls.predictions.bias' to be equal")


@pytest.mark.parametrize("folder", ["BertForPreTraining"], indirect=True)
def test_a_pretrained_bert_with_the_class_of_a_masked_lm(folder: Path) -> None:
    """Google's released models on the hub have this class and both heads, which are read."""
    expected = read_folder(folder)
    edit_config(folder, architectures=["BertForMaskedLM"])
    assert_same_checkpoint(read_folder(folder), expected)
    edit_arrays(folder, **dict.fromkeys(["bert.pooler.dense.weight", "bert.pooler.dense.bias"]))
    assert not read_folder(folder).has_next_sentence
    edit_config(folder, architectures=["BertForPreTraining"])
    with pytest.raises(ModelError, match=r"2 arrays are missing: pooler\.kernel, pooler\.bias"):
        open_model(folder)


@pytest.mark.parametrize(
    "folder", [name for name in FOLDERS if name.startswith(("Bert", "Distil"))], indirect=True
)
def test_the_head_of_a_folder_without_a_class_is_detected_from_its_arrays(folder: Path) -> None:
    edit_config(folder, architectures=None)
    assert (open_model(folder).task.name, open_model(folder).labels) == FOLDERS[folder.name]


@pytest.mark.parametrize("folder", ["BertForSequenceClassification"], indirect=True)
@pytest.mark.parametrize("kind", ["BertForMultipleChoice", "BertForNextSentencePrediction"])
def test_a_class_whose_head_is_not_supported(folder: Path, kind: str) -> None:
    edit_config(folder, architectures=[kind])
    with pytest.raises(ModelError, match=f"Received: {kind}, whose head is not supported; it can"):
        open_model(folder)
    base = open_model(folder, as_base=True)
    assert base.checkpoint.notes == (
        f"{folder}: the head is left out: it is a {kind}, whose head is not supported.",
    )


@pytest.mark.parametrize("task", ["qa", "classification"])
def test_another_head_is_dropped_for_training(task: str) -> None:
    """A base keeps its head until a task with another head is trained."""
    base = open_model(CHECKPOINTS / "BertForTokenClassification", as_base=True)
    assert base.checkpoint.head == heads.TOKEN_CLASSIFIER
    prepared = task_named(task).prepare_checkpoint(base.checkpoint, TaskSettings(task=task))
    assert (prepared.head, prepared.labels) == (heads.ENCODER, ())


def test_masked_lms_that_transformers_cannot_represent(tmp_path: Path) -> None:
    checkpoint = read_folder(CHECKPOINTS / "BertForPreTraining")
    for changes, message in (
        ({"masked_lm_epsilon": 1e-5}, "a LayerNorm epsilon of 1e-05 in the masked LM's head"),
        ({"masked_lm_activation": RELU}, "Electra can't hold.*a masked LM's head with relu"),
        (
            {"masked_lm_activation": GELU_EXACT, "activation": RELU},
            "a head for next sentence prediction",
        ),
        ({"pooler_activation": RELU}, "a pooler with relu, whereas BERT has tanh"),
    ):
        config = replace(checkpoint.config, **changes)
        with pytest.raises(ConversionError, match=message):
            write_folder(replace(checkpoint, config=config), tmp_path)


def test_an_unused_pooler_that_bert_cannot_represent_is_left_out(
    tmp_path: Path,
) -> None:
    """A masked LM on the encoder of a DistilBERT classifier."""
    checkpoint = read_folder(CHECKPOINTS / "BertForPreTraining")
    weights = {k: v for k, v in checkpoint.weights.items() if not k.startswith("next_sentence")}
    config = replace(checkpoint.config, pooler_activation=RELU)
    write_folder(replace(checkpoint, config=config, weights=weights), tmp_path)
    assert not any("pooler" in name for name in load_file(tmp_path / "model.safetensors"))
