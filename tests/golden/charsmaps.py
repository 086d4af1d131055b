"""Writes character maps as SentencePiece compiles them (`precompiled_charsmap`).

A map is the size of a trie in bytes (uint32, little-endian), the trie, and the texts that the
trie's values are offsets of, each ended by a zero byte. The trie is a double array of uint32 units
as Darts-clone (https://github.com/s-yata/darts-clone) lays it out: a key's bytes lead from unit to
unit.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

_BLOCK = 256
_HAS_LEAF = 1 << 8
_IS_LEAF = 1 << 31


def charsmap(replacements: Mapping[str, str]) -> bytes:
    """A character map.

    Args:
        replacements: what becomes of each text; no key is empty or has a zero character.
    """
    texts, offsets = bytearray(), {}
    for text in sorted(set(replacements.values())):
        offsets[text] = len(texts)
        texts += text.encode() + b"\0"
    root: _Node = {}
    for key, text in replacements.items():
        node = root
        for byte in key.encode():
            child = node.setdefault(byte, {})
            assert isinstance(child, dict)
            node = child
        node[0] = offsets[text]
    units = _Units()
    units.write(root)
    return struct.pack("<I", 4 * len(units.units)) + units.content() + bytes(texts)


_Node = dict[int, "_Node | int"]


class _Units:
    """Units of a double array. A node's children are at its base, which no other node has."""

    def __init__(self) -> None:
        self.units: list[int] = []
        self._free: list[int] = []

    def write(self, root: _Node) -> None:
        self._block({0, *root})
        waiting = [(root, 0, 0)]
        while waiting:
            node, place, label = waiting.pop()
            base = 0 if node is root else self._base(node)
            offset = base ^ place
            assert offset < 1 << 21
            self.units[place] = offset << 10 | (_HAS_LEAF if 0 in node else 0) | label
            for byte, child in node.items():
                if isinstance(child, dict):
                    waiting.append((child, base ^ byte, byte))
                else:
                    self.units[base] = _IS_LEAF | child

    def content(self) -> bytes:
        return struct.pack(f"<{len(self.units)}I", *self.units)

    def _base(self, node: _Node) -> int:
        if set(node) == {0} and self._free:
            return self._free.pop()
        return self._block(set(node))

    def _block(self, used: set[int]) -> int:
        base = len(self.units)
        self.units += [0] * _BLOCK
        # The first unit is the base itself: another node with it would have these children.
        self._free += [base + byte for byte in range(1, _BLOCK) if byte not in used]
        return base
