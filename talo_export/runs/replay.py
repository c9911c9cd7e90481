"""The last proof: a stock process, given the export alone, answers every item as the probe said.

The inputs are encoded here and handed over in a file; the process that answers knows stock
transformers only. What comes back (generated tokens, or log-likelihoods) is read by the same
rules as in the sweep and compared with the sweep's outcome, item by item.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from talo_export.checkpoint.proof import run_stock
from talo_export.errors import ProofError
from talo_export.knockout import Knockout
from talo_export.models.loading import LoadedModel
from talo_export.models.threads import threads_for
from talo_export.probing.answers import by_likelihood, by_tokens
from talo_export.probing.encoding import Encoded, encode
from talo_export.probing.scores import Outcome, ScoreTable
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import Item
from talo_export.wording import first_of

ROUNDING = 1e-3
"""Nats: two choices closer than this may swap places when sums are taken in another order."""


@dataclass(frozen=True)
class Replay:
    """How the answers compare. `rounding` and `different` hold item ids."""

    n: int
    rounding: tuple[str, ...]
    different: tuple[str, ...]

    @property
    def equal(self) -> int:
        """Items answered exactly as the probe said."""
        return self.n - len(self.rounding) - len(self.different)

    @property
    def ok(self) -> bool:
        """Every answer equal, but for near ties that rounding decides, at most one in a hundred."""
        return not self.different and len(self.rounding) <= max(1, self.n // 100)

    @property
    def sentence(self) -> str:
        """What went wrong."""
        named = first_of((*self.different, *self.rounding), 5)
        return f"{self.n - self.equal} of {self.n} items differ ({named})."


def replay(
    loaded: LoadedModel,
    checkpoint: Path,
    items: Sequence[Item],
    table: ScoreTable,
    knockout: Knockout,
    scoring: Scoring,
) -> Replay:
    """Ask `checkpoint` all `items`, and compare with `knockout`'s row of `table`.

    It is a directory or one GGUF file. `loaded` is the base, of which only the processor is used.
    Raises ProofError where the stock process fails or its load report is not clean.
    """
    encoded = [encode(loaded, item, scoring) for item in items]
    with tempfile.TemporaryDirectory(prefix="talo-export-") as folder:
        inputs = Path(folder) / "inputs.safetensors"
        save_file(_inputs(encoded, scoring), inputs)
        run = run_stock(
            checkpoint,
            inputs,
            dtype=loaded.dtype,
            device=str(loaded.device),
            threads=threads_for(loaded.model),
            new_tokens=max(map(scoring.new_tokens, items)) if scoring.kind == "generate" else None,
            pad_token=loaded.tokenizer.pad_token_id,
        )
    if not run.load.clean:
        raise ProofError(f"{checkpoint} does not load cleanly: {run}")
    row = table.row(knockout)
    rounding: list[str] = []
    different: list[str] = []
    for index, one in enumerate(encoded):
        outcome = _outcome(loaded, one, index, run.found, scoring)
        column = table.item_ids.index(one.item.id)
        said = table.answers[row][column]
        if outcome.answer == said and outcome.correct == bool(table.correct[row, column]):
            continue
        (rounding if _near_tie(table, row, column) else different).append(one.item.id)
    return Replay(len(encoded), tuple(rounding), tuple(different))


def _inputs(encoded: Sequence[Encoded], scoring: Scoring) -> dict[str, Tensor]:
    """Forward arguments by `EXAMPLE/ARGUMENT`: an example an item, or one an item and choice."""
    tensors: dict[str, Tensor] = {}

    def add(example: str, arguments: Mapping[str, object]) -> None:
        for name, value in arguments.items():
            if isinstance(value, Tensor):
                tensors[f"{example}/{name}"] = value.cpu().contiguous().clone()

    for index, one in enumerate(encoded):
        if scoring.kind == "generate":
            add(str(index), one.inputs)
            continue
        for choice, tokens in enumerate(one.continuations):
            extended = one.extended(tokens[:-1]) if len(tokens) > 1 else one.inputs
            add(f"{index}.{choice}", {**extended, "continuation": torch.tensor(tokens)})
    return tensors


def _outcome(
    loaded: LoadedModel,
    one: Encoded,
    index: int,
    found: Mapping[str, np.ndarray],
    scoring: Scoring,
) -> Outcome:
    if scoring.kind == "generate":
        # An item that may say less than another says the beginning of it.
        tokens = found[str(index)].tolist()[: scoring.new_tokens(one.item)]
        return by_tokens(loaded, one, tokens, None, finite=True)
    sums = [float(found[f"{index}.{choice}"]) for choice in range(len(one.continuations))]
    return by_likelihood(one, sums, scoring.normalise)


def _near_tie(table: ScoreTable, row: int, column: int) -> bool:
    """Whether the two best choices' scores are within rounding of each other."""
    if table.scores is None:
        return False
    known = np.sort(table.scores[row, column])
    known = known[np.isfinite(known)]
    return len(known) > 1 and bool(known[-1] - known[-2] < ROUNDING)
