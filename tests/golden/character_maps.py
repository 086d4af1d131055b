"""Compiles character maps as SentencePiece does: the `precompiled_charsmap` of a tokenizer.json.

A map is the size of a trie in bytes (uint32), the trie, and the replacements, each ended by a zero
byte. The trie is a double array of Darts-clone: uint32 units with a label, an offset and, behind
the end of a key, the place of its replacement.
"""

from __future__ import annotations

import struct
import unicodedata
from collections import deque
from collections.abc import Iterable, Mapping

SPACES = (9, 10, 12, 13, 0x1680, *range(0x200B, 0x2010), 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD)
REMOVED = (*range(1, 9), 0xB, *range(0xE, 0x20), 0x7F, 0x8F, 0x9F)
_LEAF, _HAS_LEAF = 1 << 31, 1 << 8

Trie = dict[int, "Trie"]


def rules(code_points: Iterable[int]) -> dict[str, str]:
    """The replacements of SentencePiece's `nmt_nfkc` for these characters, made from `unicodedata`.

    The decomposed form of a character is replaced, too.
    """
    found = {}
    for code in code_points:
        if 0xD800 <= code < 0xE000:
            continue
        character = chr(code)
        normal = unicodedata.normalize("NFKC", character)
        if normal != character:
            found[character] = normal
        decomposed = unicodedata.normalize("NFD", character)
        if decomposed not in (character, normal):
            found[decomposed] = normal
    found |= {chr(code): " " for code in SPACES}
    return found | {chr(code): "" for code in REMOVED}


def compile_map(replacements: Mapping[str, str]) -> bytes:
    """The bytes of a map.

    Args:
        replacements: by the text that they replace; no text is empty or has U+0000.
    """
    places: dict[str, int] = {}
    texts = bytearray()
    for text in dict.fromkeys(replacements.values()):
        places[text] = len(texts)
        texts += text.encode() + b"\0"
    trie: Trie = {}
    values: dict[int, int] = {}
    for key, text in sorted(replacements.items()):
        node = trie
        for byte in key.encode():
            node = node.setdefault(byte, {})
        values[id(node)] = places[text]
    units = _double_array(trie, values)
    data = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(data)) + data + bytes(texts or b"\0")


def _double_array(trie: Trie, values: Mapping[int, int]) -> list[int]:
    """The units: a node's children are at its base XOR their labels, its value at the base."""
    units = {0: 0}
    bases: set[int] = {0}
    queue = deque([(0, trie)])
    free = {1: 1, 2: 1}  # where the search starts, for nodes of one label and of several
    while queue:
        place, node = queue.popleft()
        labels = [*([0] if id(node) in values else []), *node]
        kind = min(len(labels), 2)
        first = free[kind]
        while first in units or not _fits(first ^ labels[0], labels, units, bases):
            first += 1
        free[kind] = first if kind == 1 else max(free[kind], first - 256)
        base = first ^ labels[0]
        bases.add(base)
        offset = place ^ base
        assert offset < 1 << 21, "the map is too large for short offsets"
        units[place] |= offset << 10
        if id(node) in values:
            units[place] |= _HAS_LEAF
            units[base] = values[id(node)] | _LEAF
        for label, child in node.items():
            units[base ^ label] = label
            queue.append((base ^ label, child))
    size = -(-(max(units) + 1) // 256) * 256
    return [units.get(place, 0) for place in range(size)]


def _fits(base: int, labels: list[int], units: dict[int, int], bases: set[int]) -> bool:
    return base not in bases and all(base ^ label not in units for label in labels)
