"""Reads the vocabulary files of `transformers` and of the BERT release.

The files are vocab.txt, tokenizer.json, tokenizer_config.json, special_tokens_map.json and
added_tokens.json. Some facts are in several files; files that contradict each other are an error.
`converters.wordpiece` defines the vocabulary itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from converters.errors import ConversionError
from converters.json_files import MAX_BYTES, JsonFormat
from converters.library_wordpiece import LibraryWordPiece
from converters.limited_files import read_limited
from converters.packed_vocabulary import unpack_vocabulary
from converters.subwords import AddedToken, SubwordVocabulary, first_few, tokenizer_error
from converters.unigram import UnigramVocabulary
from converters.unigram_files import is_unigram, read_unigram
from converters.vocabulary_writer import write_vocabulary
from converters.wordpiece import SPECIAL_TOKENS, TEXT_RULES, Vocabulary, wordpiece_tokenizer

__all__ = [
    "AddedToken",
    "LibraryWordPiece",
    "SubwordVocabulary",
    "UnigramVocabulary",
    "Vocabulary",
    "read_vocabulary",
    "unpack_vocabulary",
    "wordpiece_tokenizer",
    "write_vocabulary",
]

# Model names whose tokenizer class in transformers splits text like BertTokenizer.
_BERT_MODELS = (
    "Bert",
    "ConvBert",
    "DistilBert",
    "Electra",
    "LayoutLM",
    "MobileBert",
    "SqueezeBert",
)
_BERT_TOKENIZERS = frozenset(f"{model}Tokenizer" for model in _BERT_MODELS)
_ANY_TOKENIZERS = frozenset(["PreTrainedTokenizer", "TokenizersBackend"])

_TOKENIZER_FILE = JsonFormat(
    "a file of a BERT tokenizer", "take it from the checkpoint's own release again"
)

Json = dict[str, Any]
FoundToken = tuple[AddedToken, int | None]
"""A token that is matched as a whole, and its id in a file."""


def read_vocabulary(folder: Path | str) -> SubwordVocabulary:
    r"""Reads the vocabulary of a checkpoint folder: WordPiece, or Unigram from tokenizer.json.

    For WordPiece, the tokens are read from vocab.txt (the line number from 0 is the id, lines end
    in `\n` or `\r\n`), or from tokenizer.json if there is no vocab.txt; if both exist they must
    agree. The rules are read from tokenizer_config.json, special_tokens_map.json and
    tokenizer.json, whose normalizer and pre-tokenizer may be any of the library `tokenizers`. If no
    file says whether text is lowercased (as in the BERT release), it is lowercased if no word piece
    has an upper-case ASCII letter. A vocabulary without a mask token is valid: only masked language
    models need one.

    Raises:
        ConversionError: Files are missing, contradict each other, or describe another kind of
            tokenizer; all problems are listed.
    """
    folder = Path(folder)
    config = _read_json(folder / "tokenizer_config.json")
    special_map = _read_json(folder / "special_tokens_map.json")
    fast = _read_json(folder / "tokenizer.json")
    from_txt = _read_vocab_txt(folder / "vocab.txt")
    if from_txt is None and not fast:
        raise _no_files(folder)
    if is_unigram(fast):
        return read_unigram(str(folder), fast, config, special_map)
    problems = _unsupported_parts(config, fast)
    if problems:
        raise tokenizer_error(f"the files of {folder}", problems)
    model: Json = fast.get("model", {})
    added = _read_added_tokens(folder, fast, config, special_map, problems)
    from_json = _tokens_of_model(model, problems) if fast else []
    tokens = list(from_json if from_txt is None else from_txt)
    _append_added_tokens(tokens, added, problems)
    if from_txt is not None and from_json:
        _append_added_tokens(from_json, added, [])
        problems += _differences(tokens, from_json)
    library_rules = _library_rules(fast)
    normalizer = {} if library_rules else _single(fast.get("normalizer")) or {}
    rules = _read_text_rules({} if library_rules else config, normalizer, problems)
    special = _read_special_tokens(config, special_map, fast, problems)
    known = {*tokens, *(token.content for token, _ in added)}
    if special["mask_token"] not in known and special["unknown_token"] in known:
        special["mask_token"] = special["unknown_token"]
    if rules["lowercase"] is None:
        rules["lowercase"] = not _has_upper_case_words(tokens)
    if problems:
        raise tokenizer_error(f"the files of {folder}", problems)
    defaults = {AddedToken(token) for token in special.values()}
    if library_rules:
        rules |= {"lowercase": False, **library_rules}
    made = LibraryWordPiece if library_rules else Vocabulary
    try:
        return made(
            tuple(tokens),
            **rules,
            **special,
            max_input_chars_per_word=model.get("max_input_chars_per_word", 100),
            continuing_prefix=model.get("continuing_subword_prefix", "##"),
            added_tokens=tuple(token for token, _ in added if token not in defaults),
        )
    except ConversionError as error:
        raise ConversionError(f"{folder}: {error}") from error


def _read_vocab_txt(path: Path) -> list[str] | None:
    if not path.exists():
        return None
    try:
        data = read_limited(path, MAX_BYTES)
    except OSError as error:
        raise tokenizer_error(str(path), [f"it can't be read ({error})"]) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"line {line} is not UTF-8 (byte offset {error.start})"
        raise tokenizer_error(str(path), [problem]) from error
    return text.replace("\r\n", "\n").rstrip("\n").split("\n")


def _read_json(path: Path) -> Json:
    """The object in a JSON file; an empty one if there is no file."""
    if not path.exists():
        return {}
    return _TOKENIZER_FILE.read(path)


def _unsupported_parts(config: Json, fast: Json) -> list[str]:
    """Lists parts that differ from BERT's tokenizer and parts of `fast` with a wrong type."""
    problems = []
    match config.get("tokenizer_class"):
        case None:
            pass
        case str(name) if name.removesuffix("Fast") in _BERT_TOKENIZERS:
            pass
        case str(name) if fast and name.removesuffix("Fast") in _ANY_TOKENIZERS:
            pass
        case name:
            problems.append(f"tokenizer_config.json: tokenizer_class {name!r} is not BERT's")
    if not fast:
        return problems
    match fast.get("model"):
        case dict(model) if model.get("type", _untyped(model)) == "WordPiece":
            if type(model.get("max_input_chars_per_word", 0)) is not int:
                problems.append("tokenizer.json: model.max_input_chars_per_word is not an integer")
            if not isinstance(model.get("continuing_subword_prefix", ""), str):
                problems.append("tokenizer.json: model.continuing_subword_prefix is not a text")
        case model:
            problems.append(f"tokenizer.json: model is {_kind(model)}, expected WordPiece")
    for key in ("normalizer", "pre_tokenizer"):
        if not isinstance(fast.get(key), dict | None):
            problems.append(f"tokenizer.json: {key} is {fast[key]!r}, expected an object")
    return problems


