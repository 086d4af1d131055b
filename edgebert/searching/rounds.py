"""The settings of each round of distillation, and its cost.

Each round starts from the student of the round before it, with a lower learning rate and more
changed copies of the texts. These are the settings that were found by hand on SST-2
(docs/compression.md): the first round brings the hidden states near the teacher's, the second adds
changed copies, and the third learns from the teacher's soft labels alone.

The number of models halves from round to round, as in successive halving (Jamieson and Talwalkar
2016; Hyperband, Li et al. 2018): many models are trained for a short time, few for a long time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from edgebert.searching.choosing import HOPELESS_POINTS
from edgebert.settings import DistillSettings, SearchSettings

_LEARNING_RATES = (4e-4, 3e-4, 2e-4)
_COPIES = (0, 2, 4)
_LATER_EPOCHS = 0.75


def settings_of_round(
    settings: SearchSettings, round_: int, learns_from_copies: bool
) -> DistillSettings:
    """The settings of one round of distillation.

    Args:
        settings: The search.
        round_: The round, from 1. Rounds after the third repeat its settings with another seed.
        learns_from_copies: Whether the task learns from texts without labels. Other tasks have no
            changed copies, and keep the true labels in the loss.
    """
    place = min(round_, len(_LEARNING_RATES)) - 1
    epochs = settings.distill_epochs
    defaults = DistillSettings()
    return DistillSettings(
        method="hidden-states" if round_ < len(_LEARNING_RATES) else "soft-labels",
        hard_weight=0.0 if learns_from_copies else defaults.hard_weight,
        epochs=epochs if round_ == 1 else max(1, round(_LATER_EPOCHS * epochs)),
        learning_rate=_LEARNING_RATES[place],
        augment=_COPIES[place] if learns_from_copies else 0,
        max_rows=settings.max_rows,
        seed=settings.seed + round_ - 1,
    )


def cost(settings: DistillSettings) -> int:
    """Passes over the training texts, with their copies."""
    return settings.epochs * (1 + settings.augment)


def promoted(lost: Mapping[float, float], allowed: float | None, round_: int) -> list[float]:
    """The speedups whose models go on to the next round: half of them, at least one.

    Faster models are preferred, as long as they may still come within the allowed drop. Without an
    allowed drop, those that lost least go on.

    Args:
        lost: Points lost by the best distilled model of each speedup.
        allowed: Allowed drop in points; None is no limit.
        round_: The finished round, from 1. With each round a model has to be nearer to the allowed
            drop: 2.5 points after the first, 1.25 after the second.
    """
    room = math.ceil(len(lost) / 2)
    by_loss = sorted(lost, key=lambda speedup: (lost[speedup], speedup))
    if allowed is None:
        return by_loss[:room]
    reach = allowed + HOPELESS_POINTS / 2**round_
    near = [speedup for speedup in sorted(lost, reverse=True) if lost[speedup] <= reach]
    return near[:room] or by_loss[:1]
