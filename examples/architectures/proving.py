"""One architecture examined end to end: built tiny, saved, read, cut on disk, loaded, compared.

What is checked of a layer's knockout, each in a way that does not depend on how it was found:

- the edited files load with stock `from_pretrained`, no key missing, unexpected or mismatched,
  and give the very logits of the live knockout, which are not the base's;
- filling q, k and v besides the output projection changes nothing, so no other layer reads them;
- the layer then handles every position by itself: other positions' hidden states no longer
  reach it, though they do in the base; and it still does something (its feed-forward block);
- where heads are told apart, the last one cut: live as on disk, and in the columns where
  `heads.py` sees it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from heads import check_head
from tiny import tiny_config
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from talo_export.checkpoint.anatomy import checkpoint_anatomy
from talo_export.checkpoint.plan import EditPlan, plan_export
from talo_export.checkpoint.verify import verify_files
from talo_export.checkpoint.writer import write_export
from talo_export.errors import TaloError, UsageError
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder, Layer
from talo_export.models.examples import smallest_inputs
from talo_export.models.finding import find_decoder
from talo_export.models.proof import BaseAnswer, logits_of
from talo_export.models.switching import knocked_out

AUTO = {"image-text-to-text": AutoModelForImageTextToText, "causal-lm": AutoModelForCausalLM}
NAMES = {
    "image-text-to-text": MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    "causal-lm": MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
}
POSITIONS = 11


@dataclass
class Finding:
    """One row of the coverage table."""

    mapping: str
    model_type: str
    architecture: str = ""
    decoder: str = ""
    layers: int = 0
    mixers: str = ""
    proved: list[int] = field(default_factory=list)
    """Layers whose knockout was proved."""
    heads: list[int] = field(default_factory=list)
    """How many heads there are in each layer of which one was cut and proved."""
    headless: str = ""
    """Why heads are not cut alone, in the package's own words."""
    refused: str = ""
    """Why the package declines, in its own words."""
    unusable: str = ""
    """Why transformers itself cannot build, save and load this type small."""
    wrong: str = ""
    """A check that failed: must be empty."""
    libraries: str = field(default_factory=lambda: libraries())
    """What it was examined with."""


def examine(mapping: str, model_type: str, folder: Path) -> Finding:
    """Build, save, read and cut one type. Whatever transformers raises while the subject is made
    is recorded as `unusable`; what the package raises on purpose as `refused`."""
    finding = Finding(mapping, model_type)
    try:
        model = make_subject(mapping, model_type, folder)
        base = BaseAnswer(example_of(model), torch.empty(0))
        base = BaseAnswer(base.example, logits_of(model, base.example))
    except Exception as error:  # noqa: BLE001
        finding.unusable = one_line(error)
        return finding
    finding.architecture = type(model).__name__
    try:
        decoder = find_decoder(model)
        disk = checkpoint_anatomy(folder)
    except TaloError as error:
        finding.refused = one_line(error)
        return finding
    finding.decoder, finding.layers = decoder.path, len(decoder)
    finding.mixers = summary(decoder)
    for layer in choose_layers(disk):
        try:
            check_layer(mapping, folder, model, decoder, disk, layer, base)
        except (TaloError, AssertionError) as error:
            finding.wrong = f"layer {layer.index}: {one_line(error)}"
            return finding
        finding.proved.append(layer.index)
        try:
            count = check_heads(mapping, folder, model, decoder, disk, layer, base)
        except AssertionError as error:
            finding.wrong = f"heads of layer {layer.index}: {one_line(error)}"
            return finding
        except TaloError as error:
            finding.headless = one_line(error)
        else:
            finding.heads.append(count)
    if not finding.proved:
        finding.refused = reason(disk)
    return finding


def make_subject(mapping: str, model_type: str, folder: Path) -> Any:
    """A tiny model with random weights, saved to `folder` and loaded back with no key amiss."""
    torch.manual_seed(0)
    model = build(mapping, model_type)
    with torch.no_grad():
        for parameter in model.parameters():
            # Biases start at zero and norms at one: that would hide what is done to them.
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    model.save_pretrained(folder)
    return load(mapping, folder)


