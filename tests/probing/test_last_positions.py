"""The last layer's feed-forward block runs where logits are read, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import torch

from talo_export.probing.engines.passes import feed_forward, for_last_positions
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import all_knockouts, sweep


def test_only_the_last_layer_is_narrowed_to_one_position(text_model, make_items):
    seen = {0: set(), 3: set()}
    handles = [
        text_model.model.model.layers[index].mlp.down_proj.register_forward_hook(
            lambda module, args, output, index=index: seen[index].add(output.shape[1])
        )
        for index in seen
    ]
    variants = (None, *all_knockouts(text_model.decoder))
    items = make_items(3)
    sweep(text_model, items[:1], variants, Scoring("likelihood"))
    for lengths in seen.values():
        lengths.clear()  # The first item was answered the plain way too.
    with_check = sweep(text_model, items[1:], variants, Scoring("likelihood"))
    for handle in handles:
        handle.remove()
    assert with_check.cost.layer_evaluations == 2 * (4 + 4 + 3 + 2 + 1)
    assert min(seen[0]) > 1
    assert min(seen[3]) == 1


def test_the_block_is_the_layers_own_child(text_model):
    decoder = text_model.decoder
    assert feed_forward(decoder) == f"{decoder.layers[-1].path}.mlp"


def test_a_child_that_mixes_tokens_is_left_whole(text_model):
    *others, last = text_model.decoder.layers
    inside = replace(last.mixers[0], path=f"{last.path}.mlp.mixer")
    decoder = replace(text_model.decoder, layers=(*others, replace(last, mixers=(inside,))))
    assert feed_forward(decoder) is None
    assert feed_forward(replace(decoder, layers=(*others, replace(last, mlp_output=())))) is None


def test_the_other_positions_come_out_as_zeros_whatever_comes_with_them():
    states = torch.arange(24.0).view(2, 3, 4)
    whole, rest = for_last_positions(lambda: 1, lambda hidden: (2 * hidden, "router"))(states)
    assert torch.equal(whole[:, -1], 2 * states[:, -1])
    assert not whole[:, :-1].any()
    assert rest == "router"
    assert torch.equal(for_last_positions(lambda: None, torch.neg)(states), -states)
    assert torch.equal(for_last_positions(lambda: 1, torch.neg)(states[0]), -states[0])
