"""Few-shot examples: drawn apart from the items, balanced, shown answered."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from small_pictures import encoded

from talo_export.errors import UsageError
from talo_export.tasks.few_shot import with_shots
from talo_export.tasks.item import Item, ItemImage, Task
from talo_export.tasks.prompts import Turn, render
from talo_export.tasks.sources import load_examples, load_task

RED, BLUE = (ItemImage(name=color, data=encoded(color)) for color in ("red", "blue"))
L = "Answer with the option's letter from the given choices directly."


def item(key: str, answer: int = 0, **rest) -> Item:
    return Item(id=key, group=key, question=f"{key}?", choices=("x", "y"), answer=answer, **rest)


POOL = [item(f"p{n}", answer=n % 2) for n in range(20)]
TASK = Task(name="t", items=(item("a", images=(RED,)), item("b", images=(RED,))), source="here")


def test_every_item_shows_the_same_balanced_examples() -> None:
    first, second = with_shots(TASK, POOL, 4, seed=0).items
    assert first.shots == second.shots
    assert Counter(shot.answer for shot in first.shots) == {0: 2, 1: 2}


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_the_pool() -> None:
    shown = [
        [shot.id for shot in with_shots(TASK, pool, 4, seed).items[0].shots]
        for pool, seed in ((POOL, 0), (POOL[::-1], 0), (POOL, 1))
    ]
    assert shown[0] == shown[1] != shown[2]


def test_an_example_never_shares_a_picture_or_a_question_with_the_task() -> None:
    pool = [item("seen", images=(RED,)), item("a"), item("new", images=(BLUE,))]
    assert [shot.id for shot in with_shots(TASK, pool, 1, seed=0).items[0].shots] == ["new"]
    with pytest.raises(UsageError, match="1 examples that share nothing"):
        with_shots(TASK, pool, 2, seed=0)


def test_examples_are_turns_of_the_chat_before_the_item() -> None:
    asked = replace(item("a", images=(RED,)), shots=(item("s", answer=1, images=(BLUE,)),))
    prompt = render(asked)
    assert prompt.turns == (Turn(f"s?\nA. x\nB. y\n{L}", pictures=1, answer="B"),)
    assert prompt.images == (BLUE, RED)
    assert prompt.text == f"a?\nA. x\nB. y\n{L}"


def test_examples_stand_in_a_verbatim_prompt_behind_its_description() -> None:
    def verbatim(key: str, **rest) -> Item:
        return replace(item(key, **rest), question=None, prompt=f"Q: {key}\nA:", hint="Answer.\n\n")

    asked = replace(verbatim("a"), shots=(verbatim("s", answer=1),))
    assert render(asked).text == "Answer.\n\nQ: s\nA: y\n\nQ: a\nA:"


def test_examples_change_a_tasks_fingerprint() -> None:
    assert with_shots(TASK, POOL, 1, seed=0).fingerprint != TASK.fingerprint
    assert with_shots(TASK, POOL, 0, seed=0) is TASK


def test_a_yamls_examples_come_from_the_split_it_names(tmp_path: Path) -> None:
    for split in ("test", "train"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"q": split, "gold": "x"}))
    path = tmp_path / "t.yaml"
    path.write_text(
        "dataset_path: json\ntest_split: test\nfewshot_split: train\ndoc_to_text: q\n"
        "dataset_kwargs: {data_files: {test: test.jsonl, train: train.jsonl}}\n"
        "doc_to_target: gold\n"
    )
    assert [i.prompt for i in load_task(str(path)).items] == ["test"]
    assert [i.prompt for i in load_examples(str(path))] == ["train"]


@pytest.mark.parametrize("reference", ["quiz.jsonl", "hf://me/set/test", "ai2d"])
def test_data_without_a_split_for_examples_is_told(reference: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="examples"):
        load_examples(reference, data=tmp_path)
