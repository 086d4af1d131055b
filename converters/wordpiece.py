"""WordPiece vocabularies: tokens, text rules, and the tokenizer that they define.

`Vocabulary` describes the tokenizer for every runtime (Python, the metadata of a `.tflite`, Kotlin,
JavaScript). This module uses no files; `converters.vocabulary` reads and writes them.

WordPiece: greedy longest match first, from the BERT release (Devlin et al. 2019).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from converters.errors import ConversionError
from converters.normalization import TextRules, normalize

if TYPE_CHECKING:
    import tokenizers

_SHOWN = 5
# JSON types of the settings; all others are texts.
_SETTING_TYPES: dict[str, type | tuple[type, ...]] = {
    "lowercase": bool,
    "strip_accents": (bool, type(None)),
    "split_chinese_characters": bool,
    "max_input_chars_per_word": int,
    "added_tokens": (list, tuple),
}
_SPECIAL_FIELDS = ("unknown_token", "cls_token", "sep_token", "pad_token", "mask_token")


@dataclass(frozen=True)
class AddedToken:
    """A token that is matched as a whole in the text, before words are split.

    The five special tokens of a vocabulary are such tokens, with the defaults below.

    Attributes:
        content: the token, which is also in `Vocabulary.tokens`.
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


@dataclass(frozen=True)
class Vocabulary:
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

    def __post_init__(self) -> None:
        problems = _token_problems(self.tokens)
        known = self._ids
        for name in _SPECIAL_FIELDS:
            if getattr(self, name) not in known:
                problems.append(f"{name} {getattr(self, name)!r} is not in the vocabulary")
        for added in self.added_tokens:
            if added.content not in known:
                problems.append(f"added token {added.content!r} is not in the vocabulary")
        if not 1 <= self.max_input_chars_per_word < 2**31:
            problems.append(f"max_input_chars_per_word is {self.max_input_chars_per_word}")
        if not problems:
            problems = _unmatchable_tokens(self)
        if problems:
            raise tokenizer_error(f"a vocabulary of {len(self.tokens)} tokens", problems)

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
        return tuple(getattr(self, name) for name in _SPECIAL_FIELDS)

    @property
    def whole_tokens(self) -> tuple[AddedToken, ...]:
        """All tokens that are matched as a whole, with the special ones, ordered by id."""
        by_content = {token: AddedToken(token) for token in self.special_tokens}
        by_content |= {token.content: token for token in self.added_tokens}
        return tuple(by_content[content] for content in sorted(by_content, key=self.id_of))

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

    def id_of(self, token: str) -> int:
        """Returns a token's id.

        Raises:
            KeyError: the vocabulary has no such token.
        """
        return self._ids[token]

    def to_vocab_txt(self) -> bytes:
        r"""Returns the content of a vocab.txt: UTF-8, one token per line, lines end with `\n`."""
        return "".join(f"{token}\n" for token in self.tokens).encode()

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
        problems = [f"unknown setting {name!r}" for name in sorted(set(settings) - known)]
        if "lowercase" not in settings:
            problems.append("the setting 'lowercase' is missing")
        for name in sorted(known & set(settings)):
            if not isinstance(settings[name], _SETTING_TYPES.get(name, str)):
                problems.append(f"the setting {name!r} is {settings[name]!r}")
        if problems:
            raise tokenizer_error("the settings of a vocabulary", problems)
        added = [AddedToken.parse(entry) for entry in settings.get("added_tokens", ())]
        if None in added:
            problem = f"added_tokens: entry {added.index(None)} is not an added token"
            raise tokenizer_error("the settings of a vocabulary", [problem])
        return cls(tuple(tokens), **{**settings, "added_tokens": tuple(added)})


def wordpiece_tokenizer(vocabulary: Vocabulary) -> tokenizers.Tokenizer:
    """Builds the reference tokenizer: `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`.

    The tokenizer does not truncate and does not pad.
    """
    from tokenizers import AddedToken as LibraryAddedToken
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    cls_token, sep_token = vocabulary.cls_token, vocabulary.sep_token
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
    backend.post_processor = processors.TemplateProcessing(
        single=[f"{cls_token}:0", "$A:0", f"{sep_token}:0"],
        pair=[f"{cls_token}:0", "$A:0", f"{sep_token}:0", "$B:1", f"{sep_token}:1"],
        special_tokens=[(token, vocabulary.id_of(token)) for token in (cls_token, sep_token)],
    )
    for token in vocabulary.whole_tokens:
        add = backend.add_special_tokens if token.special else backend.add_tokens
        add([LibraryAddedToken(**dataclasses.asdict(token))])
    return backend


def _unmatchable_tokens(vocabulary: Vocabulary) -> list[str]:
    """Lists the added tokens that the library accepts but can't match correctly.

    Of two tokens that the text rules make equal, the library matches either one. An empty token
    splits words between all letters. White space that another token already includes makes the
    library panic.
    """
    problems = []
    contents: dict[str, str] = {}
    for token in vocabulary.whole_tokens:
        if token.lstrip and token.content.isspace():
            problems.append(f"the added token {token.content!r} is white space and has lstrip")
        if not token.normalized:
            continue
        normal = normalize(token.content, vocabulary.text_rules).text
        if not normal:
            problems.append(f"the text rules remove the added token {token.content!r}")
        elif normal in contents:
            both = f"{contents[normal]!r} and {token.content!r}"
            problems.append(f"the text rules make the added tokens {both} equal")
        contents[normal] = token.content
    return problems


def _token_problems(tokens: Sequence[str]) -> list[str]:
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


def tokenizer_error(what: str, problems: Sequence[str]) -> ConversionError:
    """The error that lists all problems of a tokenizer's files."""
    listed = "".join(f"\n  - {problem}" for problem in problems)
    return ConversionError(
        f"Expected {what} to be a BERT (WordPiece) tokenizer's. Received:{listed}\n"
        "Next: copy the vocabulary files from the release of the checkpoint, or edit them so that "
        "they agree."
    )


def first_few(found: Sequence[str]) -> str:
    """Lists the first few items and the number of the others."""
    more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more
