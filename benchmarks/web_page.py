"""The page of `edgebert web` with a 9 MB classifier: its bytes, and the time to its first answer.

    python -m benchmarks.web_page [--visits 7]

A headless Chromium opens the page from a plain static server of this machine. The first visit fills
the browser's cache; the figure is the median of the later ones, from the start of the navigation to
the first answer on the page.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks import models
from edgebert.exporting.artifact import export
from edgebert.exporting.web_site import write_site
from edgebert.models.task_model import TaskModel
from edgebert.settings import ExportSettings
from tests.judges.chromium import Chromium, find_chromium

LAYERS = 2
SETTINGS = ExportSettings(embedding="int4", lengths="16,32,64,128")
# When the first answer is there, in ms since the navigation began.
OBSERVE = """
new MutationObserver(() => {
  const said = document.querySelector(".said")?.textContent;
  if (said && !globalThis.answeredMs) globalThis.answeredMs = performance.now();
}).observe(document, { childList: true, subtree: true, characterData: true });
"""
CACHED = "document.getElementById('offline').textContent === 'Works offline'"


def two_layers() -> TaskModel:
    """MiniLM with a two-label head and its first layers."""
    model = models.minilm_classifier()
    whole = model.checkpoint
    dropped = tuple(f"layers.{i}." for i in range(LAYERS, whole.config.num_layers))
    weights = {n: array for n, array in whole.weights.items() if not n.startswith(dropped)}
    config = replace(whole.config, num_layers=LAYERS)
    return replace(model, checkpoint=replace(whole, config=config, weights=weights))


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visits", type=int, default=7, help="with a full cache")
    arguments, chromium = parser.parse_args(), find_chromium()
    if chromium is None:
        raise SystemExit("Expected Chromium. Received: none.")
    with tempfile.TemporaryDirectory() as scratch, Chromium(chromium) as browser:
        path = export(two_layers(), Path(scratch) / "model.tflite", SETTINGS).path
        site = write_site([path], Path(scratch) / "site")
        print(
            f"page {site.page_gzip_bytes / 1e3:.1f} kB gzip'd, model {site.model_bytes / 1e6:.1f} "
            f"MB, LiteRT.js {site.runtime_bytes / 1e6:.1f} MB in two builds"
        )
        handler = functools.partial(_Handler, directory=str(site.folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.open(f"http://127.0.0.1:{server.server_address[1]}/", before=OBSERVE)
        page.wait_for(CACHED, 120)
        first, later = page.evaluate("answeredMs"), []
        for _ in range(arguments.visits):
            page.evaluate("document.title = 'old'")
            page.reload()
            page.wait_for("document.title !== 'old' && globalThis.answeredMs", 60)
            later.append(page.evaluate("answeredMs"))
        print(
            f"first answer: first visit {first / 1e3:.2f} s, later visits {median(later) / 1e3:.2f}"
            f" s (median of {len(later)}, {min(later) / 1e3:.2f} to {max(later) / 1e3:.2f})"
        )
        server.shutdown()


if __name__ == "__main__":
    main()
