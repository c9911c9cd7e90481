"""The report on a task: what it counts and what it warns of."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from small_pictures import encoded

from talo_export.errors import TaloError
from talo_export.tasks.averages import average
from talo_export.tasks.check import check_task
from talo_export.tasks.item import Item

TWO = {"choices": ["x", "y"]}


def test_counts_letters_categories_and_chance(write_rows) -> None:
    path = write_rows(
        {"id": "a", "question": "1?", "answer": "A", "category": "c", **TWO},
        {"id": "b", "question": "2?", "answer": "B", "category": "d", **TWO},
        {"id": "c", "question": "3?", "answer": "D", "choices": ["p", "q", "r", "s"]},
        {"id": "d", "question": "4?", "answer": "free"},
    )
    report = check_task(str(path))
    assert (report.items, report.groups, report.multiple_choice, report.free_form) == (4, 4, 3, 1)
    assert report.letters == {"A": 1, "B": 1, "D": 1}
    assert report.choices_per_item == {2: 2, 4: 1}
    assert report.categories == {"c": 1, "d": 1}
    assert report.chance == pytest.approx((0.5 + 0.5 + 0.25 + 0) / 4)
    assert report.constant_accuracy == 0.25
    assert report.warnings == ()


def test_one_letter_that_is_nearly_always_right_is_a_warning(write_rows) -> None:
    rows = [{"id": n, "question": f"{n}?", "answer": "B", **TWO} for n in range(10)]
    report = check_task(str(write_rows(*rows)))
    assert report.warnings == (
        "Always answering B scores 100 %, chance is 50 %: shuffle the choices.",
    )


def test_the_same_question_in_other_words_of_layout_is_a_duplicate_and_a_leak(write_rows) -> None:
    path = write_rows(
        {"id": "a", "question": "Which one?", "choices": ["x", "y"], "answer": 0},
        {"id": "b", "question": "  which ONE", "choices": ["y", "x"], "answer": 1},
        {"id": "c", "question": "Which one?", "choices": ["x", "z"], "answer": 0},
    )
    report = check_task(str(path))
    assert report.same_content == report.leaks == (("a", "b"),)
    assert report.contradictions == ()


def test_duplicates_with_different_right_answers_contradict(write_rows) -> None:
    path = write_rows(
        {"id": "a", "group": "g", "question": "?!x", "answer": 0, **TWO},
        {"id": "b", "group": "g", "question": "?!x", "answer": 1, **TWO},
    )
    report = check_task(str(path))
    assert report.contradictions == (("a", "b"),)
    assert report.leaks == ()
    assert "different right answers" in report.warnings[0]


def test_a_reencoded_picture_is_the_same_picture(tmp_path: Path, write_rows) -> None:
    (tmp_path / "a.png").write_bytes(encoded("red"))
    (tmp_path / "b.bmp").write_bytes(encoded("red", kind="BMP"))
    rows = [{"id": n, "question": "?x", "answer": 0, "image": n, **TWO} for n in ("a.png", "b.bmp")]
    assert check_task(str(write_rows(*rows))).leaks == (("a.png", "b.bmp"),)


def test_a_picture_broken_behind_its_header_is_told(tmp_path: Path, write_rows) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "PNG")
    (tmp_path / "cut.png").write_bytes(buffer.getvalue()[:2000])
    path = write_rows({"id": "a", "question": "?", "answer": "x", "image": "cut.png"})
    with pytest.raises(TaloError, match=r"item a: cut\.png"):
        check_task(str(path))


def test_repeated_choices_are_told(write_rows) -> None:
    path = write_rows({"id": "a", "question": "?", "choices": ["no", "no ", "yes"], "answer": 2})
    assert check_task(str(path)).repeated_choices == ("a",)


def test_items_shared_with_another_task_are_told(tmp_path: Path, write_rows) -> None:
    (tmp_path / "red.png").write_bytes(encoded("red"))
    ours = write_rows(
        {"id": "a", "question": "Same?", "answer": "x"},
        {"id": "b", "question": "Seen?", "answer": "x", "image": "red.png"},
        {"id": "c", "question": "New?", "answer": "x"},
    )
    theirs = write_rows(
        {"id": "p", "question": "same", "answer": "x"},
        {"id": "q", "question": "Other?", "answer": "x", "image": "red.png"},
        name="other.jsonl",
    )
    report = check_task(str(ours), against=str(theirs))
    assert report.shared_with_other == (("a", "p"), ("b", "q"))
    assert "The other task holds" in report.warnings[-1]


def test_micro_macro_and_unit_averages_differ_and_are_named() -> None:
    def item(key: str, category: str, unit: str) -> Item:
        return Item(id=key, group=key, question="?", accepted=("x",), category=category, unit=unit)

    items = [item("a", "c", "u"), item("b", "c", "u"), item("c", "c", "v"), item("d", "d", "v")]
    result = average(items, {"a": True, "b": True, "c": True, "d": False})
    assert result.micro == 0.75
    assert result.macro == 0.5
    assert result.by_category == {"c": 1.0, "d": 0.0}
    assert (result.unit, result.units) == (0.5, 2)


def test_averages_without_categories_or_units_are_none() -> None:
    result = average([Item(id="a", group="a", question="?", accepted=("x",))], {"a": True})
    assert (result.micro, result.macro, result.unit) == (1.0, None, None)
