"""What was read out of a model's code once, kept in the user's cache.

Importing that code takes seconds, while what is read out of it is a function of a config, of names
and shapes on disk, and of versions: all of that names the file. One that cannot be read or
written, or was read by a development version of transformers, is worked out anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from talo_export.checkpoint.manifest import current_versions
from talo_export.checkpoint.staging import write_atomically
from talo_export.codec import from_json, to_json
from talo_export.errors import TaloError

T = TypeVar("T")

READERS = ("checkpoint", "models")
"""The rooms whose code reads."""


def remembered(what: str, kind: type[T], about: object, work: Callable[[], T]) -> T:
    """What `work` returns, a `kind`, from the cache where it was worked out before.

    `about` is all that it depends on beside versions, as JSON. What `work` raises is not kept.
    """
    versions, sources = _libraries(), _own_sources()
    if "dev" in versions["transformers"]:
        return work()
    words = json.dumps([what, versions, sources, about], sort_keys=True)
    file = cache_folder() / f"{hashlib.sha256(words.encode()).hexdigest()}.json"
    with suppress(OSError, TaloError):
        return from_json(kind, file.read_bytes(), str(file))
    value = work()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(to_json(value)))
    return value


def cache_folder() -> Path:
    """`$TALO_EXPORT_CACHE`, by default `talo-export` in the user's cache."""
    own = os.environ.get("TALO_EXPORT_CACHE")
    users = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own).expanduser() if own else Path(users).expanduser() / "talo-export"


@cache
def _libraries() -> dict[str, str]:
    return current_versions()


@cache
def _own_sources() -> list[tuple[str, int, int]]:
    """Name, size and time of change of every file that takes part, for who works on them."""
    files = (f for room in READERS for f in (Path(__file__).parents[1] / room).glob("*.py"))
    return sorted((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files)
