"""The page of `edgebert web` in a real headless Chromium, over a plain static server."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from converters.tflite.metadata import append_associated_files
from edgebert.errors import ModelError, UsageError
from edgebert.exporting.artifact import export
from edgebert.exporting.web_site import WebSite, write_site
from edgebert.models.litert_model import LiteRtModel
from edgebert.models.manifest import UNSEALED, read_manifest, seal
from edgebert.models.task_model import TaskModel
from edgebert.settings import TASKS, ExportSettings
from tests.judges.chromium import Chromium, Page, Viewport
from tests.judges.page_checks import SHIFTS, SMALLEST_CONTRAST, least_contrast, names_of_controls

OWN_BYTES = 60_000
LARGE_BYTES = 160 << 20
PHONE = Viewport(width=360, height=740, mobile=True)
READY = "!document.getElementById('live').hidden && document.getElementById('progress').hidden"
OFFLINE = "document.getElementById('offline').textContent"
SAID = "document.querySelector('.said').textContent"


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


class Host:
    """A static host; `stop` is the network going away."""

    def __init__(self, root: Path) -> None:
        handler = functools.partial(Handler, directory=str(root))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def models(
    tiny_task_model: Callable[[str], TaskModel], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("web models")
    settings = ExportSettings(recipe="float32", lengths="16,32")
    found = {}
    for task in TASKS:
        found[task] = folder / f"{task}.tflite"
        export(tiny_task_model(task), found[task], settings)
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("host")


@pytest.fixture(scope="module")
def site(models: dict[str, Path], root: Path) -> WebSite:
    """All nine tasks, in a sub-folder of the host."""
    return write_site([models[task] for task in TASKS], root / "team" / "demo", "Nine <tasks>")


@pytest.fixture
def host(root: Path) -> Iterator[Host]:
    served = Host(root)
    yield served
    served.stop()


def problems_of(page: Page) -> list[str]:
    return [line for line in page.problems if not line.startswith(("INFO:", "WARNING:"))]


def typed(page: Page, *texts: str) -> None:
    """Puts texts into the fields, as typing does."""
    for number, text in enumerate(texts):
        page.evaluate(
            f"(() => {{ const field = document.getElementById('text-{number}');"
            f"field.value = {json.dumps(text)}; field.dispatchEvent(new Event('input')); }})()"
        )


def choose(page: Page, number: int) -> None:
    page.evaluate(
        "(() => { const choice = document.querySelector('.choice select');"
        f"choice.value = '{number}'; choice.dispatchEvent(new Event('change')); }})()"
    )
    page.wait_for(f"document.getElementById('live').dataset.task === '{TASKS[number]}'")


TEXTS = {
    "classification": ("the movie is very good",),
    "pairs": ("the movie is good", "a good film"),
    "multi-label": ("turn the lights on and play music",),
    "regression": ("the movie is good",),
    "ner": ("turn the lights on today 😀 now",),
    "pos": ("play good music now",),
    "qa": ("what is on today", "The movie is on today. The music is very nice, and good. " * 3),
    "masked-lm": ("the [MASK] is very [MASK]",),
}


def expected(task: str, path: Path) -> str:
    """The line that the page says of this machine's answer."""
    model = LiteRtModel.open(path)
    answer = model.answer(model.task.example(*TEXTS[task]))
    if task in ("classification", "pairs"):
        return f"{answer['label']}, {100 * answer['probability']:.1f} %"
    if task == "multi-label":
        return ", ".join(answer["labels"]) or "No label"
    if task == "regression":
        return f"Score {answer['score']:.3f}"
    if task == "ner":
        entities = [f"{entity['type']}: {entity['text']}" for entity in answer["entities"]]
        return "; ".join(entities) or "No entities"
    if task == "pos":
        return f"{len(answer['words'])} words"
    if task == "qa":
        return str(answer["answers"][0]["text"]) or "No answer in the text"
    return str(answer["filled"])


def test_nine_tasks_answer_as_this_machine_does(
    chromium: Chromium, host: Host, site: WebSite, models: dict[str, Path]
) -> None:
    page = chromium.open(f"{host.url}/team/demo/", PHONE)
    page.wait_for(READY)
    for number, task in enumerate(TASKS):
        choose(page, number)
        if task == "embeddings":
            page.wait_for(f"{SAID}.startsWith('Nearest')")
            typed(page, "good film", "stop the music\ngood film\nset a timer")
            page.wait_for(f"{SAID} === 'Nearest: good film'")
            cosine = page.evaluate("document.querySelector('.hits .share').textContent")
            assert cosine == "1.000"
            continue
        typed(page, *TEXTS[task])
        page.wait_for(f"{SAID} === {json.dumps(expected(task, models[task]))}")
        assert "from text to answer" in page.evaluate("document.querySelector('.took').textContent")
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE.width
    assert problems_of(page) == []
    assert all(url.startswith((host.url, "data:")) for url in page.requests)
    page.close()


def test_it_opens_without_a_network_after_the_first_visit(
    chromium: Chromium, root: Path, site: WebSite
) -> None:
    host = Host(root)
    page = chromium.open(f"{host.url}/team/demo/", PHONE)
    page.wait_for(READY)
    page.wait_for(f"{OFFLINE} === 'Works offline'")
    host.stop()
    page.reload()
    page.wait_for(f"performance.now() < 15000 && {READY} && {OFFLINE} === 'Works offline'")
    typed(page, "good film")
    page.wait_for(f"{SAID}.includes('%')")
    assert problems_of(page) == []
    page.close()


