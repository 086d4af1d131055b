"""Unigram vocabularies of SentencePiece: pieces with scores, text rules, and their tokenizer.

Unigram (Kudo 2018, "Subword Regularization") splits a text into the pieces with the largest sum of
scores, which are log probabilities. White space is a character of the pieces (the metaspace).
`UnigramVocabulary` describes the tokenizer for every runtime; `converters.unigram_files` reads the
tokenizer.json of `transformers`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from converters.errors import ConversionError
from converters.subwords import (
    AddedToken,
    SubwordVocabulary,
    first_few,
    parse_added_tokens,
    setting_problems,
    token_problems,
    tokenizer_error,
)

if TYPE_CHECKING:
    import tokenizers

SCORES_FILE, CHARSMAP_FILE = "piece_scores.bin", "charsmap.bin"
"""The associated files of a `.tflite` with the scores and the character map."""
PREPEND_SCHEMES = ("always", "first", "never")
PRECOMPILED, REPLACE_SPACES, STRIP = "precompiled", "replace_spaces", "strip"
_SETTING_TYPES: dict[str, type | tuple[type, ...]] = {
    "normalizers": (list, tuple),
    "whitespace_split": bool,
    "metaspace": Mapping,
    "pair_separators": int,
    "second_segment": int,
    "added_tokens": (list, tuple),
}


@dataclass(frozen=True)
class TextRule:
    """One step of the text rules.

    Attributes:
        type: `precompiled` (the character map), `replace_spaces` (each run of two or more spaces)
            or `strip` (white space at the start and end).
        content: what replaces the spaces.
        left: whether white space at the start is stripped.
        right: whether white space at the end is stripped.
    """

    type: str
    content: str = ""
    left: bool = False
    right: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The step as JSON types, with the keys of its type only."""
        keys = {REPLACE_SPACES: ("content",), STRIP: ("left", "right")}.get(self.type, ())
        return {"type": self.type, **{key: getattr(self, key) for key in keys}}

    @classmethod
    def parse(cls, entry: object) -> TextRule | None:
        """Parses `to_dict()`; None for other values."""
        match entry:
            case {"type": "precompiled"}:
                return cls(PRECOMPILED)
            case {"type": "replace_spaces", "content": str(content)}:
                return cls(REPLACE_SPACES, content=content)
            case {"type": "strip", "left": bool(left), "right": bool(right)}:
                return cls(STRIP, left=left, right=right)
            case _:
                return None


@dataclass(frozen=True)
class Metaspace:
    """How white space becomes a part of the pieces.

    Attributes:
        replacement: the character that stands for a space.
        prepend_scheme: which stretches of text between added tokens get one in front: `always`,
            `first` (the one at the start of the text) or `never`.
        split: whether no piece goes beyond a space.
    """

    replacement: str = "\u2581"
    prepend_scheme: str = "always"
    split: bool = True


