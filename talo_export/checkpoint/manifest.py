"""`talo_export.json`: what was done to which base, and the hashes that prove it.

Written beside the weights of every export and read back strictly: verification and undo trust
nothing else about a directory's past.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WrapSerializer

from talo_export.checkpoint.files import SafeName
from talo_export.checkpoint.hashing import file_sha256
from talo_export.checkpoint.plan import Edit
from talo_export.codec import Count, Field, from_json, maybe, to_json
from talo_export.errors import TaloError
from talo_export.knockout import Knockout

MANIFEST = "talo_export.json"
FORMAT_VERSION = 1
"""Of the knockouts there have been from the first: of one layer. Those of several layers and of
heads have the next one, so that a talo-export that knows one layer refuses them, not reads half."""
GENERAL_VERSION = 2


RecordedKnockout = Annotated[Knockout, PlainSerializer(Knockout.to_json)]


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of the base, and where its bytes are in the export."""

    nbytes: Annotated[Count, Field(alias="bytes")]
    sha256: str | None
    """Of the base's file. None where it was linked or cloned without being read."""
    stored_as: SafeName
    """Its name in the export: its own, or the one it was kept under to make room for ours."""
    sha256_export: Annotated[str | None, maybe] = None
    """Of the edited file; None where the file was not edited."""

    @property
    def edited(self) -> bool:
        """Whether the export's bytes differ from the base's."""
        return self.sha256_export is not None


def _without_own_names(
    files: Mapping[str, FileRecord], handler: Callable[[object], dict[str, dict[str, object]]]
) -> dict[str, dict[str, object]]:
    """`stored_as` is written only where it is another name."""
    records = handler(files)
    for name, record in records.items():
        if record["stored_as"] == name:
            del record["stored_as"]
    return records


def _with_own_names(files: object) -> object:
    if not isinstance(files, dict) or not all(isinstance(one, dict) for one in files.values()):
        return files
    return {name: {"stored_as": name, **record} for name, record in files.items()}


Files = Annotated[
    dict[SafeName, FileRecord], BeforeValidator(_with_own_names), WrapSerializer(_without_own_names)
]


@dataclass(frozen=True)
class Manifest:
    """Everything `talo_export.json` holds."""

    format_version: int = field(default=0, kw_only=True)
    """0 to the constructor: the one that the knockout needs."""
    base: str
    revision: str | None
    knockout: RecordedKnockout
    storage: str
    edits: tuple[Edit, ...]
    files: Files
    """Every file of the base, by its name there."""
    added: tuple[SafeName, ...]
    """Files that the base did not have: the card, the plot, the results, this manifest."""
    added_sha256: Mapping[str, str] = field(default_factory=dict)
    """Of each of them but the manifest; exports of earlier versions have none."""
    model: Any = None
    """What a card says of the base; this and the next ones are read by `runs.record`."""
    task: Any = None
    selection: Any = None
    confirmation: Any = None
    side_effects: Any = None
    """What the knockout does to other tasks; like the next one measured after the export."""
    comparison: Any = None
    """What other methods reach on the same items."""
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.knockout.layer < 0:
            raise ValueError(f"layer {self.knockout.layer} is negative")
        general = self.knockout.also or self.knockout.heads
        needed = GENERAL_VERSION if general else FORMAT_VERSION
        if self.format_version not in (0, needed):
            raise ValueError(f"format version {self.format_version} is none of {self.knockout}")
        object.__setattr__(self, "format_version", needed)
        for edit in self.edits:
            if not edit.fits:
                raise ValueError(f"the pattern of {edit.tensor!r} does not fit its bytes")

    def to_bytes(self) -> bytes:
        """The file's text, UTF-8."""
        return (json.dumps(to_json(self), indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def sealed(manifest: Manifest, directory: Path) -> Manifest:
    """The manifest with the hashes of the added files, which lie in `directory` by now."""
    names = [name for name in manifest.added if name != MANIFEST]
    return replace(manifest, added_sha256={name: file_sha256(directory / name) for name in names})


def current_versions() -> dict[str, str]:
    """Versions of what makes an export."""
    packages = ("talo-export", "torch", "transformers", "safetensors")
    versions = {package: version_of(package) or "not installed" for package in packages}
    return {"python": platform.python_version(), **versions}


def version_of(package: str) -> str | None:
    """Of a distribution, which is not imported; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _no_export(directory: Path) -> str:
    if not directory.exists():
        return f"{directory} does not exist: name the directory of an export."
    if directory.is_file():
        return f"{directory} is a file: name the directory of an export."
    why = f"{directory} has no {MANIFEST}: it was not written by talo-export."
    inside = directory / "checkpoint"
    # A run is what a probe printed last; its export lies in it.
    return f"{why} Did you mean {inside}?" if (inside / MANIFEST).is_file() else why


def read_manifest(directory: Path) -> Manifest:
    """The manifest of an exported directory. Raises `TaloError` where there is none or it lies."""
    path = directory / MANIFEST
    try:
        document = json.loads(path.read_bytes().decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TaloError(_no_export(directory)) from error
    except OSError as error:
        raise TaloError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise TaloError(f"{path} is not valid JSON ({error}).") from error
    return parse_manifest(document, str(path))


def parse_manifest(document: Any, where: str) -> Manifest:
    """A manifest from its JSON document; `where` is what an error calls it."""
    version = document.get("format_version") if isinstance(document, dict) else None
    if version not in (FORMAT_VERSION, GENERAL_VERSION):
        raise TaloError(
            f"{where} has format version {version!r}; this talo-export reads {FORMAT_VERSION} "
            f"and {GENERAL_VERSION}."
        )
    return from_json(Manifest, document, where)
