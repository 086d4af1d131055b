"""Reading and writing all files of vocabularies, valid and broken."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from converters.errors import ConversionError
from converters.vocabulary import (
    AddedToken,
    Vocabulary,
    read_vocabulary,
    wordpiece_tokenizer,
    write_vocabulary,
)
from tests.damaged_json import damaged

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("play", "##ing", "the", "é", "你", "!", "user", "a")
TOKENS = SPECIAL + WORDS


def vocabulary(**changes: Any) -> Vocabulary:
    return Vocabulary(**{"tokens": TOKENS, "lowercase": True, **changes})


def write_files(folder: Path, **contents: Any) -> Path:
    """Writes vocab_txt=bytes or tokens, tokenizer_config=object and so on."""
    for name, content in contents.items():
        if name == "vocab_txt":
            data = content if isinstance(content, bytes) else "\n".join(content).encode()
            (folder / "vocab.txt").write_bytes(data)
        else:
            (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def fast_tokenizer(source: Vocabulary | None = None, **parts: Any) -> dict[str, Any]:
    """The content of a tokenizer.json, with parts of it replaced."""
    content = json.loads(wordpiece_tokenizer(source or vocabulary()).to_str())
    for key, value in parts.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    return dict(content)


def refusal(folder: Path) -> str:
    with pytest.raises(ConversionError) as caught:
        read_vocabulary(folder)
    return str(caught.value)


# The list of tokens


@pytest.mark.parametrize(
    "data",
    [
        "\n".join(TOKENS).encode(),
        "\n".join(TOKENS).encode() + b"\n",
        "\r\n".join(TOKENS).encode() + b"\r\n",
        b"\xef\xbb\xbf" + "\n".join(TOKENS).encode(),
        "\n".join(TOKENS).encode() + b"\n\n\n",
    ],
    ids=["no last line end", "line end", "CRLF", "byte order mark", "empty lines at the end"],
)
def test_forms_of_vocab_txt(tmp_path: Path, data: bytes) -> None:
    read = read_vocabulary(write_files(tmp_path, vocab_txt=data))
    assert read == vocabulary()
    assert read.size == len(TOKENS)
    assert [read.id_of(token) for token in TOKENS] == list(range(len(TOKENS)))
    assert read.to_vocab_txt() == "".join(f"{token}\n" for token in TOKENS).encode()


def test_only_line_feeds_end_a_token(tmp_path: Path) -> None:
    odd = ("\u2028", "\x85", "\x0b", "a\u00a0b", " ")
    assert read_vocabulary(write_files(tmp_path, vocab_txt=TOKENS + odd)).tokens == TOKENS + odd


def test_id_of_an_unknown_token() -> None:
    with pytest.raises(KeyError):
        vocabulary().id_of("nowhere")


def test_tokenizer_json_alone_is_enough(tmp_path: Path) -> None:
    source = vocabulary(lowercase=False, strip_accents=True, split_chinese_characters=False)
    assert read_vocabulary(write_files(tmp_path, tokenizer=fast_tokenizer(source))) == source


def test_tokenizer_json_of_early_releases_names_no_model(tmp_path: Path) -> None:
    fast = fast_tokenizer()
    del fast["model"]["type"]
    fast["model"] |= {"max_input_chars_per_word": 7, "continuing_subword_prefix": "@@"}
    read = read_vocabulary(write_files(tmp_path, tokenizer=fast))
    assert (read.max_input_chars_per_word, read.continuing_prefix) == (7, "@@")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([*TOKENS, "the", "!"], ["2 tokens are repeated: 'the' (ids [7, 13]), '!'"]),
        ([*SPECIAL, *"abcdefg" * 2], ["7 tokens are repeated", "and 2 more"]),
        ([*SPECIAL, "a", "", "b"], ["1 ids have an empty token: 6"]),
        (["a", "b", "[PAD]"], ["'[UNK]'", "'[CLS]'", "'[SEP]'", "'[MASK]'"]),
        (b"", ["empty token", "'[PAD]'"]),
        (b"[PAD]\n[UNK]\nca\xe9\n", ["line 3 is not UTF-8 (byte offset 14)"]),
        ([*TOKENS, "a\rb"], ["1 tokens contain line breaks: 'a\\rb'"]),
    ],
)
def test_broken_vocab_txt(tmp_path: Path, data: Any, expected: list[str]) -> None:
    message = refusal(write_files(tmp_path, vocab_txt=data))
    assert all(part in message for part in expected), message
    assert "Next:" in message and str(tmp_path) in message


def test_vocab_txt_and_tokenizer_json_disagree(tmp_path: Path) -> None:
    other = (*SPECIAL, "play", "##ed", "the", "é", "你", "!", "users", "a")
    message = refusal(write_files(tmp_path, vocab_txt=other, tokenizer=fast_tokenizer()))
    assert "differ in 2 of 13 ids" in message
    assert "id 6 is '##ed' and '##ing', id 11 is 'users' and 'user'" in message


def test_vocab_txt_is_shorter_than_tokenizer_json(tmp_path: Path) -> None:
    message = refusal(write_files(tmp_path, vocab_txt=TOKENS[:-1], tokenizer=fast_tokenizer()))
    assert "id 12 is None and 'a'" in message


def test_no_files(tmp_path: Path) -> None:
    assert "Received: no files" in refusal(tmp_path / "nowhere")
    assert "Received: config.json" in refusal(write_files(tmp_path, config={}))


# The rules for text


@pytest.mark.parametrize(("word", "lowercase"), [("Berlin", False), ("berlin", True), ("É", True)])
def test_unstated_case_is_inferred_from_the_words(
    tmp_path: Path, word: str, lowercase: bool
) -> None:
    assert read_vocabulary(write_files(tmp_path, vocab_txt=[*TOKENS, word])).lowercase is lowercase


def test_stated_case_has_precedence_over_the_words(tmp_path: Path) -> None:
    write_files(tmp_path, vocab_txt=[*TOKENS, "B"], tokenizer_config={"do_lower_case": True})
    assert read_vocabulary(tmp_path).lowercase is True


def test_rules_come_from_tokenizer_config(tmp_path: Path) -> None:
    config = {
        "do_lower_case": False,
        "strip_accents": True,
        "tokenize_chinese_chars": False,
        "tokenizer_class": "BertTokenizerFast",
        "model_max_length": 512,
    }
    read = read_vocabulary(write_files(tmp_path, vocab_txt=TOKENS, tokenizer_config=config))
    assert read == vocabulary(lowercase=False, strip_accents=True, split_chinese_characters=False)


def test_rules_of_two_files_disagree(tmp_path: Path) -> None:
    config = {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}
    message = refusal(write_files(tmp_path, tokenizer=fast_tokenizer(), tokenizer_config=config))
    assert "lowercase is False in tokenizer_config.json (do_lower_case) and True" in message
    assert "split_chinese_characters is False" in message


def test_strip_accents_may_be_stated_in_one_file(tmp_path: Path) -> None:
    fast = fast_tokenizer(normalizer={"strip_accents": True})
    config = {"do_lower_case": True, "strip_accents": None}
    write_files(tmp_path, tokenizer=fast, tokenizer_config=config)
    assert read_vocabulary(tmp_path) == vocabulary()


def test_special_tokens_may_be_objects_or_have_other_names(tmp_path: Path) -> None:
    tokens = ("<pad>", "<unk>", "<s>", "</s>", "<mask>", *WORDS)
    write_files(
        tmp_path,
        vocab_txt=tokens,
        special_tokens_map={"cls_token": {"content": "<s>", "lstrip": False}, "sep_token": "</s>"},
        tokenizer_config={"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"},
    )
    read = read_vocabulary(tmp_path)
    assert read.special_tokens == ("<unk>", "<s>", "</s>", "<pad>", "<mask>")
    write_vocabulary(read, tmp_path / "again")
    (tmp_path / "again" / "special_tokens_map.json").unlink()
    (tmp_path / "again" / "tokenizer_config.json").write_text('{"pad_token": "<pad>"}')
    assert not read_vocabulary(tmp_path / "again").has_mask


def test_special_tokens_of_files_disagree(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        tokenizer=fast_tokenizer(),
        special_tokens_map={"cls_token": "play", "unk_token": 7},
        tokenizer_config={"unk_token": "the"},
    )
    message = refusal(tmp_path)
    assert "cls_token is 'play' in special_tokens_map.json and '[CLS]' in tokenizer.json" in message
    assert "unk_token is 7" in message and "unk_token is 'the'" in message


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"model": {"type": "BPE"}}, "model is BPE"),
        ({"model": None}, "model is None"),
        ({"normalizer": {"type": "Sequence"}}, "can't build normalizer Sequence"),
        ({"pre_tokenizer": {"type": "Nothing"}}, "pre_tokenizer Nothing"),
        ({"post_processor": {"single": []}}, "post_processor TemplateProcessing is not"),
        ({"post_processor": {"type": "RobertaProcessing"}}, "post_processor RobertaProcessing"),
        ({"model": {"vocab": {}}}, "model.vocab is not an object"),
        ({"model": {"vocab": {"a": 0, "b": 2, "c": 5}}}, "1 ids have no token: 1"),
        ({"added_tokens": [{"id": 3}]}, "is not an added token"),
    ],
)
def test_other_kinds_of_tokenizers(tmp_path: Path, parts: dict[str, Any], expected: str) -> None:
    assert expected in refusal(write_files(tmp_path, tokenizer=fast_tokenizer(**parts)))


def test_bert_processing_is_the_same_as_the_template(tmp_path: Path) -> None:
    fast = fast_tokenizer()
    fast["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
    assert read_vocabulary(write_files(tmp_path, tokenizer=fast)) == vocabulary()


@pytest.mark.parametrize("name", ["BertJapaneseTokenizer", "RobertaTokenizer", 7])
def test_other_tokenizer_classes(tmp_path: Path, name: Any) -> None:
    write_files(tmp_path, vocab_txt=TOKENS, tokenizer_config={"tokenizer_class": name})
    assert f"tokenizer_class {name!r}" in refusal(tmp_path)


def test_any_tokenizer_class_needs_a_tokenizer_json(tmp_path: Path) -> None:
    config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    write_files(tmp_path, vocab_txt=TOKENS, tokenizer_config=config)
    assert "PreTrainedTokenizerFast" in refusal(tmp_path)
    assert read_vocabulary(write_files(tmp_path, tokenizer=fast_tokenizer())) == vocabulary()


@pytest.mark.parametrize("data", [b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_broken_json(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(data)
    assert "tokenizer.json" in refusal(tmp_path)


# Tokens that are found whole

ADDED = (
    AddedToken("<user>", special=False, normalized=True),
    AddedToken("[E1]"),
)
WITH_ADDED = vocabulary(tokens=(*TOKENS, "<user>", "[E1]"), added_tokens=ADDED)


def test_added_tokens_are_appended_from_tokenizer_json(tmp_path: Path) -> None:
    fast = fast_tokenizer(WITH_ADDED)
    assert len(fast["model"]["vocab"]) == len(TOKENS)
    assert read_vocabulary(write_files(tmp_path, tokenizer=fast)) == WITH_ADDED
    assert read_vocabulary(write_files(tmp_path, vocab_txt=TOKENS)) == WITH_ADDED
    assert read_vocabulary(write_files(tmp_path, vocab_txt=WITH_ADDED.tokens)) == WITH_ADDED


def test_added_tokens_of_the_older_files(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        vocab_txt=TOKENS,
        added_tokens={"[E1]": 14, "<user>": 13},
        special_tokens_map={"additional_special_tokens": ["[E1]", {"content": "user"}]},
        tokenizer_config={
            "added_tokens_decoder": {
                "0": {"content": "[PAD]", "special": True},
                "14": {"content": "[E1]", "special": True, "normalized": False},
            }
        },
    )
    read = read_vocabulary(tmp_path)
    assert read.tokens == WITH_ADDED.tokens
    assert set(read.added_tokens) == {*ADDED, AddedToken("user")}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"added_tokens": {"<user>": 15}}, "added token '<user>' has id 15, not 13"),
        ({"added_tokens": {"play": 9}}, "added token 'play' has id 9, in the vocabulary it is 5"),
        ({"added_tokens": {"<user>": "x"}}, "is not an added token"),
        (
            {"special_tokens_map": {"additional_special_tokens": ["[E1]"]}},
            "no file gives the special token '[E1]' an id",
        ),
        (
            {
                "added_tokens": {"[E1]": 13},
                "tokenizer_config": {"added_tokens_decoder": {"14": {"content": "[E1]"}}},
            },
            "'[E1]' has id 13, elsewhere 14",
        ),
    ],
)
def test_broken_added_tokens(tmp_path: Path, files: dict[str, Any], expected: str) -> None:
    assert expected in refusal(write_files(tmp_path, vocab_txt=TOKENS, **files))


def test_added_tokens_are_found_in_text() -> None:
    ids = wordpiece_tokenizer(WITH_ADDED).encode("the <USER>playing[E1]a").ids
    assert ids == [2, 7, 13, 5, 6, 14, 12, 3]


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (
            ("<user>", "<USER>"),
            "the text rules make the added tokens '<user>' and '<USER>' equal",
        ),
        (("\u200b",), r"the text rules remove the added token '\u200b'"),
        (("\u0301",), "the text rules remove the added token '\u0301'"),
    ],
)
def test_added_tokens_that_the_text_rules_confuse(contents: tuple[str, ...], expected: str) -> None:
    added = tuple(AddedToken(content, normalized=True) for content in contents)
    with pytest.raises(ConversionError) as caught:
        vocabulary(tokens=TOKENS + contents, added_tokens=added)
    assert expected in str(caught.value)
    raw = tuple(AddedToken(content) for content in contents)
    assert vocabulary(tokens=TOKENS + contents, added_tokens=raw).added_tokens == raw


@pytest.mark.parametrize("normalized", [True, False])
def test_an_added_token_of_white_space(normalized: bool) -> None:
    blank = AddedToken("\u3000", normalized=normalized)
    before = AddedToken("a", rstrip=True, normalized=normalized)
    added = vocabulary(tokens=(*TOKENS, "\u3000"), added_tokens=(before, blank))
    assert wordpiece_tokenizer(added).encode("a\u3000the").ids == [2, 12, 13, 7, 3]
    eager = (before, dataclasses.replace(blank, lstrip=True))
    with pytest.raises(ConversionError, match="is white space and has lstrip"):
        dataclasses.replace(added, added_tokens=eager)


def test_an_added_token_that_the_text_rules_make_white_space() -> None:
    blank = AddedToken("\u200b \u200b", lstrip=True, normalized=True)
    with pytest.raises(ConversionError, match="the text rules make the added token"):
        vocabulary(tokens=(*TOKENS, blank.content), added_tokens=(blank,))
    raw = dataclasses.replace(blank, normalized=False)
    assert vocabulary(tokens=(*TOKENS, blank.content), added_tokens=(raw,)).added_tokens == (raw,)


# Writing

words = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r", exclude_categories=["Cc"]), min_size=1
).filter(lambda word: word not in SPECIAL)


def made(words: list[str], added: list[AddedToken], **rules: Any) -> Vocabulary:
    tokens = dict.fromkeys((*SPECIAL, *words, *(token.content for token in added)))
    try:
        return Vocabulary(tuple(tokens), added_tokens=tuple(added), **rules)
    except ConversionError:  # the text rules confuse the added tokens
        reject()


vocabularies = st.builds(
    made,
    words=st.lists(words, min_size=1, unique=True, max_size=30),
    added=st.lists(
        st.builds(AddedToken, words, *(st.booleans() for _ in range(5))),
        unique_by=lambda token: token.content,
        max_size=3,
    ),
    lowercase=st.booleans(),
    strip_accents=st.sampled_from([None, True, False]),
    split_chinese_characters=st.booleans(),
    max_input_chars_per_word=st.integers(1, 200),
    continuing_prefix=st.sampled_from(["##", "@@"]),
)


def same(one: Vocabulary, other: Vocabulary) -> bool:
    """Equal but for the order in which the added tokens are listed."""
    return (
        one.tokens == other.tokens
        and one.whole_tokens == other.whole_tokens
        and ({**one.to_settings(), "added_tokens": 0} == {**other.to_settings(), "added_tokens": 0})
    )


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)
@given(source=vocabularies, text=st.text())
def test_written_files_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, source: Vocabulary, text: str
) -> None:
    folder = tmp_path_factory.mktemp("written")
    write_vocabulary(source, folder)
    assert same(read_vocabulary(folder), source)
    written = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert written.encode(text).ids == wordpiece_tokenizer(source).encode(text).ids
    assert all(written.token_to_id(token) == i for i, token in enumerate(source.tokens))
    (folder / "vocab.txt").unlink()
    assert same(read_vocabulary(folder), source)


@given(source=vocabularies)
def test_settings_survive_json(source: Vocabulary) -> None:
    stored = json.loads(json.dumps(source.to_settings()))
    assert Vocabulary.from_settings(stored, source.tokens) == source


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({}, "'lowercase' is missing"),
        ({"lowercase": True, "colour": "red"}, "unknown setting 'colour'"),
        ({"lowercase": "yes"}, "'lowercase' is 'yes'"),
        ({"lowercase": True, "max_input_chars_per_word": 0}, "max_input_chars_per_word is 0"),
        ({"lowercase": True, "added_tokens": [{}]}, "entry 0 is not an added token"),
        ({"lowercase": True, "added_tokens": ["[E1]"]}, "'[E1]' is not in the vocabulary"),
    ],
)
def test_broken_settings(stored: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConversionError, match="Received:") as caught:
        Vocabulary.from_settings(stored, TOKENS)
    assert expected in str(caught.value)


def test_written_files_have_the_keys_of_transformers(tmp_path: Path) -> None:
    write_vocabulary(WITH_ADDED, tmp_path, model_max_length=64)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "BertTokenizer"
    assert config["model_max_length"] == 64
    assert config["do_lower_case"] is True and config["strip_accents"] is None
    assert config["additional_special_tokens"] == ["[E1]"]
    assert config["added_tokens_decoder"]["14"]["content"] == "[E1]"
    special = json.loads((tmp_path / "special_tokens_map.json").read_text())
    assert special["cls_token"] == "[CLS]" and special["unk_token"] == "[UNK]"
    assert (tmp_path / "vocab.txt").read_bytes() == WITH_ADDED.to_vocab_txt()
    assert sorted(item.name for item in tmp_path.iterdir()) == [
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]


# Whatever the files hold, the only error is a ConversionError


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
@given(data=st.data())
def test_damaged_json_is_an_error_or_read(tmp_path: Path, data: st.DataObject) -> None:
    write_vocabulary(WITH_ADDED, tmp_path)
    (tmp_path / "vocab.txt").unlink(missing_ok=True)
    name = data.draw(st.sampled_from(["tokenizer.json", "tokenizer_config.json"]))
    content = damaged(data, json.loads((tmp_path / name).read_text()))
    (tmp_path / name).write_text(json.dumps(content))
    try:
        read = read_vocabulary(tmp_path)
    except ConversionError as error:
        assert "Next:" in str(error)
    else:
        wordpiece_tokenizer(read)


# The real thing


def test_minilm(minilm_dir: Path, tmp_path: Path) -> None:
    read = read_vocabulary(minilm_dir)
    assert read.size == 30_522 and read.lowercase and read.strip_accents is None
    assert read.id_of("[CLS]") == 101 and read.added_tokens == ()
    assert read.to_vocab_txt() == (minilm_dir / "vocab.txt").read_bytes()
    assert read.sha256.startswith("07eced375cec144d")
    (tmp_path / "tokenizer.json").write_bytes((minilm_dir / "tokenizer.json").read_bytes())
    assert read_vocabulary(tmp_path) == read
