"""Makes unigram_cases.json: what our Python tokenizer makes of hard texts with Unigram.

    python -m tests.golden.make_unigram_cases

The tokenizers in Python, JavaScript and Kotlin are held to it. See README.md for the format. All
texts and vocabularies were written for it: the pieces are frequent parts of the texts.
"""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from converters.unigram import (
    PRECOMPILED,
    REPLACE_SPACES,
    STRIP,
    Metaspace,
    TextRule,
    UnigramVocabulary,
)
from converters.vocabulary import AddedToken
from edgebert.encoding.tokenizer import Tokenizer
from tests.golden.character_maps import compile_map, rules
from tests.golden.make_tokenizer_cases import CASES
from tests.golden.make_wordpiece_cases import ADDED_TEXTS, CUT_TEXTS, MORE, PAIR_TEXTS, made

OUTPUT = Path(__file__).with_name("unigram_cases.json")
SPACE = "\u2581"
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
SPACE_TEXTS: list[tuple[str, str]] = [
    ("runs of spaces", "the  music   play    of"),
    ("spaces at the ends", "  the music  "),
    ("white space of all kinds", "the\tmusic\nplay\r\nof\u00a0the\u3000to\u2003in\u2028a"),
    ("the metaspace itself", f"{SPACE}the{SPACE}music {SPACE}{SPACE} a{SPACE} {SPACE}"),
    ("one space", " "),
    ("spaces only", "    "),
    ("one metaspace", SPACE),
    ("spaces beside special tokens", "the <mask> of<mask>  the <mask>music </s> a <s> <pad>"),
    ("special tokens in full width", "\uff1cs\uff1e \uff1cmask\uff1e the"),
    ("removed characters", "\u0001the\u0002 mu\u007fsic \u0003"),
    ("removed characters only", "\u0001\u0002"),
    ("zero-width characters that become spaces", "the\u200bmusic\ufeffplay \u200b of"),
    ("unknown characters, alone and in a row", "\u0e01 the \u0e01\u0e02 mu\u0e01sic \u0e01the"),
    ("unknown characters at the ends", "\u0e01\u0e02the\u0e02"),
    ("decomposed and composed", "cafe\u0301 caf\u00e9 e\u0301\u0323 n\u0303 u\u0308ber"),
    ("many marks on a letter", "e\u0301\u0302\u0303\u0304 a\u0323\u0307\u0301"),
    ("short graphemes whose start is in the map", "\u2460\u0301 \ufb01\u0301 \u00bd\u200d a"),
    ("line breaks as one grapheme", "the\r\nmusic\r\n"),
    ("Hangul parts", "\u1112\u1161\u11ab\u1100\u1173\u11af \ud55c\uae00"),
    ("flags and families", "\U0001f1e9\U0001f1ea\U0001f1eb \U0001f469\u200d\U0001f4bb\u2764\ufe0f"),
    ("long runs of a letter", "a" * 200 + " " + "ab" * 100),
    ("ligatures and squared words", "\ufb01\ufb02\ufb03 \u3300 \u33c2 \u2122 \ufdfa"),
]


def main() -> None:
    """Writes the cases."""
    vocabularies = make_vocabularies()
    tokenizers = {name: Tokenizer(vocabulary) for name, vocabulary in vocabularies.items()}
    cases = [made(tokenizers[case["vocabulary"]], case) for case in make_inputs()]
    entries = [f"{_json(name)}:" + _json(entry_of(each)) for name, each in vocabularies.items()]
    OUTPUT.write_text(
        '{"vocabularies":{\n'
        + ",\n".join(entries)
        + '\n},"cases":[\n'
        + ",\n".join(map(_json, cases))
        + "\n]}\n",
        encoding="ascii",
    )


def entry_of(vocabulary: UnigramVocabulary) -> dict[str, Any]:
    """A vocabulary as the files of cases have it."""
    return {
        "settings": vocabulary.to_settings(),
        "tokens": vocabulary.tokens,
        "scores": vocabulary.scores,
        "charsmap": base64.b64encode(vocabulary.charsmap).decode(),
    }


def vocabulary_of(entry: dict[str, Any]) -> UnigramVocabulary:
    """The vocabulary of `entry_of`."""
    charsmap = base64.b64decode(entry["charsmap"])
    return UnigramVocabulary.from_settings(
        entry["settings"], entry["tokens"], entry["scores"], charsmap
    )


def all_texts() -> list[str]:
    """The texts of all cases."""
    return [
        *(text for _, text, _ in CASES),
        *(text for _, text in (*MORE, *ADDED_TEXTS, *SPACE_TEXTS)),
    ]


