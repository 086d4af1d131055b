"""Settings from tables: every problem is named at once."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from edgebert import settings
from edgebert.errors import UsageError
from edgebert.settings import ExportSettings, FinetuneSettings, ProfileSettings, from_table


def test_a_table_becomes_settings() -> None:
    made = from_table(
        FinetuneSettings, {"epochs": 2, "learning-rate": 1, "precision": "bfloat16"}, "[finetune]"
    )
    assert (made.epochs, made.learning_rate, made.precision) == (2, 1.0, "bfloat16")
    assert from_table(ProfileSettings, {"threads": [1, 2]}, "[profile]").threads == (1, 2)


def test_all_problems_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        from_table(ExportSettings, {"recipe": "int3", "legnth": 4, "length": "long"}, "[export]")
    text = str(caught.value)
    assert "'recipe' is one of" in text
    assert "'legnth' is not a setting of [export]" in text
    assert "'length' takes a int" in text


@pytest.mark.parametrize("value", [True, 1.5, "2"])
def test_whole_numbers_stay_whole(value: object) -> None:
    with pytest.raises(UsageError, match="'epochs' takes"):
        from_table(FinetuneSettings, {"epochs": value}, "[finetune]")


def test_every_setting_has_help_and_a_valid_default() -> None:
    for kind in vars(settings).values():
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            for field in dataclasses.fields(kind):
                assert field.metadata["help"].endswith("."), (kind, field.name)
                if field.metadata["choices"]:
                    assert field.default in field.metadata["choices"]


def test_import_edgebert_brings_no_tensorflow() -> None:
    code = (
        "import sys, edgebert, edgebert.cli, edgebert.settings\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'ai_edge_litert', 'numpy'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(' '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
