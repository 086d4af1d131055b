"""What all subword vocabularies have: tokens, special tokens and added tokens.

`converters.wordpiece` and `converters.unigram` define the two kinds. Code that only needs ids,
names or the starts of words takes a `SubwordVocabulary`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from converters.errors import ConversionError

if TYPE_CHECKING:
    from typing import Self

    import tokenizers

VOCABULARY_FILE = "vocab.txt"
"""The associated file of a `.tflite` with the tokens."""
SPECIAL_FIELDS = ("unknown_token", "cls_token", "sep_token", "pad_token", "mask_token")
_SHOWN = 5


@dataclass(frozen=True)
class AddedToken:
    """A token that is matched as a whole in the text, before words are split.

    The five special tokens of a vocabulary are such tokens, with the defaults below.

    Attributes:
        content: the token, which is also in the vocabulary's `tokens`.
        special: whether it is not text, so that a decoder may skip it.
        normalized: whether it is matched after the text rules (such as lowercasing), not before.
        single_word: whether it only matches without a letter or digit next to it.
        lstrip: whether it includes white space before it.
        rstrip: whether it includes white space after it.
    """

    content: str
    special: bool = True
    normalized: bool = False
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False

    @classmethod
    def parse(cls, entry: object) -> AddedToken | None:
        """Parses a token in JSON, a text or an object with flags; None for other values."""
        if isinstance(entry, str) and entry:
            return cls(entry)
        if not isinstance(entry, dict):
            return None
        values = {f.name: entry[f.name] for f in dataclasses.fields(cls) if f.name in entry}
        content = values.pop("content", None)
        if not isinstance(content, str) or not content:
            return None
        flags_are_valid = all(type(flag) is bool for flag in values.values())
        return cls(content, **values) if flags_are_valid else None


class SubwordVocabulary(ABC):
    """The tokens of a subword tokenizer. The id of a token is its index.

    Attributes:
        kind: name of the algorithm.
        tokens: all tokens with special and added ones, without duplicates.
        unknown_token: token for text that the vocabulary can't spell.
        cls_token: first token of every input.
        sep_token: token after every text of an input.
        pad_token: padding token.
        mask_token: token of a masked position in masked language modelling. A vocabulary without
            one has `unknown_token` here, and serves no masked language model.
        added_tokens: tokens that are matched as a whole, besides the five special ones (an entry
            for one of those replaces its defaults).
    """

    kind: ClassVar[str]
    tokens: tuple[str, ...]
    unknown_token: str
    cls_token: str
    sep_token: str
    pad_token: str
    mask_token: str
    added_tokens: tuple[AddedToken, ...]

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: token_id for token_id, token in enumerate(self.tokens)}

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of `to_vocab_txt()`, in hex."""
        return hashlib.sha256(self.to_vocab_txt()).hexdigest()

    @property
    def size(self) -> int:
        """The number of tokens."""
        return len(self.tokens)

    @property
    def has_mask(self) -> bool:
        """Whether there is a token for masked positions."""
        return self.mask_token != self.unknown_token

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """The unknown, cls, sep, pad and mask tokens, in this order."""
        return tuple(getattr(self, name) for name in SPECIAL_FIELDS)

    @property
    def whole_tokens(self) -> tuple[AddedToken, ...]:
        """All tokens that are matched as a whole, with the special ones, ordered by id."""
        by_content = {token: AddedToken(token) for token in self.special_tokens}
        by_content |= {token.content: token for token in self.added_tokens}
        return tuple(by_content[content] for content in sorted(by_content, key=self.id_of))

    @property
    def space(self) -> str:
        """The character for a space at the start of tokens; empty if tokens have no spaces."""
        return ""

    @property
    @abstractmethod
    def mark(self) -> str:
        """What marks the pieces inside of words, or at their starts, as a sentence."""

    @property
    def space_id(self) -> int:
        """The id of the token that is `space` alone; -1 if there is none."""
        return self._ids.get(self.space, -1) if self.space else -1

    @property
    def pair_separators(self) -> int:
        """The number of `sep_token` between the two texts of a pair: 1 or 2."""
        return 1

    @property
    def second_segment(self) -> int:
        """The segment id of the second text of a pair and of the `sep_token` after it."""
        return 1

    @property
    def framing_ids(self) -> list[int]:
        """The ids of the cls, sep, pad and mask tokens, which stand for no text."""
        tokens = (self.cls_token, self.sep_token, self.pad_token, self.mask_token)
        return [self.id_of(token) for token in tokens]

    def id_of(self, token: str) -> int:
        """Returns a token's id.

        Raises:
            KeyError: the vocabulary has no such token.
        """
        return self._ids[token]

    def to_vocab_txt(self) -> bytes:
        r"""Returns the content of a vocab.txt: UTF-8, one token per line, lines end with `\n`."""
        return "".join(f"{token}\n" for token in self.tokens).encode()

    def to_files(self) -> dict[str, bytes]:
        """Returns the associated files of a `.tflite` that hold the vocabulary, by name."""
        return {VOCABULARY_FILE: self.to_vocab_txt()}

    @abstractmethod
    def to_settings(self) -> dict[str, Any]:
        """Returns all that is not in `to_files()` as JSON types."""

    @abstractmethod
    def backend(self) -> tokenizers.Tokenizer:
        """Builds the tokenizer of the library. It does not truncate and does not pad."""

    @abstractmethod
    def select(self, ids: Sequence[int]) -> Self:
        """Returns the vocabulary of these tokens only, in this order."""

    @cached_property
    @abstractmethod
    def continuing(self) -> npt.NDArray[np.bool_]:
        """Whether each token continues the word before it, bool `[size]`."""

    @abstractmethod
    def text_of(self, token_id: int) -> str:
        """The characters that a token stands for, without the mark of its place in a word."""

    @abstractmethod
    def respell(self, token_id: int) -> tuple[int, ...]:
        """The ids of two or more other tokens that spell a token; empty if there are none."""

    def part_starts(
        self, token_ids: Sequence[int], offsets: Sequence[tuple[int, int]]
    ) -> list[int]:
        """The places in an encoding of the tokens that start a part of a text.

        A part is a word without white space and punctuation, a punctuation mark, or a Chinese
        character.

        Args:
            token_ids: of the encoding.
            offsets: of its tokens; empty spans for the tokens that frame the texts.
        """
        continuing = self.continuing
        return [
            place
            for place, (token_id, (start, end)) in enumerate(zip(token_ids, offsets, strict=True))
            if start < end and not continuing[token_id]
        ]

    def _added_problems(self) -> list[str]:
        """Lists special and added tokens that are not in the vocabulary, and some white space.

        The library panics where white space that is a token with `lstrip` follows white space that
        another token includes.
        """
        known = self._ids
        problems = [
            f"{name} {getattr(self, name)!r} is not in the vocabulary"
            for name in SPECIAL_FIELDS
            if getattr(self, name) not in known
        ]
        for added in self.added_tokens:
            if added.content not in known:
                problems.append(f"added token {added.content!r} is not in the vocabulary")
            if added.lstrip and added.content.isspace():
                problems.append(f"the added token {added.content!r} is white space and has lstrip")
        return problems

    def _add_tokens(self, backend: tokenizers.Tokenizer) -> None:
        """Adds the frame of the texts and the tokens that are matched as a whole."""
        from tokenizers import AddedToken as LibraryAddedToken
        from tokenizers import processors

        cls_token, sep_token, second = self.cls_token, self.sep_token, self.second_segment
        single = [f"{cls_token}:0", "$A:0", f"{sep_token}:0"]
        more = [f"{sep_token}:0"] * (self.pair_separators - 1)
        backend.post_processor = processors.TemplateProcessing(
            single=single,
            pair=[*single, *more, f"$B:{second}", f"{sep_token}:{second}"],
            special_tokens=[(token, self.id_of(token)) for token in (cls_token, sep_token)],
        )
        for token in self.whole_tokens:
            add = backend.add_special_tokens if token.special else backend.add_tokens
            add([LibraryAddedToken(**dataclasses.asdict(token))])


