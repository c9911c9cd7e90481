"""Exported directories as `talo-export` writes them, from a tiny language model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from results import RECORD
from safetensors import safe_open

from talo_export.checkpoint.plan import plan_export
from talo_export.checkpoint.writer import write_export
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder, Layer, Mixer
from talo_export.publish.base_card import read_base_card
from talo_export.publish.card import render_card
from talo_export.publish.metadata import eval_result_files
from talo_export.publish.subject import Subject
from talo_export.runs.record import BaseRecord


def llama_decoder(base: Path, n_layers: int = 3) -> Decoder:
    """A tiny Llama's layers, named as they are on disk: alone, or inside a LLaVA."""
    with safe_open(base / "model.safetensors", "pt") as weights:
        nested = any(key.startswith("language_model.") for key in weights.keys())  # noqa: SIM118
    prefix = "language_model." if nested else ""
    layers = []
    for index in range(n_layers):
        at = f"{prefix}model.layers.{index}.self_attn"
        inputs = tuple(f"{at}.{name}_proj.weight" for name in "qkv")
        mixer = Mixer("self-attention", at, output=(f"{at}.o_proj.weight",), inputs=inputs)
        layers.append(Layer(index, at.removesuffix(".self_attn"), (mixer,)))
    return Decoder(f"{prefix}model.layers", tuple(layers))


def export(
    base: Path,
    out: Path,
    *,
    hub_id: str | None = None,
    vlm: bool = False,
    **changes: Any,
) -> Path:
    """Knock layer 1 out of `base` and write the export with its card and results to `out`.

    `changes` are fields of what is recorded of the run.
    """
    plan = plan_export(base, Knockout(1), llama_decoder(base))
    revision = "d" * 40 if hub_id else None
    card = read_base_card(base, hub_id or str(base), revision)
    model = BaseRecord(vlm=vlm, layers=3, architecture=None, chat_template=True)
    record = replace(RECORD, model=model, **changes)
    write_export(
        plan,
        out,
        base=hub_id or str(base.resolve()),
        revision=revision,
        extra=eval_result_files(record),
        describe=lambda manifest: render_card(Subject(manifest, card)).encode(),
        about=record.to_json(),
    )
    return out
