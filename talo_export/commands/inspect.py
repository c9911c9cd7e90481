"""What a checkpoint's decoder is made of, read from its config and file headers alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from talo_export.checkpoint.anatomy import checkpoint_anatomy, model_kind
from talo_export.checkpoint.formats import storage_format, stored_tensors
from talo_export.checkpoint.layout import Layout, read_layout
from talo_export.checkpoint.plan import Edit, edits_on
from talo_export.checkpoint.verify import holds_fill
from talo_export.codec import Field, Recorded, maybe
from talo_export.commands.tables import table_of
from talo_export.errors import TaloError
from talo_export.knockout import Knockout, Scope
from talo_export.models.anatomy import Decoder, Mixer
from talo_export.models.reference import resolve
from talo_export.publish.next_hand import advice, rope_advice
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.checkpoints import InspectRequest
from talo_export.wording import count

if TYPE_CHECKING:
    from rich.console import Console


SCOPES: tuple[Scope, ...] = ("attention", "o_proj")
Role = Literal["output", "input", "shared"]


@dataclass(frozen=True)
class StoredTensor:
    """One tensor on disk of a mixer's projections."""

    name: str
    role: Role
    file: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: Annotated[int, Field(alias="bytes")]


@dataclass(frozen=True)
class InspectedMixer:
    """A mixer; `declined` says why it is none that can be cut."""

    kind: str
    declined: str | None
    tensors: tuple[StoredTensor, ...]
    heads: Annotated[int | None, maybe] = None
    """How many heads `export` can cut one by one; None where it tells none apart."""


@dataclass(frozen=True)
class InspectedLayer:
    """One decoder layer."""

    layer: int
    knockout: Mapping[Scope, str | None]
    """Why `export` would refuse this scope, None where it would not."""
    cut: bool
    """Whether its attention puts out nothing already."""
    mixers: tuple[InspectedMixer, ...]


@dataclass(frozen=True)
class Inspection(Recorded):
    """What a decoder is made of, and what can be knocked out: the document of `inspect --json`."""

    model: str
    revision: str | None
    architecture: str
    storage: str
    decoder: str
    """The path of its layers' list."""
    layers: tuple[InspectedLayer, ...]
    warnings: tuple[str, ...]
    advice: tuple[str, ...] = ()
    """What whoever quantises, tunes, merges or serves these weights must know."""


def run(request: InspectRequest, reporter: Reporter = SILENT) -> Inspection:
    """Layers, mixers, tensors on disk with dtype and bytes, and what can be knocked out."""
    base = resolve(request.model_reference)
    layout = read_layout(base.place)
    anatomy = checkpoint_anatomy(base.place, trust_remote_code=request.trust_remote_code)
    warnings, storage = list(layout.warnings), declared_storage(layout)
    plans = [plan_layer(layout, anatomy, layer.index) for layer in anatomy.layers]
    cuts = [plan.cut_already(layout) for plan in plans]
    names = [edit.tensor for plan, cut in zip(plans, cuts, strict=True) if cut
             for edit in plan.edits[cut]]  # fmt: skip
    if model_kind(layout.config).foreign and not request.trust_remote_code:
        warnings.append(
            "the model's own code was not run: layers and tensors are told from config, names and "
            "shapes, and no proof by logits is possible without --trust-remote-code."
        )
    return Inspection(
        model=request.model_name,
        revision=base.revision,
        architecture=", ".join(layout.config.get("architectures") or [architecture(base.place)]),
        storage=storage,
        decoder=anatomy.path,
        layers=tuple(
            InspectedLayer(
                layer=layer.index,
                knockout=plan.refusals,
                cut=cut is not None,
                mixers=tuple(
                    InspectedMixer(
                        mixer.kind,
                        mixer.declined,
                        tensors(layout, mixer),
                        None if mixer.heads is None else mixer.heads.count,
                    )
                    for mixer in layer.mixers
                ),
            )
            for layer, plan, cut in zip(anatomy.layers, plans, cuts, strict=True)
        ),
        warnings=tuple(warnings),
        advice=(
            # Where the output projection alone is zero, a gradient reaches it.
            *(advice(names, revives="o_proj" in cuts) if names and storage == "plain" else ()),
            *rope_advice(layout.config),
        ),
    )


def architecture(place: Path) -> str:
    """What a GGUF file calls its architecture; a directory's stands in its config or nowhere."""
    if not place.is_file():
        return "unknown"
    from talo_export.checkpoint.gguf_header import read_gguf

    return str(read_gguf(place).fields.get("general.architecture", "unknown"))


