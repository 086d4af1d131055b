"""Pruning: which weights become zeros (`masks`), when (`schedules`), and what keeps them so
(`callback`); `magnitude` is the stage.
"""

from __future__ import annotations

from edgebert.pruning.magnitude import PruneResult, prune

__all__ = ["PruneResult", "prune"]
