"""Side effects, once measured, stand where people read: in the run, its page and its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from talo_export.checkpoint.layout import UNDO_FILE
from talo_export.checkpoint.writer import CARD
from talo_export.jobs.asking import model_reference
from talo_export.jobs.card import PLOT
from talo_export.jobs.export import patched_facts, plan_on
from talo_export.jobs.report import run_report
from talo_export.jobs.run import write_atomically
from talo_export.jobs.scores import FinishedRun
from talo_export.models.reference import resolve
from talo_export.publish.card import render_card


def record_side_effects(
    run: FinishedRun, found: dict[str, Any], *, data: Path | None = None
) -> None:
    """Keep what the knockout does to other tasks in the run's result, page and card.

    Only the card's text changes in the checkpoint: no weight is touched.
    """
    document = run.document | {"side_effects": found}
    run.run.finish(document)
    run_report([run.run.path], data=data)
    card = run.run.checkpoint / CARD
    if run.knockout is None or not card.is_file():
        return
    base = resolve(model_reference(run.request["model"]))
    plan, n_layers = plan_on(base, run.knockout, trust_remote_code=False)
    facts = patched_facts(
        base,
        plan,
        name=run.request["model"],
        n_layers=n_layers,
        document=document,
        has_plot=(run.run.checkpoint / PLOT).is_file(),
        has_undo=(run.run.checkpoint / UNDO_FILE).is_file(),
    )
    write_atomically(card, render_card(facts))
