"""Settings of the data files and of the task."""

from __future__ import annotations

from dataclasses import dataclass

from converters.heads import POOLINGS
from edgebert.settings.fields import setting


@dataclass(frozen=True)
class DataSettings:
    """Where text and labels stand in a data file."""

    text_column: str = setting(
        "",
        "Column (or JSON key) of the text; found by name when empty. Of words in CoNLL columns its "
        "number, from 1.",
    )
    pair_column: str = setting(
        "", "Column (or JSON key) of a pair's second text; found by name when empty."
    )
    label_column: str = setting(
        "",
        "Column (or JSON key) of the label; found by name when empty. Of tags in CoNLL columns its "
        "number, from 1.",
    )
    label_separator: str = setting("|", "What divides several labels in one column.")


TASKS = (
    "classification",
    "pairs",
    "multi-label",
    "regression",
    "ner",
    "pos",
    "qa",
    "embeddings",
    "masked-lm",
)
"""The names of the tasks, one class each in `edgebert.tasks`."""


@dataclass(frozen=True)
class TaskSettings:
    """What a model is to do. Settings that the task does not have are not looked at."""

    task: str = setting(
        "auto",
        "What the model is to do; 'auto' sees it in the base model and the training file.",
        ("auto", *TASKS),
    )
    stride: int = setting(
        128, "qa: tokens from one window over a long context to the next (Devlin et al. 2019)."
    )
    max_answer_tokens: int = setting(30, "qa: longest answer, in tokens.")
    max_question_tokens: int = setting(64, "qa: longer questions are cut to so many tokens.")
    labelled_parts: str = setting(
        "all",
        "ner, pos: where a word has punctuation inside, such as don't, learn its tag for all its "
        "parts, as typed text is split into them, or for the first alone (Devlin et al. 2019).",
        ("all", "first"),
    )
    next_sentence: str = setting(
        "auto",
        "masked-lm: also learn whether a second text follows the first; 'auto' does where the text "
        "has documents.",
        ("auto", "on", "off"),
    )
    mask_share: float = setting(0.15, "masked-lm: share of the tokens that are hidden.")
    whole_words: bool = setting(False, "masked-lm: hide whole words instead of tokens.")
    threshold: float = setting(
        0.0,
        "multi-label: least probability of a label that is given; 0 chooses the one that is best "
        "on the dev text.",
    )
    pooling: str = setting(
        "mean",
        "embeddings: what is made of a text's tokens. A base that makes vectors already keeps its "
        "own way.",
        POOLINGS,
    )
    normalize: bool = setting(True, "embeddings: give vectors length 1. As for pooling.")
