"""Pruning: what a classifier needs least goes.

Single weights become zeros: which (`masks`), when (`schedules`), what keeps them so (`callback`);
`magnitude` is the stage. Heads, neurons and layers go at the least price for their latency:
`curvature` is measured, `surgeon` prices, `latency_table` says what they cost, `budget` picks,
`layers` ranks layers, `structured` does it without training. Tokens go by `vocabulary`, which
`token_choice` chooses. `recovery` is the stage of all these, with training after them.
"""

from __future__ import annotations

from edgebert.pruning.magnitude import PruneResult, prune

__all__ = ["PruneResult", "prune"]
