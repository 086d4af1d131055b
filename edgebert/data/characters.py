"""Repairs text that JSON can hold but UTF-8 can't."""

from __future__ import annotations

import re

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def replace_lone_surrogates(text: str) -> str:
    """Replaces each half of a UTF-16 pair that has no other half by U+FFFD."""
    return _LONE_SURROGATE.sub("\ufffd", text)
