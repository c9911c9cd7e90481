"""Peak memory of inference, knockout probing and training, from a model's config alone.

No formula: the model is built without weights, the adapter is put on it, and the very code that
trains and answers runs on fake tensors, which have shapes, types and lifetimes but no memory.
What is alive at the worst moment is the prediction. So it holds for every architecture that runs,
with its own attention, vocabulary and feed-forward, and changes when our code does.

Not in it: the kernels' own workspace (on CPUs with bfloat16 instructions a copy of the output
head for each item of a batch; on those that emulate them the logits in float32), the allocator's
slack, the CUDA context (a few hundred MB), and, for a vision-language model, the vision tower's
activations (its weights are). The tokens of one picture count: see `image_tokens.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import PreTrainedConfig

from talo_export.baselines.adapters import ADAPTERS, attach, trainable_parameters
from talo_export.baselines.footprint import Footprint
from talo_export.baselines.image_tokens import image_tokens
from talo_export.baselines.live_bytes import LiveBytes
from talo_export.baselines.settings import Training
from talo_export.baselines.sites import find_sites
from talo_export.baselines.training import training_mode
from talo_export.errors import TaloError, UsageError
from talo_export.models.configs import read_config
from talo_export.models.dtypes import DTYPES
from talo_export.models.finding import find_decoder
from talo_export.models.last_logits import at_last
from talo_export.models.loading import LoadedModel
from talo_export.models.reference import ResolvedModel, parse_reference
from talo_export.models.stock import build_empty, is_vision_language
from talo_export.probing.engines.passes import SharedModel
from talo_export.probing.engines.plan import schedule
from talo_export.probing.engines.walk import CannotShareError, ItemState
from talo_export.probing.sweep import all_knockouts
from talo_export.wording import first_line

NF4_BITS = 4.127
"""Bits a weight under NF4 with double quantisation: 4, 8/64 for the scales, 32/(64 x 256) for
theirs (Dettmers et al. 2023, arXiv 2305.14314, section 3)."""


def estimate(
    config: PreTrainedConfig,
    *,
    dtype: str = "auto",
    tokens: int = 512,
    answer_tokens: int = 1,
    batches: Sequence[int] = (1,),
    adapters: Sequence[str] = ("lora",),
    training: Training | None = None,
    four_bit: bool = False,
) -> tuple[Footprint, ...]:
    """Predict for each adapter and number of items a pass (our own training takes 1).

    The prompt has `tokens` tokens of text, and those of a picture where the model takes pictures.
    `dtype` "auto" is the config's own. `four_bit` replaces the decoder's matrices by NF4. Raises
    UsageError for numbers below 1 or an unknown adapter, TaloError where the model's code does
    not run without weights.
    """
    if min(tokens, answer_tokens, *batches) < 1:
        raise UsageError("tokens, answer tokens and batch are at least 1 each.")
    for adapter in adapters:
        if adapter not in ADAPTERS:
            raise UsageError(f"There is no adapter {adapter!r}: {', '.join(ADAPTERS)}.")
    pictured = image_tokens(config)
    prompt_tokens = tokens + pictured
    training = Training() if training is None else training
    try:
        plain = _unloaded(config, dtype)
        saved = nf4_saving(plain) if four_bit else 0
        parameters = list(plain.model.parameters())
        number = sum(parameter.numel() for parameter in parameters)
        stored = str(parameters[0].dtype).removeprefix("torch.")
        weights, inference, probing = _untrained(plain, prompt_tokens, batches)

        def footprint(adapter: str, batch: int) -> Footprint:
            loaded = _unloaded(config, dtype)
            trained = _trained(loaded, adapter, training, prompt_tokens, answer_tokens, batch)
            return Footprint(
                parameters=number,
                weights=weights - saved,
                inference=inference[batch] - saved,
                probing=probing - saved,
                training=trained.peak - saved,
                trainable_parameters=trained.parameters,
                gradients=trained.gradients,
                optimizer=2 * trained.gradients,
                activations=trained.activations,
                tokens=tokens,
                image_tokens=pictured,
                batch=batch,
                dtype=stored,
                adapter=adapter,
                four_bit=four_bit,
            )

        return tuple(footprint(adapter, batch) for adapter in adapters for batch in batches)
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        raise TaloError(
            f"{config.model_type} does not run without its weights "
            f"({first_line(str(error)) or type(error).__name__}): run `compare` itself to measure "
            "it."
        ) from error


def config_of(reference: str, *, trust_remote_code: bool = False) -> PreTrainedConfig:
    """The config of a directory, of a config.json, or of a Hub id, whose weights stay there.

    Raises TaloError where it cannot be found or read.
    """
    asked = parse_reference(reference)
    if asked.path is not None:
        directory = asked.path if asked.path.is_dir() else asked.path.parent
    else:
        assert asked.repo_id is not None
        try:
            file = hf_hub_download(asked.repo_id, "config.json", revision=asked.revision)
        except (HfHubHTTPError, OSError) as error:
            raise TaloError(
                f"the config of {reference} could not be fetched: go online or log in, or give "
                "a directory with its config.json"
            ) from error
        directory = Path(file).parent
    return read_config(ResolvedModel(directory, asked.name, asked.revision), trust_remote_code)


def _unloaded(config: PreTrainedConfig, dtype: str) -> LoadedModel:
    """The model on the meta device: shapes only."""
    number = DTYPES.get(dtype) or config.dtype or config.get_text_config().dtype or torch.float32
    model = build_empty(config, dtype=number)
    model.eval().requires_grad_(False)
    return LoadedModel(
        model=model, processor=None, tokenizer=None, decoder=find_decoder(model),
        directory=Path("nowhere"), name=config.model_type, revision=None,
        is_vlm=is_vision_language(config),
    )  # fmt: skip


@contextmanager
def ghost(model: nn.Module) -> Iterator[LiveBytes]:
    """Give a meta model fake CPU tensors, which take the kernels a real model takes (meta ones
    take others, with other intermediate results), and count what is alive; its weights are."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device="cpu")
        # `to_empty` gives every name a tensor of its own; tied embeddings are one.
        getattr(model, "get_base_model", lambda: model)().tie_weights()
        with LiveBytes() as live:
            live.hold([*model.parameters(), *model.buffers()])
            live.forget_peak()
            yield live


