"""Makes decoding_cases.json: what `edgebert.tasks` answers to given outputs of a model.

    python -m tests.golden.make_decoding_cases

The decoders in Python, JavaScript and Kotlin are held to it. See README.md for the format. Texts,
vocabularies and outputs were made up for it: no model is run.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from converters import heads
from converters.tflite.inference_graph import LOGITS, PROBABILITIES, SPAN_OUTPUTS
from converters.vocabulary import AddedToken, SubwordVocabulary, UnigramVocabulary, Vocabulary
from edgebert.evaluation import semantic_index
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.manifest import Manifest, format_for
from edgebert.tasks import task_named
from tests.golden.make_unigram_cases import SPACE, entry_of
from tests.golden.make_unigram_cases import SPECIAL as UNIGRAM_SPECIAL

OUTPUT = Path(__file__).with_name("decoding_cases.json")
DIGITS = 9
PADDING = 7.0
"""What a file gives for padding means nothing, so it is something that would be seen."""
VECTOR_SIZE = 4
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    "the a in at for on of is was by to four seven table alarm book ##ing ##s play ##ed music set "
    "who where when wrote nopi berlin ada love ##lace new york city un ##aff ##able very good bad "
    "film caf cafe naive 你 好 😀 . , ! ? - ' & é ##é"
)
FEW_WORDS = "the a ##s play ##ing music good film is ."
CASED_WORDS = "Book book a in Berlin New York city , . é e \u0301 ##\u0301 ##s b c d"
LETTERS = "abdeilmnoprstuwy0123"

Draw = Callable[[random.Random, tuple[int, ...]], np.ndarray]


# Models: what a decoder takes from a file's manifest.

NER_TAGS = ("O", "B-DAY", "I-DAY", "B-THING", "I-THING")
BILOU_TAGS = ("U-CITY", "B-CITY", "I-CITY", "L-CITY", "O", "B-", "odd-tag")
WORD_RULES = {"alignment": "first-piece", "labelled_parts": "all", "window_overlap": 0.25}
SPAN_RULES = {"stride": 8, "max_answer_tokens": 6, "max_question_tokens": 6, "n_best": 5}
MODELS: dict[str, dict[str, Any]] = {
    "classification": {"labels": ["negative", "neutral", "positive"], "output": PROBABILITIES},
    "classification, hostile labels": {
        "task": "classification",
        "labels": ["", "__proto__", "2", "1", "caf\u00e9 \U0001f600", "constructor", "a\tb"],
        "output": LOGITS,
    },
    "pairs": {"labels": ["different", "same"], "output": PROBABILITIES},
    "pairs, one segment": {
        "task": "pairs",
        "labels": ["same", "different", "unclear"],
        "output": LOGITS,
        "num_segments": 1,
    },
    "multi-label": {
        "labels": ["lights", "music", "timer", "weather"],
        "output": PROBABILITIES,
        "decoding": {"threshold": 0.3125},
    },
    "multi-label without a threshold": {
        "task": "multi-label",
        "labels": ["b", "a", "10", "9"],
        "output": LOGITS,
    },
    "regression": {"output": "score", "decoding": {"texts": 1}},
    "regression of pairs": {"task": "regression", "output": "score", "decoding": {"texts": 2}},
    "regression in units": {
        "task": "regression",
        "output": "score",
        "decoding": {"mean": 2.5, "deviation": 1.25},
    },
    "ner": {
        "labels": NER_TAGS,
        "output": PROBABILITIES,
        "decoding": {**WORD_RULES, "scheme": "IOB2"},
        "max_length": 12,
    },
    "ner of somebody else": {
        "task": "ner",
        "labels": BILOU_TAGS,
        "output": LOGITS,
        "vocabulary": "cased, other signs",
        "max_length": 10,
    },
    "ner, half a window overlaps": {
        "task": "ner",
        "labels": NER_TAGS,
        "output": LOGITS,
        "decoding": {**WORD_RULES, "window_overlap": 0.5},
        "max_length": 9,
    },
    "pos": {
        "labels": ["ADJ", "DET", "NOUN", "VERB"],
        "output": PROBABILITIES,
        "decoding": {**WORD_RULES, "labelled_parts": "first"},
        "max_length": 12,
    },
    "pos, windows of one token": {
        "task": "pos",
        "labels": ["X", "Y"],
        "output": LOGITS,
        "decoding": WORD_RULES,
        "max_length": 3,
    },
    "qa": {"output": LOGITS, "decoding": {**SPAN_RULES, "null_threshold": None}, "max_length": 24},
    "qa that may not answer": {
        "task": "qa",
        "output": LOGITS,
        "decoding": {**SPAN_RULES, "null_threshold": 0.0},
        "max_length": 24,
    },
    "qa that seldom answers": {
        "task": "qa",
        "output": LOGITS,
        "decoding": {**SPAN_RULES, "null_threshold": -1.5, "n_best": 1},
        "max_length": 18,
    },
    "qa of somebody else": {"task": "qa", "output": LOGITS, "num_segments": 1, "max_length": 32},
    "embeddings": {"output": "embedding"},
    "masked-lm": {"output": LOGITS, "decoding": {"masks": 2}, "vocabulary": "few words"},
    "masked-lm, another mask": {
        "task": "masked-lm",
        "output": LOGITS,
        "decoding": {"masks": 3, "next_sentence": True},
        "vocabulary": "cased, other signs",
    },
    "ner with Unigram": {
        "task": "ner",
        "labels": NER_TAGS,
        "output": PROBABILITIES,
        "decoding": {**WORD_RULES, "scheme": "IOB2"},
        "vocabulary": "unigram",
        "max_length": 14,
    },
    "pairs with Unigram": {
        "task": "pairs",
        "labels": ["different", "same"],
        "output": PROBABILITIES,
        "vocabulary": "unigram",
    },
    "qa with Unigram": {
        "task": "qa",
        "output": LOGITS,
        "decoding": {**SPAN_RULES, "null_threshold": 0.0},
        "vocabulary": "unigram",
        "max_length": 24,
    },
    "masked-lm with Unigram": {
        "task": "masked-lm",
        "output": LOGITS,
        "decoding": {"masks": 2},
        "vocabulary": "unigram, few pieces",
    },
}


def make_vocabularies() -> dict[str, SubwordVocabulary]:
    """The vocabularies, by name."""
    letters = (*LETTERS, *(f"##{letter}" for letter in LETTERS))
    return {
        "words": Vocabulary(
            tuple(dict.fromkeys((*SPECIAL, *WORDS.split(), *letters))), lowercase=True
        ),
        "few words": Vocabulary((*SPECIAL, *FEW_WORDS.split(), "##", "<b>"), lowercase=True),
        "cased, other signs": Vocabulary(
            ("<s>", "</s>", "<none>", "<?>", "<m>", *CASED_WORDS.split()),
            lowercase=False,
            unknown_token="<?>",
            cls_token="<s>",
            sep_token="</s>",
            pad_token="<none>",
            mask_token="<m>",
        ),
        "unigram": make_unigram(WORDS, LETTERS + "."),
        "unigram, few pieces": make_unigram(FEW_WORDS, "", pair_separators=1, second_segment=1),
    }


def make_unigram(words: str, letters: str, **rules: Any) -> UnigramVocabulary:
    """Pieces of words, which are likelier than letters."""
    pieces = [SPACE + word for word in words.split() if not word.startswith("##")]
    pieces += [word[2:] for word in words.split() if word.startswith("##")]
    scores = {**dict.fromkeys(UNIGRAM_SPECIAL, 0.0), SPACE: -3.0, **dict.fromkeys(letters, -9.0)}
    scores |= {piece: -4.0 - place / 8 for place, piece in enumerate(dict.fromkeys(pieces))}
    scores["<mask>"] = 0.0
    return UnigramVocabulary(
        tuple(scores),
        tuple(scores.values()),
        whitespace_split=True,
        added_tokens=(AddedToken("<mask>", lstrip=True),),
        **rules,
    )


def make_manifest(name: str, vocabulary: SubwordVocabulary) -> dict[str, Any]:
    """What a file's manifest says of a model, as far as decoding asks."""
    facts = MODELS[name]
    max_length = facts.get("max_length", 16)
    return {
        "format": format_for(vocabulary),
        "task": facts.get("task", name),
        "labels": list(facts.get("labels", ())),
        "output": facts["output"],
        "decoding": facts.get("decoding", {}),
        "lengths": [max_length],
        "max_length": max_length,
        "config": {"num_segments": facts.get("num_segments", 2)},
        "tokenizer": vocabulary.to_settings(),
    }


