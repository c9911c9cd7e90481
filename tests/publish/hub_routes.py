"""What the loopback Hub answers to each request: one function a route, the table at the end.

A route is called with the request's handler (who asks, the server behind it), the body and the
parts of the path, and raises its `Answer`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import yaml
from hub_answers import Answer, refuse
from hub_store import StoredFile, large_file, pointer_text

if TYPE_CHECKING:
    from hub_server import Handler

MAX_REGULAR_BYTES = 20_000
"""Above this a file is a large file, whatever its name."""


def whoami(hub: Handler, body: bytes) -> None:
    user = hub.user()
    if user is None:
        raise refuse(401, "", "Invalid username or password.")
    token = {"displayName": "test", "role": user[1]}
    raise Answer(200, {"name": user[0], "orgs": [], "auth": {"accessToken": token}})


def validate_yaml(hub: Handler, body: bytes) -> None:
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


def create_repository(hub: Handler, body: bytes) -> None:
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


def repository_facts(hub: Handler, body: bytes, repo_id: str, revision: str = "main") -> None:
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


def tree(hub: Handler, body: bytes, repo_id: str, revision: str, under: str = "") -> None:
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


def paths_info(hub: Handler, body: bytes, repo_id: str, revision: str) -> None:
    commit = hub.commit(repo_id, revision)
    wanted = json.loads(body)["paths"]
    files = commit.files
    raise Answer(200, [tree_entry(path, files[path]) for path in wanted if path in files])


def refs(hub: Handler, body: bytes, repo_id: str) -> None:
    repository = hub.repository(repo_id)
    branches = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": oid}
        for name, oid in repository.refs.items()
        if not name.startswith("refs/")
    ]
    raise Answer(200, {"branches": branches, "tags": [], "converts": []})


def create_branch(hub: Handler, body: bytes, repo_id: str, branch: str) -> None:
    hub.writer(repo_id)
    repository = hub.repository(repo_id)
    if branch in repository.refs:
        raise Answer(409, {"error": "Reference already exists"})
    repository.refs[branch] = repository.refs["main"]
    raise Answer(200, {})


def preupload(hub: Handler, body: bytes, repo_id: str, revision: str) -> None:
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


def lfs_batch(hub: Handler, body: bytes, repo_id: str) -> None:
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


def lfs_upload(hub: Handler, body: bytes, oid: str) -> None:
    if hashlib.sha256(body).hexdigest() != oid:
        raise Answer(400, {"error": "content does not match its hash"})
    hub.server_hub.store.blobs[oid] = body
    hub.server_hub.received[oid] = hub.server_hub.received.get(oid, 0) + len(body)
    raise Answer(200)


def lfs_verify(hub: Handler, body: bytes) -> None:
    wanted = json.loads(body)
    stored = hub.server_hub.store.blobs.get(wanted["oid"])
    raise Answer(200 if stored is not None and len(stored) == wanted["size"] else 404)


def xet_token(hub: Handler, body: bytes, repo_id: str, revision: str) -> None:
    hub.writer(repo_id)
    expiry = int(time.time()) + 3600
    told = {"casUrl": f"{hub.server_hub.url}/_xet", "accessToken": "xet", "exp": expiry}
    names = ("X-Xet-Cas-Url", "X-Xet-Access-Token", "X-Xet-Token-Expiration")
    raise Answer(200, told, dict(zip(names, map(str, told.values()), strict=True)))


def xet_xorb(hub: Handler, body: bytes, digest: str) -> None:
    hub.server_hub.xorbs[digest] = len(body)
    raise Answer(200, {"was_inserted": True})


def xet_shard(hub: Handler, body: bytes) -> None:
    hub.server_hub.shards.append(body)
    raise Answer(200, {"result": 1})


def xet_nothing(hub: Handler, body: bytes, path: str) -> None:
    """No chunk is known from elsewhere, and newer forms of the upload are not offered."""
    raise Answer(404, {"error": f"no {path}"})


def in_xet(hub: Handler, sha256: str) -> bool:
    """Whether a shard says that a file of this SHA-256 was uploaded (its words are reversed)."""
    digest = bytes.fromhex(sha256)
    words = b"".join(digest[at : at + 8][::-1] for at in range(0, 32, 8))
    return any(words in shard for shard in hub.server_hub.shards)


def commit_files(hub: Handler, body: bytes, repo_id: str, revision: str) -> None:
    hub.writer(repo_id)
    repository, store = hub.repository(repo_id), hub.server_hub.store
    hub.server_hub.before_commit()
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
            if value["oid"] not in store.blobs and not in_xet(hub, value["oid"]):
                raise Answer(400, {"error": f"{path} was not uploaded"})
            files[path] = large_file(value["oid"], value["size"])
        else:
            del files[path]
    answer: dict[str, Any] = {"success": True, "hookOutput": ""}
    if "create_pr=1" in hub.path:
        number = repository.open_pull_request()
        revision = f"refs/pr/{number}"
        answer["pullRequestUrl"] = f"{hub.server_hub.url}/{repo_id}/discussions/{number}"
    commit = repository.commit(revision, files, header["summary"])
    hub.server_hub.after_commit(repository, commit)
    url = f"{hub.server_hub.url}/{repo_id}/commit/{commit.oid}"
    raise Answer(200, {**answer, "commitOid": commit.oid, "commitUrl": url})


def open_pull_request(hub: Handler, body: bytes, repo_id: str) -> None:
    hub.writer(repo_id)
    raise Answer(200, {"num": hub.repository(repo_id).open_pull_request()})


def pull_request(hub: Handler, body: bytes, repo_id: str, number: str) -> None:
    hub.repository(repo_id)
    facts = {
        "num": int(number),
        "title": "A pull request",
        "status": "draft",
        "createdAt": "2026-11-21T00:00:00.000Z",
        "isPullRequest": True,
        "repo": {"name": repo_id, "type": "model"},
        "changes": {"base": "refs/heads/main"},
        "filesWithConflicts": [],
        "events": [],
    }
    raise Answer(200, facts)


def download(hub: Handler, body: bytes, repo_id: str, revision: str, path: str) -> None:
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


def content(hub: Handler, body: bytes, oid: str) -> None:
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
    (("POST",), f"/api/models/{REPO}/discussions", open_pull_request),
    (("GET",), f"/api/models/{REPO}/discussions/([0-9]+)", pull_request),
    (("GET",), f"/api/models/{REPO}/xet-write-token/([^/]+)", xet_token),
    (("POST",), "/_xet/v1/xorbs/default/([0-9a-f]+)", xet_xorb),
    (("POST",), "/_xet/v1/shards", xet_shard),
    (("GET", "POST"), "/_xet/(.+)", xet_nothing),
    (("POST",), f"/{REPO}.git/info/lfs/objects/batch", lfs_batch),
    (("PUT",), "/_upload/([0-9a-f]+)", lfs_upload),
    (("POST",), "/_verify", lfs_verify),
    (("GET", "HEAD"), "/_content/([0-9a-f]+)", content),
    (("GET", "HEAD"), f"/{REPO}/resolve/([^/]+)/(.+)", download),
]
