"""Cells a finished run lacks, scored into its own journal: nothing is ever scored twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from talo_export.knockout import Knockout
from talo_export.models.loading import LoadedModel
from talo_export.models.switching import knocked_out
from talo_export.probing.journal import Journal, variant_key
from talo_export.probing.scores import ScoreTable
from talo_export.probing.sweep import SweepResult, sweep
from talo_export.reporting import Reporter
from talo_export.requests.settings import InferenceSettings
from talo_export.runs.loading import load_for_inference
from talo_export.runs.reading import FinishedRun
from talo_export.tasks.item import Item

Load = Callable[[], LoadedModel]


def loader(finished: FinishedRun, *, trusted: bool = False) -> Load:
    """Loads the model a run was about, at the first call, as the run did."""
    kept: list[LoadedModel] = []

    def load() -> LoadedModel:
        if not kept:
            settings = InferenceSettings(
                finished.result.model, dtype=finished.request.dtype, trust_remote_code=trusted
            )
            kept.append(load_for_inference(settings))
        return kept[0]

    return load


def score_more(
    finished: FinishedRun,
    items: Sequence[Item],
    variants: Sequence[Knockout],
    *,
    load: Load,
    reporter: Reporter,
) -> ScoreTable:
    """The base and `variants` on `items`: from the journal where they are, scored where not."""
    with Journal.open(finished.run.journal, finished.request.scores) as journal:
        known = journal.outcomes()
        wanted = {item.id for item in items}
        if all(wanted <= set(known.get(variant, {})) for variant in (None, *variants)):
            return ScoreTable.build(items, {v: known[v] for v in (None, *variants)})
        return sweep(
            load(),
            items,
            (None, *variants),
            finished.request.scoring,
            journal=journal,
            reporter=reporter,
            phase=f"{finished.task.name}: scoring {len(items)} items",
        ).table


def second_sweep(
    finished: FinishedRun,
    first: Knockout,
    seconds: Sequence[Knockout],
    *,
    load: Load,
    reporter: Reporter,
) -> SweepResult:
    """A sweep of the probing items whose base is the model without `first`; its own journal.

    The engines share work as in any sweep: a second layer above the first costs only the layers
    from there on.
    """
    probed = set(finished.probed.item_ids)
    items = [item for item in finished.task.items if item.id in probed]
    request = finished.request
    loaded = load()
    path = finished.run.journal.with_name(f"scores-without-{first.layer}.sqlite")
    identity = {**request.scores, "without": variant_key(first)}
    with (
        Journal.open(path, identity) as journal,
        knocked_out(loaded.model, loaded.decoder, first),
    ):
        return sweep(
            loaded,
            items,
            (None, *seconds),
            request.scoring,
            journal=journal,
            reporter=reporter,
            phase=f"{finished.task.name}: a layer besides {first.layer}",
        )
