"""Following data through a forward pass: what every tensor was computed from.

An abstract interpretation of the model's own code. Each tensor operation is seen at the level of
PyTorch's dispatcher, with tensors that have shapes but no values, and its result is labelled with
what went in: which parameters, which layer's hidden states, and whether positions have been mixed
on the way. That attention is attention then shows in what is computed, a softmax over products of
activations that weighs activations, whatever it is called and however it is laid out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from talo_export.models.flow import (
    NOTHING,
    Flow,
    Mix,
    MixKind,
    Node,
    Projection,
    Reads,
    Trace,
    Visit,
)
from talo_export.models.head_numbers import HeadNumbers

MATMULS = {"mm", "bmm", "addmm", "baddbmm", "addbmm", "mv", "dot", "linear", "_grouped_mm"}
FUSED_ATTENTIONS = "_scaled_dot_product"
SUMS = {"add", "sub", "rsub", "addcmul", "addcdiv", "lerp", "index_add", "scatter_add"}
UNEVEN = {"sigmoid", "_softmax", "_safe_softmax", "_log_softmax", "exp", "softplus", "topk", "sort",
          "rsqrt", "reciprocal", "cos", "logsumexp", "log_sigmoid_forward"}  # fmt: skip
"""Functions that make something out of zero: a product with their result is zero only where the
other factor is."""


class Recorder(TorchDispatchMode):
    """Labels every tensor with its `Flow` while it is active. Labels belong to storages: a view
    has its base's label."""

    def __init__(self, parameters: dict[str, Tensor], positions: int) -> None:
        super().__init__()
        self.trace = Trace(names=list(parameters))
        self.positions = positions
        self.stack: list[str] = []
        self.layer: str | None = None
        self._flows: dict[int, Flow] = {}
        self._alive: list[Any] = []
        self._bit_of: dict[int, int] = {}
        self._shapes = [parameter.shape for parameter in parameters.values()]
        self._numbers = HeadNumbers()
        for bit, tensor in enumerate(parameters.values()):
            self._bit_of[self._key(tensor)] = bit
            self.label(tensor, Flow(values=1 << bit, params=1 << bit))

    def _key(self, tensor: Tensor) -> int:
        return tensor.untyped_storage()._cdata

    def flow(self, tensor: Tensor) -> Flow:
        """The tensor's label."""
        return self._flows.get(self._key(tensor), NOTHING)

    def label(self, tensor: Tensor, flow: Flow) -> None:
        """Set the tensor's label, and that of everything that shares its storage."""
        if tensor.layout is not torch.strided:
            return
        storage = tensor.untyped_storage()
        if storage._cdata not in self._flows:
            self._alive.append(storage)
        self._flows[storage._cdata] = flow

    def label_input(self, name: str, tensor: Tensor) -> None:
        """Label an input of the model: ids choose embeddings, everything else is an activation."""
        if tensor.is_floating_point():
            self.label(tensor, Flow(roots=self._source(name)))
        elif name.endswith("input_ids"):
            self.label(tensor, Flow(chosen=True))

    # -- module calls -----------------------------------------------------------------------

    def enter_layer(self, path: str, hidden: Tensor | None) -> None:
        """Hidden states come into a layer: what follows starts from them."""
        self.layer = path
        self.trace.visits.setdefault(path, Visit())
        if hidden is not None:
            self.trace.nodes.append(Node(path, self.flow(hidden).roots))
            self.label(hidden, Flow(roots=1 << (len(self.trace.nodes) - 1)))

    def leave_layer(self, path: str, output: Tensor | None) -> None:
        """A layer is done: remember what its output is made of."""
        self.layer = None
        self._numbers.forget()
        if output is not None:
            visit = self.trace.visits[path]
            visit.output = visit.output | self.flow(output)

    # -- operations ---------------------------------------------------------------------------

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = invent(func, args, kwargs)
        if result is None:
            result = func(*on_meta(args), **kwargs)
        operands = tensors_in((*args, *kwargs.values()))
        flows = [self.flow(operand) for operand in operands]
        self._note_use(operands, flows)
        name = func._schema.name.partition("::")[2]
        in_place = name.endswith("_") and not name.startswith("_")
        mixes, projections = len(self.trace.mixes), len(self.trace.projections)
        flow = self._transfer(name.rstrip("_") if in_place else name, operands, flows, result)
        if len(self.trace.mixes) > mixes:
            weights = [o for o, each in zip(operands, flows, strict=True) if each.weights]
            if weights and isinstance(result, Tensor):
                self._numbers.start(weights[0], result)
        elif len(self.trace.projections) > projections:
            self.trace.projections[-1].reads = self._reads(operands, flows)
        elif name not in MATMULS:
            self._numbers.follow(func, args, kwargs, result)
        keys = {self._key(operand) for operand in operands}
        for output in tensors_in((result,)):
            own = flow if output.is_floating_point() or output.is_complex() else choice(flow)
            if self._key(output) not in keys:
                self.label(output, own)
            elif in_place:
                whole = output.numel() * output.element_size() >= output.untyped_storage().nbytes()
                self.label(output, own if whole else own | self.flow(output))
        return result

    def _note_use(self, operands: Sequence[Tensor], flows: Sequence[Flow]) -> None:
        """Who reads which parameter, directly or through what was computed from it."""
        seen = 0
        for operand, flow in zip(operands, flows, strict=True):
            seen |= flow.params
            bit = self._bit_of.get(self._key(operand))
            if bit is not None:
                self.trace.users.setdefault(bit, set()).add(self.layer)
        self.trace.visits.setdefault(self.layer or "", Visit()).seen |= seen

    def _transfer(
        self, name: str, operands: Sequence[Tensor], flows: Sequence[Flow], result: Any
    ) -> Flow:
        """The result's label, by what kind of operation it was."""
        flow = NOTHING
        for each in flows:
            flow = flow | each
        if name in MATMULS:
            return self._matmul(name, operands, flows, flow)
        if name.startswith(FUSED_ATTENTIONS):
            return self._mix("softmax", flow, flow.values, flows[2].roots)
        if name == "convolution":
            return self._convolution(operands, flows, flow)
        if name == "embedding" and flows[1].chosen:
            return Flow(roots=self._source("embedding"), params=flow.params)
        if self._is_scan(name, operands) and flow.roots:
            return self._mix("scan", flow, flow.values, flow.roots)
        if name in SUMS:
            return self._add(flows, flow)
        if name == "select" and lost(self.positions, operands[0], result):
            self.trace.stepped.update(self.stack)
        if name in UNEVEN:
            weighs = flow.weights or (flow.score and name in ("_softmax", "_safe_softmax", "exp"))
            return flow._replace(last=0, weights=weighs)
        return flow

    def _matmul(
        self, name: str, operands: Sequence[Tensor], flows: Sequence[Flow], flow: Flow
    ) -> Flow:
        added = NOTHING
        if name in ("addmm", "baddbmm", "addbmm"):
            added, left, right = flows[:3]
        else:
            left, right = flows[:2]
            if name == "linear" and len(flows) > 2:
                added = flows[2]
        if left.roots and right.roots:
            return self._product(operands[-1], left, right, flow)
        if not (left.is_weight or right.is_weight):
            return flow
        weight, other = (right, left) if right.is_weight else (left, right)
        self.trace.matrices |= weight.values
        if added.is_weight:
            self.trace.offsets |= added.values
        if not other.roots:
            return flow
        return self._project(weight, other, added, flow)

    def _product(self, last: Tensor, left: Flow, right: Flow, flow: Flow) -> Flow:
        """A product of two activations: scores, or scores that weigh values."""
        if last.dim() == 3 and last.shape[0] % self.positions == 0:
            return flow  # position by position: nothing is mixed
        if left.weights or right.weights:
            source = right if left.weights else left
            return self._mix("softmax", flow, left.values | right.values, source.roots)
        if left.score or right.score:
            return self._mix("linear", flow, left.values | right.values, flow.roots)
        return flow._replace(score=True, last=0)

    def _project(self, weight: Flow, other: Flow, added: Flow, flow: Flow) -> Flow:
        """An activation times a parameter. What was mixed before is now behind this matrix."""
        fresh = other.mixed
        if other.score and not fresh:
            fresh = self._mix("scan", flow, other.values, other.roots).mixed
        mixes = fresh | other.projected
        params = weight.values | (added.values if added.is_weight else 0)
        self.trace.projections.append(
            Projection(params, tuple(self.stack), self.layer, fresh, mixes)
        )
        behind = Flow(params=weight.params, values=weight.values) if mixes else flow
        return behind._replace(
            roots=flow.roots, last=params, mixed=0, projected=mixes, score=False, weights=False
        )

    def _reads(self, operands: Sequence[Tensor], flows: Sequence[Flow]) -> Reads | None:
        """Which heads the inputs of a projection's matrix read, where its operand was followed."""
        for operand in operands:
            heads = self._numbers.read(operand)
            if heads is None:
                continue
            for matrix in operands:
                bit = self._bit_of.get(self._key(matrix))
                if bit is not None and matrix.dim() == 2 and matrix.shape[0] == len(heads):
                    # A view that is the parameter's transpose has its strides the other way round.
                    axis = int(matrix.stride(0) < matrix.stride(1))
                    whole = self._shapes[bit].numel() == matrix.numel()
                    return Reads(axis, heads) if whole else None
        return None

    def _convolution(self, operands: Sequence[Tensor], flows: Sequence[Flow], flow: Flow) -> Flow:
        weight = operands[1]
        if not flows[0].roots:
            return flow
        if all(size == 1 for size in weight.shape[2:]):
            self.trace.matrices |= flows[1].values
            added = flows[2] if len(flows) > 2 else NOTHING
            return self._project(flows[1], flows[0], added, flow)
        return self._mix("convolution", flow, flow.values, flow.roots)

    def _is_scan(self, name: str, operands: Sequence[Tensor]) -> bool:
        """Running along the positions: sums, shifts, or a loop whose steps are put together."""
        if name in ("cat", "stack"):
            return len(operands) == self.positions
        return name in ("cumsum", "cumprod", "constant_pad_nd")

    def _add(self, flows: Sequence[Flow], flow: Flow) -> Flow:
        """A sum. Where a projected mix meets activations without it, it joins the residual."""
        for each in flows:
            if each.is_weight:
                self.trace.offsets |= each.values
                if flow.projected:
                    self.trace.biases.append((each.values, flow.projected))
                flow = flow._replace(last=flow.last | each.values if flow.last else 0)
        joined = 0
        for each in flows:
            for other in flows:
                if other.roots and other is not each:
                    joined |= each.projected & ~(other.projected | other.mixed)
        return flow._replace(projected=flow.projected & ~joined)

    def _mix(self, kind: MixKind, flow: Flow, inputs: int, source: int) -> Flow:
        self.trace.mixes.append(Mix(kind, tuple(self.stack), self.layer, source, inputs))
        mixed = flow.mixed | 1 << (len(self.trace.mixes) - 1)
        return flow._replace(mixed=mixed, score=False, weights=False, last=0)

    def _source(self, name: str) -> int:
        """The root of what comes from outside: token embeddings."""
        self.trace.nodes.append(Node(name, 0))
        return 1 << (len(self.trace.nodes) - 1)


