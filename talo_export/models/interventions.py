"""Switching one layer off on a live model, and proving that it is off.

The weights are filled in place, so that the model's own forward, cache and generation run
unchanged, and get back their exact bits afterwards, also on error. A knockout without effect is
an error: the public reference of the method silently ran the unmodified model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from talo_export.errors import ProofError, TaloError
from talo_export.knockout import Fill, Knockout
from talo_export.models.anatomy import Decoder
from talo_export.models.proof import BaseAnswer, prove_effect
from talo_export.models.targets import Targets, knockout_targets


@contextmanager
def knock_out(
    model: nn.Module,
    decoder: Decoder,
    knockout: Knockout,
    *,
    example: Mapping[str, Any] | None = None,
    base: BaseAnswer | None = None,
) -> Iterator[Targets]:
    """Run the body with one layer switched off; restore the exact bits afterwards.

    The effect is proved on entry by a forward of `example`, keyword arguments of the model (by
    default a few text tokens): the output projections put out exactly zero under fill `zero`,
    and the logits differ from those of the unmodified model, unless what was filled put out zero
    already. `base` is `answer_of(model, decoder, example)`, which a caller of many knockouts
    computes once. Raises UsageError or TaloError for a layer that cannot be knocked out,
    ProofError for one whose knockout shows no effect.
    """
    targets = knockout_targets(decoder, knockout)
    parameters = find_parameters(model, targets.filled)
    transposed = transposed_parameters(model)
    if base is None:
        base = BaseAnswer.of(model, example)
    originals = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    try:
        with torch.no_grad():
            for name, parameter in parameters.items():
                fill_tensor(parameter, knockout.fill, name in transposed)
        prove_effect(model, targets, knockout, base)
        yield targets
    finally:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(originals[name])


@contextmanager
def silence_rows(
    model: nn.Module, decoder: Decoder, cuts: Mapping[int, Tensor], scope: str = "attention"
) -> Iterator[None]:
    """Zero knockouts for some rows of the batch only: `cuts` maps a layer to its (B,) bool mask.

    The layer's output projections put out exact zeros in the masked rows, which is the same
    function as zero weights and biases. Hooks on modules, no weight is touched; this is also the
    way for weights that are offloaded or quantised. Raises TaloError where an output projection
    is no module of its own, or does not keep the batch first.
    """
    handles = []
    try:
        for index, mask in cuts.items():
            targets = knockout_targets(decoder, Knockout(index, scope))  # type: ignore[arg-type]
            for path in output_modules(model, targets):
                module = model.get_submodule(path)
                handles.append(module.register_forward_hook(_zero_rows(mask, path)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _zero_rows(mask: Tensor, path: str) -> Any:
    def hook(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        if output.shape[0] != mask.shape[0]:
            raise TaloError(
                f"{path} does not keep the batch as its first dimension "
                f"({tuple(output.shape)} for {mask.shape[0]} rows)"
            )
        rows = mask.to(output.device).view(-1, *[1] * (output.dim() - 1))
        return output.masked_fill(rows, 0)

    return hook


def output_modules(model: nn.Module, targets: Targets) -> tuple[str, ...]:
    """Paths of the modules that own the output projections' parameters.

    Raises TaloError where such a parameter belongs to the attention module itself.
    """
    paths = tuple(dict.fromkeys(name.rpartition(".")[0] for name in targets.outputs))
    for path in paths:
        if any(True for _ in model.get_submodule(path).children()):
            raise TaloError(f"the output projection in {path} is no module of its own")
    return paths


def find_parameters(model: nn.Module, names: tuple[str, ...]) -> dict[str, nn.Parameter]:
    """The named parameters, all of them or a ProofError; TaloError where they cannot be filled."""
    have = dict(model.named_parameters(remove_duplicate=False))
    lost = [name for name in names if name not in have]
    if lost or not names:
        raise ProofError(f"the model has no parameter {', '.join(lost) or 'to fill'}")
    for name in names:
        if have[name].device.type == "meta":
            raise TaloError(f"{name} is offloaded: knock out by hooks, or load without offload")
        if not have[name].is_floating_point() or have[name].element_size() < 2:
            raise TaloError(
                f"{name} is stored as {have[name].dtype}, quantised: load the model with "
                "--dtype bfloat16 from an unquantised checkpoint to knock it out in memory"
            )
    return {name: have[name] for name in names}


def transposed_parameters(model: nn.Module) -> set[str]:
    """Weights stored (in, out), as GPT-2's `Conv1D` does, rather than (out, in)."""
    return {f"{path}.weight" for path, m in model.named_modules() if isinstance(m, Conv1D)}


def fill_tensor(tensor: Tensor, fill: Fill, transposed: bool = False) -> None:
    """Overwrite a weight (out, in), its transpose, or a bias (out,), in place.

    `zero` is +0.0 everywhere; `uniform` 1/d_out in weights and 0 in biases; `mean` the tensor's
    own mean, computed in float64.
    """
    if fill == "mean":
        tensor.fill_(tensor.double().mean().item())
    elif fill == "uniform" and tensor.dim() > 1:
        tensor.fill_(1 / tensor.shape[-1 if transposed else 0])
    else:
        tensor.zero_()
