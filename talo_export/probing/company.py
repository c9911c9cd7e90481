"""The base once more, with other batches: each item in a batch of copies of itself.

No pass of a sweep mixes items, so the only thing that a batch can change here is how many rows a
matrix product has, and with it the order in which its sums are rounded. That is what separates one
tool's batches, one machine's kernels, from another's: the floor under every gain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from talo_export.models.loading import LoadedModel
from talo_export.probing.encoding import Encoded, encode
from talo_export.probing.engines.naive import answer_alone
from talo_export.probing.journal import Cell
from talo_export.probing.progress import Watch, Watcher
from talo_export.probing.scores import ScoreTable
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import Item

COPIES = 4


@dataclass(frozen=True, eq=False)
class InCompany(Encoded):
    """An encoded item as `COPIES` equal rows; answers are read from the first."""

    alone: Encoded

    @classmethod
    def of(cls, alone: Encoded) -> InCompany:
        """The same item in a batch."""
        return cls(
            item=alone.item,
            inputs=_copied(alone.inputs),
            length=alone.length,
            continuations=alone.continuations,
            lettered=alone.lettered,
            alone=alone,
        )

    def extended(self, tokens: Sequence[int]) -> dict[str, Any]:
        """The rows with these tokens after the prompt."""
        return _copied(self.alone.extended(tokens))


def answer_in_company(
    loaded: LoadedModel, items: Sequence[Item], scoring: Scoring, *, progress: Watcher | None = None
) -> ScoreTable:
    """The base's answers to these items, each asked in a batch. Raises as `sweep` does."""
    watch = Watch(len(items), (None,), {None: {}}, progress)
    outcomes = {}
    for item in items:
        encoded = InCompany.of(encode(loaded, item, scoring))
        with torch.inference_mode():
            outcomes[item.id] = answer_alone(loaded, encoded, scoring)[0]
        watch.add([Cell(None, item.id, outcomes[item.id])])
    return ScoreTable.build(items, {None: outcomes})


def _copied(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Every tensor's rows (a picture's patches too) `COPIES` times over."""
    return {
        name: torch.cat([value] * COPIES) if isinstance(value, Tensor) else value
        for name, value in inputs.items()
    }