def _library_rules(fast: Json) -> Json:
    """The normalizer and the pre-tokenizer as fields of `LibraryWordPiece`; empty if BERT's."""
    parts = {name: _single(fast.get(name)) for name in ("normalizer", "pre_tokenizer")}
    normalizer = parts["normalizer"] or {}
    are_berts = [_kind(part) for part in parts.values()] == ["BertNormalizer", "BertPreTokenizer"]
    if not fast or (are_berts and normalizer.get("clean_text") is not False):
        return {}
    return {name: json.dumps(part, sort_keys=True) for name, part in parts.items()}


def _single(part: Json | None) -> Json | None:
    """The member of a sequence of one; any other part unchanged."""
    for key in ("normalizers", "pretokenizers"):
        members = (part or {}).get(key)
        if isinstance(members, list) and len(members) == 1 and isinstance(members[0], dict):
            return _single(members[0])
    return part


def _untyped(model: Json) -> str | None:
    """The model type of an old tokenizer.json, which does not name it; None if unknown."""
    return "WordPiece" if "continuing_subword_prefix" in model and "merges" not in model else None


def _kind(part: Any) -> Any:
    return part.get("type") if isinstance(part, dict) else part


def _tokens_of_model(model: Json, problems: list[str]) -> list[str]:
    match model.get("vocab"):
        case dict(ids) if ids and all(type(token_id) is int for token_id in ids.values()):
            pass
        case _:
            problems.append("tokenizer.json: model.vocab is not an object of tokens and their ids")
            return []
    by_id = {token_id: token for token, token_id in ids.items()}
    missing = [str(token_id) for token_id in range(len(ids)) if token_id not in by_id]
    if missing:
        problems.append(f"tokenizer.json: {len(missing)} ids have no token: {first_few(missing)}")
    return [by_id[token_id] for token_id in sorted(by_id)]


def _read_added_tokens(
    folder: Path, fast: Json, config: Json, special_map: Json, problems: list[str]
) -> list[FoundToken]:
    """Collects the tokens that are matched as a whole from all files, without duplicates."""
    entries: list[tuple[str, Any, Any]] = []
    for entry in _items(fast.get("added_tokens")):
        token_id = entry.get("id") if isinstance(entry, dict) else None
        entries.append(("tokenizer.json", entry, token_id))
    decoder = config.get("added_tokens_decoder")
    for key, entry in (decoder if isinstance(decoder, dict) else {}).items():
        token_id = int(key) if key.isascii() and key.isdigit() and len(key) < 10 else key
        entries.append(("tokenizer_config.json", entry, token_id))
    for content, token_id in _read_json(folder / "added_tokens.json").items():
        entry = {"content": content, "special": False, "normalized": True}
        entries.append(("added_tokens.json", entry, token_id))
    for key in ("additional_special_tokens", "extra_special_tokens"):
        entries += [("special_tokens_map.json", e, None) for e in _items(special_map.get(key))]
        entries += [("tokenizer_config.json", e, None) for e in _items(config.get(key))]
    found: dict[str, FoundToken] = {}
    for source, entry, token_id in entries:
        token = AddedToken.parse(entry)
        if token is None or type(token_id) not in (int, type(None)):
            problems.append(f"{source}: {entry!r} with id {token_id!r} is not an added token")
            continue
        _, earlier = found.setdefault(token.content, (token, token_id))
        if None not in (earlier, token_id) and earlier != token_id:
            problems.append(f"{source}: {token.content!r} has id {token_id}, elsewhere {earlier}")
    return list(found.values())


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _append_added_tokens(
    tokens: list[str], added: Iterable[FoundToken], problems: list[str]
) -> None:
    ids = {token: token_id for token_id, token in enumerate(tokens)}
    new = []
    for token, token_id in added:
        have = ids.get(token.content)
        if have is None and token_id is None:
            problems.append(f"no file gives the special token {token.content!r} an id")
        elif have is None and token_id is not None:
            new.append((token_id, token.content))
        elif token_id not in (None, have):
            problems.append(
                f"added token {token.content!r} has id {token_id}, in the vocabulary it is {have}"
            )
    for token_id, content in sorted(new):
        if token_id != len(tokens):
            problems.append(f"added token {content!r} has id {token_id}, not {len(tokens)}")
        tokens.append(content)


