"""A model hub on loopback with the requests of Hugging Face's hub that `snapshot_download` uses."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REVISION = "0123456789abcdef0123456789abcdef01234567"


def files(folder: Path) -> dict[str, bytes]:
    """The content of every file, by its path in the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@contextlib.contextmanager
def serve_hub(models: dict[str, Path]) -> Iterator[str]:
    """The endpoint of a hub with one revision of each model, named `main` and `v1`.

    Args:
        models: Folder of each model, by name.
    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            body, headers = self.found(self.path.split("?")[0].strip("/").split("/"))
            self.send_response(200 if body is not None else 404)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            if with_body and body:
                self.wfile.write(body)

        def found(self, parts: list[str]) -> tuple[bytes | None, dict[str, str]]:
            api = parts[:2] == ["api", "models"]
            parts = parts[2:] if api else parts
            folder = models.get("/".join(parts[:2]))
            if folder is None:
                return None, {"X-Error-Code": "RepoNotFound"}
            known = {"main", "v1", REVISION}
            if api:
                what, revision = parts[2:4] or ("revision", "main")
                if revision not in known:
                    return None, {"X-Error-Code": "RevisionNotFound"}
                content = self.tree(folder) if what == "tree" else self.facts(parts[:2], folder)
                return json.dumps(content).encode(), {"Content-Type": "application/json"}
            if parts[2] != "resolve" or parts[3] not in known:
                return None, {"X-Error-Code": "RevisionNotFound"}
            path = folder.joinpath(*parts[4:])
            if not path.is_file():
                return None, {"X-Error-Code": "EntryNotFound"}
            data = path.read_bytes()
            tag = f'"{sha256(data).hexdigest()}"'
            return data, {"ETag": tag, "X-Repo-Commit": REVISION}

        def tree(self, folder: Path) -> list[dict[str, object]]:
            return [
                {"type": "file", "path": name, "size": len(data), "oid": sha1(data).hexdigest()}
                for name, data in files(folder).items()
            ]

        def facts(self, name: list[str], folder: Path) -> dict[str, object]:
            siblings = [{"rfilename": file} for file in files(folder)]
            return {"id": "/".join(name), "sha": REVISION, "siblings": siblings}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
