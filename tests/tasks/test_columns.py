"""A user's own column names, and data sets of the Hub as tasks."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
from small_pictures import encoded

from talo_export.errors import TaloError, UsageError
from talo_export.tasks.columns import parse_columns
from talo_export.tasks.hub_data import parse_hub_reference
from talo_export.tasks.sources import load_task

ROWS = [{"stem": "Which?", "opts": {"text": ["x", "y"]}, "key": "B"}]
COLUMNS = {"question": "stem", "choices": "opts.text", "answer": "key"}


def test_columns_are_parsed_from_their_option() -> None:
    assert parse_columns("question=stem, choices=opts.text,answer=key") == COLUMNS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("question", "is no column"),
        ("qestion=stem", "did you mean 'question'"),
        ("id=", "no column"),
    ],
)
def test_malformed_columns_are_wrong_usage(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_columns(text)


def test_a_files_own_columns_can_be_named(write_rows) -> None:
    item = load_task(str(write_rows(*ROWS)), columns=COLUMNS).items[0]
    assert (item.question, item.choices, item.answer) == ("Which?", ("x", "y"), 1)


def test_a_column_that_no_row_has_is_told(write_rows) -> None:
    with pytest.raises(TaloError, match=r"no column 'quest', only key, opts, stem"):
        load_task(str(write_rows(*ROWS)), columns=COLUMNS | {"question": "quest"})


def test_columns_of_a_catalogued_task_are_wrong_usage() -> None:
    with pytest.raises(UsageError, match="Columns can be named for files"):
        load_task("maps", columns=COLUMNS)


@pytest.mark.parametrize(
    ("reference", "repository", "revision", "config", "split"),
    [
        ("hf://me/set/test", "me/set", None, None, "test"),
        ("hf://me/set@v1/test", "me/set", "v1", None, "test"),
        ("hf://me/set/hard/test", "me/set", None, "hard", "test"),
    ],
)
def test_a_hub_reference_names_set_revision_configuration_and_split(
    reference: str, repository: str, revision: str | None, config: str | None, split: str
) -> None:
    location, found = parse_hub_reference(reference)
    assert list(location.repositories) == [repository]
    assert (location.revision, location.config, found) == (revision, config, split)


@pytest.mark.parametrize("reference", ["hf://me/set", "hf://me", "hf://me//test"])
def test_a_hub_reference_without_a_split_is_wrong_usage(reference: str) -> None:
    with pytest.raises(UsageError, match="names no split"):
        load_task(reference)


def test_a_hub_data_set_is_read_from_a_local_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "copy" / "me" / "set" / "data"
    folder.mkdir(parents=True)
    rows = [row | {"photo": {"bytes": encoded(), "path": None}} for row in ROWS]
    table = datasets.Dataset.from_list(rows).cast_column("photo", datasets.Image())
    table.to_parquet(str(folder / "test-00000-of-00001.parquet"))
    task = load_task(
        "hf://me/set/test", data=tmp_path / "copy", columns=COLUMNS | {"image": "photo"}
    )
    assert task.name == "me/set/test"
    assert task.items[0].answer == 1
    assert task.items[0].images[0].read() == encoded()
