"""All variants and all choices of an item in one pass through a Llama: made for one study.

The product's engines run any architecture and read each choice after the prompt separately. Here
every item is one sequence: the prompt, and behind it the choices side by side, each blind to the
others by the attention mask. All variants go through a layer together and a new one joins at each
layer (its attention is left out, which is what a zero knockout is). What the prompts of a task have
in common at their beginning is read once a task: `share` keeps its keys and values of every layer
and variant. The residual stream, norms and softmax are in float32, the products of matrices in the
precision of the weights.

Only Llama without biases (SmolLM2 is one); `check` holds it against the product's plain engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import torch
from torch import Tensor
from torch.nn import functional

from talo_export.knockout import Knockout
from talo_export.models.loading import LoadedModel
from talo_export.probing.answers import by_likelihood
from talo_export.probing.encoding import Encoded, encode
from talo_export.probing.journal import Cell
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import Item

Past = tuple[Tensor, Tensor]
"""Keys and values of the tokens before, (rows, heads, tokens, head width) each."""


class OnePass:
    """A Llama's weights, laid out for `cells`."""

    def __init__(self, loaded: LoadedModel) -> None:
        model, config = loaded.model, loaded.model.config
        if config.model_type != "llama" or config.attention_bias or config.mlp_bias:
            raise SystemExit(f"{loaded.name} is no Llama without biases: use the product's engine")
        self._loaded = loaded
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._width, self._epsilon = config.head_dim, config.rms_norm_eps
        self._theta = config.rope_parameters["rope_theta"]
        weight = {name: value.detach() for name, value in model.named_parameters()}
        self._embedding = weight["model.embed_tokens.weight"]
        self._head = model.get_output_embeddings().weight.detach()
        self._last_norm = weight["model.norm.weight"].float()
        self._start: list[int] = []
        self._pasts: list[Past] = []
        self._layers = []
        for k in range(config.num_hidden_layers):
            part = {
                name.removeprefix(f"model.layers.{k}."): value
                for name, value in weight.items()
                if name.startswith(f"model.layers.{k}.")
            }
            self._layers.append(
                (
                    part["input_layernorm.weight"].float(),
                    torch.cat([part[f"self_attn.{p}_proj.weight"] for p in "qkv"]),
                    part["self_attn.o_proj.weight"],
                    part["post_attention_layernorm.weight"].float(),
                    torch.cat([part["mlp.gate_proj.weight"], part["mlp.up_proj.weight"]]),
                    part["mlp.down_proj.weight"],
                )
            )

    @torch.inference_mode()
    def share(self, items: Sequence[Item], scoring: Scoring) -> None:
        """Read the common beginning of these items' prompts; `cells` begins behind it."""
        prompts = [encode(self._loaded, i, scoring).inputs["input_ids"][0].tolist() for i in items]
        # The last token of a prompt is read with its choices: their first ones hang on it.
        columns = zip(*(prompt[:-1] for prompt in prompts), strict=False)
        start = [column[0] for column in takewhile(lambda c: len(set(c)) == 1, columns)]
        length = len(start)
        mask = torch.ones(length, length, dtype=torch.bool).tril()
        self._start, self._pasts = start, []
        if start:
            _, self._pasts = self._read(torch.tensor(start), torch.arange(length), mask, [])

    @torch.inference_mode()
    def cells(self, item: Item, scoring: Scoring) -> list[Cell]:
        """The outcomes of the base and of every layer's knockout on one item."""
        encoded = encode(self._loaded, item, scoring)
        tokens, positions, mask = packed(encoded)
        known = len(self._start)
        if tokens[:known].tolist() != self._start or known >= encoded.length:
            raise ValueError(f"{item.id} does not begin as the items given to share()")
        states, _ = self._read(tokens[known:], positions[known:], mask[known:], self._pasts)
        sums = self._sums(encoded, states[:, encoded.length - 1 - known :])
        variants: list[Knockout | None] = [None, *map(Knockout, range(len(self._layers)))]
        return [
            Cell(variant, item.id, by_likelihood(encoded, row, scoring.normalise))
            for variant, row in zip(variants, sums.tolist(), strict=True)
        ]

    def _read(
        self, tokens: Tensor, positions: Tensor, mask: Tensor, pasts: Sequence[Past]
    ) -> tuple[Tensor, list[Past]]:
        """States (variants, tokens, width) behind the last layer; keys and values of each layer."""
        states, rotation = self._embedding[tokens].float()[None], self._rotation(positions)
        kept: list[Past] = []
        for number, layer in enumerate(self._layers):
            past = pasts[number] if pasts else None
            states, seen = self._through(states, layer, rotation, mask, past)
            kept.append(seen)
        return states, kept

    def _through(
        self, states: Tensor, layer: tuple[Tensor, ...], rotation: Tensor, mask: Tensor,
        past: Past | None,
    ) -> tuple[Tensor, Past]:  # fmt: skip
        """(rows, tokens, width) -> one row more: the variant without this layer's attention.

        Returned beside it: the keys and values of these tokens and of those before.
        """
        first_norm, qkv, out, second_norm, gate_up, down = layer
        rows, length, _ = states.shape
        taken = functional.linear(self._normed(states, first_norm), qkv)
        taken = taken.view(rows, length, -1, self._width).transpose(1, 2)
        query, key, value = taken.split([self._heads, self._kv_heads, self._kv_heads], dim=1)
        key = rotated(key, rotation)
        if past is not None:
            key, value = (torch.cat(pair, dim=2) for pair in zip(past, (key, value), strict=True))
        attended = functional.scaled_dot_product_attention(
            rotated(query, rotation), key, value, mask, enable_gqa=True
        )
        added = functional.linear(attended.transpose(1, 2).reshape(rows, length, -1), out)
        states = torch.cat([states + added, states[:1]])
        gate, up = functional.linear(self._normed(states, second_norm), gate_up).chunk(2, dim=-1)
        return states.add_(functional.linear(functional.silu(gate).mul_(up), down)), (key, value)

    def _normed(self, states: Tensor, weight: Tensor) -> Tensor:
        normed = functional.rms_norm(states, (states.shape[-1],), weight, self._epsilon)
        return normed.to(self._embedding.dtype)

    def _rotation(self, positions: Tensor) -> Tensor:
        """(2, tokens, head width) cosines and sines, in the precision of the weights."""
        steps = torch.arange(0, self._width, 2, dtype=torch.float32) / self._width
        angles = torch.outer(positions.float(), self._theta**-steps).repeat(1, 2)
        return torch.stack([angles.cos(), angles.sin()]).to(self._embedding.dtype)

    def _sums(self, encoded: Encoded, states: Tensor) -> Tensor:
        """(variants, choices) summed log-probabilities, nats, float64.

        `states` begin at the prompt's last token.
        """
        states = self._normed(states, self._last_norm)
        # No logit of a language model is near the 88 where exp leaves float32, so no maximum is
        # taken off first: at 49152 words that is most of the work.
        totals = functional.linear(states, self._head).float().exp_().sum(dim=-1).log_()
        sums = torch.zeros(len(states), len(encoded.continuations), dtype=torch.float64)
        behind = 1
        for column, ids in enumerate(encoded.continuations):
            places = [0, *range(behind, behind + len(ids) - 1)]
            behind += len(ids) - 1
            # The right logits once more in float32: these few decide.
            rows = self._head[list(ids)].float()
            logit = torch.einsum("vtw,tw->vt", states[:, places].float(), rows)
            sums[:, column] = (logit - totals[:, places]).double().sum(dim=1)
        return sums


