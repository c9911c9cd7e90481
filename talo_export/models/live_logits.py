"""The logits of a live knockout, computed in a process of its own.

    python -m talo_export.models.live_logits BASE OUT KNOCKOUT
                                             [--inputs INPUTS | --write-inputs INPUTS]
                                             [--trust-remote-code]

One half of the proof that files and memory agree; the other half knows stock transformers only.
KNOCKOUT is JSON, as in a manifest.
INPUTS is a safetensors file whose tensors are named EXAMPLE/ARGUMENT (`0/input_ids`); without it
one example is made up of the least that the model runs on, mostly a few text tokens, and written
where `--write-inputs` says, for the other half. OUT gets two tensors of float32 logits an example,
named `base/EXAMPLE` (before the knockout) and `knockout/EXAMPLE`. Standard output gets one JSON
line: the keys that were missing, unexpected or mismatched when the base was loaded, and the
`dtype` that the model was loaded with.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from talo_export.codec import from_json
from talo_export.errors import ProofError
from talo_export.knockout import Knockout
from talo_export.models.dtypes import settled_dtype
from talo_export.models.finding import find_decoder
from talo_export.models.loading import load_reported, read_config
from talo_export.models.proof import BaseAnswer, logits_of
from talo_export.models.reference import resolve
from talo_export.models.switching import knocked_out

KEYS = ("missing_keys", "unexpected_keys", "mismatched_keys")
SEED = 0
"""As in `stock_load.py`: weights that a base lacks are random, and the same in both processes."""


def live_logits(
    base: str,
    knockout: Knockout,
    inputs: Path | None = None,
    *,
    write_inputs: Path | None = None,
    dtype: str = "auto",
    trust_remote_code: bool = False,
) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """Logits (B, T, vocabulary) of every example, without and with `knockout`, on the CPU, and the
    keys that loading reported.

    A base that does not load cleanly is run as it loads: what it lacks is drawn from a fixed seed.
    Raises what loading and knocking out raise.
    """
    resolved = resolve(base)
    config = read_config(resolved, trust_remote_code)
    torch.manual_seed(SEED)
    model: Any
    model, report = load_reported(
        resolved, config, dtype=dtype, device="cpu", trust_remote_code=trust_remote_code
    )
    keys = {kind: sorted(map(str, report[kind])) for kind in KEYS}
    given = read_examples(inputs) if inputs else {"0": BaseAnswer.of(model).example}
    if write_inputs is not None:
        save_file(named_arguments(given), write_inputs)
    found = _logits(model, given, "base")
    decoder = find_decoder(model)
    with knocked_out(model, decoder, knockout):
        return found | _logits(model, given, "knockout"), keys


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


def main() -> None:
    """Run the command line of the module's docstring."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("out")
    parser.add_argument("knockout")
    inputs = parser.add_mutually_exclusive_group()
    inputs.add_argument("--inputs", type=Path)
    inputs.add_argument("--write-inputs", type=Path)
    parser.add_argument("--trust-remote-code", action="store_true")
    given = parser.parse_args()
    knockout = from_json(Knockout, given.knockout, "the knockout")
    dtype = settled_dtype(
        "auto", given.base, device="cpu", trust_remote_code=given.trust_remote_code
    )
    logits, keys = live_logits(
        given.base,
        knockout,
        given.inputs,
        write_inputs=given.write_inputs,
        dtype=dtype,
        trust_remote_code=given.trust_remote_code,
    )
    save_file(logits, given.out)
    print(json.dumps({**keys, "dtype": dtype}))


if __name__ == "__main__":
    main()