def setting_problems(
    settings: Mapping[str, Any], known: set[str], types: Mapping[str, Any]
) -> list[str]:
    """Lists settings that are unknown or have a wrong type.

    Args:
        settings: `to_settings()` of a vocabulary.
        known: the names of all settings.
        types: the type of each setting that is no text.
    """
    problems = [f"unknown setting {name!r}" for name in sorted(set(settings) - known)]
    return problems + [
        f"the setting {name!r} is {settings[name]!r}"
        for name in sorted(known & set(settings))
        if not isinstance(settings[name], types.get(name, str))
    ]


def parse_added_tokens(settings: Mapping[str, Any]) -> tuple[AddedToken, ...]:
    """The added tokens in the settings of a vocabulary.

    Raises:
        ConversionError: An entry is not an added token.
    """
    added = [AddedToken.parse(entry) for entry in settings.get("added_tokens", ())]
    if None in added:
        problem = f"added_tokens: entry {added.index(None)} is not an added token"
        raise tokenizer_error("the settings of a vocabulary", [problem])
    return tuple(token for token in added if token is not None)


def token_problems(tokens: Sequence[str]) -> list[str]:
    """Lists tokens that are repeated, empty, not Unicode, or contain line breaks."""
    places: dict[str, list[int]] = {}
    for token_id, token in enumerate(tokens):
        places.setdefault(token, []).append(token_id)
    repeated = [f"{token!r} (ids {ids})" for token, ids in places.items() if len(ids) > 1]
    joined = "\n".join(places)
    broken = []
    if joined.count("\n") != len(places) - 1 or "\r" in joined:
        broken = [repr(token) for token in places if "\n" in token or "\r" in token]
    empty = [str(token_id) for token_id in places.get("", ())]
    not_text = [repr(token) for token in places if not token.isascii() and _has_surrogate(token)]
    table = (
        (repeated, "tokens are repeated"),
        (broken, "tokens contain line breaks"),
        (empty, "ids have an empty token"),
        (not_text, "tokens are not valid Unicode"),
    )
    return [f"{len(found)} {what}: {first_few(found)}" for found, what in table if found]


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def tokenizer_error(
    what: str, problems: Sequence[str], kind: str = "BERT (WordPiece)"
) -> ConversionError:
    """The error that lists all problems of a tokenizer's files."""
    listed = "".join(f"\n  - {problem}" for problem in problems)
    return ConversionError(
        f"Expected {what} to be a {kind} tokenizer's. Received:{listed}\n"
        "Next: copy the vocabulary files from the release of the checkpoint, or edit them so that "
        "they agree."
    )


def first_few(found: Sequence[str]) -> str:
    """Lists the first few items and the number of the others."""
    more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more