def packed(encoded: Encoded) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, positions and the mask (tokens, tokens) of the prompt with its choices behind it.

    A choice's last token is not read: nothing follows it.
    """
    prompt = encoded.inputs["input_ids"][0]
    parts = [list(ids[:-1]) for ids in encoded.continuations]
    tokens = torch.cat([prompt, torch.tensor([t for part in parts for t in part]).long()])
    positions = torch.arange(len(tokens))
    mask = torch.ones(len(tokens), len(tokens), dtype=torch.bool).tril()
    at = encoded.length
    for part in parts:
        end = at + len(part)
        positions[at:end] = torch.arange(encoded.length, encoded.length + len(part))
        mask[at:end, encoded.length : at] = False
        at = end
    return tokens, positions, mask


def rotated(states: Tensor, rotation: Tensor) -> Tensor:
    """Rotary positions, halves of a head paired as Llama pairs them."""
    left, right = states.chunk(2, dim=-1)
    return states * rotation[0] + torch.cat([-right, left], dim=-1) * rotation[1]


def check(loaded: LoadedModel, items: Sequence[Item], scoring: Scoring) -> float:
    """The largest difference, in nats, between a choice's score here and by the plain engine."""
    from talo_export.probing.sweep import all_knockouts, sweep

    variants: list[Knockout | None] = [None, *all_knockouts(loaded.decoder)]
    plain = sweep(loaded, items, variants, scoring, engine="naive").table
    fast, apart = OnePass(loaded), 0.0
    fast.share(items, scoring)
    assert plain.scores is not None
    for column, item in enumerate(items):
        for row, cell in enumerate(fast.cells(item, scoring)):
            assert cell.variant == plain.variants[row]
            scores = torch.tensor(cell.outcome.scores, dtype=torch.float64)
            other = torch.from_numpy(plain.scores[row, column, : len(scores)])
            apart = max(apart, float((scores - other).abs().max()))
    return apart
