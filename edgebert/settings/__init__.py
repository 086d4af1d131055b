"""Frozen dataclasses with the settings of every stage and their defaults; imports no TensorFlow.

One field is one setting: its name is the TOML key, the Python argument and (with dashes) the
command-line flag. Its `help` is the text of all three.
"""

from edgebert.settings.compression import (
    PruneSettings,
    SearchSettings,
    StructureSettings,
    VocabularySettings,
)
from edgebert.settings.exporting import CheckSettings, ExportSettings
from edgebert.settings.fields import broken_rules, from_table
from edgebert.settings.profiling import ProfileSettings, TargetSettings
from edgebert.settings.task import TASKS, DataSettings, SplitSettings, TaskSettings
from edgebert.settings.training import DeviceSettings, DistillSettings, FinetuneSettings

__all__ = [
    "TASKS",
    "CheckSettings",
    "DataSettings",
    "DeviceSettings",
    "DistillSettings",
    "ExportSettings",
    "FinetuneSettings",
    "ProfileSettings",
    "PruneSettings",
    "SearchSettings",
    "SplitSettings",
    "StructureSettings",
    "TargetSettings",
    "TaskSettings",
    "VocabularySettings",
    "broken_rules",
    "from_table",
]
