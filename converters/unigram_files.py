"""Reads and writes the tokenizer.json of a SentencePiece (Unigram) tokenizer.

The file is that of `transformers`' fast XLM-RoBERTa tokenizer and its like. `converters.vocabulary`
opens a folder's files and passes them on.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Mapping
from typing import Any

from converters.subwords import SPECIAL_FIELDS, AddedToken
from converters.unigram import (
    PRECOMPILED,
    REPLACE_SPACES,
    STRIP,
    Metaspace,
    TextRule,
    UnigramVocabulary,
    unigram_error,
)

_RUN_OF_SPACES = " {2,}"
_TOKEN_KEYS = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
"""Keys of `SPECIAL_FIELDS` in tokenizer_config.json and special_tokens_map.json."""
TOKENIZER_CLASS = "PreTrainedTokenizerFast"
"""The class of `transformers` that opens any tokenizer.json."""

Json = Mapping[str, Any]


def is_unigram(fast: Json) -> bool:
    """Whether a tokenizer.json has a Unigram model."""
    model = fast.get("model")
    return isinstance(model, dict) and (
        model.get("type") == "Unigram" or ("type" not in model and "unk_id" in model)
    )


def read_unigram(where: str, fast: Json, config: Json, special_map: Json) -> UnigramVocabulary:
    """Reads the vocabulary in a tokenizer.json.

    Args:
        where: the folder, for messages.
        fast: the content of tokenizer.json.
        config: the content of tokenizer_config.json; empty without one.
        special_map: the content of special_tokens_map.json; empty without one.

    Raises:
        ConversionError: The tokenizer has parts that no reader of an exported file supports; all
            of them are listed.
    """
    reader = _Reader(fast)
    pieces, scores, unknown = reader.model()
    added = reader.added_tokens()
    tokens = pieces + reader.tokens_behind(pieces, added)
    frame = reader.frame()
    special = reader.special_tokens(tokens, unknown, frame, {**special_map, **config})
    rules, charsmap = reader.normalizers()
    split, metaspace = reader.pre_tokenizer()
    if reader.problems:
        raise unigram_error(f"the files of {where}", reader.problems)
    plain = {AddedToken(token) for token in special.values()}
    return UnigramVocabulary(
        tuple(tokens),
        tuple(scores),
        charsmap,
        normalizers=rules,
        whitespace_split=split,
        metaspace=metaspace,
        **special,
        pair_separators=frame["separators"],
        second_segment=frame["segment"],
        added_tokens=tuple(token for token, _ in added if token not in plain),
    )


def config_of(vocabulary: UnigramVocabulary, max_length: int) -> dict[str, Any]:
    """The content of tokenizer_config.json."""
    return {
        "tokenizer_class": TOKENIZER_CLASS,
        "model_max_length": max_length,
        **special_map_of(vocabulary),
        "added_tokens_decoder": {
            str(vocabulary.id_of(token.content)): dataclasses.asdict(token)
            for token in vocabulary.whole_tokens
        },
    }


def special_map_of(vocabulary: UnigramVocabulary) -> dict[str, Any]:
    """The content of special_tokens_map.json."""
    keys = dict(zip(_TOKEN_KEYS, SPECIAL_FIELDS, strict=True))
    if not vocabulary.has_mask:
        del keys["mask_token"]
    special = {key: getattr(vocabulary, name) for key, name in keys.items()}
    more = [
        token.content
        for token in vocabulary.whole_tokens
        if token.special and token.content not in special.values()
    ]
    return {**special, **({"additional_special_tokens": more} if more else {})}


class _Reader:
    """Reads the parts of a tokenizer.json and collects what is wrong with them."""

    def __init__(self, fast: Json) -> None:
        self._fast = fast
        self.problems: list[str] = []

    def model(self) -> tuple[list[str], list[float], str]:
        """The pieces, their scores and the unknown piece."""
        model = self._fast["model"]
        pieces, scores = [], []
        entries = model.get("vocab")
        for entry in entries if isinstance(entries, list) else []:
            match entry:
                case [str(piece), int(score) | float(score)]:
                    pieces.append(piece)
                    scores.append(float(score))
                case _:
                    self.problems.append(f"model.vocab: {entry!r:.80} is no piece with its score")
                    break
        if not pieces:
            self.problems.append("model.vocab is not a list of pieces and their scores")
        if model.get("byte_fallback"):
            self.problems.append(
                "model.byte_fallback is true: pieces of bytes are not supported, train the "
                "vocabulary with --byte_fallback=false"
            )
        match model.get("unk_id"):
            case int(place) if not isinstance(place, bool) and 0 <= place < len(pieces):
                return pieces, scores, pieces[place]
            case place:
                self.problems.append(f"model.unk_id is {place!r}, expected the id of a piece")
                return pieces, scores, ""

    def added_tokens(self) -> list[tuple[AddedToken, int]]:
        """The tokens that are matched as a whole, with their ids."""
        found = []
        entries = self._fast.get("added_tokens") or []
        for entry in entries if isinstance(entries, list) else []:
            token = AddedToken.parse(entry)
            token_id = entry.get("id") if isinstance(entry, dict) else None
            if token is None or type(token_id) is not int:
                self.problems.append(f"added_tokens: {entry!r:.80} is not an added token")
            else:
                found.append((token, token_id))
        return found

    def tokens_behind(self, pieces: list[str], added: list[tuple[AddedToken, int]]) -> list[str]:
        """The added tokens that are no pieces; their ids follow those of the pieces."""
        ids = {piece: token_id for token_id, piece in enumerate(pieces)}
        new = []
        for token, token_id in added:
            have = ids.get(token.content)
            if have is None:
                new.append((token_id, token.content))
            elif have != token_id:
                self.problems.append(
                    f"added token {token.content!r} has id {token_id}, its piece has {have}"
                )
        for place, (token_id, content) in enumerate(sorted(new), len(pieces)):
            if token_id != place:
                self.problems.append(f"added token {content!r} has id {token_id}, not {place}")
        return [content for _, content in sorted(new)]

    def frame(self) -> dict[str, Any]:
        """The cls and sep tokens, the separators of a pair and its second segment."""
        part = self._fast.get("post_processor")
        match part:
            case {"type": "TemplateProcessing", "single": list(single), "pair": list(pair)}:
                frame = _frame_of(
                    list(map(_template_item, single)), list(map(_template_item, pair))
                )
                if frame is not None:
                    return frame
        kind = part.get("type") if isinstance(part, dict) else part
        self.problems.append(
            f"post_processor {kind} is not a template '<s> A </s>' with the pair "
            "'<s> A </s> B </s>' or '<s> A </s> </s> B </s>'"
        )
        return {"cls": "", "sep": "", "separators": 1, "segment": 0}

    def special_tokens(
        self, tokens: list[str], unknown: str, frame: Json, named: Json
    ) -> dict[str, str]:
        """The five special tokens by their names in a vocabulary.

        The padding and the mask are those that the other files name, or `<pad>` and `<mask>`. A
        vocabulary without a mask has the unknown token in its place.
        """
        special = {
            "unknown_token": unknown,
            "cls_token": frame["cls"],
            "sep_token": frame["sep"],
            "pad_token": _text_of(named.get("pad_token")) or "<pad>",
            "mask_token": _text_of(named.get("mask_token")) or "<mask>",
        }
        if special["mask_token"] not in tokens:
            special["mask_token"] = unknown
        for key, name in zip(_TOKEN_KEYS[:3], SPECIAL_FIELDS[:3], strict=True):
            other = _text_of(named.get(key))
            if other and special[name] and other != special[name]:
                self.problems.append(
                    f"{key} is {other!r} in tokenizer_config.json or special_tokens_map.json and "
                    f"{special[name]!r} in tokenizer.json"
                )
        return special

    def normalizers(self) -> tuple[tuple[TextRule, ...], bytes]:
        """The text rules and the character map."""
        rules: list[TextRule] = []
        charsmap = b""
        for step in _steps(self._fast.get("normalizer"), "normalizers"):
            match step:
                case {"type": "Precompiled", "precompiled_charsmap": str(text)} if not charsmap:
                    charsmap = self._charsmap(text)
                    rules.append(TextRule(PRECOMPILED))
                case {"type": "Precompiled", "precompiled_charsmap": None}:
                    pass
                case {
                    "type": "Replace",
                    "pattern": {"Regex": pattern},
                    "content": str(content),
                } if pattern == _RUN_OF_SPACES:
                    rules.append(TextRule(REPLACE_SPACES, content=content))
                case {"type": "Strip", "strip_left": bool(left), "strip_right": bool(right)}:
                    rules.append(TextRule(STRIP, left=left, right=right))
                case _:
                    self.problems.append(
                        f"normalizer {_shown(step)} is not supported; supported are Precompiled, "
                        f"Replace of the Regex {_RUN_OF_SPACES!r}, and Strip"
                    )
        return tuple(rules), charsmap

    def _charsmap(self, text: str) -> bytes:
        try:
            charsmap = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            self.problems.append("normalizer: precompiled_charsmap is not Base64")
            return b""
        if charsmap_problem(charsmap):
            self.problems.append(f"normalizer: {charsmap_problem(charsmap)}")
        return charsmap

    def pre_tokenizer(self) -> tuple[bool, Metaspace]:
        """Whether text is split at white space first, and the metaspace."""
        steps = list(_steps(self._fast.get("pre_tokenizer"), "pretokenizers"))
        split = bool(steps) and steps[0] == {"type": "WhitespaceSplit"}
        match steps[1:] if split else steps:
            case [{"type": "Metaspace", "replacement": str(mark)} as step]:
                scheme = step.get("prepend_scheme")
                if scheme is None:
                    scheme = "always" if step.get("add_prefix_space", True) else "never"
                return split, Metaspace(mark, str(scheme), step.get("split", True) is not False)
            case _:
                shown = _shown(self._fast.get("pre_tokenizer"))
                self.problems.append(
                    f"pre_tokenizer {shown} is not Metaspace, or WhitespaceSplit and Metaspace"
                )
                return split, Metaspace()


def charsmap_problem(charsmap: bytes) -> str:
    """What is wrong with the sizes and texts of a character map; empty if they fit.

    The map is the size of a trie in bytes (uint32), the trie (uint32 units), and texts in UTF-8
    that end in a zero byte.
    """
    size = int.from_bytes(charsmap[:4], "little")
    if len(charsmap) < 8 or size < 4 or size % 4 or 4 + size > len(charsmap):
        return f"a precompiled_charsmap of {len(charsmap)} bytes is cut short or damaged"
    if len(charsmap) == 4 + size or charsmap[-1] != 0:
        return "the texts of the precompiled_charsmap do not end in a zero byte"
    try:
        charsmap[4 + size :].decode("utf-8")
    except UnicodeDecodeError:
        return "the texts of the precompiled_charsmap are not UTF-8"
    return ""


def _steps(part: Any, key: str) -> list[Any]:
    """The steps of a part that may be a sequence, flat."""
    if part is None:
        return []
    if isinstance(part, dict) and part.get("type") == "Sequence":
        steps = part.get(key) or []
        if isinstance(steps, list):
            return [each for step in steps for each in _steps(step, key)]
    return [part]  # what is no list of steps is shown as a step that is not supported


def _shown(part: Any) -> str:
    if isinstance(part, dict) and "precompiled_charsmap" not in part:
        return f"{part!r:.160}"
    return str(part.get("type")) if isinstance(part, dict) else f"{part!r:.160}"


def _text_of(entry: Any) -> str:
    match entry:
        case str(text) | {"content": str(text)}:
            return text
        case _:
            return ""


def _template_item(item: Any) -> tuple[str, str, int]:
    match item:
        case {"SpecialToken": {"id": str(token), "type_id": int(segment)}}:
            return "token", token, segment
        case {"Sequence": {"id": str(name), "type_id": int(segment)}}:
            return "text", name, segment
        case _:
            return "", "", 0


def _frame_of(
    single: list[tuple[str, str, int]], pair: list[tuple[str, str, int]]
) -> dict[str, Any] | None:
    """The frame of two templates; None for others than `<s> A </s>` and its pairs."""
    match single:
        case [("token", cls, 0), ("text", "A", 0), ("token", sep, 0)]:
            pass
        case _:
            return None
    for separators in (1, 2):
        for segment in (0, 1):
            middle = [("token", sep, 0)] * (separators - 1)
            if pair == [*single, *middle, ("text", "B", segment), ("token", sep, segment)]:
                return {"cls": cls, "sep": sep, "separators": separators, "segment": segment}
    return None