def build(mapping: str, model_type: str) -> Any:
    """The type's tiny model, as the auto class makes it.

    Some types are in a mapping under a config that the mapping's class is not built from: their
    class is then built as it is, from the part of the config that is its own.
    """
    config = tiny_config(model_type)
    model_class = getattr(transformers, NAMES[mapping][model_type])
    own = model_class.config_class
    parts = [config, *(getattr(config, name, None) for name in type(config).sub_configs)]
    config = next((part for part in parts if type(part) is own), config)
    if type(config) in AUTO[mapping]._model_mapping:
        return AUTO[mapping].from_config(config, dtype=torch.float32)
    return model_class._from_config(config, dtype=torch.float32)


def load(mapping: str, folder: Path) -> Any:
    """Stock `from_pretrained`, which must have nothing to report; by the class that the config
    names where the auto class does not know the config."""
    config = AutoConfig.from_pretrained(folder)
    stock = AUTO[mapping]
    if type(config) not in stock._model_mapping:
        stock = getattr(transformers, config.architectures[0])
    model, report = stock.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not report[kind], f"{kind}: {sorted(report[kind])[:3]}"
    return model.eval()


def example_of(model: Any) -> dict[str, Any]:
    """The first made-up inputs that the model runs on. Raises what it said to all of them."""
    refusals: dict[str, None] = {}
    for inputs in smallest_inputs(model, POSITIONS):
        try:
            logits_of(model, inputs)
        except Exception as error:  # noqa: BLE001
            refusals[one_line(error)] = None
        else:
            return inputs
    raise RuntimeError("; ".join(refusals) or "its forward takes no text")


def choose_layers(decoder: Decoder) -> list[Layer]:
    """The first and the last of every kind of layer that can be knocked out, three at most."""
    kinds: dict[str, list[Layer]] = {}
    for layer in decoder.layers:
        if layer.attention and not any(mixer.declined for mixer in layer.attention):
            names = repr([(m.kind, m.output, m.inputs, m.shared) for m in layer.mixers])
            kinds.setdefault(names.replace(f".{layer.index}.", ".N."), []).append(layer)
    chosen = {layers[end].index: layers[end] for layers in kinds.values() for end in (0, -1)}
    return [chosen[index] for index in sorted(chosen)][-3:]


def check_layer(
    mapping: str,
    folder: Path,
    model: Any,
    decoder: Decoder,
    disk: Decoder,
    layer: Layer,
    base: BaseAnswer,
) -> None:
    """All checks of one layer. Raises AssertionError or TaloError where one fails."""
    narrow = Knockout(layer.index, "o_proj")
    wide = Knockout(layer.index)
    own = decoder.layers[layer.index]
    with knocked_out(model, decoder, narrow, base=base):
        expected = logits_of(model, base.example)
        check_positions(model, own, base, cut=True)
    if not may_borrow(decoder, own):
        check_positions(model, own, base, cut=False)
    assert not torch.equal(expected, base.logits), "the knockout moved no logit"
    try:
        plan = plan_export(folder, wide, disk)
        with knocked_out(model, decoder, wide, base=base):
            assert torch.equal(logits_of(model, base.example), expected), "q, k or v are read"
    except UsageError:
        plan = plan_export(folder, narrow, disk)
    with exported(plan) as copy:
        again = load(mapping, copy)
        found = logits_of(again, base.example)
    assert torch.equal(found, expected), (
        f"disk and memory differ by {(found - expected).abs().max():.2g}"
    )


def check_heads(
    mapping: str,
    folder: Path,
    model: Any,
    decoder: Decoder,
    disk: Decoder,
    layer: Layer,
    base: BaseAnswer,
) -> int:
    """How many heads the layer has, its last one cut and proved.

    Raises TaloError where the package tells no heads apart, AssertionError where a check fails.
    """
    known = decoder.layers[layer.index].attention[0].heads
    cut = Knockout(layer.index, heads=((known.count - 1 if known else 0,),))
    plan = plan_export(folder, cut, disk)
    assert known is not None
    check_head(model, decoder.layers[layer.index], known.count - 1, base)
    with knocked_out(model, decoder, cut, base=base):
        expected = logits_of(model, base.example)
    with exported(plan) as copy:
        found = logits_of(load(mapping, copy), base.example)
    assert torch.equal(found, expected), "disk and memory differ"
    return known.count


