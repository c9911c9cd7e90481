"""A head that is cut is that head: shown by silencing the attention's own output of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from heads import columns, silent_columns
from proving import build
from torch import Tensor, nn
from transformers import PreTrainedModel

from talo_export.errors import ProofError, TaloError, UsageError
from talo_export.knockout import Knockout, knockout_of
from talo_export.models.anatomy import Decoder, Layer
from talo_export.models.finding import find_decoder
from talo_export.models.proof import BaseAnswer
from talo_export.models.switching import filled, knocked_out, silenced

IDS = torch.arange(7).view(1, 7) + 5


def cut_heads(layer: int, *heads: int) -> Knockout:
    return knockout_of(heads={layer: heads})


def logits_of(model: nn.Module, ids: Tensor = IDS) -> Tensor:
    with torch.no_grad():
        return model(input_ids=ids).logits


def with_heads(decoder: Decoder) -> Layer:
    return next(layer for layer in decoder.layers if layer.attention and layer.attention[0].heads)


@pytest.mark.parametrize(
    "model_type",
    ["llama", "gpt2", "phi3", "gpt_neox", "falcon", "bloom", "gpt_bigcode", "opt", "gemma2",
     "cohere", "deepseek_v3", "qwen3_next", "gpt_oss", "minimax"],
)  # fmt: skip
def test_the_columns_of_a_head_read_what_the_attention_puts_out_for_it(model_type: str) -> None:
    torch.manual_seed(0)
    model = build("causal-lm", model_type).eval()
    model.set_attn_implementation("eager")
    layer = with_heads(find_decoder(model))
    (mixer,) = layer.attention
    assert mixer.heads is not None
    base = BaseAnswer({"input_ids": IDS}, logits_of(model))
    for head in (0, mixer.heads.count - 1):
        silent, expected = silent_columns(model, layer, head, base)
        assert silent == columns(mixer.heads, head)
        with filled(model, find_decoder(model), cut_heads(layer.index, head)):
            cut = logits_of(model)
        assert torch.allclose(cut, expected, rtol=1e-5, atol=1e-6)
        assert not torch.equal(cut, base.logits)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_only_the_columns_are_changed_and_their_exact_bits_come_back(
    name: str, request: pytest.FixtureRequest, logits: Any
) -> None:
    model = request.getfixturevalue(name)
    before, base = {n: t.clone() for n, t in model.state_dict().items()}, logits(model)
    with knocked_out(model, find_decoder(model), cut_heads(1, 0, 3)):
        changed = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
        (weight,) = changed
        now = model.state_dict()[weight]
        same = now.eq(before[weight]) if name == "llama" else now.eq(before[weight]).T
        assert same[:, 8:24].all()
        assert not same[:, :8].any()
        assert not same[:, 24:].any()
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert torch.equal(logits(model), base)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_heads_are_silenced_in_some_rows_or_in_all_without_touching_weights(
    name: str, request: pytest.FixtureRequest, logits: Any
) -> None:
    model = request.getfixturevalue(name)
    decoder, base, knockout = find_decoder(model), logits(model), cut_heads(1, 2)
    with knocked_out(model, decoder, knockout):
        cut = logits(model)
    with silenced(model, decoder, {knockout: None}):
        assert torch.equal(logits(model), cut)
    with silenced(model, decoder, {knockout: torch.tensor([True, False])}):
        mixed = logits(model)
    assert torch.equal(mixed[0], cut[0])
    assert torch.equal(mixed[1], base[1])


def test_of_weights_that_are_packed_the_heads_are_not_read(
    llama: PreTrainedModel, logits: Any
) -> None:
    decoder, knockout = find_decoder(llama), cut_heads(1, 1, 2)
    with knocked_out(llama, decoder, knockout):
        expected = logits(llama)
    projection = llama.model.layers[1].self_attn.o_proj
    weight, bias = projection.weight.clone(), projection.bias
    projection.forward = lambda hidden: nn.functional.linear(hidden, weight, bias)
    packed = torch.zeros(weight.numel() // 2, 1, dtype=torch.uint8)
    projection.weight = nn.Parameter(packed, requires_grad=False)
    with knocked_out(llama, decoder, knockout):
        assert torch.equal(logits(llama), expected)


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_of_codes_of_a_byte_the_columns_are_filled_as_on_disk(
    llama: PreTrainedModel, logits: Any, dtype: torch.dtype
) -> None:
    projection = llama.model.layers[1].self_attn.o_proj
    codes = (projection.weight.detach() * 100).to(dtype)
    bias = projection.bias

    def rounding(hidden: Tensor) -> Tensor:
        """As kernels that round what they read by its largest value: of all heads together."""
        scale = hidden.abs().amax(-1, keepdim=True).clamp(min=1e-9) / 127
        weight = projection.weight.float() / 100
        return nn.functional.linear((hidden / scale).round() * scale, weight, bias)

    projection.forward = rounding
    projection.weight = nn.Parameter(codes.clone(), requires_grad=False)
    decoder, base = find_decoder(llama), logits(llama)
    with knocked_out(llama, decoder, cut_heads(1, 1)):
        cut = logits(llama)
    assert torch.equal(projection.weight.view(torch.uint8), codes.view(torch.uint8))
    codes[:, 8:16] = torch.zeros(32, 8).to(dtype)
    projection.weight = nn.Parameter(codes, requires_grad=False)
    assert torch.equal(logits(llama), cut)
    assert not torch.equal(cut, base)


def changed_heads(decoder: Decoder, **changes: Any) -> Decoder:
    """With something else said of where the heads of layer 1 are."""
    layers = list(decoder.layers)
    (mixer,) = layers[1].mixers
    heads = mixer.heads and replace(mixer.heads, **changes) if changes else None
    layers[1] = replace(layers[1], mixers=(replace(mixer, heads=heads),))
    return replace(decoder, layers=tuple(layers))


def test_columns_that_are_not_the_ones_that_are_read_are_a_failed_proof(
    llama: PreTrainedModel,
) -> None:
    wrong = changed_heads(find_decoder(llama), axis=0)
    with pytest.raises(ProofError, match="still puts out something under head 2 of layer 1"):
        knocked_out(llama, wrong, cut_heads(1, 2)).__enter__()


def test_a_head_that_moves_no_logit_is_a_failed_proof(llama: PreTrainedModel) -> None:
    with torch.no_grad():
        llama.model.layers[1].self_attn.o_proj.weight[:, :8] = 0
    with pytest.raises(ProofError, match="the logits did not move"):
        knocked_out(llama, find_decoder(llama), cut_heads(1, 0)).__enter__()


def test_what_cannot_be_cut_is_refused_by_name(llama: PreTrainedModel) -> None:
    decoder = find_decoder(llama)
    with pytest.raises(UsageError, match=r"head 4 of layer 1 is out of range.* 4 heads, 0 to 3"):
        knocked_out(llama, decoder, cut_heads(1, 0, 4)).__enter__()
    with pytest.raises(TaloError, match=r"heads of layer 1 \(model.layers.1.self_attn\) cannot"):
        knocked_out(llama, changed_heads(decoder), cut_heads(1, 0)).__enter__()


@pytest.mark.parametrize("model_type", ["diffllama", "xlnet"])
def test_heads_that_are_mixed_with_each_other_are_not_told_apart(model_type: str) -> None:
    decoder = find_decoder(build("causal-lm", model_type))
    assert decoder.layers[0].attention
    assert decoder.layers[0].attention[0].heads is None


def test_a_knockout_of_heads_has_one_value_and_one_name() -> None:
    knockout = knockout_of(heads={12: (4, 0, 4), 3: [1]})
    assert knockout == Knockout(3, also=(12,), heads=((1,), (0, 4)))
    assert knockout.label == "head 1 of layer 3 and heads 0 and 4 of layer 12"
    assert Knockout(12, heads=((0, 4),)).description == (
        "attention heads 0 and 4 of decoder layer 12"
    )
    assert (Knockout(3, also=(7, 9)).label, Knockout(3).label) == ("layers 3, 7 and 9", "layer 3")
    for wrong in (
        {"heads": ((4, 0),)}, {"heads": ((),)}, {"heads": ((0,), (1,))},
        {"heads": ((0,),), "scope": "mlp"}, {"heads": ((0,),), "fill": "mean"},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"heads|ascend"):
            Knockout(3, **wrong)  # type: ignore[arg-type]
