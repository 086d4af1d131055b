"""Makes strings that are hard for a Unigram tokenizer, with what Python's gives for them.

    python -m tests.golden.make_unigram_strings --count 200000 -o build/unigram_strings.jsonl

The file is that of `make_tokenizer_strings`: the first line has the vocabularies, as in
unigram_cases.json. Every other line is an array: the vocabulary's name, the text, the other text of
a pair or null, the length to cut to or null, and of each token its id, segment id, start and end. A
half of the strings sweeps over the code points. Besides the vocabularies of the golden cases there
is one with the character map of all code points, two whose map has keys that grapheme clusters
begin with, and one that `tokenizers` trains on the real data sets, where they are.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import gzip
import itertools
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from converters.unigram import UnigramVocabulary
from converters.vocabulary import SubwordVocabulary
from tests.golden.character_maps import compile_map, rules
from tests.golden.make_tokenizer_strings import (
    SHARED_DATA,
    SPACES,
    encoded_strings,
    mixed,
    write_lines,
)
from tests.golden.make_unigram_cases import SPECIAL, entry_of, make_vocabularies

TRAINED = "trained"
TRAINED_PIECES = 8000
TRAINED_LINES = 20000


CLUSTERS = [
    *"ab \r\n\u0001zq\u2581\u00ad\ufffd\ufb01\ufdfa",
    *"\u0301\u0300\u0323\u0344\u200c\u200d\ufe0f\u00a9\u00ae\u2764",
    *"\U0001f600\U0001f1e9\U0001f469\U0001f4bb\U0001f3fd",
    *"\u1100\u115f\u1161\u11a8\uac00\uac01\ua960\ud7b0\ud7cb\u3131\u0e01\u0e33",
    *"\u0915\u0937\u094d\u093c\u093e\u0903\u0995\u09cd\u0600\u06dd\U000110bd",
]
"""Code points that join others to clusters, or that end them."""
KEYS = {
    "a": "aa",
    "ab": "x",
    "z": "",
    "q": "\u2581",
    "\n": "  ",
    "\r": "",
    "\u0001": "",
    "e\u0301": "E",
    "\u0301": "",
    "\u00a9": "(c)",
    "\u200d": " ",
    "\ufe0f": "",
    "\ufffd": " ",
    "\u1100": "G",
    "\u1161": "A",
    "\u11a8": "",
    "\uac00": "GA",
    "\u0915": "k",
    "\u0937": "",
    "\u0600": "#",
    "\U000110bd": "",
    "\U0001f600": ":)",
}
"""What the map of the vocabularies of clusters replaces."""


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    write_lines(arguments.output, make_lines(arguments.count, arguments.seed))


def vocabularies() -> dict[str, UnigramVocabulary]:
    """Those of the golden cases, one with a whole character map, and a trained one."""
    found = make_vocabularies()
    charsmap = compile_map(rules(range(1, 0x110000)))
    found["whole map"] = dataclasses.replace(found["spaces kept"], charsmap=charsmap)
    clusters = dataclasses.replace(found["added tokens"], charsmap=compile_map(KEYS))
    found["clusters"] = clusters
    # Two unknown characters have a better score than some pieces, so they may be a piece together.
    scores = tuple(30 + score for score in clusters.scores)
    found["clusters, positive scores"] = dataclasses.replace(clusters, scores=scores)
    texts = list(itertools.islice(_real_texts(), TRAINED_LINES))
    if texts:
        found[TRAINED] = train(texts, TRAINED_PIECES, found["xlm-roberta"], charsmap)
    return found


def train(
    texts: list[str], size: int, like: UnigramVocabulary, charsmap: bytes
) -> UnigramVocabulary:
    """Trains the pieces on texts; the rules are those of another vocabulary."""
    from tokenizers import Tokenizer as LibraryTokenizer
    from tokenizers import models, normalizers, pre_tokenizers, trainers

    backend = LibraryTokenizer(models.Unigram())
    backend.normalizer = normalizers.Precompiled(charsmap)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    pieces = dict(json.loads(backend.to_str())["model"]["vocab"])
    scored = {**dict.fromkeys(SPECIAL, 0.0), **pieces, "<mask>": 0.0}
    return dataclasses.replace(
        like, tokens=tuple(scored), scores=tuple(scored.values()), charsmap=charsmap
    )


def make_lines(count: int, seed: int) -> Iterator[Any]:
    """The lines of the file, as JSON has them."""
    known = vocabularies()
    yield {name: entry_of(each) for name, each in known.items()}
    yield from encoded_strings(known, _mixed, [4, 5, 8, 16, 32], count, seed)


def _mixed(rng: random.Random, vocabulary: SubwordVocabulary) -> str:
    """Parts of all kinds; the metaspace in them may be a space."""
    text = mixed(rng, vocabulary)
    for _ in range(rng.randrange(4)):
        place = rng.randrange(len(text) + 1)
        cluster = "".join(rng.choice(CLUSTERS) for _ in range(rng.randrange(1, 9)))
        text = text[:place] + cluster + text[place:]
    return text.replace(vocabulary.space, rng.choice([vocabulary.space, *SPACES, " ", " ", "  "]))


def _real_texts() -> Iterator[str]:
    folder = Path(os.environ.get("EDGEBERT_DATA", SHARED_DATA))
    for name in ("clinc150", "banking77", "ud_ewt"):
        for path in sorted((folder / name).glob("train*")):
            opened = gzip.open if path.suffix == ".gz" else open
            with opened(path, "rt", encoding="utf-8") as file:  # type: ignore[operator]
                for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                    yield from row[:1]


if __name__ == "__main__":
    main()
