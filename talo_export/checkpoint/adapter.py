"""The same knockout as a stock PEFT adapter of a few kilobytes.

An (IA)3 adapter scales a module's output by a learnt vector (https://arxiv.org/abs/2205.05638). On
an output projection, with the vector at zero, it puts out exactly zero, bias included: the zero
knockout, without a copy of the base, and several of them can be swapped on one base. The paper's
vector on a feed-forward module scales the input instead: on an output projection, with zeros where
it reads a head and ones elsewhere, that head is knocked out.

Libraries are imported when an adapter is planned: every export looks in here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talo_export.checkpoint.adapter_files import (
    ADAPTER,
    CONFIG,
    ONE,
    WEIGHTS,
    ZERO,
    output_alone,
)
from talo_export.checkpoint.files import check_text, safe_name
from talo_export.checkpoint.header import header_bytes
from talo_export.checkpoint.manifest import MANIFEST, Manifest, current_versions
from talo_export.checkpoint.placing import CARD
from talo_export.checkpoint.staging import check_output, staged
from talo_export.checkpoint.writer import Describe, write_added
from talo_export.errors import TaloError, UsageError
from talo_export.knockout import Knockout
from talo_export.models.finding import find_decoder
from talo_export.models.reference import ResolvedModel
from talo_export.models.targets import Columns, knockout_targets

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class AdapterPlan:
    """An adapter, worked out: `modules` maps each output projection's path to its output size, of
    heads to its input size."""

    knockout: Knockout
    directory: Path
    modules: Mapping[str, int]
    transposed: bool
    """The projections store (in, out), as GPT-2's do: PEFT's `fan_in_fan_out`."""
    is_vlm: bool
    inputs: Mapping[str, tuple[range, ...]] = field(default_factory=dict)
    """Of heads: the inputs of each module that are scaled to zero."""


@dataclass(frozen=True)
class AdapterReport:
    """A finished adapter."""

    out: Path
    seconds: float


def plan_adapter(
    directory: Path, knockout: Knockout, *, trust_remote_code: bool = False
) -> AdapterPlan:
    """The adapter that carries `knockout` out on the model in `directory`, from its config alone.

    Raises `UsageError` for a fill other than zero and for layers that cannot be cut, `TaloError`
    where the output projection is no module that PEFT can scale.
    """
    from transformers.pytorch_utils import Conv1D

    from talo_export.models.configs import read_config
    from talo_export.models.stock import build_empty, is_vision_language

    check_text(directory)
    config = read_config(ResolvedModel(directory, str(directory), None), trust_remote_code)
    # By name, because a config may ask for an attention that is downloaded code.
    model = build_empty(config, trust_remote_code=trust_remote_code, attn_implementation="eager")
    modules, columns = output_projections(model, knockout)
    transposed = {isinstance(module, Conv1D) for module in modules.values()}
    sizes = {path: _out_features(module) for path, module in modules.items()}
    return AdapterPlan(
        knockout=knockout,
        directory=directory,
        modules=sizes | {path: each.of for path, each in columns.items()},
        transposed=transposed == {True},
        is_vlm=is_vision_language(config),
        inputs={path: each.inputs for path, each in columns.items()},
    )


def output_projections(
    model: nn.Module, knockout: Knockout
) -> tuple[dict[str, nn.Module], dict[str, Columns]]:
    """The modules whose zero output is the knockout, by path; of heads also their inputs that are.

    Works on the meta device.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    if knockout.fill != "zero":
        raise UsageError(
            f"an adapter can only multiply, so fill {knockout.fill!r} needs --as checkpoint."
        )
    targets = knockout_targets(find_decoder(model), output_alone(knockout))
    modules: dict[str, nn.Module] = {}
    columns = {each.weight.rpartition(".")[0]: each for each in targets.columns}
    for name in (*targets.outputs, *(each.weight for each in targets.columns)):
        path = name.rpartition(".")[0]
        module = model.get_submodule(path)
        if not isinstance(module, nn.Linear | Conv1D):
            raise TaloError(
                f"{name} is not a parameter of a linear module, which is what PEFT scales: "
                "use --as checkpoint."
            )
        # PEFT matches a target by the end of a module's path: it must end only one.
        if (
            sum(other == path or other.endswith("." + path) for other, _ in model.named_modules())
            > 1
        ):
            raise TaloError(f"the path {path} ends other modules' paths too: use --as checkpoint.")
        modules[path] = module
    return modules, columns


def write_adapter(
    plan: AdapterPlan,
    out: Path,
    *,
    base: str,
    revision: str | None = None,
    extra: Mapping[str, bytes] | None = None,
    describe: Describe | None = None,
    about: Mapping[str, Any] | None = None,
) -> AdapterReport:
    """Write the adapter to the new directory `out`, whole or not at all.

    `base` is what loading it will look for: a Hub id or an absolute path; `describe` makes the
    card. Raises as `writer.write_export` does.
    """
    started = time.perf_counter()
    target = check_output(out, plan.directory)
    extra = dict(extra or {}) | ({CARD: b""} if describe else {})
    manifest = Manifest(
        base=base,
        revision=revision,
        knockout=plan.knockout,
        storage=ADAPTER,
        edits=(),
        files={},
        added=tuple(sorted({MANIFEST, CONFIG, WEIGHTS, *extra})),
        **(about or {}),
        versions=current_versions(),
    )
    files = {safe_name(name, "the export"): content for name, content in extra.items()}
    files |= {
        CONFIG: adapter_config(plan, base, revision),
        WEIGHTS: adapter_weights(plan),
    }
    with staged(target) as stage:
        write_added(stage, manifest, files, describe)
    return AdapterReport(out, time.perf_counter() - started)


def adapter_config(plan: AdapterPlan, base: str, revision: str | None) -> bytes:
    """`adapter_config.json`, as PEFT reads it. Module paths are full, so that no other matches."""
    document = {
        "peft_type": "IA3",
        "task_type": None if plan.is_vlm else "CAUSAL_LM",
        "base_model_name_or_path": base,
        "revision": revision,
        "inference_mode": True,
        "target_modules": sorted(plan.modules),
        "feedforward_modules": sorted(plan.inputs),
        "fan_in_fan_out": plan.transposed,
        "modules_to_save": None,
        "init_ia3_weights": True,
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def adapter_weights(plan: AdapterPlan) -> bytes:
    """`adapter_model.safetensors`: a (out_features, 1) vector of bfloat16 zeros a module; of heads
    a (1, in_features) vector of zeros and ones."""
    modules = sorted(plan.modules.items())
    header = header_bytes(
        (
            f"base_model.model.{path}.ia3_l",
            "BF16",
            (1, size) if path in plan.inputs else (size, 1),
            len(ONE) * size,
        )
        for path, size in modules
    )
    data = bytearray()
    for path, size in modules:
        cut = {i for run in plan.inputs.get(path, (range(size),)) for i in run}
        data += b"".join(ZERO if i in cut else ONE for i in range(size))
    return header + data


def _out_features(module: Any) -> int:
    """Of a `Linear`, or of transformers' `Conv1D`."""
    return int(module.nf if hasattr(module, "nf") else module.out_features)
