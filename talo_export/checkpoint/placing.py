"""What becomes of each of the base's files: its name in the export, and whether it is a link."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from talo_export.checkpoint.files import BaseFile, safe_name
from talo_export.checkpoint.layout import KEPT, UNDO_FILE
from talo_export.checkpoint.manifest import MANIFEST
from talo_export.checkpoint.plan import EditPlan
from talo_export.errors import UsageError

CARD = "README.md"
BASE_CARD = "BASE_README.md"
RESULTS = ".eval_results/"


def stored_names(files: Iterable[BaseFile], extra: Mapping[str, bytes]) -> dict[str, str]:
    """Where each file of the base goes, so that the files we add have their names free.

    A base that is itself an export has them all; its evaluation results are not the export's.
    """
    for name in extra:
        safe_name(name, "the export")
        if name == MANIFEST or name.startswith(KEPT):
            raise UsageError(f"{name} cannot be added to an export: the name is taken.")
    ours = {MANIFEST, UNDO_FILE, *extra}
    names = {file.name for file in files}
    if CARD in extra and CARD in names:
        ours.add(BASE_CARD)
    stored: dict[str, str] = {}
    for file in files:
        name = file.name
        foreign_result = name.startswith(RESULTS) and CARD in extra
        if name == CARD and CARD in extra:
            stored[name] = BASE_CARD
        elif name in ours or name.startswith(KEPT) or foreign_result:
            stored[name] = KEPT + name
        else:
            stored[name] = name
    displaced = [name for name in extra if name in names and name.endswith(_WEIGHTS_AND_CONFIG)]
    if displaced:
        raise UsageError(f"{displaced[0]} belongs to the base and is never replaced.")
    return stored


_WEIGHTS_AND_CONFIG = (".safetensors", ".json", ".gguf", ".py")


def linked_files(plan: EditPlan, *, link: bool, link_cache: bool) -> frozenset[str]:
    """Names of the files that become hard links: weight files without edits.

    Raises `UsageError` where one of them lies in the Hub cache and only `link` was asked for.
    """
    if not (link or link_cache):
        return frozenset()
    edited = {edit.file for edit in plan.edits}
    weights = [
        file
        for file in plan.files
        if file.name.endswith((".safetensors", ".gguf", ".bin")) and file.name not in edited
    ]
    cached = [file for file in weights if file.in_cache]
    if cached and not link_cache:
        raise UsageError(
            f"{cached[0].name} lies in the Hub cache: a hard link would share its bytes with every "
            "user of the cache, so say --link-cache if you mean it, or drop --link."
        )
    return frozenset(file.name for file in weights)
