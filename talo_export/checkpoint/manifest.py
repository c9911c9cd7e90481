"""`talo_export.json`: what was done to which base, and the hashes that prove it.

Written beside the weights of every export and read back strictly: verification and undo trust
nothing else about a directory's past.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, get_args

from talo_export.checkpoint.files import safe_name
from talo_export.checkpoint.hashing import file_sha256
from talo_export.checkpoint.plan import Edit
from talo_export.errors import TaloError
from talo_export.knockout import Fill, Knockout, Scope

MANIFEST = "talo_export.json"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of the base, and where its bytes are in the export."""

    nbytes: int
    sha256: str | None
    """Of the base's file. None where it was linked or cloned without being read."""
    stored_as: str
    """Its name in the export: its own, or the one it was kept under to make room for ours."""
    sha256_export: str | None = None
    """Of the edited file; None where the file was not edited."""

    @property
    def edited(self) -> bool:
        """Whether the export's bytes differ from the base's."""
        return self.sha256_export is not None


@dataclass(frozen=True)
class Manifest:
    """Everything `talo_export.json` holds."""

    base: str
    revision: str | None
    knockout: Knockout
    storage: str
    edits: tuple[Edit, ...]
    files: Mapping[str, FileRecord]
    """Every file of the base, by its name there."""
    added: tuple[str, ...]
    """Files that the base did not have: the card, the plot, the results, this manifest."""
    added_sha256: Mapping[str, str] = field(default_factory=dict)
    """Of each of them but the manifest; exports of earlier versions have none."""
    model: Any = None
    """What a card says of the base: kind, architecture, layers."""
    task: Any = None
    selection: Any = None
    confirmation: Any = None
    side_effects: Any = None
    """What the knockout does to other tasks; like the next one measured after the export."""
    comparison: Any = None
    """What other methods reach on the same items."""
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The file's text, UTF-8."""
        document = {
            "format_version": FORMAT_VERSION,
            "base": self.base,
            "revision": self.revision,
            "knockout": {
                "layer": self.knockout.layer,
                "scope": self.knockout.scope,
                "fill": self.knockout.fill,
            },
            "storage": self.storage,
            "edits": [
                edit.to_json()
                | {"pattern": edit.pattern.hex()}
                | ({"runs": list(edit.runs)} if edit.runs else {})
                for edit in self.edits
            ],
            "files": {
                name: {"bytes": record.nbytes, "sha256": record.sha256}
                | ({"stored_as": record.stored_as} if record.stored_as != name else {})
                | ({"sha256_export": record.sha256_export} if record.edited else {})
                for name, record in self.files.items()
            },
            "added": list(self.added),
            "added_sha256": dict(self.added_sha256),
            "model": self.model,
            "task": self.task,
            "selection": self.selection,
            "confirmation": self.confirmation,
            "side_effects": self.side_effects,
            "comparison": self.comparison,
            "versions": dict(self.versions),
        }
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def sealed(manifest: Manifest, directory: Path) -> Manifest:
    """The manifest with the hashes of the added files, which lie in `directory` by now."""
    names = [name for name in manifest.added if name != MANIFEST]
    return replace(manifest, added_sha256={name: file_sha256(directory / name) for name in names})


def current_versions() -> dict[str, str]:
    """Versions of what makes an export, read without importing any of it."""
    versions = {"python": platform.python_version()}
    for package in ("talo-export", "torch", "transformers", "safetensors"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _no_export(directory: Path) -> str:
    if not directory.exists():
        return f"{directory} does not exist: name the directory of an export."
    why = f"{directory} has no {MANIFEST}: it was not written by talo-export."
    inside = directory / "checkpoint"
    # A run is what a probe printed last; its export lies in it.
    return f"{why} Did you mean {inside}?" if (inside / MANIFEST).is_file() else why


def read_manifest(directory: Path) -> Manifest:
    """The manifest of an exported directory. Raises `TaloError` where there is none or it lies."""
    path = directory / MANIFEST
    try:
        document = json.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError as error:
        raise TaloError(_no_export(directory)) from error
    except OSError as error:
        raise TaloError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise TaloError(f"{path} is not valid JSON ({error}).") from error
    return parse_manifest(document, str(path))


def parse_manifest(document: Any, where: str) -> Manifest:
    """A manifest from its JSON document; `where` is what an error calls it."""
    version = document.get("format_version") if isinstance(document, dict) else None
    if version != FORMAT_VERSION:
        raise TaloError(
            f"{where} has format version {version!r}; this talo-export reads {FORMAT_VERSION}."
        )
    try:
        return Manifest(
            base=_typed(document["base"], str),
            revision=_typed(document["revision"], str, optional=True),
            knockout=_knockout(document["knockout"]),
            storage=_typed(document["storage"], str),
            edits=tuple(_edit(edit, where) for edit in _typed(document["edits"], list)),
            files={
                safe_name(name, where): _file_record(name, record, where)
                for name, record in _typed(document["files"], dict).items()
            },
            added=tuple(safe_name(name, where) for name in _typed(document["added"], list)),
            added_sha256={
                name: _typed(digest, str)
                for name, digest in _typed(document.get("added_sha256", {}), dict).items()
            },
            model=document.get("model"),
            task=document["task"],
            selection=document["selection"],
            confirmation=document["confirmation"],
            side_effects=document.get("side_effects"),
            comparison=document.get("comparison"),
            versions=_typed(document["versions"], dict),
        )
    except KeyError as error:
        raise TaloError(f"{where} lacks the field {error.args[0]!r}.") from error
    except (TypeError, ValueError) as error:
        raise TaloError(f"{where} is damaged: {error}.") from error


def _typed(value: Any, kind: type, *, optional: bool = False) -> Any:
    if (value is None and optional) or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    raise TypeError(f"{str(value)[:60]!r} is not a {kind.__name__}")


def _count(value: Any) -> int:
    if _typed(value, int) < 0:
        raise ValueError(f"{value} is negative")
    return int(value)


def _knockout(value: Any) -> Knockout:
    scope, fill = value["scope"], value["fill"]
    if scope not in get_args(Scope) or fill not in get_args(Fill):
        raise ValueError(f"{scope!r} with fill {fill!r} is no knockout")
    return Knockout(_count(value["layer"]), scope, fill)


def _edit(value: Any, where: str) -> Edit:
    edit = Edit(
        file=safe_name(value["file"], where),
        tensor=_typed(value["tensor"], str),
        dtype=_typed(value["dtype"], str),
        shape=tuple(_count(size) for size in _typed(value["shape"], list)),
        offset=_count(value["offset"]),
        nbytes=_count(value["bytes"]),
        pattern=bytes.fromhex(_typed(value["pattern"], str)),
        runs=tuple(_count(run) for run in _typed(value.get("runs", []), list)),
    )
    if not edit.fits:
        raise ValueError(f"the pattern of {edit.tensor!r} does not fit its bytes")
    return edit


def _file_record(name: str, value: Any, where: str) -> FileRecord:
    return FileRecord(
        nbytes=_count(value["bytes"]),
        sha256=_typed(value["sha256"], str, optional=True),
        stored_as=safe_name(value.get("stored_as", name), where),
        sha256_export=_typed(value.get("sha256_export"), str, optional=True),
    )
