"""Every benchmark, from its Parquet files as the Hub lays them to items and prompts."""

from __future__ import annotations

from pathlib import Path

import benchmark_copies
import pytest
from huggingface_hub import constants

from talo_export.errors import TaloError
from talo_export.tasks.benchmark import benchmarks
from talo_export.tasks.item import Task
from talo_export.tasks.prompts import render
from talo_export.tasks.sources import load_examples, load_task, task_references
from talo_export.tasks.split_files import missing_shards, split_files
from talo_export.tasks.splits import split_task

L = "Answer with the option's letter from the given choices directly."
SHORT = "Answer the question using a single word or phrase."


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The tables that `datasets` derives from the Parquet files go where the test's files are."""
    import datasets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a small copy of every benchmark."""
    root = tmp_path_factory.mktemp("benchmarks")
    for build in benchmark_copies.ALL:
        build(root)
    return root


def texts(task: Task, style: str = "lmms-eval") -> list[str]:
    return [render(item, style=style).text for item in task.items]


def test_every_benchmark_of_the_catalogue_has_a_copy_to_be_tested_with() -> None:
    names = {build.__name__ for build in benchmark_copies.ALL}
    assert {name.removesuffix("-circular") for name in benchmarks()} == names


@pytest.mark.parametrize("name", sorted(benchmarks()))
def test_every_picture_of_every_benchmark_opens_as_rgb(copies: Path, name: str) -> None:
    task = load_task(name, data=copies)
    pictures = [image.open() for item in task.items for image in item.images]
    assert pictures
    assert {picture.mode for picture in pictures} == {"RGB"}
    assert all(item.category for item in task.items) == bool(benchmarks()[name].divisions)


def test_scienceqa_maps(copies: Path) -> None:
    task = load_task("maps", data=copies)
    assert task.name == "scienceqa/maps"
    assert [(i.choices, i.answer) for i in task.items] == [
        (("Ohio", "Iowa"), 1),
        (("Ohio", "Iowa", "Utah"), 0),
    ]
    assert texts(task) == [
        f"Which is north?\nA. Ohio\nB. Iowa\n{L}",
        f"Context: Look at the map.\nWhich is south?\nA. Ohio\nB. Iowa\nC. Utah\n{L}",
    ]
    assert texts(task, "vlmevalkit")[1] == (
        "Hint: Look at the map.\nQuestion: Which is south?\nOptions:\nA. Ohio\nB. Iowa\nC. Utah\n"
        "Please select the correct answer from the options above. \n"
    )
    assert task.items[0].group == task.items[1].group


def test_scienceqa_strips_a_trailing_tab_and_allows_no_picture(copies: Path) -> None:
    assert len(load_task("scienceqa/oceans-and-continents", data=copies)) == 1
    assert load_task("scienceqa/geography", data=copies).items[0].images == ()
    assert len(load_task("scienceqa/topic-geography", data=copies)) == 4


def test_scienceqa_finds_categories_that_the_catalogue_does_not_list(copies: Path) -> None:
    task = load_task("scienceqa/skill-other", data=copies)
    assert [item.question for item in task.items] == ["What is a noun?"]
    with pytest.raises(TaloError, match=r"no row whose category is 'heredity': it holds Geography"):
        load_task("scienceqa/heredity", data=copies)


def test_scienceqa_has_examples_of_the_same_task(copies: Path) -> None:
    assert [i.question for i in load_examples("maps", data=copies)] == ["Trained?"]


def test_mmstar_options_stand_in_the_question(copies: Path) -> None:
    task = load_task("mmstar/image-style-quality", data=copies)
    item = task.items[0]
    assert (item.id, item.answer) == ("7", 0)
    assert item.choices == ("Red, as blood", "Blue", "Green", "Gray")
    assert texts(task) == [f"{item.question}\n{L.rstrip('.')}"]
    assert texts(task, "vlmevalkit")[0].startswith(
        "Question: <image 1> Which colour?\nOptions:\nA. Red, as blood\nB. Blue\n"
    )


def test_mmbench_plain_is_each_question_once(copies: Path) -> None:
    task = load_task("mmbench", data=copies)
    assert [(i.id, i.choices, i.answer, i.hint) for i in task.items] == [
        ("3", ("x", "y"), 0, None),
        ("4", ("p", "q", "r"), 2, "See."),
    ]
    assert texts(task) == [
        f"Which? There are several options:\nA. x\nB. y\n\n{L}",
        f"See. Which? There are several options:\nA. p\nB. q\nC. r\n\n{L}",
    ]


def test_mmbench_circular_keeps_rotations_together(copies: Path) -> None:
    task = load_task("mmbench-circular", data=copies)
    assert [(i.id, i.unit) for i in task.items] == [
        ("3", "3"), ("1000003", "3"), ("4", "4"), ("1000004", "4")
    ]  # fmt: skip
    split = split_task(task, shots=2, seed=0)
    assert len({item.unit for item in split.probe}) == 1


def test_mmmu_reads_stringified_options_and_only_the_pictures_named(copies: Path) -> None:
    item = load_task("mmmu/physics", data=copies).items[0]
    assert item.choices == ("<image 2>", "it's <image 3>", "none")
    assert len(item.images) == 3
    assert render(item).text == (
        f"Which circuit in <image 1>?\nA. <image 2>\nB. it's <image 3>\nC. none\n\n{L}"
    )


def test_mmmu_open_questions_accept_every_listed_text(copies: Path) -> None:
    task = load_task("mmmu/art-and-design", data=copies)
    item = task.items[0]
    assert (item.choices, item.accepted, item.category) == ((), ("4", "four"), "Art and Design")
    assert texts(task) == [f"How many in <image 1>?\n\n{SHORT}"]


def test_seedbench_leaves_videos_out_without_reading_a_frame(copies: Path) -> None:
    task = load_task("seedbench", data=copies)
    assert [(i.id, i.group, i.answer) for i in task.items] == [("101", "1_2", 1)]
    assert texts(task) == [f"How many?\nA. one\nB. two\nC. three\nD. None\n{L}"]
    assert len(load_task("seedbench/instances-counting", data=copies)) == 1


def test_mathvista_answers_are_texts_even_where_they_are_letters(copies: Path) -> None:
    items = {item.id: item for item in load_task("mathvista", data=copies).items}
    assert items["1"].answer == 1
    assert items["4"].answer == 1
    assert (items["2"].accepted, items["2"].tolerance) == (("1.2",), 0.05)
    assert (items["3"].accepted, items["3"].tolerance) == (("4",), 0.0)
    assert items["5"].accepted == ("[0, 10]",)
    assert [render(items[key]).text for key in "123"] == [
        f"Which point?\nA. B\nB. A\n{L}",
        "How long? (Unit: m)\n"
        "Answer the question using a single floating-point number with one decimal place.",
        "How many?\nAnswer the question using a single integer number.",
    ]
    assert render(items["1"], style="vlmevalkit").text == (
        "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, "
        "at the end.\nQuestion: Which point?\nChoices:\n(A) B\n(B) A"
    )


def test_mathvista_items_belong_to_each_of_their_skills(copies: Path) -> None:
    for skill in ("arithmetic-reasoning", "numeric-commonsense"):
        ids = [item.id for item in load_task(f"mathvista/{skill}", data=copies).items]
        assert ids == ["2", "3", "5"]


def test_ai2d_answers_are_indices_and_repeated_rows_stay(copies: Path) -> None:
    first, second = load_task("ai2d", data=copies).items
    assert first.answer == 1
    assert second.id == f"{first.id}-2"
    assert first.group == second.group


def test_realworldqa_has_options_in_the_text_or_none(copies: Path) -> None:
    lettered, free = load_task("realworldqa", data=copies).items
    assert (lettered.choices, lettered.answer) == (("Left", "Right", "Both"), 1)
    assert (free.choices, free.accepted) == ((), ("3",))
    assert render(lettered).text == lettered.question


def test_pope_is_answered_in_words(copies: Path) -> None:
    task = load_task("pope/adversarial", data=copies)
    item = task.items[0]
    assert (item.choices, item.answer, item.lettered) == (("Yes", "No"), 0, False)
    assert not render(item).lettered
    assert texts(task) == [f"Is there a dog in the image?\n{SHORT}"]
    assert texts(task, "vlmevalkit") == ["Is there a dog in the image?"]


def test_blink_reads_every_configuration(copies: Path) -> None:
    task = load_task("blink/multi-view-reasoning", data=copies)
    item = task.items[0]
    assert (item.answer, len(item.images)) == (1, 2)
    assert texts(task) == [
        "Note: You only need to respond with A, B without providing any additional information.\n"
        "Same?\n(A) yes\n(B) no"
    ]
    assert len(load_task("blink", data=copies)) == 2


def test_mme_pairs_two_questions_of_a_picture(copies: Path) -> None:
    task = load_task("mme/count", data=copies)
    assert {item.unit for item in task.items} == {"count/0006.png"}
    assert texts(task)[0] == f"Are there two?\n{SHORT}"


def test_a_pattern_loads_many_tasks(copies: Path) -> None:
    tasks = [load_task(reference, data=copies) for reference in task_references("pope/*")]
    assert [task.name for task in tasks] == ["pope/adversarial", "pope/popular", "pope/random"]


def test_references_are_loaded_one_by_one_so_that_one_failure_loses_no_other(copies: Path) -> None:
    references = task_references("mathvista/*")
    assert "mathvista/math-word-problem" in references
    assert len(load_task("mathvista/math-word-problem", data=copies)) == 3
    with pytest.raises(TaloError, match=r"no row whose metadata\.task is 'geometry problem"):
        load_task("mathvista/geometry-problem-solving", data=copies)


def test_a_copy_of_something_else_is_told_by_its_columns(copies: Path, tmp_path: Path) -> None:
    (tmp_path / "pope").symlink_to(copies / "lmms-lab" / "MME")
    with pytest.raises(TaloError, match="no column id, only question_id"):
        load_task("pope", data=tmp_path)


def test_a_directory_without_the_benchmark_says_what_to_download(tmp_path: Path) -> None:
    command = (
        r"hf download lmms-lab/POPE --repo-type dataset --revision [0-9a-f]{40} "
        r"--include '\*test-\*' --local-dir"
    )
    with pytest.raises(TaloError, match=command):
        load_task("pope", data=tmp_path)


def test_without_network_or_copy_one_sentence_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(TaloError, match="the Hub cannot be reached") as caught:
        load_task("mmmu/physics")
    assert "hf download" in str(caught.value)
    assert "--data DIR" in str(caught.value)


@pytest.mark.parametrize("name", ["a-00001-of-00002.parquet", "x/a-00000-of-00003.parquet"])
def test_shards_that_are_missing_are_noticed(name: str) -> None:
    assert missing_shards([name]) in ("1 of 2 files", "1 of 3 files")
    assert missing_shards(["a-00000-of-00001.parquet", "b.parquet", "c-0-of-2.parquet"]) is None


def test_a_copy_without_all_its_shards_is_refused(copies: Path, tmp_path: Path) -> None:
    folder = tmp_path / "MMMU"
    folder.mkdir()
    name = "validation-00001-of-00002.parquet"
    (folder / name).symlink_to(copies / "MMMU" / "data" / name)
    with pytest.raises(TaloError, match="only 1 of 2 files of mmmu's split validation"):
        load_task("mmmu", data=tmp_path)


def test_without_network_the_hubs_cache_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commit = benchmarks()["pope"].repositories["lmms-lab/POPE"]
    repository = tmp_path / "datasets--lmms-lab--POPE"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    benchmark_copies.pope(tmp_path / "made")
    (repository / "snapshots").mkdir()
    (tmp_path / "made" / "lmms-lab" / "POPE").rename(repository / "snapshots" / commit)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    task = load_task("pope/popular")
    assert len(task) == 1
    assert task.source == f"hf://lmms-lab/POPE@{commit} pope/popular"


@pytest.mark.parametrize(
    ("names", "config", "split", "expected"),
    [
        (["data/test-0-of-2.parquet", "data/test-1-of-2.parquet", "data/dev-0.parquet"],
         None, "test", ["data/test-0-of-2.parquet", "data/test-1-of-2.parquet"]),
        (["en/dev-0.parquet", "cn/dev-0.parquet"], "en", "dev", ["en/dev-0.parquet"]),
        (["dev-0.parquet", "test-0.parquet"], "en", "dev", ["dev-0.parquet"]),
        (["cn/dev-0.parquet"], "en", "dev", []),
        (["X/val-0.parquet", "Y/val.parquet"], None, "val", ["X/val-0.parquet", "Y/val.parquet"]),
        (["en/dev/0000.parquet", "en/test/0000.parquet"], "en", "dev", ["en/dev/0000.parquet"]),
        (["README.md", "mmstar.parquet"], None, "val", ["mmstar.parquet"]),
        (["data/testmini-0.parquet", "data/test-0.parquet"], None, "test", ["data/test-0.parquet"]),
        (["images.zip"], None, "test", []),
    ],
)  # fmt: skip
def test_a_splits_files_are_found_in_every_known_layout(names, config, split, expected) -> None:
    assert split_files(names, config, split) == tuple(expected)
