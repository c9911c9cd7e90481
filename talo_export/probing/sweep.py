"""The sweep: every variant of the model answers every item, and each answer is written down.

The same function serves the probe (all layers), the confirmation (the base and one knockout) and
a plain evaluation (the base alone). Guarantees, each with a test: only cells missing from the
journal are computed; a cell depends on its item, its variant and the engine, never on the batch
size, on other items, on the order of work or on what was done before an interruption.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from talo_export.errors import UsageError
from talo_export.knockout import Fill, Knockout, Scope
from talo_export.models.anatomy import Decoder
from talo_export.models.loading import LoadedModel
from talo_export.probing.cost import Cost, metered
from talo_export.probing.encoding import Encoded, encode
from talo_export.probing.engines.naive import Naive, Work, passes
from talo_export.probing.journal import Cell, Journal, Outcomes
from talo_export.probing.progress import Progress, Watcher
from talo_export.probing.scores import Outcome, ScoreTable
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import Item

EngineName = Literal["auto", "naive", "resume", "lockstep"]

AUTO_BATCH = 8
"""Items whose answers are committed together: a kill costs at most this much work."""


@dataclass(frozen=True)
class SweepResult:
    """All outcomes asked for, and what this call spent on them (a resumed run: its own part)."""

    table: ScoreTable
    cost: Cost


def sweep(
    loaded: LoadedModel,
    items: Sequence[Item],
    variants: Sequence[Knockout | None],
    scoring: Scoring,
    *,
    journal: Journal | None = None,
    batch_size: int | Literal["auto"] = "auto",
    engine: EngineName = "auto",
    progress: Watcher | None = None,
) -> SweepResult:
    """Let every variant answer every item.

    `variants` must hold None, the base. `batch_size` is how many items are in work at once and
    committed together; no forward pass ever mixes two items, so it changes memory and speed only.
    Raises TaloError for an item the model cannot take, UsageError for a request without sense.
    """
    check_request(items, variants, batch_size)
    outcomes = known(journal, items, variants)
    watch = Watch(items, variants, outcomes, progress)
    size = AUTO_BATCH if batch_size == "auto" else batch_size
    with metered(loaded.model, loaded.decoder) as meter:
        chosen = Naive(loaded, scoring, meter)
        for batch in batches(items, size):
            work = missing(loaded, batch, variants, scoring, outcomes)
            if not work:
                continue
            meter.naive += naive_evaluations(loaded.decoder, work, scoring)
            for cells in chunks(chosen.answer(work), size):
                if journal is not None:
                    journal.append(cells)
                for cell in cells:
                    outcomes[cell.variant][cell.item_id] = cell.outcome
                watch.report()
        cost = meter.cost(loaded.model.device)
    return SweepResult(ScoreTable.build(items, outcomes), cost)


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
        if scope == "mlp":
            if not layer.mlp_output:
                reasons[layer.index] = "it has no feed-forward output projection"
        elif not layer.attention:
            kinds = ", ".join(mixer.kind for mixer in layer.mixers) or "no token mixer"
            reasons[layer.index] = f"it has no self-attention but {kinds}"
        elif declined := [mixer.declined for mixer in layer.attention if mixer.declined]:
            reasons[layer.index] = declined[0]
    return reasons


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
    wanted = {item.id for item in items}
    return {
        variant: {id_: o for id_, o in stored.get(variant, {}).items() if id_ in wanted}
        for variant in variants
    }


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Runs of `size` items in the task's order."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def missing(
    loaded: LoadedModel,
    batch: Sequence[Item],
    variants: Sequence[Knockout | None],
    scoring: Scoring,
    outcomes: Outcomes,
) -> dict[Knockout | None, list[Encoded]]:
    """The cells of a batch without an outcome, each item encoded once."""
    encoded = {
        item.id: encode(loaded, item, scoring)
        for item in batch
        if any(item.id not in outcomes[variant] for variant in variants)
    }
    work = {
        variant: [encoded[i.id] for i in batch if i.id not in outcomes[variant]]
        for variant in variants
    }
    return {variant: cells for variant, cells in work.items() if cells}


def naive_evaluations(decoder: Decoder, work: Work, scoring: Scoring) -> int:
    """Layer evaluations of one whole pass for each cell, choices of an item each their own."""
    return len(decoder) * sum(
        passes(encoded, scoring) for cells in work.values() for encoded in cells
    )


def chunks(cells: Iterator[Cell], size: int) -> Iterator[list[Cell]]:
    """Lists of up to `size` cells, as they come."""
    held: list[Cell] = []
    for cell in cells:
        held.append(cell)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held


class Watch:
    """Turns outcomes into progress events."""

    def __init__(
        self,
        items: Sequence[Item],
        variants: Sequence[Knockout | None],
        outcomes: Outcomes,
        watcher: Watcher | None,
    ) -> None:
        self._outcomes = outcomes
        self._watcher = watcher
        self._total = len(items) * len(outcomes)
        self._resumed = self._done()
        self.report()

    def report(self, note: str | None = None) -> None:
        """Tell the watcher where the sweep stands."""
        if self._watcher is not None:
            self._watcher(Progress(self._done(), self._total, self._resumed, self._gains(), note))

    def _done(self) -> int:
        return sum(map(len, self._outcomes.values()))

    def _gains(self) -> dict[Knockout, float]:
        base = self._outcomes[None]
        gains: dict[Knockout, float] = {}
        for variant, seen in self._outcomes.items():
            both = [id_ for id_ in seen if id_ in base]
            if variant is not None and both:
                won = sum(int(seen[id_].correct) - int(base[id_].correct) for id_ in both)
                gains[variant] = won / len(both)
        return gains
