"""Targets of model folders: configurations, weights and tokenizers of all checkpoint formats."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from safetensors.numpy import save

from converters.checkpoint import BertConfig
from converters.crc32c import crc32c
from converters.formats import (
    huggingface,
    keras_hub_preset,
    keras_hub_tasks,
    model_folder,
    tf1,
    tf1_arrays,
)
from converters.formats.keras_arrays import ArrayFiles
from converters.vocabulary import Vocabulary, read_vocabulary, write_vocabulary
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.models.task_model import SIDECAR, TaskModel, open_model
from edgebert.settings import TASKS
from edgebert.tasks.examples import features_of
from tests.conftest import TINY_TOKENS
from tests.fuzz.mutations import Mutate, mutate_bytes, mutate_json
from tests.fuzz.targets import Case, Target, written
from tests.golden import make_unigram_cases
from tests.golden.checkpoints import CHECKPOINTS
from tests.tiny_presets import split_arrays, write_preset
from tests.tiny_tasks import random_task_model

TEXT = "The movie is good, today!"
CONFIG = BertConfig(
    vocab_size=len(TINY_TOKENS),
    hidden_size=8,
    num_layers=1,
    num_heads=2,
    intermediate_size=8,
    max_positions=24,
)
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def tiny(task: str) -> TaskModel:
    """The tiny model of a task."""
    vocabulary = Vocabulary(tokens=TINY_TOKENS, lowercase=True)
    return random_task_model(CONFIG, Tokenizer(vocabulary), task)


def _open(folder: Path) -> Callable[[Path], object]:
    """Opens the folder of the written file, half of the time as a base."""

    def read(path: Path) -> object:
        return open_model(folder, as_base=bool(path.stat().st_size % 2))

    return read


def _file_case(folder: Path, name: str, mutate: Mutate, read: Any = None) -> Case:
    """Damages one file of a folder and opens the folder."""
    path = folder / name
    seeds = [path.read_bytes()] if path.is_file() else [b"{}"]
    return Case(f"{folder.name}/{name}", seeds, mutate, written(path, read or _open(folder)))


def _reading_weights_once(cases: Sequence[Case]) -> list[Case]:
    """The same cases; weights and vocabularies, which are other targets, are read once."""
    read_arrays = functools.cache(huggingface._read_arrays)
    read_words = functools.cache(read_vocabulary)
    mock.patch.object(huggingface, "_read_arrays", lambda folder: dict(read_arrays(folder))).start()
    mock.patch.object(model_folder, "read_vocabulary", read_words).start()
    return list(cases)


def _configs(folder: Path) -> list[Case]:
    names = ("BertForSequenceClassification", "DistilBertForTokenClassification")
    names += ("ElectraForMaskedLM", "BertForPreTraining", "BertRegression", "BertMultiLabel")
    names += ("BertForQuestionAnswering", "ElectraForSequenceClassification", "BertModel")
    copies = [Path(shutil.copytree(CHECKPOINTS / name, folder / name)) for name in names]
    return _reading_weights_once([_file_case(copy, "config.json", mutate_json) for copy in copies])


def _sidecars(folder: Path) -> list[Case]:
    cases = []
    for task in TASKS:
        saved = tiny(task).save(folder / task)
        cases.append(_file_case(saved, SIDECAR, mutate_json, _answering(saved)))
    return _reading_weights_once(cases)


def _answering(folder: Path) -> Callable[[Path], object]:
    """Opens a folder and decodes an output of zeros, so that the settings of answers are used."""

    def read(path: Path) -> object:
        model = open_model(folder)
        if not model.task.has_answers:
            return None
        examples = [model.task.example(*[TEXT] * model.task.texts_of(model.decoding))]
        features = features_of(model, examples, model.max_length)
        outputs = [_zeros(model, len(encoding)) for encoding in features.encodings]
        return model.task.answers(outputs, features, model.facts)

    return read


def _zeros(model: TaskModel, tokens: int) -> np.ndarray:
    checkpoint = model.checkpoint
    shapes = {
        "spans": (tokens, 2),
        "sentence": (checkpoint.config.hidden_size,),
        "token_classifier": (tokens, len(model.labels)),
        "masked_lm": (tokens, checkpoint.config.vocab_size),
    }
    outputs = max(len(model.labels), 1)
    return np.zeros(shapes.get(checkpoint.head.replace("-", "_"), (outputs,)), np.float32)


def _sentence_modules(folder: Path) -> list[Case]:
    copy = Path(shutil.copytree(CHECKPOINTS / "SentenceTransformer", folder / "sentences"))
    names = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
    names += ("1_Pooling/config.json", "2_Dense/config.json", "config.json")
    return _reading_weights_once([_each_alone(copy, name) for name in names])


def _each_alone(folder: Path, name: str) -> Case:
    """A case in a copy of the folder, so that the cases don't see each other's damage."""
    copy = folder.with_name(f"{folder.name}-{name.replace('/', '-')}")
    shutil.copytree(folder, copy)
    return _file_case(copy, name, mutate_json)


def _weight_index(folder: Path) -> list[Case]:
    saved = tiny("classification").save(folder / "sharded")
    arrays = huggingface.read_safetensors(saved / huggingface.WEIGHTS_FILE)
    (saved / huggingface.WEIGHTS_FILE).rename(saved / "part.safetensors")
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(arrays, "part.safetensors")}
    (saved / huggingface.INDEX_FILE).write_text(json.dumps(index))
    return [_file_case(saved, huggingface.INDEX_FILE, mutate_json)]


def _safetensors(folder: Path) -> list[Case]:
    rng = np.random.default_rng(0)
    arrays = {"a": rng.normal(size=(2, 3)).astype(np.float32), "b": np.zeros(2, np.float16)}
    seeds = [save(arrays), save({**arrays, "ids": np.arange(3)}), save({"one": np.ones(1)})]
    path = folder / "model.safetensors"
    alone = Case("arrays", seeds, mutate_bytes, written(path, huggingface.read_safetensors))
    headers = [data[8 : 8 + int.from_bytes(data[:8], "little")] for data in seeds]

    def with_header(data: bytes) -> object:
        path.write_bytes(len(data).to_bytes(8, "little") + data + seeds[0][-28:])
        return huggingface.read_safetensors(path)

    saved = tiny("classification").save(folder / "whole")
    whole = _file_case(saved, huggingface.WEIGHTS_FILE, mutate_bytes)
    return [alone, alone, Case("header", headers, mutate_json, with_header), whole]


def _tf1_weights(folder: Path) -> list[Case]:
    cases = []
    for name in ("GoogleTF1", "GoogleTF1Squad"):
        for ending in (".index", ".data-00000-of-00001"):
            copy = Path(shutil.copytree(CHECKPOINTS / name, folder / f"{name}{ending}"))
            (path,) = copy.glob(f"*{ending}")
            cases.append(_file_case(copy, path.name, mutate_bytes, _read_tf1))
    return [*cases, cases[0], _tf1_block(_copy_tf1(folder))]


def _copy_tf1(folder: Path) -> Path:
    return Path(shutil.copytree(CHECKPOINTS / "GoogleTF1", folder / "block"))


def _tf1_block(folder: Path) -> Case:
    """A damaged block of an index, with the checksum of what it holds."""
    (path,) = folder.glob("*.index")
    data = path.read_bytes()
    (next_block, _), _ = tf1_arrays._handle(data[-48:], 0)
    seed = data[: next_block - 5]

    def with_checksum(block: bytes) -> object:
        path.write_bytes(_table(block))
        return _read_tf1(path)

    return Case(f"{folder.name}/block", [seed], mutate_bytes, with_checksum)


def _table(block: bytes) -> bytes:
    """A table of LevelDB's format with one block."""
    handle = b"\0" + _varint(len(block))
    pointer = bytes((0, 1, len(handle))) + b"~" + handle + bytes(4) + b"\x01\0\0\0"
    first = _sealed(block)
    footer = b"\0\0" + _varint(len(first)) + _varint(len(pointer))
    return (
        first + _sealed(pointer) + footer.ljust(40, b"\0") + tf1_arrays.MAGIC.to_bytes(8, "little")
    )


