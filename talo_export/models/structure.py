"""Reading a model's structure: which module list is the decoder, what mixes tokens in a layer."""

from __future__ import annotations

import dis
from types import CodeType, FunctionType

from torch import nn

from talo_export.errors import TaloError
from talo_export.models.anatomy import Decoder, Layer, Mixer, MixerKind

SOFTMAX_ATTENTION = {"scaled_dot_product_attention", "ALL_ATTENTION_FUNCTIONS", "softmax"}


def read_decoder(model: nn.Module) -> Decoder:
    """See `anatomy.find_decoder`."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    inside = {id(module) for module in decoder.modules()}
    stacks = {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
        and id(module) in inside
        and len(module)
        and any(find_mixers(layer, "") for layer in module)
    }
    outer = {p: m for p, m in stacks.items() if not any(p.startswith(f"{o}.") for o in stacks)}
    if not outer:
        raise TaloError(f"{type(model).__name__} has no stack of layers with attention")
    path = max(outer, key=lambda path: len(outer[path]))
    layers = tuple(
        read_layer(layer, index, f"{path}.{index}") for index, layer in enumerate(outer[path])
    )
    return Decoder(path=path, layers=layers)


def read_layer(layer: nn.Module, index: int, path: str) -> Layer:
    """One layer's mixers and the output projection of its feed-forward block."""
    mixers = find_mixers(layer, path)
    rest = [
        (f"{path}.{name}", child)
        for name, child in layer.named_children()
        if not any(m.path.startswith(f"{path}.{name}") for m in mixers) and has_matrix(child)
    ]
    mlp_output: tuple[str, ...] = ()
    if rest:
        name, block = rest[-1]
        mlp_output = output_of(block, name)
    return Layer(index=index, path=path, mixers=tuple(mixers), mlp_output=mlp_output)


def find_mixers(layer: nn.Module, path: str) -> list[Mixer]:
    """The outermost modules of a layer whose own code takes a softmax over positions."""
    mixers: list[Mixer] = []
    for name, child in layer.named_children():
        at = f"{path}.{name}" if path else name
        kind = mixer_kind(child)
        if kind is not None:
            output = output_of(child, at)
            inputs = tuple(
                f"{at}.{parameter}"
                for parameter, value in child.named_parameters()
                if f"{at}.{parameter}" not in output and (value.dim() > 1 or "bias" in parameter)
            )
            mixers.append(Mixer(kind=kind, path=at, output=output, inputs=inputs))
        else:
            mixers.extend(find_mixers(child, at))
    return mixers


def mixer_kind(module: nn.Module) -> MixerKind | None:
    """The kind of token mixer a module is, by what its own code computes; None where it is none."""
    if not has_matrix(module) or isinstance(module, nn.ModuleList):
        return None
    names = vocabulary(type(module))
    if names & SOFTMAX_ATTENTION and "topk" not in names:
        return "self-attention"
    return None


def vocabulary(owner: type) -> set[str]:
    """Every name that the class's own methods load."""
    names: set[str] = set()
    for function in vars(owner).values():
        if isinstance(function, FunctionType):
            names |= code_names(function.__code__)
    return names


def code_names(code: CodeType) -> set[str]:
    """Names a function loads, inner functions included."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= code_names(constant)
    return names


def output_of(block: nn.Module, path: str) -> tuple[str, ...]:
    """Parameters of the last projection that the block's forward uses."""
    children = dict(block.named_children())
    used = [
        str(step.argval)
        for step in dis.get_instructions(type(block).forward)
        if step.argval in children and has_matrix(children[str(step.argval)])
    ]
    if not used:
        return ()
    child = children[used[-1]]
    at = f"{path}.{used[-1]}"
    own = [name for name, _ in child.named_parameters(recurse=False)]
    if own:
        return tuple(f"{at}.{name}" for name in own)
    return output_of(child, at)


def has_matrix(module: nn.Module) -> bool:
    """Whether any parameter inside is a matrix or more."""
    return any(parameter.dim() > 1 for parameter in module.parameters())
