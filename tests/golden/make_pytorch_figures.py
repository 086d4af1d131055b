"""The figures of pytorch_figures.json: edgebert's recipe, by `transformers`' classes and PyTorch.

    python make_pytorch_figures.py ner --model MINILM --train a.conll --dev b.conll --test c.conll
    python make_pytorch_figures.py qa --model MINILM --train a.json --dev b.json --test c.json

For an environment of its own with torch and transformers. The recipe is that of `FinetuneSettings`:
AdamW without decay of biases and norms, warm-up and linear decay, clipping at 1, batches of rows of
like lengths, the epoch that is best on dev. restaurant8k and SQuAD have no dev split here: every
tenth sentence (from the tenth) and every eighth article (from the eighth) of the training file.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import json
import math
import re
import string
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers

IGNORED = -100
N_BEST, LONGEST_ANSWER, STRIDE = 20, 30, 128
Rows = list[dict[str, Any]]


def opened(path: str) -> Any:
    if path.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8")
    return open(path, encoding="utf-8")


def padded(rows: Rows, key: str, fill: int) -> torch.Tensor:
    longest = max(len(row[key]) for row in rows)
    return torch.tensor([list(row[key]) + [fill] * (longest - len(row[key])) for row in rows])


def batches(lengths: np.ndarray, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    order, found = rng.permutation(len(lengths)), []
    for start in range(0, len(order), 50 * size):
        window = order[start : start + 50 * size]
        window = window[np.argsort(lengths[window], kind="stable")]
        found += [window[i : i + size] for i in range(0, len(window), size)]
    return [found[i] for i in rng.permutation(len(found))]


def train(
    model: Any, rows: Rows, asked: Any, inputs: Callable[[Rows], Any], score: Callable[[], float]
) -> None:
    """Trains, and leaves the model with the weights of its best epoch."""
    groups: dict[bool, list[Any]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        groups[not (name.endswith("bias") or "LayerNorm" in name)].append(parameter)
    optimizer = torch.optim.AdamW(
        [
            {"params": groups[True], "weight_decay": 0.01},
            {"params": groups[False], "weight_decay": 0.0},
        ],
        lr=asked.learning_rate,
        eps=1e-6,
    )
    steps = asked.epochs * -(-len(rows) // asked.batch_size)
    schedule = transformers.get_linear_schedule_with_warmup(
        optimizer, math.ceil(0.1 * steps), steps
    )
    lengths = np.array([len(row["input_ids"]) for row in rows])
    rng, best = np.random.default_rng(asked.seed), (-1.0, {})
    for epoch in range(asked.epochs):
        model.train()
        for batch in batches(lengths, asked.batch_size, rng):
            model(**inputs([rows[i] for i in batch])).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        model.eval()
        value = score()
        print(f"epoch {epoch + 1}: dev {value:.4f}", flush=True)
        if value > best[0]:
            best = value, {name: array.clone() for name, array in model.state_dict().items()}
    model.load_state_dict(best[1])


def with_mask(rows: Rows, names: dict[str, int]) -> dict[str, torch.Tensor]:
    ones = [{"mask": [1] * len(row["input_ids"])} for row in rows]
    arrays = {name: padded(rows, name, fill) for name, fill in names.items()}
    return {**arrays, "attention_mask": padded(ones, "mask", 0)}


def read_conll(path: str) -> list[tuple[list[str], list[str]]]:
    sentences = []
    with opened(path) as file:
        for block in file.read().strip("\n").split("\n\n"):
            lines = [line.split("\t") for line in block.split("\n") if line]
            sentences.append(([line[0] for line in lines], [line[-1] for line in lines]))
    return sentences


def entities(tags: list[str]) -> set[tuple[int, int, str]]:
    found, start, kind = set(), None, ""
    for place, tag in enumerate([*tags, "O"]):
        if start is not None and (tag[:2] != "I-" or tag[2:] != kind):
            found.add((start, place, kind))
            start = None
        if tag[:2] == "B-" or (tag[:2] == "I-" and start is None):
            start, kind = place, tag[2:]
    return found


def named_entities(asked: Any, tokenizer: Any) -> dict[str, float]:
    train_set, dev, test = (read_conll(path) for path in (asked.train, asked.dev, asked.test))
    labels = sorted({tag for _, tags in train_set for tag in tags})
    number = {label: place for place, label in enumerate(labels)}
    model = transformers.AutoModelForTokenClassification.from_pretrained(
        asked.model, num_labels=len(labels)
    )

    def encode(sentences: list[tuple[list[str], list[str]]]) -> Rows:
        rows = []
        for words, tags in sentences:
            encoded = tokenizer(
                words, is_split_into_words=True, truncation=True, max_length=asked.max_length
            )
            owners, seen, targets = encoded.word_ids(), set(), []
            for word in owners:
                first = word is not None and word not in seen
                targets.append(number.get(tags[word], 0) if first else IGNORED)
                seen.add(word)
            rows.append({"input_ids": encoded["input_ids"], "labels": targets, "words": owners})
        return rows

    def inputs(rows: Rows) -> dict[str, torch.Tensor]:
        return with_mask(rows, {"input_ids": 0, "labels": IGNORED})

    def entity_f1(sentences: list[tuple[list[str], list[str]]]) -> float:
        rows, hits, total = encode(sentences), 0, 0
        for start in range(0, len(rows), 32):
            part = rows[start : start + 32]
            with torch.no_grad():
                best = model(**inputs(part)).logits.argmax(-1).numpy()
            for row, numbers, (words, tags) in zip(
                part, best, sentences[start : start + 32], strict=True
            ):
                said = ["O"] * len(words)
                for place in range(len(row["words"]) - 1, -1, -1):
                    if row["words"][place] is not None:
                        said[row["words"][place]] = labels[numbers[place]]
                theirs, ours = entities(tags), entities(said)
                hits, total = hits + len(theirs & ours), total + len(theirs) + len(ours)
        return 2 * hits / max(total, 1)

    train(model, encode(train_set), asked, inputs, lambda: entity_f1(dev))
    return {"entity_f1": entity_f1(test)}


def read_squad(path: str) -> list[tuple[str, dict[str, Any]]]:
    with opened(path) as file:
        articles = json.load(file)["data"]
    return [
        (paragraph["context"], question)
        for article in articles
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def normal(text: str) -> str:
    text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def overlap_f1(said: str, answer: str) -> float:
    a, b = normal(said).split(), normal(answer).split()
    common = sum((collections.Counter(a) & collections.Counter(b)).values())
    return 2 * common / (len(a) + len(b)) if common else 0.0


def target(question: dict[str, Any], offsets: Any, inside: list[int]) -> tuple[int, int]:
    """The columns of the answer's first and last token; [CLS] where it is in another window."""
    start = question["answers"][0]["answer_start"]
    end = start + len(question["answers"][0]["text"])
    if offsets[inside[0]][0] > start or offsets[inside[-1]][1] < end:
        return 0, 0
    return (
        max(i for i in inside if offsets[i][0] <= start),
        min(i for i in inside if offsets[i][1] >= end),
    )