def declared_storage(layout: Layout) -> str:
    """The number format, in the config's own words where it is none that can be cut."""
    try:
        return storage_format(layout.config)
    except TaloError:
        return str(layout.config.get("quantization_config"))


@dataclass(frozen=True)
class LayerPlan:
    """What `export` would edit of a layer under each scope, or why it would refuse."""

    edits: Mapping[Scope, tuple[Edit, ...]]
    refusals: Mapping[Scope, str | None]

    def cut_already(self, layout: Layout) -> Scope | None:
        """The scope that is all zero as it is; None where the layer's attention puts out anything:
        then only its first bytes are read."""
        for scope, edits in self.edits.items():
            if edits and all(holds_fill(layout.source(edit.file), edit) for edit in edits):
                return scope
        return None


def plan_layer(layout: Layout, anatomy: Decoder, layer: int) -> LayerPlan:
    """Plan the layer under every scope."""
    edits: dict[Scope, tuple[Edit, ...]] = {}
    refusals: dict[Scope, str | None] = {}
    for scope in SCOPES:
        refusals[scope] = None
        try:
            storage = storage_format(layout.config)
            edits[scope] = edits_on(layout, storage, Knockout(layer, scope), anatomy)
        except TaloError as error:
            refusals[scope] = str(error)
    return LayerPlan(edits, refusals)


def tensors(layout: Layout, mixer: Mixer) -> tuple[StoredTensor, ...]:
    """What is stored of a mixer's projections."""
    roles: Mapping[Role, Iterable[str]] = {
        "output": mixer.output, "input": mixer.inputs, "shared": mixer.shared
    }  # fmt: skip
    return tuple(
        StoredTensor(entry.name, role, located.file, entry.dtype, entry.shape, entry.nbytes)
        for role, names in roles.items()
        for name in names
        for located in stored_tensors(layout, name)
        for entry in (located.entry,)
    )


def show(inspection: Inspection, to: Console) -> None:
    """One line a layer and mixer, equal ones folded."""
    to.print(
        f"{inspection.model}: {inspection.architecture}, {len(inspection.layers)} decoder "
        f"layers at {inspection.decoder}, stored {inspection.storage}"
    )
    table = table_of("layers", "mixer", "tensors", "stored as", ">bytes a layer", "knockout")
    for _, run in groupby(inspection.layers, key=_alike):
        layers = list(run)
        first, last = layers[0].layer, layers[-1].layer
        for mixer in layers[0].mixers:
            table.add_row(
                str(first) if first == last else f"{first}-{last}",
                f"{mixer.kind}, {count(mixer.heads, 'head')}" if mixer.heads else mixer.kind,
                " ".join(t.name.removeprefix(_stem(mixer)) for t in mixer.tensors),
                " ".join(dict.fromkeys(t.dtype for t in mixer.tensors)),
                f"{sum(t.nbytes for t in mixer.tensors):,}",
                _knockout(layers[0], mixer),
            )
    to.print(table)
    for warning in inspection.warnings:
        to.print(f"warning: {warning}", style="yellow")
    for sentence in inspection.advice:
        to.print(sentence)


def _knockout(layer: InspectedLayer, mixer: InspectedMixer) -> str:
    """Whether `export` would cut it, or why not."""
    if mixer.kind != "self-attention":
        return mixer.declined or "-"
    if layer.cut:
        return "cut already"
    refusal = layer.knockout["attention"]
    if refusal is None:
        return "yes"
    return refusal if layer.knockout["o_proj"] else f"--scope o_proj only: {refusal}"


def _alike(layer: InspectedLayer) -> object:
    """What makes two layers look the same in the table."""
    return layer.cut, tuple(
        (
            mixer.kind,
            mixer.declined,
            mixer.heads,
            tuple((t.name.removeprefix(_stem(mixer)), t.dtype, t.nbytes)
                  for t in mixer.tensors),
        )
        for mixer in layer.mixers
    )  # fmt: skip


def _stem(mixer: InspectedMixer) -> str:
    """The part of their names that a mixer's tensors share, up to a dot."""
    names = [tensor.name for tensor in mixer.tensors]
    if not names:
        return ""
    low, high = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[: low.rfind(".", 0, same) + 1]


def summary(inspection: Inspection) -> str:
    """The one sentence that `--quiet` prints."""
    return f"{len(inspection.layers)} layers"
