"""From what was seen in a trace to the decoder: its stack, its layers and their mixers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby

from torch import nn

from talo_export.errors import TaloError
from talo_export.models.anatomy import Decoder, Heads, Layer, Mixer, MixerKind
from talo_export.models.flow import Flow, Mix, Trace, bits, layer_paths, union


def read_decoder(model: nn.Module, trace: Trace) -> Decoder:
    """The stack whose hidden states become the logits. Raises TaloError where there is none."""
    stacks = layer_paths(model)
    path = decoder_stack(trace, stacks)
    layers = [layer for layer, stack in stacks.items() if stack == path]
    return Decoder(
        path=path,
        layers=tuple(
            LayerReader(model, trace, path, layers, index).read() for index in range(len(layers))
        ),
    )


def decoder_stack(trace: Trace, stacks: dict[str, str]) -> str:
    """Going back from the logits, the first module list whose elements mix positions."""
    mixing = {stacks[mix.layer] for mix in trace.mixes if mix.layer in stacks}
    seen = 0
    front = trace.logits.roots
    while front:
        # An encoder that a decoder attends to has run before it: the last one in is the decoder.
        for bit in reversed(list(bits(front))):
            stack = stacks.get(trace.nodes[bit].layer)
            if stack in mixing:
                return stack
        seen |= front
        front = union(trace.nodes[bit].parents for bit in bits(front)) & ~seen
    raise TaloError(
        "the model has no decoder layers to knock out: its logits come from no stack of "
        "layers that mix positions"
    )


@dataclass(frozen=True)
class LayerReader:
    """Reads one layer out of a trace."""

    model: nn.Module
    trace: Trace
    stack: str
    layers: list[str]
    index: int

    @property
    def path(self) -> str:
        return self.layers[self.index]

    def read(self) -> Layer:
        """The layer with its mixers in the order they run."""
        if self.path not in self.trace.visits:
            return Layer(self.index, self.path, (unreached(self.path),), reached=False)
        if not self.output.roots:
            return Layer(self.index, self.path, (unfollowed(self.path),))
        found = [self.mixer(*group) for group in self.groups()]
        mixers = (*found, *(self.mixer(*group) for group in self.inward()))
        outputs = {name for mixer in mixers for name in mixer.output}
        return Layer(self.index, self.path, mixers, self.feed_forward(outputs))

    @property
    def output(self) -> Flow:
        """What the layer's output is made of."""
        return self.trace.visits[self.path].output

    def groups(self) -> list[tuple[str, int, list[Mix]]]:
        """(module, its output projections as a mask, the mixes behind them), one a mixer.

        Mixes whose result never reaches the layer's output only choose positions for others.
        """
        groups: dict[tuple[str, int], list[Mix]] = defaultdict(list)
        loose: dict[tuple[str, int], list[Mix]] = defaultdict(list)
        for bit, mix in enumerate(self.trace.mixes):
            if mix.layer != self.path:
                continue
            path, output = self.projected(bit, mix)
            if self.output.mixed >> bit & 1:
                loose[mix.stack[-1], 0].append(mix)
            elif output:
                groups[path, output].append(mix)
        return [(*key, mixes) for key, mixes in (*groups.items(), *loose.items())]

    def inward(self) -> list[tuple[str, int, list[Mix], str]]:
        """Attentions that no projection brings out of the layer, as `groups`, with the reason.

        Their result goes into another mixer, or leaves the layer by another way than the hidden
        states do; a softmax that no projection follows at all only chooses positions for others.
        """
        groups: dict[tuple[str, int], list[Mix]] = defaultdict(list)
        for bit, mix in enumerate(self.trace.mixes):
            if mix.layer != self.path or mix.kind != "softmax":
                continue
            path, output = self.projected(bit, mix)
            first = [p for p in self.trace.projections if p.fresh >> bit & 1]
            if not output and not self.output.mixed >> bit & 1 and first:
                groups[path, union(p.params for p in first)].append(mix)
        return [
            (*key, mixes, f"the attention in {key[0]} is not added to the layer's hidden states")
            for key, mixes in groups.items()
        ]

    def projected(self, bit: int, mix: Mix) -> tuple[str, int]:
        """The module of a mix, and the last projections in it that the mix comes out through.

        The module is the one in which it is both mixed and first projected; a projection further
        on is still the mixer's where it is inside it (a low-rank output), else another block's.
        """
        behind = [p for p in self.trace.projections if p.mixes >> bit & 1 and p.layer == self.path]
        first = [p for p in behind if p.fresh >> bit & 1]
        path = common_path([mix.stack, *(p.stack for p in first)])
        inner = behind if path != self.path else first
        last = self.output.last
        output = union(p.params & last for p in inner if path in p.stack)
        if output:
            biases = union(params for params, mixes in self.trace.biases if mixes >> bit & 1)
            output |= biases & last & self.inside(path)
        return path, output

    def mixer(self, path: str, output: int, mixes: list[Mix], declined: str | None = None) -> Mixer:
        """One mixer: its kind, its parameters, and why it cannot be cut if it cannot."""
        inputs = union(mix.inputs for mix in mixes)
        inputs |= union(p.params for p in self.trace.projections if path in p.stack and p.mixes)
        inputs &= (self.trace.matrices | self.biases()) & self.inside(path) & ~output
        leaks = self.read_elsewhere(inputs)
        kind = self.kind(mixes, path)
        return Mixer(
            kind=kind,
            path=path,
            output=self.trace.named(output),
            inputs=self.trace.named(inputs & ~leaks),
            shared=self.trace.named(leaks),
            declined=self.declined(kind, path, output) or declined,
            heads=self.heads(mixes),
        )

    def heads(self, mixes: list[Mix]) -> Heads | None:
        """Which inputs of the projection after these mixes read which head, where it is one."""
        behind = union(
            any(mix is each for each in mixes) << bit for bit, mix in enumerate(self.trace.mixes)
        )
        first = [p for p in self.trace.projections if p.layer == self.path and p.fresh & behind]
        seen = {(p.params & self.trace.matrices, p.reads) for p in first}
        if len(seen) != 1:
            return None
        ((matrix, reads),) = seen
        if reads is None or len(names := self.trace.named(matrix)) != 1:
            return None
        runs = tuple((head, len(list(group))) for head, group in groupby(reads.heads))
        return Heads(names[0], reads.axis, runs)

    def kind(self, mixes: list[Mix], path: str) -> MixerKind:
        """What kind of mixer this is; which kind of recurrence, its parameters tell.

        A state matrix and a skip past it are Mamba's: https://arxiv.org/abs/2312.00752.
        """
        kinds = {mix.kind for mix in mixes}
        module = self.model.get_submodule(path)
        if "softmax" in kinds:
            source = union(mix.source for mix in mixes if mix.kind == "softmax")
            own = any(self.trace.nodes[bit].layer in self.layers for bit in bits(source))
            return "self-attention" if own else "cross-attention"
        if {"A_log", "D"} <= {name for name, _ in module.named_parameters(recurse=False)}:
            return "mamba"
        if kinds == {"convolution"} and path not in self.trace.stepped:
            return "convolution"
        return "linear-attention"

    def declined(self, kind: MixerKind, path: str, output: int) -> str | None:
        """Why the mixer cannot be knocked out."""
        if not output:
            return f"the {kind} in {path} reaches the layer's output without a projection"
        for bit in bits(output):
            others = sorted({user for user in self.trace.users.get(bit, ()) if user} - {self.path})
            if others:
                return (
                    f"{self.trace.names[bit]} is one block that {self.path} shares with "
                    f"{', '.join(others)}: cutting it would cut them all"
                )
        return None

    def read_elsewhere(self, params: int) -> int:
        """Those of `params` that something besides this mixer's output depends on."""
        visits = self.trace.visits.items()
        elsewhere = union(visit.seen for layer, visit in visits if layer != self.path)
        return params & (self.output.params | elsewhere)

    def feed_forward(self, outputs: set[str]) -> tuple[str, ...]:
        """Last projections of the layer's other blocks; of side branches the big ones only."""
        last = self.output.last & (self.trace.matrices | self.biases())
        blocks: dict[str, list[str]] = defaultdict(list)
        for name in self.trace.named(last & self.inside(self.path)):
            if name not in outputs:
                blocks[name[len(self.path) + 1 :].partition(".")[0]].append(name)
        sizes = {
            block: sum(
                p.numel() for p in getattr(self.model.get_submodule(self.path), block).parameters()
            )
            for block in blocks
        }
        most = max(sizes.values(), default=0)
        return tuple(
            name for block in blocks if sizes[block] * 10 >= most for name in blocks[block]
        )

    def inside(self, path: str) -> int:
        """Mask of the parameters below a module."""
        return sum(
            1 << bit for bit, name in enumerate(self.trace.names) if name.startswith(f"{path}.")
        )

    def biases(self) -> int:
        """Mask of the added parameters that belong to a module that also has a matrix."""
        owners = {name.rpartition(".")[0] for name in self.trace.named(self.trace.matrices)}
        return sum(
            1 << bit
            for bit in bits(self.trace.offsets)
            if self.trace.names[bit].rpartition(".")[0] in owners
        )


def unreached(path: str) -> Mixer:
    """The mixer of a layer that text alone never reaches."""
    return Mixer("other", path, (), declined=f"{path} ran on none of the inputs tried")


def unfollowed(path: str) -> Mixer:
    """The mixer of a layer that hands its hidden states on in a way of its own (Reformer's)."""
    return Mixer("other", path, (), declined=f"what {path} returns is no plain hidden states")


def common_path(stacks: list[tuple[str, ...]]) -> str:
    """The deepest module in which all of it ran, '' for the model itself."""
    shared = ""
    for paths in zip(*stacks, strict=False):
        if len(set(paths)) > 1:
            break
        shared = paths[0]
    return shared
