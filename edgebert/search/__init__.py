"""Search: the best trades of size, latency and accuracy that there are, and one under a budget.

Cheap moves come first: structured pruning at several speedups, a trimmed vocabulary and smaller
embedding rows are combined without any training. Then pruned models near the front that lost too
much learn from the float model. Every choice is made on the dev text; the test text is read once,
for the winner. Everything that was made is on disk, so a killed search goes on where it was.
"""

from __future__ import annotations

from edgebert.search.searching import search as search

__all__ = ["search"]
