"""Text in, answer out: the counterpart of `runner` that times edgebert's own inference path.

`python -m edgebert.profiling.end_to_end` implements the runner's protocol, so that its blocks can
be interleaved with others. It runs here, and on boards, where `text_program` copies it. Further
requests, and those that differ (fields in brackets may be left out):

    {"op": "ready"}                     loads all modules; version of `tokenizers`, "" without it
    {"op": "load", "model", "texts", ["threads": 1]}    load_ms, rss_before, rss_after
    {"op": "first_call"}                times the first text
    {"op": "run", ...}                  all texts once per run: tokenize, run the model, decode
    {"op": "operations", ...}           the tokenizer's share of the time
    {"op": "predict"}                   answers for the loaded texts; labels of a classifier
    {"op": "answer", "inputs", ["calls": true]}
                                        rows: {"calls": [{"token_ids", "outputs"}, ...], "answer"}

A text is a string, or a list of strings for tasks that read several. An input of `answer` has
`texts`, or `words`, or `token_ids` and `segment_ids`. The rows are those of `text_rows`; the answer
is the whole answer of the task, and None for token ids.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import mean, median
from time import monotonic
from typing import TYPE_CHECKING, Any

from edgebert.profiling import runner

if TYPE_CHECKING:
    from edgebert.encoding.tokenizer import Encoding
    from edgebert.models.litert_model import LiteRtModel


class TextService(runner.Service):
    """Serves requests for one edgebert model at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Callable[[], Any]] = []
        self._encodings: list[Callable[[], Any]] = []
        self._model: LiteRtModel | None = None

    def _op_ready(self, request: dict[str, Any]) -> dict[str, Any]:
        from edgebert.encoding.tokenizer import tokenizers_version
        from edgebert.tasks import task_modules

        for module in ("edgebert.models.litert_model", "edgebert.tasks.examples", *task_modules()):
            import_module(module)
        return {"tokenizers": tokenizers_version()}

    def _op_load(self, request: dict[str, Any]) -> dict[str, Any]:
        from edgebert.models.litert_model import LiteRtModel
        from edgebert.tasks.examples import as_examples, task_with_answers

        path, threads = Path(request["model"]), int(request.get("threads", 1))
        before = runner.restart_peak()
        load_ms, model = runner.time_once(partial(LiteRtModel.open, path, threads))
        self._model, task = model, task_with_answers(model)
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

    def _op_answer(self, request: dict[str, Any]) -> dict[str, Any]:
        has_calls = bool(request.get("calls", True))
        rows = [self._row(given) for given in request["inputs"]]
        return {"rows": rows if has_calls else [{"answer": row["answer"]} for row in rows]}

    def _row(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Token ids and outputs of each call for one input, and the answer."""
        from edgebert.encoding.tokenizer import Encoding

        if self._model is None:
            raise runner.RequestError("A loaded model was expected. Received: none.")
        model, answer = self._model, None
        if "token_ids" in given:
            pairs = zip(given["token_ids"], given["segment_ids"], strict=True)
            encodings = [Encoding(tuple(a), tuple(b), ((0, 0),) * len(a)) for a, b in pairs]
            named = [model.named_outputs(encoding) for encoding in encodings]
        else:
            features = model.encode(_example(model, given))
            encodings = list(features.encodings)
            named = [model.named_outputs(encoding) for encoding in encodings]
            outputs = [
                model.read(model.output_of(each, len(encoding)), encoding)
                for each, encoding in zip(named, encodings, strict=True)
            ]
            answer = model.task.answers(outputs, features, model.facts)[0]
        calls = [_call(*pair) for pair in zip(encodings, named, strict=True)]
        return {"calls": calls, "answer": answer}

    def _loaded(self) -> list[Callable[[], Any]]:
        if not self._calls:
            raise runner.RequestError("A loaded model and texts were expected. Received: none.")
        return self._calls


def _example(model: LiteRtModel, given: Mapping[str, Any]) -> Any:
    """The example of an input: of its texts, or of its words."""
    from edgebert.data.conll_files import TaggedSentence

    if "words" in given:
        return TaggedSentence(tuple(given["words"]), (None,) * len(given["words"]))
    return model.task.example(*given["texts"])


def _call(encoding: Encoding, named: Mapping[str, Any]) -> dict[str, Any]:
    outputs = {
        name: base64.b64encode(output.astype("<f4").tobytes()).decode("ascii")
        for name, output in named.items()
    }
    return {"token_ids": encoding.token_ids, "outputs": outputs}


def _typed(text: Any) -> str | tuple[str, ...]:
    return text if isinstance(text, str) else tuple(map(str, text))


if __name__ == "__main__":
    sys.exit(runner.main(sys.argv[1:], TextService()))
