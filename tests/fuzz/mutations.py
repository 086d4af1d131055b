"""Damages bytes, JSON and text. The same generator state gives the same result."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

Mutate = Callable[[random.Random, Sequence[bytes]], bytes]
"""Makes one input from the seeds."""

_NUMBERS = (0, 1, -1, 2, 7, 127, 255, 256, 4096, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 10**18)
_FLOATS = (0.5, -0.0, 1e-300, 1e308, float("nan"), float("inf"), float("-inf"))
_TEXTS = (
    *("", "a", " ", "0", "-1", "true", "null", "\x00", "\x1b[2J", "\ud800", "\u202e", "\U0001f600"),
    *("..", "../x", "/dev/zero", "/", "C:\\x", "a/b", "x" * 300, "1e999", "NaN", "[PAD]", "##"),
    *("%s", "{}", "\n", "\t", "LABEL_0", "float32", "bert", "gelu", "a" * 5000),
)
_PIECES = (
    *(b"\n", b"\r\n", b"\t", b",", b";", b'"', b'""', b"'", b"\x00", b"\xff", b"\xef\xbb\xbf"),
    *(b"\xff\xfe", b"\xed\xa0\x80", b"\xc3", b"{", b"}", b"[", b"]", b":", b"null", b"1e999", b"-"),
    *(b"# ", b"\x1b]", b"\xe2\x80\xa8", b"\x0b", b"\x1c", b"NaN", b"-1", b"9" * 40, b" ", b"\\"),
    *(b"\\u0000", b"\\ud800", b"../", b"O", b"B-", b"I-X", b"_", b"text", b"label", b"\n\n"),
)
_LONG_JSON = (
    *(b"[" * 20_000, b'{"a":' * 20_000, b"1" * 6000, b'"\\ud800"', b"", b"NaN", b"null", b"[]"),
    *(b"{}", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"-", b'{"a":1,"a":2}', b"1e400", b"\x00"),
)


def mutate_bytes(source: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A seed with 1 to 8 changes: bits, bytes, numbers, blocks, pieces of another seed, its end."""
    data = bytearray(source.choice(seeds))
    for _ in range(source.choice((1, 1, 1, 2, 4, 8))):
        _change_bytes(source, data, seeds)
    return bytes(data)