def make_vocabularies() -> dict[str, UnigramVocabulary]:
    """The vocabularies, by name.

    - xlm-roberta: as the fast tokenizer of XLM-RoBERTa and of paraphrase-multilingual-MiniLM.
    - spaces kept: as `transformers` converts SentencePiece models now.
    - added tokens: many of them, one separator, segments, only the first stretch has a metaspace.
    - no rules: no text rules, pieces that go beyond spaces, no metaspace in front.
    """
    texts = all_texts()
    letters = {ord(letter) for text in texts for letter in text}
    charsmap = compile_map(rules(letters))
    pieces = _pieces(texts)
    mask = AddedToken("<mask>", lstrip=True)
    added = (*_added(), mask)
    return {
        "xlm-roberta": _vocabulary(
            pieces,
            charsmap=charsmap,
            normalizers=(TextRule(PRECOMPILED), TextRule(REPLACE_SPACES, content=" ")),
            whitespace_split=True,
            added_tokens=(mask,),
        ),
        "spaces kept": _vocabulary(
            pieces,
            charsmap=charsmap,
            normalizers=(
                TextRule(PRECOMPILED),
                TextRule(STRIP, right=True),
                TextRule(REPLACE_SPACES, content=SPACE),
            ),
            added_tokens=(mask,),
        ),
        "added tokens": _vocabulary(
            pieces,
            charsmap=charsmap,
            normalizers=(TextRule(PRECOMPILED), TextRule(REPLACE_SPACES, content=" ")),
            metaspace=Metaspace(prepend_scheme="first"),
            pair_separators=1,
            second_segment=1,
            added_tokens=added,
        ),
        "no rules": _vocabulary(
            pieces | _pieces(texts, beyond_spaces=True),
            normalizers=(TextRule(STRIP, left=True, right=True),),
            metaspace=Metaspace(prepend_scheme="never", split=False),
            added_tokens=added,
        ),
    }


def make_inputs() -> Iterator[dict[str, Any]]:
    """The cases without their results."""
    for name, text, max_length in CASES:
        yield _case("xlm-roberta", name, text, max_length=max_length)
    for vocabulary in make_vocabularies():
        texts = [*MORE, *SPACE_TEXTS] if vocabulary != "added tokens" else SPACE_TEXTS
        for name, text in texts:
            yield _case(vocabulary, name, text)
    for vocabulary in ("added tokens", "no rules"):
        for name, text in ADDED_TEXTS:
            yield _case(vocabulary, name, text)
    for vocabulary in ("xlm-roberta", "added tokens"):
        for first in PAIR_TEXTS:
            for second in PAIR_TEXTS:
                yield _case(vocabulary, "a pair", first, second)
        for first in CUT_TEXTS:
            for second in CUT_TEXTS:
                for max_length in (4, 5, 6, 7, 10, 20):
                    yield _case(vocabulary, "a pair that is cut", first, second, max_length)
        for max_length in (2, 3, 9, 10, 11):
            yield _case(vocabulary, "a text that is cut", CUT_TEXTS[-1], max_length=max_length)


def _vocabulary(pieces: dict[str, float], **rules: Any) -> UnigramVocabulary:
    """Special tokens with the score 0, pieces with theirs, and the added tokens at the end.

    The mask is a piece, as in XLM-RoBERTa; further added tokens are none.
    """
    scored = {**dict.fromkeys(SPECIAL, 0.0), **pieces, "<mask>": 0.0}
    more = [token.content for token in rules["added_tokens"] if token.content not in scored]
    return UnigramVocabulary((*scored, *more), tuple(scored.values()), **rules)


def _pieces(texts: Sequence[str], beyond_spaces: bool = False) -> dict[str, float]:
    """Parts of words that occur more than once, and letters, with their log frequencies.

    Every ninth letter beyond ASCII is left out: it is unknown.
    """
    words = Counter(word for text in texts for word in _words(text, beyond_spaces))
    parts: Counter[str] = Counter()
    for word, count in words.items():
        for start in range(len(word)):
            for end in range(start + 1, min(start + 9, len(word)) + 1):
                parts[word[start:end]] += count
    total = sum(parts.values())
    kept = {
        part: count
        for part, count in sorted(parts.items())
        if ((count > 2 and part.isascii()) or count > 1) and _is_piece(part, parts)
    }
    kept[SPACE] = parts[SPACE] or 1
    return {part: math.log(count / total) for part, count in kept.items()}


def _words(text: str, beyond_spaces: bool) -> Iterable[str]:
    valid = text.encode("utf-8", "ignore").decode()
    words = [SPACE + word for word in valid.split()]
    return ["".join(words)] if beyond_spaces else words


def _is_piece(part: str, parts: Counter[str]) -> bool:
    if len(part) == 1:
        return part.isascii() or ord(part) % 9 != 0
    whole_parts = (parts[part[:-1]], parts[part[1:]])
    return all(c.isascii() or ord(c) % 9 for c in part) and max(whole_parts) < 3 * parts[part]


def _added() -> tuple[AddedToken, ...]:
    return (
        AddedToken("<user>", special=False, normalized=True),
        AddedToken("[URL]", lstrip=True),
        AddedToken("[TAG]", rstrip=True),
        AddedToken("[GAP]", lstrip=True, rstrip=True),
        AddedToken("New York", special=False, normalized=True, single_word=True),
        AddedToken("ing", special=False, single_word=True),
        AddedToken("\u4e16\u754c", special=False, normalized=True, lstrip=True),
        AddedToken("\U0001f389\U0001f389", special=False, rstrip=True),
        AddedToken("\U0001f389", special=False),
        AddedToken("xy", special=False),
        AddedToken("xyzw", special=False),
        AddedToken("\u2026", special=False, single_word=True, rstrip=True),
    )


def _case(
    vocabulary: str, name: str, text: str, pair: str | None = None, max_length: int | None = None
) -> dict[str, Any]:
    case = {"vocabulary": vocabulary, "name": name, "text": text}
    return {
        **case,
        **({} if pair is None else {"pair": pair}),
        **({} if max_length is None else {"max_length": max_length}),
    }


def _json(content: object) -> str:
    return json.dumps(content, separators=(",", ":"))


if __name__ == "__main__":
    main()
