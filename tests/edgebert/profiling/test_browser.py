"""The browser target in a real headless Chromium. No timing is asserted."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from PIL import Image

from converters.checkpoint import BertConfig
from converters.tflite.graph_builder import FILE_IDENTIFIER, GraphBuilder
from edgebert.data.datasets import Dataset, Example
from edgebert.encoding.tokenizer import Tokenizer
from edgebert.errors import EdgebertError, ModelError
from edgebert.exporting.artifact import export
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.task_model import TaskModel
from edgebert.profiling.browser import BrowserTarget
from edgebert.profiling.browser.certificate import find_certificate
from edgebert.profiling.browser.server import PageServer, lan_address
from edgebert.profiling.measurement import Measurement
from edgebert.profiling.target import Job, Outcome
from edgebert.settings import TASKS, DataSettings, ExportSettings, ProfileSettings, TargetSettings
from edgebert.tasks import task_named
from tests.edgebert.profiling.conftest import TinyClassifier
from tests.golden.make_unigram_cases import make_vocabularies
from tests.judges.chromium import Chromium, Page, Viewport
from tests.judges.page_checks import SMALLEST_CONTRAST, least_contrast, names_of_controls
from tests.tiny_tasks import random_task_model

TEXTS = ("wind", "rain. sunny rain", "sun . sun . sun . sun . sun . sun . sun . sun")
PHONE = Viewport(390, 844, mobile=True)

SHOWN = "document.body.innerText"
DONE = "!document.getElementById('result').hidden"
REFUSED = f"!document.getElementById('problem').hidden && {SHOWN}"
AT_WORK = "document.getElementById('stage').textContent.startsWith('Measure')"
HIDDEN = "Object.defineProperty(document, 'hidden', {get: () => true});"
NOT_ISOLATED = "Object.defineProperty(globalThis, 'crossOriginIsolated', {value: false});"
COARSE_CLOCK = "const now = performance.now.bind(performance); performance.now = () => ~~now();"


class Session:
    """A target that runs in a thread."""

    def __init__(self, job: Job, settings: TargetSettings) -> None:
        self._server: queue.Queue[PageServer] = queue.Queue()
        self._result: queue.Queue[Outcome | BaseException] = queue.Queue()
        self.stages: list[str] = []
        target = BrowserTarget(settings, lambda server, _: self._server.put(server))
        threading.Thread(target=self._run, args=(target, job), daemon=True).start()
        self.url = self._server.get(timeout=30).url

    def _run(self, target: BrowserTarget, job: Job) -> None:
        try:
            self._result.put(target.profile(job, lambda stage, *_, **__: self.stages.append(stage)))
        except BaseException as error:
            self._result.put(error)

    def outcome(self) -> Outcome:
        result = self._result.get(timeout=60)
        if isinstance(result, BaseException):
            raise result
        return result


@pytest.fixture
def serve() -> Callable[..., Session]:
    def start(
        *models: Path,
        settings: ProfileSettings,
        check: Dataset | None = None,
        texts: tuple[str, ...] | None = TEXTS,
        **target: Any,
    ) -> Session:
        return Session(
            Job(models, settings, texts, check), TargetSettings(**{"wait_seconds": 30.0, **target})
        )

    return start


@pytest.fixture
def open_page(chromium: Chromium) -> Iterator[Callable[..., Page]]:
    pages: list[Page] = []

    def open_it(url: str, **options: Any) -> Page:
        pages.append(chromium.open(url, PHONE, **options))
        return pages[-1]

    yield open_it
    for page in pages:
        page.close()


@pytest.fixture
def short(quick: ProfileSettings) -> ProfileSettings:
    """The smallest possible measurement."""
    return replace(quick, lengths=(8,), max_seconds=0.15)


def problems_of(page: Page) -> list[str]:
    """Problems without the runtime's log, which uses `console.error` at every level."""
    return [line for line in page.problems if not line.startswith(("INFO:", "WARNING:"))]


