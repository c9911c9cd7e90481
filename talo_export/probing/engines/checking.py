"""The engine a sweep uses: the fastest that is right for this model, checked and backed off.

The first item of every kind (what inputs it has, whether anything follows its prompt) is answered
the plain way too, variant by variant. That proves the knockouts and checks the shared engine. Where
it cannot run the model or disagrees, it goes on one variant at a time, and at last the plain way;
each change is said once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Literal

import torch

from talo_export.errors import TaloError
from talo_export.models.loading import LoadedModel
from talo_export.models.memory import is_out_of_memory
from talo_export.probing.answers import Answered
from talo_export.probing.cost import Meter
from talo_export.probing.encoding import Encoded
from talo_export.probing.engines.naive import Naive, Todo, one_token_each
from talo_export.probing.engines.passes import SharedModel
from talo_export.probing.engines.plan import Variant
from talo_export.probing.engines.rounding import disagreement, nudged_embeddings
from talo_export.probing.engines.shared import Shared
from talo_export.probing.engines.walk import CannotShareError
from talo_export.probing.engines.width import Widths
from talo_export.probing.journal import Cell
from talo_export.probing.settings import Scoring
from talo_export.wording import first_line

EngineName = Literal["auto", "naive"]
"""What a user may ask for: the fastest that is right, or the plain way."""
Way = Literal["shared", "stock-shaped", "naive"]
Kind = tuple[object, ...]
Note = Callable[[str], None]

FEWEST_FOR_STOCK_SHAPED = 4
"""Items of a confirmation: the first is answered twice, for checking."""
LIBRARY_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError)
"""What a model's code raises when it is run in a way it was not written for."""


def best_way(engine: EngineName, variants: int, items: int) -> Way:
    """What to begin with.

    A base and one knockout are what a confirmation asks for, and stock passes are what an exported
    checkpoint will be held against: only what gives their bits will do.
    """
    if engine == "auto" and variants > 2 and items > 1:
        return "shared"
    if engine == "auto" and variants == 2 and items >= FEWEST_FOR_STOCK_SHAPED:
        return "stock-shaped"
    return "naive"


class CheckedEngine:
    """Answers items in the best way. `variants` and `items` say how many will be asked, over all.

    A context: the model is prepared for shared passes inside.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        scoring: Scoring,
        meter: Meter,
        engine: EngineName,
        *,
        variants: int,
        items: int,
        note: Note,
    ) -> None:
        self._loaded = loaded
        self._scoring = scoring
        self._meter = meter
        self._note = note
        self._naive = Naive(loaded, scoring, meter)
        self._widths = Widths(loaded)
        self._checked: set[Kind] = set()
        self.way = best_way(engine, variants, items)
        """How the next item will be answered."""
        self.checking = False
        """Whether the item in work is answered the plain way too."""

    def __enter__(self) -> CheckedEngine:
        self._stack = ExitStack()
        if self.way != "naive":
            try:
                shared = SharedModel(self._loaded.model, self._loaded.decoder)
                self._stack.enter_context(shared.installed())
            except CannotShareError as error:
                self._give_up(str(error), width=1)
            else:
                self._shared = Shared(self._loaded, self._scoring, self._meter, shared)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def answer(self, todos: Sequence[Todo], variants: Sequence[Variant]) -> Iterator[list[Cell]]:
        """Answer every missing cell of a few items. Each list may be committed by itself.

        One is empty where an item's checking begins.
        `variants` are all that were asked for, whether they are missing or not: what runs together
        decides the last bits, and they are not to depend on what an earlier run had finished.
        """
        for at, todo in enumerate(todos):
            if self.way == "naive":
                yield from self._naive.answer(todos[at:], variants)
                return
            for answers in self._answer_item(todo, variants):
                yield [Cell(a.variant, todo.encoded.item.id, a.outcome) for a in answers]

    def _answer_item(self, todo: Todo, variants: Sequence[Variant]) -> Iterator[list[Answered]]:
        encoded, missing = todo.encoded, list(todo.missing)
        plain: dict[Variant, Answered] = {}
        self.checking = kind_of(encoded) not in self._checked
        if self.checking:
            yield []
            with self._widths.measured(kind_of(encoded), encoded):
                plain[missing[0]] = self._plainly(missing[0], encoded)
        while missing and self.way != "naive":
            yield from self._by_shared_passes(encoded, variants, missing, plain)
        self.checking = False
        for variant in missing:
            if variant not in plain:
                with self._naive.variant(variant):
                    plain[variant] = self._naive.ask(variant, encoded)
            yield [plain[variant]]

    def _by_shared_passes(
        self,
        encoded: Encoded,
        variants: Sequence[Variant],
        missing: list[Variant],
        plain: dict[Variant, Answered],
    ) -> Iterator[list[Answered]]:
        """Answers taken off `missing` and held against `plain`, until the way has to change."""
        kind = kind_of(encoded)
        stock_shaped = self.way == "stock-shaped"
        width = 1 if stock_shaped else self._widths.of(kind, encoded, len(variants))
        passes = self._shared.answer(
            encoded, variants, width, tuple(missing), stock_shaped=stock_shaped
        )
        while missing:
            before = self._meter.totals()
            try:
                answers = next(passes)
            except (TaloError, MemoryError, *LIBRARY_ERRORS) as error:
                self._meter.move_aside(before)
                if is_out_of_memory(error):
                    self._note(self._widths.shrink(kind, encoded, width, error))
                else:
                    self._give_up(first_line(str(error)) or type(error).__name__, width)
                return
            for part in [[answer] for answer in answers] if self.checking else [answers]:
                problem = self._difference(part[0], encoded, plain) if self.checking else None
                if problem is not None:
                    self._meter.move_aside(before)
                    self._give_up(problem, width)
                    return
                for answer in part:
                    missing.remove(answer.variant)
                yield part
        self._checked.add(kind)

    def _plainly(self, variant: Variant, encoded: Encoded) -> Answered:
        """An answer the plain way, for checking."""
        with self._meter.aside(), self._naive.variant(variant):
            return self._naive.ask(variant, encoded)

    def _difference(
        self, answer: Answered, encoded: Encoded, plain: dict[Variant, Answered]
    ) -> str | None:
        """How an answer differs from the plain one, which is added to `plain`; None if it agrees"""
        variant, model = answer.variant, self._loaded.model
        who = "the base" if variant is None else str(variant)
        if variant not in plain:
            plain[variant] = self._plainly(variant, encoded)
        if self.way == "stock-shaped":
            return None if answer.same_bits(plain[variant]) else f"{who} has other bits"
        problem = disagreement(answer, plain[variant], model.dtype)
        if problem is not None and model.dtype in (torch.bfloat16, torch.float16):
            with nudged_embeddings(model):
                nudged = self._plainly(variant, encoded)
            problem = disagreement(answer, plain[variant], model.dtype, nudged)
        return None if problem is None else f"on item {encoded.item.id!r} under {who} {problem}"

    def _give_up(self, problem: str, width: int) -> None:
        """Go on in the next slower way."""
        if width > 1:
            self._widths.narrow_to_one()
            self._note(
                f"several variants do not run at once in this model ({problem}); going on with one "
                "at a time"
            )
            return
        if self.way == "shared":
            # A confirmation only takes longer then, and nothing else.
            self._note(
                f"variants cannot share layers in this model ({problem}); going on with a whole "
                "pass for each"
            )
        self.way = "naive"


def kind_of(encoded: Encoded) -> Kind:
    """What makes two items the same work: which inputs they have, and what follows the prompt."""
    return (frozenset(encoded.inputs), not one_token_each(encoded))
