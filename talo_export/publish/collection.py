"""Adapters of many tasks for one base in one repository, each in a folder, with a table.

An adapter is a few kilobytes, so that one repository serves every task: the base is loaded once
and the adapters are switched. `talo_export_collection.json` says what the repository holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from talo_export.checkpoint.placing import CARD
from talo_export.errors import TaloError
from talo_export.foreign_text import visible
from talo_export.publish.card import render_collection
from talo_export.publish.metadata import eval_result_files, slug
from talo_export.publish.parcel import Document, Parcel, files_below
from talo_export.publish.publication import Publication, set_out, stays_home
from talo_export.publish.snippets import adapter_snippet
from talo_export.publish.subject import Subject

COLLECTION = "talo_export_collection.json"


@dataclass(frozen=True)
class Member:
    """One adapter of a collection: as it may be published, and what its card says."""

    publication: Publication
    subject: Subject

    @property
    def folder(self) -> str:
        """Where it lies in the repository: the task's name."""
        task = self.subject.task
        return slug(task.task if task else f"layer-{self.subject.knockout.slug}")


def stage_collection(
    members: Sequence[Member], repo_id: str, into: Path, *, warnings: tuple[str, ...] = ()
) -> Parcel:
    """Set out a folder for each adapter, and the card above them, in the empty directory `into`.

    Raises `TaloError` where the adapters are for different bases, or two for the same task.
    """
    _check(members)
    for member in members:
        folder = into / member.folder
        folder.mkdir()
        set_out(member.publication, repo_id, folder)
    subjects = [replace(one.subject, repo_id=repo_id, subfolder=one.folder) for one in members]
    for one in subjects:
        for name, content in eval_result_files(one.record).items():
            # The Hub reads results at the top only.
            (into / str(one.subfolder) / name).unlink(missing_ok=True)
            if not stays_home(content):
                (into / name).parent.mkdir(exist_ok=True)
                (into / name).write_bytes(content)
    (into / CARD).write_text(render_collection(subjects), encoding="utf-8")
    (into / COLLECTION).write_text(json.dumps(_document(members), indent=2) + "\n")
    first = members[0]
    return Parcel(
        folder=into,
        files=files_below(into),
        base=first.publication.base,
        carries_weights=False,
        title=f"Adapters for {', '.join(member.folder for member in members)}",
        snippet=adapter_snippet(
            repo_id,
            first.publication.base,
            auto_class=first.subject.auto_class,
            subfolder=first.folder,
        ),
        marker=COLLECTION,
        same=_same,
        warnings=warnings,
    )


def _check(members: Sequence[Member]) -> None:
    bases = {(one.publication.manifest.base, one.publication.manifest.revision) for one in members}
    if len(bases) > 1:
        names = ", ".join(sorted(f"{base}@{revision}" if revision else base
                                 for base, revision in bases))  # fmt: skip
        raise TaloError(f"The adapters are for different bases ({names}): push them apart.")
    folders = [member.folder for member in members]
    for folder in folders:
        if folders.count(folder) > 1:
            raise TaloError(f"Two of the adapters are for the task {folder}: leave one out.")


def _document(members: Sequence[Member]) -> Document:
    base = members[0].publication.base
    return {
        "base": base.hub_id or base.short_name,
        "revision": base.revision,
        "adapters": {
            member.folder: {
                **{k: v for k, v in member.subject.knockout.to_json().items() if k != "fill"},
                "task": None if member.subject.task is None else member.subject.task.task,
            }
            for member in members
        },
    }


def _same(theirs: Document, ours: Document) -> bool:
    """A collection for the same base that has nothing which this push would remove."""
    lost = sorted(_adapters(theirs).keys() - _adapters(ours).keys())
    if theirs["base"] == ours["base"] and lost:
        raise TaloError(
            f"The repository also holds adapters for {', '.join(map(visible, lost))}, which would "
            "be removed: push from a folder that has them all, or to another name."
        )
    return bool(theirs["base"] == ours["base"])


def _adapters(document: Document) -> Mapping[str, object]:
    adapters = document["adapters"]
    return adapters if isinstance(adapters, Mapping) else {}
