"""Load a checkpoint with stock transformers alone, say what the loading report says, run it.

A stand-alone script, run by its path in an isolated interpreter: it never imports talo_export, so
what it sees is what anyone's engine sees. Usage:

    python -I stock_load.py CHECKPOINT OUT [--inputs INPUTS] [--adapter DIRECTORY] [--dtype NAME]
                            [--device NAME] [--threads N] [--new-tokens N --pad-token ID]
                            [--trust-remote-code] [--first REQUEST]

CHECKPOINT is a directory or one `.gguf` file. INPUTS is a safetensors file whose tensors are named
EXAMPLE/ARGUMENT (`0/input_ids`); without it one example of a few text tokens is run. OUT gets one
tensor an example, named EXAMPLE: the logits; with `--new-tokens` the tokens that greedy generation
adds; for an example with the argument `continuation`, whose input ends before the last of those
tokens, their summed log-probability.
Standard output gets one JSON line: the class and the missing, unexpected and mismatched keys.

With `--first` a fork of this process, which has no model yet, computes what the export is held
against (`live_logits.py`): the libraries, which take seconds to import, are imported once. REQUEST
is JSON; what the fork reports is a line of its own, whose `dtype` this process then loads in.
"""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import sys
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

GGUF = ".gguf"


def run_first(request: dict[str, Any]) -> dict[str, Any]:
    """What `live_logits.report` of the talo_export in `request["path"]` returns, in a fork.

    Exits as the fork does where that fails; it has said why.
    """
    # Forked with the libraries in memory and before any thread was started.
    import transformers.modeling_utils  # noqa: F401

    context = get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=live, args=(sending, request))
    process.start()
    sending.close()
    try:
        report: dict[str, Any] = receiving.recv()
    except EOFError:
        process.join()
        sys.exit(process.exitcode or 1)
    process.join()
    return report


def live(sending: Any, request: dict[str, Any]) -> None:
    """The fork's work."""
    sys.path.insert(0, request.pop("path"))
    from talo_export.models.live_logits import report

    sending.send(report(**request))


def name_tensors_once() -> None:
    """Keep the table of a GGUF file's tensor names, which transformers makes once a submodule.

    It is the same every time, and makes up half of the work of loading a small model.
    """
    import gguf

    gguf.get_tensor_name_map = cache(gguf.get_tensor_name_map)


def load(arguments: argparse.Namespace) -> tuple[torch.nn.Module, dict[str, list[str]]]:
    """The model, and the three lists of wrong keys."""
    options: dict[str, Any] = {"trust_remote_code": arguments.trust_remote_code}
    place = Path(arguments.checkpoint).absolute()
    if place.suffix == GGUF:
        # Of a name alone the weights are read from the working directory if they are there.
        directory, options["gguf_file"] = place.parent, str(place)
        # What is read out of one file is a language model; asking for its config would read the
        # whole header, vocabulary and all, once more.
        stock: Any = transformers.AutoModelForCausalLM
    else:
        directory = place
        config = transformers.AutoConfig.from_pretrained(directory, **options)
        stock = stock_class(config)
    # Weights that a checkpoint lacks are drawn at random, here the same in every process.
    torch.manual_seed(0)
    model, report = stock.from_pretrained(
        directory, dtype=arguments.dtype, output_loading_info=True, **options
    )
    model.to(arguments.device)
    keys = {kind: sorted(map(str, report[kind])) for kind in
            ("missing_keys", "unexpected_keys", "mismatched_keys")}  # fmt: skip
    if arguments.adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, arguments.adapter)
    return model.eval(), keys


def stock_class(config: Any) -> Any:
    """The auto class, or where none takes this config the class of the mappings that it names."""
    vlm, text = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    own_code = getattr(config, "auto_map", None) or {}
    is_vlm = config.model_type in vlm or "AutoModelForImageTextToText" in own_code
    auto = transformers.AutoModelForImageTextToText if is_vlm else transformers.AutoModelForCausalLM
    name = next(iter(config.architectures or ()), "")
    listed = name in vlm.values() or name in text.values()
    if own_code or type(config) in auto._model_mapping or not listed:
        return auto
    return getattr(transformers, name)