def _untrained(
    plain: LoadedModel, tokens: int, batches: Sequence[int]
) -> tuple[int, dict[int, int], int]:
    """Of the model as it is: bytes of the weights, peaks of inference by the number of items a
    pass, peak of probing. Nothing is saved by NF4 yet."""
    model, aside = plain.model, attention_bytes(plain)
    inference = {}
    with ghost(model) as live:
        weights = live.now
        for batch in batches:
            forward_only(model, tokens, batch)
            inference[batch] = live.peak
            live.forget_peak()
        # The first item is also answered plainly, one knockout after the other in the weights.
        forward_only(model, tokens, 1)
        probing = live.peak + aside
        live.forget_peak()
        probing = max(probing, live.peak if probing_pass(plain, tokens) else 0)
    return weights, inference, probing


@dataclass(frozen=True, slots=True)
class Trained:
    """Bytes of training an adapter, and how many parameters it has."""

    peak: int
    activations: int
    gradients: int
    parameters: int


def _trained(
    loaded: LoadedModel, adapter: str, training: Training, tokens: int, answer_tokens: int,
    batch: int,
) -> Trained:  # fmt: skip
    with torch.device("meta"):
        adapted = attach(loaded, adapter, training, seed=0)
    with ghost(adapted) as live, training_mode(adapted, training.gradient_checkpointing):
        before = live.now
        loss = training_pass(adapted, tokens, answer_tokens, batch)
        kept = live.now - before
        loss.backward()
        peak = live.peak
    own = sum(p.numel() * p.element_size() for p in adapted.parameters() if p.requires_grad)
    # AdamW's two moments are there from the second step on, beside the whole first pass.
    return Trained(peak + 2 * own, kept, own, trainable_parameters(adapted))


def forward_only(model: nn.Module, tokens: int, batch: int) -> None:
    """One forward pass as scoring does it: all logits, no cache, no gradients."""
    with torch.inference_mode():
        logits = model(**prompt(model, tokens, batch), use_cache=False).logits
        torch.log_softmax(logits[:, -1:].float(), dim=-1)


def probing_pass(loaded: LoadedModel, tokens: int) -> bool:
    """One item's shared passes as a sweep runs them: every layer's knockout and the base at once.

    False where this model does not run in shared passes: it is then probed one by one.
    """
    variants = (None, *all_knockouts(loaded.decoder))
    inputs, state = prompt(loaded.model, tokens, 1), ItemState()
    try:
        shared = SharedModel(loaded.model, loaded.decoder)
        with torch.inference_mode(), shared.installed():
            for plan in schedule(variants, len(variants)):
                passed = shared.run(inputs, plan, state)
                assert passed is not None
                torch.log_softmax(passed[0][:, -1].float(), dim=-1)
    except CannotShareError:
        return False
    return True


def training_pass(model: nn.Module, tokens: int, answer_tokens: int, batch: int) -> torch.Tensor:
    """The loss of `examples.answer_loss`, for a batch."""
    kept = answer_tokens + 1
    inputs = prompt(model, tokens + answer_tokens, batch)
    logits = model(**inputs, use_cache=False, **at_last(model, kept)).logits[:, -kept:-1]
    wanted = inputs["input_ids"][:, -answer_tokens:]
    return nn.functional.cross_entropy(logits.float().flatten(0, 1), wanted.flatten())


def prompt(model: nn.Module, tokens: int, batch: int) -> dict[str, torch.Tensor]:
    """Token ids and a full mask, as the encoding of an item has them."""
    ids = torch.zeros((batch, tokens), dtype=torch.long)
    return {"input_ids": ids}


def attention_bytes(loaded: LoadedModel) -> int:
    """Bytes of the largest attention: a knockout keeps the original beside the zeros."""
    have = dict(loaded.model.named_parameters(remove_duplicate=False))
    return max(
        (
            sum(have[n].numel() * have[n].element_size() for m in layer.attention
                for n in (*m.inputs, *m.output))
            for layer in loaded.decoder.layers
        ),
        default=0,
    )  # fmt: skip


def nf4_saving(loaded: LoadedModel) -> int:
    """Bytes saved where the decoder's matrices are stored as NF4."""
    saved = 0.0
    for path in find_sites(loaded.model, loaded.decoder).matrices:
        weight = loaded.model.get_submodule(path).weight
        saved += weight.numel() * (weight.element_size() - NF4_BITS / 8)
    return int(saved)
