"""How the adapters are trained on a handful of items, with the source of each default.

- Twenty epochs, linear warm-up over the first tenth of the steps and linear decay to 0, AdamW with
  bias correction: the recipe of Mosbach et al. (2021, "On the stability of fine-tuning BERT",
  arXiv 2006.04884) for small training sets, which also says to train until the loss is nearly 0.
  Training ends earlier where there is nothing left to learn: see `enough` and `patience`.
- Adapters on every matrix of the decoder, not on two of the attention's, and 2e-4 for LoRA:
  Dettmers et al. (2023, QLoRA, arXiv 2305.14314).
- Rank 8 with a scale of 2 (alpha = 16): Hu et al. (2021, LoRA, arXiv 2106.09685) find ranks from
  1 to 64 alike; the scale is the common choice and only rescales the learning rate under Adam.
- Gradients clipped to norm 1, no weight decay, no dropout: a few dozen steps leave nothing for
  them to do, and dropout would make a cell depend on the order of random draws.

The learning rate of each other adapter stands beside it in `adapters.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from talo_export.codec import Recorded
from talo_export.errors import UsageError


@dataclass(frozen=True, slots=True)
class Training(Recorded):
    """Everything besides model, items and seed that a trained adapter depends on."""

    epochs: int = 20
    learning_rate: float | None = None
    """None: the adapter's own default."""
    rank: int = 8
    """Of LoRA and its kin. The other adapters have no rank."""
    batch_size: int = 4
    """Items an optimizer step. They pass through the model one at a time, as they do when they
    are answered, so this costs no memory and padding touches nothing."""
    warmup: float = 0.1
    clip: float = 1.0
    enough: float = 0.01
    """Stop once an epoch's mean loss, in nats a token, is below this."""
    patience: int = 5
    """Stop after this many epochs without a new lowest mean loss."""
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "rank", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise UsageError(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}: 1 is the least."
                )
        if self.learning_rate is not None and not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"--lr is {self.learning_rate}: give a positive number.")
