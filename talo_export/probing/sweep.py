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
from talo_export.probing.cost import Cost, metered, side_by_side
from talo_export.probing.encoding import encode
from talo_export.probing.engines.checked import Checked
from talo_export.probing.engines.checked import EngineName as EngineName
from talo_export.probing.engines.naive import passes
from talo_export.probing.engines.work import Todo, Work
from talo_export.probing.journal import Cell, Journal, Outcomes
from talo_export.probing.progress import Watch, Watcher
from talo_export.probing.scores import Outcome, ScoreTable
from talo_export.probing.settings import Scoring
from talo_export.probing.team import ALONE, Team
from talo_export.tasks.item import Item

AUTO_BATCH = 8
"""Items in work at once: the naive engine fills a layer's weights once for so many."""


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
    check: Literal["first", "all"] = "first",
    progress: Watcher | None = None,
    team: Team = ALONE,
) -> SweepResult:
    """Let every variant answer every item.

    `variants` must hold None, the base. `batch_size` is how many items are in work at once; no
    forward pass ever mixes two items, so it changes no bit of the result. `engine` auto takes the
    fastest that this model runs in and that agrees with the naive one; `check` says on how many
    items it is compared with that one. In a `team` every process calls this with the same
    arguments and its own journal, answers its share, and returns all answers. Raises TaloError for
    an item the model cannot take, UsageError for a request without sense, ProofError for an engine
    that was named and is wrong.
    """
    check_request(items, variants, batch_size)
    outcomes = merged(team.exchange(lambda: known(journal, items, variants)))
    pending = [i for i in items if any(i.id not in outcomes[variant] for variant in variants)]
    share = pending[team.rank :: team.size]
    if engine == "auto" and (len(variants) < 3 or len(items) < 2):
        # A base and one knockout have little in common to share; and stock passes, item by item,
        # are what an exported checkpoint will be held against.
        engine = "naive"
    watch = Watch(len(items) - len(pending) + len(share), variants, outcomes, progress)

    def answer_share() -> tuple[list[Cell], Cost]:
        answered: list[Cell] = []
        with (
            metered(loaded.model, loaded.decoder) as meter,
            Checked(
                loaded, scoring, meter, engine, check_all=check == "all", note=watch.report
            ) as by,
        ):
            for batch in batches(share, AUTO_BATCH if batch_size == "auto" else batch_size):
                work = missing(loaded, batch, variants, scoring, outcomes)
                meter.naive += naive_evaluations(loaded.decoder, work, scoring)
                for cells in by.answer(work):
                    if journal is not None:
                        journal.append(cells)
                    answered += cells
                    watch.add(cells)
            return answered, meter.cost(loaded.device)

    shares = team.exchange(answer_share)
    for cells, _ in shares:
        for cell in cells:
            outcomes[cell.variant][cell.item_id] = cell.outcome
    if team.size > 1 and team.leads and journal is not None:
        journal.append_all(outcomes)
    return SweepResult(ScoreTable.build(items, outcomes), side_by_side([c for _, c in shares]))


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
        elif scope != "o_proj" and any(mixer.shared for mixer in layer.attention):
            reasons[layer.index] = "other layers read its keys and values: use scope o_proj"
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


def merged(found: Sequence[Outcomes]) -> Outcomes:
    """What several processes know, together; where two know a cell they agree."""
    whole: Outcomes = {}
    for outcomes in found:
        for variant, seen in outcomes.items():
            whole.setdefault(variant, {}).update(seen)
    return whole


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
) -> Work:
    """The items of a batch that some variant has not answered, encoded."""
    todos = []
    for item in batch:
        lacking = tuple(v for v in variants if item.id not in outcomes[v])
        if lacking:
            todos.append(Todo(encode(loaded, item, scoring), lacking))
    return Work(todos, tuple(variants))


def naive_evaluations(decoder: Decoder, work: Work, scoring: Scoring) -> int:
    """Layer evaluations of one whole pass for each cell, choices of an item each their own."""
    return len(decoder) * sum(
        passes(todo.encoded, scoring) * len(todo.missing) for todo in work.todos
    )
