"""Our int8 MiniLM in LiteRT.js against onnxruntime-web's int8 model of the same checkpoint.

    python -m benchmarks.browser [--threads 1] [--blocks 30] [--no-relaxed-simd]

One page of a headless Chromium runs both, block by block in turn. Both runtimes come through npm
into our cache. The ratio is the median of block against block, with its 95 % confidence interval,
so it stands on a busy machine too, where the milliseconds don't.
"""

from __future__ import annotations

import argparse
import tempfile
from importlib.resources import files as package_files
from pathlib import Path

import numpy as np

from benchmarks import models
from edgebert.exporting.artifact import export
from edgebert.profiling.browser.page_session import PageSessions
from edgebert.profiling.browser.server import PageServer, Resource
from edgebert.profiling.measurement import median_interval
from edgebert.settings import ExportSettings
from edgebert.system.litertjs import NpmPackage, fetch, find_litertjs
from edgebert.system.web_files import LIBRARY, web_files
from tests.judges.chromium import Chromium, Page, find_chromium

ONNX_RUNTIME_WEB = NpmPackage(
    "onnxruntime-web",
    "1.30.0",
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
)
LENGTHS = (32, 128)
CALLS_PER_BLOCK = 5
PAGE = Path(__file__).parent / "browser_page"
OURS = "ours"
BUILD, BUILD_WITHOUT = "litert_wasm_internal.js", "litert_wasm_compat_internal.js"


def resources(ours: Path, peer: Path, relaxed_simd: bool) -> dict[str, Resource]:
    """The page, both runtimes and both models, by the path that the page loads them from."""
    found = {path.name: Resource(path) for path in PAGE.iterdir()}
    found[""] = found.pop("index.html")
    for item in (package_files("edgebert.profiling.browser") / "page").iterdir():
        if item.name.endswith(".js"):
            found.setdefault(item.name, Resource(item.read_bytes()))
    for path in web_files(LIBRARY):
        found[f"edgebert/{LIBRARY}/{path.name}"] = Resource(path)
    for name, path in find_litertjs().files.items():
        found[f"litertjs/{name}"] = Resource(path)
    if not relaxed_simd:  # what LiteRT.js takes where a browser has none
        found[f"litertjs/wasm/{BUILD}"] = found[f"litertjs/wasm/{BUILD_WITHOUT}"]
    for path in (fetch("onnxruntime-web", [ONNX_RUNTIME_WEB]) / "onnxruntime-web/dist").iterdir():
        if path.suffix in (".mjs", ".wasm"):
            found[f"ort/{path.name}"] = Resource(path)
    return {**found, f"models/{OURS}.tflite": Resource(ours), "peer.onnx": Resource(peer)}


def compare(page: Page, length: int, blocks: int) -> None:
    """Prints one length."""
    call = f"benchmark.compare(sides, {length}, {blocks}, {CALLS_PER_BLOCK})"
    times = page.evaluate(call)
    ours, theirs = (np.median(times[side], axis=1) for side in ("ours", "theirs"))
    ratios = ours / theirs
    low, high = median_interval(ratios)
    print(
        f"{length:4d} tokens: LiteRT.js {np.median(ours):7.2f} ms, "
        f"onnxruntime-web {np.median(theirs):7.2f} ms, "
        f"ratio {np.median(ratios):.3f} ({low:.3f} to {high:.3f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=30, help="of both sides, for each length")
    parser.add_argument("--no-relaxed-simd", action="store_true", help="as in older browsers")
    arguments = parser.parse_args()
    peer, chromium = models.PEERS / models.ORT_FILE, find_chromium()
    if chromium is None or not peer.is_file():
        raise SystemExit(f"Expected Chromium and {peer}. Received: {chromium}, {peer.is_file()}.")
    with tempfile.TemporaryDirectory() as scratch:
        settings = ExportSettings(lengths=",".join(map(str, LENGTHS)))
        ours = export(models.minilm_classifier(), Path(scratch) / "ours.tflite", settings)
        sizes = f"{ours.size_bytes / 1e6:.1f} MB and {peer.stat().st_size / 1e6:.1f} MB"
        sessions = PageSessions(0, lambda page: None)  # no page joins: this script drives the page
        content = resources(ours.path, peer, not arguments.no_relaxed_simd)
        with (
            PageServer(content, sessions, lambda page: {}) as server,
            Chromium(chromium) as browser,
        ):
            page = browser.open(server.url)
            page.wait_for("window.benchmark")
            page.evaluate(
                f"benchmark.load('{OURS}', {arguments.threads}).then((both) => (self.sides = both))"
                ".then(() => true)"
            )
            print(f"int8, {arguments.threads} thread(s), {sizes}")
            for length in LENGTHS:
                compare(page, length, arguments.blocks)


if __name__ == "__main__":
    main()
