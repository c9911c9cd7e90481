"""An export is asked again by a stock process: free answers are as long as the probe's were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from probe_models import loaded_llama

from talo_export.knockout import Knockout
from talo_export.probing.settings import LETTER_TOKENS, Scoring
from talo_export.probing.sweep import sweep
from talo_export.runs.replay import replay
from talo_export.tasks.item import Item


def test_free_answers_and_letters_of_one_task_are_replayed_in_full(tmp_path: Path) -> None:
    loaded = loaded_llama(1)
    loaded.model.save_pretrained(tmp_path / "model")
    items = [
        Item(id="free", group="free", question="Say.", accepted=("something",)),
        Item(id="letter", group="letter", question="Choose.", choices=("x", "y"), answer=0),
    ]
    base = sweep(loaded, items, (None,), Scoring()).table
    lengths = [len(loaded.tokenizer(answer).input_ids) for answer in base.answers[0]]
    assert lengths[0] > LETTER_TOKENS
    table = replace(base, variants=(Knockout(0),))
    result = replay(loaded, tmp_path / "model", items, table, Knockout(0), Scoring())
    assert (result.n, result.equal) == (2, 2), result.sentence
