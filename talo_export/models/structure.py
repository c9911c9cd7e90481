"""From what was seen in a trace to the decoder: its stack, each layer's mixers, their parameters."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from torch import nn

from talo_export.errors import TaloError
from talo_export.models.anatomy import Decoder, Layer, Mixer, MixerKind
from talo_export.models.flow import Mix, Trace, bits, layer_paths


def read_decoder(model: nn.Module, trace: Trace) -> Decoder:
    """The stack whose hidden states become the logits. Raises TaloError where there is none."""
    stacks = layer_paths(model)
    path = decoder_stack(trace, stacks)
    layers = [layer for layer, stack in stacks.items() if stack == path]
    return Decoder(
        path=path,
        layers=tuple(LayerReader(model, trace, path, layers, index).read() for index in range(len(layers))),
    )


def decoder_stack(trace: Trace, stacks: dict[str, str]) -> str:
    """Going back from the logits, the first module list whose elements mix positions."""
    mixing = {stacks[mix.layer] for mix in trace.mixes if mix.layer in stacks}
    seen = 0
    front = trace.logits.roots
    while front:
        found = {stacks.get(trace.nodes[bit].layer, "") for bit in bits(front)} & mixing
        if len(found) > 1:
            raise TaloError(
                f"the logits come from several stacks of layers at once: {', '.join(sorted(found))}"
            )
        if found:
            return found.pop()
        seen |= front
        parents = 0
        for bit in bits(front):
            parents |= trace.nodes[bit].parents
        front = parents & ~seen
    raise TaloError("the logits come from no stack of layers that mix positions")


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
        mixers = tuple(self.mixer(*group) for group in self.groups())
        return Layer(
            index=self.index,
            path=self.path,
            mixers=mixers,
            mlp_output=self.feed_forward({name for mixer in mixers for name in mixer.output}),
        )

    def groups(self) -> list[tuple[int, list[int]]]:
        """(output projections as a mask, the mixes they project), one a mixer.

        A mix belongs to the last projections behind it that reach the layer's output.
        """
        ends = self.trace.visits[self.path].output.last if self.path in self.trace.visits else 0
        groups: dict[int, list[int]] = defaultdict(list)
        for bit, mix in enumerate(self.trace.mixes):
            if mix.layer != self.path:
                continue
            output = 0
            for projection in self.trace.projections:
                if projection.mixes >> bit & 1 and projection.layer == self.path:
                    output |= projection.params & ends
            groups[output].append(bit)
        return list(groups.items())

    def mixer(self, output: int, members: list[int]) -> Mixer:
        """One mixer: its kind, module, parameters, and why it cannot be cut if it cannot."""
        trace = self.trace
        mixes = [trace.mixes[bit] for bit in members]
        chain = [p for p in trace.projections if any(p.mixes >> bit & 1 for bit in members) and p.layer == self.path]
        path = common_path([*(mix.stack for mix in mixes), *(p.stack for p in chain if p.params & output)]) or self.path
        inside = self.inside(path)
        inputs = 0
        for mix in mixes:
            inputs |= mix.inputs
        for projection in chain:
            inputs |= projection.params
        inputs &= (trace.matrices | self.biases()) & inside & ~output
        leaks = self.read_elsewhere(inputs)
        kind = self.kind(mixes, path)
        return Mixer(
            kind=kind,
            path=path,
            output=trace.named(output),
            inputs=trace.named(inputs & ~leaks),
            shared=trace.named(leaks),
            declined=self.declined(kind, output, members),
        )

    def kind(self, mixes: list[Mix], path: str) -> MixerKind:
        """What kind of mixer a group of mixes is; only among recurrences the class's name says."""
        softmax = [mix for mix in mixes if mix.kind == "softmax"]
        if softmax:
            own = 0
            for bit, node in enumerate(self.trace.nodes):
                if node.layer in self.layers:
                    own |= 1 << bit
            return "self-attention" if any(mix.source & own for mix in softmax) else "cross-attention"
        if "mamba" in type(self.model.get_submodule(path)).__name__.lower():
            return "mamba"
        kinds = {mix.kind for mix in mixes}
        if kinds == {"convolution"}:
            return "convolution"
        return "linear-attention" if "linear" in kinds else "other"

    def declined(self, kind: MixerKind, output: int, members: list[int]) -> str | None:
        """Why the mixer cannot be knocked out."""
        if not output:
            return f"no output projection was found behind the {kind} of {self.path}"
        for bit in bits(output):
            users = {user for user in self.trace.users.get(bit, ()) if user != self.path}
            if users:
                return (
                    f"{self.trace.names[bit]} is one block that {self.path} shares with "
                    f"{', '.join(sorted(user or 'the rest of the model' for user in users))}: "
                    "cutting it would cut them all"
                )
        left = self.trace.visits[self.path].output.mixed
        if any(left >> bit & 1 for bit in members):
            return f"part of the {kind} of {self.path} reaches the layer's output unprojected"
        return None

    def read_elsewhere(self, params: int) -> int:
        """Those of `params` that something besides this mixer's output depends on."""
        elsewhere = self.trace.visits[self.path].output.params
        for layer, visit in self.trace.visits.items():
            if layer != self.path:
                elsewhere |= visit.seen
        return params & elsewhere

    def feed_forward(self, outputs: set[str]) -> tuple[str, ...]:
        """Last projections of the layer's other blocks; of side branches the big ones only."""
        if self.path not in self.trace.visits:
            return ()
        last = self.trace.visits[self.path].output.last & (self.trace.matrices | self.biases())
        blocks: dict[str, list[str]] = defaultdict(list)
        for name in self.trace.named(last & self.inside(self.path)):
            if name not in outputs:
                blocks[name[len(self.path) + 1 :].partition(".")[0]].append(name)
        sizes = {
            block: sum(p.numel() for p in getattr(self.model.get_submodule(self.path), block).parameters())
            for block in blocks
        }
        most = max(sizes.values(), default=0)
        return tuple(name for block in blocks if sizes[block] * 10 >= most for name in blocks[block])

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


def common_path(stacks: list[tuple[str, ...]]) -> str:
    """The deepest module in which all of it ran, '' for the model itself."""
    shared = ""
    for paths in zip(*stacks, strict=False):
        if len(set(paths)) > 1:
            break
        shared = paths[0]
    return shared
