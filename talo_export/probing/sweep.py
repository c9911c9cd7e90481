"""The sweep: every variant of the model answers every item, and each answer is written down.

The same function serves the probe (all layers), the confirmation (the base and one knockout) and
a plain evaluation (the base alone). Guarantees, each with a test: only cells missing from the
journal are computed; a cell depends on its item, its variant and the engine, never on the batch
size, on other items, on the order of work or on what was done before an interruption.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from talo_export.errors import TaloError, UsageError
from talo_export.knockout import Fill, Knockout, Scope
from talo_export.models.anatomy import Decoder
from talo_export.models.loading import LoadedModel
from talo_export.models.threads import on_threads, threads_for
from talo_export.probing.cost import Cost, metered, side_by_side
from talo_export.probing.distributed import ALONE, World
from talo_export.probing.encoding import ItemTooLongError, encode
from talo_export.probing.engines.checking import CheckedEngine, EngineName
from talo_export.probing.engines.naive import Todo, passes
from talo_export.probing.journal import Cell, Journal, Outcomes
from talo_export.probing.progress import Watch
from talo_export.probing.scores import Outcome, ScoreTable
from talo_export.probing.settings import Scoring
from talo_export.reporting import SILENT, Reporter
from talo_export.tasks.answers import is_right
from talo_export.tasks.item import Item

AUTO_BATCH = 8
"""Items in work at once: the naive engine fills a layer's weights once for so many."""


@dataclass(frozen=True)
class SweepResult:
    """All outcomes asked for, and what this call spent on them (a resumed run: its own part)."""

    table: ScoreTable
    """Without the items that were left out."""
    cost: Cost
    too_long: tuple[str, ...] = ()
    """Ids of the items left out because the model's context does not hold them."""


def sweep(
    loaded: LoadedModel,
    items: Sequence[Item],
    variants: Sequence[Knockout | None],
    scoring: Scoring,
    *,
    journal: Journal | None = None,
    batch_size: int | Literal["auto"] = "auto",
    engine: EngineName = "auto",
    skip_too_long: bool = False,
    reporter: Reporter = SILENT,
    phase: str = "scoring",
    world: World = ALONE,
) -> SweepResult:
    """Let every variant answer every item.

    `variants` must hold None, the base. `batch_size` is how many items are in work at once; no
    forward pass ever mixes two items, so it changes no bit of the result. `engine` auto takes the
    fastest that this model runs in and that agrees with the naive one. In a `world` every process
    calls this with the same arguments and its own journal, answers its share, and returns all
    answers. Raises TaloError for an item the model cannot take (one longer than its context is
    left out under `skip_too_long`), UsageError for a request without sense, ProofError for a
    knockout without effect.
    """
    check_request(items, variants, batch_size)
    outcomes = merged(world.all_gather(lambda: known(journal, items, variants)))
    pending = [i for i in items if any(i.id not in outcomes[variant] for variant in variants)]
    share = pending[world.rank :: world.size]
    size = AUTO_BATCH if batch_size == "auto" else batch_size
    watch = Watch(len(items) - len(pending) + len(share), variants, outcomes, reporter, phase)
    too_long = set[str]()

    with (
        on_threads(threads_for(loaded.model)),
        metered(loaded.model, loaded.decoder) as meter,
        CheckedEngine(
            loaded,
            scoring,
            meter,
            # Shared passes begin and are silenced at one layer.
            "naive" if any(variant and variant.also for variant in variants) else engine,
            variants=len(variants),
            items=len(items),
            note=reporter.note,
        ) as by,
    ):

        def todo(item: Item) -> Todo | None:
            """What of an item is still to be answered; None for one that is left out."""
            lacking = tuple(v for v in variants if item.id not in outcomes[v])
            try:
                encoded = encode(loaded, item, scoring)
            except ItemTooLongError:
                if not skip_too_long:
                    raise
                return None
            # One whole pass for each cell, choices of an item each their own.
            meter.naive += len(loaded.decoder) * passes(encoded, scoring) * len(lacking)
            return Todo(encoded, lacking)

        def answer() -> tuple[list[Cell], list[str]]:
            answered: list[Cell] = []
            long: list[str] = []
            for start in range(0, len(share), size):
                todos = {item.id: todo(item) for item in share[start : start + size]}
                long += [id_ for id_, one in todos.items() if one is None]
                for cells in by.answer([one for one in todos.values() if one], variants):
                    if journal is not None and cells:
                        journal.append(cells)
                    answered += cells
                    watch.add(cells, checking=by.checking)
            return answered, long

        for cells, long in world.all_gather(answer):
            for cell in cells:
                outcomes[cell.variant][cell.item_id] = cell.outcome
            too_long.update(long)
        costs = world.all_gather(lambda: meter.cost(loaded.device))
    if world.size > 1 and world.is_rank_zero and journal is not None:
        journal.append_all(outcomes)
    return SweepResult(
        _table(items, outcomes, too_long),
        side_by_side(costs),
        tuple(item.id for item in items if item.id in too_long),
    )


