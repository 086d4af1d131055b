"""A page in headless Chromium that runs `.tflite` files on LiteRT's GPU delegate.

The adapter is a software one: it judges answers, never speed. The page runs the JavaScript library
of `web/`. One page runs all files, because the browser then compiles each shader once.
"""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgebert.system.litertjs import find_litertjs
from edgebert.system.web_files import LIBRARY, web_files
from tests.judges.chromium import Chromium

PAGE = """<!doctype html><title>GPU</title>
<script type="importmap">{"imports": {
  "edgebert": "./edgebert/index.js",
  "@litertjs/core": "./litertjs/core.js",
  "@litertjs/wasm-utils": "./litertjs/wasm-utils.js"
}}</script>
<script type="module">
import { fetchBytes, Runtime } from "edgebert";
const wasm = new URL("./litertjs/wasm/", location.href);
const runtime = await Runtime.start({ wasm, accelerator: "webgpu" });
let graph;
globalThis.load = async (address) => {
  graph?.close();
  graph = await runtime.compile(await fetchBytes(address, () => {}));
  return graph.runsOn;
};
const arrays = { int32: Int32Array, float32: Float32Array };
globalThis.run = async (key, values) => {
  const inputs = {};
  for (const { name, dtype } of graph.inputs(key)) {
    inputs[name] = arrays[dtype].from(values[name].flat(Infinity));
  }
  const outputs = Object.entries(await graph.run(key, inputs));
  return Object.fromEntries(outputs.map(([name, numbers]) => [name, Array.from(numbers)]));
};
globalThis.isReady = true;
</script>
"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


class GpuPage:
    """The page, with one file loaded at a time. Leaving the `with` block closes it.

    Args:
        browser: started with `SOFTWARE_GPU`.
        folder: an empty folder, which is served.
    """

    def __init__(self, browser: Chromium, folder: Path) -> None:
        self._folder, self._files = folder, 0
        sources = {f"edgebert/{path.name}": path for path in web_files(LIBRARY)}
        sources |= {f"litertjs/{name}": path for name, path in find_litertjs().files.items()}
        for name, source in sources.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / name)
        (folder / "index.html").write_text(PAGE)
        handler = functools.partial(_Handler, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._page = browser.open(f"http://127.0.0.1:{self._server.server_address[1]}/")
        self._page.wait_for("globalThis.isReady")

    def __enter__(self) -> GpuPage:
        return self

    def __exit__(self, *exception: object) -> None:
        self._page.close()
        self._server.shutdown()
        self._server.server_close()

    def load(self, path: Path) -> str:
        """Compiles a file and returns where it runs: `webgpu`, or `webgpu and wasm`."""
        self._files += 1
        name = f"model{self._files}.tflite"
        shutil.copyfile(path, self._folder / name)
        return str(self._page.evaluate(f"load('{name}')"))

    def run(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Outputs by name, flat float32, of a signature with inputs by name."""
        values = {name: np.asarray(value).tolist() for name, value in inputs.items()}
        outputs = self._page.evaluate(f"run({json.dumps(signature)}, {json.dumps(values)})")
        return {name: np.asarray(numbers, np.float32) for name, numbers in outputs.items()}