def check_positions(model: nn.Module, layer: Layer, base: BaseAnswer, cut: bool) -> None:
    """Whether other positions' hidden states reach the last position's, through this layer."""
    if any(mixer.kind not in ("self-attention", "cross-attention") for mixer in layer.mixers):
        return
    given, plain = run_layer(model, layer, base, disturb=False)
    _, disturbed = run_layer(model, layer, base, disturb=True)
    if given is None:
        return
    reached = not torch.allclose(plain, disturbed, rtol=1e-4, atol=1e-5)
    if cut:
        assert not reached, "other positions still reach the layer's output"
        if layer.mlp_output and given.shape == plain.shape:
            assert not torch.equal(given, plain), "the layer does nothing at all any more"
    else:
        assert reached, "other positions do not reach the layer's output in the base either"


def may_borrow(decoder: Decoder, layer: Layer) -> bool:
    """Whether the layer may attend to what others made of their hidden states, not of its own."""
    lenders = [each for each in decoder.layers if any(mixer.shared for mixer in each.mixers)]
    return bool(lenders) and layer not in lenders


def run_layer(
    model: nn.Module, layer: Layer, base: BaseAnswer, disturb: bool
) -> tuple[Tensor | None, Tensor]:
    """(hidden states in, hidden states out) of the last position, in the layer's first call.

    `disturb` replaces what comes in at all other positions. None where it is not plain which
    dimension counts the positions.
    """
    seen: dict[str, Tensor] = {}
    axis: list[int] = []

    def before(module: nn.Module, args: Any, kwargs: Any) -> Any:
        hidden = kwargs.get("hidden_states", args[0] if args else None)
        if seen or hidden is None:
            return None
        axis.extend(i for i, size in enumerate(hidden.shape) if size == POSITIONS)
        seen["in"] = hidden.clone()
        if not disturb or len(axis) != 1:
            return None
        hidden = hidden + torch.randn(hidden.shape, generator=torch.Generator().manual_seed(1))
        hidden.select(axis[0], -1).copy_(seen["in"].select(axis[0], -1))
        if "hidden_states" in kwargs:
            return args, {**kwargs, "hidden_states": hidden}
        return (hidden, *args[1:]), kwargs

    def after(module: nn.Module, args: Any, output: Any) -> None:
        if "in" in seen:
            seen.setdefault("out", (output if isinstance(output, Tensor) else output[0]).clone())

    module = model.get_submodule(layer.path)
    handles = (
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after),
    )
    try:
        logits_of(model, base.example)
    finally:
        for handle in handles:
            handle.remove()
    if len(axis) != 1 or seen["out"].shape != seen["in"].shape:
        return None, torch.empty(0)
    return seen["in"].select(axis[0], -1), seen["out"].select(axis[0], -1)


@contextmanager
def exported(plan: EditPlan) -> Iterator[Path]:
    """The export, verified file by file, removed afterwards."""
    out = plan.directory.with_name(f"{plan.directory.name}-{plan.knockout.layer}")
    write_export(plan, out, base=str(plan.directory))
    try:
        assert verify_files(out, plan.directory).ok, "the files are not as planned"
        yield out
    finally:
        shutil.rmtree(out)


def summary(decoder: Decoder) -> str:
    """Kinds of mixers, how many layers have them."""
    counts: dict[str, int] = {}
    for layer in decoder.layers:
        kinds = " + ".join(dict.fromkeys(mixer.kind for mixer in layer.mixers)) or "none"
        counts[kinds] = counts.get(kinds, 0) + 1
    return ", ".join(f"{count} {kinds}" for kinds, count in counts.items())


def reason(decoder: Decoder) -> str:
    """Why no layer can be knocked out."""
    for layer in decoder.layers:
        for mixer in layer.mixers:
            if mixer.kind == "self-attention" and mixer.declined:
                return mixer.declined
    return "no layer has self-attention"


def libraries() -> str:
    """The versions that decide whether a type can be built: some vision towers are timm's."""
    found = [f"transformers {transformers.__version__}"]
    if find_spec("timm"):
        found.append(f"timm {version('timm')}")
    return ", ".join(found)


def one_line(error: BaseException) -> str:
    """The error's first words, with its type where it is not ours."""
    text = " ".join(str(error).split())[:200]
    return (
        text if isinstance(error, TaloError | AssertionError) else f"{type(error).__name__}: {text}"
    )
