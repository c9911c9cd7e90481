"""What a Hub holds: repositories, commits, refs and blobs. In memory, no HTTP here."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

GITATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


@dataclass(frozen=True)
class StoredFile:
    """One file of a commit. `lfs_sha256` is set where the content lies in large-file storage."""

    git_oid: str
    size: int
    lfs_sha256: str | None = None


@dataclass(frozen=True)
class Commit:
    """A snapshot of all files."""

    oid: str
    files: Mapping[str, StoredFile]
    title: str


@dataclass
class Repository:
    """One model repository."""

    repo_id: str
    private: bool
    gated: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    pull_requests: int = 0

    def resolve(self, revision: str) -> Commit | None:
        """The commit a branch, tag, pull-request ref or commit id names."""
        oid = self.refs.get(revision, revision)
        return self.commits.get(oid)

    def open_pull_request(self) -> int:
        """A new pull request on top of main; its number."""
        self.pull_requests += 1
        self.refs[f"refs/pr/{self.pull_requests}"] = self.refs["main"]
        return self.pull_requests

    def commit(self, ref: str, files: Mapping[str, StoredFile], title: str) -> Commit:
        """Move `ref` to a new commit that holds `files`."""
        seed = f"{self.repo_id}{ref}{title}{sorted(files)}{len(self.commits)}"
        oid = hashlib.sha1(seed.encode()).hexdigest()
        self.commits[oid] = commit = Commit(oid, dict(files), title)
        self.refs[ref] = oid
        return commit


class Store:
    """All repositories and blobs of one Hub, and what arrived there."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        """Git blobs by SHA-1 of the blob, large files by SHA-256."""
        self.uploads = itertools.count(1)

    def create(self, repo_id: str, *, private: bool = False, gated: bool = False) -> Repository:
        """A repository with the `.gitattributes` that every new one has."""
        repository = Repository(repo_id, private, gated)
        self.repositories[repo_id] = repository
        files = {".gitattributes": self.add_blob(GITATTRIBUTES)}
        repository.commit("main", files, "initial commit")
        return repository

    def publish(self, repo_id: str, files: Mapping[str, bytes], **kind: bool) -> Repository:
        """A repository that already holds `files`, as somebody else left it."""
        repository = self.create(repo_id, **kind)
        stored = dict(repository.commits[repository.refs["main"]].files)
        for path, content in files.items():
            large = path.endswith(".safetensors")
            stored[path] = self.add_large(content) if large else self.add_blob(content)
        repository.commit("main", stored, "Upload")
        return repository

    def add_blob(self, content: bytes) -> StoredFile:
        """Store a small file as git does."""
        oid = git_blob_oid(content)
        self.blobs[oid] = content
        return StoredFile(oid, len(content))

    def add_large(self, content: bytes) -> StoredFile:
        """Store a large file under its SHA-256."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.blobs[sha256] = content
        return large_file(sha256, len(content))

    def content(self, file: StoredFile) -> bytes:
        """The bytes of a file."""
        return self.blobs[file.lfs_sha256 or file.git_oid]


def git_blob_oid(content: bytes) -> str:
    """SHA-1 of a git blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def large_file(sha256: str, size: int) -> StoredFile:
    """The entry of a large file; its git id is that of its pointer."""
    pointer = pointer_text(sha256, size)
    return StoredFile(git_blob_oid(pointer), size, sha256)


def pointer_text(sha256: str, size: int) -> bytes:
    """The pointer git holds in a large file's place."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    )
