"""Unigram vocabularies that are hard for a tokenizer: small ones of our own."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Sequence

from converters.unigram import Metaspace, TextRule, UnigramVocabulary
from converters.wordpiece import AddedToken
from tests.golden.charsmaps import charsmap

MARK = "\u2581"
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_WORDS = (
    "the a of to in is and play music please remind mother tomorrow at noon straße café naïve "
    "привет мир ελλάδα नमस्ते क्षत्रिय สวัสดี 今天 天气 日本語 テキスト 안녕 세계 ﷺ 😀 👩 <s>"
).split()
_SYLLABLES = "ing ed er un re th an on ен ра 안 녕 ् ि 本 語 ー १ ½ .. -- ''".split()
_TRICKS = {
    # Keys that begin others, that a cluster of more characters begins with, or that become nothing.
    "a": "aa",
    "ab": "x",
    "e\u0301": "E",
    "\u0301": "",
    "\u00a9": "(c)",
    "\u200d": " ",
    "\u1100": "G",
    "\u1161": "A",
    "\u11a8": "",
    "\uac00": "GA",
    "\u0915": "k",
    "\u0937": "",
    "\u0600": "#",
    "\ufe0f": "",
    "\r": "",
    "\n": "  ",
    "\U0001f600": ":)",
    "\U000110bd": "",
    "\ufffd": " ",
    "\x01": "",
    "z": "",
    "q": "\u2581",
}


def make_unigram_vocabularies() -> dict[str, UnigramVocabulary]:
    """Vocabularies by their names."""
    rng = random.Random(15)
    compatible = charsmap(_compatibility())
    plain = (TextRule("precompiled"),)
    modern = (*plain, TextRule("replace_spaces", content=MARK), TextRule("strip", right=True))
    both = (TextRule("strip", left=True, right=True), TextRule("replace_spaces", content=" "))
    return {
        "unigram": _made(rng, charsmap=compatible, normalizers=plain, whitespace_split=True),
        "unigram, runs of spaces": _made(
            rng, charsmap=compatible, normalizers=modern, metaspace=Metaspace(prepend_scheme="first")
        ),
        "unigram, whole texts": _made(
            rng,
            normalizers=both,
            metaspace=Metaspace(split=False),
            pair_separators=1,
            second_segment=1,
        ),
        "unigram, tricks": _made(
            rng,
            charsmap=charsmap(_TRICKS),
            normalizers=(*plain, *both),
            metaspace=Metaspace("_", "never"),
            mark="_",
            added_tokens=(
                AddedToken("<mask>", lstrip=True),
                AddedToken("play", special=False, normalized=True, single_word=True),
                AddedToken("[x]", special=False, rstrip=True),
            ),
        ),
        "unigram, positive scores": _made(
            rng,
            charsmap=charsmap(_TRICKS),
            normalizers=(*both, *plain),
            whitespace_split=True,
            metaspace=Metaspace(prepend_scheme="first"),
            lowest_score=30.0,
        ),
    }


def _made(
    rng: random.Random,
    *,
    mark: str = MARK,
    lowest_score: float = -12.0,
    added_tokens: Sequence[AddedToken] = (AddedToken("<mask>", lstrip=True),),
    **rules: object,
) -> UnigramVocabulary:
    pieces = dict.fromkeys([*_SPECIAL, mark, mark + mark, "ab", "zz", "\u00e9", "e\u0301"])
    pieces |= dict.fromkeys(mark + word for word in _WORDS)
    pieces |= dict.fromkeys(_SYLLABLES)
    letters = sorted({letter for word in _WORDS for letter in word})
    pieces |= dict.fromkeys(letter for letter in letters if rng.random() < 0.8)
    for _ in range(120):
        word = rng.choice(_WORDS)
        start = rng.randrange(len(word))
        piece = word[start : start + rng.randrange(1, 5)]
        pieces[rng.choice([mark, ""]) + piece] = None
    scores = [0.0] * len(_SPECIAL)
    scores += [lowest_score + 11 * rng.random() for _ in range(len(pieces) - len(scores))]
    if lowest_score > 0:
        scores[: len(_SPECIAL)] = [lowest_score] * len(_SPECIAL)
    behind = [token.content for token in added_tokens if token.content not in pieces]
    return UnigramVocabulary(
        (*pieces, *behind), tuple(scores), added_tokens=tuple(added_tokens), **rules
    )


def _compatibility() -> dict[str, str]:
    """Much of what SentencePiece's nmt_nfkc does, with this Python's Unicode."""
    found = {}
    for code in (*range(0x20, 0xD800), *range(0xF900, 0x20000), *range(0x2F800, 0x2FA20)):
        character = chr(code)
        text = unicodedata.normalize("NFKC", character)
        if text != character:
            found[character] = text
        apart = unicodedata.normalize("NFD", character)
        if apart not in (character, text) and unicodedata.normalize("NFC", apart) == character:
            found[apart] = character
    found |= {chr(code): "" for code in (*range(1, 9), 0xB, *range(0xE, 0x20), 0x7F)}
    spaces = "\t\n\f\r\u1680\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u2581\ufeff\ufffd"
    return found | dict.fromkeys(spaces, " ")
