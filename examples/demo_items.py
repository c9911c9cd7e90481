"""Items of the bundled demo, written down as somebody's own task file: pictures and one JSON line
for each question. The guides beside this file run on them, with no network."""

from __future__ import annotations

import json
from pathlib import Path

from talo_export import load_task


def write_task_file(folder: Path, tasks: dict[str, int]) -> Path:
    """`folder/atlas.jsonl` with the first items of each demo task, its name as the category."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, n_items in tasks.items():
        for item in load_task(f"demo/{name}").items[:n_items]:
            (folder / f"{item.id.replace('/', '-')}.png").write_bytes(item.images[0].read())
            rows.append(
                {
                    "id": item.id,
                    "image": f"{item.id.replace('/', '-')}.png",
                    "question": item.question,
                    "choices": list(item.choices),
                    "answer": "ABCD"[item.answer],
                    "category": name,
                }
            )
    file = folder / "atlas.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file
