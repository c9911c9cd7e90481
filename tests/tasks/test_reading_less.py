"""No picture is read that is not asked for, and none twice: counted, not timed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import benchmark_copies
import datasets
import pytest
from small_pictures import encoded

from talo_export.errors import TaloError
from talo_export.tasks import table
from talo_export.tasks.benchmark_tasks import forget_tables
from talo_export.tasks.check import describe_task
from talo_export.tasks.item import ItemImage
from talo_export.tasks.sources import load_task, task_references

COLOURS = ("red", "green", "blue", "yellow", "white", "black")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each picture is read, by its name."""
    counted = Counter[str]()
    read = ItemImage.read

    def count(image: ItemImage) -> bytes:
        counted[image.name] += 1
        return read(image)

    monkeypatch.setattr(ItemImage, "read", count)
    return counted


@pytest.fixture
def quiz(tmp_path: Path) -> Path:
    """Six items with a picture each, of two categories in turn."""
    rows = []
    for number, colour in enumerate(COLOURS):
        (tmp_path / f"{colour}.png").write_bytes(encoded(colour))
        category = "even" if number % 2 == 0 else "odd"
        rows.append(
            {"question": f"{number}?", "choices": ["a", "b"], "answer": number % 2,
             "image": f"{colour}.png", "category": category}
        )  # fmt: skip
    path = tmp_path / "quiz.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_first_items_are_the_whole_tasks_and_no_other_picture_is_read(
    quiz: Path, reads: Counter[str]
) -> None:
    first = load_task(str(quiz), first=2)
    assert set(reads) == {"red.png", "green.png"}
    assert first.items == load_task(str(quiz)).items[:2]
    odd = load_task(f"{quiz}:odd", first=1)
    assert odd.items == load_task(f"{quiz}:odd").items[:1]


def test_a_whole_file_is_read_picture_by_picture_once(quiz: Path, reads: Counter[str]) -> None:
    task = load_task(str(quiz))
    assert [item.group for item in task.items] == [item.images[0].sha256 for item in task.items]
    assert task.fingerprint
    assert set(reads.values()) == {1}
    describe_task(task)  # Decodes each.
    assert set(reads.values()) == {2}


def test_a_category_is_as_in_the_whole_file_without_reading_the_others(
    quiz: Path, reads: Counter[str]
) -> None:
    odd = load_task(f"{quiz}:odd")
    assert sorted(reads) == ["black.png", "green.png", "yellow.png"]
    assert odd.items == tuple(i for i in load_task(str(quiz)).items if i.category == "odd")


def test_the_categories_of_a_file_are_told_without_any_picture(
    quiz: Path, reads: Counter[str]
) -> None:
    assert task_references(f"{quiz}:*") == (f"{quiz}:even", f"{quiz}:odd")
    assert not reads


@pytest.mark.parametrize("field", ["image", "images"])
def test_items_of_other_categories_still_tie_a_category_together(quiz: Path, field: str) -> None:
    tie = {"question": "Both?", "choices": ["a", "b"], "answer": 0, "category": "even",
           field: ["green.png", "yellow.png"]}  # fmt: skip
    with quiz.open("a") as file:
        file.write(json.dumps(tie) + "\n")
    odd = load_task(f"{quiz}:odd")
    assert odd.items == tuple(i for i in load_task(str(quiz)).items if i.category == "odd")
    assert odd.items[0].group == odd.items[1].group


def test_a_broken_picture_is_told_where_it_is_asked_for(quiz: Path) -> None:
    (quiz.parent / "blue.png").write_text("no picture")
    for reference in (f"{quiz}:even", str(quiz)):
        with pytest.raises(TaloError, match=r"line 3, field .image.: blue\.png is not an image"):
            load_task(reference)
    assert len(load_task(f"{quiz}:odd")) == 3
    assert len(load_task(str(quiz), first=2)) == 2


def test_of_a_parquet_the_first_item_takes_one_row_group(tmp_path: Path) -> None:
    rows = [
        {"question": f"{n}?", "answer": "x", "image": {"bytes": encoded(c), "path": None}}
        for n, c in enumerate(COLOURS)
    ]
    data = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    data.to_parquet(str(tmp_path / "quiz.parquet"), batch_size=2)
    table._row_group.cache_clear()
    load_task(str(tmp_path / "quiz.parquet"), first=1)
    assert table._row_group.cache_info().misses == 1
    assert len({item.group for item in load_task(str(tmp_path / "quiz.parquet")).items}) == 6
    assert table._row_group.cache_info().misses == 3


def test_of_a_benchmark_the_first_item_alone_is_read(tmp_path: Path, reads: Counter[str]) -> None:
    benchmark_copies.mmstar(tmp_path)
    forget_tables()
    (item,) = load_task("mmstar", data=tmp_path, first=1).items
    assert item.id == "7"
    assert len(reads) == 1
    assert load_task("mmstar", data=tmp_path).items[0] == item
