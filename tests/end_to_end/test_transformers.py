"""Folders that we write give the same outputs in `transformers`, whatever their head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebert.models.task_model import open_model
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
