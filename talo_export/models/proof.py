"""Proof that a knockout did what it says: exact zeros where they belong, and logits that moved."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from talo_export.errors import ProofError
from talo_export.knockout import Knockout
from talo_export.models.examples import smallest_inputs
from talo_export.models.targets import Columns, Targets

TOKENS = 5
"""Length of the text that stands in for an example: enough for positions to mix."""


@dataclass(frozen=True, eq=False)
class BaseAnswer:
    """The unmodified model's logits for one example, to hold knockouts against."""

    example: Mapping[str, Any]
    logits: Tensor

    @classmethod
    def of(cls, model: PreTrainedModel, example: Mapping[str, Any] | None = None) -> BaseAnswer:
        """One forward of `example`, by default of the smallest inputs that the model runs on.

        Raises ProofError where it runs on none of those that can be made up.
        """
        if example is not None:
            return cls(example, logits_of(model, example))
        refusals = []
        with torch.device(input_device(model)):
            kinds = list(smallest_inputs(model, TOKENS))
        for inputs in kinds:
            try:
                return cls(inputs, logits_of(model, inputs))
            except (TypeError, ValueError, AttributeError, RuntimeError, IndexError) as error:
                refusals.append(f"{type(error).__name__}: {error}".splitlines()[0])
        raise ProofError(
            f"{type(model).__name__} runs on no inputs that could be made up "
            f"({'; '.join(refusals)}): try another version of transformers"
        )


def input_device(model: PreTrainedModel) -> torch.device:
    """Where the inputs go: where the token embeddings are, or where accelerate moves them."""
    embeddings = model.get_input_embeddings()
    if embeddings.weight.device.type == "meta":
        return torch.device(embeddings._hf_hook.execution_device)
    return embeddings.weight.device


def logits_of(model: nn.Module, example: Mapping[str, Any]) -> Tensor:
    """(B, T, vocabulary) logits of one forward."""
    with torch.no_grad():
        return model(**example).logits


def refuse_broken_weights(model: nn.Module) -> None:
    """Raise ProofError naming the first weight in memory that holds NaN or Inf, if one does."""
    for name, parameter in model.named_parameters():
        at_hand = parameter.device.type != "meta" and parameter.is_floating_point()
        if at_hand and parameter.element_size() > 1 and not bool(parameter.isfinite().all()):
            raise ProofError(
                f"the model's weight {name} holds NaN or Inf, so nothing it puts out means "
                "anything: fetch the model again, or take another base"
            )


def prove_effect(model: nn.Module, targets: Targets, knockout: Knockout, base: BaseAnswer) -> None:
    """One forward of the base's example under the knockout. Raises ProofError where it shows none.

    Proved: under `zero` every output projection puts out exactly zero, in each of the layers, and
    where heads are cut it makes exactly nothing of them; the logits are not the base's to the last
    bit.
    """
    seen: dict[str, bool] = {}
    watched: set[str] = set()
    with ExitStack() as hooks:

        def watch(path: str, hook: Any) -> None:
            hooks.enter_context(model.get_submodule(path).register_forward_hook(hook))
            watched.add(path)

        if knockout.fill == "zero":
            for path in {name.rpartition(".")[0] for name in targets.outputs}:
                if not any(True for _ in model.get_submodule(path).children()):
                    watch(path, _watch(seen, path))
        for columns in targets.columns:
            path = columns.weight.rpartition(".")[0]
            watch(path, _read(seen, path, columns))
        logits = logits_of(model, base.example)
    loud = [path for path, zero in seen.items() if not zero]
    if loud:
        raise ProofError(f"{', '.join(loud)} still puts out something under {knockout}")
    for layer in targets.layers:
        mine = {path for path in watched if path.startswith(f"{layer.path}.")}
        if mine and not mine & seen.keys():
            raise ProofError(f"the forward never passed {', '.join(sorted(mine))}: {knockout}")
    if torch.allclose(logits, base.logits, rtol=0, atol=0, equal_nan=True):
        raise ProofError(
            f"the logits did not move under {knockout}: what it cuts puts out nothing already, or "
            "is not what is used"
        )


def _watch(seen: dict[str, bool], path: str) -> Any:
    def hook(module: nn.Module, args: Any, output: Tensor) -> None:
        seen[path] = seen.get(path, True) and not bool(output.any())

    return hook


def _read(seen: dict[str, bool], path: str, columns: Columns) -> Any:
    """What a projection makes of the inputs in `columns` alone, and of none: the same or not."""

    def hook(module: nn.Module, args: Any, output: Tensor) -> None:
        alone = torch.zeros_like(args[0])
        for run in columns.inputs:
            alone[..., run.start : run.stop] = args[0][..., run.start : run.stop]
        silent = torch.equal(module.forward(alone), module.forward(torch.zeros_like(alone)))
        seen[path] = seen.get(path, True) and silent

    return hook
