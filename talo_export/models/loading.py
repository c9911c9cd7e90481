"""Loading a model and its processor, from a local directory or the Hub, for inference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoProcessor, AutoTokenizer, PreTrainedConfig

from talo_export.errors import NotEnoughMemoryError, TaloError, UsageError
from talo_export.models.anatomy import Decoder
from talo_export.models.configs import MISREAD, read_config
from talo_export.models.devices import pick_device
from talo_export.models.dtypes import DTYPES
from talo_export.models.finding import find_decoder
from talo_export.models.four_bit import keep_trainable, nf4_settings
from talo_export.models.memory import is_out_of_memory
from talo_export.models.proof import input_device
from talo_export.models.reference import ResolvedModel, check_metadata, follow_adapter, resolve
from talo_export.models.stock import is_vision_language, stock_class
from talo_export.wording import first_line, first_of


@dataclass(frozen=True, kw_only=True)
class LoadedProcessor:
    """What turns an item into a model's inputs; its weights need not be there."""

    processor: Any
    """`AutoProcessor`'s result for a VLM, the tokenizer for a text model."""
    tokenizer: Any
    directory: Path
    """Where the model's files lie on this machine."""
    name: str
    """What the user called it: the path or the Hub id, without `@revision`."""
    revision: str | None
    """The commit the Hub served, None for a local directory."""
    is_vlm: bool

    @property
    def auto_class(self) -> str:
        """The name of the transformers class that loads it."""
        return "AutoModelForImageTextToText" if self.is_vlm else "AutoModelForCausalLM"

    @property
    def has_chat_template(self) -> bool:
        """False for base language models, whose prompts must be given verbatim."""
        return bool(
            getattr(self.processor, "chat_template", None)
            or getattr(self.tokenizer, "chat_template", None)
        )


@dataclass(frozen=True, kw_only=True)
class LoadedModel(LoadedProcessor):
    """A model ready for inference (eval mode, no gradients), with all that is needed to ask it."""

    model: nn.Module
    """A transformers `PreTrainedModel` with `generate`."""
    decoder: Decoder

    @property
    def dtype(self) -> str:
        """The number format it computes in, as `--dtype` spells it."""
        return str(self.model.dtype).removeprefix("torch.")

    @property
    def device(self) -> torch.device:
        """Where the inputs go: the device of the token embeddings."""
        return input_device(self.model)


def load_processor_alone(reference: str, *, trust_remote_code: bool = False) -> LoadedProcessor:
    """What asks a model, without its weights, which are neither read nor downloaded.

    Raises TaloError as `load_model`.
    """
    resolved = resolve(follow_adapter(reference)[0], weights=False)
    is_vlm = is_vision_language(read_config(resolved, trust_remote_code))
    return load_processor(resolved, is_vlm, trust_remote_code)


def load_model(
    reference: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
    device_map: str | None = None,
    offload_folder: Path | None = None,
    max_memory: Mapping[str, str] | None = None,
    load_in_4bit: bool = False,
) -> LoadedModel:
    """Load `PATH`, `OWNER/NAME` or `OWNER/NAME@REVISION`; VLM class where the config is one.

    `dtype` is auto (the checkpoint's own), float32, bfloat16 or float16. `device` is auto, cpu,
    cuda, cuda:N or mps; `device_map` (such as "auto") hands the placement to accelerate instead,
    which spills into `offload_folder` what fits nowhere; `max_memory` limits each device, by its
    index or `cpu` (`{"0": "20GB"}`). `load_in_4bit` quantises the decoder's matrices as they are
    read, which needs bitsandbytes. Raises TaloError for anything that cannot be loaded
    completely: a checkpoint that lacks or mismatches weights is never probed.

    The directory of a PEFT adapter is its base with the adapter merged into the weights in memory.
    """
    reference, adapter = follow_adapter(reference)
    resolved = resolve(reference)
    config = read_config(resolved, trust_remote_code)
    is_vlm = is_vision_language(config)
    model, report = load_reported(
        resolved,
        config,
        dtype=dtype,
        device=device,
        trust_remote_code=trust_remote_code,
        device_map=device_map,
        offload_folder=offload_folder,
        max_memory=max_memory,
        load_in_4bit=load_in_4bit,
    )
    refuse_gaps(resolved.name, report)
    if adapter is not None:
        model = merge_adapter(model, adapter)
    reader = load_processor(resolved, is_vlm, trust_remote_code)
    return LoadedModel(**vars(reader), model=model, decoder=find_decoder(model))


def merge_adapter(model: Any, adapter: Path) -> nn.Module:
    """The model with a PEFT adapter in its weights. Raises TaloError where it does not fit."""
    from peft import PeftModel

    try:
        merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except (ValueError, TypeError, KeyError, RuntimeError, OSError, SafetensorError) as error:
        raise TaloError(
            f"the adapter {adapter} does not fit its base: {first_line(str(error))}"
        ) from error
    return merged.eval().requires_grad_(False)


