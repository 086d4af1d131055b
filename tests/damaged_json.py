"""Damages JSON values at any place, for tests of readers."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
"""Any JSON values, with the constants that Python writes."""


def damaged(data: st.DataObject, content: Any) -> Any:
    """A copy of a JSON value with one value at any path replaced by another one."""
    changed = copy.deepcopy(content)
    path = data.draw(st.sampled_from(_paths_of(changed)))
    value = data.draw(JSON_VALUES)
    if not path:
        return value
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return changed


def _paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a JSON value."""
    keys: list[Any] = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    return [path, *(found for key in keys for found in _paths_of(value[key], (*path, key)))]