def _sealed(block: bytes) -> bytes:
    checksum = crc32c(block + b"\0")
    masked = ((checksum >> 15 | checksum << 17) + tf1_arrays.MASK) % 2**32
    return block + b"\0" + masked.to_bytes(4, "little")


def _varint(value: int) -> bytes:
    data = b""
    while value > 127:
        data, value = data + bytes((value & 127 | 128,)), value >> 7
    return data + bytes((value,))


def _tf1_config(folder: Path) -> list[Case]:
    copy = Path(shutil.copytree(CHECKPOINTS / "GoogleTF1", folder / "tf1"))
    return [_file_case(copy, tf1.CONFIG_FILE, mutate_json, _read_tf1)]


def _read_tf1(path: Path) -> object:
    return tf1.read_folder(path.parent, as_base=bool(path.stat().st_size % 2))


def _presets(folder: Path) -> list[Path]:
    """Presets of keras-hub; the last one has its arrays in two files with an index."""
    tasks = ("classification", "masked-lm", "embeddings")
    for task in tasks:
        model = tiny(task)
        write_preset(model.checkpoint, model.tokenizer.vocabulary, folder / task)
    split_arrays(folder / tasks[-1])
    return [folder / task for task in tasks]


def _preset_files(folder: Path, ending: str, mutate: Mutate) -> list[Case]:
    cases = []
    for saved in _presets(folder):
        for path in sorted(saved.glob(f"*{ending}")):
            copy = Path(shutil.copytree(saved, folder / f"{saved.name}-{path.name}"))
            cases.append(_file_case(copy, path.name, mutate))
    return cases


