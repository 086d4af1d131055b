"""The table of quantization recipes, and the agreement of a quantized model with the float one.

A recipe is data: how the matmul kernels and the embedding tables are stored, and its trade-offs in
words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from converters.tflite.inference_graph import Precision
from edgebert.errors import UsageError
from edgebert.settings import ExportSettings

INT4 = "int4"
"""The kernels in 4 bits are chosen by measurement."""
STATIC = "static"
"""The operators that compute in integers are chosen by measurement."""


@dataclass(frozen=True)
class Recipe:
    """One row of the table of recipes.

    Attributes:
        name: the value of `--recipe`.
        precision: how kernels and embeddings are stored, without a choice by measurement.
        trade_off: advantages and costs.
        decide: the choice by measurement on calibration texts, `INT4` or `STATIC`; empty for none.
        activation_bits: of static recipes.
        max_error: default of `--max-error`; 0 for no limit.
    """

    name: str
    precision: Precision
    trade_off: str
    decide: str = ""
    activation_bits: int = 0
    max_error: float = 0.0


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "float32",
            Precision("float32", "float32"),
            "The reference: exact, four times the size, three to six times the time of int8.",
        ),
        Recipe(
            "float16",
            Precision("float16", "float16"),
            "Half the size, almost exact. CPUs compute in float32: no faster than float32.",
        ),
        Recipe(
            "dynamic-int8",
            Precision("dynamic-int8", "int8"),
            "The default: a quarter of the size, the fastest on CPUs. Weights in int8 per channel, "
            "activations quantized per row at run time. No calibration text.",
        ),
        Recipe(
            "weight-int8",
            Precision("weight-int8", "int8"),
            "The size of int8 with float arithmetic: closer to float than dynamic-int8, as slow "
            "as float32.",
        ),
        Recipe(
            "int4",
            Precision("dynamic-int8", "int4"),
            "60 % of the size of int8, no slower: kernels and embeddings in 4 bits, the most "
            "sensitive kernels in int8. Needs calibration text.",
            INT4,
        ),
        Recipe(
            "static-int8",
            Precision("dynamic-int8", "int8"),
            "For accelerators that compute in 8-bit integers only. Activation ranges are measured "
            "once. The most sensitive operators stay in float, chosen by measurement. Slower than "
            "dynamic-int8 on CPUs, and less exact. Needs calibration text and edgebert[static].",
            STATIC,
            activation_bits=8,
            max_error=0.003,
        ),
        Recipe(
            "static-int16x8",
            Precision("dynamic-int8", "int8"),
            "For accelerators with 16-bit activations: almost the accuracy of float with all "
            "operators in integers. 75 times slower on CPUs, which have no fast kernels for it. "
            "Needs calibration text and edgebert[static].",
            STATIC,
            activation_bits=16,
            max_error=0.003,
        ),
    )
}

PLAIN_RECIPES = tuple(name for name, recipe in RECIPES.items() if not recipe.decide)
"""Recipes without calibration text."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of a model's probability distributions with the float model's on the same texts.

    There is one distribution for each choice: the label of a text, the tag of a word, the start of
    an answer.

    Attributes:
        texts: number of texts.
        label_agreement: share of the choices with the same most likely outcome.
        max_probability_error: largest absolute difference of a probability.
        mean_probability_error: mean absolute difference over all outcomes.
        max_logit_error: largest absolute difference of log probabilities, over outcomes whose
            probability is at least 1e-6 in the reference.
    """

    texts: int
    label_agreement: float
    max_probability_error: float
    mean_probability_error: float
    max_logit_error: float

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def recipe_of(settings: ExportSettings) -> Recipe:
    """The recipe of export settings.

    Raises:
        UsageError: the recipe is unknown.
    """
    if settings.recipe not in RECIPES:
        raise UsageError(f"--recipe is one of {', '.join(RECIPES)}. Received: {settings.recipe!r}.")
    return RECIPES[settings.recipe]


def precision_of(settings: ExportSettings) -> Precision:
    """The precision of export settings: the recipe's, with the embedding setting if there is one.

    Raises:
        UsageError: the recipe is unknown.
    """
    precision = recipe_of(settings).precision
    if settings.embedding == "recipe":
        return precision
    return replace(precision, embeddings=settings.embedding)


def agreement(reference: Sequence[np.ndarray], scores: Sequence[np.ndarray]) -> Agreement:
    """Compares log probabilities with those of the float model.

    Args:
        reference: for each text `[choices, outcomes]`, or `[outcomes]` for one choice.
        scores: the same for the other model.
    """
    same, choices, outcomes = 0, 0, 0
    errors, largest, logit_error = 0.0, 0.0, 0.0
    for a, b in zip(map(np.atleast_2d, reference), map(np.atleast_2d, scores), strict=True):
        error, likely = np.abs(np.exp(a) - np.exp(b)), a > np.log(1e-6)
        is_number = ~np.isnan(a).any(-1) & ~np.isnan(b).any(-1)
        same += int(np.sum((a.argmax(-1) == b.argmax(-1)) & is_number))
        choices, outcomes = choices + len(a), outcomes + a.size
        # np.maximum keeps NaN; Python's max does not.
        errors, largest = errors + float(error.sum()), np.maximum(largest, error.max())
        logit_error = np.maximum(logit_error, np.max(np.abs(a - b)[likely], initial=0.0))
    return Agreement(
        len(reference), same / choices, float(largest), errors / outcomes, float(logit_error)
    )
