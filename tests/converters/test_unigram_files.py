"""Unigram vocabularies in tokenizer.json and in the files of a `.tflite`."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as LibraryTokenizer

from converters.errors import ConversionError
from converters.unigram import CHARSMAP_FILE, SCORES_FILE, UnigramVocabulary
from converters.unigram_files import charsmap_problem
from converters.vocabulary import (
    AddedToken,
    read_vocabulary,
    unpack_vocabulary,
    write_vocabulary,
)
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import ModelError
from tests.golden.character_maps import compile_map, rules
from tests.golden.make_unigram_cases import make_vocabularies

VOCABULARIES = make_vocabularies()
XLM_ROBERTA = VOCABULARIES["xlm-roberta"]


def folder_of(vocabulary: UnigramVocabulary, folder: Path) -> Path:
    write_vocabulary(vocabulary, folder)
    return folder


def changed(folder: Path, *keys: str | int, value: Any) -> Path:
    """The folder with one value of its tokenizer.json replaced; None removes the key."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    part: Any = content
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", VOCABULARIES)
def test_what_is_written_is_read_back(name: str, tmp_path: Path) -> None:
    given = VOCABULARIES[name]
    by_id = sorted(given.added_tokens, key=lambda token: given.id_of(token.content))
    vocabulary = dataclasses.replace(given, added_tokens=tuple(by_id))
    assert read_vocabulary(folder_of(given, tmp_path)) == vocabulary
    assert not (tmp_path / "vocab.txt").exists()
    assert unpack_vocabulary(vocabulary.to_settings(), vocabulary.to_files()) == vocabulary


@pytest.mark.parametrize("name", VOCABULARIES)
@hypothesis_settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=40), pair=st.none() | st.text(max_size=20))
def test_ids_are_those_of_the_written_file(name: str, text: str, pair: str | None) -> None:
    vocabulary = VOCABULARIES[name]
    library = LibraryTokenizer.from_str(vocabulary.backend().to_str())
    theirs, ours = library.encode(text, pair), Tokenizer(vocabulary).encode(text, pair)
    assert list(ours.token_ids) == theirs.ids
    assert list(ours.segment_ids) == theirs.type_ids
    pieces = zip(ours.token_ids, ours.offsets, theirs.offsets, theirs.sequence_ids, strict=True)
    for token_id, (start, end), (raw_start, raw_end), index in pieces:
        if index is None or token_id == vocabulary.space_id:
            assert start == end
            continue
        source = (text, pair or "")[index]
        assert raw_start <= start <= end <= raw_end
        left_out = source[raw_start:start] + source[end:raw_end]
        assert not left_out.strip()


