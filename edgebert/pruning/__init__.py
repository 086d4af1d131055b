"""Pruning: removes the weights, heads, neurons, layers and tokens that a model needs least.

Magnitude pruning (`magnitude`) sets single weights to zero. `masks` selects them, `schedules` says
when, and `callback` keeps them at zero during training.

Structured pruning (`structured`) removes attention heads, neurons and layers without training.
`curvature` measures second-order statistics of the loss, `surgeon` turns them into the loss
increase of each removal, `latency_table` gives the latency of each width, `budget` selects the
widths, and `layers` selects the layers.

Vocabulary trimming (`vocabulary`) removes tokens, which `token_choice` selects.

`recovery` is the stage that trims, prunes and then trains.
"""

from __future__ import annotations

from edgebert.pruning.magnitude import PruneResult, prune

__all__ = ["PruneResult", "prune"]
