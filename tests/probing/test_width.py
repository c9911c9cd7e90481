"""How much runs at once: measured, the same wherever there is room, finer where there is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate import cpu_offload
from probe_models import loaded_llama

from talo_export.probing.engines import width
from talo_export.probing.engines.width import fitting_tokens, free_bytes, layer_bytes
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import all_knockouts, sweep

CPU = torch.device("cpu")


def test_what_a_layer_makes_grows_with_the_tokens_and_holds_its_states():
    loaded = loaded_llama()
    with layer_bytes(loaded.model.model.layers[1]) as made, torch.inference_mode():
        for length in (40, 160):
            loaded.model(torch.ones(1, length, dtype=torch.long))
    short, long = made
    width = loaded.model.config.hidden_size
    assert short > 40 * width * 4  # float32 states, at least
    assert 2 * short < long < 8 * short


def test_the_number_is_a_power_of_two_within_half_of_the_free_memory():
    room = free_bytes(CPU)
    for bytes_per_token in (room / 100, room / 1000):
        tokens = fitting_tokens(bytes_per_token, CPU, 2**40)
        assert tokens & (tokens - 1) == 0
        assert tokens * bytes_per_token <= room * 0.55
    assert fitting_tokens(1, CPU, 512) == 512
    assert fitting_tokens(4 * room, CPU, 512) == 1


@pytest.mark.parametrize("free", [2**40, 3 * 10**5])
def test_a_machine_short_of_memory_cuts_the_same_sweep_finer(make_items, monkeypatch, free):
    loaded = loaded_llama()
    variants, scoring = (None, *all_knockouts(loaded.decoder)), Scoring("likelihood")
    whole = sweep(loaded, make_items(3), variants, scoring)
    monkeypatch.setattr(width, "free_bytes", lambda device: free)
    found = sweep(loaded, make_items(3), variants, scoring)
    assert np.allclose(found.table.scores, whole.table.scores, atol=1e-5)
    assert found.cost.layer_evaluations == whole.cost.layer_evaluations
    finer = found.cost.layer_calls > whole.cost.layer_calls
    assert finer == (free < 2**40)


@pytest.mark.parametrize("offloaded", [False, True])
def test_more_than_a_cpu_is_busy_with_runs_at_once_only_where_weights_are_brought_in(
    make_items, monkeypatch, offloaded
):
    loaded = loaded_llama()
    if offloaded:
        cpu_offload(loaded.model, execution_device=CPU)
    variants = (None, *all_knockouts(loaded.decoder))
    monkeypatch.setitem(width.MOST_TOKENS, "cpu", 1)
    cost = sweep(loaded, make_items(3), variants, Scoring("likelihood")).cost
    each_layer_once_an_item = cost.layer_calls == 3 * len(loaded.decoder)
    assert each_layer_once_an_item == offloaded
