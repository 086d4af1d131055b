"""What the runner itself costs a call, against bare loops over the same interpreter.

    python benchmarks/runner_overhead.py model.tflite

Three ways to make the same calls, in one process, block by block in turn:

- `runner`: the latencies that edgebert's runner reports for its `run` request;
- `named`: a bare loop over the signature runner, inputs bound by name;
- `invoke`: a bare loop over SetTensor, Invoke, GetTensor by index, the least that Python can do.

The ratios are medians of block against block, with their 95 % confidence interval. `runner/named`
is the runner's own overhead; `named/invoke` is what the runtime takes for binding by name.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from edgebert.profiling import runner
from edgebert.profiling.measurement import median_interval

BLOCK_SECONDS = 0.05
PRIMARY = 0


class PrimarySignature(runner.ModelService):
    """The runner with one file, and bare loops over the interpreter that it holds.

    The signature is the one of the file's first subgraph, the only one that `invoke` runs.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        loaded = self._op_load({"model": str(path)})
        details = self._interpreter.get_input_details()
        shapes = sorted(list(map(int, detail["shape"])) for detail in details)
        self.key = next(
            key
            for key, entry in loaded["signatures"].items()
            if sorted(tensor["shape"] for tensor in entry["inputs"]) == shapes
        )
        self._named = self._call({"signature": self.key})
        self._named()
        inputs = self._named.keywords  # type: ignore[attr-defined]
        signature = self._runner(self.key).get_input_details()
        self._values = [(signature[name]["index"], inputs[name]) for name in signature]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._bare = self._interpreter._interpreter  # the runtime's own object under its wrapper

    def runner_ms(self, calls: int) -> float:
        """Mean of the latencies that the runner reports."""
        response = self.answer({"op": "run", "signature": self.key, "runs": calls})
        return float(np.mean(response["latencies_ms"]))

    def named_ms(self, calls: int) -> float:
        """Mean of a bare loop that binds inputs by name."""
        return mean_ms(self._named, calls)

    def invoke_ms(self, calls: int) -> float:
        """Mean of a bare loop that binds inputs by index."""
        bare, values, output = self._bare, self._values, self._output

        def call() -> Any:
            for index, value in values:
                bare.SetTensor(index, value, PRIMARY)
            bare.Invoke(PRIMARY)
            return bare.GetTensor(output, PRIMARY)

        return mean_ms(call, calls)


def mean_ms(call: Callable[[], Any], calls: int) -> float:
    """Mean time of a call in ms; the clock is read only around the whole loop."""
    gc.collect()
    gc.disable()
    begin = perf_counter_ns()
    for _ in range(calls):
        call()
    end = perf_counter_ns()
    gc.enable()
    return (end - begin) / calls / 1e6


def ratio_line(name: str, above: list[float], below: list[float]) -> str:
    quotients = np.divide(above, below)
    low, high = median_interval(quotients)
    return f"{name:<16} {np.median(quotients):.4f}  ({low:.4f} to {high:.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="The runner's overhead per call.")
    parser.add_argument("model", type=Path, help="a .tflite file")
    parser.add_argument("--blocks", type=int, default=60, help="blocks of calls for each way")
    arguments = parser.parse_args()
    service = PrimarySignature(arguments.model)
    ways = {"runner": service.runner_ms, "named": service.named_ms, "invoke": service.invoke_ms}
    calls = max(5, int(BLOCK_SECONDS * 1e3 / service.named_ms(20)))
    times: dict[str, list[float]] = {name: [] for name in ways}
    for block in range(arguments.blocks):
        for name in list(ways)[:: 1 if block % 2 == 0 else -1]:
            times[name].append(ways[name](calls))
    print(f"{arguments.model.name}, {service.key or 'no signature'}, {calls} calls a block")
    for name, blocks in times.items():
        print(f"{name:<16} {np.median(blocks):.4f} ms")
    print(ratio_line("runner/named", times["runner"], times["named"]))
    print(ratio_line("named/invoke", times["named"], times["invoke"]))


if __name__ == "__main__":
    main()
