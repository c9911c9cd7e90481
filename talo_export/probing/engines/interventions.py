"""Knockouts for the fast engines: one row of a shared pass, or the whole model, without a proof.

The proof that a knockout acts is made once, by the comparison with the naive engine that every
sweep begins with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder
from talo_export.models.interventions import (
    fill_tensor,
    find_parameters,
    silence_rows,
    transposed_parameters,
)
from talo_export.models.targets import knockout_targets


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
