"""WordPiece with the text rules of the library `tokenizers` instead of BERT's.

A tokenizer.json may name another normalizer or pre-tokenizer than BERT's, such as `NFKC` or
`Whitespace`. Python runs it as it is, by the library. JavaScript and Kotlin know BERT's rules only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from converters.subwords import tokenizer_error
from converters.wordpiece import Vocabulary, wordpiece_tokenizer

if TYPE_CHECKING:
    import tokenizers


@dataclass(frozen=True)
class LibraryWordPiece(Vocabulary):
    """A WordPiece vocabulary with a normalizer and a pre-tokenizer of the library.

    Attributes:
        normalizer: the normalizer as JSON in a tokenizer.json; `null` for none.
        pre_tokenizer: the same of the pre-tokenizer; with `null` a text is one word.

    Raises:
        ConversionError: The installed library can't build them, or as for `Vocabulary`.
    """

    normalizer: str = "null"
    pre_tokenizer: str = "null"

    kind: ClassVar[str] = "wordpiece-library"

    def __post_init__(self) -> None:
        self._text_rules_of_library  # noqa: B018 (raises an error for unknown parts)
        super().__post_init__()

    @property
    def parts(self) -> str:
        """The normalizer and the pre-tokenizer in words."""
        return parts_in_words(self.to_settings())

    def to_settings(self) -> dict[str, Any]:
        """Returns all fields except the tokens, and the kind, as JSON types."""
        return {"kind": self.kind, **super().to_settings()}

    def backend(self) -> tokenizers.Tokenizer:
        """Builds the tokenizer of the library: `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`."""
        backend = self._text_rules_of_library
        whole = json.loads(wordpiece_tokenizer(self).to_str())
        own = json.loads(backend.to_str())
        parts = {name: own[name] for name in ("normalizer", "pre_tokenizer")}
        return type(backend).from_str(json.dumps({**whole, **parts}))

    def lower_cased(self) -> LibraryWordPiece:
        """The same with text in lower case first."""
        parts = [{"type": "Lowercase"}, json.loads(self.normalizer)]
        sequence = {"type": "Sequence", "normalizers": [part for part in parts if part]}
        return replace(self, normalizer=json.dumps(sequence), lowercase=True)

    def normalized(self, text: str) -> str:
        normalizer = self._text_rules_of_library.normalizer
        return text if normalizer is None else str(normalizer.normalize_str(text))

    @cached_property
    def _text_rules_of_library(self) -> tokenizers.Tokenizer:
        """A tokenizer of the library with the two parts and no tokens."""
        from tokenizers import Tokenizer, models

        empty = json.loads(Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]")).to_str())
        parts = {name: json.loads(getattr(self, name)) for name in ("normalizer", "pre_tokenizer")}
        try:
            return Tokenizer.from_str(json.dumps({**empty, **parts}))
        except Exception as error:  # the library raises Exception itself
            problem = f"the installed library tokenizers can't build {self.parts}: {error}"
            raise tokenizer_error("tokenizer.json", [problem]) from error


def parts_in_words(settings: Mapping[str, Any]) -> str:
    """The parts of a tokenizer that are not BERT's, from its settings; empty if there are none."""
    if settings.get("kind") != LibraryWordPiece.kind:
        return ""
    names = ("normalizer", "pre_tokenizer")
    return ", ".join(f"{name} {_words(json.loads(settings[name]))}" for name in names)


def _words(part: Any) -> str:
    """A part in words, such as `Sequence (NFD, Lowercase)`."""
    if not isinstance(part, Mapping):
        return "null"
    inner = [value for value in part.values() if isinstance(value, list)]
    members = [_words(each) for items in inner for each in items if isinstance(each, Mapping)]
    return f"{part.get('type')}" + (f" ({', '.join(members)})" if members else "")
