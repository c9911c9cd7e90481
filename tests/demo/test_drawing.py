"""Pictures follow from their scenes, and show what the scenes say."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from talo_export.demo.drawing import COLOURS, SIZE, Line, Scene, draw, draw_png, sketch
from talo_export.demo.places import askable, places

SCENE = Scene("us", (("Texas", "red"), ("Ohio", "blue")), 0, 1000, (0, 0))


def pixels_of(scene: Scene, colour: str) -> int:
    """How many pixels of the picture are exactly in a colour."""
    return int((np.asarray(draw(scene)) == COLOURS[colour]).all(axis=-1).sum())


def test_the_same_scene_gives_the_same_bytes() -> None:
    draw_png.cache_clear()
    first = draw_png(SCENE)
    draw_png.cache_clear()
    assert draw_png(replace(SCENE)) == first


def test_every_colour_marked_is_seen_and_no_other() -> None:
    assert pixels_of(SCENE, "red") > pixels_of(SCENE, "blue") > 0
    assert all(pixels_of(SCENE, colour) == 0 for colour in COLOURS if colour not in ("red", "blue"))


@pytest.mark.parametrize("map_name", ["us", "world"])
def test_every_place_asked_about_is_seen_at_the_smallest_zoom(map_name) -> None:
    for name in askable(map_name):
        scene = Scene(map_name, ((name, "red"),), 0, 940 if map_name == "us" else 970, (0, 0))
        reddish = np.abs(np.asarray(draw(scene)).astype(int) - COLOURS["red"]).sum(axis=-1) < 200
        assert reddish.any(), name


def test_a_place_lies_where_its_coordinates_say() -> None:
    x, y = SCENE.project(*places("us")["Texas"].centre)
    assert draw(SCENE).getpixel((int(x / 2), int(y / 2))) == COLOURS["red"]


def test_a_line_of_latitude_is_drawn_from_edge_to_edge() -> None:
    picture = np.asarray(draw(replace(SCENE, line=Line("latitude", 40.0))))
    row = int(SCENE.project(0, 40.0)[1] / 2)
    darkest = picture[row - 1 : row + 2].sum(axis=-1).min(axis=0)
    assert darkest.shape == (SIZE,)
    assert (darkest < 400).all()


def test_the_same_seed_sketches_the_same_scene() -> None:
    assert sketch(random.Random("x"), "us", 4) == sketch(random.Random("x"), "us", 4)


def test_marks_are_distinct_places_in_distinct_colours() -> None:
    for seed in range(50):
        scene = sketch(random.Random(seed), "world", 5)
        assert len({name for name, _ in scene.marks}) == len(dict(scene.marks)) == 5
        assert len({colour for _, colour in scene.marks}) == 5
