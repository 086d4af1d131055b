"""The bundled sample set: no leak between its splits, its size and balance, and its rebuild."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

from edgebert.data.samples.build_assistant_intents import (
    FOLDER,
    HEADER,
    Row,
    Template,
    TemplateBook,
    assign_splits,
    build_files,
    build_rows,
    comparison_key,
    read_templates,
)
from edgebert.errors import DataError

SPLITS = ("train", "dev", "test")
SPLIT_PAIRS = tuple(itertools.combinations(SPLITS, 2))
COURTESY = frozenset(
    ["a", "an", "the", "my", "me", "i", "to", "for", "of", "please", "could", "can", "would", "you"]
)


def _read(split: str) -> list[Row]:
    header, *lines = (FOLDER / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
    assert tuple(header.split("\t")) == HEADER
    rows = []
    for line in lines:
        text, label, template_id = line.split("\t")
        rows.append(Row(text, label, template_id))
    return rows


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Row]]:
    return {split: _read(split) for split in SPLITS}


@pytest.fixture(scope="module")
def book() -> TemplateBook:
    return read_templates()


@pytest.fixture(scope="module")
def templates_of(rows: dict[str, list[Row]], book: TemplateBook) -> dict[str, list[Template]]:
    """Split -> the templates that its rows name."""
    by_id = {template.template_id: template for template in book.templates}
    return {
        split: [by_id[template_id] for template_id in dict.fromkeys(r.template_id for r in found)]
        for split, found in rows.items()
    }


def _words(template: Template) -> frozenset[str]:
    """The words and slot names of a template, without articles, pronouns and courtesy."""
    words = re.findall(r"\{[a-z_]+|[\w']+", re.sub(r"\d+\}", "}", template.text.lower()))
    return frozenset(words) - COURTESY


def test_is_large_enough_and_balanced(rows: dict[str, list[Row]]) -> None:
    everything = [row for split in SPLITS for row in rows[split]]
    assert len(everything) >= 1_500
    intents = {row.label for row in everything}
    assert len(intents) >= 12
    for split in SPLITS:
        counts = Counter(row.label for row in rows[split])
        assert set(counts) == intents
        assert len(set(counts.values())) == 1


def test_every_intent_has_at_least_24_templates(book: TemplateBook) -> None:
    assert min(Counter(template.intent for template in book.templates).values()) >= 24


def test_every_template_is_in_exactly_one_split(
    rows: dict[str, list[Row]], book: TemplateBook
) -> None:
    found = [
        template_id for split in SPLITS for template_id in {row.template_id for row in rows[split]}
    ]
    assert sorted(found) == sorted(template.template_id for template in book.templates)


def test_held_out_splits_have_their_share_of_each_intent(
    templates_of: dict[str, list[Template]], book: TemplateBook
) -> None:
    for intent, total in Counter(template.intent for template in book.templates).items():
        for split in ("dev", "test"):
            held_out = sum(template.intent == intent for template in templates_of[split])
            assert 0.12 <= held_out / total <= 0.18, (intent, split)


def test_no_text_occurs_twice(rows: dict[str, list[Row]]) -> None:
    keys = Counter(comparison_key(row.text) for split in SPLITS for row in rows[split])
    assert [key for key, count in keys.items() if count > 1] == []


@pytest.mark.parametrize(("left", "right"), SPLIT_PAIRS)
def test_no_skeleton_is_shared(
    templates_of: dict[str, list[Template]], left: str, right: str
) -> None:
    skeletons = [{template.skeleton for template in templates_of[split]} for split in (left, right)]
    assert skeletons[0] & skeletons[1] == set()


@pytest.mark.parametrize(("left", "right"), SPLIT_PAIRS)
def test_no_near_copy_of_a_template_is_in_another_split(
    templates_of: dict[str, list[Template]], left: str, right: str
) -> None:
    near_copies = []
    for a, b in itertools.product(templates_of[left], templates_of[right]):
        either, both = _words(a) | _words(b), _words(a) & _words(b)
        if len(both) >= 0.8 * len(either):
            near_copies.append((a.text, b.text))
    assert near_copies == []


def test_every_row_comes_from_its_template(rows: dict[str, list[Row]], book: TemplateBook) -> None:
    by_id = {template.template_id: template for template in book.templates}
    for row in itertools.chain.from_iterable(rows.values()):
        template = by_id[row.template_id]
        assert row.label == template.intent
        pattern = re.escape(template.text)
        for placeholder, _ in template.placeholders:
            pattern = pattern.replace(re.escape(placeholder), "(.+)", 1)
        assert re.fullmatch(pattern, row.text), row


def test_splits_use_only_their_slot_values(rows: dict[str, list[Row]], book: TemplateBook) -> None:
    slots_of = {t.template_id: {slot for _, slot in t.placeholders} for t in book.templates}
    strays = []
    for split, foreign in (("train", "held_out"), ("dev", "train"), ("test", "train")):
        for row in rows[split]:
            for slot in slots_of[row.template_id]:
                for value in book.slots[slot].get(foreign, ()):
                    if re.search(rf"(?<!\w){re.escape(value)}(?!\w)", row.text):
                        strays.append((split, row.text, value))
    assert strays == []


def test_texts_are_plain(rows: dict[str, list[Row]]) -> None:
    for row in itertools.chain.from_iterable(rows.values()):
        assert row.text == " ".join(row.text.split())
        assert not set('{}"\t') & set(row.text)


def test_rebuild_gives_the_same_bytes() -> None:
    files = build_files()
    assert set(files) == {f"{split}.tsv" for split in SPLITS}
    for name, data in files.items():
        assert data == (FOLDER / name).read_bytes(), f"{name} differs: run the builder again"


def test_split_does_not_depend_on_the_order_of_templates(book: TemplateBook) -> None:
    turned = TemplateBook(book.templates[::-1], book.slots)
    assert assign_splits(turned) == assign_splits(book)


def test_readme_counts_are_right(
    rows: dict[str, list[Row]], templates_of: dict[str, list[Template]]
) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for split in SPLITS:
        per_intent = len(rows[split]) // len({row.label for row in rows[split]})
        expected = f"| {len(rows[split])} | {len(templates_of[split])} | {per_intent} |"
        assert f"| `{split}.tsv` {expected}" in readme
    for intent in {row.label for row in rows["test"]}:
        assert f"`{intent}`" in readme


def test_a_bad_template_file_lists_all_problems(tmp_path: Path) -> None:
    path = tmp_path / "templates.toml"
    path.write_text(
        "[slots.time]\nany = []\nextra = ['noon']\n[slots.city]\nany = ['Oslo']\n"
        "[intents.alarm]\ntemplates = ['ring at {time}', 'Ring at {time}!', 'wake {who}']\n",
        encoding="utf-8",
    )
    with pytest.raises(DataError) as raised:
        read_templates(path)
    for problem in (
        "alarm/02: same pattern as alarm/01",
        "alarm/03: no slot 'who'",
        "slot 'city': in no template",
        "slot 'time': no values under 'any'",
        "slot 'time': unknown list 'extra'",
    ):
        assert problem in str(raised.value)


def test_too_few_utterances_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "templates.toml"
    path.write_text("[slots]\n[intents.alarm]\ntemplates = ['ring']\n", encoding="utf-8")
    with pytest.raises(DataError, match="alarm has 1 of 112 rows in train"):
        build_rows(read_templates(path))
