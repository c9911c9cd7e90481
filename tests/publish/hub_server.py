"""A Hub on loopback: the HTTP protocol that huggingface_hub speaks, over a `Store` in memory.

Written from the client's side of the protocol. It answers creation, card validation, preupload,
large-file upload, commits, pull requests, branches, trees, refs, repository facts and downloads
with ranges, and breaks in the ways it is told to (`Fault`). Large files go by the basic LFS
transfer (the client runs with `HF_HUB_DISABLE_XET=1`) or into Xet storage, which only takes
uploads and gives nothing back.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hub_answers import Answer, refuse
from hub_routes import ROUTES
from hub_store import Commit, Repository, Store

TOKEN = "hf_loopbackWriteToken0123456789abcdef"
READ_TOKEN = "hf_loopbackReadToken0123456789abcdef"
USERS = {TOKEN: ("owner", "write"), READ_TOKEN: ("reader", "read")}


@dataclass
class Fault:
    """Break the next `times` requests whose method and path match.

    With `after_bytes` the connection is dropped when that much of an upload has arrived, or of a
    download has been sent; otherwise the request is answered with `status`.
    """

    method: str
    path: str
    status: int = 500
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "Broken on purpose"
    after_bytes: int | None = None


class HubServer:
    """One running Hub. `requests` and `received` record what came in, for the tests to look at."""

    def __init__(self) -> None:
        self.store = Store()
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.received: dict[str, int] = {}
        """Bytes of large files that were completely uploaded, by SHA-256, summed over uploads."""
        self.xorbs: dict[str, int] = {}
        """Bytes of what Xet storage took, by its hash."""
        self.shards: list[bytes] = []
        self.before_commit: Callable[[], None] = lambda: None
        self.after_commit: Callable[[Repository, Commit], None] = lambda repository, commit: None
        hub = self

        class Bound(Handler):
            server_hub = hub

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._http.daemon_threads = True
        port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{port}"
        self.storage_url = f"http://localhost:{port}"
        """Where large files lie: another host, as the client takes it, like the Hub's own."""

    @contextmanager
    def running(self) -> Iterator[HubServer]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def count(self, method: str, pattern: str) -> int:
        """How many requests so far matched."""
        return sum(m == method and bool(re.search(pattern, p)) for m, p in self.requests)

    def files(self, repo_id: str, revision: str = "main") -> dict[str, bytes]:
        """Content of every file of a repository."""
        commit = self.store.repositories[repo_id].resolve(revision)
        assert commit is not None
        return {path: self.store.content(file) for path, file in commit.files.items()}


def fresh_environment(hub: HubServer, home: Path, **more: str) -> dict[str, str]:
    """The environment of a process on another machine: nothing cached, no token, this Hub."""
    return {
        "PATH": os.environ["PATH"],
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        **more,
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet an answer: else each costs the 40 ms that a delayed acknowledgement takes.
    wbufsize = -1
    disable_nagle_algorithm = True
    server_hub: HubServer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on stderr."""

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path = urlsplit(self.path).path
        self.server_hub.requests.append((self.command, self.path))
        fault = self._fault()
        try:
            if fault is not None and fault.after_bytes is None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {"X-Error-Message": fault.message, **fault.headers}
                raise Answer(fault.status, {"error": fault.message}, headers)
            if fault is not None and self.command == "PUT":
                self.rfile.read(fault.after_bytes)
                self._drop()
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            for method, pattern, route in ROUTES:
                match = re.fullmatch(pattern, path)
                if match and self.command in method:
                    parts = [unquote(part) for part in match.groups() if part is not None]
                    route(self, body, *parts)
            raise Answer(404, {"error": f"no route for {self.command} {path}"})
        except Answer as answer:
            self._send(answer, cut=fault.after_bytes if fault else None)

    def _fault(self) -> Fault | None:
        for fault in self.server_hub.faults:
            if fault.times and fault.method == self.command and re.search(fault.path, self.path):
                fault.times -= 1
                return fault
        return None

    def _send(self, answer: Answer, cut: int | None) -> None:
        self.send_response(answer.status)
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(answer.body if cut is None else answer.body[:cut])
        if cut is not None:
            self._drop()

    def _drop(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    # What the routes share.

    def user(self) -> tuple[str, str] | None:
        """(name, role) of whoever asks, None without a token."""
        header = self.headers.get("Authorization")
        if header is None:
            return None
        user = USERS.get(header.removeprefix("Bearer "))
        if user is None:
            raise refuse(401, "", "Invalid credentials in Authorization header")
        return user

    def writer(self, repo_id: str) -> None:
        """Refuse whoever may not write to this owner's repositories."""
        user = self.user()
        if user is None:
            raise refuse(401, "", "Invalid username or password.")
        if user != (repo_id.split("/")[0], "write"):
            raise refuse(403, "", f"You don't have the rights to write to {repo_id}")

    def repository(self, repo_id: str) -> Repository:
        """The repository, if whoever asks may see it."""
        repository = self.server_hub.store.repositories.get(repo_id)
        if repository is None or (repository.private and self.user() is None):
            raise refuse(404 if self.user() else 401, "RepoNotFound", "Repository not found")
        return repository

    def commit(self, repo_id: str, revision: str) -> Commit:
        """The commit, or what the Hub says where there is none."""
        commit = self.repository(repo_id).resolve(revision)
        if commit is None:
            raise refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit
