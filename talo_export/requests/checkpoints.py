"""What can be asked of checkpoints: cut one, prove it, undo it, compare two, look, publish."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY
from typing import Annotated, Literal

from talo_export.errors import UsageError
from talo_export.knockout import Knockout, knockout_of
from talo_export.requests.fields import (
    Argument,
    Coerced,
    Flag,
    MaybePath,
    MaybeReference,
    OnePath,
    OneReference,
    Request,
    frozen,
    path,
    path_if_any,
    reference,
    reference_if_any,
)
from talo_export.requests.settings import (
    HUB,
    MODEL,
    OUTPUT,
    SEARCH,
    FillName,
    ModelChoice,
    ScopeName,
    TrustCode,
)
from talo_export.requests.values import heads_of, layers_of, read_heads, read_layer, write_heads

Form = Literal["checkpoint", "adapter"]
Layers = Coerced[int | Iterable[int] | None, tuple[int, ...]]
LayerHeads = Coerced[
    Mapping[int, Iterable[int]] | Iterable[tuple[int, Iterable[int]]] | None,
    tuple[tuple[int, tuple[int, ...]], ...],
]


@frozen
class ExportRequest(ModelChoice):
    """Cut a layer's attention out of the weights on disk; everything else stays byte for byte."""

    _: KW_ONLY
    layer: Annotated[Layers, Flag(
        "--layer -k K", SEARCH, "The decoder layer, counted from 0; say it again to cut several.",
        parse=read_layer, repeated=True, python="The decoder layer, counted from 0, or several."
    )] = Coerced(layers_of, default=())  # fmt: skip
    heads: Annotated[LayerHeads, Flag(
        "--heads K:H,H", SEARCH,
        "Cut attention heads only, counted from 0: 12:0,4 is two of layer 12; may be said again.",
        parse=read_heads, write=write_heads, repeated=True,
        python="Cut attention heads only, counted from 0: {12: (0, 4)} is two of layer 12."
    )] = Coerced(heads_of, default=())  # fmt: skip
    run: Annotated[MaybePath, Flag(
        "--run DIR", SEARCH, "Take model, layer, scope and fill from a finished run."
    )] = Coerced(path_if_any, default=None)  # fmt: skip
    out: Annotated[MaybePath, Flag(
        "--out -o DIR", OUTPUT, "Directory to write; it must not exist."
    )] = Coerced(path_if_any, default=None)  # fmt: skip
    scope: ScopeName = "attention"
    fill: FillName = "zero"
    form: Annotated[Form, Flag(
        "--as FORM", OUTPUT, "checkpoint: a whole one. adapter: a PEFT adapter of a few kilobytes."
    )] = "checkpoint"  # fmt: skip
    link: Annotated[bool, Flag(
        "--link", OUTPUT, "Hard-link the files that stay unchanged instead of copying them."
    )] = False  # fmt: skip
    link_cache: Annotated[bool, Flag(
        "--link-cache", OUTPUT,
        "As --link, also for files in the Hub cache, which then share their bytes with it."
    )] = False  # fmt: skip
    keep_undo: Annotated[bool, Flag(
        "--keep-undo", OUTPUT,
        "Keep the original tensors in the directory, so that `undo` needs no base."
    )] = False  # fmt: skip
    comparison: Annotated[MaybePath, Flag(
        "--comparison DIR", OUTPUT,
        "With --run: a comparison by `talo-export compare`, to be stated in the card."
    )] = Coerced(path_if_any, default=None)  # fmt: skip
    dry_run: Annotated[bool, Flag("--dry-run", OUTPUT, "Show the plan, write nothing.")] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        named = self.layer or self.heads
        if self.run is not None and (named or self.model is not None):
            raise UsageError("--run names the model and the layer already: leave out the others.")
        if self.run is None and self.comparison is not None:
            raise UsageError(
                "a comparison stands in the card of a run's layer: give --run as well."
            )
        if self.run is None and not named:
            raise UsageError("export needs --layer K, or --run DIR to take the layer from a run.")
        if self.layer and self.heads:
            raise UsageError("--heads names its layers itself: leave out --layer.")
        if self.heads and (self.scope, self.fill) != ("attention", "zero"):
            raise UsageError(
                "--heads are cut out of the attention, by zeros: leave out --scope and --fill."
            )
        if self.out is None and not self.dry_run:
            raise UsageError("export needs --out DIR, a directory that does not exist yet.")

    @classmethod
    def of(
        cls, knockout: Knockout, model: str | None, out: str, form: Form = "checkpoint"
    ) -> ExportRequest:
        """The request that cuts the same out of `model`."""
        return cls(
            model,
            layer=() if knockout.heads else knockout.layers,
            heads=zip(knockout.layers, knockout.heads, strict=False),
            scope=knockout.scope,
            fill=knockout.fill,
            out=out,
            form=form,
        )

    def to_knockout(self) -> Knockout:
        """What is to be cut, where it is named by hand."""
        return knockout_of(self.layer, self.scope, self.fill, dict(self.heads))


