"""Expands the templates of the assistant intents into `train.tsv`, `dev.tsv` and `test.tsv`.

Run as `python -m edgebert.data.samples.build_assistant_intents`. Every random choice sorts
by the SHA-256 of a seed and a text, so the files are identical on every machine and Python version.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebert.errors import DataError
from edgebert.system.storage import atomic_write

FOLDER = Path(__file__).resolve().parent / "assistant_intents"
TEMPLATES_PATH = FOLDER / "templates.toml"
SEED = "edgebert assistant intents 1"
HEADER = ("text", "label", "template")

# Rows of each intent in each split, and the share of templates of each held-out split.
ROWS_PER_INTENT = {"train": 112, "dev": 24, "test": 24}
HELD_OUT_SHARE = {"dev": 0.15, "test": 0.15}

# The lists of slot values that each split uses.
VALUE_LISTS = {
    "train": ("any", "train"),
    "dev": ("any", "held_out"),
    "test": ("any", "held_out"),
}

_PLACEHOLDER = re.compile(r"\{([a-z_]+)(\d*)\}")


@dataclass(frozen=True)
class Template:
    """One sentence pattern.

    Attributes:
        template_id: intent and number in the file, such as `set_alarm/07`.
        intent: label of its utterances.
        text: pattern with slots in braces, such as `wake me up at {time}`.
    """

    template_id: str
    intent: str
    text: str

    @property
    def placeholders(self) -> tuple[tuple[str, str], ...]:
        """(placeholder, slot) in order of appearance: `{time2}` is (`{time2}`, `time`)."""
        return tuple((found.group(0), found.group(1)) for found in _PLACEHOLDER.finditer(self.text))

    @property
    def skeleton(self) -> str:
        """The pattern with every slot masked by `_` and the rest as in `comparison_key`."""
        parts = _PLACEHOLDER.sub("\0", self.text).split("\0")
        return "_".join(comparison_key(part) for part in parts)


@dataclass(frozen=True)
class TemplateBook:
    """All of `templates.toml`: the templates in file order, and slot -> list name -> values."""

    templates: tuple[Template, ...]
    slots: Mapping[str, Mapping[str, tuple[str, ...]]]

    @property
    def intents(self) -> tuple[str, ...]:
        """The labels, in file order."""
        return tuple(dict.fromkeys(template.intent for template in self.templates))

    def of_intent(self, intent: str) -> tuple[Template, ...]:
        """The templates of one label, in file order."""
        return tuple(template for template in self.templates if template.intent == intent)


@dataclass(frozen=True)
class Row:
    """One utterance with its label and its template."""

    text: str
    label: str
    template_id: str


def comparison_key(text: str) -> str:
    """The letters and digits of a text in lower case; texts with equal keys count as duplicates."""
    return "".join(character for character in text.lower() if character.isalnum())


def read_templates(path: Path = TEMPLATES_PATH) -> TemplateBook:
    """Reads and checks a template file.

    Args:
        path: TOML with `[slots.NAME]` (lists `any`, `train`, `held_out`) and `[intents.NAME]`
            (list `templates`).

    Raises:
        DataError: Slots are unknown, unused or empty, or a pattern occurs twice; all problems are
            listed.
    """
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    slots = {
        name: {key: tuple(values) for key, values in lists.items()}
        for name, lists in content["slots"].items()
    }
    templates = tuple(
        Template(f"{intent}/{place:02d}", intent, text)
        for intent, table in content["intents"].items()
        for place, text in enumerate(table["templates"], start=1)
    )
    book = TemplateBook(templates, slots)
    problems = list(_problems(book))
    if problems:
        raise DataError(
            f"Expected templates whose slots all exist and that differ from each other. "
            f"Received: {path.name} with {'; '.join(problems)}. Next: correct these entries."
        )
    return book


def _problems(book: TemplateBook) -> Iterator[str]:
    used: set[str] = set()
    first_with: dict[str, str] = {}
    for template in book.templates:
        names = {slot for _, slot in template.placeholders}
        used |= names
        for slot in sorted(names - set(book.slots)):
            yield f"{template.template_id}: no slot {slot!r}"
        known = first_with.setdefault(template.skeleton, template.template_id)
        if known != template.template_id:
            yield f"{template.template_id}: same pattern as {known}"
    for slot, lists in book.slots.items():
        if slot not in used:
            yield f"slot {slot!r}: in no template"
        if not lists.get("any"):
            yield f"slot {slot!r}: no values under 'any'"
        for key in sorted(set(lists) - {"any", "train", "held_out"}):
            yield f"slot {slot!r}: unknown list {key!r}"


def assign_splits(book: TemplateBook) -> dict[str, str]:
    """Gives each template one split, in fixed shares of each intent's templates.

    Returns:
        template id -> `train`, `dev` or `test`.
    """
    splits: dict[str, str] = {}
    for intent in book.intents:
        members = sorted(book.of_intent(intent), key=lambda item: _rank("split", item.text))
        names = [
            name
            for name, share in HELD_OUT_SHARE.items()
            for _ in range(round(share * len(members)))
        ]
        names += ["train"] * (len(members) - len(names))
        splits |= {member.template_id: name for member, name in zip(members, names, strict=True)}
    return splits


def build_rows(book: TemplateBook) -> dict[str, list[Row]]:
    """Expands every template into its split, with `ROWS_PER_INTENT` rows of each intent.

    No two rows of all splits share a `comparison_key`; held-out splits choose first.

    Returns:
        split -> its rows, shuffled.

    Raises:
        DataError: Intents have too few templates or values for their rows.
    """
    split_of = assign_splits(book)
    rows: dict[str, list[Row]] = {split: [] for split in ROWS_PER_INTENT}
    taken: set[str] = set()
    short: list[str] = []
    for split in ("test", "dev", "train"):
        for intent in book.intents:
            wanted = ROWS_PER_INTENT[split]
            members = [t for t in book.of_intent(intent) if split_of[t.template_id] == split]
            chosen = _deal([_candidates(book, member, split) for member in members], wanted, taken)
            rows[split] += chosen
            if len(chosen) < wanted:
                short.append(f"{intent} has {len(chosen)} of {wanted} rows in {split}")
    if short:
        raise DataError(
            f"Expected enough templates and slot values for every split. Received: "
            f"{'; '.join(short)}. Next: add slots or templates to these intents."
        )
    for split_rows in rows.values():
        split_rows.sort(key=lambda row: _rank("order", row.text))
    return rows


def render(rows: Sequence[Row]) -> str:
    """The rows as tab-separated text with a header line, each line ended by a line feed."""
    lines = [HEADER, *((row.text, row.label, row.template_id) for row in rows)]
    return "".join("\t".join(fields) + "\n" for fields in lines)


def build_files(book: TemplateBook | None = None) -> dict[str, bytes]:
    """The content of the generated files: file name -> UTF-8 bytes."""
    rows = build_rows(read_templates() if book is None else book)
    return {f"{split}.tsv": render(rows[split]).encode() for split in ROWS_PER_INTENT}


def _rank(purpose: str, text: str) -> bytes:
    return hashlib.sha256(f"{SEED}\n{purpose}\n{text}".encode()).digest()


def _candidates(book: TemplateBook, template: Template, split: str) -> list[Row]:
    """Every utterance of a template in a split, in a fixed random order."""
    placeholders = template.placeholders
    choices = [
        [value for key in VALUE_LISTS[split] for value in book.slots[slot].get(key, ())]
        for _, slot in placeholders
    ]
    texts = []
    for values in itertools.product(*choices):
        fills = {(slot, value) for (_, slot), value in zip(placeholders, values, strict=True)}
        if len(fills) < len(placeholders):
            continue
        text = template.text
        for (placeholder, _), value in zip(placeholders, values, strict=True):
            text = text.replace(placeholder, value, 1)
        texts.append(text)
    texts.sort(key=lambda text: _rank("expansion", text))
    return [Row(text, template.intent, template.template_id) for text in texts]


def _deal(queues: Sequence[list[Row]], wanted: int, taken: set[str]) -> list[Row]:
    """Takes new rows from the queues in turn until there are `wanted`; adds keys to `taken`."""
    chosen: list[Row] = []
    waiting = [iter(queue) for queue in queues]
    while waiting and len(chosen) < wanted:
        still_waiting = []
        for queue in waiting:
            row = next((row for row in queue if comparison_key(row.text) not in taken), None)
            if row is None:
                continue
            still_waiting.append(queue)
            if len(chosen) < wanted:
                taken.add(comparison_key(row.text))
                chosen.append(row)
        waiting = still_waiting
    return chosen


def main() -> None:
    """Writes the generated files next to `templates.toml`."""
    for name, data in build_files().items():
        atomic_write(FOLDER / name, data)
        print(f"{name}: {len(data.splitlines()) - 1} rows")


if __name__ == "__main__":
    main()
