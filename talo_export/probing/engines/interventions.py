"""Knockouts as the engines carry them out: the whole model, proved, or single rows of a pass.

Rows are silenced without a proof: that a knockout acts is proved once, on the naive engine that
every sweep is compared with first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from talo_export.errors import ProofError
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder
from talo_export.models.interventions import (
    fill_tensor,
    find_parameters,
    knock_out,
    silence_rows,
    transposed_parameters,
)
from talo_export.models.proof import BaseAnswer, logits_of
from talo_export.models.targets import knockout_targets


@contextmanager
def knocked_out(
    model: nn.Module, decoder: Decoder, knockout: Knockout, base: BaseAnswer
) -> Iterator[None]:
    """The whole model with one layer switched off, its effect proved on entry, for batches of one.

    In the weights where they are at hand. Weights that are offloaded or quantised cannot be
    filled; for a zero fill the output projections are silenced instead, the same function.
    """
    targets = knockout_targets(decoder, knockout)
    if knockout.fill != "zero" or weights_at_hand(model, targets.filled):
        with knock_out(model, decoder, knockout, base=base):
            yield
        return
    with silenced(model, decoder, {knockout: torch.tensor([True])}):
        if torch.equal(logits_of(model, base.example), base.logits):
            raise ProofError(
                f"the logits did not move under {knockout}: layer {targets.layer.path} puts out "
                "nothing already, or it is not the layer that is used"
            )
        yield


def weights_at_hand(model: nn.Module, names: Collection[str]) -> bool:
    """Whether these parameters lie in memory in a floating point format that can be filled."""
    have = dict(model.named_parameters(remove_duplicate=False))
    return all(
        have[name].device.type != "meta"
        and have[name].is_floating_point()
        and have[name].element_size() > 1
        for name in names
        if name in have
    )


@contextmanager
def silenced(
    model: nn.Module, decoder: Decoder, masks: Mapping[Knockout, Tensor]
) -> Iterator[None]:
    """Zero knockouts, each for the rows its mask says. Other fills are left to `filled`."""
    with ExitStack() as stack:
        for knockout, mask in masks.items():
            if knockout.fill == "zero":
                stack.enter_context(
                    silence_rows(model, decoder, {knockout.layer: mask}, knockout.scope)
                )
        yield


@contextmanager
def filled(model: nn.Module, decoder: Decoder, knockout: Knockout) -> Iterator[None]:
    """The layer's weights filled for every row; their exact bits come back afterwards."""
    parameters = find_parameters(model, knockout_targets(decoder, knockout).filled)
    transposed = transposed_parameters(model)
    originals = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    try:
        with torch.no_grad():
            for name, parameter in parameters.items():
                fill_tensor(parameter, knockout.fill, name in transposed)
        yield
    finally:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(originals[name])
