"""The adapters of PEFT that are compared, as data: config, sites and learning rate of each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import (
    IA3Config,
    LNTuningConfig,
    LoraConfig,
    OFTConfig,
    PeftConfig,
    PeftModel,
    PromptTuningConfig,
    TaskType,
    get_peft_model,
)
from peft.tuners.ln_tuning.layer import LNTuningLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from talo_export.baselines.settings import Training
from talo_export.baselines.sites import Sites, find_sites, pattern
from talo_export.errors import ProofError, TaloError
from talo_export.models.anatomy import Decoder
from talo_export.models.loading import LoadedModel

VIRTUAL_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Adapter:
    """One of PEFT's methods.

    `sites` picks the modules it adapts, none for one that works on the prompt. `config` makes
    PEFT's config from the pattern of these modules; `learning_rate` is the default, and
    `source` says where it is from.
    """

    name: str
    learning_rate: float
    source: str
    sites: Callable[[Sites], Sequence[str]]
    config: Callable[[Sites, Decoder, Training, bool], PeftConfig]


def _lora(**options: Any) -> Callable[[Sites, Decoder, Training, bool], PeftConfig]:
    def config(sites: Sites, decoder: Decoder, training: Training, transposed: bool) -> PeftConfig:
        return LoraConfig(
            task_type=TaskType.CAUSAL_LM,
            r=training.rank,
            lora_alpha=2 * training.rank,
            target_modules=pattern(sites.matrices, decoder),
            fan_in_fan_out=transposed,
            **options,
        )

    return config


def _ia3(sites: Sites, decoder: Decoder, training: Training, transposed: bool) -> PeftConfig:
    return IA3Config(
        task_type=TaskType.CAUSAL_LM,
        target_modules=pattern([*sites.attention_inputs, *sites.mlp_outputs], decoder),
        feedforward_modules=pattern(sites.mlp_outputs, decoder) if sites.mlp_outputs else [],
        fan_in_fan_out=transposed,
    )


def _oft(sites: Sites, decoder: Decoder, training: Training, transposed: bool) -> PeftConfig:
    return OFTConfig(
        task_type=TaskType.CAUSAL_LM,
        target_modules=pattern(sites.matrices, decoder),
        fan_in_fan_out=transposed,
    )


def _ln(sites: Sites, decoder: Decoder, training: Training, transposed: bool) -> PeftConfig:
    return LNTuningConfig(
        task_type=TaskType.CAUSAL_LM, target_modules=pattern(sites.norms, decoder)
    )


def _prompt(sites: Sites, decoder: Decoder, training: Training, transposed: bool) -> PeftConfig:
    return PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=VIRTUAL_TOKENS)


ADAPTERS: Mapping[str, Adapter] = {
    adapter.name: adapter
    for adapter in (
        Adapter("lora", 2e-4, "QLoRA, arXiv 2305.14314", lambda s: s.matrices, _lora()),
        Adapter("dora", 2e-4, "as LoRA; arXiv 2402.09353", lambda s: s.matrices,
                _lora(use_dora=True)),
        Adapter("rslora", 2e-4, "as LoRA; arXiv 2312.03732", lambda s: s.matrices,
                _lora(use_rslora=True)),
        # The paper scales keys, values and the feed-forward's inner activations. Which of q, k
        # and v is which is not read off names here, so q is scaled too: a scale on q could as
        # well be one on k, up to rotary pairs.
        Adapter("ia3", 3e-3, "T-Few, arXiv 2205.05638",
                lambda s: (*s.attention_inputs, *s.mlp_outputs), _ia3),
        Adapter("oft", 2e-4, "none found for few shots; LoRA's", lambda s: s.matrices, _oft),
        Adapter("prompt-tuning", 3e-2, "PEFT's guide for RAFT, 8 virtual tokens",
                lambda s: (), _prompt),
        Adapter("ln-tuning", 1e-3, "none found for few shots; ours, arXiv 2312.11420 is the method",
                lambda s: s.norms, _ln),
    )
}  # fmt: skip


def attach(
    loaded: LoadedModel,
    name: str,
    training: Training,
    *,
    seed: int,
    silent_layer: int | None = None,
) -> PeftModel:
    """Put a fresh adapter on the model, in place, and prove that it sits where it was meant to.

    `seed` fixes its initial weights. Undo with `detached(model)`. Raises TaloError where PEFT
    cannot adapt this model, ProofError where it adapted other modules than the decoder's.
    """
    adapter = ADAPTERS[name]
    sites = find_sites(loaded.model, loaded.decoder, silent_layer=silent_layer)
    wanted = set(adapter.sites(sites))
    transposed = any(isinstance(loaded.model.get_submodule(path), Conv1D) for path in wanted)
    torch.manual_seed(seed)
    try:
        config = adapter.config(sites, loaded.decoder, training, transposed)
        with warnings.catch_warnings():
            # PEFT asks the model by a name that transformers has since changed.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            adapted = get_peft_model(loaded.model, config)
    except (ValueError, TypeError, NotImplementedError, AssertionError) as error:
        raise TaloError(f"PEFT cannot put {name} on {loaded.name}: {error}") from error
    prove_sites(loaded.model, wanted, name)
    for module in loaded.model.modules():
        if isinstance(module, LNTuningLayer):
            module.register_forward_hook(_in_the_dtype_of_its_input)
    return adapted


def _in_the_dtype_of_its_input(_module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    """PEFT trains norms in float32, and what a float32 norm puts out the next matrix of a
    half-precision model refuses."""
    hidden: Tensor = args[0]
    return output.to(hidden.dtype)


def prove_sites(model: nn.Module, wanted: set[str], name: str) -> None:
    """Raise ProofError unless exactly the wanted modules carry an adapter."""
    found = {p for p, module in model.named_modules() if isinstance(module, BaseTunerLayer)}
    if found != wanted:
        wrong = sorted(found ^ wanted)
        raise ProofError(f"{name} should adapt {len(wanted)} modules, but {wrong[0]} differs.")


@contextmanager
def attached(
    loaded: LoadedModel,
    name: str,
    training: Training,
    *,
    seed: int,
    silent_layer: int | None = None,
) -> Iterator[PeftModel]:
    """`attach` for the length of a block; afterwards the model is the one it was."""
    adapted = attach(loaded, name, training, seed=seed, silent_layer=silent_layer)
    try:
        yield adapted
    finally:
        detach(adapted)


def detach(adapted: PeftModel) -> None:
    """Take the adapter off again; the base's modules and weights are as they were.

    Module by module, because PEFT's own `unload` refuses (IA)3 on a model in 4 bits.
    """
    model = adapted.get_base_model()
    tuned = [(p, m) for p, m in model.named_modules() if isinstance(m, BaseTunerLayer)]
    for path, module in tuned:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, module.get_base_layer())
    model.requires_grad_(False)


def trainable_parameters(adapted: PeftModel) -> int:
    """Numbers that training may change."""
    return sum(p.numel() for p in adapted.parameters() if p.requires_grad)


def save_adapter(adapted: PeftModel, directory: Path) -> int:
    """Write adapter_config.json and the adapter's weights; the bytes written.

    Plain `PeftModel.from_pretrained(base, directory)` loads it. Tuned norms on a half-precision
    base need `autocast_adapter_dtype=False` there: PEFT makes them float32 otherwise, which the
    model then refuses.
    """
    adapted.save_pretrained(str(directory), save_embedding_layers=False)
    for card in directory.glob("README.md"):
        # PEFT's card is an empty form: nothing in it is known to be true of this adapter.
        card.unlink()
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