def _differences(from_txt: Sequence[str], from_json: Sequence[str]) -> list[str]:
    different = [
        f"id {token_id} is {one!r} and {other!r}"
        for token_id, (one, other) in enumerate(zip_longest(from_txt, from_json))
        if one != other
    ]
    total = max(len(from_txt), len(from_json))
    summary = f"vocab.txt and tokenizer.json differ in {len(different)} of {total} ids"
    return [f"{summary}: {first_few(different)}"] if different else []


def _read_text_rules(config: Json, normalizer: Json, problems: list[str]) -> Json:
    """The text rules; `lowercase` is None if no file states it."""
    rules: Json = {"lowercase": None, "strip_accents": None, "split_chinese_characters": True}
    for name, config_key, normalizer_key in TEXT_RULES:
        claims = {
            f"{source} ({key})": mapping[key]
            for source, mapping, key in (
                ("tokenizer_config.json", config, config_key),
                ("tokenizer.json", normalizer, normalizer_key),
            )
            if key in mapping and (mapping[key] is not None or name == "strip_accents")
        }
        stated = " and ".join(f"{value!r} in {source}" for source, value in claims.items())
        # None means the value of `lowercase`, so the two agree.
        meant = [rules["lowercase"] if value is None else value for value in claims.values()]
        if any(type(value) not in (bool, type(None)) for value in meant) or (
            len(set(map(str, meant))) > 1
        ):
            problems.append(f"{name} is {stated}, expected true or false, the same in all files")
            continue
        rules[name] = next(iter(claims.values()), rules[name])
    return rules


def _read_special_tokens(config: Json, special_map: Json, fast: Json, problems: list[str]) -> Json:
    tokens: Json = {}
    template = _read_template(fast, problems)
    for key, name in SPECIAL_TOKENS.items():
        claims = {}
        for source, mapping in (
            ("special_tokens_map.json", special_map),
            ("tokenizer_config.json", config),
            ("tokenizer.json (model)", fast.get("model", {})),
            ("tokenizer.json (post_processor)", template),
        ):
            match mapping.get(key):
                case None:
                    pass
                case str(token) | {"content": str(token)}:
                    claims[source] = token
                case value:
                    problems.append(f"{source}: {key} is {value!r}, expected a text")
        if len(set(claims.values())) > 1:
            stated = " and ".join(f"{token!r} in {source}" for source, token in claims.items())
            problems.append(f"{key} is {stated}")
        tokens[name] = next(iter(claims.values()), getattr(Vocabulary, name))
    return tokens


def _read_template(fast: Json, problems: list[str]) -> dict[str, str]:
    """The cls_token and the sep_token of the post-processor in a tokenizer.json."""
    match fast.get("post_processor"):
        case None:
            return {}
        case {"type": "BertProcessing", "cls": [str(cls), *_], "sep": [str(sep), *_]} | {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": str(cls)}},
                {"Sequence": {"id": "A"}},
                {"SpecialToken": {"id": str(sep)}},
            ],
        }:
            return {"cls_token": cls, "sep_token": sep}
        case part:
            problems.append(
                f"tokenizer.json: post_processor {_kind(part)} is not '[CLS] text [SEP]'"
            )
            return {}


def _has_upper_case_words(tokens: Iterable[str]) -> bool:
    words = "".join(token for token in tokens if not token.startswith(("[", "<")))
    return any("A" <= character <= "Z" for character in words)


def _no_files(folder: Path) -> ConversionError:
    found = sorted(item.name for item in folder.iterdir()) if folder.is_dir() else []
    models = [name for name in found if name.endswith(".model")]
    if models:
        return ConversionError(
            f"{folder}: expected a tokenizer.json or a vocab.txt. Received: SentencePiece's "
            f"{models[0]} alone, which is not read. Next: with transformers and sentencepiece, run "
            "AutoTokenizer.from_pretrained(folder, use_fast=True).save_pretrained(folder), which "
            "writes the tokenizer.json."
        )
    return ConversionError(
        f"Expected a vocab.txt or a tokenizer.json in {folder}. "
        f"Received: {first_few(found) or 'no files'}. "
        "Next: copy the vocabulary files of the checkpoint there."
    )
