"""Choosing an engine: falling back, failing loudly, and running out of memory."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from engine_models import MAKERS
from heard import Heard
from probe_models import as_loaded, byte_tokenizer, loaded_llama

from talo_export.errors import TaloError
from talo_export.knockout import Knockout
from talo_export.probing.cost import metered
from talo_export.probing.encoding import Encoded, encode
from talo_export.probing.engines import width
from talo_export.probing.engines.checking import CheckedEngine
from talo_export.probing.engines.naive import Todo
from talo_export.probing.forwards import replaced
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import all_knockouts, sweep
from talo_export.tasks.item import Item

LIKELIHOOD = Scoring("likelihood")


@pytest.fixture
def loaded():
    return loaded_llama()


def variants_of(loaded):
    return (None, *all_knockouts(loaded.decoder))


@contextmanager
def wrong_in_batches(loaded):
    """A model that answers otherwise when several rows run together."""

    def wrap(forward):
        def off(hidden, *args, **kwargs):
            output = forward(hidden, *args, **kwargs)
            return output * 1.5 if hidden.shape[0] > 1 else output

        return off

    with replaced(loaded.model.model.layers[2], "forward", wrap):
        yield


@contextmanager
def too_small_for(loaded, rows):
    """A device that holds fewer than so many rows in layer 3."""

    def wrap(forward):
        def limited(hidden, *args, **kwargs):
            if hidden.shape[0] >= rows:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return forward(hidden, *args, **kwargs)

        return limited

    with replaced(loaded.model.model.layers[3], "forward", wrap):
        yield


def test_auto_runs_all_variants_of_an_item_at_once_and_says_nothing(loaded, make_items):
    heard = Heard()
    result = sweep(loaded, make_items(3), variants_of(loaded), LIKELIHOOD, reporter=heard)
    assert heard.notes == []
    assert result.cost.layer_evaluations == 3 * 14
    assert result.cost.layer_calls == 3 * 4


def test_the_first_item_is_checked_against_the_naive_loop_and_counted_apart(loaded, make_items):
    cost = sweep(loaded, make_items(3), variants_of(loaded), LIKELIHOOD).cost
    assert cost.check_evaluations == 5 * 4
    assert cost.layer_evaluations == 3 * 14


def test_items_with_and_without_a_picture_are_checked_each(vision_model, make_items):
    items = [*make_items(2), *make_items(4, pictures=True)[2:]]
    cost = sweep(vision_model, items, variants_of(vision_model), LIKELIHOOD).cost
    assert cost.check_evaluations == 2 * 4 * 3


def test_auto_falls_back_says_so_once_and_is_right(loaded, make_items):
    items, variants, heard = make_items(4), variants_of(loaded), Heard()
    plain = sweep(loaded, items, variants, LIKELIHOOD, engine="naive").table
    with wrong_in_batches(loaded):
        result = sweep(loaded, items, variants, LIKELIHOOD, reporter=heard)
    assert len(heard.notes) == 1
    assert "several variants do not run at once in this model (on item" in heard.notes[0]
    assert "their logits are" in heard.notes[0]
    assert "going on with one at a time" in heard.notes[0]
    assert np.allclose(result.table.scores, plain.scores, atol=1e-5)
    assert result.cost.layer_evaluations == 4 * 14


def test_what_cannot_be_swept_fast_is_swept_the_plain_way():
    # Bamba's cache does not go on as one pass does, so choices of several tokens cannot share it.
    torch.manual_seed(0)
    model, inputs = MAKERS["bamba"]()
    loaded = as_loaded(model, byte_tokenizer(), byte_tokenizer())
    variants = (None, *all_knockouts(loaded.decoder))
    item = Item(id="x", group="x", question="?", choices=("a", "b"), answer=0)
    encoded = Encoded(item, inputs, inputs["input_ids"].shape[1], ((5, 6), (7, 8, 9)), False)
    notes = []
    with (
        metered(loaded.model, loaded.decoder) as meter,
        CheckedEngine(
            loaded, LIKELIHOOD, meter, "auto", variants=9, items=9, note=notes.append
        ) as engine,
    ):
        answered = [
            c.variant for cells in engine.answer([Todo(encoded, variants)], variants) for c in cells
        ]
        assert engine.way == "naive"
    assert [note.split()[0] for note in notes] == ["several", "variants"]
    assert sorted(map(str, answered)) == sorted(map(str, variants))


@pytest.mark.parametrize("scoring", [LIKELIHOOD, Scoring(max_new_tokens=3)])
def test_a_confirmation_shares_what_it_can_and_gives_the_naive_engines_bits(
    vision_model, make_items, scoring
):
    items, variants = make_items(5, pictures=True), (None, Knockout(2))
    plain = sweep(vision_model, items, variants, scoring, engine="naive")
    pair = sweep(vision_model, items, variants, scoring)
    assert np.array_equal(pair.table.scores, plain.table.scores)
    assert pair.table.answers == plain.table.answers
    depth = len(vision_model.decoder)
    assert plain.cost.layer_evaluations == 5 * 2 * depth
    assert pair.cost.layer_evaluations == 5 * (2 * depth - 2)
    assert (plain.cost.vision_evaluations, pair.cost.vision_evaluations) == (10, 5)


def test_a_confirmation_whose_bits_would_differ_runs_stock_passes_and_says_nothing(
    loaded, make_items
):
    calls = []

    def wrap(forward):
        def unsteady(hidden, *args, **kwargs):
            calls.append(1)
            return forward(hidden, *args, **kwargs) * (1 + 1e-6 * len(calls))

        return unsteady

    heard = Heard()
    with replaced(loaded.model.model.layers[0], "forward", wrap):
        cost = sweep(loaded, make_items(5), (None, Knockout(2)), LIKELIHOOD, reporter=heard).cost
    # The first item's stock passes were taken for checking.
    assert cost.layer_evaluations == 4 * 2 * 4
    assert heard.notes == []


@pytest.mark.parametrize("scoring", [LIKELIHOOD, Scoring(max_new_tokens=3)])
def test_out_of_memory_shrinks_the_pass_and_loses_no_item(loaded, make_items, scoring):
    items, variants, heard = make_items(3), variants_of(loaded), Heard()
    whole = sweep(loaded, items, variants, scoring)
    with too_small_for(loaded, rows=4):
        squeezed = sweep(loaded, items, variants, scoring, reporter=heard)
    assert squeezed.table.scored.all()
    assert np.allclose(squeezed.table.scores, whole.table.scores, atol=1e-5)
    assert squeezed.cost.layer_evaluations == whole.cost.layer_evaluations
    assert squeezed.table.answers == whole.table.answers
    assert heard.notes == ["out of memory: going on with 2 variants at a time"]


def test_out_of_memory_in_a_later_pass_keeps_the_answers_of_the_earlier_ones(
    loaded, make_items, monkeypatch
):
    items, variants, heard = [make_items(4)[at] for at in (0, 3)], variants_of(loaded), Heard()
    whole = sweep(loaded, items, variants, LIKELIHOOD)
    two_at_once = 2 * encode(loaded, items[1], LIKELIHOOD).length + 1
    monkeypatch.setitem(width.MOST_TOKENS, "cpu", two_at_once)
    # Of the layers 0 and 1 two rows reach layer 3, of 2 and 3 with the base three.
    with too_small_for(loaded, rows=3):
        squeezed = sweep(loaded, items, variants, LIKELIHOOD, reporter=heard)
    assert heard.notes == ["out of memory: going on with 1 variant at a time"]
    assert np.allclose(squeezed.table.scores, whole.table.scores, atol=1e-5)
    assert whole.cost.layer_evaluations == 2 * 14
    # Layers 0 and 1 of the trunk are run again.
    assert squeezed.cost.layer_evaluations == 2 * 14 + 2


def test_an_item_that_fits_nowhere_is_named(loaded, make_items):
    items, variants = make_items(2), variants_of(loaded)
    with (
        too_small_for(loaded, rows=1),
        pytest.raises(TaloError, match=r"'item-0' .* does not fit the memory even alone"),
    ):
        sweep(loaded, items, variants, LIKELIHOOD)


def test_a_nan_in_one_variant_is_counted_there_and_nowhere_else(loaded, make_items):
    # Layer 1's attention holds back an overflow: without it, the layer's feed-forward gives NaN.
    layer = loaded.model.model.layers[1]

    def wrap(forward):
        def explode(hidden, *args, **kwargs):
            output = forward(hidden, *args, **kwargs)
            if hidden.shape[1] < 9:
                return output  # the proof of a knockout runs on a few tokens
            silent = (layer.self_attn.last == 0).all(dim=(1, 2), keepdim=True)
            return output.masked_fill(silent, torch.nan)

        return explode

    def remember(module, args, output):
        layer.self_attn.last = output[0]

    handle = layer.self_attn.register_forward_hook(remember)
    items, variants = make_items(3), variants_of(loaded)
    with replaced(layer, "forward", wrap):
        tables = [
            sweep(loaded, items, variants, LIKELIHOOD, engine=name).table
            for name in ("naive", "auto")
        ]
    handle.remove()
    for table in tables:
        broken = table.row(Knockout(1))
        assert not table.finite[broken].any()
        assert not table.correct[broken].any()
        assert (table.choice[broken] == -1).all()
        assert np.delete(table.finite, broken, axis=0).all()
