"""Telling mixers apart by what they compute, on small modules whose names deceive."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from talo_export.errors import TaloError
from talo_export.models.anatomy import Decoder, Mixer
from talo_export.models.structure import read_decoder
from talo_export.models.tracing import record

WIDTH, POSITIONS, VOCABULARY = 8, 13, 20


class Toy(nn.Module):
    """Embeddings, a stack of blocks, a head."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH)
        self.stack = nn.ModuleList(blocks)
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, input_ids: Tensor) -> SimpleNamespace:
        hidden = self.words(input_ids)
        for block in self.stack:
            hidden = block(hidden)
        return SimpleNamespace(logits=self.head(hidden))


def read(make: Callable[[], nn.Module]) -> Decoder:
    """The decoder of a module made on the meta device."""
    with torch.device("meta"):
        model = make()
        ids = torch.arange(POSITIONS).unsqueeze(0)
    name = next(iter(inspect.signature(model.forward).parameters))
    return read_decoder(model, record(model, {name: ids}, POSITIONS))


def only(decoder: Decoder, layer: int = 0) -> Mixer:
    """The one mixer of a layer."""
    (mixer,) = decoder.layers[layer].mixers
    return mixer


def short(names: tuple[str, ...]) -> set[str]:
    """Names without the layer's path."""
    return {name.split(".", 2)[2] for name in names}


class Attention(nn.Module):
    """q, k, v and output, under names that say nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three, self.four = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def weigh(self, hidden: Tensor) -> Tensor:
        return (self.one(hidden) @ self.two(hidden).mT).softmax(-1)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.four(self.weigh(hidden) @ self.three(hidden))


class FeedForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, 16), nn.Linear(16, WIDTH)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.down(nn.functional.silu(self.up(hidden)))


class Swapped(nn.Module):
    """The attention is called `mlp`, the feed-forward block `self_attn`."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp, self.self_attn = Attention(), FeedForward()
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.mlp(self.norm(hidden))
        return hidden + self.self_attn(hidden)


def test_attention_is_found_by_what_it_computes_not_by_its_name() -> None:
    decoder = read(lambda: Toy(Swapped(), Swapped()))
    assert (decoder.path, len(decoder)) == ("stack", 2)
    mixer = only(decoder, 1)
    assert (mixer.kind, mixer.path) == ("self-attention", "stack.1.mlp")
    assert short(mixer.output) == {"mlp.four.weight", "mlp.four.bias"}
    assert short(mixer.inputs) == {
        f"mlp.{name}.{part}" for name in ("one", "two", "three") for part in ("weight", "bias")
    }
    assert mixer.shared == ()
    assert mixer.declined is None
    assert short(decoder.layers[1].mlp_output) == {
        "self_attn.down.weight",
        "self_attn.down.bias",
    }


class Unwrapped(Toy):
    """Fails once the logits are there, as Llama 4 does in transformers 5.24.0."""

    def forward(self, input_ids: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=super().forward(input_ids).lost)


def test_code_that_fails_after_its_logits_is_read_as_far_as_those() -> None:
    with torch.device("meta"):
        model = Unwrapped(Swapped(), Swapped())
        inputs = {"input_ids": torch.arange(POSITIONS).unsqueeze(0)}
    trace = record(model, inputs, POSITIONS, model.head)
    with torch.device("meta"):
        whole = Toy(Swapped(), Swapped())
    assert read_decoder(model, trace) == read_decoder(whole, record(whole, inputs, POSITIONS))


def test_code_that_fails_before_its_logits_is_not_read() -> None:
    with torch.device("meta"):
        model = Toy(Swapped(), nn.Module())
        inputs = {"input_ids": torch.arange(POSITIONS).unsqueeze(0)}
    model.stack[1].forward = lambda hidden: hidden.lost
    with pytest.raises(AttributeError):
        record(model, inputs, POSITIONS, model.head)


class Linear(Attention):
    """The same without a softmax: linear attention."""

    def weigh(self, hidden: Tensor) -> Tensor:
        return self.one(hidden) @ self.two(hidden).mT


class Residual(nn.Module):
    """A mixer and the residual path around it."""

    def __init__(self, mixer: nn.Module) -> None:
        super().__init__()
        self.self_attn = mixer

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + self.self_attn(hidden)