def _preset_json(folder: Path) -> list[Case]:
    """The JSON files; the files of weights, which are another target, are opened once."""
    open_once = functools.cache(ArrayFiles)

    def opened(paths: Iterable[Path], name: Path) -> ArrayFiles:
        return open_once(tuple(paths), name)

    for module in (keras_hub_preset, keras_hub_tasks):
        mock.patch.object(module, "ArrayFiles", opened).start()
    mock.patch.object(ArrayFiles, "__exit__", lambda *_: None).start()
    return _preset_files(folder, ".json", mutate_json)


def _preset_weights(folder: Path) -> list[Case]:
    return _preset_files(folder, ".h5", mutate_bytes)


def _tokenizers(folder: Path) -> list[Case]:
    saved = tiny("classification").save(folder / "tokenizer")
    (saved / "added_tokens.json").write_text(json.dumps({"[MASK]": 4}))
    cases = []
    for name in (*_TOKENIZER_FILES, "added_tokens.json"):
        copy = Path(shutil.copytree(saved, folder / name))
        cases.append(_file_case(copy, name, mutate_json, _tokenizing))
    alone = Path(shutil.copytree(saved, folder / "tokenizer-alone"))
    (alone / "vocab.txt").unlink()
    return [*cases, _file_case(alone, "tokenizer.json", mutate_json, _tokenizing)]


def _unigrams(folder: Path) -> list[Case]:
    """Unigram tokenizers of a few pieces: the files of XLM-RoBERTa and sentence-transformers."""
    with mock.patch.object(make_unigram_cases, "all_texts", lambda: [TEXT, "a\u0301b"]):
        vocabularies = make_unigram_cases.make_vocabularies()
    cases = []
    for name, vocabulary in vocabularies.items():
        write_vocabulary(vocabulary, folder / name)
        for path in sorted((folder / name).glob("*.json")):
            copy = Path(shutil.copytree(folder / name, folder / f"{name}-{path.name}"))
            cases.append(_file_case(copy, path.name, mutate_json, _tokenizing))
    return cases


def _vocab_txt(folder: Path) -> list[Case]:
    saved = tiny("classification").save(folder / "words")
    (saved / "tokenizer.json").unlink()
    return [_file_case(saved, "vocab.txt", mutate_bytes, _tokenizing)]


def _tokenizing(path: Path) -> object:
    tokenizer = Tokenizer(read_vocabulary(path.parent))
    return tokenizer.encode(TEXT, "a\u0301b [MASK] \U0001f600", 12)


def _labels(folder: Path) -> list[Case]:
    from converters.formats.label_file import LABELS_FILE, read_labels

    path = folder / LABELS_FILE
    seeds = [b"no\nyes\nmaybe\n", "nein\nja\nzw\u00f6lf\n".encode()]
    return [Case("labels", seeds, mutate_bytes, written(path, lambda p: read_labels(folder, 3)))]


TARGETS = (
    Target("config-json", _configs),
    Target("edgebert-json", _sidecars),
    Target("sentence-transformers", _sentence_modules),
    Target("weight-index", _weight_index),
    Target("safetensors", _safetensors),
    Target("tf1-checkpoint", _tf1_weights),
    Target("bert-config", _tf1_config),
    Target("keras-hub-json", _preset_json),
    Target("keras-hub-weights", _preset_weights),
    Target("tokenizer-json", _tokenizers),
    Target("unigram-json", _unigrams),
    Target("vocab-txt", _vocab_txt),
    Target("labels-txt", _labels),
)
