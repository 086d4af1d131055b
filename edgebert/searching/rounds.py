"""The settings of each round of distillation, and its cost.

Each round starts from the student of the round before it, with a lower learning rate and more
changed copies of the texts. These are the settings that were found by hand on SST-2
(docs/compression.md): the first round brings the hidden states near the teacher's, the second adds
changed copies, and the third learns from the teacher's soft labels alone. A round that would end
after its time has fewer epochs or copies.

The number of models halves from round to round, as in successive halving (Jamieson and Talwalkar
2016; Hyperband, Li et al. 2018): many models are trained for a short time, few for a long time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from edgebert.searching.choosing import HOPELESS_POINTS
from edgebert.searching.moves import Steps, total_speedup
from edgebert.settings import DistillSettings, SearchSettings

_LEARNING_RATES = (4e-4, 3e-4, 2e-4)
_COPIES = (0, 2, 4)
_COPIES_LATER = (2, 3, 3)
"""Of rounds after a second pruning step, whose students have few weights left."""
_LATER_EPOCHS = 0.75
_SHORTEST = 0.4
"""A round with a smaller share of its work is not worth its time."""
_WORK_OF_STUDENT = 3.0
"""In a step of training, the student computes forwards, and backwards at twice the cost. The
teacher computes forwards only: once for each text, if its states are kept."""


def settings_of_round(
    settings: SearchSettings, steps: Steps, learns_from_copies: bool
) -> DistillSettings:
    """The settings of the last round of distillation of a model.

    Args:
        settings: The search.
        steps: The pruning steps of the model. After each step, rounds are counted from 1. Rounds
            after the third repeat its settings with another seed.
        learns_from_copies: Whether changed copies help the task (`Task.learns_from_copies`). Other
            tasks have none, and keep the true labels in the loss.
    """
    round_ = steps[-1].rounds
    place = min(round_, len(_LEARNING_RATES)) - 1
    copies = _COPIES if len(steps) == 1 else _COPIES_LATER
    epochs = settings.distill_epochs
    defaults = DistillSettings()
    return DistillSettings(
        method="hidden-states" if round_ < len(_LEARNING_RATES) else "soft-labels",
        hard_weight=0.0 if learns_from_copies else defaults.hard_weight,
        epochs=epochs if round_ == 1 else max(1, round(_LATER_EPOCHS * epochs)),
        learning_rate=_LEARNING_RATES[place],
        augment=copies[place] if learns_from_copies else 0,
        max_rows=settings.max_rows,
        seed=settings.seed + sum(step.rounds for step in steps) - 1,
    )


def forms_of_round(
    settings: DistillSettings, cost: Callable[[DistillSettings], float]
) -> list[DistillSettings]:
    """A round, and its shorter forms with fewer epochs or fewer changed copies, the longest first.

    Args:
        settings: The settings of the whole round.
        cost: The work of a form.
    """
    forms = [
        replace(settings, epochs=epochs, augment=copies)
        for epochs in range(settings.epochs, 0, -1)
        for copies in range(settings.augment, -1, -1)
    ]
    least = _SHORTEST * cost(settings)
    return sorted((form for form in forms if cost(form) >= least), key=cost, reverse=True)


def texts_of_round(settings: DistillSettings, rows: int) -> int:
    """The number of texts of one epoch: those that students learn from, and their copies."""
    return min(settings.max_rows or rows, rows) * (1 + settings.augment)


def work(settings: DistillSettings, rows: int, speedup: float, keeps_states: bool) -> float:
    """The work of one round of distillation, in texts through the float model.

    Args:
        settings: The settings of the round.
        rows: Number of texts that students learn from.
        speedup: How many times faster the student is than the float model.
        keeps_states: Whether the teacher runs once, and not in every epoch.
    """
    of_teacher = 1 if keeps_states else settings.epochs
    of_student = settings.epochs * _WORK_OF_STUDENT / speedup
    return texts_of_round(settings, rows) * (of_teacher + of_student)


def within_reach(allowed: float, round_: int) -> float:
    """The largest loss, in points, that further rounds may still bring within the allowed drop.

    It is 2.5 points more after the first round, 1.25 after the second.

    Args:
        allowed: Allowed drop in points.
        round_: The finished round, from 1.
    """
    return allowed + HOPELESS_POINTS / 2**round_


def promoted(lost: Mapping[Steps, float], allowed: float | None, round_: int) -> list[Steps]:
    """The models that go on to the next round: half of them, at least one.

    Faster models are preferred, as long as they may still come within the allowed drop. Without an
    allowed drop, those that lost least go on.

    Args:
        lost: Points lost by the best file of each model of this round.
        allowed: Allowed drop in points; None is no limit.
        round_: The finished round, from 1.
    """
    room = math.ceil(len(lost) / 2)
    by_loss = sorted(lost, key=lambda steps: (lost[steps], total_speedup(steps)))
    if allowed is None:
        return by_loss[:room]
    reach = within_reach(allowed, round_)
    fastest = sorted(lost, key=lambda steps: (-total_speedup(steps), lost[steps]))
    near = [steps for steps in fastest if lost[steps] <= reach]
    return near[:room] or by_loss[:1]
