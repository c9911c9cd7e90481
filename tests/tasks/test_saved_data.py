"""Typed data: Parquet and saved data sets, read as they are and left as they were."""

from __future__ import annotations

from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from small_pictures import encoded

from talo_export.errors import TaloError
from talo_export.tasks.check import check_task
from talo_export.tasks.files import load_task_file
from talo_export.tasks.sources import load_task

LABELS = ["negative", "positive", "neutral"]


def saved(path: Path, dataset: Dataset) -> Path:
    """The data set as a directory, or as Parquet where the path says so."""
    dataset.to_parquet(str(path)) if path.suffix else dataset.save_to_disk(str(path))
    return path


def everything(path: Path) -> list[tuple[str, int, int]]:
    """Every file below a directory, its size and when it was changed."""
    return sorted((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in path.rglob("*"))


@pytest.mark.parametrize("several", [False, True])
def test_reading_a_saved_data_set_changes_nothing_in_it(tmp_path: Path, several: bool) -> None:
    kind = List(Image()) if several else Image()
    picture = {"bytes": encoded(), "path": None}
    rows = [{"question": f"{n}?", "answer": "x", "image": [picture] if several else picture}
            for n in range(40)]  # fmt: skip
    features = Features({"question": Value("string"), "answer": Value("string"), "image": kind})
    folder = tmp_path / "saved"
    Dataset.from_list(rows, features=features).save_to_disk(str(folder), num_shards=20)
    before = everything(tmp_path)
    task = load_task_file(folder)
    assert {len(item.images) for item in task.items} == {1}
    assert task.items[0].images[0].open().size
    assert everything(tmp_path) == before


def test_reading_parquet_writes_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "copy" / "me" / "set" / "data"
    folder.mkdir(parents=True)
    saved(folder / "test-0.parquet", Dataset.from_list([{"question": "?", "answer": "x"}]))
    before = everything(tmp_path)
    assert len(load_task("hf://me/set/test", data=tmp_path / "copy")) == 1
    assert everything(tmp_path) == before


def test_no_bar_is_shown_for_many_shards(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [{"question": f"{n}?", "answer": "x"} for n in range(40)]
    Dataset.from_list(rows).save_to_disk(str(tmp_path / "saved"), num_shards=20)
    capfd.readouterr()
    load_task_file(tmp_path / "saved")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["labels", "labels.parquet"])
def test_labels_are_their_names(tmp_path: Path, name: str) -> None:
    rows = [{"question": f"{n}?", "answer": n, "category": n, "tags": [n, 0]} for n in (1, 0)]
    kinds = {"answer": ClassLabel(names=LABELS), "category": ClassLabel(names=["film", "book"]),
             "tags": List(ClassLabel(names=LABELS))}  # fmt: skip
    table = Dataset.from_list(rows, features=Features({"question": Value("string"), **kinds}))
    path = saved(tmp_path / name, table)
    first, second = load_task_file(path).items
    assert (first.accepted, first.category) == (("positive",), "book")
    assert (second.accepted, second.category) == (("negative",), "film")
    tags = load_task_file(path, columns={"answer": "tags"}).items[0]
    assert tags.accepted == ("positive", "negative")
    (note,) = check_task(str(path)).notes
    assert "3 different answers (negative, positive, neutral)" in note
    assert "--choices-from answer" in note


def test_all_names_of_a_label_column_become_choices_in_their_order(tmp_path: Path) -> None:
    features = Features({"question": Value("string"), "answer": ClassLabel(names=LABELS)})
    table = Dataset.from_list([{"question": "?", "answer": 1}], features=features)
    path = saved(tmp_path / "labels", table)
    item = load_task_file(path, choices_from="answer").items[0]
    assert (item.choices, item.answer) == (tuple(LABELS), 1)


def test_a_label_names_a_letter_or_a_choice(tmp_path: Path) -> None:
    for names in (["A", "B"], ["x", "y"]):
        features = Features({"question": Value("string"), "choices": List(Value("string")),
                             "answer": ClassLabel(names=names)})  # fmt: skip
        rows = [{"question": "?", "choices": ["x", "y"], "answer": 1}]
        path = saved(tmp_path / names[0], Dataset.from_list(rows, features=features))
        assert load_task_file(path).items[0].answer == 1


def test_a_row_without_a_label_is_told(tmp_path: Path) -> None:
    features = Features({"question": Value("string"), "answer": ClassLabel(names=LABELS)})
    table = Dataset.from_list([{"question": "?", "answer": -1}], features=features)
    with pytest.raises(TaloError, match="row 1, field 'answer': missing"):
        load_task_file(saved(tmp_path / "labels.parquet", table))


def test_categories_of_pandas_are_their_names(tmp_path: Path) -> None:
    table = pa.table({"question": ["a", "b"], "answer": pa.array(["x", "y"]).dictionary_encode()})
    pq.write_table(table, tmp_path / "quiz.parquet")
    items = load_task_file(tmp_path / "quiz.parquet").items
    assert [item.accepted for item in items] == [("x",), ("y",)]


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_a_format_that_was_set_before_saving_changes_no_value(tmp_path: Path, kind: str) -> None:
    rows = [{"question": "?", "choices": ["x", "y"], "answer": 1}]
    table = Dataset.from_list(rows).with_format(kind, columns=["answer"])
    item = load_task_file(saved(tmp_path / "saved", table)).items[0]
    assert (item.question, item.choices, item.answer) == ("?", ("x", "y"), 1)


def test_options_of_a_record_are_those_that_are_not_null(tmp_path: Path) -> None:
    records = {"B": {"A": "x", "B": "y", "C": None}, "C": {"A": "x", "B": "y", "C": "z"}}
    rows = [{"question": key, "options": record, "answer": key} for key, record in records.items()]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "quiz.parquet")
    items = load_task_file(tmp_path / "quiz.parquet").items
    assert [(item.choices, item.answer) for item in items] == [
        (("x", "y"), 1),
        (("x", "y", "z"), 2),
    ]


def test_pictures_of_several_row_groups_stay_with_their_rows(tmp_path: Path) -> None:
    colors = ["red", None, "blue", "green", None, "gray", "pink"]
    rows = [{"question": f"{n}?", "answer": "x", "image": c and {"bytes": encoded(c), "path": c}}
            for n, c in enumerate(colors)]  # fmt: skip
    kinds = {"bytes": pa.binary(), "path": pa.string()}
    schema = pa.schema({"question": pa.string(), "answer": pa.string(), "image": pa.struct(kinds)})
    pq.write_table(
        pa.Table.from_pylist(rows, schema=schema), tmp_path / "quiz.parquet", row_group_size=2
    )
    items = load_task_file(tmp_path / "quiz.parquet").items
    pictures = [[image.read() for image in item.images] for item in items]
    assert pictures == [[encoded(color)] if color else [] for color in colors]


@pytest.mark.parametrize("broken", ["data-00000-of-00001.arrow", "state.json"])
@pytest.mark.parametrize("gone", [False, True])
def test_a_broken_saved_data_set_is_told(tmp_path: Path, broken: str, gone: bool) -> None:
    folder = saved(tmp_path / "saved", Dataset.from_list([{"question": "?", "answer": "x"}]))
    (folder / broken).unlink() if gone else (folder / broken).write_bytes(b"{")
    with pytest.raises(TaloError, match="saved"):
        load_task_file(folder)
