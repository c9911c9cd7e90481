"""Every fast engine gives what the naive loop gives, on every kind of architecture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import pytest
import torch
from engine_models import MAKERS
from probe_models import as_loaded, byte_tokenizer

from talo_export.knockout import Knockout
from talo_export.models.loading import LoadedModel
from talo_export.probing.cost import metered
from talo_export.probing.encoding import Encoded
from talo_export.probing.engines.checking import disagreement, distance
from talo_export.probing.engines.naive import Naive
from talo_export.probing.engines.passes import SharedModel
from talo_export.probing.engines.shared import Shared
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import all_knockouts
from talo_export.tasks.item import Item

ITEM = Item(id="x", group="x", question="?", choices=("a", "b", "c"), answer=0)
LETTERS = ((5,), (6,), (7,))
MODES = {
    "letters": (Scoring("likelihood"), LETTERS),
    "texts": (Scoring("likelihood"), ((5, 6), (6,), (7, 8, 9))),
    "generate": (Scoring(max_new_tokens=3), LETTERS),
}
CANNOT = {("bamba", "texts")}
"""Bamba itself gives other logits when it goes on from its cache than in one pass: there the check
must see a difference, and it is the naive engine that is used."""


@dataclass(frozen=True)
class Ran:
    answers: dict
    layer_evaluations: int
    vision_evaluations: int


@lru_cache(maxsize=1)
def built(name: str) -> tuple[LoadedModel, dict]:
    torch.manual_seed(0)
    model, inputs = MAKERS[name]()
    tokenizer = byte_tokenizer()
    return as_loaded(model, tokenizer, tokenizer), inputs


def encoded_for(inputs: dict, mode: str) -> Encoded:
    return Encoded(ITEM, inputs, inputs["input_ids"].shape[1], MODES[mode][1], mode != "texts")


def plainly(loaded, encoded, variants, scoring) -> Ran:
    with metered(loaded.model, loaded.decoder) as meter:
        naive = Naive(loaded, scoring, meter)
        answers = {}
        for variant in variants:
            with naive.variant(variant):
                answers[variant] = naive.ask(variant, encoded)
    return Ran(answers, meter.layer_evaluations, meter.vision_evaluations)


def shared(loaded, encoded, variants, scoring, width, missing=None, stock_shaped=False) -> Ran:
    with metered(loaded.model, loaded.decoder) as meter:
        model = SharedModel(loaded.model, loaded.decoder)
        with model.installed():
            passes = Shared(loaded, scoring, meter, model).answer(
                encoded, variants, width, missing, stock_shaped=stock_shaped
            )
            answers = {answer.variant: answer for answers in passes for answer in answers}
    return Ran(answers, meter.layer_evaluations, meter.vision_evaluations)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MAKERS)
def test_fast_engines_equal_the_naive_loop(name, mode):
    loaded, inputs = built(name)
    variants = (None, *all_knockouts(loaded.decoder))
    assert len(variants) > 2
    scoring = MODES[mode][0]
    encoded = encoded_for(inputs, mode)
    plain = plainly(loaded, encoded, variants, scoring)
    depth = len(loaded.decoder)
    bound = depth + sum(depth - variant.layer for variant in variants[1:])
    for width in (1, 99):
        fast = shared(loaded, encoded, variants, scoring, width)
        assert set(fast.answers) == set(variants)
        wrong = [disagreement(fast.answers[v], plain.answers[v], torch.float32) for v in variants]
        if (name, mode) in CANNOT:
            assert any(wrong)
            continue
        assert wrong == [None] * len(variants)
        assert max(distance(fast.answers[v].logits, plain.answers[v].logits) for v in variants) < (
            1e-5
        )
        assert fast.layer_evaluations == bound < plain.layer_evaluations
        assert fast.vision_evaluations == int("pixel_values" in inputs)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_heads_of_one_layer_share_the_layers_below_it(name, mode):
    loaded, inputs = built(name)
    heads = [Knockout(layer, heads=((head,),)) for layer in (0, 1) for head in (0, 1)]
    variants = (None, *heads, Knockout(1))
    scoring, encoded = MODES[mode][0], encoded_for(inputs, mode)
    plain = plainly(loaded, encoded, variants, scoring)
    for width in (1, 99):
        fast = shared(loaded, encoded, variants, scoring, width)
        for variant in variants:
            assert (
                disagreement(fast.answers[variant], plain.answers[variant], torch.float32) is None
            )
        assert distance(fast.answers[None].logits, fast.answers[heads[0]].logits) > 1e-4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MAKERS)
def test_a_pair_gives_the_very_bits_of_stock_passes_with_the_tower_run_once(name, mode):
    loaded, inputs = built(name)
    knockout = all_knockouts(loaded.decoder)[-1]
    scoring = MODES[mode][0]
    encoded = encoded_for(inputs, mode)
    plain = plainly(loaded, encoded, (None, knockout), scoring)
    pair = shared(loaded, encoded, (None, knockout), scoring, 1, stock_shaped=True)
    assert set(pair.answers) == {None, knockout}
    assert all(pair.answers[v].same_bits(plain.answers[v]) for v in plain.answers)
    sequences = 3 if mode == "texts" else 1
    spared = sequences * knockout.layer
    assert pair.layer_evaluations == plain.layer_evaluations - spared < plain.layer_evaluations
    assert pair.vision_evaluations == int("pixel_values" in inputs)


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("name", ["llama", "gemma3n", "qwen3_vl", "mllama"])
def test_variants_may_be_dealt_out_over_several_passes(name, width):
    loaded, inputs = built(name)
    variants = (None, *all_knockouts(loaded.decoder))
    depth = len(loaded.decoder)
    for mode in MODES:
        encoded = encoded_for(inputs, mode)
        plain = plainly(loaded, encoded, variants, MODES[mode][0])
        fast = shared(loaded, encoded, variants, MODES[mode][0], width)
        assert [disagreement(fast.answers[v], plain.answers[v], torch.float32)
                for v in variants] == [None] * len(variants)  # fmt: skip
        assert fast.layer_evaluations == depth + sum(depth - v.layer for v in variants[1:])


@pytest.mark.parametrize("width", [1, 2, 3, 99])
@pytest.mark.parametrize("mode", MODES)
def test_answers_that_are_known_are_spared_and_the_others_keep_their_bits(mode, width):
    loaded, inputs = built("llama")
    encoded = encoded_for(inputs, mode)
    variants = (None, *all_knockouts(loaded.decoder))
    whole = shared(loaded, encoded, variants, MODES[mode][0], width)
    for known in ((Knockout(0),), (Knockout(0), Knockout(1)), (None, Knockout(3)), variants[1:]):
        missing = [variant for variant in variants if variant not in known]
        part = shared(loaded, encoded, variants, MODES[mode][0], width, missing)
        assert set(part.answers) == set(missing)
        assert all(part.answers[v].same_bits(whole.answers[v]) for v in missing)
        assert part.layer_evaluations <= whole.layer_evaluations
    if width < 99:
        assert part.layer_evaluations < whole.layer_evaluations


@pytest.mark.parametrize("width", [1, 99])
@pytest.mark.parametrize("mode", MODES)
def test_some_layers_with_or_without_the_base_are_answered_alike(mode, width):
    loaded, inputs = built("llama")
    encoded = encoded_for(inputs, mode)
    everything = (None, *all_knockouts(loaded.decoder))
    plain = plainly(loaded, encoded, everything, MODES[mode][0])
    for variants in ([Knockout(2)], [Knockout(3), None], [None], [Knockout(1), Knockout(3)]):
        fast = shared(loaded, encoded, variants, MODES[mode][0], width)
        assert set(fast.answers) == set(variants)
        for variant in variants:
            assert not disagreement(fast.answers[variant], plain.answers[variant], torch.float32)


@pytest.mark.parametrize(
    "variants",
    [
        (None, Knockout(0, fill="uniform"), Knockout(2, fill="mean"), Knockout(2)),
        (None, Knockout(1, "o_proj"), Knockout(1), Knockout(2, "mlp"), Knockout(2, "layer")),
        (None, Knockout(3, "layer", "mean"), Knockout(0, "mlp", "uniform")),
    ],
)
def test_every_scope_and_fill_is_swept(variants):
    loaded, inputs = built("llama")
    encoded = encoded_for(inputs, "generate")
    plain = plainly(loaded, encoded, variants, MODES["generate"][0])
    for width in (1, 99):
        fast = shared(loaded, encoded, variants, MODES["generate"][0], width)
        for variant in variants:
            assert not disagreement(fast.answers[variant], plain.answers[variant], torch.float32)


def test_a_model_of_one_layer_is_swept():
    name = "llama"
    made = MAKERS[name]
    from engine_models import TEXT
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    _, inputs = made()
    tokenizer = byte_tokenizer()
    model = LlamaForCausalLM(LlamaConfig(**{**TEXT, "num_hidden_layers": 1}))
    loaded = as_loaded(model, tokenizer, tokenizer)
    encoded = encoded_for(inputs, "generate")
    variants = (None, Knockout(0))
    plain = plainly(loaded, encoded, variants, MODES["generate"][0])
    for width in (1, 99):
        fast = shared(loaded, encoded, variants, MODES["generate"][0], width)
        for variant in variants:
            assert not disagreement(fast.answers[variant], plain.answers[variant], torch.float32)


def test_the_model_is_left_as_it_was():
    loaded, inputs = built("llava")
    # A first stock run: some modules note things down once.
    plainly(loaded, encoded_for(inputs, "generate"), (None,), Scoring())
    state = {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}
    attributes = {path: set(vars(module)) for path, module in loaded.model.named_modules()}
    hooks = [len(module._forward_hooks) for module in loaded.model.modules()]
    shared(loaded, encoded_for(inputs, "generate"), (None, Knockout(1)), Scoring(), 99)
    shared(loaded, encoded_for(inputs, "generate"), (Knockout(1, fill="mean"),), Scoring(), 1)
    assert all(torch.equal(state[name], t) for name, t in loaded.model.state_dict().items())
    assert attributes == {path: set(vars(m)) for path, m in loaded.model.named_modules()}
    assert hooks == [len(module._forward_hooks) for module in loaded.model.modules()]
