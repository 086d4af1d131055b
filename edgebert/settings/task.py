"""Settings of the data files and of the task."""

from __future__ import annotations

from dataclasses import dataclass

from converters.heads import POOLINGS
from edgebert.settings.fields import setting


@dataclass(frozen=True)
class DataSettings:
    """Columns and encoding of a data file."""

    text_column: str = setting(
        "",
        "Column (or JSON key, or path such as data.text) of the text; empty finds it by name. In "
        "CoNLL files the number of the word's column, from 1.",
    )
    pair_column: str = setting(
        "", "Column (or JSON key) of the second text of a pair; empty finds it by name."
    )
    label_column: str = setting(
        "",
        "Column (or JSON key) of the label; empty finds it by name. In CoNLL files the number of "
        "the tag's column, from 1.",
    )
    label_separator: str = setting("|", "Separator of several labels in one column.")
    encoding: str = setting(
        "",
        "Encoding of the data files, such as windows-1252; empty is UTF-8, or UTF-16 with a "
        "byte-order mark.",
    )
    label_map: str = setting(
        "",
        "Names of the labels in the data, such as 0=negative,1=positive, or a .json file with an "
        "object of them. Other labels stay as they are.",
    )
    skip_bad_rows: bool = setting(
        False, "Leave out rows with problems, and list them. Otherwise a bad row is an error."
    )


@dataclass(frozen=True)
class SplitSettings:
    """How `edgebert run` divides the data files, as `edgebert search` does."""

    dev_fraction: float = setting(
        0.1, "Share of the training rows that is held out if there is no dev file."
    )
    confirm_fraction: float = setting(
        0.0,
        "Share of the dev rows on which no choice is made. Without a test file these rows are the "
        "test split.",
    )
    seed: int = setting(42, "Seed of both splits.")


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
"""Names of the tasks; each has one class in `edgebert.tasks`."""


@dataclass(frozen=True)
class TaskSettings:
    """The task of a model. Settings of other tasks are ignored."""

    task: str = setting(
        "auto",
        "Task of the model; 'auto' detects it from the base model and the training file.",
        ("auto", *TASKS),
    )
    stride: int = setting(
        128,
        "qa: tokens between the starts of two windows over a long context (Devlin et al. 2019).",
    )
    max_answer_tokens: int = setting(30, "qa: maximum length of an answer, in tokens.")
    max_question_tokens: int = setting(
        64, "qa: maximum length of a question, in tokens; longer questions are cut."
    )
    labelled_parts: str = setting(
        "all",
        "ner, pos: parts of a word with punctuation inside, such as don't, that learn the tag of "
        "the word: all, since free text is split there, or the first (Devlin et al. 2019).",
        ("all", "first"),
    )
    next_sentence: str = setting(
        "auto",
        "masked-lm: also train next sentence prediction; 'auto' turns it on for texts with "
        "document boundaries.",
        ("auto", "on", "off"),
    )
    mask_share: float = setting(0.15, "masked-lm: share of the tokens to mask.")
    whole_words: bool = setting(False, "masked-lm: mask whole words instead of tokens.")
    threshold: float = setting(
        0.0,
        "multi-label: minimum probability of a predicted label; 0 chooses the best value on the "
        "dev data.",
    )
    pooling: str = setting(
        "mean",
        "embeddings: pooling of the token vectors into one vector. A base model that already makes "
        "sentence vectors keeps its own pooling.",
        POOLINGS,
    )
    normalize: bool = setting(
        True,
        "embeddings: normalize vectors to length 1. A base model that already makes sentence "
        "vectors keeps its own setting.",
    )
