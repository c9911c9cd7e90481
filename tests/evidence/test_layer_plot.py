"""`layers.png` is drawn for any number of layers, and shows what it must."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from talo_export.evidence.canvas import CHOSEN
from talo_export.evidence.confirmation import confirm
from talo_export.evidence.layer_plot import draw_layers, finding
from talo_export.evidence.selection import select


def simulated(make_table, depth: int, n: int = 120):
    rng = np.random.default_rng(depth)
    base = rng.random(n) < 0.5
    layers = [np.where(rng.random(n) < 0.2, rng.random(n) < 0.4, base) for _ in range(depth)]
    layers[0] = rng.random(n) < 0.02
    layers[depth // 2] = base | (rng.random(n) < 0.5)
    return make_table(base, layers)


@pytest.mark.parametrize("depth", [2, 8, 80])
def test_a_figure_is_drawn_for_any_depth(make_table, tmp_path, depth):
    table = simulated(make_table, depth)
    probe, unseen = table.take_items(range(40)), table.take_items(range(40, 120))
    selection = select(probe, criterion="accuracy")
    path = tmp_path / "new" / "layers.png"
    drawn = draw_layers(
        probe,
        selection,
        confirm(unseen, selection.knockout, seed=0),
        path,
        title="A task",
        svg=True,
    )
    with Image.open(drawn) as picture:
        assert picture.width >= 900
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20
    drawing = path.with_suffix(".svg").read_text()
    assert "decoder layer knocked out" in drawing
    assert f"layer {selection.knockout.layer}: {100 * selection.gain:+.1f}" in drawing
    assert "80 unseen items" in drawing
    assert "chosen on 40 items" in drawing


def finding_of(make_table, base, layers, seen=10, **options):
    table = make_table(base, layers)
    selection = select(table.take_items(range(seen)), criterion="accuracy", **options)
    unseen = table.take_items(range(seen, len(base)))
    return finding(selection, confirm(unseen, selection.knockout, seed=0))


def test_the_title_is_the_finding(make_table):
    base, better = [1, 0] * 30, [1] * 60
    assert finding_of(make_table, base, [base, better]) == (
        "Without layer 1's attention 50 % become 100 % on 50 items it never saw"
    )
    luck = [1] * 10 + base[10:]
    assert finding_of(make_table, base, [luck]) == (
        "Without layer 0's attention 50 % stay 50 % on 50 items it never saw: not confirmed"
    )
    harm = [1] * 10 + [0] * 50
    assert finding_of(make_table, base, [harm]) == (
        "Without layer 0's attention 50 % become 0 % on 50 items it never saw: it harms"
    )
    assert finding_of(make_table, base, [base]) == (
        "Keep the base: no layer gains anything on 10 items"
    )
    assert finding_of(make_table, base, [better], min_gain=0.9) == (
        "Keep the base: no layer's cut is worth it on 10 items"
    )


def test_a_difference_under_two_points_is_not_rounded_away(make_table):
    base = [1, 0] * 100
    slightly = [*[1] * 10, *base[10:-1], 1]
    assert "50.0 % become 50.5 % on 190 items" in finding_of(make_table, base, [slightly])


def picture(make_table, tmp_path, base, layers, scores=None):
    table = make_table(base, layers, scores=scores)
    selection = select(table)
    draw_layers(table, selection, None, tmp_path / "drawn.png", title="Drawn", svg=True)
    return (tmp_path / "drawn.svg").read_text()


def test_the_ceiling_and_each_colour_that_is_drawn_are_named(make_table, tmp_path):
    base = [1, 1, 1, 0]
    text = picture(make_table, tmp_path, base, [[1] * 4, [0] * 4, base])
    assert all(word in text for word in ("all right", "chosen", "fewer right", "no difference"))
    assert "more right" not in text  # Only the chosen layer gains, and it has its own colour.
    low = picture(make_table, tmp_path, [0] * 40, [[0] * 40])
    assert "all right at +100.0" in low


def test_a_layer_chosen_without_a_gain_in_accuracy_has_no_green(make_table, tmp_path):
    right = np.array([1, 0] * 6)
    scores = np.zeros((2, 12, 2))
    scores[:, :, 0] = np.where(right, 1.0, -1.0) + np.array([[0.0], [0.5]])
    scores[1, :, 0] += np.linspace(0, 0.1, 12)
    text = picture(make_table, tmp_path, right, [right], scores)
    assert "layer 0: 0.0" in text
    assert "chosen by its margin" in text
    assert CHOSEN.lower() not in text.lower()


def test_where_no_layer_gains_or_loses_every_layer_is_still_seen(make_table, tmp_path):
    text = picture(make_table, tmp_path, [1, 0] * 10, [[1, 0] * 10] * 8)
    assert "Keep the base: no layer gains anything" in text
    assert "no difference" in text


def test_a_kept_base_and_a_missing_confirmation_are_said_in_the_figure(make_table, tmp_path):
    table = make_table([1, 1, 0], [[1, 0, 0], [1, 1, 0]])
    kept = select(table, criterion="accuracy")
    draw_layers(table, kept, None, tmp_path / "kept.png", title="Kept", svg=True)
    assert "keep the" in (tmp_path / "kept.svg").read_text()
    table = make_table([1, 1, 0], [[1, 1, 1], [1, 1, 0]])
    draw_layers(
        table, select(table, criterion="accuracy"), None, tmp_path / "open.png", title="Open",
        svg=True,
    )  # fmt: skip
    assert "not tested" in (tmp_path / "open.svg").read_text()


def test_the_same_scores_give_the_same_bytes(make_table, tmp_path):
    table = simulated(make_table, 8)
    selection = select(table, criterion="accuracy")
    for name in ("one.png", "two.png"):
        draw_layers(table, selection, None, tmp_path / name, title="A task", svg=True)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
