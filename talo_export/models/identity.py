"""Which model this is, exactly: so that no score is read under another one's name."""

from __future__ import annotations

import hashlib
from pathlib import Path

HASHED_WHOLE = 256 * 2**20
"""Weights up to this many bytes are hashed; of larger ones size and time of change stand in."""


def model_fingerprint(directory: Path, revision: str | None) -> str:
    """Hex digest that changes when the weights, config or tokenizer do.

    A Hub commit names its content already. A local directory is read: small files by content,
    weights beyond `HASHED_WHOLE` by name, size and time of last change, because reading tens of
    gigabytes on every resume would cost more than the sweep it protects.
    """
    if revision is not None:
        return f"commit {revision}"
    files = sorted(path for path in directory.iterdir() if _matters(path))
    whole = sum(path.stat().st_size for path in files) <= HASHED_WHOLE
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\0".encode())
        if whole or path.suffix in (".json", ".jinja"):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        else:
            status = path.stat()
            digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()


def _matters(path: Path) -> bool:
    return path.is_file() and path.suffix in (".json", ".jinja", ".model", ".safetensors", ".gguf")
