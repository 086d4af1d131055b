"""Makes tokenizer_cases.json: what `transformers`' BertTokenizer makes of texts that are hard.

The cases are the same for every tokenizer of this project: Python, Kotlin and JavaScript read them.
Run with an environment that has `transformers`, on a folder with the uncased vocabulary of 30,522:

    python tests/golden/make_tokenizer_cases.py FOLDER

Each case has a text, a max_length (null: nothing is cut) and the token_ids. White space and
characters that can't be seen are written as escapes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

OUTPUT = Path(__file__).with_name("tokenizer_cases.json")

# name, text, max_length
CASES: list[tuple[str, str, int | None]] = [
    ("empty", "", None),
    ("white space only", " \t\n\r ", None),
    ("plain sentence", "Set an alarm for seven in the morning.", None),
    ("upper case", "WHAT IS THE WEATHER IN NEW YORK", None),
    ("word pieces", "unaffable tokenizations of electroencephalography", None),
    ("contractions", "I can't believe it's not y'all's, won't you?", None),
    ("typographic apostrophe and quotes", "It\u2019s \u201cquoted\u201d \u2018text\u2019", None),
    ("all ASCII punctuation", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", None),
    ("punctuation inside words", "e-mail: john.doe@example.com, http://a.b/c?d=e&f=g#h", None),
    ("repeated punctuation", "wait... what?!?! --- no!!!", None),
    (
        "Unicode punctuation",
        "\u00a1Hola! \u00bfqu\u00e9? \u00abvoil\u00e0\u00bb \u2014 \u2026",
        None,
    ),
    (
        "symbols that are no punctuation",
        "5 \u20ac = 5.40 \u00a3 \u00b1 10\u00b0 \u00a9 \u2122",
        None,
    ),
    ("numbers", "3.14159 1,000,000 007 2024-02-29 12:30", None),
    ("long number", "123456789012345678901234567890", None),
    ("digits of other scripts", "\u0661\u0662\u0663 \u0967\u0968\u0969 \uff11\uff12\uff13", None),
    ("fractions and superscripts", "\u00bd x\u00b2 \u2460 \u2167", None),
    ("composed accents", "caf\u00e9 na\u00efve r\u00e9sum\u00e9 \u00c5ngstr\u00f6m", None),
    ("decomposed accents", "cafe\u0301 nai\u0308ve A\u030angstro\u0308m", None),
    ("many combining marks", "Z\u0351\u036b\u0343\u036a\u0302a\u0334l\u0320g\u0327o\u0321", None),
    (
        "letters without decomposition",
        "\u0142\u00f3d\u017a \u00f8re stra\u00dfe \u00e6on \u0111",
        None,
    ),
    ("capital sharp s", "GRO\u1e9eE STRASSE", None),
    ("Turkish dotted capital I", "\u0130stanbul I\u015f\u0131k", None),
    (
        "Greek with final sigma",
        "\u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3 "
        "\u03ac\u03bd\u03b8\u03c1\u03c9\u03c0\u03bf\u03c2",
        None,
    ),
    (
        "Cyrillic",
        "\u041f\u0440\u0438\u0432\u0435\u0442, "
        "\u043c\u0438\u0440! \u0439\u043e\u0433\u0443\u0440\u0442 \u0451",
        None,
    ),
    ("Vietnamese", "Ti\u1ebfng Vi\u1ec7t kh\u00f4ng d\u1ea5u", None),
    (
        "Arabic with vowel marks",
        "\u0627\u0644\u0633\u0651\u064e\u0644\u0627\u0645\u064f "
        "\u0639\u0644\u064a\u0643\u0645\u061f",
        None,
    ),
    ("Hebrew with points", "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd", None),
    (
        "Devanagari",
        "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e\u0964",
        None,
    ),
    (
        "Thai without spaces",
        "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
        None,
    ),
    ("Tamil", "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd", None),
    (
        "Chinese",
        "\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec\u53bb\u516c\u56ed\u5427\u3002",
        None,
    ),
    ("Chinese and Latin mixed", "ab\u4e2dcd\u6587ef", None),
    ("CJK extension B", "\U00020000\U0002a6d6 x", None),
    ("CJK compatibility ideographs", "\uf900\ufa0e \U0002f800", None),
    (
        "Japanese kana and kanji",
        "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3067\u3059",
        None,
    ),
    ("half-width katakana", "\uff83\uff77\uff7d\uff84\uff9e", None),
    ("Hangul syllables", "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4", None),
    ("Hangul jamo", "\u1112\u1161\u11ab\u1100\u1173\u11af", None),
    ("full-width Latin", "\uff28\uff45\uff4c\uff4c\uff4f\uff01", None),
    ("ligatures", "\ufb01nd the o\ufb03ce", None),
    ("emoji", "good morning \U0001f600\U0001f44d", None),
    (
        "emoji with skin tone and joiners",
        "\U0001f44b\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467",
        None,
    ),
    ("flag and keycap", "\U0001f1e9\U0001f1ea 1\ufe0f\u20e3 \u2764\ufe0f", None),
    ("mathematical alphabet", "\U0001d4d7\U0001d4ee\U0001d4f5\U0001d4f5\U0001d4f8", None),
    ("Deseret capitals", "\U00010400\U00010428", None),
    ("control characters", "a\x00b\x01c\x07d\x1be\x7ff\x80g", None),
    ("tabs and line breaks", "one\ttwo\nthree\r\nfour\x0bfive\x0csix", None),
    ("Unicode spaces", "a\u00a0b\u2003c\u3000d\u202fe\u1680f\u205fg", None),
    ("line and paragraph separators", "a\u2028b\u2029c\u0085d", None),
    ("zero-width characters", "ze\u200bro\u200c wi\u200ddth\u2060 \ufeffmark", None),
    ("soft hyphen and direction marks", "co\u00adop \u200eleft\u200f \u202eright\u202c", None),
    ("replacement and private use characters", "a\ufffdb \ue000c \U000f0000d", None),
    ("unassigned and non-characters", "a\u0378b \ufdd0c \uffffd", None),
    ("word of 100 characters", "a" * 100, None),
    ("word of 101 characters", "a" * 101, None),
    ("long word with accents", "e\u0301" * 100, None),
    ("long word between words", "before " + "x" * 300 + " after", None),
    ("special tokens in the text", "the [MASK] sat on [SEP] the [CLS] mat [PAD] [UNK]", None),
    ("special token glued to words", "a[MASK]b[SEP].", None),
    ("special tokens in lower case", "[mask] [sep] [ MASK ]", None),
    ("unused and continuing pieces in the text", "[unused1] ##ing ##s", None),
    ("one letter of each", "a \u00e1 \u4e00 \u3042 \u0430 \u03b1", None),
    ("cut to 8", "please remind me to call my mother tomorrow at noon", 8),
    ("cut to 3", "please remind me", 3),
    ("exactly as long as the limit", "please remind me", 5),
    ("cut inside a word", "electroencephalography of unaffable tokenizations", 7),
    ("cut after a special token in the text", "a [SEP] b c d e", 5),
]


def main() -> None:
    """Writes the cases."""
    from transformers import (  # type: ignore[import-not-found, unused-ignore]
        BertTokenizer,
        __version__,
    )

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a checkpoint folder with the uncased vocabulary")
    folder = parser.parse_args().folder
    tokenizer = BertTokenizer.from_pretrained(folder)
    cases = []
    for name, text, max_length in CASES:
        options = {"truncation": True, "max_length": max_length} if max_length else {}
        token_ids = tokenizer(text, **options)["input_ids"]
        cases.append({"name": name, "text": text, "max_length": max_length, "token_ids": token_ids})
    content = {
        "made_by": f"make_tokenizer_cases.py with transformers {__version__}",
        "vocabulary_size": len(tokenizer),
        "vocabulary_sha256": hashlib.sha256((folder / "vocab.txt").read_bytes()).hexdigest(),
        "lowercase": True,
    }
    lines = ",\n".join(f"    {json.dumps(case)}" for case in cases)
    head = json.dumps(content, indent=2).removesuffix("\n}")
    OUTPUT.write_text(f'{head},\n  "cases": [\n{lines}\n  ]\n}}\n', encoding="ascii")


if __name__ == "__main__":
    main()
