"""Text in, answer out: the counterpart of `runner` that times edgebert's own inference path.

`python -m edgebert.profiling.end_to_end` implements the runner's protocol, so that its blocks can
be interleaved with others. `load` takes {"model", "threads", "texts"}. `first_call` times the first
text. `run` processes all texts once per run: tokenize, pick the length, run the model, decode the
answer. A text is a string, or a list of strings for tasks that read several. `operations` returns
the tokenizer's share of the time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean, median
from time import monotonic
from typing import Any

from edgebert.profiling import runner


class TextService(runner.Service):
    """Serves requests for one edgebert model at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Callable[[], Any]] = []
        self._encodings: list[Callable[[], Any]] = []

    def _op_load(self, request: dict[str, Any]) -> dict[str, Any]:
        from edgebert.models.litert_model import LiteRtModel
        from edgebert.tasks.examples import as_examples, task_with_answers

        path, threads = Path(request["model"]), int(request.get("threads", 1))
        before = runner.restart_peak()
        load_ms, model = runner.time_once(partial(LiteRtModel.open, path, threads))
        task = task_with_answers(model)
        examples = as_examples(task, [_typed(text) for text in request["texts"]])
        calls = [model.timed_calls(example) for example in examples]
        self._calls = [answer for answer, _ in calls]
        self._encodings = [encode for _, encode in calls]
        return {"load_ms": load_ms, "rss_before": before, "rss_after": runner.status_bytes("VmRSS")}

    def _op_first_call(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"first_call_ms": runner.time_once(self._loaded()[0])[0]}

    def _op_run(self, request: dict[str, Any]) -> dict[str, Any]:
        return runner.time_calls(self._loaded(), request)

    def _op_operations(self, request: dict[str, Any]) -> dict[str, Any]:
        """Times of the tokenizer and of the whole call: medians of rounds, mean of the texts."""
        steps = {"tokenizer_ms": self._encodings, "whole_ms": self._loaded()}
        rounds: dict[str, list[list[float]]] = {name: [] for name in steps}
        stop = monotonic() + float(request.get("max_seconds") or "inf")
        for _ in range(int(request.get("runs", 1))):
            for name, calls in steps.items():
                rounds[name].append(runner.time_calls(calls, {})["latencies_ms"])
            if monotonic() > stop:
                break
        return {name: mean(map(median, zip(*rounds[name], strict=True))) for name in steps}

    def _op_predict(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answers for the loaded texts; for a classifier, labels and scores."""
        results = [call() for call in self._loaded()]
        return {
            "outputs": [
                result
                if isinstance(result, dict)
                else dict(zip(("label", "score"), result, strict=True))
                for result in results
            ]
        }

    def _loaded(self) -> list[Callable[[], Any]]:
        if not self._calls:
            raise runner.RequestError("A loaded model and texts were expected. Received: none.")
        return self._calls


def _typed(text: Any) -> str | tuple[str, ...]:
    return text if isinstance(text, str) else tuple(map(str, text))


if __name__ == "__main__":
    sys.exit(runner.main(sys.argv[1:], TextService()))
