"""A patched checkpoint as it is published: the edits on a base, its card, its plot, its results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.manifest import Manifest
from talo_export.checkpoint.plan import EditPlan, plan_export
from talo_export.checkpoint.writer import WriteReport, write_export
from talo_export.knockout import Knockout
from talo_export.models.reference import ResolvedModel
from talo_export.publish.base_card import read_base_card
from talo_export.publish.card import render_card
from talo_export.publish.metadata import eval_result_files
from talo_export.publish.subject import PLOT, Subject
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.settings import DEMO
from talo_export.runs.record import Record, about_model


def describing(base: ResolvedModel, name: str) -> Callable[[Manifest], bytes]:
    """From the manifest of an export that is being written to its card.

    `name` is what the user called the base.
    """
    card = read_base_card(base.directory, base.name if base.revision else name, base.revision)
    return lambda manifest: render_card(Subject(manifest, card)).encode()


def plan_on(
    base: ResolvedModel, knockout: Knockout, *, trust_remote_code: bool
) -> tuple[EditPlan, int]:
    """The edits on a safetensors directory or one GGUF file, and how many layers there are."""
    anatomy = checkpoint_anatomy(base.place, trust_remote_code=trust_remote_code)
    return plan_export(base.place, knockout, anatomy), len(anatomy)


def added_files(record: Record, plot: bytes | None) -> dict[str, bytes]:
    """What an export adds beside the card and the manifest: evaluation results, the plot."""
    files = eval_result_files(record)
    return files if plot is None else {**files, PLOT: plot}


def write_patched(
    base: ResolvedModel,
    plan: EditPlan,
    out: Path,
    *,
    name: str,
    n_layers: int,
    record: Record,
    plot: bytes | None,
    link: bool = False,
    link_cache: bool = False,
    keep_undo: bool = False,
    reporter: Reporter = SILENT,
) -> WriteReport:
    """Write the checkpoint with card, plot and evaluation results in one atomic step.

    `record` is what is kept of the run, empty for a layer named by hand; `name` is what the user
    called the base.
    """
    record = replace(record, model=about_model(base, n_layers))
    return write_export(
        plan,
        out,
        base=manifest_base(base, plan, name),
        revision=base.revision,
        extra=added_files(record, plot),
        describe=describing(base, name),
        link=link,
        link_cache=link_cache,
        keep_undo=keep_undo,
        reporter=reporter,
        about=record.to_json(),
    )


def manifest_base(base: ResolvedModel, plan: EditPlan, name: str) -> str:
    """What leads to the base again: a Hub id (its commit is kept apart), the demo, or a path."""
    if base.revision:
        return base.name
    return DEMO if name == DEMO else str(plan.directory.resolve())
