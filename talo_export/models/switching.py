"""Every way of switching a layer off in the live model, for the length of a block.

`filled` changes the weights in place, so that the model's own forward, cache and generation run
unchanged, and gives back their exact bits afterwards, also on error. `silenced` touches no weight:
hooks put zeros in place of what the output projections put out, or of what they read of a head,
for some rows of a batch or for all. `knocked_out` is the one or the other, proved: a knockout
without effect is an error, for the public reference of the method silently ran the unmodified
model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from talo_export.errors import ProofError, TaloError
from talo_export.knockout import Fill, Knockout
from talo_export.models.anatomy import Decoder
from talo_export.models.proof import BaseAnswer, prove_effect
from talo_export.models.targets import Columns, Targets, knockout_targets


@contextmanager
def knocked_out(
    model: nn.Module,
    decoder: Decoder,
    knockout: Knockout,
    base: BaseAnswer | None = None,
    *,
    example: Mapping[str, Any] | None = None,
) -> Iterator[Targets]:
    """The whole model with the knockout carried out, its effect proved on entry.

    In the weights where they are at hand. Weights that are offloaded or quantised cannot be
    filled; for a zero fill the output projections are silenced instead, the same function.

    Proved by a forward of `example`, keyword arguments of the model (by default a few text
    tokens): the output projections put out exactly zero under fill `zero`, and the logits differ
    from those of the unmodified model. `base` is `BaseAnswer.of(model, example)`, which a caller
    of many knockouts computes once. Raises UsageError or TaloError for a layer that cannot be
    knocked out, ProofError for one whose knockout shows no effect.
    """
    targets = knockout_targets(decoder, knockout)
    switched: AbstractContextManager[Any]
    if knockout.fill != "zero" or weights_at_hand(model, targets):
        switched = filled(model, decoder, knockout)
    else:
        switched = silenced(model, decoder, {knockout: None})
    if base is None:
        base = BaseAnswer.of(model, example)
    with switched:
        prove_effect(model, targets, knockout, base)
        yield targets


@contextmanager
def filled(model: nn.Module, decoder: Decoder, knockout: Knockout) -> Iterator[None]:
    """The weights filled for every row; their exact bits come back afterwards.

    Raises ProofError where a parameter is not there, TaloError where it cannot be filled.
    """
    targets = knockout_targets(decoder, knockout)
    parameters = find_parameters(model, targets)
    transposed = transposed_parameters(model)
    originals = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    try:
        with torch.no_grad():
            for name in targets.filled:
                fill_tensor(parameters[name], knockout.fill, name in transposed)
            for each in targets.columns:
                for run in each.inputs:
                    values = parameters[each.weight].narrow(each.axis, run.start, len(run))
                    (values.view(torch.uint8) if values.element_size() == 1 else values).zero_()
        yield
    finally:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(originals[name])


@contextmanager
def silenced(
    model: nn.Module, decoder: Decoder, masks: Mapping[Knockout, Tensor | None]
) -> Iterator[None]:
    """Zero knockouts, each for the rows its (B,) bool mask names, or for all where that is None.

    Its output projections put out exact zeros there, or read zeros of the heads that are cut, which
    is the same function as zero weights. Other fills are left to `filled`. Raises TaloError where
    an output projection is no module of its own, or does not keep the batch first.
    """
    with ExitStack() as hooks:
        for knockout, mask in masks.items():
            if knockout.fill != "zero":
                continue
            targets = knockout_targets(decoder, knockout)
            for path, module in output_modules(model, targets.outputs).items():
                hooks.enter_context(module.register_forward_hook(_zero_rows(mask, path)))
            for each in targets.columns:
                for path, module in output_modules(model, (each.weight,)).items():
                    zero = _zero_inputs(mask, path, each)
                    hooks.enter_context(module.register_forward_pre_hook(zero))
        yield


def _zero_rows(mask: Tensor | None, path: str) -> Any:
    def hook(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        if mask is None:
            return torch.zeros_like(output)
        return output.masked_fill(_rows(mask, output, path), 0)

    return hook


def _zero_inputs(mask: Tensor | None, path: str, columns: Columns) -> Any:
    def hook(module: nn.Module, args: Any) -> Any:
        given, *others = args
        cut = torch.zeros(given.shape[-1], dtype=torch.bool, device=given.device)
        for run in columns.inputs:
            cut[run.start : run.stop] = True
        if mask is not None:
            cut = cut & _rows(mask, given, path)
        return (given.masked_fill(cut, 0), *others)

    return hook


def _rows(mask: Tensor, values: Tensor, path: str) -> Tensor:
    """A (B,) mask in the shape of `values`. Raises TaloError where those have other rows."""
    if values.shape[0] != mask.shape[0]:
        raise TaloError(
            f"{path} does not keep the batch as its first dimension "
            f"({tuple(values.shape)} for {mask.shape[0]} rows)"
        )
    return mask.to(values.device).view(-1, *[1] * (values.dim() - 1))


def output_modules(model: nn.Module, names: Iterable[str]) -> dict[str, nn.Module]:
    """The modules that own these parameters of output projections, by path.

    Raises TaloError where such a parameter belongs to the attention module itself.
    """
    modules = {}
    for path in dict.fromkeys(name.rpartition(".")[0] for name in names):
        modules[path] = model.get_submodule(path)
        if any(True for _ in modules[path].children()):
            raise TaloError(f"the output projection in {path} is no module of its own")
    return modules


def weights_at_hand(model: nn.Module, targets: Targets) -> bool:
    """Whether the parameters lie in memory in a format that can be filled.

    What is not there at all counts as at hand, for `filled` to name it, unless a quantiser has
    put something else in its place.
    """
    have = dict(model.named_parameters(remove_duplicate=False))
    packed = getattr(model, "hf_quantizer", None) is not None
    return all(
        _takes_fill(have[name], cut) if name in have else not packed for name, cut in parts(targets)
    )


def parts(targets: Targets) -> list[tuple[str, Columns | None]]:
    """The parameters that are changed, each with the columns of it where that is not the whole."""
    cut = ((each.weight, each) for each in targets.columns)
    return [*((name, None) for name in targets.filled), *cut]


def _takes_fill(parameter: nn.Parameter, columns: Columns | None) -> bool:
    """Floats in memory; for columns also codes of a byte each, of which 0 is zero: their kernels
    round what a projection reads by the largest of all heads, so that to silence a head would not
    be the same to the last bit."""
    if parameter.device.type == "meta" or hasattr(parameter, "quant_state"):
        # bitsandbytes may keep its 4-bit codes in the dtype of floats.
        return False
    is_float = parameter.is_floating_point() and parameter.element_size() > 1
    if columns is None:
        return is_float
    matrix = parameter.dim() == 2 and parameter.shape[columns.axis] == columns.of
    return matrix and (is_float or parameter.element_size() == 1)


def find_parameters(model: nn.Module, targets: Targets) -> dict[str, nn.Parameter]:
    """The named parameters, all of them or a ProofError; TaloError where they cannot be filled."""
    have = dict(model.named_parameters(remove_duplicate=False))
    changed = dict(parts(targets))
    lost = [name for name in changed if name not in have]
    if lost or not changed:
        raise ProofError(f"the model has no parameter {', '.join(lost) or 'to fill'}")
    for name, columns in changed.items():
        if have[name].device.type == "meta":
            raise TaloError(
                f"{name} is offloaded, so it takes no other fill than zero: load the model "
                "without offload"
            )
        if not _takes_fill(have[name], columns):
            raise TaloError(
                f"{name} is stored as {have[name].dtype}, quantised: load the model with "
                "--dtype bfloat16 from an unquantised checkpoint to knock it out in memory"
            )
    return {name: have[name] for name in changed}


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
