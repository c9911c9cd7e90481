"""Models that do not fit the device: weights brought in layer by layer through accelerate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate import cpu_offload, disk_offload
from accelerate.hooks import AlignDevicesHook
from probe_models import loaded_llama, loaded_llava

from talo_export.models.loading import LoadedModel
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import all_knockouts, sweep

LIKELIHOOD = Scoring("likelihood")


def offloaded(kind: str, folder) -> LoadedModel:
    loaded = loaded_llava() if kind == "vision" else loaded_llama()
    if kind == "disk":
        disk_offload(loaded.model, folder, execution_device=torch.device("cpu"))
    else:
        cpu_offload(loaded.model, execution_device=torch.device("cpu"))
    return loaded


@pytest.mark.parametrize("kind", ["host", "disk", "vision"])
@pytest.mark.parametrize("scoring", [LIKELIHOOD, Scoring(max_new_tokens=2)])
def test_an_offloaded_model_is_swept_like_one_in_memory(tmp_path, make_items, kind, scoring):
    items = make_items(2, pictures=kind == "vision")
    at_hand = loaded_llava() if kind == "vision" else loaded_llama()
    variants = (None, *all_knockouts(at_hand.decoder))
    expected = sweep(at_hand, items, variants, scoring).table
    loaded = offloaded(kind, tmp_path)
    assert next(loaded.model.parameters()).device.type == "meta"
    for engine in ("auto", "naive"):
        table = sweep(loaded, items, variants, scoring, engine=engine).table
        assert table.answers == expected.answers
        assert np.allclose(table.scores, expected.scores, atol=1e-5)


def test_a_shared_pass_brings_each_layer_in_once_an_item(tmp_path, make_items, monkeypatch):
    loaded = offloaded("host", tmp_path)
    variants = (None, *all_knockouts(loaded.decoder))
    projections = {
        id(layer.self_attn.q_proj): index for index, layer in enumerate(loaded.model.model.layers)
    }
    loads = []
    bring_in = AlignDevicesHook.pre_forward

    def counted(self, module, *args, **kwargs):
        if id(module) in projections:
            loads.append(projections[id(module)])
        return bring_in(self, module, *args, **kwargs)

    monkeypatch.setattr(AlignDevicesHook, "pre_forward", counted)
    items = make_items(3)
    sweep(loaded, items[:1], variants, LIKELIHOOD, engine="naive")
    assert len(loads) > 5 * 4  # a whole pass for every variant, and the proofs
    sweep(loaded, items, variants, LIKELIHOOD)
    assert loads[-8:] == [0, 1, 2, 3] * 2
