"""Ready-made readers on a phone: those of MediaPipe Tasks and of the Task Library."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AppReaders:
    """The ready-made readers that take the files of a task.

    Attributes:
        names: The readers' classes, for people; empty where there are none.
        length: The one token length that they take; 0 for any one.
        task_library_only: Whether MediaPipe has no such reader.
        note: What an app developer should know where there are none.
    """

    names: str = ""
    length: int = 0
    task_library_only: bool = False
    note: str = ""


CLASSIFIER_READERS = AppReaders("MediaPipe TextClassifier, Task Library BertNLClassifier")