@dataclass(frozen=True)
class UnigramVocabulary(SubwordVocabulary):
    """The pieces of a Unigram tokenizer, their scores and its text rules.

    Attributes:
        tokens: see `SubwordVocabulary`.
        scores: of the first tokens, which are the pieces of the model. The tokens behind them are
            added tokens.
        charsmap: the character map of the step `precompiled`, as SentencePiece compiles it; empty
            without such a step.
        normalizers: the text rules, in the order of their use.
        whitespace_split: whether text is first split at white space, which is left out.
        metaspace: how white space becomes a part of the pieces.

    Raises:
        ConversionError: Pieces are empty, repeated or contain line breaks, scores are not finite,
            a special token is not among the tokens, or a rule is unknown. All problems are listed.
    """

    tokens: tuple[str, ...] = field(repr=False)
    scores: tuple[float, ...] = field(repr=False)
    charsmap: bytes = field(default=b"", repr=False)
    normalizers: tuple[TextRule, ...] = ()
    whitespace_split: bool = False
    metaspace: Metaspace = Metaspace()
    unknown_token: str = "<unk>"
    cls_token: str = "<s>"
    sep_token: str = "</s>"
    pad_token: str = "<pad>"
    mask_token: str = "<mask>"
    pair_separators: int = 2
    second_segment: int = 0
    added_tokens: tuple[AddedToken, ...] = ()

    kind: ClassVar[str] = "unigram"

    def __post_init__(self) -> None:
        problems = token_problems(self.tokens) + self._added_problems()
        problems += self._score_problems() + self._rule_problems()
        if problems:
            raise unigram_error(f"a vocabulary of {len(self.tokens)} pieces", problems)

    def _score_problems(self) -> list[str]:
        if not 1 <= len(self.scores) <= len(self.tokens):
            return [f"{len(self.scores)} scores for {len(self.tokens)} tokens"]
        problems = []
        broken = [str(i) for i, score in enumerate(self.scores) if not math.isfinite(score)]
        if broken:
            problems.append(f"{len(broken)} pieces have no finite score: ids {first_few(broken)}")
        if self.unknown_token not in self.tokens[: len(self.scores)]:
            problems.append(f"unknown_token {self.unknown_token!r} has no score")
        added = {token.content for token in self.added_tokens} | set(self.special_tokens)
        others = [repr(token) for token in self.tokens[len(self.scores) :] if token not in added]
        if others:
            problems.append(f"{len(others)} tokens have no score: {first_few(others)}")
        return problems

    def _rule_problems(self) -> list[str]:
        problems = []
        uses_charsmap = any(rule.type == PRECOMPILED for rule in self.normalizers)
        if uses_charsmap != bool(self.charsmap):
            problems.append("the step 'precompiled' and a character map must come together")
        if len(self.metaspace.replacement) != 1:
            problems.append(f"metaspace.replacement is {self.metaspace.replacement!r}")
        if self.metaspace.prepend_scheme not in PREPEND_SCHEMES:
            problems.append(f"metaspace.prepend_scheme is {self.metaspace.prepend_scheme!r}")
        if self.pair_separators not in (1, 2):
            problems.append(f"pair_separators is {self.pair_separators}, expected 1 or 2")
        if self.second_segment not in (0, 1):
            problems.append(f"second_segment is {self.second_segment}, expected 0 or 1")
        return problems

    def to_files(self) -> dict[str, bytes]:
        """Returns the associated files of a `.tflite`: the tokens, the scores and the map."""
        files = {**super().to_files(), SCORES_FILE: np.array(self.scores, "<f8").tobytes()}
        return {**files, CHARSMAP_FILE: self.charsmap} if self.charsmap else files

    def to_settings(self) -> dict[str, Any]:
        """Returns all that is not in `to_files()` as JSON types."""
        return {
            "kind": self.kind,
            "normalizers": [rule.to_dict() for rule in self.normalizers],
            "whitespace_split": self.whitespace_split,
            "metaspace": dataclasses.asdict(self.metaspace),
            "unknown_token": self.unknown_token,
            "cls_token": self.cls_token,
            "sep_token": self.sep_token,
            "pad_token": self.pad_token,
            "mask_token": self.mask_token,
            "pair_separators": self.pair_separators,
            "second_segment": self.second_segment,
            "added_tokens": [dataclasses.asdict(added) for added in self.added_tokens],
        }

    @classmethod
    def from_settings(
        cls,
        settings: Mapping[str, Any],
        tokens: Iterable[str],
        scores: Iterable[float],
        charsmap: bytes = b"",
    ) -> UnigramVocabulary:
        """Makes a vocabulary from `to_settings()` and the content of `to_files()`.

        Raises:
            ConversionError: A setting is unknown or invalid, or the vocabulary is not valid.
        """
        values = {key: value for key, value in settings.items() if key != "kind"}
        fields = {item.name for item in dataclasses.fields(cls)}
        known = fields - {"tokens", "scores", "charsmap"}
        problems = setting_problems(values, known, _SETTING_TYPES)
        problems += [f"the setting {name!r} is missing" for name in sorted(known - set(values))]
        if problems:
            raise unigram_error("the settings of a vocabulary", problems)
        rules = tuple(map(TextRule.parse, values["normalizers"]))
        metaspace = _metaspace(values["metaspace"])
        if None in rules or metaspace is None:
            shown = f"{list(values['normalizers'])!r} and metaspace {values['metaspace']!r}"
            raise unigram_error("the settings of a vocabulary", [f"normalizers {shown:.500}"])
        parsed = {
            "normalizers": rules,
            "metaspace": metaspace,
            "added_tokens": parse_added_tokens(values),
        }
        return cls(tuple(tokens), tuple(scores), charsmap, **{**values, **parsed})

    def backend(self) -> tokenizers.Tokenizer:
        """Builds the reference tokenizer: `<s> A </s>` or, for a pair, `<s> A </s></s> B </s>`."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers

        pieces = list(zip(self.tokens, self.scores, strict=False))
        unknown_id = self.id_of(self.unknown_token)
        backend = Tokenizer(models.Unigram(pieces, unknown_id, byte_fallback=False))
        if self.normalizers:
            backend.normalizer = self._normalizer()
        space = dataclasses.asdict(self.metaspace)
        split = pre_tokenizers.Metaspace(**space)
        backend.pre_tokenizer = (
            pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), split])
            if self.whitespace_split
            else split
        )
        backend.decoder = decoders.Metaspace(**space)
        self._add_tokens(backend)
        return backend

    def _normalizer(self) -> tokenizers.normalizers.Normalizer:
        from tokenizers import Regex, normalizers

        steps: list[normalizers.Normalizer] = []
        for rule in self.normalizers:
            if rule.type == PRECOMPILED:
                steps.append(normalizers.Precompiled(self.charsmap))
            elif rule.type == REPLACE_SPACES:
                steps.append(normalizers.Replace(Regex(" {2,}"), rule.content))
            else:
                steps.append(normalizers.Strip(left=rule.left, right=rule.right))
        return steps[0] if len(steps) == 1 else normalizers.Sequence(steps)

    def select(self, ids: Sequence[int]) -> UnigramVocabulary:
        """Returns the vocabulary of these tokens only, in this order; pieces keep their scores."""
        kept = [token_id for token_id in ids if token_id < len(self.scores)]
        return dataclasses.replace(
            self,
            tokens=tuple(self.tokens[token_id] for token_id in ids),
            scores=tuple(self.scores[token_id] for token_id in kept),
        )

    @property
    def space(self) -> str:
        """The metaspace."""
        return self.metaspace.replacement

    @property
    def mark(self) -> str:
        """The sentence about the metaspace."""
        return f"{self.space} stands for a space."

    @cached_property
    def continuing(self) -> npt.NDArray[np.bool_]:
        """Whether each token continues the word before it, bool `[size]`."""
        mark = self.metaspace.replacement
        found = np.array([not token.startswith(mark) for token in self.tokens], bool)
        found[self._whole_ids] = False
        return found

    @cached_property
    def _whole_ids(self) -> list[int]:
        """The tokens that are matched as a whole, without the unknown one: it is found in words."""
        contents = {token.content for token in self.whole_tokens} - {self.unknown_token}
        return sorted(map(self.id_of, contents))

    def text_of(self, token_id: int) -> str:
        """The token without the metaspace in front."""
        return self.tokens[token_id].removeprefix(self.metaspace.replacement)

    def part_starts(
        self, token_ids: Sequence[int], offsets: Sequence[tuple[int, int]]
    ) -> list[int]:
        """The places of the tokens that start a part: see `SubwordVocabulary.part_starts`.

        A token starts a part if its offsets are not empty, and if it begins with the metaspace, is
        matched as a whole, or has a punctuation mark or a Chinese character first; or if the token
        before it is matched as a whole or ends in such a character or the metaspace. The unknown
        token has no characters here.
        """
        begins, ends = self._edges
        starts, after = [], True
        for place, (token_id, (start, end)) in enumerate(zip(token_ids, offsets, strict=True)):
            if start < end and (begins[token_id] or after):
                starts.append(place)
            after = bool(ends[token_id])
        return starts

    @cached_property
    def _edges(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Whether a part starts at each token, and whether one starts behind it: bool `[size]`."""
        mark = self.metaspace.replacement
        bodies = [token.removeprefix(mark) for token in self.tokens]
        single = _single_characters({body[at] for body in bodies if body for at in (0, -1)})
        begins = ~self.continuing
        begins |= np.array([body[:1] in single for body in bodies], bool)
        ends = np.array([token[-1] == mark or token[-1] in single for token in self.tokens], bool)
        ends[self._whole_ids] = True
        unknown_id = self.id_of(self.unknown_token)
        begins[unknown_id] = ends[unknown_id] = False
        return begins, ends

    def respell(self, token_id: int) -> tuple[int, ...]:
        """Spells a piece with two or more others, those of the largest sum of scores."""
        token, ids = self.tokens[token_id], self._ids
        best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
        for end in range(1, len(token) + 1):
            found: tuple[float, tuple[int, ...]] = (-math.inf, ())
            for start in range(end):
                piece = ids.get(token[start:end], token_id)
                if piece == token_id or piece >= len(self.scores):
                    continue
                score = best[start][0] + self.scores[piece]
                if score > found[0]:
                    found = score, (*best[start][1], piece)
            best.append(found)
        return best[-1][1]


def unigram_error(what: str, problems: Sequence[str]) -> ConversionError:
    """The error that lists all problems of a Unigram tokenizer's files."""
    return tokenizer_error(what, problems, "SentencePiece (Unigram)")


def _metaspace(entry: Mapping[str, Any]) -> Metaspace | None:
    match entry:
        case {"replacement": str(mark), "prepend_scheme": str(scheme), "split": bool(split)}:
            return Metaspace(mark, scheme, split)
        case _:
            return None


def _single_characters(characters: Iterable[str]) -> frozenset[str]:
    """The characters that BERT's tokenizer makes words of their own: punctuation and Chinese."""
    from tokenizers import normalizers, pre_tokenizers

    split = pre_tokenizers.BertPreTokenizer()
    rules = normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False
    )
    return frozenset(
        character
        for character in characters
        if len(split.pre_tokenize_str(rules.normalize_str(f"a{character}a"))) > 2
    )
