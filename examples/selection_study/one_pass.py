"""All cuts and all choices of an item in one pass through a Llama or a Gemma 3.

The product's engines run any architecture and read each choice after the prompt by itself; they
know neither halves nor ranks. Here every item is one sequence: the prompt, and behind it the
choices side by side, each blind to the others by the attention mask. All cuts go through a layer
together, and a new one joins at the layer it changes, made from what the unmodified model has there
already. What the prompts of a task have in common at their beginning is read once: `share` keeps
its keys and values. All in float32; `check` holds it against the product's plain engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import numpy as np
import torch
from cuts import BASE, RANK_KEPT, Cut
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from talo_export.models.loading import LoadedModel
from talo_export.probing.encoding import Encoded, encode
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import Item

Past = tuple[Tensor, Tensor]
"""Keys and values of the tokens before, (rows, heads, tokens, head width) each."""
CHUNK = 128
"""Positions whose logits over all words are in memory at once."""


class OnePass:
    """A model's weights, laid out for `log_shares`."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded, self._model = loaded, loaded.model.model
        config = loaded.model.config
        self._gemma = config.model_type == "gemma3_text"
        if config.model_type not in ("llama", "gemma3_text") or config.attention_bias:
            raise SystemExit(f"{loaded.name} is neither a Llama nor a Gemma 3 without biases")
        if loaded.model.dtype != torch.float32:
            raise SystemExit(f"{loaded.name} is in {loaded.model.dtype}: load it in float32")
        self.layers = int(config.num_hidden_layers)
        self.heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._width, self._epsilon = config.head_dim, config.rms_norm_eps
        self._scale = (config.query_pre_attn_scalar if self._gemma else self._width) ** -0.5
        self._window = config.sliding_window if self._gemma else None
        self._kinds = config.layer_types if self._gemma else [None] * self.layers
        self._act = nn.GELU("tanh") if self._gemma else nn.SiLU()
        self._head = loaded.model.get_output_embeddings().weight.detach()
        self._joined = [
            (
                torch.cat([getattr(layer.self_attn, f"{p}_proj").weight.detach() for p in "qkv"]),
                torch.cat([layer.mlp.gate_proj.weight.detach(), layer.mlp.up_proj.weight.detach()]),
            )
            for layer in self._model.layers
        ]
        self._low_ranks: dict[int, Past] = {}
        self._cuts: tuple[Cut, ...] = ()
        self._start: list[int] = []
        self._pasts: list[Past] = []

    @torch.inference_mode()
    def share(self, items: Sequence[Item], scoring: Scoring, cuts: Sequence[Cut]) -> None:
        """Read the common beginning of these items' prompts, for these cuts; BASE is the first."""
        prompts = [encode(self._loaded, i, scoring).inputs["input_ids"][0].tolist() for i in items]
        # The last token of a prompt is read with its choices: their first ones hang on it.
        columns = zip(*(prompt[:-1] for prompt in prompts), strict=False)
        self._start = [column[0] for column in takewhile(lambda c: len(set(c)) == 1, columns)]
        self._cuts, self._pasts = tuple(cuts), []
        assert self._cuts[0] == BASE
        if self._start:
            length = len(self._start)
            mask = torch.ones(length, length, dtype=torch.bool).tril()
            _, _, self._pasts = self._read(torch.tensor(self._start), torch.arange(length), mask)

    @torch.inference_mode()
    def log_shares(self, item: Item, scoring: Scoring) -> NDArray[np.float32]:
        """(cuts, choices) log of each choice's share of probability among the item's choices."""
        encoded = encode(self._loaded, item, scoring)
        tokens, positions, mask = packed(encoded)
        known = len(self._start)
        if tokens[:known].tolist() != self._start or known >= encoded.length:
            raise ValueError(f"{item.id} does not begin as the items given to share()")
        states, rows, _ = self._read(tokens[known:], positions[known:], mask[known:])
        sums = self._sums(encoded, states[:, encoded.length - 1 - known :])
        shares = sums - sums.logsumexp(dim=1, keepdim=True)
        at = {cut: row for row, cut in enumerate(rows)}
        return shares[[at[cut] for cut in self._cuts]].numpy()

    def _read(
        self, tokens: Tensor, positions: Tensor, mask: Tensor
    ) -> tuple[Tensor, list[Cut], list[Past]]:
        """States (rows, tokens, width) behind the last layer, the rows' cuts, keys and values."""
        states = self._model.embed_tokens(tokens)[None]
        if self._window is not None and len(tokens) + len(self._start) > self._window:
            raise ValueError(f"longer than the window of {self._window} tokens")
        rotations = {kind: self._rotation(states, positions, kind) for kind in set(self._kinds)}
        rows, kept = [BASE], []
        for k in range(self.layers):
            past = self._pasts[k] if self._pasts else None
            states, seen = self._attend(k, states, rows, rotations[self._kinds[k]], mask, past)
            states = self._feed_forward(k, states, rows)
            kept.append(seen)
        return states, rows, kept

    def _attend(
        self, k: int, states: Tensor, rows: list[Cut], rotation: Tensor, mask: Tensor,
        past: Past | None,
    ) -> tuple[Tensor, Past]:  # fmt: skip
        """Through a layer's attention; the cuts of it join `states` and `rows`.

        Returned beside it: the keys and values of these tokens and of those before.
        """
        layer = self._model.layers[k]
        count, length, _ = states.shape
        taken = functional.linear(self._normed(states, layer.input_layernorm), self._joined[k][0])
        taken = taken.view(count, length, -1, self._width).transpose(1, 2)
        query, key, value = taken.split([self.heads, self._kv_heads, self._kv_heads], dim=1)
        if self._gemma:
            query = self._normed(query, layer.self_attn.q_norm)
            key = self._normed(key, layer.self_attn.k_norm)
        query, key = rotated(query, rotation), rotated(key, rotation)
        if past is not None:
            key, value = (torch.cat(pair, dim=2) for pair in zip(past, (key, value), strict=True))
        read = functional.scaled_dot_product_attention(
            query, key, value, mask, scale=self._scale, enable_gqa=True
        ).transpose(1, 2)
        added = self._put_out(layer, read)
        new, joining = [], [cut for cut in self._cuts if cut.layer == k]
        heads = [cut for cut in joining if cut.family == "heads"]
        if heads:
            cut_out = read[:1].repeat(len(heads), 1, 1, 1)
            for row, cut in enumerate(heads):
                cut_out[row, :, cut.second] = 0
            new.append(states[:1] + self._put_out(layer, cut_out))
        shares = {"attention": 0.0, "half": 0.5}
        plain = [cut for cut in joining if cut.family in shares]
        new += [states[:1] + shares[cut.family] * added[:1] for cut in plain]
        pairs = [cut for cut in self._cuts if cut.family == "pairs" and cut.second == k]
        new += [states[[rows.index(Cut("attention", cut.layer))]] for cut in pairs]
        rows += [*heads, *plain, *pairs]
        return torch.cat([states + added, *new]), (key, value)

    def _put_out(self, layer: nn.Module, read: Tensor) -> Tensor:
        """What the attention adds to the states, of what its heads read."""
        added = functional.linear(read.flatten(2), layer.self_attn.o_proj.weight)
        return self._normed(added, layer.post_attention_layernorm) if self._gemma else added

    def _feed_forward(self, k: int, states: Tensor, rows: list[Cut]) -> Tensor:
        """Through a layer's feed-forward; the cuts of it join `states` and `rows`."""
        layer = self._model.layers[k]
        before = layer.pre_feedforward_layernorm if self._gemma else layer.post_attention_layernorm
        gate, up = functional.linear(self._normed(states, before), self._joined[k][1]).chunk(2, -1)
        inner = self._act(gate).mul_(up)

        def out(values: Tensor) -> Tensor:
            return self._normed(values, layer.post_feedforward_layernorm) if self._gemma else values

        new, joining = [], [c for c in self._cuts if c.layer == k and c.family in ("mlp", "rank")]
        for cut in joining:
            if cut.family == "mlp":
                new.append(states[:1])
            else:
                left, right = self._low_rank(k)
                reduced = functional.linear(functional.linear(inner[:1], right), left)
                new.append(states[:1] + out(reduced))
        rows += joining
        return torch.cat([states + out(functional.linear(inner, layer.mlp.down_proj.weight)), *new])

    def _low_rank(self, k: int) -> Past:
        """The feed-forward's output matrix, cut in its rank."""
        if k not in self._low_ranks:
            self._low_ranks[k] = low_rank(self._model.layers[k].mlp.down_proj.weight)
        return self._low_ranks[k]

    def _normed(self, states: Tensor, norm: nn.Module) -> Tensor:
        weight = 1 + norm.weight if self._gemma else norm.weight
        return functional.rms_norm(states, (states.shape[-1],), weight, self._epsilon)

    def _rotation(self, states: Tensor, positions: Tensor, kind: str | None) -> Tensor:
        """(2, 1, tokens, head width) cosines and sines, the model's own."""
        kinds = () if kind is None else (kind,)
        return torch.stack(self._model.rotary_emb(states, positions[None], *kinds))

    def _sums(self, encoded: Encoded, states: Tensor) -> Tensor:
        """(rows, choices) summed log-probabilities, nats, float64, less what all choices share.

        `states` begin at the prompt's last token. The first tokens of all choices stand at that one
        position, so the sum over all words there is left out: it is the most work of all.
        """
        states = self._normed(states, self._model.norm)
        sums = torch.zeros(len(states), len(encoded.continuations), dtype=torch.float64)
        behind = 1
        for column, ids in enumerate(encoded.continuations):
            places = list(range(behind, behind + len(ids) - 1))
            behind += len(places)
            logit = torch.einsum("vtw,tw->vt", states[:, [0, *places]], self._head[list(ids)])
            sums[:, column] = logit.double().sum(dim=1)
        if behind > 1:
            following = states[:, 1:behind].flatten(0, 1).split(CHUNK)
            totals = [functional.linear(part, self._head).logsumexp(dim=-1) for part in following]
            total = torch.cat(totals).view(len(states), -1).double()
            counts = [len(ids) - 1 for ids in encoded.continuations]
            for column, part in enumerate(total.split(counts, dim=1)):
                sums[:, column] -= part.sum(dim=1)
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


def low_rank(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The best approximation of a matrix that has RANK_KEPT of its rank, as two factors."""
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    rank = max(1, round(RANK_KEPT * len(values)))
    return left[:, :rank] * values[:rank], right[:rank].contiguous()


def rotated(states: Tensor, rotation: Tensor) -> Tensor:
    """Rotary positions, halves of a head paired as Llama and Gemma pair them."""
    left, right = states.chunk(2, dim=-1)
    return states * rotation[0] + torch.cat([-right, left], dim=-1) * rotation[1]