def test_a_full_storage_is_said_and_the_page_answers(
    chromium: Chromium, host: Host, site: WebSite
) -> None:
    full = "Cache.prototype.put = () => Promise.reject(new DOMException('', 'QuotaExceededError'));"
    hidden = "caches.match = async () => undefined;"
    page = chromium.open(f"{host.url}/team/demo/", PHONE, before=full + hidden)
    page.wait_for(READY)
    page.wait_for(f"{OFFLINE}.includes('its storage may be full')", 40)
    assert page.evaluate(f"{SAID}.includes('%')")
    page.close()


def test_hostile_and_huge_texts(chromium: Chromium, host: Host, site: WebSite) -> None:
    page = chromium.open(f"{host.url}/team/demo/", PHONE)
    page.wait_for(READY)
    choose(page, TASKS.index("ner"))
    typed(page, "\ud800 lights <b>on</b> \udc00")
    page.wait_for("document.querySelector('.marked')?.textContent.includes('lights')")
    assert page.evaluate("document.querySelector('.marked b')") is None
    page.evaluate(
        "(() => { const field = document.getElementById('text-0');"
        "field.value = 'turn the lights on '.repeat(55000);"
        "field.dispatchEvent(new Event('input')); })()"
    )
    page.wait_for("document.querySelector('.took').textContent.includes('Only the first')", 60)
    typed(page, "   ")
    page.wait_for(f"{SAID} === ''")
    assert problems_of(page) == []
    page.close()


@pytest.mark.parametrize("dark", [False, True])
def test_what_a_checker_of_pages_looks_at(
    chromium: Chromium, host: Host, site: WebSite, dark: bool
) -> None:
    """Names of controls, contrast of text, no shift of what is shown, one language."""
    page = chromium.open(f"{host.url}/team/demo/", replace(PHONE, dark=dark), before=SHIFTS)
    page.wait_for(READY)
    page.wait_for(f"{SAID} !== ''")
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.title") == "Nine <tasks>"
    assert len(names_of_controls(page)) >= 3 and all(names_of_controls(page))
    assert sum(page.evaluate("shifts")) < 0.1
    assert least_contrast(page) >= SMALLEST_CONTRAST
    page.close()


def test_it_can_be_installed(chromium: Chromium, host: Host, site: WebSite) -> None:
    page = chromium.open(f"{host.url}/team/demo/", PHONE)
    page.wait_for(READY)
    page.wait_for("navigator.serviceWorker.controller !== null")
    found = page.send_command("Page.getAppManifest")
    assert found["errors"] == [] and "Nine <tasks>" in found["data"]
    said = page.send_command("Page.getInstallabilityErrors")["installabilityErrors"]
    reasons = {error["errorId"] for error in said}
    assert reasons <= {"in-incognito"}  # each page of this judge has a profile that is not kept
    page.close()


def test_a_device_with_too_little_memory_is_said(
    chromium: Chromium, root: Path, host: Host, models: dict[str, Path], tmp_path: Path
) -> None:
    """The runtime starts with less memory than the file has bytes, and gets no more."""
    large = tmp_path / "large.tflite"
    padding = {"padding": bytes(LARGE_BYTES)}
    small = models["ner"].read_bytes()
    sha256 = read_manifest(models["ner"]).file_sha256.encode()
    unsealed = small.replace(sha256, UNSEALED.encode())
    large.write_bytes(seal(append_associated_files(unsealed, padding)))
    write_site([large], root / "large")
    refuse = "WebAssembly.Memory.prototype.grow = () => { throw new RangeError('no memory'); };"
    page = chromium.open(f"{host.url}/large/", PHONE, before=refuse)
    page.wait_for("!document.getElementById('problem').hidden", 60)
    said = page.evaluate("document.getElementById('problem-text').textContent")
    assert "the device may have too little memory" in said
    page.close()


def test_an_older_browser_without_relaxed_simd(
    chromium: Chromium, host: Host, site: WebSite
) -> None:
    """Its WebAssembly refuses the tiny modules that LiteRT.js asks for features with."""
    page = chromium.open(f"{host.url}/team/demo/", PHONE, before=NO_FEATURES)
    page.wait_for(READY, 60)
    page.wait_for(f"{SAID}.includes('%')")
    builds = {url.rpartition("/")[2] for url in page.requests if url.endswith(".wasm")}
    assert builds == {"litert_wasm_compat_internal.wasm"}
    page.close()


NO_FEATURES = """
const instantiate = WebAssembly.instantiate;
WebAssembly.instantiate = (module, ...rest) =>
  module.byteLength < 1000
    ? Promise.reject(new WebAssembly.CompileError("unknown operation"))
    : instantiate(module, ...rest);
"""


def test_the_pages_own_bytes_are_few(site: WebSite) -> None:
    assert site.page_gzip_bytes < OWN_BYTES


def test_written_again_the_old_model_is_gone(models: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "site"
    (first,) = write_site([models["ner"]], folder).models
    (second,) = write_site([models["qa"]], folder).models
    assert not (folder / first).exists()
    assert (folder / second).read_bytes() == models["qa"].read_bytes()


def test_what_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    model = models["ner"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="something else in it"):
        write_site([model], tmp_path / "full")
    with pytest.raises(UsageError, match="--name expects"):
        write_site([model], tmp_path / "site", name=" ")
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cut"):
        write_site([cut, tmp_path], tmp_path / "site")
    assert not (tmp_path / "site").exists()
