"""A trimmed model reads what it read before: fewer rows, the same tokens, nothing unknown."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from converters.formats.huggingface import read_folder
from converters.vocabulary import AddedToken, Vocabulary
from edgebert.data.datasets import read_dataset
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import UsageError
from edgebert.models.task_model import TaskModel, open_model
from edgebert.pruning import token_choice
from edgebert.pruning.vocabulary import TrimResult, kept_ids_of, trim_vocabulary
from edgebert.settings import VocabularySettings
from tests.conftest import TINY_TOKENS, random_checkpoint

CORPUS = ("turn on the light", "turn off the lights", "set the alarm", "play music now, please!")
LEAN = VocabularySettings(common_pieces=0)


def model_of(base: TaskModel, vocabulary: Vocabulary) -> TaskModel:
    """The tiny model with another vocabulary and a table that fits it."""
    config = replace(base.checkpoint.config, vocab_size=vocabulary.size)
    checkpoint = random_checkpoint(config, base.labels)
    return replace(base, checkpoint=checkpoint, tokenizer=Tokenizer(vocabulary))


def assert_rows_match_tokens(result: TrimResult, model: TaskModel) -> None:
    """Each row of the trimmed table is that of the same token in the whole one."""
    before, after = model.tokenizer.vocabulary, result.model.tokenizer.vocabulary
    assert after.tokens == tuple(before.tokens[i] for i in result.kept_ids)
    assert result.kept_ids.dtype == np.int64
    assert (np.diff(result.kept_ids) > 0).all()
    np.testing.assert_array_equal(
        result.model.checkpoint.weights["embeddings.token"],
        model.checkpoint.weights["embeddings.token"][result.kept_ids],
    )
    assert result.rows_after == after.size == result.model.checkpoint.config.vocab_size
    np.testing.assert_array_equal(kept_ids_of(before, after), result.kept_ids)


def tokens_of(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.vocabulary.tokens[i] for i in tokenizer.encode(text).token_ids]


@pytest.fixture(scope="module")
def trimmed(tiny_model: TaskModel) -> TrimResult:
    return trim_vocabulary(tiny_model, CORPUS, LEAN, heldout=["a movie is on", "turn on"])


def test_used_tokens_and_single_characters_are_kept(
    trimmed: TrimResult, tiny_model: TaskModel
) -> None:
    assert_rows_match_tokens(trimmed, tiny_model)
    kept = set(trimmed.model.tokenizer.vocabulary.tokens)
    assert {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"} <= kept
    assert {"turn", "light", "lights", "please", "!", ","} <= kept
    assert {token for token in TINY_TOKENS if len(token.removeprefix("##")) == 1} <= kept
    assert not {"movie", "boring", "##ing"} & kept


def test_the_corpus_gives_the_same_tokens(trimmed: TrimResult, tiny_model: TaskModel) -> None:
    for text in CORPUS:
        assert tokens_of(trimmed.model.tokenizer, text) == tokens_of(tiny_model.tokenizer, text)
    assert trimmed.corpus.same_texts == 1
    assert trimmed.corpus.before == trimmed.corpus.after


def test_rates_are_counted_by_word(trimmed: TrimResult) -> None:
    heldout = trimmed.heldout
    assert heldout is not None
    # "a movie is on", "turn on": six words; of "movie" and "is", letters are left.
    assert (heldout.texts, heldout.before.words, heldout.after.words) == (2, 6, 6)
    assert (heldout.before.split_rate, heldout.before.pieces_per_word) == (0, 1)
    assert heldout.after.split_rate == pytest.approx(2 / 6)
    assert heldout.after.pieces_per_word == pytest.approx((4 + 5 + 2) / 6)
    assert heldout.after.unknown_rate == 0
    assert heldout.same_texts == 0.5


def test_unknown_words_are_counted(tiny_model: TaskModel) -> None:
    heldout = trim_vocabulary(tiny_model, CORPUS, LEAN, heldout=["turn é世 on"]).heldout
    assert heldout is not None
    assert heldout.before.unknown_rate == heldout.after.unknown_rate == pytest.approx(1 / 4)


def test_the_history_has_the_trimming(trimmed: TrimResult, tiny_model: TaskModel) -> None:
    *earlier, entry = trimmed.model.history
    assert tuple(earlier) == tiny_model.history
    assert entry == json.loads(json.dumps(entry))
    assert entry["stage"] == "trim"
    assert entry["settings"] == dataclasses.asdict(LEAN)
    joined = "".join(f"{text}\n" for text in CORPUS).encode()
    assert entry["corpus"]["sha256"] == hashlib.sha256(joined).hexdigest()
    assert entry["rows_after"] == trimmed.to_dict()["rows_after"] == trimmed.rows_after
    assert trim_vocabulary(tiny_model, CORPUS).to_dict()["heldout"] is None


def test_a_trimmed_model_is_written_and_read(trimmed: TrimResult, tmp_path: Path) -> None:
    opened = open_model(trimmed.model.save(tmp_path / "trimmed"))
    assert opened.tokenizer.vocabulary == trimmed.model.tokenizer.vocabulary
    assert opened.history == trimmed.model.history
    assert read_folder(tmp_path / "trimmed").config.vocab_size == trimmed.rows_after
    judge = tokenizers.Tokenizer.from_file(str(tmp_path / "trimmed" / "tokenizer.json"))
    assert judge.get_vocab_size() == trimmed.rows_after
    for text in (*CORPUS, "a boring movie [MASK]"):
        assert tuple(judge.encode(text).ids) == trimmed.model.tokenizer.encode(text).token_ids


def test_scores_stay_where_tokens_stay(trimmed: TrimResult, tiny_model: TaskModel) -> None:
    pytest.importorskip("keras_hub")
    from edgebert.evaluation.predictors import KerasPredictor

    before, after = (
        KerasPredictor(model).outputs(model.tokenizer.encode_batch(CORPUS, model.max_length))
        for model in (tiny_model, trimmed.model)
    )
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_min_count_leaves_rare_tokens_out(tiny_model: TaskModel) -> None:
    kept = trim_vocabulary(tiny_model, CORPUS, replace(LEAN, min_count=2)).model
    assert {"turn", "the"} <= set(kept.tokenizer.vocabulary.tokens)
    assert not {"alarm", "music"} & set(kept.tokenizer.vocabulary.tokens)


@pytest.mark.parametrize("fill", ["likeness", "frequency"])
def test_keep_tokens_is_exact(tiny_model: TaskModel, fill: str) -> None:
    size = tiny_model.tokenizer.vocabulary.size
    for keep in (size - 20, size):
        chosen = replace(LEAN, keep_tokens=keep, fill=fill)
        result = trim_vocabulary(tiny_model, CORPUS, chosen)
        assert result.rows_after == keep
        assert_rows_match_tokens(result, tiny_model)
        assert result.corpus.same_texts == 1


def test_further_tokens_follow_the_vocabulary_order(tiny_model: TaskModel) -> None:
    least = trim_vocabulary(tiny_model, CORPUS, LEAN)
    more = replace(LEAN, keep_tokens=least.rows_after + 2, fill="frequency")
    added = set(trim_vocabulary(tiny_model, CORPUS, more).kept_ids) - set(least.kept_ids)
    assert [TINY_TOKENS[i] for i in sorted(added)] == ["is", "it"]


def test_further_tokens_are_similar_to_used_ones() -> None:
    generator = np.random.default_rng(0)
    rows = 600
    table = generator.normal(0, 1, (rows, 8)).astype(np.float32)
    is_like = np.arange(rows) % 2 == 0
    table[is_like, 0] += 4
    used = is_like & (generator.random(rows) < 0.5)
    everything = np.ones(rows, bool)
    scores = token_choice.usage_probability(table, used, everything, np.zeros(rows, bool))
    assert scores[is_like & ~used].mean() > 2 * scores[~is_like].mean()
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_usage_probability_needs_used_and_unused_tokens(share: float) -> None:
    used = np.full(20, bool(share))
    table = np.zeros((20, 4), np.float32)
    scores = token_choice.usage_probability(table, used, np.ones(20, bool), np.zeros(20, bool))
    assert not scores.any()


def test_common_pieces_stay(tiny_model: TaskModel) -> None:
    vocabulary = Vocabulary((*TINY_TOKENS[:-1], "##ed", "##ing"), lowercase=True)
    model = model_of(tiny_model, vocabulary)
    pieces = [t for t in vocabulary.tokens if t.startswith("##")]
    for settings, kept in ((replace(LEAN, common_pieces=len(pieces) - 1), True), (LEAN, False)):
        result = trim_vocabulary(model, CORPUS, settings).model.tokenizer.vocabulary.tokens
        assert ("##ed" in result) is kept
        assert "##ing" not in result


def test_added_tokens_stay(tiny_model: TaskModel) -> None:
    added = (AddedToken("<who>", special=False), AddedToken("movie", special=False))
    vocabulary = Vocabulary((*TINY_TOKENS, "<who>"), lowercase=True, added_tokens=added)
    result = trim_vocabulary(model_of(tiny_model, vocabulary), CORPUS, LEAN)
    after = result.model.tokenizer
    assert after.vocabulary.added_tokens == added
    assert tokens_of(after, "turn <who> on") == ["[CLS]", "turn", "<who>", "on", "[SEP]"]


def test_unreachable_tokens_are_removed(tiny_model: TaskModel) -> None:
    tokens = ("[PAD]", "[unused0]", *TINY_TOKENS[1:], "##!", "##世", "世")
    result = trim_vocabulary(model_of(tiny_model, Vocabulary(tokens, lowercase=True)), CORPUS)
    kept = result.model.tokenizer.vocabulary
    assert not {"[unused0]", "##!", "##世"} & set(kept.tokens)
    assert "世" in kept.tokens
    assert (kept.id_of("[PAD]"), kept.id_of("[UNK]"), kept.id_of("[MASK]")) == (0, 1, 4)


def test_letters_of_other_scripts_can_be_removed(tiny_model: TaskModel) -> None:
    letters = ("д", "##д", "é", "##é", "±")
    model = model_of(tiny_model, Vocabulary((*TINY_TOKENS, *letters), True, strip_accents=False))
    scripts = trim_vocabulary(model, CORPUS, replace(LEAN, characters="scripts"))
    assert set(letters) & set(scripts.model.tokenizer.vocabulary.tokens) == {"é", "##é", "±"}
    everything = trim_vocabulary(model, CORPUS, LEAN).model.tokenizer.vocabulary.tokens
    assert set(letters) <= set(everything)
    cyrillic = trim_vocabulary(model, ["д", "дд"], replace(LEAN, characters="scripts"))
    kept = set(cyrillic.model.tokenizer.vocabulary.tokens)
    assert set(letters) & kept == {"д", "##д", "±"}
    assert {"##a", "b", "9"} <= kept


def test_a_character_without_a_piece_keeps_its_tokens(tiny_model: TaskModel) -> None:
    vocabulary = Vocabulary((*TINY_TOKENS, "caß", "##oß", "cab"), lowercase=True)
    kept = trim_vocabulary(model_of(tiny_model, vocabulary), CORPUS, LEAN).model.tokenizer
    assert {"caß", "##oß"} <= set(kept.vocabulary.tokens)
    assert "cab" not in kept.vocabulary.tokens


@pytest.mark.parametrize("corpus", [[], ["turn on the light"], ["turn on", " \t\n"], ["", " "]])
def test_a_corpus_needs_texts(tiny_model: TaskModel, corpus: list[str]) -> None:
    with pytest.raises(UsageError, match=r"at least 2 texts\. Received: \d") as caught:
        trim_vocabulary(tiny_model, corpus, replace(LEAN, min_count=0))
    assert "min_count: expected at least 1. Received: 0" in str(caught.value)


def test_a_corpus_in_another_script(tiny_model: TaskModel) -> None:
    with pytest.raises(UsageError, match=r"80\.0 % of 5 are unknown\. Next: use a model"):
        trim_vocabulary(tiny_model, ["ສະບາຍດີ ໂລກ", "ຂໍ ໂລກ on"], LEAN)
    with pytest.raises(UsageError, match="Received: no words"):
        trim_vocabulary(tiny_model, ["\u200b", "\u200d", "\x07"], LEAN)


def test_all_problems_at_once(tiny_model: TaskModel) -> None:
    wrong = VocabularySettings(0, 10_000, "luck", "none", -1)
    with pytest.raises(UsageError) as caught:
        trim_vocabulary(tiny_model, ["turn on"], wrong)
    for part in ("min_count", "keep_tokens", "fill", "characters", "common_pieces", "corpus"):
        assert f"{part}: expected" in str(caught.value)


@pytest.mark.parametrize("keep", [1, 70, -3])
def test_keep_tokens_below_the_base(tiny_model: TaskModel, keep: int) -> None:
    with pytest.raises(UsageError, match=r"keep_tokens: expected .*Received: "):
        trim_vocabulary(tiny_model, CORPUS, replace(LEAN, keep_tokens=keep))


def test_ids_of_another_vocabulary(tiny_vocabulary: Vocabulary) -> None:
    other = Vocabulary((*TINY_TOKENS, "extra"), lowercase=True)
    with pytest.raises(UsageError, match="1 other tokens, such as 'extra'"):
        kept_ids_of(tiny_vocabulary, other)


LETTERS = "abdeéß世ก1-."
PIECES = st.text(LETTERS, min_size=2, max_size=4)


@given(
    words=st.sets(PIECES, max_size=30),
    ends=st.sets(PIECES, max_size=30),
    corpus=st.lists(st.text(LETTERS + " ", min_size=1, max_size=12), min_size=2, max_size=6),
    texts=st.lists(st.one_of(st.text(LETTERS + " "), st.text(max_size=20)), max_size=8),
    lowercase=st.booleans(),
    keep=st.integers(0, 40),
)
@hypothesis_settings(max_examples=150, deadline=None)
def test_nothing_becomes_unknown(
    tiny_model: TaskModel,
    words: set[str],
    ends: set[str],
    corpus: list[str],
    texts: list[str],
    lowercase: bool,
    keep: int,
) -> None:
    tokens = [*TINY_TOKENS[:5], *LETTERS, *(f"##{c}" for c in LETTERS), *sorted(words)]
    tokens += [f"##{end}" for end in sorted(ends)]
    model = model_of(tiny_model, Vocabulary(tuple(tokens), lowercase))
    corpus = [*corpus, "ab", "ad"]
    least = trim_vocabulary(model, corpus, LEAN)
    keep_tokens = min(least.rows_after + keep, len(tokens)) if keep else 0
    result = trim_vocabulary(model, corpus, replace(LEAN, keep_tokens=keep_tokens))
    assert_rows_match_tokens(result, model)
    before, after = model.tokenizer, result.model.tokenizer
    for text in (*texts, *corpus):
        whole = before.encode(text)
        short = after.encode(text)
        if text in corpus:
            assert tuple(result.kept_ids[list(short.token_ids)]) == whole.token_ids
        unknown = set(_unknown(before, whole))
        assert set(_unknown(after, short)) <= unknown


def _unknown(tokenizer: Tokenizer, encoding: object) -> list[tuple[int, int]]:
    unknown_id = tokenizer.vocabulary.id_of("[UNK]")
    pairs = zip(encoding.token_ids, encoding.offsets, strict=True)  # type: ignore[attr-defined]
    return [place for token_id, place in pairs if token_id == unknown_id]


def test_minilm_on_real_text(minilm_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    model = open_model(minilm_dir)
    size = model.tokenizer.vocabulary.size
    train = read_dataset(data_dir / "clinc150" / "train.tsv.gz").texts
    dev = read_dataset(data_dir / "clinc150" / "dev.tsv").texts
    same = {}
    for fill in ("likeness", "frequency"):
        settings = VocabularySettings(keep_tokens=size // 2, fill=fill)
        result = trim_vocabulary(model, train, settings, dev)
        assert result.rows_after == size // 2
        assert result.corpus.same_texts == 1
        assert result.heldout is not None
        assert result.heldout.after.unknown_rate <= result.heldout.before.unknown_rate
        assert result.heldout.after.split_rate < result.heldout.before.split_rate + 0.02
        same[fill] = result.heldout.same_texts
    assert same["likeness"] > same["frequency"] > 0.9
    opened = open_model(result.model.save(tmp_path / "half"))
    assert opened.tokenizer.pad_id == 0
    texts = ["naïve Ελλάδα 世界 🙂 тест ÿ½ §5 العربية", *_random_texts(dev)]
    for text in texts:
        assert len(_unknown(opened.tokenizer, opened.tokenizer.encode(text))) == len(
            _unknown(model.tokenizer, model.tokenizer.encode(text))
        )


def _random_texts(texts: tuple[str, ...]) -> list[str]:
    """Words glued together and any characters of the first planes."""
    generator = random.Random(0)
    glued = ["".join(generator.sample(" ".join(texts[:50]).split(), 3)) for _ in range(100)]
    return glued + [
        "".join(chr(generator.randrange(1, 0x3000)) for _ in range(6)) for _ in range(500)
    ]
