"""Makes strings that are hard for a tokenizer, with what Python's gives for them.

    python -m tests.golden.make_tokenizer_strings --count 200000 -o build/tokenizer_strings.jsonl

The Kotlin tokenizer is held to the file (`make android`). The first line has the vocabularies, as
in wordpiece_cases.json. Every other line is an array: the vocabulary's name, the text, the other
text of a pair or null, the length to cut to or null, and of each token its id, segment id, start
and end. A half of the strings sweeps over the code points: all of them if there are 186,000
strings.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from converters.vocabulary import SubwordVocabulary, Vocabulary
from edgebert.encoding.tokenizer import Tokenizer
from tests.golden.make_wordpiece_cases import make_vocabularies

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
REAL = {"bert_uncased_vocab.txt": True, "bert_cased_vocab.txt": False}
SWEPT = 12
CODE_POINTS = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
MARKS = [chr(code) for code in CODE_POINTS[:0x30000] if unicodedata.combining(chr(code))]
CONTROLS = [chr(code) for code in (*range(0x20), 0x7F, 0x85, 0xA0, 0xAD, 0x200B, 0x2028, 0xFEFF)]
SPACES = [" ", "\t", "\n", "\r", "\u00a0", "\u2003", "\u3000", "\u1680", "\u202f"]
EMOJI = ["\U0001f600", "\U0001f469\u200d\U0001f4bb", "\u2764\ufe0f", "\U0001f1e9\U0001f1ea"]
LATIN = [chr(code) for code in range(0xC0, 0x250)]
PUNCTUATION = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\u2013\u201c\u3002\uff01\u00bf")
BLOCKS = [(0x370, 0x530), (0x590, 0x700), (0x900, 0xE00), (0x1100, 0x1200), (0x1E00, 0x2000)]
BLOCKS += [
    (0x3040, 0x3100),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A4),
    (0xF900, 0xFB00),
    (0x1D400, 0x1D800),
]

Part = Callable[[random.Random], str]


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    write_lines(arguments.output, make_lines(arguments.count, arguments.seed))


def write_lines(output: Path, lines: Iterable[Any]) -> None:
    """Writes a JSON value a line, under a temporary name first."""
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(output.name + ".part")
    with part.open("w", encoding="ascii") as file:
        for line in lines:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
    part.replace(output)


def vocabularies() -> dict[str, Vocabulary]:
    """Those of the golden cases, and BERT's own where the real data sets are."""
    found = dict(make_vocabularies())
    folder = Path(os.environ.get("EDGEBERT_DATA", SHARED_DATA)) / "vocab"
    for name, lowercase in REAL.items():
        path = folder / name
        if path.is_file():
            tokens = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
            found[name] = Vocabulary(tuple(tokens), lowercase=lowercase)
    return found


def make_lines(count: int, seed: int) -> Iterator[Any]:
    """The lines of the file, as JSON has them."""
    known = vocabularies()
    yield {
        name: {"settings": each.to_settings(), "tokens": list(each.tokens)}
        for name, each in known.items()
    }
    yield from encoded_strings(known, mixed, [3, 4, 5, 8, 16, 32], count, seed)


def encoded_strings(
    known: Mapping[str, SubwordVocabulary],
    make_text: Callable[[random.Random, Any], str],
    lengths: Sequence[int],
    count: int,
    seed: int,
) -> Iterator[Any]:
    """The lines after the first one, for each vocabulary in turn.

    Args:
        known: The vocabularies by name.
        make_text: Makes a text that is hard for a vocabulary.
        lengths: Lengths to cut to.
        count: Number of strings.
        seed: Seed of all draws.
    """
    tokenizers = {name: Tokenizer(each) for name, each in known.items()}
    names = sorted(tokenizers)
    rng = random.Random(seed)
    starts = list(range(0, len(CODE_POINTS), SWEPT))
    rng.shuffle(starts)
    for number in range(count):
        name = names[number % len(names)]
        if number % 2 and number // 2 < len(starts):
            text = swept(rng, starts[number // 2])
        else:
            text = make_text(rng, known[name])
        pair = make_text(rng, known[name]) if rng.random() < 0.2 else None
        length = rng.choice(lengths) if rng.random() < 0.3 else None
        encoding = tokenizers[name].encode(text, pair, length)
        tokens = zip(encoding.token_ids, encoding.segment_ids, encoding.offsets, strict=True)
        flat = [number for token, segment, places in tokens for number in (token, segment, *places)]
        yield [name, text, pair, length, flat]


def swept(rng: random.Random, start: int) -> str:
    """Code points that follow each other, some of them beside letters, marks and blanks."""
    found = []
    for code in CODE_POINTS[start : start + SWEPT]:
        around = rng.randrange(6)
        before = ("", "a", " ", rng.choice(MARKS), "e\u0301", "")[around]
        found.append(before + chr(code) + ("", "b", " ", rng.choice(MARKS))[rng.randrange(4)])
    return "".join(found)


def mixed(rng: random.Random, vocabulary: SubwordVocabulary) -> str:
    """Tokens of the vocabulary, letters, marks, signs and halves of characters."""
    parts = [_part(rng, vocabulary) for _ in range(rng.randrange(rng.choice([2, 8, 20])))]
    text = rng.choice(["", " ", rng.choice(SPACES)]).join(parts)
    # Halves of a pair that came together are one character, as in Kotlin.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _part(rng: random.Random, vocabulary: SubwordVocabulary) -> str:
    kind = rng.randrange(14)
    if kind < 4:
        return _cased(rng, rng.choice(vocabulary.tokens).replace("##", ""))
    if kind == 4:
        return rng.choice(vocabulary.tokens)
    if kind == 5:
        token = rng.choice(vocabulary.whole_tokens).content
        return rng.choice([token, token.upper(), token[:-1], f"x{token}", f" {token} "])
    if kind == 6:
        return _cased(rng, rng.choice("abcxyz")) * rng.choice([5, 6, 7, 99, 100, 101, 300])
    if kind == 7:
        letters = (rng.choice([*LATIN, "a", "e", "\u0130"]) for _ in range(rng.randrange(1, 8)))
        return "".join(letters)
    if kind == 8:
        marks = (rng.choice(MARKS) for _ in range(rng.choice([1, 2, 3, 40])))
        return rng.choice(["", "a", "\u00e9", "\uac00", "\u0344", "1"]) + "".join(marks)
    if kind == 9:
        low, high = rng.choice(BLOCKS)
        return "".join(chr(rng.randrange(low, high)) for _ in range(rng.randrange(1, 8)))
    if kind == 10:
        return "".join(chr(rng.choice(CODE_POINTS)) for _ in range(rng.randrange(1, 6)))
    if kind == 11:
        return "".join(rng.choice(CONTROLS + SPACES + PUNCTUATION) for _ in range(4))
    if kind == 12:
        return "".join(rng.choice(EMOJI) for _ in range(rng.randrange(1, 4)))
    return rng.choice(["\ud800", "\udfff", "\ud83d", "a\ud800b", "\udc00\ud800", "\ud800 "])


def _cased(rng: random.Random, word: str) -> str:
    return rng.choice([word, word, word.upper(), word.title(), unicodedata.normalize("NFD", word)])


if __name__ == "__main__":
    main()
