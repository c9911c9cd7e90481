"""Knocking a layer out of a live model: what is filled, what is proved, what comes back."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from talo_export.errors import ProofError, TaloError, UsageError
from talo_export.knockout import Knockout
from talo_export.models.anatomy import Decoder, Layer, Mixer
from talo_export.models.finding import find_decoder
from talo_export.models.proof import BaseAnswer
from talo_export.models.switching import fill_tensor, filled, knocked_out, silenced


def copy_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(model: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    """Names of tensors whose bytes are not what they were."""
    return {
        name
        for name, tensor in model.state_dict().items()
        if tensor.view(torch.uint8).ne(before[name].view(torch.uint8)).any()
    }


def enter(*arguments: Any, **options: Any) -> None:
    """Knock out, prove, restore."""
    with knocked_out(*arguments, **options):
        pass


@pytest.mark.parametrize(
    ("scope", "touched"),
    [
        ("attention", "self_attn.[qkvo]_proj"),
        ("o_proj", "self_attn.o_proj"),
        ("mlp", "mlp.down_proj"),
        ("layer", "self_attn.[qkvo]_proj|mlp.down_proj"),
    ],
)
def test_a_scope_fills_its_projections_with_their_biases_and_nothing_else(
    llama: PreTrainedModel, scope: Any, touched: str
) -> None:
    before = copy_of(llama)
    with knocked_out(llama, find_decoder(llama), Knockout(1, scope)):
        found = changed(llama, before)
    expected = {
        name for name in before if re.match(rf"model.layers.1.({touched}).(weight|bias)$", name)
    }
    assert found == expected


@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize("scope", ["attention", "o_proj"])
@pytest.mark.parametrize("fill", ["zero", "uniform", "mean"])
def test_the_exact_bits_come_back(
    name: str, scope: Any, fill: Any, request: pytest.FixtureRequest, logits: Any
) -> None:
    model = request.getfixturevalue(name)
    before, base = copy_of(model), logits(model)
    with knocked_out(model, find_decoder(model), Knockout(2, scope, fill)):
        assert not torch.equal(logits(model), base)
    assert changed(model, before) == set()
    assert torch.equal(logits(model), base)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_exact_bits_come_back_when_the_body_fails(
    llama: PreTrainedModel, error: type[BaseException]
) -> None:
    before = copy_of(llama)
    with pytest.raises(error), knocked_out(llama, find_decoder(llama), Knockout(0)):
        raise error
    assert changed(llama, before) == set()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_zero_is_plus_zero_whatever_was_there_in_every_float_format(
    llama: PreTrainedModel, dtype: torch.dtype, logits: Any
) -> None:
    model = llama.to(dtype)
    weight = model.model.layers[1].self_attn.q_proj.weight
    with torch.no_grad():
        # A product with zero would give -0.0 for the one and NaN for the other.
        weight[0, 0], weight[0, 1] = -1.0, float("inf")
    before = copy_of(model)
    with knocked_out(model, find_decoder(model), Knockout(1)):
        assert not weight.view(torch.uint8).any()
        assert logits(model).isfinite().all()
    assert changed(model, before) == set()


def test_zeroing_the_output_projection_is_zeroing_the_attention(
    llama: PreTrainedModel, logits: Any
) -> None:
    decoder = find_decoder(llama)
    with knocked_out(llama, decoder, Knockout(1)):
        wide = logits(llama)
    with knocked_out(llama, decoder, Knockout(1, "o_proj")):
        narrow = logits(llama)
    assert torch.equal(wide, narrow)


def test_uniform_divides_by_the_output_features_however_they_are_stored() -> None:
    linear, conv1d, bias = torch.randn(8, 3), torch.randn(3, 8), torch.randn(8)
    fill_tensor(linear, "uniform")
    fill_tensor(conv1d, "uniform", transposed=True)
    fill_tensor(bias, "uniform")
    assert linear.eq(1 / 8).all()
    assert conv1d.eq(1 / 8).all()
    assert bias.eq(0).all()


def test_uniform_knows_which_matrices_of_a_model_are_transposed(gpt2: PreTrainedModel) -> None:
    with knocked_out(gpt2, find_decoder(gpt2), Knockout(1, "attention", "uniform")):
        attention = gpt2.transformer.h[1].attn
        assert attention.c_attn.weight.eq(1 / 96).all()
        assert attention.c_proj.weight.eq(1 / 32).all()
        assert attention.c_attn.bias.eq(0).all()


def test_mean_is_each_tensors_own_mean() -> None:
    tensor = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    fill_tensor(tensor, "mean")
    assert tensor.eq(3).all()


@pytest.mark.parametrize("layer", [-1, 3, 99])
def test_a_layer_out_of_range_is_wrong_usage_and_the_number_of_layers_is_named(
    llama: PreTrainedModel, layer: int
) -> None:
    with pytest.raises(UsageError, match=f"layer {layer} is out of range.* has 3 layers, 0 to 2"):
        enter(llama, find_decoder(llama), Knockout(layer))


def one_layer(*mixers: Mixer) -> Decoder:
    return Decoder("model.layers", (Layer(0, "model.layers.0", mixers),))


def test_a_layer_without_self_attention_says_what_it_has(llama: PreTrainedModel) -> None:
    decoder = one_layer(Mixer("mamba", "model.layers.0.mixer", ("x",)))
    with pytest.raises(UsageError, match="has no self-attention, it has mamba"):
        enter(llama, decoder, Knockout(0))


def test_what_other_layers_read_is_explained_and_the_narrow_scope_offered(
    llama: PreTrainedModel,
) -> None:
    at = "model.layers.0.self_attn"
    output = (f"{at}.o_proj.weight", f"{at}.o_proj.bias")
    mixer = Mixer("self-attention", at, output, shared=(f"{at}.k_proj.weight",))
    with pytest.raises(UsageError, match=r"k_proj.weight of layer 0.*--scope o_proj"):
        enter(llama, one_layer(mixer), Knockout(0))
    with knocked_out(llama, one_layer(mixer), Knockout(0, "o_proj")) as targets:
        assert targets.filled == output


def test_a_declined_attention_gives_its_reason(llama: PreTrainedModel) -> None:
    mixer = Mixer("self-attention", "model.layers.0.self_attn", ("x",), declined="shared by all")
    with pytest.raises(TaloError, match="shared by all"):
        enter(llama, one_layer(mixer), Knockout(0))


def test_a_parameter_that_is_not_there_is_a_failed_proof(llama: PreTrainedModel) -> None:
    mixer = Mixer("self-attention", "model.layers.0.self_attn", ("model.layers.0.nothing",))
    with pytest.raises(ProofError, match=r"no parameter model.layers.0.nothing"):
        enter(llama, one_layer(mixer), Knockout(0))


def test_an_output_projection_that_still_puts_something_out_is_a_failed_proof(
    llama: PreTrainedModel,
) -> None:
    before = copy_of(llama)
    handle = llama.model.layers[1].self_attn.o_proj.register_forward_hook(
        lambda module, args, output: output + 1
    )
    with pytest.raises(ProofError, match="still puts out something"):
        enter(llama, find_decoder(llama), Knockout(1))
    handle.remove()
    assert changed(llama, before) == set()


def test_a_knockout_that_moves_no_logit_is_a_failed_proof(llama: PreTrainedModel) -> None:
    with torch.no_grad():
        llama.model.layers[1].self_attn.o_proj.weight.zero_()
        llama.model.layers[1].self_attn.o_proj.bias.zero_()
    with pytest.raises(ProofError, match="the logits did not move"):
        enter(llama, find_decoder(llama), Knockout(1))


def test_logits_that_are_not_numbers_before_and_after_have_not_moved(
    llama: PreTrainedModel,
) -> None:
    with torch.no_grad():
        llama.model.norm.weight.fill_(float("nan"))
    with pytest.raises(ProofError, match="the logits did not move"):
        enter(llama, find_decoder(llama), Knockout(1))


def test_an_example_of_the_callers_own_serves_for_the_proof(llama: PreTrainedModel) -> None:
    example = {"input_ids": torch.tensor([[7, 8, 9]])}
    with knocked_out(llama, find_decoder(llama), Knockout(0), example=example):
        pass


def test_quantised_storage_is_refused_by_name(llama: PreTrainedModel) -> None:
    weight = llama.model.layers[1].self_attn.o_proj.weight
    codes = nn.Parameter(weight.detach().to(torch.int8), requires_grad=False)
    decoder = find_decoder(llama)
    base = BaseAnswer.of(llama)
    llama.model.layers[1].self_attn.o_proj.weight = codes
    message = r"o_proj.weight is stored as torch.int8, quantised"
    with pytest.raises(TaloError, match=message), filled(llama, decoder, Knockout(1)):
        pass
    with pytest.raises(TaloError, match=message):
        enter(llama, decoder, Knockout(1, fill="uniform"), base=base)


def test_weights_that_cannot_be_filled_are_silenced_in_every_row(
    llama: PreTrainedModel, logits: Any
) -> None:
    decoder = find_decoder(llama)
    with knocked_out(llama, decoder, Knockout(1)):
        expected = logits(llama)
    # One stored quantised among them is enough.
    attention = llama.model.layers[1].self_attn
    weight, bias = attention.k_proj.weight.clone(), attention.k_proj.bias
    attention.k_proj.forward = lambda hidden: nn.functional.linear(hidden, weight, bias)
    attention.k_proj.weight = nn.Parameter(weight.to(torch.int8), requires_grad=False)
    with knocked_out(llama, decoder, Knockout(1)):
        assert torch.equal(logits(llama), expected)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_silencing_rows_is_knocking_out_those_rows_alone(
    name: str, request: pytest.FixtureRequest, logits: Any
) -> None:
    model = request.getfixturevalue(name)
    decoder, base = find_decoder(model), logits(model)
    with knocked_out(model, decoder, Knockout(1)):
        cut = logits(model)
    with silenced(model, decoder, {Knockout(1): torch.tensor([True, False])}):
        mixed = logits(model)
    assert torch.equal(mixed[0], cut[0])
    assert torch.equal(mixed[1], base[1])
    assert torch.equal(logits(model), base)


def test_silencing_needs_one_mask_entry_a_row(llama: PreTrainedModel, logits: Any) -> None:
    masks = {Knockout(0): torch.tensor([True, False, True])}
    with (
        silenced(llama, find_decoder(llama), masks),
        pytest.raises(TaloError, match="does not keep the batch as its first dimension"),
    ):
        logits(llama)
