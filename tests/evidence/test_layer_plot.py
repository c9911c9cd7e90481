"""`layers.png` is drawn for any number of layers, and shows what it must."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from talo_export.evidence.confirmation import confirm
from talo_export.evidence.layer_plot import draw_layers
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
