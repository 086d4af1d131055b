"""Zero-shot classification: a model of entailment chooses among labels that it never saw.

Each text is paired with one hypothesis for each candidate label, and the logits of entailment are
compared (Yin et al. 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.tflite.output_names import LOGITS
from edgebert.errors import UsageError
from edgebert.evaluation.predictors import Predictor
from edgebert.models.litert_model import LiteRtModel
from edgebert.tasks.examples import features_of
from edgebert.tasks.probabilities import log_softmax

TEMPLATE = "This example is {}."
"""The hypothesis for a label, as in `transformers`."""


def classify(
    predictor: Predictor, texts: Sequence[str], candidates: Sequence[str]
) -> list[dict[str, Any]]:
    """The probabilities of the candidate labels for each text.

    Args:
        predictor: A model of pairs with a label that starts with `entail`.
        texts: The texts.
        candidates: The labels to choose from.

    Returns:
        For each text `text`, `label`, `probability` and `probabilities`.

    Raises:
        UsageError: The model has no such label, it is a file without logits, or there are no
            candidates.
    """
    places = [i for i, name in enumerate(predictor.labels) if name.lower().startswith("entail")]
    if predictor.task.name != "pairs" or len(places) != 1:
        raise UsageError(
            "--candidates: expected a model of pairs with a label 'entailment'. Received: "
            f"{predictor.task.model_title()} with the labels {', '.join(predictor.labels)}. "
            "Next: take a model that was trained on natural language inference."
        )
    if isinstance(predictor, LiteRtModel) and predictor.manifest.output != LOGITS:
        raise UsageError(
            "--candidates: expected a file with logits, which can be compared between hypotheses. "
            f"Received: {predictor.manifest.output}. Next: export the model with --output logits."
        )
    if not candidates:
        raise UsageError("--candidates: expected labels such as sport,politics. Received: none.")
    answers = []
    for text in texts:
        pairs = [(text, TEMPLATE.format(label)) for label in candidates]
        encodings = features_of(predictor, pairs, predictor.max_length).encodings
        logits = np.array([output[places[0]] for output in predictor.outputs(encodings)])
        shares = np.exp(log_softmax(logits))
        best = int(shares.argmax())
        answers.append(
            {
                "text": text,
                "label": candidates[best],
                "probability": float(shares[best]),
                "probabilities": dict(zip(candidates, map(float, shares), strict=True)),
            }
        )
    return answers