def test_models_side_by_side_text_in_label_out(
    serve: Callable[..., Session],
    open_page: Callable[..., Page],
    quick: ProfileSettings,
    with_text: Path,
    other: TinyClassifier,
) -> None:
    session = serve(with_text, other.path, settings=replace(quick, end_to_end=True))
    page = open_page(session.url)
    page.wait_for(DONE)
    measured = session.outcome().measurements
    assert [(m.name, m.kind, m.signature, m.length, m.texts) for m in measured] == [
        ("with_text", "model", "tokens_8", 8, 0),
        ("other", "model", "tokens_8", 8, 0),
        ("with_text", "model", "tokens_16", 16, 0),
        ("other", "model", "tokens_16", 16, 0),
        ("with_text", "end_to_end", None, None, len(TEXTS)),
    ]
    for m in measured:
        assert (m.target, m.threads, m.runtime) == ("browser", 1, "LiteRT.js 2.5.3")
        assert m.latency.runs >= quick.min_runs or m.warnings
        assert m.load_ms > 0 and m.first_call_ms > 0
        assert m.peak_memory_bytes > m.model_memory_bytes >= 0
        assert m.device.details["wasm_build"] == "relaxed SIMD"
        assert m.device.details["cross_origin_isolated"] == "yes"
        assert "Chrome" in m.device.os
        assert Measurement.from_dict(m.to_dict()) == m
    assert len({m.session for m in measured}) == 1
    assert any(stage.endswith("with_text, tokens_8, 1 thread") for stage in session.stages)
    text = page.evaluate(SHOWN)
    for m in measured:
        # Python and JavaScript round halves differently: 0.125 is 0.12 here and 0.13 in the page.
        rounded = {f"{m.latency.p50_ms + step:.2f} ms" for step in (-1e-9, 1e-9)}
        assert any(one in text for one in rounded) or m.latency.p50_ms > 9
    assert problems_of(page) == []
    assert {url for url in page.requests if not url.startswith((session.url, "data:"))} == set()


def test_a_check_and_an_entered_sentence(
    serve: Callable[..., Session],
    open_page: Callable[..., Page],
    short: ProfileSettings,
    with_text: Path,
    tmp_path: Path,
) -> None:
    texts = (*TEXTS, "", "Sunny, sunny wind!", "☀ rain")
    examples = tuple(Example(text, "calm") for text in texts)
    data = Dataset("check", examples, Path("check.tsv"), "0" * 64)
    session = serve(with_text, settings=short, check=data)
    page = open_page(session.url)
    page.wait_for(DONE)
    (check,) = session.outcome().checks
    assert check.passed and check.token_ids_equal and check.label_agreement == 1.0
    assert check.max_score_error < 1e-4
    assert (check.rows, check.target, check.value) == (6, "browser", check.host_value)
    assert "100 % of the computer's choices, the same tokens" in page.evaluate(SHOWN)

    # The session is over and the server is gone: the page still answers.
    page.evaluate(
        "document.getElementById('text-0').value = ''; document.getElementById('text-0').focus()"
    )
    page.press("sunny wind.")
    label, score = LiteRtModel.open(with_text).classify("sunny wind.")
    best = "document.querySelector('.answer .bar').innerText.replace(/\\s+/g, ' ')"
    page.wait_for(f"{best} === '{label} {100 * score:.1f} %'")
    tokens = page.evaluate("[...document.querySelectorAll('.token')].map(t => t.textContent)")
    assert tokens == ["[CLS]", "sun", "##ny", "wind", ".", "[SEP]"]
    assert problems_of(page) == []
    assert_looks_right(page, tmp_path)


def assert_looks_right(page: Page, folder: Path) -> None:
    """Nothing is wider than the phone, and the colors follow the color scheme."""
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE.width
    backgrounds = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        page.send_command("Emulation.setEmulatedMedia", features=[feature])
        pixels = np.asarray(Image.open(page.screenshot(folder / "page.png")).convert("L"), float)
        backgrounds.append(np.median(pixels))
        ink = np.abs(pixels - backgrounds[-1]) > 100
        assert ink.mean() > 0.01  # letters, at least
        assert least_contrast(page) >= SMALLEST_CONTRAST
    light, dark = backgrounds
    assert light > 200 and dark < 60
    assert names_of_controls(page) and all(names_of_controls(page))


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_timed_checked_and_answered_live(
    serve: Callable[..., Session],
    open_page: Callable[..., Page],
    short: ProfileSettings,
    tiny_task_model: Callable[[str], TaskModel],
    tiny_task_file: Callable[..., Path],
    tmp_path: Path,
    task: str,
) -> None:
    """Long texts are read in windows: the file's longest signature has 16 tokens."""
    path = tmp_path / f"{task}.tflite"
    export(tiny_task_model(task), path, ExportSettings(recipe="float32", lengths="8,16"))
    data = task_named(task).read(tiny_task_file(task), DataSettings(), "required")
    session = serve(path, settings=replace(short, end_to_end=True), check=data, texts=None)
    page = open_page(session.url)
    page.wait_for(DONE)
    outcome = session.outcome()
    assert [m.kind for m in outcome.measurements] == ["model", "end_to_end"]
    (check,) = outcome.checks
    assert check.passed and check.token_ids_equal
    assert check.label_agreement in (None, 1.0) and check.max_score_error < 1e-4
    # Cosines of the same texts are equal up to rounding, which decides their rank.
    rounding = 0.05 if task == "embeddings" else 1e-6
    assert check.value == pytest.approx(check.host_value, abs=rounding)
    page.wait_for("document.querySelector('.took').textContent.includes('from text to answer')")
    assert page.evaluate("document.querySelector('.said').textContent") != ""
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE.width
    assert problems_of(page) == []


