"""A Hub on loopback: the HTTP protocol that huggingface_hub speaks, over a `Store` in memory.

Written from the client's side of the protocol. It answers creation, card validation, preupload,
large-file upload, commits, pull requests, branches, trees, refs, repository facts and downloads
with ranges, and breaks in the ways it is told to (`Fault`). Large files go by the basic LFS
transfer: the client runs with `HF_HUB_DISABLE_XET=1`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from hub_store import Commit, Repository, Store, StoredFile, large_file, pointer_text

TOKEN = "hf_loopbackWriteToken0123456789abcdef"
READ_TOKEN = "hf_loopbackReadToken0123456789abcdef"
USERS = {TOKEN: ("owner", "write"), READ_TOKEN: ("reader", "read")}
MAX_REGULAR_BYTES = 10_000
"""Above this a file is a large file, whatever its name."""


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


class Answer(Exception):  # noqa: N818 - an answer is not always an error
    """An HTTP response, raised from wherever it is known."""

    def __init__(
        self, status: int, body: bytes | Any = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = dict(headers or {})


def refuse(status: int, code: str, message: str) -> Answer:
    """An error as the Hub words it: a header with the code, one with the message."""
    headers = {"X-Error-Code": code, "X-Error-Message": message}
    return Answer(status, {"error": message}, headers)


class HubServer:
    """One running Hub. `requests` and `received` record what came in, for the tests to look at."""

    def __init__(self) -> None:
        self.store = Store()
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.received: dict[str, int] = {}
        """Bytes of large files that were completely uploaded, by SHA-256, summed over uploads."""
        self.after_commit: Callable[[Repository, Commit], None] = lambda repository, commit: None
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
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


class _Handler(BaseHTTPRequestHandler):
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


def whoami(hub: _Handler, body: bytes) -> None:
    user = hub.user()
    if user is None:
        raise refuse(401, "", "Invalid username or password.")
    token = {"displayName": "test", "role": user[1]}
    raise Answer(200, {"name": user[0], "orgs": [], "auth": {"accessToken": token}})


def validate_yaml(hub: _Handler, body: bytes) -> None:
    errors = card_errors(json.loads(body)["content"])
    raise Answer(400 if errors else 200, {"errors": errors, "warnings": []})


def card_errors(content: str) -> list[dict[str, str]]:
    """The rules of the Hub's metadata schema that are public, as its messages word them."""
    match = re.match(r"\s*---\n(.*?)\n---", content, re.DOTALL)
    try:
        data = yaml.safe_load(match.group(1)) if match else {}
    except yaml.YAMLError as error:
        return [{"message": f"bad indentation or syntax: {error}"}]
    data = data or {}
    rules = {
        "license": r"[a-z0-9.+-]+",
        "license_name": r"[a-z0-9.+-]+",
        "base_model": r"[\w.-]+/[\w.-]+",
        "base_model_relation": "adapter|merge|quantized|finetune",
        "pipeline_tag": r"[a-z-]+",
        "library_name": r"[\w.-]+",
    }
    errors = [
        f'"{key}" with value {data[key]!r} is not valid'
        for key, rule in rules.items()
        if key in data and not re.fullmatch(rule, str(data[key]))
    ]
    if data.get("license") == "other" and not data.get("license_name"):
        errors.append('"license_name" is required with license: other')
    errors += [
        f'"language" {code!r} is not a code'
        for code in data.get("language", [])
        if not re.fullmatch("[a-z]{2,3}", str(code))
    ]
    for model in data.get("model-index", []):
        for result in model["results"]:
            if not {"type"} <= set(result["task"]) or not {"type", "name"} <= set(
                result["dataset"]
            ):
                errors.append('"model-index" lacks a required field')
    return [{"message": error} for error in errors]


def create_repository(hub: _Handler, body: bytes) -> None:
    wanted = json.loads(body)
    user = hub.user()
    repo_id = f"{wanted.get('organization') or (user or ('', ''))[0]}/{wanted['name']}"
    hub.writer(repo_id)
    store = hub.server_hub.store
    url = {"url": f"{hub.server_hub.url}/{repo_id}", "name": repo_id, "id": repo_id}
    if repo_id in store.repositories:
        raise Answer(409, {"error": "You already created this model repo", **url})
    store.create(repo_id, private=wanted.get("visibility") == "private")
    raise Answer(200, url)


