"""Which elements of a stored tensor become which parameter, where loading moves them about.

Loading may split one stored tensor into several parameters, join several into one, turn or permute
them. A fill other than zero is a number that belongs to a parameter, so what to write must be
known element by element. That is not derived here: parameters whose rows hold their own number are
sent through transformers' own operations in reverse, and back again as the proof.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers.core_model_loading import (
    Chunk,
    Concatenate,
    ErnieFuseAndSplitTextVisionExperts,
    Interleave,
    MergeModulelist,
    PermuteForRope,
    Split,
    Transpose,
    WeightConverter,
)

from talo_export.models.anatomy import Piece
from talo_export.models.switching import transposed_parameters

_MOVES = (Chunk, Concatenate, Interleave, MergeModulelist, PermuteForRope, Split, Transpose)
"""Operations that change no element's value."""
_MOST_RUNS = 4096

Runs = tuple[tuple[int, int], ...]
"""(number of a parameter, count of rows that are its), from the first row on."""


class Conversions:
    """The pieces of stored tensors of one model (on the meta device)."""

    def __init__(self, model: nn.Module) -> None:
        self._model: Any = model
        named = model.named_parameters(remove_duplicate=False)
        self._shapes = {name: tuple(parameter.shape) for name, parameter in named}
        self._transposed = transposed_parameters(model)
        self._rows: dict[Any, Runs] = {}

    def pieces(
        self, converter: WeightConverter, parameters: Sequence[str], stored: str
    ) -> tuple[Piece, ...]:
        """What the tensor `stored`, which `converter` turns into `parameters`, is made of.

        `parameters` are in the order of the converter's targets. Empty where it cannot be told:
        an operation that computes, or one that splits along another dimension than the first.
        """
        targets = converter.target_patterns
        if len(parameters) != len(targets) or not self._shapes.keys() >= set(parameters):
            return ()
        shapes = [self._shapes[name] for name in parameters]
        kinds = {type(operation) for operation in converter.operations}
        if kinds == {ErnieFuseAndSplitTextVisionExperts}:
            return self._member(converter, parameters, shapes, stored)
        if not kinds <= {*_MOVES}:
            return ()
        if len(targets) == 1:
            return (self._piece(parameters[0], shapes[0], 1),)
        along = [getattr(operation, "dim", 0) for operation in converter.operations]
        if any(along) or len({shape[1:] for shape in shapes}) != 1:
            return ()
        key = (id(converter), *shapes)
        if key not in self._rows:
            self._rows[key] = self._trace(converter, parameters[0], shapes)
        width = torch.Size(shapes[0][1:]).numel()
        return tuple(
            self._piece(parameters[number], shapes[number], rows * width)
            for number, rows in self._rows[key]
        )

    def _piece(self, name: str, shape: tuple[int, ...], elements: int) -> Piece:
        if len(shape) < 2:
            return Piece(name, elements, None)
        return Piece(name, elements, shape[-1 if name in self._transposed else 0])

    def _member(
        self,
        converter: WeightConverter,
        parameters: Sequence[str],
        shapes: Sequence[tuple[int, ...]],
        stored: str,
    ) -> tuple[Piece, ...]:
        """One tensor of a numbered list that is dealt out: it goes whole to one of `parameters`."""
        if len(converter.source_patterns) != 1:
            return ()
        labels = [
            torch.full((shape[0], *(1 for _ in shape[1:])), number)
            for number, shape in enumerate(shapes)
        ]
        reverse: Any = converter.reverse_transform()
        dealt = dict(zip(reverse.source_patterns, ([label] for label in labels), strict=True))
        members = self._run(reverse, dealt, parameters[0])
        again = self._run(
            converter, {converter.source_patterns[0]: [*members.values()]}, parameters[0]
        )
        if not _are(again, converter, labels):
            return ()
        for ending, label in members.items():
            if stored.endswith("." + ending):
                number = int(label)
                elements = torch.Size(shapes[number][1:]).numel()
                return (self._piece(parameters[number], shapes[number], elements),)
        return ()

    def _trace(
        self, converter: WeightConverter, first: str, shapes: Sequence[tuple[int, ...]]
    ) -> Runs:
        """Whose the rows of the stored tensor are. Empty where the way back shows otherwise."""
        labels = [
            torch.full((shape[0], 1)[: len(shape)], number) for number, shape in enumerate(shapes)
        ]
        reverse: Any = converter.reverse_transform()
        stored = self._run(reverse, dict(zip(reverse.source_patterns, labels, strict=True)), first)
        again = self._run(converter, dict(stored), first)
        if len(stored) != 1 or not _are(again, converter, labels):
            return ()
        (rows,) = stored.values()
        runs = tuple(
            (number, sum(1 for _ in group))
            for number, group in itertools.groupby(rows.flatten().tolist())
        )
        return runs if len(runs) <= _MOST_RUNS else ()

    def _run(self, converter: Any, tensors: dict[str, Any], first: str) -> dict[str, Any]:
        for operation in converter.operations:
            tensors = operation.convert(
                tensors,
                source_patterns=converter.source_patterns,
                target_patterns=converter.target_patterns,
                full_layer_name=first,
                model=self._model,
                config=self._model.config,
                missing_keys=None,
            )
        return tensors


def _are(made: dict[str, Any], converter: WeightConverter, labels: Sequence[torch.Tensor]) -> bool:
    """Whether these parameters are the labels that were sent the other way."""
    pairs = zip(converter.target_patterns, labels, strict=True)
    return all(torch.equal(made[pattern], label) for pattern, label in pairs)
