"""Sweep the probing items of a run, select a layer, confirm it on the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from talo_export.errors import UsageError
from talo_export.evidence.confirmation import Confirmation, confirm
from talo_export.evidence.selection import Selection, select
from talo_export.knockout import Knockout
from talo_export.models.loading import LoadedModel
from talo_export.probing.cost import Cost
from talo_export.probing.distributed import World
from talo_export.probing.journal import Journal
from talo_export.probing.sweep import SweepResult, all_knockouts, sweep
from talo_export.reporting import Reporter
from talo_export.requests.checkpoints import InspectRequest
from talo_export.requests.fields import command_line
from talo_export.requests.measurements import ProbeRequest
from talo_export.tasks.item import Item
from talo_export.tasks.splits import Split


@dataclass(frozen=True)
class Findings:
    """What the scores said."""

    probed: SweepResult
    selection: Selection
    confirmed: SweepResult | None
    confirmation: Confirmation | None

    @property
    def knockout(self) -> Knockout | None:
        """The layer to cut; None also where every item was swept and none selected."""
        return None if self.confirmation is None else self.selection.knockout

    @property
    def too_long(self) -> tuple[str, ...]:
        """Ids of items left out, of the probing ones first."""
        return self.probed.too_long + (self.confirmed.too_long if self.confirmed else ())

    @property
    def cost(self) -> Cost:
        return self.probed.cost + (self.confirmed.cost if self.confirmed else Cost())


def measure(
    request: ProbeRequest,
    loaded: LoadedModel,
    split: Split,
    journal: Journal,
    reporter: Reporter,
    world: World,
) -> Findings:
    """Sweep the probing items, select, and confirm on the others."""
    knockouts = all_knockouts(loaded.decoder, request.scope, request.fill)
    if not knockouts:
        raise UsageError(
            f"{request.model_name} has no layer whose {request.scope} can be knocked out; see "
            f"`{command_line(InspectRequest(request.model))}`."
        )

    def score(
        doing: str, items: Sequence[Item], variants: Sequence[Knockout | None]
    ) -> SweepResult:
        return sweep(
            loaded,
            items,
            variants,
            request.to_scoring(),
            journal=journal,
            batch_size=request.batch_size,
            engine=request.engine,
            skip_too_long=request.skip_too_long,
            world=world,
            reporter=reporter,
            phase=f"{doing} {len(items)} items",
        )

    probed = score("probing", split.probe, (None, *knockouts))
    selection = select(
        probed.table,
        min_gain=request.min_gain,
        criterion=request.criterion,
        scope=request.scope,
        fill=request.fill,
        n_layers=len(loaded.decoder),
    )
    if request.shots is None:
        return Findings(probed, selection, None, None)
    if selection.knockout is None:
        nothing = confirm(probed.table.take_items([]), None, seed=request.seed)
        return Findings(probed, selection, None, nothing)
    confirmed = score("confirming", split.confirm, (None, selection.knockout))
    judged = confirm(confirmed.table, selection.knockout, seed=request.seed)
    return Findings(probed, selection, confirmed, judged)
