"""WordPiece vocabularies: tokens, text rules, and the tokenizer that they define.

`Vocabulary` describes the tokenizer for every runtime (Python, the metadata of a `.tflite`, Kotlin,
JavaScript). This module uses no files; `converters.vocabulary` reads and writes them.

WordPiece: greedy longest match first, from the BERT release (Devlin et al. 2019).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from converters.normalization import TextRules, normalize
from converters.subwords import (
    AddedToken,
    SubwordVocabulary,
    parse_added_tokens,
    setting_problems,
    token_problems,
    tokenizer_error,
)

if TYPE_CHECKING:
    import tokenizers

TEXT_RULES = (
    ("lowercase", "do_lower_case", "lowercase"),
    ("strip_accents", "strip_accents", "strip_accents"),
    ("split_chinese_characters", "tokenize_chinese_chars", "handle_chinese_chars"),
)
"""Vocabulary field, key in tokenizer_config.json, key of the BertNormalizer in tokenizer.json."""
SPECIAL_TOKENS = {
    "unk_token": "unknown_token",
    "cls_token": "cls_token",
    "sep_token": "sep_token",
    "pad_token": "pad_token",
    "mask_token": "mask_token",
}
"""Key in tokenizer_config.json and special_tokens_map.json: Vocabulary field."""
# JSON types of the settings; all others are texts.
_SETTING_TYPES: dict[str, type | tuple[type, ...]] = {
    "lowercase": bool,
    "strip_accents": (bool, type(None)),
    "split_chinese_characters": bool,
    "max_input_chars_per_word": int,
    "added_tokens": (list, tuple),
}


@dataclass(frozen=True)
class Vocabulary(SubwordVocabulary):
    """The tokens of a WordPiece tokenizer and its text rules.

    Attributes:
        tokens: all tokens with special and added ones, without duplicates; the id of a token is its
            index.
        lowercase: whether text is lowercased.
        strip_accents: whether accents are removed; None means the value of `lowercase`.
        split_chinese_characters: whether each CJK ideograph is a separate word.
        unknown_token: token for a word that the vocabulary can't spell.
        cls_token: first token of every input.
        sep_token: token after every text of an input.
        pad_token: padding token.
        mask_token: token of a masked position in masked language modelling. A vocabulary without
            one has `unknown_token` here, and serves no masked language model.
        max_input_chars_per_word: maximum word length; a longer word becomes `unknown_token`.
        continuing_prefix: prefix of a piece that does not start a word.
        added_tokens: tokens that are matched as a whole, besides the five special ones (an entry
            for one of those replaces its defaults). Added tokens at the end of `tokens` are not
            word pieces.

    Raises:
        ConversionError: Tokens are empty, repeated or contain line breaks, a special or added token
            is not in `tokens`, or an added token can never match: the text rules remove it, make it
            equal to another one, or it is white space with `lstrip`. All problems are listed.
    """

    tokens: tuple[str, ...] = field(repr=False)
    lowercase: bool
    strip_accents: bool | None = None
    split_chinese_characters: bool = True
    unknown_token: str = "[UNK]"
    cls_token: str = "[CLS]"
    sep_token: str = "[SEP]"
    pad_token: str = "[PAD]"
    mask_token: str = "[MASK]"
    max_input_chars_per_word: int = 100
    continuing_prefix: str = "##"
    added_tokens: tuple[AddedToken, ...] = ()

    kind: ClassVar[str] = "wordpiece"

    def __post_init__(self) -> None:
        problems = token_problems(self.tokens) + self._added_problems()
        if not 1 <= self.max_input_chars_per_word < 2**31:
            problems.append(f"max_input_chars_per_word is {self.max_input_chars_per_word}")
        if not problems:
            problems = _unmatchable_tokens(self)
        if problems:
            raise tokenizer_error(f"a vocabulary of {len(self.tokens)} tokens", problems)

    @property
    def word_pieces(self) -> tuple[str, ...]:
        """The tokens that words are made of: all but the added tokens at the end."""
        whole = {token.content for token in self.whole_tokens} - set(self.special_tokens)
        count = len(self.tokens)
        while self.tokens[count - 1] in whole:
            count -= 1
        return self.tokens[:count]

    @property
    def text_rules(self) -> TextRules:
        """The rules that a text is normalized by."""
        strip_accents = self.lowercase if self.strip_accents is None else self.strip_accents
        return TextRules(self.lowercase, strip_accents, self.split_chinese_characters)

    def normalized(self, text: str) -> str:
        """A text after the text rules."""
        return normalize(text, self.text_rules).text

    def to_settings(self) -> dict[str, Any]:
        """Returns all fields except the tokens as JSON types."""
        settings = {
            item.name: getattr(self, item.name)
            for item in dataclasses.fields(self)
            if item.name != "tokens"
        }
        settings["added_tokens"] = [dataclasses.asdict(added) for added in self.added_tokens]
        return settings

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], tokens: Iterable[str]) -> Vocabulary:
        """Makes a vocabulary from `to_settings()` and the tokens.

        Raises:
            ConversionError: A setting is unknown or missing, or the vocabulary is not valid.
        """
        known = {item.name for item in dataclasses.fields(cls)} - {"tokens"}
        problems = setting_problems(settings, known, _SETTING_TYPES)
        if "lowercase" not in settings:
            problems.append("the setting 'lowercase' is missing")
        if problems:
            raise tokenizer_error("the settings of a vocabulary", problems)
        return cls(tuple(tokens), **{**settings, "added_tokens": parse_added_tokens(settings)})

    def backend(self) -> tokenizers.Tokenizer:
        """Builds the reference tokenizer: see `wordpiece_tokenizer`."""
        return wordpiece_tokenizer(self)

    def select(self, ids: Sequence[int]) -> Vocabulary:
        """Returns the vocabulary of these tokens only, in this order."""
        return dataclasses.replace(self, tokens=tuple(self.tokens[token_id] for token_id in ids))

    @cached_property
    def continuing(self) -> npt.NDArray[np.bool_]:
        """Whether each token continues the word before it, bool `[size]`."""
        prefix = self.continuing_prefix
        return np.array([bool(prefix) and token.startswith(prefix) for token in self.tokens], bool)

    @property
    def mark(self) -> str:
        """The sentence about `continuing_prefix`."""
        return f"{self.continuing_prefix} continues a word." if self.continuing_prefix else ""

    def text_of(self, token_id: int) -> str:
        """The token without `continuing_prefix`."""
        return self._parts(self.tokens[token_id])[1]

    def respell(self, token_id: int) -> tuple[int, ...]:
        """Spells a token with two or more others by greedy longest match; empty if none do."""
        token, ids = self.tokens[token_id], self._ids
        mark, body = self._parts(token)
        found: list[int] = []
        start = 0
        while start < len(body):
            for end in range(len(body), start, -1):
                piece = mark + body[start:end]
                if piece in ids and piece != token:
                    break
            else:
                return ()
            found.append(ids[piece])
            start, mark = end, self.continuing_prefix
        return tuple(found)

    def _parts(self, token: str) -> tuple[str, str]:
        """The continuing prefix, empty if the token has none, and the letters."""
        prefix = self.continuing_prefix
        if len(token) > len(prefix) and token.startswith(prefix):
            return prefix, token[len(prefix) :]
        return "", token


def wordpiece_tokenizer(vocabulary: Vocabulary) -> tokenizers.Tokenizer:
    """Builds the reference tokenizer: `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`.

    The tokenizer does not truncate and does not pad.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    backend = Tokenizer(
        models.WordPiece(
            vocab={token: token_id for token_id, token in enumerate(vocabulary.word_pieces)},
            unk_token=vocabulary.unknown_token,
            max_input_chars_per_word=vocabulary.max_input_chars_per_word,
            continuing_subword_prefix=vocabulary.continuing_prefix,
        )
    )
    rules = vocabulary.text_rules
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=rules.split_chinese_characters,
        strip_accents=vocabulary.strip_accents,
        lowercase=rules.lowercase,
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix=vocabulary.continuing_prefix)
    vocabulary._add_tokens(backend)
    return backend


def _unmatchable_tokens(vocabulary: Vocabulary) -> list[str]:
    """Lists the added tokens that the library accepts but can't match correctly.

    Of two tokens that the text rules make equal, the library matches either one. An empty token
    splits words between all letters. White space with `lstrip` can make the library panic.
    """
    problems = []
    contents: dict[str, str] = {}
    for token in vocabulary.whole_tokens:
        if not token.normalized:
            continue
        normal = vocabulary.normalized(token.content)
        if token.lstrip and normal.isspace():
            problems.append(f"the text rules make the added token {token.content!r} white space")
        if not normal:
            problems.append(f"the text rules remove the added token {token.content!r}")
        elif normal in contents:
            both = f"{contents[normal]!r} and {token.content!r}"
            problems.append(f"the text rules make the added tokens {both} equal")
        contents[normal] = token.content
    return problems
