"""Limits on the difference between an exported file and its model, and the recipe that holds them.

A file is refused if it hardly computes the model any more, such as weights that overflow in
float16. A smaller, but unusual difference is a warning. Both name a recipe that was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgebert.errors import QualityGateError
from edgebert.exporting.parity import Certificate
from edgebert.quantization.recipes import PLAIN_RECIPES
from edgebert.settings import ExportSettings

WARNED_AGREEMENT = 0.95
"""Below this share of equal choices, with probabilities that differ clearly, there is a warning."""
_CLEAR_ERROR = 0.1
"""A probability error above this is more than a tie that falls the other way."""
_WARNED_COSINE = 0.95


@dataclass(frozen=True)
class Limits:
    """What a recipe may do to the outputs.

    Attributes:
        probability_error: largest error of a probability.
        agreement: smallest share of equal choices; a file is refused if both are missed.
        cosine: smallest cosine of vectors and hidden states.
        score_error: largest error of a score, as a share of the largest score, or of 1.
    """

    probability_error: float
    agreement: float
    cosine: float
    score_error: float


_EXACT = Limits(probability_error=0.01, agreement=2.0, cosine=0.999, score_error=0.01)
_HALF = Limits(probability_error=0.05, agreement=2.0, cosine=0.99, score_error=0.05)
_QUANTIZED = Limits(probability_error=0.5, agreement=0.5, cosine=0.5, score_error=1.0)
LIMITS = {"float32": _EXACT, "float16": _HALF}
"""By recipe; all others have the limits of quantized weights."""


def limits_of(settings: ExportSettings) -> Limits:
    """The limits of export settings; an embedding setting that is less exact than the recipe
    counts.
    """
    if settings.embedding in ("int8", "int4"):
        return _QUANTIZED
    limits = LIMITS.get(settings.recipe, _QUANTIZED)
    return _HALF if limits is _EXACT and settings.embedding == "float16" else limits


def problem_of(certificate: Certificate, limits: Limits) -> str:
    """What is wrong with a file, in words; empty if it is within the limits. NaN is never within.

    Args:
        certificate: the comparison with the model.
        limits: of the recipe.
    """
    final = certificate.final
    if final is not None:
        error, same = final.max_probability_error, final.label_agreement
        if error <= limits.probability_error or (error == error and same >= limits.agreement):
            return ""
        return f"{same:.1%} same choice, probability error up to {error:.2f}"
    cosine = certificate.final_cosine
    if cosine is not None:
        return "" if cosine >= limits.cosine else f"a cosine of {cosine:.3f}"
    error = certificate.final_max_error / max(1.0, certificate.largest_score)
    return "" if error <= limits.score_error else f"a score error of {error:.1%} of the largest"


def warning_of(certificate: Certificate) -> str:
    """An unusual difference in words; empty if there is none."""
    return problem_of(
        certificate, Limits(_CLEAR_ERROR, WARNED_AGREEMENT, _WARNED_COSINE, score_error=0.2)
    )


def check_final(
    certificate: Certificate, settings: ExportSettings, measure: Callable[[str], Certificate]
) -> str:
    """Checks the final file against the limits of its recipe.

    Args:
        certificate: of the file.
        settings: of the export.
        measure: gives the certificate of the model with another recipe.

    Returns:
        A warning for the user; empty if the difference is usual.

    Raises:
        QualityGateError: The file is beyond the limits.
    """
    refused = problem_of(certificate, limits_of(settings))
    found = refused or warning_of(certificate)
    if not found:
        return ""
    difference = (
        f"the file with --recipe {settings.recipe} differs from the model: {found} on "
        f"{certificate.texts} texts"
    )
    advice = _advice(settings, measure)
    if refused:
        raise QualityGateError(f"T{difference[1:]}. Nothing was written. Next: {advice}.")
    return f"{difference}. Next: {advice}."


def _advice(settings: ExportSettings, measure: Callable[[str], Certificate]) -> str:
    """The smallest recipe without a warning, as measured."""
    for recipe in sorted(PLAIN_RECIPES, key=_ORDER.index):
        if recipe == settings.recipe and settings.embedding == "recipe":
            continue
        certificate = measure(recipe)
        if not warning_of(certificate) and not problem_of(
            certificate, LIMITS.get(recipe, _QUANTIZED)
        ):
            plain = "" if settings.embedding == "recipe" else " without --embedding"
            shown = _shown(certificate)
            return f"use --recipe {recipe}{plain}, which stays within the limits ({shown})"
    return "no recipe stays within the limits: check the weights of the model"


_ORDER = ("dynamic-int8", "weight-int8", "float16", "float32")


def _shown(certificate: Certificate) -> str:
    final = certificate.final
    if final is not None:
        return (
            f"{final.label_agreement:.1%} same choice, probability error up to "
            f"{final.max_probability_error:.4f}"
        )
    if certificate.final_cosine is not None:
        return f"cosine at least {certificate.final_cosine:.4f}"
    return f"error up to {certificate.final_max_error:.4f}"