def repository_facts(hub: _Handler, body: bytes, repo_id: str, revision: str = "main") -> None:
    repository = hub.repository(repo_id)
    commit = hub.commit(repo_id, revision)
    raise Answer(
        200,
        {
            "id": repo_id,
            "modelId": repo_id,
            "sha": commit.oid,
            "private": repository.private,
            "gated": "auto" if repository.gated else False,
            "tags": [],
            "siblings": [{"rfilename": path} for path in sorted(commit.files)],
        },
    )


def tree(hub: _Handler, body: bytes, repo_id: str, revision: str, under: str = "") -> None:
    commit = hub.commit(repo_id, revision)
    under = under.strip("/")
    chosen = {
        path: file
        for path, file in sorted(commit.files.items())
        if not under or path.startswith(under + "/")
    }
    if under and not chosen:
        raise refuse(404, "EntryNotFound", f"{under} does not exist on {revision}")
    if "recursive=true" not in hub.path.lower():
        depth = under.count("/") + 2 if under else 1
        chosen = {path: file for path, file in chosen.items() if path.count("/") < depth}
    raise Answer(200, [tree_entry(path, file) for path, file in chosen.items()])


def tree_entry(path: str, file: StoredFile) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "file",
        "oid": file.git_oid,
        "size": file.size,
        "path": path,
    }
    if file.lfs_sha256:
        pointer = len(pointer_text(file.lfs_sha256, file.size))
        entry["lfs"] = {"oid": file.lfs_sha256, "size": file.size, "pointerSize": pointer}
    return entry


def paths_info(hub: _Handler, body: bytes, repo_id: str, revision: str) -> None:
    commit = hub.commit(repo_id, revision)
    wanted = json.loads(body)["paths"]
    files = commit.files
    raise Answer(200, [tree_entry(path, files[path]) for path in wanted if path in files])


def refs(hub: _Handler, body: bytes, repo_id: str) -> None:
    repository = hub.repository(repo_id)
    branches = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": oid}
        for name, oid in repository.refs.items()
        if not name.startswith("refs/")
    ]
    raise Answer(200, {"branches": branches, "tags": [], "converts": []})


def create_branch(hub: _Handler, body: bytes, repo_id: str, branch: str) -> None:
    hub.writer(repo_id)
    repository = hub.repository(repo_id)
    if branch in repository.refs:
        raise Answer(409, {"error": "Reference already exists"})
    repository.refs[branch] = repository.refs["main"]
    raise Answer(200, {})


