"""Items of the bundled demo, written down as somebody's own task file: pictures and one JSON line
for each question. The guides beside this file run on them, with no network."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from talo_export import load_task
from talo_export.tasks.item import LETTERS, Item


def write_task_file(folder: Path, tasks: dict[str, int]) -> Path:
    """`folder/atlas.jsonl` with the first items of each demo task, its name as the category."""
    return write_items(
        folder, [i for name, n in tasks.items() for i in load_task(f"demo/{name}").items[:n]]
    )


def write_items(folder: Path, items: Iterable[Item]) -> Path:
    """`folder/atlas.jsonl` with these items, their pictures beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for item in items:
        picture = f"{item.id.replace('/', '-')}.png"
        (folder / picture).write_bytes(item.images[0].read())
        rows.append(
            {
                "id": item.id,
                "image": picture,
                "question": item.question,
                "choices": list(item.choices),
                "answer": LETTERS[item.answer or 0],
                "category": item.category,
            }
        )
    file = folder / "atlas.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file
