"""Which pictures a row has, and where in the question they go."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from asked_models import document, saved_llava
from small_pictures import encoded

from talo_export.errors import TaloError
from talo_export.tasks.item import Item
from talo_export.tasks.prompts import placed
from talo_export.tasks.sources import load_task

ROW = {"id": "a", "question": "Colour?", "choices": ["red", "green"], "answer": 0}


def item_of(folder: Path, fields: dict[str, Any]) -> Item:
    for color in ("red", "blue"):
        (folder / f"{color}.png").write_bytes(encoded(color))
    (folder / "quiz.jsonl").write_text(json.dumps(ROW | fields))
    return load_task(str(folder / "quiz.jsonl")).items[0]


@pytest.mark.parametrize("nothing", [[], None, "", "[]", [None], {"bytes": None, "path": None}])
def test_no_images_do_not_hide_an_image(tmp_path: Path, nothing: Any) -> None:
    item = item_of(tmp_path, {"images": nothing, "image": "red.png"})
    assert [image.read() for image in item.images] == [encoded("red")]
    other = item_of(tmp_path, {"image": nothing, "image_path": "red.png"})
    assert [image.read() for image in other.images] == [encoded("red")]


@pytest.mark.parametrize("name", ["[1].jpg", "a#1.jpg", "['a'].jpg", "{x}.jpg", "a%20b.jpg"])
@pytest.mark.parametrize("field", ["image", "images", "image_path"])
def test_a_files_name_is_a_files_name(tmp_path: Path, name: str, field: str) -> None:
    (tmp_path / name).write_bytes(encoded())
    assert item_of(tmp_path, {field: name}).images[0].read() == encoded()


def test_a_task_file_may_have_such_a_name_too(tmp_path: Path) -> None:
    for name in ("[1].jsonl", "a#1.jsonl", "a:b.jsonl"):
        (tmp_path / name).write_text(json.dumps(ROW))
        assert len(load_task(str(tmp_path / name))) == 1


def test_an_image_that_is_none_of_the_images_is_told(tmp_path: Path) -> None:
    both = {"images": ["red.png", "blue.png"], "image": "blue.png"}
    assert len(item_of(tmp_path, both).images) == 2
    with pytest.raises(TaloError, match="field 'image': is none of 'images'"):
        item_of(tmp_path, both | {"images": ["red.png"]})


def test_bytes_in_json_are_base64(tmp_path: Path) -> None:
    text = base64.b64encode(encoded()).decode()
    assert (
        item_of(tmp_path, {"image": {"bytes": text, "path": "a.png"}}).images[0].read() == encoded()
    )


@pytest.mark.parametrize("question", ["<image>\nColour?", "<image>Colour?", "\n<image>\n\nColour?"])
def test_a_place_in_front_is_where_pictures_are_anyway(tmp_path: Path, question: str) -> None:
    """As LLaVA's own rows have it."""
    assert item_of(tmp_path, {"question": question, "image": "red.png"}).question == "Colour?"


@pytest.mark.parametrize(
    ("question", "images"),
    [("<image> or <image>?", ["red.png"]), ("Is <image> it?", ["red.png", "blue.png"])],
)
def test_places_that_are_not_as_many_as_pictures_are_told(
    tmp_path: Path, question: str, images: list[str]
) -> None:
    with pytest.raises(TaloError, match=r"field 'question': has . places for pictures"):
        item_of(tmp_path, {"question": question, "images": images})


def test_a_text_is_split_at_its_places() -> None:
    assert placed("Is <image> like <image>?", 2) == ["Is ", None, " like ", None, "?"]
    assert placed("<image>Why?<image>", 2) == [None, "Why?", None]
    assert placed("Why?", 2) == [None, None, "Why?"]
    assert placed("What is <image> in HTML?", 0) == ["What is <image> in HTML?"]


@pytest.mark.parametrize(
    ("question", "images", "sent"),
    [
        ("<image>\nColour?", ["red.png"], "user: <image>Colour?"),
        ("Colour of\n<image>", ["red.png"], "user: Colour of\n<image>\n"),
        ("Is <image> like <image>?", ["red.png", "blue.png"], "user: Is <image> like <image>?"),
    ],
)
def test_a_model_sees_a_picture_in_its_place(
    tmp_path: Path, question: str, images: list[str], sent: str
) -> None:
    item_of(tmp_path, {"question": question, "images": images, "choices": None, "answer": "red"})
    model = saved_llava(tmp_path / "model")
    shown = document("tasks", tmp_path / "quiz.jsonl", "--show", 1, "--model", model,
                     "--out", tmp_path / "shown")  # fmt: skip
    assert sent in shown["items"][0]["text"]
    assert shown["items"][0]["text"].count("<image>") == len(images)
