"""What a push sends: an exported directory, checked, and set out as the repository will hold it.

A few files differ from the directory's own. The card's snippets name the repository; the manifest
and an adapter's configuration name a local base by its last part only, since nobody else's machine
has its path; and results of a task that is no Hub data set stay at home, since the Hub could not
link them to anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from talo_export.checkpoint.adapter_files import ADAPTER, CONFIG
from talo_export.checkpoint.files import list_files
from talo_export.checkpoint.manifest import MANIFEST, Manifest, read_manifest, sealed
from talo_export.checkpoint.placing import BASE_CARD, CARD
from talo_export.checkpoint.verify import verify_files
from talo_export.errors import TaloError, UsageError
from talo_export.publish.base_card import BaseCard, read_base_card
from talo_export.publish.card import read_card
from talo_export.publish.parcel import Document, Parcel, files_below
from talo_export.publish.snippets import adapter_snippet, short_snippet
from talo_export.publish.subject import HERE
from talo_export.requests.checkpoints import Form, VerifyRequest
from talo_export.requests.fields import command_line
from talo_export.runs.record import record_of_manifest
from talo_export.wording import count, first_of, interval, points


@dataclass(frozen=True)
class Publication:
    """An exported directory that may be published, as far as can be told without the network."""

    directory: Path
    kind: Form
    manifest: Manifest
    base: BaseCard
    """From the card: licence, and whether the base stands behind terms."""

    @property
    def auto_class(self) -> str:
        """The transformers class the card's snippet loads it with."""
        text = (self.directory / CARD).read_text(encoding="utf-8")
        vlm = "AutoModelForImageTextToText"
        return vlm if vlm in text else "AutoModelForCausalLM"

    def snippet(self, repo_id: str) -> str:
        """Three lines that load what is published as `repo_id`."""
        if self.kind == "adapter":
            return adapter_snippet(repo_id, self.base, auto_class=self.auto_class)
        gguf = [edit.file for edit in self.manifest.edits if edit.file.endswith(".gguf")]
        return short_snippet(
            repo_id, auto_class=self.auto_class, gguf_file=gguf[0] if gguf else None
        )


def open_publication(
    directory: Path, *, allow_unconfirmed: bool = False, shown: Path | None = None
) -> Publication:
    """Check an exported directory: complete, as its manifest says, with a card and a verdict.

    `shown` is what errors call it, where it was only made for this. Raises `TaloError` naming the
    first thing that stands in the way of publishing it.
    """
    shown = shown or directory
    if not directory.is_dir():
        raise UsageError(f"{shown} is no directory: give one that talo-export wrote.")
    manifest = read_manifest(directory)
    kind: Form = "adapter" if manifest.storage == ADAPTER else "checkpoint"
    wrong = _wrong(directory)
    if wrong:
        raise TaloError(
            f"{shown} is not what talo-export wrote ({first_of(wrong, 3)}): "
            f"run `{command_line(VerifyRequest(shown))}` and export again."
        )
    if not (directory / CARD).is_file():
        raise TaloError(f"{shown} has no {CARD}: export again to get the model card.")
    read_card((directory / CARD).read_text(encoding="utf-8"))
    if not allow_unconfirmed:
        _refuse_unconfirmed(shown, manifest)
    return Publication(
        directory=directory,
        kind=kind,
        manifest=manifest,
        base=_base(directory, manifest),
    )


def stage(publication: Publication, repo_id: str, into: Path) -> Parcel:
    """Set out in the empty directory `into` what the repository will hold.

    Files that stay as they are become links, so nothing large is copied.
    """
    set_out(publication, repo_id, into)
    checkpoint = publication.kind == "checkpoint"
    return Parcel(
        folder=into,
        files=files_below(into),
        base=publication.base,
        carries_weights=checkpoint,
        title=_title(publication.manifest),
        snippet=publication.snippet(repo_id),
        marker=MANIFEST,
        same=_same,
    )


def set_out(publication: Publication, repo_id: str, into: Path) -> None:
    """The files alone, below `into`."""
    for file in list_files(publication.directory):
        if file.name == MANIFEST:
            continue
        content = _content(publication, repo_id, file.name, file.source)
        if content is None:
            continue
        target = into / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            target.symlink_to(content.resolve())
        else:
            target.write_bytes(content)
    (into / MANIFEST).write_bytes(_manifest(publication, into).to_bytes())


def _same(theirs: Document, ours: Document) -> bool:
    """An export, or an earlier one of the same knockout for the same task."""
    same = all(theirs[key] == ours[key] for key in ("base", "knockout"))
    return same and _task(theirs) == _task(ours)


def _task(manifest: Document) -> object:
    task = manifest["task"]
    return task["task"] if isinstance(task, Mapping) else None


def _title(manifest: Manifest) -> str:
    knockout, task = manifest.knockout, record_of_manifest(manifest).task
    what = f" for {task.task}" if task else ""
    label = knockout.label
    return f"{label[0].upper()}{label[1:]} ({knockout.scope}) knocked out{what}"


def _content(
    publication: Publication, repo_id: str, name: str, source: Path
) -> bytes | Path | None:
    """The file as published: itself, other bytes, or None where it stays at home."""
    if name == CARD:
        return source.read_text(encoding="utf-8").replace(HERE, repo_id).encode()
    if name == CONFIG and publication.kind == "adapter":
        config = json.loads(source.read_bytes())
        config["base_model_name_or_path"] = publication.base.hub_id or publication.base.short_name
        return (json.dumps(config, indent=2) + "\n").encode()
    if _stays_home(name, source):
        return None
    return source


def _manifest(publication: Publication, into: Path) -> Manifest:
    """The manifest of what lies in `into`: another card, another name of a local base."""
    manifest, base = publication.manifest, publication.base
    added = tuple(name for name in manifest.added if name == MANIFEST or (into / name).exists())
    return sealed(replace(manifest, base=base.hub_id or base.short_name, added=added), into)


def stays_home(results: bytes) -> bool:
    """Whether these results are of a task that is no Hub data set (its id has no owner)."""
    return all("/" not in entry["dataset"]["id"] for entry in yaml.safe_load(results))


def _stays_home(name: str, source: Path) -> bool:
    return name.startswith(".eval_results/") and stays_home(source.read_bytes())


def _wrong(directory: Path) -> tuple[str, ...]:
    """What in a checkpoint or an adapter is not as its manifest says."""
    report = verify_files(directory)
    return report.problems or (() if report.ok else ("nothing was edited",))


def _refuse_unconfirmed(shown: Path, manifest: Manifest) -> None:
    confirmation = record_of_manifest(manifest).confirmation
    if confirmation is None:
        why = "no accuracy was measured for this knockout"
    elif confirmation.verdict != "confirmed":
        why = (
            f"its knockout is {confirmation.verdict}: {points(confirmation.gain)} on "
            f"{count(confirmation.n, 'item')}, {interval(confirmation.ci95)}"
        )
    else:
        return
    raise TaloError(
        f"{shown} is not pushed because {why}. "
        "To publish it all the same, with a card that says so, add --allow-unconfirmed."
    )


def _base(directory: Path, manifest: Manifest) -> BaseCard:
    """The licence as the card states it; the terms as the base's own card does."""
    stated = read_base_card(directory, manifest.base, manifest.revision)
    return replace(stated, gated=read_base_card(directory, manifest.base, card=BASE_CARD).gated)
