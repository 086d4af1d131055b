"""Search: the Pareto front of size, latency and accuracy, and the best model under given budgets.

Trials without training come first: structured pruning at several speedups, a trimmed vocabulary and
smaller embedding rows in all combinations. Then the pruned models near the front that lost too much
accuracy are distilled from the float model. All choices are made on the dev data; the test data is
read once, for the winner. Every result is written to disk, so a killed search can be resumed.
"""

from __future__ import annotations

from edgebert.searching.searching import search as search
from edgebert.searching.teaching_data import TeachingData as TeachingData

__all__ = ["TeachingData", "search"]
