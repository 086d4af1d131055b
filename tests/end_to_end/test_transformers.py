"""Folders that we write give the same outputs in `transformers`, whatever their head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebert.encoding.encoded_rows import encode_rows
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pruning.hidden_size import narrow_hidden_size
from edgebert.system.progress import silent
from edgebert.tasks.probabilities import log_softmax
from tests.converters.formats.test_huggingface_families import (
    FOLDERS,
    PRETRAINED,
    assert_same_outputs,
)
from tests.golden.checkpoints import (
    CHECKPOINTS,
    checkpoint_inputs,
    checkpoint_output,
    next_sentence_output,
    tf1_output,
)
from tests.judges import transformers_outputs

GOOGLE = ("GoogleTF1", "GoogleTF1Squad", "GoogleTF1Pretraining")
NARROWED = (
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
    "ElectraSmallForSequenceClassification",
)
"""Golden folders whose hidden size is also halved."""


def narrowed(name: str) -> TaskModel:
    """A golden model with half of its hidden size, which leaves half of its heads."""
    model = open_model(CHECKPOINTS / name)
    config, weights = model.checkpoint.config, dict(model.checkpoint.weights)
    size = config.hidden_size // 2
    for i in range(config.num_layers):
        kernel = weights[f"layers.{i}.attention.output.kernel"].copy()
        kernel[:, size:] = 0
        weights[f"layers.{i}.attention.output.kernel"] = kernel
    pruned = model.checkpoint.with_weights(weights)
    rows = encode_rows(model.tokenizer, ["good movie", "a bad film", "so so"], 12)
    narrow = narrow_hidden_size(model.checkpoint, pruned, size, rows, silent)
    return replace(model, checkpoint=narrow)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What `transformers` makes of every golden folder after we have read and written it."""
    python = transformers_outputs.find_python()
    if python is None:
        pytest.skip(
            "no transformers: set "
            f"{transformers_outputs.PYTHON_VARIABLE} to a Python that has it and torch"
        )
    work = tmp_path_factory.mktemp("written")
    names = [*FOLDERS, *GOOGLE]
    folders: list[Path] = [open_model(CHECKPOINTS / name).save(work / name) for name in names]
    folders += [narrowed(name).save(work / f"Narrow{name}") for name in NARROWED]
    return transformers_outputs.outputs_of(python, folders, checkpoint_inputs(), work)


@pytest.mark.parametrize("name", FOLDERS)
def test_outputs_are_those_before_the_trip(name: str, outputs: dict[str, np.ndarray]) -> None:
    assert_same_outputs(outputs[name], checkpoint_output(name))


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_next_sentence_too(name: str, outputs: dict[str, np.ndarray]) -> None:
    told = outputs[name + transformers_outputs.NEXT_SENTENCE]
    assert_same_outputs(told, next_sentence_output(name))


def test_google_s_models_compute_there_what_they_did_in_tf1(
    outputs: dict[str, np.ndarray],
) -> None:
    assert_same_outputs(outputs["GoogleTF1"], tf1_output("logits"))
    assert_same_outputs(outputs["GoogleTF1Squad"], tf1_output("spans"))
    tokens = log_softmax(outputs["GoogleTF1Pretraining"])
    assert_same_outputs(tokens, tf1_output("masked_lm"))
    following = outputs["GoogleTF1Pretraining" + transformers_outputs.NEXT_SENTENCE]
    assert_same_outputs(log_softmax(following), tf1_output("next_sentence"))


@pytest.mark.parametrize("name", NARROWED)
def test_a_narrowed_model_computes_there_what_it_does_here(
    name: str, outputs: dict[str, np.ndarray]
) -> None:
    told = outputs[f"Narrow{name}"]
    assert np.isfinite(told).all()
    ours = narrowed(name).keras_model()(checkpoint_inputs(), training=False)
    assert_same_outputs(told, np.asarray(ours))