@frozen
class VerifyRequest(Request):
    """Compare every file and tensor, then load it in a fresh process and compare logits.

    Exit status 1 when anything is not as planned.
    """

    directory: Annotated[OnePath, Argument("DIR", "An exported checkpoint.")] = Coerced(path)
    _: KW_ONLY
    base: Annotated[MaybeReference, Flag(
        "--base REF", MODEL, "The checkpoint it was made from.", default="the base in the manifest"
    )] = Coerced(reference_if_any, default=None)  # fmt: skip
    trust_remote_code: TrustCode = False


@frozen
class UndoRequest(Request):
    """Rebuild the base's bytes; every file must have the hash that the manifest recorded."""

    directory: Annotated[OnePath, Argument("DIR", "An exported checkpoint.")] = Coerced(path)
    _: KW_ONLY
    out: Annotated[OnePath, Flag(
        "--out -o DIR", OUTPUT, "Directory to write; it must not exist."
    )] = Coerced(path)  # fmt: skip
    base: Annotated[MaybeReference, Flag(
        "--base REF", MODEL, "Where the original tensors come from.",
        default="the undo file, else the base in the manifest"
    )] = Coerced(reference_if_any, default=None)  # fmt: skip


@frozen
class DiffRequest(Request):
    """Compare two checkpoints tensor by tensor, byte by byte, whatever shards they lie in."""

    a: Annotated[OneReference, Argument("A", "Directory or Hub id.")] = Coerced(reference)
    b: Annotated[OneReference, Argument("B", "Directory or Hub id.")] = Coerced(reference)


@frozen
class InspectRequest(ModelChoice):
    """Show layers, token mixers, tensors on disk, what can be knocked out. Loads no weights.

    What it reads of the model's code is kept in ~/.cache/talo-export, or $TALO_EXPORT_CACHE.
    """

    model: Annotated[MaybeReference, Argument(
        "MODEL", "Directory or Hub id.", default="the bundled demo"
    )] = Coerced(reference_if_any, default=None)  # fmt: skip


@frozen
class Terms(Request):
    """How something is sent to the Hub."""

    _: KW_ONLY
    private: Annotated[bool, Flag("--private", HUB, "Make a new repository private.")] = False
    revision: Annotated[str | None, Flag(
        "--revision BRANCH", HUB, "A branch other than main, made if new.", default="main"
    )] = None  # fmt: skip
    create_pr: Annotated[bool, Flag("--pr", HUB, "Open a pull request instead.")] = False
    allow_unconfirmed: Annotated[bool, Flag(
        "--allow-unconfirmed", HUB, "Publish although no gain was confirmed; the card says so."
    )] = False  # fmt: skip
    accept_base_terms: Annotated[bool, Flag(
        "--accept-base-terms", HUB,
        "Say that the terms of a gated or restricted base allow passing it on."
    )] = False  # fmt: skip
    dry_run: Annotated[bool, Flag("--dry-run", OUTPUT, "Check all, send nothing.")] = False


@frozen
class PushRequest(Terms):
    """Check the directory, the card, the token and the target; upload; compare checksums.

    The token comes from HF_TOKEN or `hf auth login` and is written nowhere. Interrupted uploads go
    on when the same line is run again.
    """

    directory: Annotated[OnePath, Argument(
        "DIR", "A run, or an exported checkpoint or adapter."
    )] = Coerced(path)  # fmt: skip
    repo_id: Annotated[str, Argument("OWNER/NAME", "Where it goes.")]
    _: KW_ONLY
    form: Annotated[Form | None, Flag(
        "--as FORM", HUB,
        "checkpoint, or adapter: a PEFT adapter of a few kilobytes, made from DIR.",
        default="what DIR holds"
    )] = None  # fmt: skip
    collection: Annotated[bool, Flag(
        "--collection", HUB,
        "DIR holds runs or exports of many tasks: an adapter for each, and a table."
    )] = False  # fmt: skip
    trust_remote_code: TrustCode = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.collection and self.form == "checkpoint":
            raise UsageError("a collection is of adapters: leave out --as checkpoint.")