def test_a_unigram_vocabulary_is_checked_and_answers(
    serve: Callable[..., Session],
    open_page: Callable[..., Page],
    short: ProfileSettings,
    tiny_task_file: Callable[..., Path],
    tmp_path: Path,
) -> None:
    tokenizer = Tokenizer(make_vocabularies()["xlm-roberta"])
    config = BertConfig(tokenizer.vocabulary.size, 8, 1, 2, 8, max_positions=16)
    path = tmp_path / "ner.tflite"
    settings = ExportSettings(recipe="float32", lengths="8,16")
    export(random_task_model(config, tokenizer, "ner"), path, settings)
    data = task_named("ner").read(tiny_task_file("ner"), DataSettings(), "required")
    session = serve(path, settings=short, check=data, texts=None)
    open_page(session.url).wait_for(DONE)
    (check,) = session.outcome().checks
    assert check.passed and check.token_ids_equal and check.label_agreement == 1.0


def test_a_session_for_two_phones_refuses_a_third(
    serve: Callable[..., Session],
    open_page: Callable[..., Page],
    short: ProfileSettings,
    tiny: TinyClassifier,
) -> None:
    session = serve(tiny.path, settings=replace(short, max_seconds=4.0, min_runs=10**6), phones=2)
    first, second = open_page(session.url), open_page(session.url)
    for page in (first, second):
        page.wait_for(f"({DONE}) || ({AT_WORK})")
    third = open_page(session.url)
    assert "takes 2 devices" in third.wait_for(REFUSED)
    measured = session.outcome().measurements
    names = {m.device.name for m in measured}
    assert len(names) == 2
    assert sorted({m.target for m in measured}) == sorted(f"browser:{name}" for name in names)
    assert [m.name for m in measured] == ["tiny", "tiny"]
    assert len({m.session for m in measured}) == 2


def test_a_reloaded_page_keeps_its_place_and_a_second_tab_closes_the_first(
    serve: Callable[..., Session],
    open_page: Callable[..., Page],
    short: ProfileSettings,
    tiny: TinyClassifier,
) -> None:
    session = serve(tiny.path, settings=replace(short, max_seconds=3.0, min_runs=10**6))
    first = open_page(session.url)
    first.wait_for(AT_WORK)
    first.reload()
    first.wait_for(f"({AT_WORK}) && performance.now() < 5000")
    second = open_page(session.url, same_profile_as=first)
    assert "opened again on the same device" in first.wait_for(REFUSED)
    second.wait_for(DONE)
    (measured,) = session.outcome().measurements
    assert measured.target == "browser"


def test_a_tab_closed_during_the_run_is_an_error(
    serve: Callable[..., Session],
    chromium: Chromium,
    short: ProfileSettings,
    tiny: TinyClassifier,
) -> None:
    long = replace(short, max_seconds=20.0, min_runs=10**6)
    session = serve(tiny.path, settings=long, wait_seconds=5.0)
    page = chromium.open(session.url)
    page.wait_for(AT_WORK)
    page.close()
    with pytest.raises(EdgebertError, match=r"left before it was done: the page was closed.*Next"):
        session.outcome()


def test_partial_results_if_a_phone_never_joins(
    serve: Callable[..., Session],
    open_page: Callable[..., Page],
    short: ProfileSettings,
    tiny: TinyClassifier,
) -> None:
    session = serve(tiny.path, settings=short, phones=2, wait_seconds=5.0)
    open_page(session.url)
    (measured,) = session.outcome().measurements
    assert any("Only 1 of 2 devices" in warning for warning in measured.warnings)
    with pytest.raises(EdgebertError, match="nobody opened the page"):
        serve(tiny.path, settings=short, wait_seconds=0.3).outcome()


def test_threads_on_loopback(
    serve: Callable[..., Session],
    open_page: Callable[..., Page],
    short: ProfileSettings,
    tiny: TinyClassifier,
) -> None:
    session = serve(tiny.path, settings=replace(short, threads=(1, 2)))
    open_page(session.url)
    one, two = session.outcome().measurements
    assert (one.threads, one.device.details["wasm_build"]) == (1, "relaxed SIMD")
    assert (two.threads, two.device.details["wasm_build"]) == (2, "threaded, relaxed SIMD")


