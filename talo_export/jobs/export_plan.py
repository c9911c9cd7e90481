"""What an export would do, to the file and the byte: the document of `export --dry-run`."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from talo_export.checkpoint.layout import UNDO_FILE
from talo_export.checkpoint.manifest import MANIFEST
from talo_export.checkpoint.placing import CARD, linked_files, stored_names
from talo_export.checkpoint.plan import EditPlan
from talo_export.checkpoint.staging import check_output


def planned_export(
    plan: EditPlan,
    out: Path | None,
    added: Iterable[str],
    *,
    link: bool,
    link_cache: bool,
    keep_undo: bool,
) -> dict[str, Any]:
    """The plan as JSON, with what becomes of every file and the disk it takes.

    `added` are the names of the files to add besides card, manifest and undo file. All is refused
    here that writing would refuse before it begins: an output that cannot be, a link into the Hub
    cache. `disk_free` is None where no output was named.
    """
    target = None if out is None else check_output(out, plan.directory)
    linked = linked_files(plan, link=link, link_cache=link_cache)
    extra = dict.fromkeys((CARD, *added), b"")
    stored = stored_names(plan.files, extra)
    files = [
        {
            "file": file.name,
            "bytes": file.nbytes,
            "edits": len(plan.edits_of(file.name)),
            "stored_as": stored[file.name],
        }
        for file in plan.files
    ]
    written = [*extra, MANIFEST, *([UNDO_FILE] if keep_undo else [])]
    return plan.to_json() | {
        "files": files,
        "linked": sorted(linked),
        "added": sorted(written),
        "disk_needed": plan.disk_needed_with(linked, keep_undo=keep_undo),
        "disk_free": None if target is None else shutil.disk_usage(_existing(target)).free,
    }


def becomes(file: Mapping[str, Any], linked: Iterable[str]) -> str:
    """What is done with one of the document's files, in words."""
    if file["edits"]:
        return f"copied, {file['edits']} tensors filled"
    if file["file"] in linked:
        return "hard link"
    kept = "" if file["stored_as"] == file["file"] else f", kept as {file['stored_as']}"
    return f"copied{kept}"


def _existing(path: Path) -> Path:
    """The innermost directory above `path` that is there."""
    return next(folder for folder in path.parents if folder.is_dir())
