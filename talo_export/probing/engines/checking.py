"""The engine a sweep uses: the fastest that is right for this model, checked and backed off.

The first item of every kind (what inputs it has, whether anything follows its prompt) is answered
the plain way too, variant by variant. That proves the knockouts and checks the shared engine. Where
it cannot run the model or disagrees, it goes on one variant at a time, and at last the plain way;
each change is said once. "Disagrees" means by more than the number format rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from talo_export.errors import TaloError
from talo_export.models.loading import LoadedModel
from talo_export.models.memory import is_out_of_memory
from talo_export.probing.answers import Answered
from talo_export.probing.cost import Meter
from talo_export.probing.encoding import Encoded
from talo_export.probing.engines.naive import Naive, Todo, one_token_each
from talo_export.probing.engines.passes import SharedModel
from talo_export.probing.engines.plan import Variant
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

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 1e-1}
"""Largest distance of two logit vectors, relative to the spread of one. Measured on models run in
other batch shapes: about 1e-6 in float32 and 1e-2 in bfloat16; a wrong engine is off by 0.1 to 1.
"""
AMPLIFIED = 3
"""How many times what a nudge of one rounding step does to the plain way's own answer still counts
as rounding."""


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


def disagreement(
    fast: Answered, plain: Answered, dtype: torch.dtype, nudged: Answered | None = None
) -> str | None:
    """One phrase saying how `fast` differs from `plain` beyond rounding, None where it does not.

    Compared are the logits after the prompt, the choices' scores, and in full precision the text
    itself (in half precision two tokens of equal logits are common, and either may come first).
    A deep model without one of its first layers can make much of a last bit. `nudged`, the plain
    answer after such a nudge, says how much it is here.
    """
    tolerance = TOLERANCE.get(dtype, TOLERANCE[torch.bfloat16])
    if fast.outcome.finite != plain.outcome.finite:
        return "one has a NaN or Inf among its logits and the other has not"
    if not plain.outcome.finite:
        return None
    allowed = tolerance
    if nudged is not None:
        allowed = max(allowed, AMPLIFIED * distance(nudged.logits, plain.logits))
    apart = distance(fast.logits, plain.logits)
    if not apart <= allowed:
        return f"their logits are {apart:.2g} of their spread apart"
    if (fast.outcome.scores is None) != (plain.outcome.scores is None):
        return "only one has scores"
    own = 0.0 if nudged is None else AMPLIFIED * largest_change(nudged, plain)
    for score, usual in zip(fast.outcome.scores or (), plain.outcome.scores or (), strict=True):
        if not math.isclose(score, usual, rel_tol=tolerance, abs_tol=max(tolerance, own)):
            return f"a choice scores {score:.6g} and {usual:.6g} nats"
    exact = dtype in (torch.float32, torch.float64)
    if exact and fast.outcome.scores is None and fast.outcome.answer != plain.outcome.answer:
        return f"they say {fast.outcome.answer!r} and {plain.outcome.answer!r}"
    return None


@contextmanager
def nudged_embeddings(model: nn.Module) -> Iterator[None]:
    """The model with every number of its word embeddings off by one rounding step, up or down.

    The same signs each time.
    """

    def nudge(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        signs = torch.randint(0, 2, output.shape, generator=generator).to(output) * 2 - 1
        return output * (1 + torch.finfo(output.dtype).eps * signs)

    with model.get_input_embeddings().register_forward_hook(nudge):
        yield


def largest_change(first: Answered, second: Answered) -> float:
    """Largest difference of a choice's scores in nats, 0 where there are none."""
    pairs = zip(first.outcome.scores or (), second.outcome.scores or (), strict=False)
    return max((abs(a - b) for a, b in pairs), default=0.0)


def distance(logits: Tensor, usual: Tensor) -> float:
    """|logits - usual| / |usual - its mean|, Euclidean."""
    first, second = logits.double().cpu(), usual.double().cpu()
    spread = (second - second.mean()).norm().clamp_min(1e-30)
    return float((first - second).norm() / spread)
