"""The shared word: which layer is cut, how much of it, and what stands in its place.

`probing/` carries a knockout out on a live model, `checkpoint/` on bytes on disk; that both give
the same logits is this project's central test. Nothing else belongs in this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal["attention", "o_proj", "mlp", "layer"]
"""What is filled: `attention` the q, k, v and output projections with their biases (only those
that no other layer reads); `o_proj` the output projection alone (the same function under `zero`);
`mlp` the feed-forward block's output projection; `layer` attention and feed-forward together."""

Fill = Literal["zero", "uniform", "mean"]
"""What stands in its place: `zero`; `uniform`, every weight 1/d_out and every bias 0; `mean`,
every entry its own tensor's mean. `uniform` and `mean` exist for the float formats only; of experts
stacked in one parameter, d_out is their number."""


@dataclass(frozen=True, slots=True, order=True)
class Knockout:
    """One decoder layer switched off. `layer` counts from 0, the one next to the embeddings."""

    layer: int
    scope: Scope = "attention"
    fill: Fill = "zero"