# Outputs: how a file's numbers are made up. Two decimals, so that they are short in JSON.


def drawn(rng: random.Random, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that are unlike each other."""
    return _filled(shape, lambda: int(rng.random() * 1200 - 600) / 100)


def tied(rng: random.Random, shape: tuple[int, ...]) -> np.ndarray:
    """All the same."""
    return np.zeros(shape, np.float32)


def few(rng: random.Random, shape: tuple[int, ...]) -> np.ndarray:
    """Of three numbers, so that many are the same."""
    return _filled(shape, lambda: int(rng.random() * 3) - 1)


def far(rng: random.Random, shape: tuple[int, ...]) -> np.ndarray:
    """So far from each other that shares of them are 0 and 1."""
    return _filled(shape, lambda: (-900, -800, 0, 800, 900)[int(rng.random() * 5)])


def _filled(shape: tuple[int, ...], make: Callable[[], float]) -> np.ndarray:
    count = int(np.prod(shape))
    return np.array([make() for _ in range(count)], np.float32).reshape(shape)


class GivenOutputs:
    """A runtime that computes nothing: it gives made-up outputs and keeps what it was asked."""

    def __init__(self, manifest: dict[str, Any], vocabulary_size: int, draw: Draw, seed: str):
        self._manifest, self._size, self._draw = manifest, vocabulary_size, draw
        self._rng = random.Random(seed)
        self.windows: list[dict[str, Any]] = []

    def signature(self, key: str) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
        """As `edgebert.models.litert_runtime.Runtime` has it."""
        return self._run

    def _run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        used = int(inputs["padding_mask"].sum())
        output = self._output(used)
        given = {name: inputs[name][0, :used].tolist() for name in ("token_ids", "segment_ids")}
        self.windows.append({**given, "output": _short(output)})
        head = task_named(self._manifest["task"]).head
        if head in (heads.TOKEN_CLASSIFIER, heads.SPANS):
            padding = ((0, inputs["token_ids"].shape[1] - used), (0, 0))
            output = np.pad(output, padding, constant_values=PADDING)
        if head == heads.SPANS:
            return dict(zip(SPAN_OUTPUTS, output.T[:, None], strict=True))
        return {self._manifest["output"]: output[None]}

    def _output(self, used: int) -> np.ndarray:
        task = task_named(self._manifest["task"])
        labels = len(self._manifest["labels"])
        shape = {
            heads.CLASSIFIER: (labels or 1,),
            heads.TOKEN_CLASSIFIER: (used, labels),
            heads.SPANS: (used, 2),
            heads.SENTENCE: (VECTOR_SIZE,),
            heads.MASKED_LM: (self._manifest["decoding"].get("masks"), self._size),
        }[task.head]
        output = self._draw(self._rng, shape)
        if self._manifest["output"] != PROBABILITIES:
            return output
        if task.name == "multi-label":
            shares = np.exp(-np.logaddexp(0, -output.astype(np.float64)))
        else:
            powers = np.exp(output.astype(np.float64) - output.max(-1, keepdims=True))
            shares = powers / powers.sum(-1, keepdims=True)
        return shares.round(4).astype(np.float32)


# Texts.

LONG = "the film was very good , the music bad . ada lovelace wrote the book in berlin at four . "
LONE = "\ud800play\udc00 the\ud83d music \ude00"
MARKED = "a cafe\u0301 a\u0300\u0323 !\u0301 \u0301 e"
TEXTS: list[tuple[str, str]] = [
    ("a sentence", "Book a table for four at Nopi."),
    ("nothing", ""),
    ("white space", " \t \u3000\n"),
    ("control characters alone", "\u0000\u200b"),
    ("a lone surrogate", "\ud800"),
    ("lone surrogates among words", LONE),
    ("letters beyond the first plane", "😀 play 😀😀 music 𐐀 good"),
    ("special tokens in the text", "[CLS] the [SEP] music [PAD] [UNK]"),
    ("words of several pieces", "booking unaffable plays, don't!"),
    ("marks behind words", MARKED),
    ("Chinese", "你好你 play好"),
    ("unknown words", "the жук и ก music"),
    ("letters that get longer in lower case", "İİ the music"),
    ("a long text", LONG * 2),
]
SHORT = TEXTS[:1] + TEXTS[1:6]
PAIRS: list[tuple[str, tuple[str, str]]] = [
    ("a pair", ("Book a table", "at Nopi for four")),
    ("a pair of nothing", ("", "")),
    ("nothing, and a text", ("", "the music")),
    ("the first is too long", (LONG, "the music")),
    ("the second is too long", ("the music", LONG)),
    ("both are too long", (LONG, LONG)),
    ("a pair with lone surrogates", (LONE, "\udfff")),
]
CONTEXT = "Ada Lovelace wrote the book in Berlin. " + LONG * 2 + "She was in New York at seven."
QUESTIONS: list[tuple[str, tuple[str, str]]] = [
    ("a short context", ("who wrote the book?", "Ada Lovelace wrote the book in Berlin.")),
    ("several windows", ("where was the book?", CONTEXT)),
    ("a long question", ("who wrote the very good book at four in new york? " * 3, CONTEXT)),
    ("no question", ("", "the music was good")),
    ("no context", ("who?", "")),
    ("a context of white space", ("who?", " \u200b ")),
    ("nothing at all", ("", "")),
    ("one word", ("what?", "music")),
    ("lone surrogates", ("\udc00who", LONE)),
    ("letters beyond the first plane", ("who?", "😀 play 😀😀 music 𐐀 good 😀")),
    ("marks and long letters", ("who?", f"{MARKED} İİ the")),
    ("the same words again and again", ("who?", "the music " * 30)),
]
MASKED: list[tuple[str, str]] = [
    ("one mask", "the [MASK] is good"),
    ("two masks", "[MASK] music [MASK]"),
    ("more masks than are answered", "[MASK] the [MASK] is [MASK] good [MASK]"),
    ("a mask behind the cut", "the music is good " * 4 + "[MASK]"),
    ("masks glued to words", "play[MASK]ing![MASK]"),
    ("masks in other letters", "the [mask] is [Mask] [MASK"),
    ("a mask alone", "[MASK]"),
    ("a mask behind lone surrogates", "\ud800 😀 [MASK]"),
    ("no mask", "the music is good"),
    ("nothing", ""),
    ("white space", " \n"),
]


def make_inputs() -> Iterator[tuple[str, str, tuple[str, ...], Draw]]:
    """Of each case the model, what is hard about it, the texts and how outputs are drawn."""
    every: Sequence[Draw] = (drawn, tied, few, far)
    for model, facts in MODELS.items():
        task = facts.get("task", model)
        if task in ("qa", "masked-lm", "pairs"):
            pairs = QUESTIONS if task == "qa" else PAIRS
            texts = [(n, (t,)) for n, t in MASKED] if task == "masked-lm" else pairs
        elif model == "regression of pairs":
            texts = PAIRS
        elif task in ("ner", "pos"):
            texts = [(name, (text,)) for name, text in TEXTS]
        else:
            texts = [(name, (text,)) for name, text in (*SHORT, TEXTS[-1])]
            texts += PAIRS[:2] if task != "regression" else []
        if model == "masked-lm, another mask":
            texts = [(name, (text.replace("[MASK]", "<m>"),)) for name, (text,) in texts[:4]]
            texts.append(("both names of the mask", ("a <m> [MASK] b",)))
        for number, (name, each) in enumerate(texts):
            draws = every if number < 2 else (every[number % 2 * 2],)
            for draw in draws:
                yield model, name, each, draw


SEARCHES: list[tuple[str, str, list[str], int, Draw]] = [
    ("the nearest first", "good music", ["the film", "the music", "a table", LONE], 3, drawn),
    ("equals in their order", "good music", ["the film", "the music", "a table", ""], 4, few),
    ("vectors of zeros", "", ["the film", "the music"], 5, tied),
]


def make_cases() -> dict[str, Any]:
    """The content of the file."""
    vocabularies = make_vocabularies()
    homes = {name: MODELS[name].get("vocabulary", "words") for name in MODELS}
    manifests = {name: make_manifest(name, vocabularies[homes[name]]) for name in MODELS}
    cases = []
    for number, (name, about, texts, draw) in enumerate(make_inputs()):
        vocabulary = vocabularies[homes[name]]
        runtime = GivenOutputs(manifests[name], vocabulary.size, draw, f"case {number}")
        about = f"{about}; outputs {draw.__name__}"
        case = make_case(runtime, manifests[name], vocabulary, about, texts)
        cases.append({"model": name, **case})
    facts = {name: {**manifest, "vocabulary": homes[name]} for name, manifest in manifests.items()}
    for each in facts.values():
        del each["tokenizer"]
    tables = {
        name: entry_of(each)
        if isinstance(each, UnigramVocabulary)
        else {"settings": each.to_settings(), "tokens": list(each.tokens)}
        for name, each in vocabularies.items()
    }
    searches = [
        make_search(manifests["embeddings"], vocabularies["words"], *each) for each in SEARCHES
    ]
    return {"vocabularies": tables, "models": facts, "cases": cases, "searches": searches}


def make_case(
    runtime: GivenOutputs,
    manifest: dict[str, Any],
    vocabulary: SubwordVocabulary,
    about: str,
    texts: Sequence[str],
) -> dict[str, Any]:
    """The windows of texts, with outputs, and their answer."""
    model = open_with(runtime, manifest, vocabulary)
    answer = model.answer(model.task.example(*texts))
    answer.pop("id", None)  # of a SQuAD file; a typed question has none
    asks = "masks" not in answer or any(mask["tokens"] for mask in answer["masks"])
    windows = runtime.windows if asks else []
    return {"name": about, "texts": list(texts), "windows": windows, "answer": _rounded(answer)}


def open_with(
    runtime: GivenOutputs, manifest: dict[str, Any], vocabulary: SubwordVocabulary
) -> LiteRtModel:
    """A model whose outputs are made up."""
    content = {**manifest, "vocabulary_sha256": vocabulary.sha256}
    return LiteRtModel(runtime, Manifest.from_dict(content), vocabulary, Path(__file__))


def make_search(
    manifest: dict[str, Any],
    vocabulary: SubwordVocabulary,
    name: str,
    query: str,
    lines: Sequence[str],
    top: int,
    draw: Draw,
) -> dict[str, Any]:
    """A search of lines by a query."""
    runtime = GivenOutputs(manifest, vocabulary.size, draw, name)
    model = open_with(runtime, manifest, vocabulary)
    index = semantic_index.open_index(model, lines)
    (hits,) = index.search(semantic_index.embed(model, [query]), top)
    *of_lines, of_query = runtime.windows
    return {
        "model": "embeddings",
        "name": name,
        "query": query,
        "lines": list(lines),
        "top": top,
        "query_window": of_query,
        "line_windows": of_lines,
        "hits": _rounded([hit.to_dict() for hit in hits]),
    }


def main() -> None:
    """Writes the cases."""
    content = make_cases()
    parts = []
    for name, entries in content.items():
        if isinstance(entries, dict):
            lines = ",\n".join(f"{_json(key)}:{_json(each)}" for key, each in entries.items())
            parts.append(f'"{name}":{{\n{lines}\n}}')
        else:
            parts.append(f'"{name}":[\n' + ",\n".join(map(_json, entries)) + "\n]")
    OUTPUT.write_text("{" + ",".join(parts) + "}\n", encoding="ascii")


def _short(values: np.ndarray) -> Any:
    """Nested lists of the shortest numbers that are these as float32."""
    if values.ndim:
        return [_short(value) for value in values]
    number = float(str(np.float32(values)))
    return int(number) if number.is_integer() else number


def _rounded(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_rounded(value) for value in content]
    return round(content, DIGITS) if isinstance(content, float) else content


def _json(content: object) -> str:
    return json.dumps(content, separators=(",", ":"))


if __name__ == "__main__":
    main()
