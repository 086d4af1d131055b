"""The peer of `finetune_throughput`: a plain PyTorch loop over `transformers`' classifier.

It runs under an interpreter of its own and imports nothing of ours. Each line on stdin, `first
count`, is a block of batches to train on; each line on stdout is `rows seconds loss`, for all of
the block but its first batch.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
import transformers


def main(
    model_folder: str, batches_path: str, total_steps: int, threads: int, autocast: bool
) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(42)
    model = transformers.BertForSequenceClassification.from_pretrained(model_folder, num_labels=2)
    model.train()
    plain = [p for p in model.parameters() if p.ndim < 2]
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}], lr=5e-5
    )
    schedule = transformers.get_linear_schedule_with_warmup(
        optimizer, round(0.1 * total_steps), total_steps
    )
    arrays = np.load(batches_path)
    names = ("token_ids", "padding_mask", "targets")
    count = sum(name.startswith("targets-") for name in arrays.files)
    batches = [
        tuple(torch.from_numpy(arrays[f"{name}-{number}"].astype(np.int64)) for name in names)
        for number in range(count)
    ]

    def step(number: int) -> torch.Tensor:
        token_ids, mask, targets = batches[number % count]
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model(input_ids=token_ids, attention_mask=mask, labels=targets).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        return loss

    print("ready", flush=True)
    for line in sys.stdin:
        first, length = map(int, line.split())
        step(first).item()
        start = time.perf_counter()
        for number in range(first + 1, first + length):
            loss = step(number)
        value = loss.item()
        rows = sum(len(batches[n % count][2]) for n in range(first + 1, first + length))
        print(rows, time.perf_counter() - start, value, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "bfloat16")
