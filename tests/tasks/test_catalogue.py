"""The catalogue's names: enough of them, unambiguous ones bare, wrong ones answered helpfully."""

from __future__ import annotations

import re

import pytest

from talo_export.errors import UsageError
from talo_export.tasks.benchmark import benchmarks
from talo_export.tasks.catalogue import entries, find_entry, list_tasks, match_entries
from talo_export.tasks.prompts import Style
from talo_export.tasks.sources import task_references


def test_there_are_more_than_150_tasks_of_eleven_benchmarks() -> None:
    tasks = [entry for entry in match_entries("all") if entry.benchmark.bare_names]
    assert len(tasks) > 150
    assert len({entry.benchmark.name for entry in tasks}) == 11


def test_every_repository_is_read_at_a_commit() -> None:
    for benchmark in benchmarks().values():
        assert benchmark.repositories
        assert all(re.fullmatch("[0-9a-f]{40}", pin) for pin in benchmark.repositories.values())


def test_names_are_distinct_and_plain() -> None:
    for benchmark in benchmarks().values():
        names = [d.name(value) for d in benchmark.divisions for value in d.values]
        assert len(names) == len(set(names))
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-/") for name in entries())


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("maps", "scienceqa/maps"),
        ("physics", "mmmu/physics"),
        ("jigsaw", "blink/jigsaw"),
        ("celebrity-recognition", "mmbench/celebrity-recognition"),
        ("mmstar/math", "mmstar/math"),
        ("mmstar", "mmstar"),
        ("ai2d", "ai2d"),
    ],
)
def test_a_name_is_full_or_bare_where_it_is_unique(name: str, full: str) -> None:
    assert find_entry(name).name == full


def test_an_ambiguous_name_lists_what_it_could_mean() -> None:
    with pytest.raises(UsageError, match="'math' could be any of mmmu/math, mmstar/math"):
        find_entry("math")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("mapz", "'maps'"), ("mmmu/fysics", "'mmmu/physics'"), ("sciencqa", "scienceqa")],
)
def test_an_unknown_name_suggests_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match="did you mean") as caught:
        find_entry(name)
    assert hint in str(caught.value)


def test_a_name_like_a_data_set_of_the_hub_says_how_to_write_one() -> None:
    with pytest.raises(UsageError, match="hf://someone/quiz/SPLIT"):
        find_entry("someone/quiz")


def test_a_category_that_is_not_listed_is_looked_for_where_more_are_known_to_be() -> None:
    entry = find_entry("scienceqa/skill-name-the-parts-of-a-flower")
    assert (entry.division.column, entry.value) == ("skill", "name-the-parts-of-a-flower")
    assert find_entry("scienceqa/heredity").division.column == "category"
    for name in ("scienceqa/mapps", "mmstar/heredity"):
        with pytest.raises(UsageError, match="no task and no file"):
            find_entry(name)


def test_a_pattern_means_a_benchmarks_tasks_but_not_its_whole() -> None:
    names = [entry.name for entry in match_entries("pope/*")]
    assert names == ["pope/adversarial", "pope/popular", "pope/random"]
    assert "ai2d" in task_references("all")
    assert "mmstar" not in task_references("all")


@pytest.mark.parametrize("pattern", ["mmtar/*", "nothing*"])
def test_a_pattern_without_a_match_is_wrong_usage(pattern: str) -> None:
    with pytest.raises(UsageError, match="No task matches"):
        match_entries(pattern)


def test_the_list_tells_size_chance_scoring_and_source() -> None:
    (info,) = list_tasks("mmbench/ocr")
    assert (info.name, info.items, info.chance) == ("mmbench/ocr", 39, None)
    assert info.source == "lmms-lab-encoder/MMBench en dev"
    assert info.scoring == "generate"
    assert "ocr" in info.description
    assert [i.chance for i in list_tasks("mmstar/math")] == [0.25]
    assert list_tasks("mmbench-circular")[0].scoring == "generate, circular"


def test_the_list_is_searched_by_any_part_of_a_name() -> None:
    assert {info.name for info in list_tasks("counting")} >= {
        "blink/counting",
        "mmstar/object-counting",
    }
    assert list_tasks() == list_tasks("all") == list_tasks("*")
    with pytest.raises(UsageError, match="No task matches 'cuonting': did you mean 'counting'"):
        list_tasks("cuonting")


def test_sizes_of_a_division_add_up_to_the_benchmarks() -> None:
    for benchmark in benchmarks().values():
        sizes = [size for d in benchmark.divisions[:1] for size in d.values.values()]
        if sizes and None not in sizes:
            assert sum(size or 0 for size in sizes) == benchmark.size, benchmark.name


def test_wordings_belong_to_known_styles_and_every_benchmark_has_lmms_evals() -> None:
    for benchmark in benchmarks().values():
        assert "lmms-eval" in benchmark.wordings
        assert set(benchmark.wordings) <= set(Style.__args__)