def examples(path: str | None) -> dict[str, dict[str, torch.Tensor]]:
    """Keyword arguments of the forward, by example."""
    if path is None:
        ids = torch.arange(1, 6).unsqueeze(0)
        return {"0": {"input_ids": ids, "attention_mask": torch.ones_like(ids)}}
    grouped: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in load_file(path).items():
        example, _, argument = name.partition("/")
        grouped.setdefault(example, {})[argument] = tensor
    return grouped


def run(
    model: Any,
    inputs: dict[str, dict[str, torch.Tensor]],
    new_tokens: int | None = None,
    pad_token: int | None = None,
) -> dict[str, torch.Tensor]:
    """What OUT gets for every example; floating inputs are cast to the model's dtype."""
    found = {}
    # Over a whole prompt the logits may be most of the memory that a pass takes.
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    takes_logits_to_keep = "logits_to_keep" in inspect.signature(inner.forward).parameters
    for example, given in inputs.items():
        ready = {
            name: tensor.to(model.device, model.dtype if tensor.is_floating_point() else None)
            for name, tensor in given.items()
        }
        continuation = ready.pop("continuation", None)
        with torch.no_grad():
            if new_tokens is not None:
                found[example] = generate(model, ready, new_tokens, pad_token)
                continue
            if getattr(model.config, "is_encoder_decoder", False):
                ready.setdefault("decoder_input_ids", ready["input_ids"])
            if continuation is not None and takes_logits_to_keep:
                ready["logits_to_keep"] = len(continuation)
            logits = model(**ready, use_cache=False).logits.float()
        found[example] = logits if continuation is None else likelihood(logits, continuation)
    return {example: tensor.cpu().contiguous() for example, tensor in found.items()}


def generate(
    model: Any, inputs: dict[str, torch.Tensor], new_tokens: int, pad_token: int | None
) -> torch.Tensor:
    """(new tokens,) what greedy generation adds to one example."""
    made = model.generate(
        **inputs,
        max_new_tokens=new_tokens,
        do_sample=False,
        num_beams=1,
        temperature=None,
        top_p=None,
        top_k=None,
        pad_token_id=pad_token,
    )
    if getattr(model.config, "is_encoder_decoder", False):
        return made[0]
    return made[0, inputs["input_ids"].shape[1] :]


def likelihood(logits: torch.Tensor, continuation: torch.Tensor) -> torch.Tensor:
    """Scalar, nats: log-probability of the tokens that follow, the last positions' logits given."""
    rows = torch.log_softmax(logits[0, -len(continuation) :], dim=-1)
    return rows.gather(1, continuation.unsqueeze(1)).double().sum()


def main() -> None:
    # Of kernels and the like: what concerns the weights is in the loading report.
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("out")
    parser.add_argument("--inputs")
    parser.add_argument("--adapter")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--new-tokens", type=int)
    parser.add_argument("--pad-token", type=int)
    parser.add_argument("--trust-remote-code", action="store_true")
    parser.add_argument("--first", type=json.loads)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.checkpoint.endswith(GGUF):
        name_tensors_once()
    if arguments.first:
        first = run_first(arguments.first)
        print(json.dumps(first))
        arguments.dtype = first["dtype"]
    model, keys = load(arguments)
    found = run(model, examples(arguments.inputs), arguments.new_tokens, arguments.pad_token)
    save_file(found, arguments.out)
    ours = sorted(name for name in sys.modules if name.partition(".")[0] == "talo_export")
    print(json.dumps({"class": type(model).__name__, "talo_export": ours, **keys}))


if __name__ == "__main__":
    main()