def check_request(
    items: Sequence[Item], variants: Sequence[Knockout | None], batch_size: int | str
) -> None:
    """Raise UsageError where there is nothing to do or no base to compare with."""
    if not items:
        raise UsageError("There are no items to score: the task or the split is empty.")
    if None not in variants:
        raise UsageError("The base model must be among the variants: every gain is against it.")
    if isinstance(batch_size, int) and batch_size < 1:
        raise UsageError(f"A batch of {batch_size} items holds nothing: use 1 or more, or auto.")


def known(
    journal: Journal | None, items: Sequence[Item], variants: Sequence[Knockout | None]
) -> Outcomes:
    """The outcomes asked for that the journal already has; an entry for every variant."""
    stored: Mapping[Knockout | None, Mapping[str, Outcome]] = (
        {} if journal is None else journal.outcomes()
    )
    asked = {item.id: item for item in items}
    return {
        variant: {
            id_: _judged(asked[id_], outcome)
            for id_, outcome in stored.get(variant, {}).items()
            if id_ in asked
        }
        for variant in variants
    }


def _judged(item: Item, outcome: Outcome) -> Outcome:
    """The outcome, right by today's rules: those of earlier versions took some texts for equal."""
    if outcome.choice is None:
        return outcome
    return replace(outcome, correct=is_right(item, outcome.choice))


def merged(parts: Sequence[Outcomes]) -> Outcomes:
    """What several processes know, together; where two know a cell they agree."""
    whole: Outcomes = {}
    for outcomes in parts:
        for variant, seen in outcomes.items():
            whole.setdefault(variant, {}).update(seen)
    return whole


def _table(items: Sequence[Item], outcomes: dict, too_long: Iterable[str]) -> ScoreTable:
    """The scores of all items but those left out. Raises TaloError where none remains."""
    dropped = set(too_long)
    kept = [item for item in items if item.id not in dropped]
    if not kept:
        raise TaloError(
            f"all {len(items)} items are longer than the model's context: nothing is left to score."
        )
    return ScoreTable.build(kept, outcomes)


def all_knockouts(
    decoder: Decoder, scope: Scope = "attention", fill: Fill = "zero"
) -> tuple[Knockout, ...]:
    """A knockout for every layer that has what `scope` cuts, layer 0 too, in layer order.

    Layers without self-attention, and those whose attention must not be cut alone, are left out;
    `not_swept` names them with the reason.
    """
    declined = not_swept(decoder, scope)
    return tuple(
        Knockout(layer.index, scope, fill)
        for layer in decoder.layers
        if layer.index not in declined
    )


def not_swept(decoder: Decoder, scope: Scope = "attention") -> dict[int, str]:
    """Layer index -> one sentence, for the layers that `scope` cannot cut."""
    reasons: dict[int, str] = {}
    for layer in decoder.layers:
        if scope in ("mlp", "layer") and not layer.mlp_output:
            reasons[layer.index] = "it has no feed-forward output projection"
        elif scope == "mlp":
            continue
        elif not layer.attention:
            kinds = ", ".join(mixer.kind for mixer in layer.mixers) or "no token mixer"
            reasons[layer.index] = f"it has no self-attention but {kinds}"
        elif declined := [mixer.declined for mixer in layer.attention if mixer.declined]:
            reasons[layer.index] = declined[0]
        elif scope != "o_proj" and any(mixer.shared for mixer in layer.attention):
            reasons[layer.index] = "other layers read its keys and values: use scope o_proj"
    return reasons