def test_reasons_to_doubt_the_figures_are_warnings(
    serve: Callable[..., Session],
    open_page: Callable[..., Page],
    short: ProfileSettings,
    tiny: TinyClassifier,
) -> None:
    settings = replace(short, threads=(2,), operations=True)
    session = serve(tiny.path, settings=settings)
    open_page(session.url, before=HIDDEN + NOT_ISOLATED + COARSE_CLOCK)
    (measured,) = session.outcome().measurements
    assert (measured.threads, measured.operations) == (1, ())
    assert (measured.latency.p90_ms, measured.latency.spread) == (None, None)
    assert measured.device.details["clock_ms"] == "1"
    warnings = " ".join(measured.warnings)
    for part in ("in the background", "cross-origin isolated", "were timed together", "operation"):
        assert part in warnings


def test_a_sustained_run(
    serve: Callable[..., Session],
    open_page: Callable[..., Page],
    short: ProfileSettings,
    no_signature: TinyClassifier,
) -> None:
    session = serve(no_signature.path, settings=replace(short, sustained_seconds=0.5))
    open_page(session.url)
    (measured,) = session.outcome().measurements
    assert (measured.signature, measured.length) == (None, 8)
    assert len(measured.sustained) >= 5
    assert measured.sustained[-1].seconds >= 0.5


def test_https_on_loopback(
    serve: Callable[..., Session],
    open_page: Callable[..., Page],
    short: ProfileSettings,
    tiny: TinyClassifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The browser warns about the self-signed certificate, and the user continues."""
    monkeypatch.setattr(
        "edgebert.profiling.browser.find_certificate",
        lambda address: find_certificate(address, tmp_path),
    )
    session = serve(tiny.path, settings=replace(short, threads=(2,)), https=True)
    page = open_page(session.url)
    page.wait_for("document.title === 'Privacy error'")
    page.press("thisisunsafe")  # Chromium's way past the warning, by keys
    page.wait_for(DONE)
    (measured,) = session.outcome().measurements
    assert (measured.threads, measured.device.details["cross_origin_isolated"]) == (2, "yes")


def test_plain_http_over_the_network(
    serve: Callable[..., Session],
    open_page: Callable[..., Page],
    short: ProfileSettings,
    tiny: TinyClassifier,
) -> None:
    """No secure context: no threads, a coarser clock and no client hints, but it works."""
    try:
        address = lan_address()
    except EdgebertError:
        pytest.skip("this machine is in no network")
    session = serve(tiny.path, settings=replace(short, threads=(2,)), lan=True)
    assert f"http://{address}:" in session.url
    open_page(session.url)
    (measured,) = session.outcome().measurements
    assert (measured.threads, measured.device.details["cross_origin_isolated"]) == (1, "no")
    assert any("Next: give --https." in warning for warning in measured.warnings)


def test_webgpu_in_a_browser_without_it(
    serve: Callable[..., Session],
    open_page: Callable[..., Page],
    short: ProfileSettings,
    tiny: TinyClassifier,
) -> None:
    session = serve(tiny.path, settings=short, accelerator="webgpu")
    page = open_page(session.url, before="delete Navigator.prototype.gpu;")
    assert "a browser with WebGPU" in page.wait_for(REFUSED)
    with pytest.raises(EdgebertError, match="leave --accelerator out"):
        session.outcome()


def test_a_model_that_only_browsers_reject(
    serve: Callable[..., Session],
    open_page: Callable[..., Page],
    short: ProfileSettings,
    tmp_path: Path,
) -> None:
    builder = GraphBuilder("of 64-bit numbers")
    graph = builder.subgraph("tokens_8")
    ids = graph.input("token_ids", [1, 8])
    graph.output("numbers", graph.cast(ids, np.float32, "numbers"))
    model = schema.ModelT.InitFromPackedBuf(builder.finish())
    model.subgraphs[0].tensors[0].type = schema.TensorType.INT64
    model.subgraphs[0].operators[0].builtinOptions.inDataType = schema.TensorType.INT64
    packer = flatbuffers.Builder(1024)
    packer.Finish(model.Pack(packer), file_identifier=FILE_IDENTIFIER)
    path = tmp_path / "int64.tflite"
    path.write_bytes(bytes(packer.Output()))
    session = serve(path, settings=short)
    page = open_page(session.url)
    assert "INT64 is not supported" in page.wait_for(REFUSED)
    with pytest.raises(ModelError, match=r"LiteRT\.js 2\.5\.3 in Chrome.*int64: .*INT64.*Next: "):
        session.outcome()


def test_dynamic_lengths_are_refused_before_the_page_is_served(
    short: ProfileSettings, dynamic: TinyClassifier, truncated: Path
) -> None:
    target = BrowserTarget(TargetSettings())
    with pytest.raises(ModelError, match=r"dynamic\.tflite, with dynamic lengths.*--lengths 16,32"):
        target.profile(Job((dynamic.path,), short))
    with pytest.raises(ModelError, match=r"truncated\.tflite"):
        target.profile(Job((truncated,), short))
