"""Named recipes, and how far a quantized model is from the float one.

A recipe is data: what the matmul kernels and the embedding tables are stored as, with its
trade-offs in words. The exporter lays the graph out with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from converters.tflite.inference_graph import Precision
from edgebert.errors import UsageError
from edgebert.settings import ExportSettings

INT4 = "int4"
"""Decided by measurement: which kernels go to 4 bits."""
STATIC = "static"
"""Decided by measurement: which operators compute in integers."""


@dataclass(frozen=True)
class Recipe:
    """One row of the table of recipes.

    Attributes:
        name: what `--recipe` says.
        precision: what kernels and embeddings are stored as where nothing is decided.
        trade_off: what it is good for and what it costs.
        decide: what is decided by measurement on calibration texts; empty for nothing.
        activation_bits: of static recipes.
        max_error: what `--max-error` is where it is not given; 0 is no limit.
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
            "Half the size, all but exact; CPUs compute in float32, so no faster than float32.",
        ),
        Recipe(
            "dynamic-int8",
            Precision("dynamic-int8", "int8"),
            "The default: a quarter of the size, the fastest on CPUs. Weights in int8 a channel, "
            "activations quantized row by row as they come; no calibration.",
        ),
        Recipe(
            "weight-int8",
            Precision("weight-int8", "int8"),
            "The size of int8 with float arithmetic: nearer to float than dynamic-int8, as slow "
            "as float32.",
        ),
        Recipe(
            "int4",
            Precision("dynamic-int8", "int4"),
            "Six tenths of the size of int8, no slower: kernels and embeddings in 4 bits, the "
            "kernels that the outputs depend on most in int8. Needs calibration text.",
            INT4,
        ),
        Recipe(
            "static-int8",
            Precision("dynamic-int8", "int8"),
            "For accelerators that compute in 8-bit integers only: activations have ranges that "
            "were measured once. The operators that cost the outputs most stay in float, by "
            "measurement. Slower than dynamic-int8 on CPUs, and less exact. Needs calibration "
            "text and edgebert[static].",
            STATIC,
            activation_bits=8,
            max_error=0.003,
        ),
        Recipe(
            "static-int16x8",
            Precision("dynamic-int8", "int8"),
            "For accelerators with 16-bit activations: all but float's accuracy with everything "
            "in integers. CPUs have no fast kernels for it: 75 times slower there. Needs "
            "calibration text and edgebert[static].",
            STATIC,
            activation_bits=16,
            max_error=0.003,
        ),
    )
}

PLAIN_RECIPES = tuple(name for name, recipe in RECIPES.items() if not recipe.decide)
"""Those that need no calibration text."""


@dataclass(frozen=True)
class Agreement:
    """How one model's distributions agree with the float model's on the same texts.

    A distribution is what the model makes one choice by: a text's label, a tag of a word, the start
    of an answer.

    Attributes:
        texts: that were compared.
        label_agreement: share of the choices with the same best outcome.
        max_probability_error: largest absolute difference of any outcome's probability.
        mean_probability_error: mean over all outcomes.
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
    """The recipe that export settings name.

    Raises:
        UsageError: there is no such recipe.
    """
    if settings.recipe not in RECIPES:
        raise UsageError(f"--recipe is one of {', '.join(RECIPES)}. Received: {settings.recipe!r}.")
    return RECIPES[settings.recipe]


def precision_of(settings: ExportSettings) -> Precision:
    """The precision that export settings ask for: the recipe's, the embedding's if it is given.

    Raises:
        UsageError: there is no such recipe.
    """
    precision = recipe_of(settings).precision
    if settings.embedding == "recipe":
        return precision
    return replace(precision, embeddings=settings.embedding)


def agreement(reference: Sequence[np.ndarray], scores: Sequence[np.ndarray]) -> Agreement:
    """Compares log probabilities with those of the float model.

    Args:
        reference: of each text `[choices, outcomes]`, or `[outcomes]` for one choice.
        scores: the same of the other model.
    """
    same, choices, outcomes = 0, 0, 0
    errors, largest, logit_error = 0.0, 0.0, 0.0
    for a, b in zip(map(np.atleast_2d, reference), map(np.atleast_2d, scores), strict=True):
        error, likely = np.abs(np.exp(a) - np.exp(b)), a > np.log(1e-6)
        same += int(np.sum(a.argmax(-1) == b.argmax(-1)))
        choices, outcomes = choices + len(a), outcomes + a.size
        errors, largest = errors + float(error.sum()), max(largest, float(error.max()))
        logit_error = max(logit_error, float(np.abs(a - b)[likely].max()))
    return Agreement(len(reference), same / choices, largest, errors / outcomes, logit_error)
