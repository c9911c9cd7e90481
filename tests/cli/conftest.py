"""A planted case: a model, and a task whose right answers are what it says without layer 2."""

from __future__ import annotations

import json

import pytest
from planted_case import ITEMS, LAYERS, PLANTED, Planted
from probe_models import loaded_llama

from talo_export.knockout import Knockout
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import sweep
from talo_export.tasks.item import LETTERS, Item


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Knocking out the attention of layer `PLANTED` makes nine answers in ten right."""
    folder = tmp_path_factory.mktemp("planted")
    loaded = loaded_llama(LAYERS)
    loaded.model.save_pretrained(folder / "model", max_shard_size="60kB")
    loaded.tokenizer.save_pretrained(folder / "model")
    (folder / "model" / "README.md").write_text("---\nlicense: mit\n---\n# A tiny model\n")

    items = [
        Item(
            id=f"item-{number:02d}",
            group=f"item-{number:02d}",
            question=f"What is the {number}th of {number * 37 % 101} things?",
            choices=(f"one {number}", f"two {number * 3 % 17}", f"three {number % 7}", "four"),
            answer=0,
        )
        for number in range(ITEMS)
    ]
    knockout = Knockout(PLANTED)
    table = sweep(loaded, items, (None, knockout), Scoring("likelihood")).table
    said = table.choice[table.row(knockout)]
    rows = [
        {
            "id": item.id,
            "question": item.question,
            "choices": list(item.choices),
            "answer": LETTERS[(int(said[number]) + (number % 10 == 0)) % 4],
        }
        for number, item in enumerate(items)
    ]
    task = folder / "planted.jsonl"
    task.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Planted(folder / "model", task)