def invent(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """A plausible result where code asks for values, which tensors here do not have; else None.

    One for a number, true for a truth value, every place for the places where something holds,
    all rows to the first expert where they are dealt out.
    """
    name = func._schema.name
    first = args[0] if args else None
    if not isinstance(first, Tensor) or not first.is_meta:
        return None
    if name == "aten::split_with_sizes":
        size = first.shape[args[2] if len(args) > 2 else 0]
        if sum(args[1]) != size:
            return func(first, [size, *[0] * (len(args[1]) - 1)], *args[2:])
    if name == "aten::_local_scalar_dense":
        return first.dtype == torch.bool or 1
    if name == "aten::_to_copy" and kwargs.get("device") == torch.device("cpu"):
        return torch.zeros(first.shape, dtype=kwargs.get("dtype") or first.dtype, device="cpu")
    if name == "aten::nonzero":
        return torch.empty(first.numel(), first.dim(), dtype=torch.long, device="meta")
    if name == "aten::index" and any(i is not None and i.dtype == torch.bool for i in args[1]):
        return func(first, [places for index in args[1] for places in all_of(index)])
    return None


def lost(size: int, before: Tensor, after: Tensor) -> bool:
    """Whether a dimension of this size is gone."""
    return list(before.shape).count(size) > list(after.shape).count(size)


def all_of(index: Tensor | None) -> list[Tensor | None]:
    """An index of integers for one of booleans that are all true."""
    if index is None or index.dtype != torch.bool:
        return [index]
    return [torch.empty(index.numel(), dtype=torch.long, device="meta")] * index.dim()


def on_meta(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Constants that code made on the CPU, moved to where everything else is."""
    devices = {tensor.device.type for tensor in tensors_in(args)}
    if devices != {"cpu", "meta"}:
        return args
    return tuple(arg.to("meta") if isinstance(arg, Tensor) else arg for arg in args)


def choice(flow: Flow) -> Flow:
    """The label of integers and booleans: they choose positions, their values flow nowhere."""
    return Flow(params=flow.params, chosen=flow.chosen)


def tensors_in(values: Sequence[Any]) -> list[Tensor]:
    """The tensors among arguments, those in lists included."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found.extend(tensors_in(value))
    return found
