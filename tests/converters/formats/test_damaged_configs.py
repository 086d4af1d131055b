"""Configuration files with any content are read, or are a ConversionError."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.errors import ConversionError
from converters.formats.model_folder import recognise
from tests.damaged_json import damaged
from tests.golden.checkpoints import CHECKPOINTS

FILES = (
    ("BertForSequenceClassification", "config.json"),
    ("DistilBertForTokenClassification", "config.json"),
    ("ElectraForMaskedLM", "config.json"),
    ("SentenceTransformer", "config.json"),
    ("SentenceTransformer", "modules.json"),
    ("SentenceTransformer", "1_Pooling/config.json"),
    ("SentenceTransformer", "2_Dense/config.json"),
    ("SentenceTransformer", "sentence_bert_config.json"),
    ("SentenceTransformer", "config_sentence_transformers.json"),
)


@pytest.mark.parametrize(("folder", "file"), FILES, ids=["/".join(each) for each in FILES])
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(data=st.data())
def test_damaged_configs_are_read_or_an_error(
    tmp_path: Path, folder: str, file: str, data: st.DataObject
) -> None:
    copy = tmp_path / folder
    if not copy.exists():
        shutil.copytree(CHECKPOINTS / folder, copy)
    content = json.loads((CHECKPOINTS / folder / file).read_text(encoding="utf-8"))
    (copy / file).write_text(json.dumps(damaged(data, content)), encoding="utf-8")
    try:
        recognise(copy).read(copy, data.draw(st.booleans()))
    except ConversionError as error:
        assert str(error)
