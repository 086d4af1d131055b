"""Makes wordpiece_cases.json: what our Python tokenizer makes of hard texts.

    python -m tests.golden.make_wordpiece_cases

The tokenizers in Python, JavaScript and Kotlin are held to it. See README.md for the format. All
texts and vocabularies were written for it; the letters of each vocabulary are those of the texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from converters.vocabulary import AddedToken, Vocabulary, wordpiece_tokenizer
from edgebert.encoding.tokenizer import Tokenizer
from tests.golden.make_tokenizer_cases import CASES

OUTPUT = Path(__file__).with_name("wordpiece_cases.json")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    "the The of to a in and music play ##ing ##ed ##s un ##aff ##able aff able remind re ##mind "
    "please my mother tom ##or ##row at noon new york New York seven alarm for set Set morning "
    "straße strasse STRASSE café cafe Café naïve naive ab abc abcd ##bc bc ##cd ελλάδα Ελλάδα "
    "привет Привет ##вет 世界 ##世界 세계 ##계 नमस् ##ते"
)
MORE: list[tuple[str, str]] = [
    ("a piece that looks like a special token", "[unused1] [CLS [MASK]] [UNK"),
    ("the ends of the ranges of Chinese characters", "㏿㐀䶿䷀ 鿿ꀀ 🿿𠀀𪛟𪛠 𪜀𫜿𫝀𫠟𫠠 𫢟𫤟𫤠𬺯𬺰"),
    (
        "compatibility ideographs and their neighbours",
        "\uf8ff\uf900\ufaff\ufb00 丽\U0002fa1f\U0002fa20",
    ),
    ("ideographic zero and iteration mark", "二〇〇一 人々"),
    ("a compatibility ideograph that accents' stripping changes", "豈x\uf900y"),
    ("bopomofo and Yi", "ㄅㄆ ꀀꀁ"),
    ("Greek: final sigma in capitals", "ΟΔΟΣ ΣΑΣ Σ ς"),
    ("Greek with tonos and dialytika", "Ελλάδα ΐ Ϊ́ ῢ ᾳ ᾼ ͺ"),
    ("Turkish I's", "İıIi İSTANBUL ISPARTA"),
    ("titlecase digraphs", "ǅ ǈ ǋ ǲ Ǆ ǆ"),
    ("Kelvin, Ohm and Angstrom signs", "300 K 5 Ω 1 Å"),
    ("Georgian and its capitals", "ᲡᲐᲥᲐᲠᲗᲕᲔᲚᲝ საქართველო Ⴀ"),
    ("Cherokee", "ᏣᎳᎩ ꮳꮃꭹ"),
    (
        "capitals of the last Unicode versions",
        "\u1c89 \ua7cb \ua7da \U00010d50 \U00016ea0 \U0001e900",
    ),
    ("roman numerals and circled letters", "Ⅻ Ⓐ ⅻ"),
    ("long s and sharp s", "ſtraße ẞ ẛ ẛ̣"),
    ("Armenian", "ԵՐԵՎԱՆ երևան և"),
    ("marks that change places", "q\u0307\u0323 q\u0323\u0307 a\u0315\u0300\u05ae\u0062 ệ ộ́"),
    ("composed letters with marks below", "ḍ̇ ệ s\u0323\u0307 ṩ \u1e0b\u0323"),
    ("marks that stay and change places", "a\U0001d165\U0001d16d\u0345b k\u302f\u302ex 가\u302e나"),
    ("marks newer than the table of accents", "a\u08d3b a\U0001e000b a\u1df6b a\u0d3bb \u0cf3"),
    ("marks first", "\u0301a \u0345\u0334 \u0323\u0301"),
    ("marks first that stay", "\u0345\U0001e000 \U0001e000\u0345b \u302f\U0001d165\u0334"),
    ("marks alone between spaces", "a \u0301\u0302 b"),
    ("enclosing marks", "1\u20dd a\u20e0"),
    ("marks that decompose", "\u0344 a\u0340\u0341 \u0f73 \u0f75\u0f71 \u0f81"),
    ("Indic two-part vowels", "ो कॉ ক\u09cb ক\u09cc த\u0bca ക\u0d4a ಕ\u0ccb ක\u0ddd"),
    ("letters with nukta", "क़ ड़ ਸ਼ য়"),
    ("Tibetan", "བོད་སྐད། གྷ"),
    ("Myanmar and Khmer", "မြန်မာ ဦ ភាសាខ្មែរ"),
    ("Balinese and Kaithi, which decompose", "ᬆ ᬈ \U0001109a \U000110ab \U0001112e"),
    ("a letter that newer Unicode decomposes", "\U00011938 \U00016d68 \U000105c9"),
    ("Hebrew presentation forms", "שׁ שׂ אַ יִ ﬠ"),
    ("Arabic presentation forms and tatweel", "ﷺ ـســلام ﻻ آ أ"),
    ("Persian with zero-width non-joiner", "می‌خواهم نمی‌دانم"),
    ("Arabic digits and signs", "٪١٢٣٫٤٥ ۱۲۳ \u0600 \u06dd \u08e2"),
    ("Hangul syllables of two and three parts", "가 각 힣 한글 값"),
    ("Hangul parts and old Hangul", "ᄀ ᅡ ᆨ ᄒᆞᆫ ꥠ ힰ"),
    ("Hangul compatibility and half-width", "ㄱㅏ ﾡￂ"),
    ("kana with voiced marks", "がぎ か\u3099き\u3099 ガ ヴ ｶﾞ"),
    ("musical symbols", "𝅘𝅥𝅮 𝄞 \U0001d15e"),
    ("mathematical letters and signs", "𝐀𝛼 ∑≠≮ ∄ ⫝̸"),
    ("currency and modifier symbols", "$€£¥₿ ^`~ ¨ ´ ¸"),
    ("ASCII symbols that Unicode calls no punctuation", "a$b a+b a<b a=b a>b a^b a`b a|b a~b"),
    ("symbols beyond ASCII that are no punctuation", "a×b a÷b a¬b a°b a©b a¦b"),
    ("dashes, quotes and brackets", "a‐b a–b a—b a―b «a» ‹b› 「c」 ⟨d⟩ ｟e｠ ⸺"),
    ("punctuation newer than the table of punctuation", "a\u2e52b a\u2e43b a\u061db a\U00011660b"),
    ("punctuation of other scripts", "a՞b a׃b a؟b a।b a፡b a᠁b a།b a𐄀b a𑁇b"),
    ("dots and primes", "a·b a‧b a•b a′b a″b a…b a‥b"),
    ("under ties", "a_b a‿b a⁀b ＿"),
    ("Greek question mark and ano teleia", "a\u037eb a\u0387b a\u1fefb a\u1ffdb"),
    ("every ASCII control character", "".join(f"a{chr(code)}b" for code in (*range(32), 127))),
    ("the controls of Latin-1", "".join(f"a{chr(code)}" for code in range(0x80, 0xA0))),
    ("every space", " ".join(f"a{chr(c)}b" for c in (9, 10, 13, 32, 160, 0x1680, 0x180E, 0x3000))),
    ("the general spaces", "".join(f"a{chr(code)}" for code in range(0x2000, 0x2010))),
    (
        "format characters",
        "a\u200bb a\u200cb a\u200db a\u200eb a\u2060b a\u2066b a\ufeffb a\u061cb",
    ),
    ("format characters newer than the table", "a\u08e2b a\U000110cdb a\U00013430b a\U0001bca0b"),
    ("tags and variation selectors", "🏴\U000e0067\U000e0062\U000e007f ☎︎ ☎️ a\U000e0100b"),
    ("non-characters", "a\ufdd0b a\ufffeb a\uffffb a\U0001fffeb a\U0010ffffb"),
    ("private use", "a\ue000b a\uf8ffb a\U000f0000b a\U00100000b"),
    ("unassigned", "a\u0378b a\u05ffb a\U0001ffffb a\U000e0fffb"),
    ("object replacement and interlinear marks", "a\ufffcb a\ufff9b a\ufffbb"),
    ("lone surrogates", "a\ud800b \udc00 \udfff\ud83d c"),
    ("a lone surrogate before a pair", "\ud83d😀 \ude00"),
    ("a byte order mark first", "\ufeffthe music"),
    ("emoji sequences", "👨‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 🏳️‍🌈 🫠 🧑‍🚀"),
    ("emoji glued to words", "music🎵play 🎉the🎉"),
    ("letters beyond the first plane", "𐐀𐐨 𞤀𞤢 𑢠𑣀 𝒜"),
    ("words as long as the limit", f"{'a' * 99} {'a' * 100} {'a' * 101}"),
    ("words at the limit, of letters beyond the first plane", f"{'𐐨' * 100} {'𐐨' * 101}"),
    ("words at the limit before accents go", "e\u0301" * 100 + " " + "e\u0301" * 101),
    ("words that get longer in lower case", f"{'İ' * 50} {'İ' * 51}"),
    ("words that get longer when taken apart", f"{'각' * 33} {'각' * 34}"),
    ("longest match first, and no way back", "abcd abcde abcx abbc abcdbc"),
    ("pieces of many letters", "remindremind unaffable affable playings played"),
    ("a word whose last letter is unknown", "play\u0e01 \u0e01play pl\u0e01ay"),
    ("a word of unknown letters", "กขค ๑๒๓"),
    ("mixed scripts in one word", "aбв你c αβγabc привет세계"),
    (
        "a long sentence",
        "Please remind my mother at noon tomorrow, and set the alarm for seven. " * 3,
    ),
]
ADDED = (
    AddedToken("<user>", special=False, normalized=True),
    AddedToken("[URL]", lstrip=True),
    AddedToken("[TAG]", rstrip=True),
    AddedToken("[GAP]", lstrip=True, rstrip=True),
    AddedToken("New York", special=False, normalized=True, single_word=True),
    AddedToken("ing", special=False, single_word=True),
    AddedToken("Café", special=False, normalized=True),
    AddedToken("世界", special=False, normalized=True, lstrip=True),
    AddedToken("🎉🎉", special=False, rstrip=True),
    AddedToken("🎉", special=False),
    AddedToken("xy", special=False),
    AddedToken("xyzw", special=False),
    AddedToken("yzw", special=False),
    AddedToken("İx", special=False, normalized=True),
    AddedToken("[MASK]", lstrip=True),
    AddedToken("…", special=False, single_word=True, rstrip=True),
)
ADDED_TEXTS: list[tuple[str, str]] = [
    ("found in any case", "<user> <USER> <User>s a<user>b"),
    ("white space on the left", "the \u3000 [URL] the[URL]x \n[URL]"),
    ("white space on the right", "[TAG] \t the [TAG]the [TAG]"),
    ("white space on both sides", "a  [GAP]  b[GAP] [GAP]c"),
    ("white space taken by the one before", "[TAG]  [URL] [TAG] [GAP]"),
    ("only as single words", "new york New York. newyork anew york new yorks NEW  YORK"),
    (
        "single words before the rules",
        "ing playing ing. -ing_ing ing2 你ing éing ing\u0301 ing\u200b",
    ),
    ("single words beside marks and joiners", "\u200ding ing\u0345 ٣ing ͅing ing‿ ing☺ 𐐨ing ing𑁇"),
    ("single word with white space", "the… the… a …b … c"),
    ("with accents", "café CAFE cafe\u0301 cafés"),
    ("Chinese", "你好世界 世界世界 a世界b"),
    ("emoji, the longest first", "🎉 🎉🎉 🎉🎉🎉 the🎉🎉  music"),
    ("overlapping", "xyzw xyz xyxyzw yzw xxyzww"),
    ("longer in lower case", "İx i\u0307x ix"),
    ("a special one with flags of its own", "the   [MASK] of [mask]"),
    ("the others as ever", "[SEP] [PAD][CLS] [UNK]"),
    ("nothing else", "[URL]"),
    ("nothing but white space beside it", "  [URL]  [TAG]  "),
    ("control characters inside", "[U\u0000RL] <us\u200ber> x\u00ady"),
    ("a lone surrogate beside it", "\ud800ing ing\udc00 xy\ud83d"),
]
PLAIN_TEXTS: list[tuple[str, str]] = [
    *MORE[-8:],
    ("special tokens", "<s>a</s> <m> <?><none> [CLS] [MASK]"),
    ("words around six letters", "played playing abcdea abcdeab tháp pláy"),
    ("prefixes in the text", "_a a_b ##a"),
]
PAIR_TEXTS = ("", "the", "play the music", "unaffable [SEP] 你好, café", " \u200b ")
CUT_TEXTS = ("", "the music", "please remind my mother tomorrow at noon")


def main() -> None:
    """Writes the cases."""
    vocabularies = make_vocabularies()
    tokenizers = {name: Tokenizer(vocabulary) for name, vocabulary in vocabularies.items()}
    cases = [made(tokenizers[case["vocabulary"]], case) for case in make_inputs()]
    entries = [
        f"{_json(name)}:" + _json({"settings": each.to_settings(), "tokens": each.tokens})
        for name, each in vocabularies.items()
    ]
    OUTPUT.write_text(
        '{"vocabularies":{\n'
        + ",\n".join(entries)
        + '\n},"cases":[\n'
        + ",\n".join(map(_json, cases))
        + "\n]}\n",
        encoding="ascii",
    )


def make_vocabularies() -> dict[str, Vocabulary]:
    """The vocabularies, by name."""
    more = [text for _, text in MORE]
    every = [text for _, text, _ in CASES] + more
    added = [text for _, text in ADDED_TEXTS]
    words = WORDS.replace("##", "_").split()
    short = (*"abcdelnpuyéthms", *(f"_{letter}" for letter in "abcdelnpuyé"), *words)
    return {
        "uncased": _vocabulary(every, lowercase=True),
        "cased": _vocabulary(every, lowercase=False),
        "uncased with accents": _vocabulary(more, lowercase=True, strip_accents=False),
        "cased without accents": _vocabulary(more, lowercase=False, strip_accents=True),
        "uncased, Chinese not split": _vocabulary(
            more, lowercase=True, split_chinese_characters=False
        ),
        "uncased, added tokens": _vocabulary(added, ADDED, lowercase=True),
        "cased, added tokens": _vocabulary(added, ADDED, lowercase=False),
        "short words, other special tokens": Vocabulary(
            ("<s>", "</s>", "<none>", "<?>", "<m>", *dict.fromkeys(short)),
            lowercase=True,
            unknown_token="<?>",
            cls_token="<s>",
            sep_token="</s>",
            pad_token="<none>",
            mask_token="<m>",
            max_input_chars_per_word=6,
            continuing_prefix="_",
        ),
        "no prefix": Vocabulary(
            (*SPECIAL, *"abcdlpyu", "ab", "play", "cd"), lowercase=True, continuing_prefix=""
        ),
    }


def make_inputs() -> Iterator[dict[str, Any]]:
    """The cases without their results."""
    for vocabulary in ("uncased", "cased"):
        for name, text, max_length in CASES:
            yield _case(vocabulary, name, text, max_length=max_length)
    texts_of = dict.fromkeys(make_vocabularies(), MORE)
    texts_of |= dict.fromkeys(("uncased, added tokens", "cased, added tokens"), ADDED_TEXTS)
    texts_of |= dict.fromkeys(("short words, other special tokens", "no prefix"), PLAIN_TEXTS)
    for vocabulary, texts in texts_of.items():
        for name, text in texts:
            yield _case(vocabulary, name, text)
    for first in PAIR_TEXTS:
        for second in PAIR_TEXTS:
            yield _case("uncased", "a pair", first, second)
    for first in CUT_TEXTS:
        for second in CUT_TEXTS:
            for max_length in (3, 4, 5, 6, 7, 10, 20):
                yield _case("uncased", "a pair that is cut", first, second, max_length)
    for max_length in (2, 3, 9, 10, 11):
        yield _case("uncased", "a text that is cut", CUT_TEXTS[-1], max_length=max_length)


def made(tokenizer: Tokenizer, case: dict[str, Any]) -> dict[str, Any]:
    """A case with the results that a tokenizer gives."""
    encoding = tokenizer.encode(case["text"], case.get("pair"), case.get("max_length"))
    return {
        **case,
        "token_ids": list(encoding.token_ids),
        "segment_ids": list(encoding.segment_ids),
        "offsets": [list(offsets) for offsets in encoding.offsets],
    }


def _case(
    vocabulary: str, name: str, text: str, pair: str | None = None, max_length: int | None = None
) -> dict[str, Any]:
    case = {"vocabulary": vocabulary, "name": name, "text": text}
    return {
        **case,
        **({} if pair is None else {"pair": pair}),
        **({} if max_length is None else {"max_length": max_length}),
    }


def _vocabulary(
    texts: Sequence[str], added: tuple[AddedToken, ...] = (), **rules: Any
) -> Vocabulary:
    """The words above and the letters of texts, as starts of words and as their rests.

    Every ninth letter beyond ASCII is left out: it is unknown.
    """
    normalizer = wordpiece_tokenizer(Vocabulary(SPECIAL, **rules)).normalizer
    letters: set[str] = set()
    for text in texts:
        letters.update(normalizer.normalize_str(text.encode("utf-8", "ignore").decode()))
    kept = sorted(letter for letter in letters - {" "} if letter.isascii() or ord(letter) % 9)
    tokens = dict.fromkeys((*SPECIAL, *WORDS.split(), *kept, *(f"##{letter}" for letter in kept)))
    tokens |= dict.fromkeys(token.content for token in added)
    return Vocabulary(tuple(tokens), added_tokens=added, **rules)


def _json(content: object) -> str:
    return json.dumps(content, separators=(",", ":"))


if __name__ == "__main__":
    main()