def test_without_a_softmax_it_is_linear_attention_whatever_it_is_called() -> None:
    assert only(read(lambda: Toy(Residual(Linear())))).kind == "linear-attention"


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.over = nn.Conv1d(WIDTH, WIDTH, 3, padding=2, groups=WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.out(self.over(hidden.mT)[..., :POSITIONS].mT)


def test_a_convolution_over_positions_is_a_convolution() -> None:
    assert only(read(lambda: Toy(Residual(Convolution())))).kind == "convolution"


class Recurrence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = self.into(hidden)
        state, states = torch.zeros_like(hidden[:, 0]), []
        for position in range(POSITIONS):
            state = 0.9 * state + hidden[:, position]
            states.append(state)
        return self.out(torch.stack(states, dim=1))


def test_a_loop_over_positions_is_a_linear_recurrence() -> None:
    assert only(read(lambda: Toy(Residual(Recurrence())))).kind == "linear-attention"


class StateSpace(Recurrence):
    """Only its parameters tell which recurrence it is."""

    def __init__(self) -> None:
        super().__init__()
        self.A_log, self.D = nn.Parameter(torch.ones(WIDTH)), nn.Parameter(torch.ones(WIDTH))


def test_a_recurrence_with_a_state_matrix_and_a_skip_is_mamba() -> None:
    assert only(read(lambda: Toy(Residual(StateSpace())))).kind == "mamba"


class Fused(nn.Module):
    """One matrix for q, k, v and the feed-forward block's input, all in parallel."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.out, self.down = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: Tensor) -> Tensor:
        q, k, v, up = self.into(hidden).chunk(4, dim=-1)
        attended = self.out((q @ k.mT).softmax(-1) @ v)
        return hidden + attended + self.down(up.relu())


def test_a_matrix_that_feeds_the_feed_forward_block_too_is_shared() -> None:
    decoder = read(lambda: Toy(Fused()))
    mixer = only(decoder)
    assert mixer.path == "stack.0"
    assert short(mixer.output) == {"out.weight", "out.bias"}
    assert short(mixer.shared) == {"into.weight"}
    assert mixer.inputs == ()
    assert short(decoder.layers[0].mlp_output) == {"down.weight", "down.bias"}


class Gated(Attention):
    """What was attended to is gated before the output projection."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: Tensor) -> Tensor:
        attended = self.weigh(hidden) @ self.three(hidden)
        return self.four(attended * self.gate(hidden).sigmoid())


def test_a_gate_is_none_of_q_k_and_v() -> None:
    mixer = only(read(lambda: Toy(Residual(Gated()))))
    assert "self_attn.gate.weight" not in short(mixer.inputs)
    assert short(mixer.output) == {"self_attn.four.weight", "self_attn.four.bias"}


class LowRankOutput(Attention):
    def __init__(self) -> None:
        super().__init__()
        self.five = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.five(super().forward(hidden))


def test_of_two_output_projections_the_last_one_counts() -> None:
    mixer = only(read(lambda: Toy(Residual(LowRankOutput()))))
    assert short(mixer.output) == {"self_attn.five.weight", "self_attn.five.bias"}
    assert {"self_attn.four.weight", "self_attn.one.weight"} <= short(mixer.inputs)


class LooseBias(nn.Module):
    """The output projection's bias is a parameter of its own, added outside."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.attention.four = nn.Linear(WIDTH, WIDTH, bias=False)
        self.attention.offset = nn.Parameter(torch.zeros(WIDTH))

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + (self.attention(hidden) + self.attention.offset)


def test_a_bias_stored_beside_its_matrix_belongs_to_the_output() -> None:
    mixer = only(read(lambda: Toy(LooseBias())))
    assert short(mixer.output) == {"attention.four.weight", "attention.offset"}


class Borrower(Attention):
    def weigh(self, hidden: Tensor) -> Tensor:
        return (self.one(hidden) @ self.keys.mT).softmax(-1)


class Lender(Attention):
    """Leaves its keys where the next layer finds them."""

    def __init__(self, to: Borrower) -> None:
        super().__init__()
        self.to = [to]

    def weigh(self, hidden: Tensor) -> Tensor:
        keys = self.two(hidden)
        self.to[0].keys = keys
        return (self.one(hidden) @ keys.mT).softmax(-1)


def borrowing() -> nn.Module:
    borrower = Borrower()
    return Toy(Residual(Lender(borrower)), Residual(borrower))


def test_keys_that_the_next_layer_reads_are_shared() -> None:
    lender = only(read(borrowing), 0)
    assert short(lender.shared) == {"self_attn.two.weight", "self_attn.two.bias"}
    assert short(lender.inputs) == {
        f"self_attn.{name}.{part}" for name in ("one", "three") for part in ("weight", "bias")
    }


def test_attending_with_another_layers_keys_is_still_self_attention() -> None:
    assert only(read(borrowing), 1).kind == "self-attention"


def repeating() -> nn.Module:
    block = Attention()
    return Toy(Residual(block), Residual(block), Residual(Attention()))


def test_a_block_that_two_layers_share_is_declined() -> None:
    decoder = read(repeating)
    assert "is one block that stack.0 shares with stack.1" in str(only(decoder, 0).declined)
    assert only(decoder, 2).declined is None


class Two(nn.Module):
    """Two attentions in one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Attention(), Attention()

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.first(hidden)
        return hidden + self.second(hidden)


def test_two_attentions_are_two_mixers_of_one_layer() -> None:
    (layer,) = read(lambda: Toy(Two())).layers
    assert [mixer.path for mixer in layer.attention] == ["stack.0.first", "stack.0.second"]
    assert all(short(m.inputs) <= set(_all(m.path)) for m in layer.attention)


def _all(path: str) -> list[str]:
    name = path.rpartition(".")[2]
    return [f"{name}.{x}.{part}" for x in ("one", "two", "three") for part in ("weight", "bias")]


class Bare(nn.Module):
    """Attention whose result joins the residual without a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + (self.q(hidden) @ self.k(hidden).mT).softmax(-1) @ hidden


def test_attention_without_an_output_projection_is_declined() -> None:
    assert "without a projection" in str(only(read(lambda: Toy(Bare()))).declined)


class Cross(Attention):
    def forward(self, hidden: Tensor) -> Tensor:
        weights = (self.one(hidden) @ self.two(self.other).mT).softmax(-1)
        return self.four(weights @ self.three(self.other))


class EncoderDecoder(nn.Module):
    """A decoder of two layers that attends to an encoder of three, listed the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.writer = nn.ModuleList(
            nn.Sequential(Residual(Attention()), Residual(Cross())) for _ in range(2)
        )
        self.reader = nn.ModuleList(Residual(Attention()) for _ in range(3))
        self.words = nn.Embedding(VOCABULARY, WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, input_ids: Tensor) -> SimpleNamespace:
        read = self.words(input_ids)
        for layer in self.reader:
            read = layer(read)
        hidden = self.words(input_ids)
        for layer in self.writer:
            layer[1].self_attn.other = read
            hidden = layer(hidden)
        return SimpleNamespace(logits=self.head(hidden))


def test_of_an_encoder_and_a_decoder_the_decoder_is_read() -> None:
    decoder = read(EncoderDecoder)
    assert (decoder.path, len(decoder)) == ("writer", 2)
    kinds = [mixer.kind for mixer in decoder.layers[1].mixers]
    assert kinds == ["self-attention", "cross-attention"]


def test_products_of_activations_at_one_position_mix_nothing() -> None:
    class Streams(nn.Module):
        """Hidden states in several streams, mixed stream by stream at every position."""

        def __init__(self) -> None:
            super().__init__()
            self.weigh, self.inner = nn.Linear(WIDTH, 4), Swapped()

        def forward(self, hidden: Tensor) -> Tensor:
            batch, positions, width = hidden.shape
            streams = hidden.view(batch * positions, 2, width // 2)
            matrix = self.weigh(hidden).view(batch * positions, 2, 2).softmax(-1)
            return self.inner((matrix @ (matrix @ streams)).view(batch, positions, width))

    assert only(read(lambda: Toy(Streams()))).path == "stack.0.inner.mlp"


def test_a_model_that_mixes_no_positions_has_no_decoder() -> None:
    with pytest.raises(TaloError, match="no stack of layers that mix positions"):
        read(lambda: Toy(Residual(FeedForward())))