def load_reported(
    resolved: ResolvedModel,
    config: PreTrainedConfig,
    *,
    dtype: str = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
    device_map: str | None = None,
    offload_folder: Path | None = None,
    max_memory: Mapping[str, str] | None = None,
    load_in_4bit: bool = False,
) -> tuple[nn.Module, dict[str, Any]]:
    """The network alone, as it loads, in eval mode and without gradients; and transformers' report
    of the keys that did not fit. Raises TaloError."""
    if dtype != "auto" and dtype not in DTYPES:
        raise UsageError(f"dtype {dtype!r} is none of auto, {', '.join(DTYPES)}")
    stock = stock_class(config)
    options: dict[str, Any] = {
        "dtype": DTYPES.get(dtype, "auto"),
        "trust_remote_code": trust_remote_code,
        "output_loading_info": True,
        # Collected and reported below with the other gaps, in one sentence.
        "ignore_mismatched_sizes": True,
        # Given, since of a GGUF file it would be read again, with the whole vocabulary.
        "config": config,
        **resolved.gguf_options,
    }
    if device_map is not None:
        options["device_map"] = {"": "disk"} if device_map == "disk" else device_map
        if offload_folder is not None:
            options["offload_folder"] = str(offload_folder)
        if max_memory:
            options["max_memory"] = {
                int(name) if name.isdigit() else name: size for name, size in max_memory.items()
            }
    if not resolved.gguf_file:
        options["use_safetensors"] = True
    target = None if device_map is not None else pick_device(device)
    if load_in_4bit:
        # bitsandbytes quantises while it places: the model is where it belongs once it is read.
        options["quantization_config"] = nf4_settings(
            config, resolved.name, DTYPES.get(dtype), trust_remote_code
        )
        options.setdefault("device_map", {"": str(pick_device(device))})
        target = None
    try:
        model, report = stock.from_pretrained(resolved.directory, **options)
    except (KeyError, TypeError) as error:
        check_metadata(resolved.directory)
        raise TaloError(f"{resolved.name} cannot be loaded: {first_line(str(error))}") from error
    except SafetensorError as error:
        raise TaloError(
            f"a weight file of {resolved.name} is damaged or cut short ({first_line(str(error))}): "
            "fetch the model again"
        ) from error
    except (OSError, ValueError, RuntimeError, ImportError, MemoryError) as error:
        if is_out_of_memory(error):
            raise NotEnoughMemoryError(
                f"{resolved.name} does not fit the memory: load it with --device-map auto and "
                "--offload DIR, with --dtype bfloat16, or on a larger device"
            ) from error
        raise TaloError(f"{resolved.name} cannot be loaded: {first_line(str(error))}") from error
    if target is not None:
        model = model.to(target)
    if load_in_4bit:
        keep_trainable(model)
    model.eval()
    model.requires_grad_(False)
    return model, report


def refuse_gaps(name: str, report: dict[str, Any]) -> None:
    """Raise TaloError where the loading report names keys; what the class ignores is not in it."""
    gaps = {
        "missing": report["missing_keys"],
        "unexpected": report["unexpected_keys"],
        "mismatched": {key for key, *_ in report["mismatched_keys"]},
    }
    found = [f"{kind} {first_of(sorted(keys), 4)}" for kind, keys in gaps.items() if keys]
    if found:
        raise TaloError(
            f"the weights of {name} do not fit its config: {'; '.join(found)}. "
            "A model with random or leftover parts is not probed: fetch it again"
        )


def load_processor(
    resolved: ResolvedModel, is_vlm: bool, trust_remote_code: bool = False
) -> LoadedProcessor:
    """Processor and tokenizer, the tokenizer itself twice for a text model. Raises TaloError.

    The tokenizer pads with its end token where it has no pad token: on our copy alone, which is
    never saved.
    """
    loader = AutoProcessor if is_vlm else AutoTokenizer
    try:
        processor = loader.from_pretrained(
            resolved.directory, trust_remote_code=trust_remote_code, **resolved.gguf_options
        )
    except (*MISREAD, RuntimeError, ImportError) as error:
        part = "processor" if is_vlm else "tokenizer"
        raise TaloError(
            f"the {part} of {resolved.name} cannot be loaded: {first_line(str(error))}"
        ) from error
    tokenizer = getattr(processor, "tokenizer", processor)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return LoadedProcessor(
        processor=processor,
        tokenizer=tokenizer,
        directory=resolved.directory,
        name=resolved.name,
        revision=resolved.revision,
        is_vlm=is_vlm,
    )
