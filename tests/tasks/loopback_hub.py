"""A Hub on loopback with data sets in a directory: what huggingface_hub asks for to download."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
"""What branches and tags point at."""


@contextmanager
def serve(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve `root/owner/name` as data sets; gives the address and the paths asked for so far.

    Every commit is there, unless a file `.commits` in the data set names those that are.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Quiet."""

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            asked.append(f"{self.command} {path}")
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "datasets"] and (root / parts[2] / parts[3]).is_dir():
                self._about(root / parts[2] / parts[3], parts[2:])
            elif parts[0] == "datasets" and root.joinpath(*parts[1:3], *parts[5:]).is_file():
                self._file(root.joinpath(*parts[1:3], *parts[5:]), commit=parts[4])
            else:
                self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def _about(self, folder: Path, asked: list[str]) -> None:
            owner, name, *rest = asked
            revision = rest[1] if len(rest) > 1 else "main"
            commit = revision if len(revision) == 40 else COMMIT
            if (folder / ".commits").is_file() and commit not in (folder / ".commits").read_text():
                self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return
            files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            names = [path.relative_to(folder).as_posix() for path in files]
            if "tree" in rest:
                document: object = [
                    {"type": "file", "path": n, "size": p.stat().st_size, "oid": digest(p)}
                    for n, p in zip(names, files, strict=True)
                ]
            else:
                siblings = [{"rfilename": n} for n in names]
                document = {"id": f"{owner}/{name}", "sha": commit, "siblings": siblings}
            self._answer(200, json.dumps(document).encode())

        def _file(self, path: Path, commit: str) -> None:
            headers = {"ETag": f'"{digest(path)}"', "X-Repo-Commit": commit}
            self._answer(200, path.read_bytes(), headers)

        def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def digest(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()
