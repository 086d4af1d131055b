"""A static web page that answers with a model: any host serves it, and it works offline.

The folder has the page, LiteRT.js and the models. Nothing is loaded from elsewhere. Addresses are
relative, so it may lie in any folder of a host.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert.errors import ModelError, UsageError
from edgebert.exporting.app_readers import require_app_tokenizer
from edgebert.exporting.icon import icon_png
from edgebert.models.manifest import read_manifest
from edgebert.system.litertjs import find_litertjs
from edgebert.system.storage import atomic_folder
from edgebert.system.web_files import LIBRARY, SITE, web_files
from edgebert.tasks import task_named

SITE_NAME = "edgebert"
LONGEST_NAME = 60
ICON_SIZES = (192, 512)
DESCRIPTION = "site.json"
WORKER = "service_worker.js"
RUNTIME_BUILDS = "litert_wasm_internal", "litert_wasm_compat_internal"
"""LiteRT.js' builds of one thread on the processor, with relaxed SIMD and without. The others need
headers that a static host does not send, or a graphics processor."""
_IMPORT_MAP = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)
_NAME = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class WebSite:
    """A page that was written.

    Attributes:
        folder: where.
        name: of the page, for people.
        models: file names in the folder, in the order given.
        page_gzip_bytes: the page and the library, gzip'd file by file.
        runtime_bytes: LiteRT.js; a browser loads one of its two builds.
        model_bytes: the models.
    """

    folder: Path
    name: str
    models: tuple[str, ...]
    page_gzip_bytes: int
    runtime_bytes: int
    model_bytes: int


def write_site(
    models: Sequence[Path], folder: Path, name: str = SITE_NAME, litertjs: str = ""
) -> WebSite:
    """Writes the page, whole or not at all.

    Args:
        models: files of `edgebert export`; the page begins with the first.
        folder: a new one, or one that this function wrote before, which is replaced.
        name: of the page, for people.
        litertjs: folder of @litertjs/core; fetched once through npm when empty.

    Raises:
        UsageError: a name that is too long, a folder that has something else in it.
        ModelError: files that a page can't answer with; all of them are named.
        EdgebertError: LiteRT.js can't be fetched.
    """
    _refuse_name(name)
    _refuse_other_folder(folder)
    described = _described(models)
    runtime = {
        f"litertjs/{path}": file
        for path, file in find_litertjs(litertjs).files.items()
        if not path.startswith("wasm/") or Path(path).stem in RUNTIME_BUILDS
    }
    page = _page_files(name, described)
    large = [path for path in runtime if path.startswith("litertjs/wasm/")]
    large += [model["file"] for model in described]
    small = ["./", *page, *(path for path in runtime if path not in large)]
    sources = [*runtime.values(), *models]
    page[WORKER] = _worker(page, sources, small, large)
    with atomic_folder(folder, is_kept=lambda file: False) as made:
        for path, content in page.items():
            target = made / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        for path, source in [*runtime.items(), *zip(large[-len(models) :], models, strict=True)]:
            target = made / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return WebSite(
        folder,
        name,
        tuple(model["file"] for model in described),
        sum(len(gzip.compress(content)) for content in page.values()),
        sum(file.stat().st_size for file in runtime.values()),
        sum(model["size_bytes"] for model in described),
    )


def _page_files(name: str, described: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """The page and the library by their paths, without the service worker."""
    page = {path.name: path.read_bytes() for path in web_files(SITE) if path.name != WORKER}
    page |= {f"{LIBRARY}/{path.name}": path.read_bytes() for path in web_files(LIBRARY)}
    page["index.html"] = _index(page["index.html"].decode(), name)
    page[DESCRIPTION] = json.dumps({"name": name, "models": list(described)}).encode()
    icons = {f"icon-{size}.png": size for size in ICON_SIZES}
    page |= {path: icon_png(size) for path, size in icons.items()}
    page["manifest.webmanifest"] = json.dumps(
        {
            "name": name,
            "short_name": name,
            "start_url": ".",
            "scope": ".",
            "display": "standalone",
            "background_color": "#f4f5f7",
            "theme_color": "#2f6fed",
            "icons": [
                {"src": path, "sizes": f"{size}x{size}", "type": "image/png"}
                for path, size in icons.items()
            ],
        }
    ).encode()
    return page


def _index(text: str, name: str) -> bytes:
    """The page's HTML with its name, and the hash by which its import map may run."""
    found = _IMPORT_MAP.search(text)
    assert found is not None, "the page has an import map"
    digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
    filled = text.replace("{import_map_hash}", f"'sha256-{digest}'")
    return filled.replace("{name}", html.escape(name)).encode()


def _worker(
    page: Mapping[str, bytes], sources: Sequence[Path], small: Sequence[str], large: Sequence[str]
) -> bytes:
    """The service worker; its version is a hash of all that it keeps."""
    (template,) = (path.read_text("utf-8") for path in web_files(SITE) if path.name == WORKER)
    digest = hashlib.sha256(template.encode())
    for path, content in sorted(page.items()):
        digest.update(path.encode() + hashlib.sha256(content).digest())
    for source in sources:
        digest.update(_sha256(source).encode())
    filled = template.replace("{version}", digest.hexdigest()[:16])
    filled = filled.replace('"{small}"', json.dumps(list(small)))
    return filled.replace('"{large}"', json.dumps(list(large))).encode()


def _described(models: Sequence[Path]) -> list[dict[str, Any]]:
    problems, found = [], []
    for path in models:
        try:
            found.append(_describe(path))
        except ModelError as error:
            problems.append(str(error))
    if problems:
        raise ModelError("\n".join(problems))
    return found


def _describe(path: Path) -> dict[str, Any]:
    """A model as the page has it. Its file is named after its bytes: browsers may keep it."""
    if path.is_dir():
        raise ModelError(
            f"{path} is a folder. Expected a .tflite. Next: export it with `edgebert export`."
        )
    manifest = read_manifest(path)
    require_app_tokenizer(path, manifest)
    if not task_named(manifest.task).has_answers:
        raise ModelError(
            f"{path}: expected a model with a task. Received: a bare encoder, which has no "
            "answers. Next: fine-tune it with `edgebert finetune`."
        )
    if not manifest.lengths:
        raise ModelError(
            f"{path}: expected fixed token lengths. Received: a file of any length, which "
            "LiteRT.js can't run. Next: export it with --lengths 16,32,64,128."
        )
    stem = _NAME.sub("-", path.stem).strip("-") or "model"
    return {
        "name": path.stem,
        "task": manifest.task,
        "file": f"models/{stem}-{_sha256(path)[:8]}.tflite",
        "size_bytes": path.stat().st_size,
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_name(name: str) -> None:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(
            f"--name expects 1 to {LONGEST_NAME} characters that can be printed. "
            f"Received: {name!r}."
        )


def _refuse_other_folder(folder: Path) -> None:
    if not folder.exists():
        return
    is_ours = folder.is_dir() and (folder / WORKER).is_file() and (folder / DESCRIPTION).is_file()
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if not is_ours and not is_empty:
        raise UsageError(
            f"Expected a new folder, or one of `edgebert web`. Received: {folder}, which has "
            "something else in it. Next: name another one with -o, or remove it."
        )
