"""An adapter is pushed like a checkpoint, and loads by name onto its base."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hub_server import HubServer
from peft import PeftModel
from results import RECORD
from transformers import AutoModelForCausalLM

from talo_export.checkpoint.adapter import plan_adapter, write_adapter
from talo_export.errors import TaloError
from talo_export.knockout import Knockout
from talo_export.publish.base_card import BaseCard
from talo_export.publish.card import render_card
from talo_export.publish.push import push
from talo_export.publish.subject import Subject
from talo_export.runs.record import BaseRecord

REPO = "owner/tiny-adapter"


def adapter(base: Path, out: Path, *, hub_id: str | None = None) -> Path:
    """A confirmed adapter that knocks layer 1 out of `base`."""
    card = BaseCard(hub_id or str(base), hub_id)
    model = BaseRecord(vlm=False, layers=3, architecture=None, chat_template=True)
    write_adapter(
        plan_adapter(base, Knockout(1)),
        out,
        base=hub_id or str(base),
        revision="d" * 40 if hub_id else None,
        describe=lambda manifest: render_card(Subject(manifest, card)).encode(),
        about=replace(RECORD, model=model).to_json(),
    )
    return out


def test_a_pushed_adapter_silences_the_layer_on_its_base(
    hub: HubServer, language_model: Path, tmp_path: Path
) -> None:
    result = push(adapter(language_model, tmp_path / "adapter"), REPO, progress=False)
    assert result.verified == len(result.files)
    ids = torch.tensor([[1, 9, 12, 14]])
    base = AutoModelForCausalLM.from_pretrained(language_model)
    with torch.inference_mode():
        before = base(ids).logits.clone()
        base.model.layers[1].self_attn.o_proj.weight.zero_()
        wanted = base(ids).logits
        stock = AutoModelForCausalLM.from_pretrained(language_model)
        found = PeftModel.from_pretrained(stock, REPO)(ids).logits
    assert torch.equal(found, wanted)
    assert not torch.equal(found, before)


def test_a_pushed_adapter_names_its_base_and_no_path(
    hub: HubServer, language_model: Path, tmp_path: Path
) -> None:
    push(adapter(language_model, tmp_path / "local"), REPO, progress=False)
    assert str(language_model.parent).encode() not in b"".join(hub.files(REPO).values())
    push(adapter(language_model, tmp_path / "hub", hub_id="a/base"), "owner/two", progress=False)
    config = json.loads(hub.files("owner/two")["adapter_config.json"])
    assert (config["base_model_name_or_path"], config["revision"]) == ("a/base", "d" * 40)


def test_an_adapter_of_a_gated_base_may_be_public(
    hub: HubServer, language_model: Path, tmp_path: Path
) -> None:
    hub.store.create("a/base", gated=True)
    push(adapter(language_model, tmp_path / "adapter", hub_id="a/base"), REPO, progress=False)
    assert "adapter_model.safetensors" in hub.files(REPO)


def test_an_adapter_that_was_changed_is_refused(
    hub: HubServer, language_model: Path, tmp_path: Path
) -> None:
    directory = adapter(language_model, tmp_path / "adapter")
    with (directory / "adapter_model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x3f")
    with pytest.raises(TaloError, match=r"is not what talo-export wrote .*ia3_l"):
        push(directory, REPO, progress=False)
