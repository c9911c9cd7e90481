"""Write a patched checkpoint or adapter, with its card, for a layer named by hand or by a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from talo_export.checkpoint.naming import checkpoint_anatomy
from talo_export.checkpoint.plan import EditPlan, plan_export
from talo_export.checkpoint.writer import BASE_CARD, CARD, WriteReport, write_export
from talo_export.errors import TaloError, UsageError
from talo_export.jobs.asking import DEMO, model_reference
from talo_export.jobs.card import PLOT, card_facts
from talo_export.jobs.run import RunDirectory
from talo_export.knockout import Fill, Knockout, Scope
from talo_export.models.reference import ResolvedModel, resolve
from talo_export.publish.card import render_card
from talo_export.publish.metadata import eval_result_files


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What `talo-export export` was asked for: a layer, or a run that chose one."""

    model: str | None = None
    layer: int | None = None
    run: Path | None = None
    out: Path | None = None
    scope: Scope = "attention"
    fill: Fill = "zero"
    form: Literal["checkpoint", "adapter"] = "checkpoint"
    link: bool = False
    keep_undo: bool = False
    dry_run: bool = False
    trust_remote_code: bool = False


def run_export(request: ExportRequest) -> dict[str, Any]:
    """Plan and, unless it is a dry run, write: the document of `export --json`."""
    if request.run is not None:
        return _export_run(request, RunDirectory(request.run))
    if request.layer is None:
        raise UsageError("export needs --layer K, or --run DIR to take the layer from a run.")
    knockout = Knockout(request.layer, request.scope, request.fill)
    return _export(request, request.model, knockout, document=None, plot=None)


def _export_run(request: ExportRequest, run: RunDirectory) -> dict[str, Any]:
    recorded, document = run.request(), run.result()
    if request.layer is not None or request.model is not None:
        raise UsageError("--run names the model and the layer already: leave out the others.")
    if document is None:
        raise TaloError(f"{run.path} is not finished: run its probe line again first.")
    if document["selected_layer"] is None:
        raise TaloError(f"{run.path} selected no layer, so there is nothing to export.")
    knockout = Knockout(document["selected_layer"], recorded["scope"], recorded["fill"])
    plot = run.plot.read_bytes() if run.plot.exists() else None
    return _export(request, recorded["model"], knockout, document=document, plot=plot)


def _export(
    request: ExportRequest,
    model: str | None,
    knockout: Knockout,
    *,
    document: Mapping[str, Any] | None,
    plot: bytes | None,
) -> dict[str, Any]:
    base = resolve(model_reference(model))
    anatomy = checkpoint_anatomy(base.directory, trust_remote_code=request.trust_remote_code)
    plan = plan_export(base.directory, knockout, anatomy)
    if request.dry_run:
        return plan.to_json()
    if request.out is None:
        raise UsageError("export needs --out DIR, a directory that does not exist yet.")
    report = write_patched(
        base,
        plan,
        request.out,
        name=model or DEMO,
        n_layers=len(anatomy),
        document=document,
        plot=plot,
        link=request.link,
        keep_undo=request.keep_undo,
    )
    return report.to_json()


def write_patched(
    base: ResolvedModel,
    plan: EditPlan,
    out: Path,
    *,
    name: str,
    n_layers: int,
    document: Mapping[str, Any] | None,
    plot: bytes | None,
    link: bool = False,
    keep_undo: bool = False,
) -> WriteReport:
    """Write the checkpoint with card, plot and evaluation results in one atomic step.

    `document` is the run's result (`probe --json`) or None for a layer named by hand; `name` is
    what the card and the manifest call the base.
    """
    facts = card_facts(
        base,
        plan,
        name=name,
        n_layers=n_layers,
        document=document,
        has_plot=plot is not None,
        has_undo=keep_undo,
        reproduce=reproduce_lines(name, plan.knockout, document),
    )
    extra = {CARD: render_card(facts).encode(), **eval_result_files(facts)}
    if plot is not None:
        extra[PLOT] = plot
    assert BASE_CARD not in extra
    return write_export(
        plan,
        out,
        base=name if name == DEMO or base.revision else str(base.directory.resolve()),
        revision=base.revision,
        extra=extra,
        task=None if document is None else _of(document, "task", "task_source", "scoring", "seed"),
        selection=None if document is None else dict(document["probe"]),
        confirmation=None if document is None else document["confirm"],
        link=link,
        keep_undo=keep_undo,
    )


def reproduce_lines(
    name: str, knockout: Knockout, document: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """The commands that give this export again."""
    if document is not None:
        # A card is read elsewhere: folders of this machine say nothing there.
        words = shlex.split(str(document["command"]))
        return (shlex.join(Path(word).name if "/" in word[:1] else word for word in words),)
    words = ["talo-export", "export", "--layer", str(knockout.layer), "--out", "OUT"]
    if name != DEMO:
        words[2:2] = ["--model", Path(name).name if name.startswith("/") else name]
    words += ["--scope", knockout.scope] if knockout.scope != "attention" else []
    words += ["--fill", knockout.fill] if knockout.fill != "zero" else []
    return (shlex.join(words),)


def _of(document: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: document[key] for key in keys}