def preupload(hub: _Handler, body: bytes, repo_id: str, revision: str) -> None:
    hub.writer(repo_id)
    present = hub.commit(repo_id, revision).files
    answers = []
    for file in json.loads(body)["files"]:
        base64.b64decode(file["sample"])
        large = file["path"].endswith(".safetensors") or file["size"] > MAX_REGULAR_BYTES
        there = present.get(file["path"])
        oid = None if there is None else there.lfs_sha256 or there.git_oid
        mode = {"uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid}
        answers.append({"path": file["path"], **mode})
    raise Answer(200, {"files": answers})


def lfs_batch(hub: _Handler, body: bytes, repo_id: str) -> None:
    hub.writer(repo_id)
    objects = []
    for wanted in json.loads(body)["objects"]:
        oid, size = wanted["oid"], wanted["size"]
        answer: dict[str, Any] = {"oid": oid, "size": size}
        if oid not in hub.server_hub.store.blobs:
            href = f"{hub.server_hub.url}/_upload/{oid}"
            check = f"{hub.server_hub.url}/_verify"
            answer["actions"] = {"upload": {"href": href}, "verify": {"href": check}}
        objects.append(answer)
    raise Answer(200, {"transfer": "basic", "objects": objects})


def lfs_upload(hub: _Handler, body: bytes, oid: str) -> None:
    if hashlib.sha256(body).hexdigest() != oid:
        raise Answer(400, {"error": "content does not match its hash"})
    hub.server_hub.store.blobs[oid] = body
    hub.server_hub.received[oid] = hub.server_hub.received.get(oid, 0) + len(body)
    raise Answer(200)


def lfs_verify(hub: _Handler, body: bytes) -> None:
    wanted = json.loads(body)
    stored = hub.server_hub.store.blobs.get(wanted["oid"])
    raise Answer(200 if stored is not None and len(stored) == wanted["size"] else 404)


def commit_files(hub: _Handler, body: bytes, repo_id: str, revision: str) -> None:
    hub.writer(repo_id)
    repository, store = hub.repository(repo_id), hub.server_hub.store
    parent = hub.commit(repo_id, revision)
    lines = [json.loads(line) for line in body.splitlines()]
    header = lines[0]["value"]
    if header.get("parentCommit") not in (None, parent.oid):
        raise Answer(412, {"error": "A commit has happened since. Please refresh and try again."})
    files = dict(parent.files)
    for line in lines[1:]:
        value, path = line["value"], line["value"]["path"]
        if line["key"] == "file":
            files[path] = store.add_blob(base64.b64decode(value["content"]))
        elif line["key"] == "lfsFile":
            if value["oid"] not in store.blobs:
                raise Answer(400, {"error": f"{path} was not uploaded"})
            files[path] = large_file(value["oid"], value["size"])
        else:
            del files[path]
    answer: dict[str, Any] = {"success": True, "hookOutput": ""}
    if "create_pr=1" in hub.path:
        repository.pull_requests += 1
        revision = f"refs/pr/{repository.pull_requests}"
        number = repository.pull_requests
        answer["pullRequestUrl"] = f"{hub.server_hub.url}/{repo_id}/discussions/{number}"
    commit = repository.commit(revision, files, header["summary"])
    hub.server_hub.after_commit(repository, commit)
    url = f"{hub.server_hub.url}/{repo_id}/commit/{commit.oid}"
    raise Answer(200, {**answer, "commitOid": commit.oid, "commitUrl": url})


def download(hub: _Handler, body: bytes, repo_id: str, revision: str, path: str) -> None:
    repository = hub.repository(repo_id)
    if repository.gated and hub.user() is None:
        raise refuse(403, "GatedRepo", f"Access to model {repo_id} is restricted.")
    commit = hub.commit(repo_id, revision)
    file = commit.files.get(path)
    headers = {"X-Repo-Commit": commit.oid}
    if file is None:
        raise Answer(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
    if file.lfs_sha256 is None:
        headers["ETag"] = f'"{file.git_oid}"'
        raise Answer(200, hub.server_hub.store.content(file), headers)
    headers |= {
        "X-Linked-Etag": f'"{file.lfs_sha256}"',
        "X-Linked-Size": str(file.size),
        "Location": f"{hub.server_hub.storage_url}/_content/{file.lfs_sha256}",
    }
    raise Answer(302, b"", headers)


def content(hub: _Handler, body: bytes, oid: str) -> None:
    stored = hub.server_hub.store.blobs[oid]
    wanted = re.fullmatch(r"bytes=(\d+)-", hub.headers.get("Range", ""))
    if wanted is None:
        raise Answer(200, stored, {"ETag": f'"{oid}"'})
    start = int(wanted.group(1))
    span = f"bytes {start}-{len(stored) - 1}/{len(stored)}"
    raise Answer(206, stored[start:], {"ETag": f'"{oid}"', "Content-Range": span})


REPO = "([^/]+/[^/]+)"
ROUTES: list[tuple[tuple[str, ...], str, Callable[..., None]]] = [
    (("GET",), "/api/whoami-v2", whoami),
    (("POST",), "/api/validate-yaml", validate_yaml),
    (("POST",), "/api/repos/create", create_repository),
    (("GET",), f"/api/models/{REPO}/refs", refs),
    (("GET",), f"/api/models/{REPO}/tree/([^/]+)(/.*)?", tree),
    (("POST",), f"/api/models/{REPO}/paths-info/([^/]+)", paths_info),
    (("GET",), f"/api/models/{REPO}/revision/([^/]+)", repository_facts),
    (("POST",), f"/api/models/{REPO}/branch/([^/]+)", create_branch),
    (("POST",), f"/api/models/{REPO}/preupload/([^/]+)", preupload),
    (("POST",), f"/api/models/{REPO}/commit/([^/]+)", commit_files),
    (("GET",), f"/api/models/{REPO}", repository_facts),
    (("POST",), f"/{REPO}.git/info/lfs/objects/batch", lfs_batch),
    (("PUT",), "/_upload/([0-9a-f]+)", lfs_upload),
    (("POST",), "/_verify", lfs_verify),
    (("GET", "HEAD"), "/_content/([0-9a-f]+)", content),
    (("GET", "HEAD"), f"/{REPO}/resolve/([^/]+)/(.+)", download),
]
