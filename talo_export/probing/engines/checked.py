"""The engine a sweep uses: the fastest that is right for this model, checked and backed off.

The first item of every kind (what inputs it has, whether anything follows its prompt) is answered
the plain way too, for every variant. That proves the knockouts and checks
the fast engine. An engine that cannot run the model, or disagrees, is replaced by the next slower
one, which is said once, where the choice was ours; where the user named it, it is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Literal

import torch

from talo_export.errors import ProofError, TaloError
from talo_export.knockout import Knockout
from talo_export.models.loading import LoadedModel
from talo_export.models.memory import is_out_of_memory
from talo_export.probing.answers import Answered
from talo_export.probing.cost import Meter
from talo_export.probing.encoding import Encoded
from talo_export.probing.engines.check import disagreement, nudged_embeddings
from talo_export.probing.engines.fit import fitting_tokens, layer_bytes, most_tokens
from talo_export.probing.engines.memory import too_large
from talo_export.probing.engines.naive import Naive, one_token_each
from talo_export.probing.engines.passes import CannotShareError, SharedModel
from talo_export.probing.engines.shared import Sharing
from talo_export.probing.engines.work import Todo, Work
from talo_export.probing.journal import Cell
from talo_export.probing.settings import Scoring
from talo_export.wording import first_line

Kind = tuple[object, ...]
EngineName = Literal["auto", "naive"]
"""What a user may ask for: the fastest that is right, or the plain way."""
Shared = Literal["resume", "lockstep"]
Note = Callable[[str], None]

FEWEST_FOR_PAIR = 4
"""Items of a confirmation: the first is answered twice, for checking."""


def candidates(engine: EngineName | Shared, variants: int, items: int) -> list[str]:
    """The engines to try, the best first.

    A base and one knockout are what a confirmation asks for, and stock passes are what an exported
    checkpoint will be held against: only an engine that gives their bits will do.
    """
    if engine != "auto":
        return [engine]
    if variants > 2 and items > 1:
        return ["lockstep", "resume", "naive"]
    if variants == 2 and items >= FEWEST_FOR_PAIR:
        return ["pair", "naive"]
    return ["naive"]


class Checked:
    """Answers batches with the named engine, or with the best one for `auto`.

    `variants` and `items` say how many will be asked, over all.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        scoring: Scoring,
        meter: Meter,
        engine: EngineName | Shared,
        *,
        variants: int,
        items: int,
        note: Note,
    ) -> None:
        self._loaded = loaded
        self._scoring = scoring
        self._meter = meter
        self._asked = engine
        self._note = note
        self._naive = Naive(loaded, scoring, meter)
        self._checked: set[Kind] = set()
        self._candidates = candidates(engine, variants, items)
        self._most_tokens: dict[Kind, int] = {}

    def __enter__(self) -> Checked:
        self._stack = ExitStack()
        self._sharing: Sharing | None = None
        if self._candidates != ["naive"]:
            try:
                shared = SharedModel(self._loaded.model, self._loaded.decoder)
                self._stack.enter_context(shared.installed())
            except CannotShareError as error:
                self._give_up(str(error), to="naive")
            else:
                self._sharing = Sharing(self._loaded, self._scoring, self._meter, shared)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def name(self) -> str:
        """The engine in use."""
        return self._candidates[0]

    def answer(self, work: Work) -> Iterator[list[Cell]]:
        """Answer every missing cell. Each list is committed whole: an item's cells together."""
        for at, todo in enumerate(work.todos):
            if self.name == "naive":
                yield from self._naive.answer(Work(work.todos[at:], work.variants))
                return
            # The whole set runs even where a part is known: what runs together decides the last
            # bits, and they are not to depend on what an earlier run had finished.
            answers = self._answer_item(todo, work.variants)
            yield [
                Cell(variant, todo.encoded.item.id, answers[variant].outcome)
                for variant in todo.missing
            ]

    def _answer_item(
        self, todo: Todo, variants: tuple[Knockout | None, ...]
    ) -> dict[Knockout | None, Answered]:
        encoded = todo.encoded
        kind = kind_of(encoded)
        if kind in self._checked:
            return self._fast(encoded, variants)
        plain = self._plainly(encoded, variants)
        while self.name != "naive":
            before = self._meter.totals()
            try:
                fast = self._fast(encoded, variants)
            except (TaloError, *LIBRARY_ERRORS) as error:
                if self._asked != "auto":
                    raise
                problem = first_line(str(error)) or type(error).__name__
            else:
                found = self._compare(encoded, fast, plain)
                if found is None:
                    self._checked.add(kind)
                    return fast
                problem = found
            self._meter.move_aside(before)
            self._give_up(problem, to=self._candidates[1] if len(self._candidates) > 1 else "")
        return plain

    def _plainly(
        self, encoded: Encoded, variants: tuple[Knockout | None, ...]
    ) -> dict[Knockout | None, Answered]:
        """One item the plain way, for checking; what a layer takes is measured by the way."""
        decoder, answers = self._loaded.decoder, {}
        middle = self._loaded.model.get_submodule(decoder.layers[len(decoder) // 2].path)
        with self._meter.aside():
            for variant in variants:
                with self._naive.variant(variant), layer_bytes(middle) as made:
                    answers[variant] = self._naive.ask(variant, encoded)
                if kind_of(encoded) not in self._most_tokens and self._shares_by_itself:
                    device = self._loaded.device
                    most = most_tokens(self._loaded.model, device)
                    fit = fitting_tokens(max(made) / encoded.length, device, most)
                    self._most_tokens[kind_of(encoded)] = fit
        return answers

    @property
    def _shares_by_itself(self) -> bool:
        """Whether how much runs at once is ours to say; a named lockstep takes all variants."""
        return self._asked == "auto"

    def _compare(
        self,
        encoded: Encoded,
        fast: dict[Knockout | None, Answered],
        plain: dict[Knockout | None, Answered],
    ) -> str | None:
        model = self._loaded.model
        if self.name == "pair":
            same = all(fast[variant].same_bits(answer) for variant, answer in plain.items())
            return None if same else "its answers to base and knockout have other bits"
        for variant, answer in plain.items():
            problem = disagreement(fast[variant], answer, model.dtype)
            if problem is not None and model.dtype in (torch.bfloat16, torch.float16):
                with self._meter.aside(), self._naive.variant(variant), nudged_embeddings(model):
                    nudged = self._naive.ask(variant, encoded)
                problem = disagreement(fast[variant], answer, model.dtype, nudged)
            if problem is not None:
                who = "the base" if variant is None else str(variant)
                return f"on item {encoded.item.id!r} under {who} {problem}"
        return None

    def _give_up(self, problem: str, *, to: str) -> None:
        if self._asked != "auto":
            raise ProofError(
                f"the {self._asked} engine does not give what the naive one gives: {problem}. "
                "Use --engine naive, and please report this model."
            )
        if self.name != "pair":
            # Without it a confirmation takes longer, and nothing else.
            self._note(f"{self.name} cannot sweep this model ({problem}); going on with {to}")
        while self.name != to:
            self._candidates.pop(0)

    def _fast(
        self, encoded: Encoded, variants: tuple[Knockout | None, ...]
    ) -> dict[Knockout | None, Answered]:
        """One item by the engine in use, in smaller passes where the memory asks for it."""
        assert self._sharing is not None
        width = self._width(encoded, len(variants))
        while True:
            before = self._meter.totals()
            try:
                if self.name == "pair":
                    answers = self._sharing.answer_pair(encoded, variants)
                else:
                    answers = self._sharing.answer_item(encoded, variants, width)
                return {answer.variant: answer for answer in answers}
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._meter.move_aside(before)
                if width == 1:
                    raise too_large(encoded) from error
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            width //= 2
            # For prompts of this kind: what else the model does keeps its own measure.
            self._most_tokens[kind_of(encoded)] = width * encoded.length
            self._note(f"out of memory: going on with {width} variants at a time")

    def _width(self, encoded: Encoded, variants: int) -> int:
        if self.name in ("resume", "pair"):
            return 1
        most = self._most_tokens.get(kind_of(encoded))
        return variants if most is None else max(1, min(variants, most // encoded.length))


LIBRARY_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError)
"""What a model's code raises when it is run in a way it was not written for."""


def kind_of(encoded: Encoded) -> Kind:
    """What makes two items the same work: which inputs they have, and what follows the prompt."""
    return (frozenset(encoded.inputs), not one_token_each(encoded))