def questions(asked: Any, tokenizer: Any) -> dict[str, float]:
    train_set, dev, test = (read_squad(path) for path in (asked.train, asked.dev, asked.test))
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(asked.model)

    def encode(data: list[tuple[str, dict[str, Any]]], learnt: bool) -> Rows:
        rows = []
        for owner, (context, question) in enumerate(data):
            encoded = tokenizer(
                question["question"].strip(),
                context,
                truncation="only_second",
                max_length=asked.max_length,
                stride=STRIDE,
                return_overflowing_tokens=True,
                return_offsets_mapping=True,
            )
            for k, ids in enumerate(encoded["input_ids"]):
                inside = [i for i, side in enumerate(encoded.sequence_ids(k)) if side == 1]
                row = {"input_ids": ids, "token_type_ids": encoded["token_type_ids"][k]}
                row |= {"owner": owner, "offsets": encoded["offset_mapping"][k], "inside": inside}
                if learnt:
                    row["target"] = target(question, row["offsets"], inside)
                rows.append(row)
        return rows

    def inputs(rows: Rows) -> dict[str, torch.Tensor]:
        arrays = with_mask(rows, {"input_ids": 0, "token_type_ids": 0})
        if "target" in rows[0]:
            starts, ends = torch.tensor([row["target"] for row in rows]).T
            arrays |= {"start_positions": starts, "end_positions": ends}
        return arrays

    def scores(data: list[tuple[str, dict[str, Any]]]) -> tuple[float, float]:
        rows, best = encode(data, False), {}
        order = np.argsort([len(row["input_ids"]) for row in rows], kind="stable")
        for begin in range(0, len(order), 16):
            part = [rows[i] for i in order[begin : begin + 16]]
            with torch.no_grad():
                output = model(**inputs(part))
            for row, first, last in zip(
                part, output.start_logits.numpy(), output.end_logits.numpy(), strict=True
            ):
                low, high = row["inside"][0], row["inside"][-1] + 1
                for i in np.argsort(-first[low:high])[:N_BEST] + low:
                    for j in np.argsort(-last[low:high])[:N_BEST] + low:
                        score = first[i] + last[j]
                        if i <= j < i + LONGEST_ANSWER and (
                            row["owner"] not in best or score > best[row["owner"]][0]
                        ):
                            bounds = row["offsets"][i][0], row["offsets"][j][1]
                            best[row["owner"]] = (score, *bounds)
        f1, exact = [], []
        for owner, (context, question) in enumerate(data):
            _, start, end = best[owner]
            answers = [answer["text"] for answer in question["answers"]]
            f1.append(max(overlap_f1(context[start:end], text) for text in answers))
            exact.append(max(normal(context[start:end]) == normal(text) for text in answers))
        return float(np.mean(f1)), float(np.mean(exact))

    train(model, encode(train_set, True), asked, inputs, lambda: scores(dev)[0])
    return dict(zip(("f1", "exact_match"), scores(test), strict=True))


DEFAULTS = {
    "ner": (named_entities, {"epochs": 3, "batch_size": 32, "max_length": 128}),
    "qa": (questions, {"epochs": 2, "batch_size": 16, "max_length": 384}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=DEFAULTS)
    for name in ("model", "train", "dev", "test"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=42)
    asked = parser.parse_args()
    run, recipe = DEFAULTS[asked.task]
    vars(asked).update(recipe)
    torch.manual_seed(asked.seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(asked.model)
    print(json.dumps({asked.task: run(asked, tokenizer)}))


if __name__ == "__main__":
    main()