def test_files_of_old_versions_are_read(tmp_path: Path) -> None:
    folder = folder_of(XLM_ROBERTA, tmp_path)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["model"]["type"], content["model"]["byte_fallback"]
    split, _ = content["pre_tokenizer"]["pretokenizers"]
    space = {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True}
    content["pre_tokenizer"]["pretokenizers"] = [split, space]
    steps = content["normalizer"]["normalizers"]
    content["normalizer"]["normalizers"] = [{"type": "Sequence", "normalizers": steps}]
    path.write_text(json.dumps(content), encoding="utf-8")
    (folder / "special_tokens_map.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "XLMRobertaTokenizer"}')
    assert read_vocabulary(folder) == XLM_ROBERTA


def test_a_vocabulary_without_a_mask_is_read(tmp_path: Path) -> None:
    plain = dataclasses.replace(XLM_ROBERTA, mask_token="<unk>", added_tokens=())
    pieces = dict(zip(plain.tokens, plain.scores, strict=True))
    del pieces["<mask>"]
    vocabulary = dataclasses.replace(plain, tokens=tuple(pieces), scores=tuple(pieces.values()))
    read = read_vocabulary(folder_of(vocabulary, tmp_path))
    assert read == vocabulary and not read.has_mask


PARTS = [
    (("model", "byte_fallback"), True, r"byte_fallback is true"),
    (("model", "unk_id"), None, r"unk_id is None"),
    (("model", "unk_id"), 10**6, r"unk_id is 1000000"),
    (("model", "vocab"), [["a"]], r"\['a'\] is no piece with its score"),
    (("model", "vocab"), {}, "not a list of pieces"),
    (("normalizer",), {"type": "Lowercase"}, r"normalizer \{'type': 'Lowercase'\} is not supp"),
    (("normalizer",), {"type": "Precompiled", "precompiled_charsmap": "AA"}, "Base64"),
    (("normalizer",), {"type": "Precompiled", "precompiled_charsmap": "AAAA"}, "cut short"),
    (("pre_tokenizer",), {"type": "Whitespace"}, r"'Whitespace'\} is not Metaspace"),
    (("pre_tokenizer",), {"type": "Sequence", "pretokenizers": 7}, "is not Metaspace"),
    (("pre_tokenizer",), None, "pre_tokenizer None is not Metaspace"),
    (("post_processor",), None, "post_processor None is not a template"),
    (("post_processor", "pair"), [], "TemplateProcessing is not a template"),
    (("added_tokens", 0, "id"), 7, "has id 7, its piece has 0"),
    (("added_tokens", 0, "content"), "<new>", r"'<new>' has id 0, not 937"),
    (("model", "vocab", 5), ["\u2581", "high"], "is no piece with its score"),
    (("model", "vocab", 9), ["", -1.0], "1 ids have an empty token"),
    (("model", "vocab", 9), ["a\nb", -1.0], "1 tokens contain line breaks"),
]


@pytest.mark.parametrize(("keys", "value", "message"), PARTS)
def test_other_parts_are_refused(
    keys: tuple[str | int, ...], value: Any, message: str, tmp_path: Path
) -> None:
    folder = changed(folder_of(XLM_ROBERTA, tmp_path), *keys, value=value)
    with pytest.raises(ConversionError, match=message) as caught:
        read_vocabulary(folder)
    assert "SentencePiece (Unigram)" in str(caught.value) and "Next: " in str(caught.value)


def test_special_tokens_must_agree(tmp_path: Path) -> None:
    folder = folder_of(XLM_ROBERTA, tmp_path)
    (folder / "tokenizer_config.json").write_text('{"sep_token": "<end>"}')
    with pytest.raises(ConversionError, match="sep_token is '<end>'"):
        read_vocabulary(folder)


def test_a_sentencepiece_model_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sentencepiece.bpe.model").write_bytes(b"\n\x0e")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "XLMRobertaTokenizer"}')
    with pytest.raises(ConversionError, match=r"piece\.bpe\.model.*Next: .*tokenizer\.json"):
        read_vocabulary(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("vocab.txt", None, "no vocab.txt inside"),
        ("vocab.txt", b"\xff", "vocab.txt is not UTF-8"),
        (SCORES_FILE, None, "no piece_scores.bin inside"),
        (SCORES_FILE, b"1234567", "expected 8 bytes for each score"),
        (SCORES_FILE, b"", "0 scores for 937 tokens"),
        (SCORES_FILE, b"\xff" * 8 * 937, "have no finite score"),
        (CHARSMAP_FILE, None, "no charsmap.bin inside"),
        (CHARSMAP_FILE, b"\x04\0\0\0", "cut short or damaged"),
        (CHARSMAP_FILE, b"\x04\0\0\0\0\0\0\0\xff\0", "are not UTF-8"),
    ],
)
def test_damaged_files_are_refused(name: str, data: bytes | None, message: str) -> None:
    files = XLM_ROBERTA.to_files()
    if data is None:
        del files[name]
    else:
        files[name] = data
    with pytest.raises(ConversionError, match=re.escape(message)):
        unpack_vocabulary(XLM_ROBERTA.to_settings(), files)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("kind", "bpe", "Received: 'bpe'"),
        ("normalizers", [{"type": "lowercase"}], "normalizers [{'type': 'lowercase'}]"),
        ("metaspace", {"replacement": "_"}, "metaspace {'replacement': '_'}"),
        ("pair_separators", 3, "pair_separators is 3, expected 1 or 2"),
        ("second_segment", 2, "second_segment is 2, expected 0 or 1"),
        ("cls_token", "<none>", "cls_token '<none>' is not in the vocabulary"),
        ("whitespace_split", "yes", "the setting 'whitespace_split' is 'yes'"),
        ("mask_token", None, "the setting 'mask_token' is None"),
    ],
)
def test_wrong_settings_are_refused(key: str, value: Any, message: str) -> None:
    settings = {**XLM_ROBERTA.to_settings(), key: value}
    with pytest.raises(ConversionError, match=re.escape(message)):
        unpack_vocabulary(settings, XLM_ROBERTA.to_files())


def test_missing_settings_are_refused() -> None:
    settings = XLM_ROBERTA.to_settings()
    del settings["metaspace"], settings["pair_separators"]
    with pytest.raises(ConversionError, match="the setting 'metaspace' is missing"):
        unpack_vocabulary(settings, XLM_ROBERTA.to_files())


def test_white_space_that_includes_white_space_before_it_is_refused() -> None:
    """The library panics where such a token follows one that includes the white space after it."""
    added = (*XLM_ROBERTA.added_tokens, AddedToken("\u3000", lstrip=True))
    tokens = (*XLM_ROBERTA.tokens, "\u3000")
    with pytest.raises(ConversionError, match="is white space and has lstrip"):
        dataclasses.replace(XLM_ROBERTA, tokens=tokens, added_tokens=added)


def test_added_tokens_behind_the_pieces_have_no_score(tmp_path: Path) -> None:
    more = (*XLM_ROBERTA.added_tokens, AddedToken("[NEW]", special=False))
    vocabulary = dataclasses.replace(
        XLM_ROBERTA, tokens=(*XLM_ROBERTA.tokens, "[NEW]"), added_tokens=more
    )
    assert read_vocabulary(folder_of(vocabulary, tmp_path)) == vocabulary
    assert vocabulary.id_of("[NEW]") == len(vocabulary.scores)
    assert vocabulary.id_of("[NEW]") in Tokenizer(vocabulary).encode("see [NEW]").token_ids


def test_compiled_maps_are_those_of_the_library() -> None:
    from tokenizers import normalizers

    replacements = rules(range(1, 0x600))
    charsmap = compile_map(replacements)
    assert not charsmap_problem(charsmap)
    normalizer = normalizers.Precompiled(charsmap)
    for key, text in replacements.items():
        if len(key) == 1:
            assert normalizer.normalize_str(key) == text


def test_a_character_map_that_points_into_a_character_is_an_error_of_the_model() -> None:
    """The library panics, and its panic is no `Exception`."""
    charsmap = XLM_ROBERTA.charsmap
    texts = 4 + int.from_bytes(charsmap[:4], "little")
    moved = charsmap[:texts] + "\u00e9".encode() + charsmap[texts:-2] + b"\0"
    tokenizer = Tokenizer(dataclasses.replace(XLM_ROBERTA, charsmap=moved))
    for encode in (tokenizer.encode, tokenizer.count_lengths, tokenizer.encode_batch):
        with pytest.raises(ModelError, match=r"is not a char boundary.*Next: "):
            encode("\u00a0")