def _change_bytes(source: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    size = len(data)
    place, length = source.randrange(size + 1), source.choice((1, 2, 4, 8, 16, 64))
    match source.randrange(9):
        case 0 if place < size:
            data[place] ^= 1 << source.randrange(8)
        case 1 if place < size:
            data[place] = source.choice((0, 1, 127, 128, 255, source.randrange(256)))
        case 2:
            number = source.choice(_NUMBERS) % 2**64
            width = source.choice((1, 2, 4, 8))
            value = (number % 2 ** (8 * width)).to_bytes(width, source.choice(("little", "big")))
            data[place : place + width] = value[: size - place]
        case 3:
            del data[place : place + length]
        case 4:
            data[place:place] = data[source.randrange(size + 1) :][:length]
        case 5:
            data[place:place] = source.choice(_PIECES)
        case 6:
            other = source.choice(seeds)
            data[place : place + length] = other[source.randrange(len(other) + 1) :][:length]
        case 7 if source.random() < 0.3:
            del data[place:]
        case _:
            data[place : place + length] = source.randbytes(min(length, size - place))


def mutate_json(source: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A seed with 1 to 3 changed values, or with changed bytes."""
    kind = source.random()
    if kind < 0.01:
        return source.choice(_LONG_JSON)
    if kind < 0.12:
        return mutate_bytes(source, seeds)
    content = json.loads(source.choice(seeds))
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        content = _change_value(source, content)
    return _json_bytes(content)


def mutate_json_lines(source: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A seed with one JSON value per line, of which some lines are damaged."""
    if source.random() < 0.3:
        return mutate_bytes(source, seeds)
    lines = source.choice(seeds).splitlines()
    for place in source.sample(range(len(lines)), min(len(lines), source.choice((1, 1, 2)))):
        lines[place] = mutate_json(source, [lines[place]]) if lines[place] else b""
    return b"\n".join(lines) + b"\n"


def mutate_toml(source: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A seed with changed values of keys, changed keys and sections, or with changed bytes."""
    if source.random() < 0.2:
        return mutate_bytes(source, seeds)
    lines = source.choice(seeds).decode().splitlines()
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        place = source.randrange(len(lines))
        key, is_pair, value = lines[place].partition(" = ")
        match source.randrange(6):
            case 0:
                del lines[place]
                lines = lines or [""]
            case 1:
                lines.insert(source.randrange(len(lines)), lines[place])
            case 2 if is_pair:
                lines[place] = f"{json.dumps(source.choice(_TEXTS))} = {value}"
            case _ if is_pair:
                lines[place] = f"{key} = {_toml_value(source)}"
    return "\n".join(lines).encode("utf-8", "surrogatepass") + b"\n"


def _toml_value(source: random.Random) -> str:
    numbers = (source.choice(_NUMBERS), source.choice((0.5, 1e300, "nan", "inf", "1979-05-27")))
    return str(
        source.choice(
            (
                *numbers,
                *("true", "[]", "{}", "[1, 'a']", '["a"]', "{a = 1}", "[[8]]", "''", "0.0"),
                json.dumps(source.choice(_TEXTS)),
            )
        )
    )


def _json_bytes(content: Any) -> bytes:
    return json.dumps(content).encode()


def _change_value(source: random.Random, content: Any) -> Any:
    """The value with one change at a random place: replaced, removed, renamed, moved or wrapped."""
    paths = _paths(content)
    path = source.choice(paths)
    if not path:
        return _any_value(source, content)
    parent = _at(content, path[:-1])
    key = path[-1]
    match source.randrange(10):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[source.choice(_TEXTS)] = parent.pop(key)
        case 2:
            parent[key] = copy.deepcopy(_at(content, source.choice(paths)))
        case 3:
            parent[key] = [parent[key]]
        case 4 if isinstance(parent, list):
            parent.insert(source.randrange(len(parent) + 1), copy.deepcopy(parent[key]))
        case 5 if isinstance(parent[key], str):
            text = parent[key]
            place = source.randrange(len(text) + 1)
            parent[key] = text[:place] + source.choice(_TEXTS) + text[place:]
        case 6 if isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
            parent[key] += source.choice((1, -1, 10**6, -(10**6), 0.5))
        case _:
            parent[key] = _any_value(source, parent[key])
    return content


def _any_value(source: random.Random, old: Any) -> Any:
    """A value, half of the time of the same type."""
    if source.random() < 0.5:
        if isinstance(old, str):
            return source.choice(_TEXTS)
        if isinstance(old, int | float) and not isinstance(old, bool):
            return source.choice((*_NUMBERS, *_FLOATS))
        if isinstance(old, list) and old:
            return old * source.choice((2, 40)) if len(old) < 50 else old[: len(old) // 2]
    return source.choice(
        (
            *(None, True, False, [], {}, [[]], {"a": 1}, [None], [{}], [1, "a"], {"": {}}),
            *(source.choice(_NUMBERS), source.choice(_FLOATS), source.choice(_TEXTS)),
        )
    )


def _paths(value: Any) -> list[tuple[Any, ...]]:
    path: tuple[Any, ...] = ()
    found = [path]
    stack = [(value, path)] if isinstance(value, dict | list) else []
    while stack:
        inner, at = stack.pop()
        keys = inner if isinstance(inner, dict) else range(len(inner))
        for key in keys:
            found.append((*at, key))
            if isinstance(inner[key], dict | list):
                stack.append((inner[key], (*at, key)))
    return found


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value
