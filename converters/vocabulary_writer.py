"""Writes the files of a tokenizer, as `transformers` opens them."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from converters.subwords import SubwordVocabulary
from converters.unigram import UnigramVocabulary
from converters.unigram_files import config_of, special_map_of
from converters.wordpiece import SPECIAL_TOKENS, TEXT_RULES, Vocabulary

Json = dict[str, Any]


def write_vocabulary(
    vocabulary: SubwordVocabulary, folder: Path | str, model_max_length: int = 512
) -> None:
    """Writes the files of a tokenizer for `transformers`.

    The files are tokenizer.json, tokenizer_config.json, special_tokens_map.json and, for WordPiece,
    vocab.txt.

    Args:
        vocabulary: the vocabulary to write.
        folder: the output folder, created if missing.
        model_max_length: maximum number of tokens of the model.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(vocabulary, UnigramVocabulary):
        config, special = config_of(vocabulary, model_max_length), special_map_of(vocabulary)
    else:
        assert isinstance(vocabulary, Vocabulary)
        config, special = _wordpiece_config(vocabulary, model_max_length)
        _write(folder / "vocab.txt", vocabulary.to_vocab_txt())
    _write(folder / "tokenizer.json", vocabulary.backend().to_str().encode())
    _write(folder / "tokenizer_config.json", _to_json(config))
    _write(folder / "special_tokens_map.json", _to_json(special))


def _wordpiece_config(vocabulary: Vocabulary, model_max_length: int) -> tuple[Json, Json]:
    """The content of tokenizer_config.json and of special_tokens_map.json."""
    special: Json = {key: getattr(vocabulary, name) for key, name in SPECIAL_TOKENS.items()}
    more = [
        token.content
        for token in vocabulary.whole_tokens
        if token.special and token.content not in special.values()
    ]
    if more:
        special["additional_special_tokens"] = more
    rules: Json = {key: getattr(vocabulary, name) for name, key, _ in TEXT_RULES}
    is_berts = vocabulary.kind == Vocabulary.kind
    config = {
        "tokenizer_class": "BertTokenizer" if is_berts else "PreTrainedTokenizerFast",
        "model_max_length": model_max_length,
        **(rules if is_berts else {}),
        **special,
        "added_tokens_decoder": {
            str(vocabulary.id_of(token.content)): dataclasses.asdict(token)
            for token in vocabulary.whole_tokens
        },
    }
    return config, special


def _to_json(content: Json) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _write(path: Path, data: bytes) -> None:
    """Writes a file under a temporary name in its folder, then renames it."""
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as temporary:
        part = Path(temporary) / path.name
        part.write_bytes(data)
        part.replace(path)
