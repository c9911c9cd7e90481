"""The logits of a live knockout, computed in a process of its own (`stock_load.py` forks it).

One half of the proof that files and memory agree; the other half knows stock transformers only.
`inputs` is a safetensors file whose tensors are named EXAMPLE/ARGUMENT (`0/input_ids`). It is made
where `make_inputs` says so, for the other half: one example of the least that the model runs on,
mostly a few text tokens. `out` gets two tensors of float32 logits an example, named `base/EXAMPLE`
(before the knockout) and `knockout/EXAMPLE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from talo_export.codec import from_json
from talo_export.errors import ProofError
from talo_export.knockout import Knockout
from talo_export.models.configs import read_config
from talo_export.models.dtypes import settled_dtype
from talo_export.models.finding import find_decoder
from talo_export.models.loading import load_reported
from talo_export.models.proof import BaseAnswer, logits_of
from talo_export.models.reference import resolve
from talo_export.models.switching import knocked_out

KEYS = ("missing_keys", "unexpected_keys", "mismatched_keys")
SEED = 0
"""As in `stock_load.py`: weights that a base lacks are random, and the same in both processes."""


def report(
    base: str,
    out: str,
    knockout: Mapping[str, Any],
    *,
    inputs: str,
    make_inputs: bool,
    trust_remote_code: bool,
) -> dict[str, Any]:
    """Write the logits, on the CPU; return the keys that did not fit, and the `dtype`.

    A base that does not load cleanly is run as it loads: what it lacks is drawn from a fixed seed.
    Raises what loading and knocking out raise.
    """
    dtype = settled_dtype("auto", base, device="cpu", trust_remote_code=trust_remote_code)
    resolved = resolve(base)
    config = read_config(resolved, trust_remote_code)
    torch.manual_seed(SEED)
    model: Any
    model, keys = load_reported(
        resolved, config, dtype=dtype, device="cpu", trust_remote_code=trust_remote_code
    )
    if make_inputs:
        given: Mapping[str, Mapping[str, Any]] = {"0": BaseAnswer.of(model).example}
        save_file(named_arguments(given), inputs)
    else:
        given = read_examples(Path(inputs))
    logits = _logits(model, given, "base")
    cut = from_json(Knockout, knockout, "the knockout")
    with knocked_out(model, find_decoder(model), cut):
        logits |= _logits(model, given, "knockout")
    save_file(logits, out)
    return {**{kind: sorted(map(str, keys[kind])) for kind in KEYS}, "dtype": dtype}


def read_examples(path: Path) -> dict[str, dict[str, Tensor]]:
    """Keyword arguments of the forward, by example, from tensors named EXAMPLE/ARGUMENT."""
    grouped: dict[str, dict[str, Tensor]] = {}
    for name, tensor in load_file(path).items():
        example, _, argument = name.partition("/")
        grouped.setdefault(example, {})[argument] = tensor
    return grouped


def named_arguments(given: Mapping[str, Mapping[str, Any]]) -> dict[str, Tensor]:
    """Tensors named EXAMPLE/ARGUMENT. Raises ProofError where an argument is no tensor.

    Switches that leave the logits as they are (`use_cache`) are left out.
    """
    found: dict[str, Tensor] = {}
    for example, arguments in given.items():
        for argument, value in arguments.items():
            if isinstance(value, Tensor):
                found[f"{example}/{argument}"] = value.contiguous()
            elif not isinstance(value, bool):
                raise ProofError(
                    f"the model runs on no text alone, and its {argument} cannot be handed to a "
                    "stock process: give inputs of your own"
                )
    return found


def _logits(model: Any, given: Mapping[str, Mapping[str, Any]], what: str) -> dict[str, Tensor]:
    return {
        f"{what}/{name}": logits_of(model, _cast(example, model.dtype)).float().contiguous()
        for name, example in given.items()
    }


def _cast(example: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    return {
        name: value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value
        for name, value in example.items()
    }
