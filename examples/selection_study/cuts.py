"""What is tried on a model: the families of cuts, and which cuts of them on which items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

FAMILIES = ("base", "attention", "mlp", "half", "rank", "heads", "pairs")
"""`attention` and `mlp`: what a layer's block adds is left out. `half`: half of what its attention
adds. `rank`: the feed-forward's output matrix, cut to a tenth of its rank (LASER, arXiv
2312.13558). `heads`: one attention head. `pairs`: the attention of two layers."""
RANK_KEPT = 0.1
"""Of the rank of the matrix; LASER keeps 1 to 90 % and gains most below 10 %."""


@dataclass(frozen=True, slots=True, order=True)
class Cut:
    """One change of the model; `second` is a head or a further, higher layer, -1 for none."""

    family: str
    layer: int = -1
    second: int = -1

    @property
    def row(self) -> tuple[int, int, int]:
        """As the score file has it."""
        return FAMILIES.index(self.family), self.layer, self.second


BASE = Cut("base")


def of_layers(layers: int) -> list[Cut]:
    """The base and one cut a layer and family; ranks of the upper half, where LASER found gains."""
    whole = [Cut(family, k) for family in ("attention", "mlp", "half") for k in range(layers)]
    return [BASE, *whole, *(Cut("rank", k) for k in range(layers // 2, layers))]


def of_heads(layers: Iterable[int], heads: int) -> list[Cut]:
    """Every head of these layers."""
    return [Cut("heads", layer, head) for layer in sorted(layers) for head in range(heads)]


def of_pairs(layers: Sequence[int]) -> list[Cut]:
    """Every two of these layers."""
    return [Cut("pairs", low, high) for low, high in combinations(sorted(layers), 2)]
