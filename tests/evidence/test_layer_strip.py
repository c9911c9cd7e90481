"""The bar strip: one character a layer, whatever the width."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from talo_export.evidence.layer_strip import strip

gains = st.lists(st.none() | st.floats(-100, 100), min_size=1, max_size=90)


@given(gains, st.integers(17, 120))
def test_no_line_is_wider_than_asked(values: list[float | None], width: int) -> None:
    assert all(len(line.plain) <= width + 3 for line in strip(values, width=width))


def test_a_gain_goes_up_and_a_loss_down() -> None:
    up, axis, down, _ = (line.plain for line in strip([10.0, -10.0], width=40))
    assert (up[7], up[8]) == ("█", " ")
    assert (down[7], down[8]) == (" ", "█")
    assert "+10.0" in up
    assert "-10.0" in down
    assert axis[7] == "┼"


def test_the_chosen_layer_is_marked() -> None:
    axis = strip([1.0, 2.0, -1.0], width=40, chosen=1)[1].plain
    assert axis[7:10] == "┼^─"


def test_layers_that_gain_nothing_are_seen_and_told_from_those_not_scored() -> None:
    up, axis, numbers = (line.plain for line in strip([0.0, None, 0.0], width=40))
    assert up == "   0.0 · ·"
    assert axis[7:10] == "┼──"
    assert numbers.strip() == "0"
    up, *_ = (line.plain for line in strip([0.0, 5.0], width=40))
    assert up[7:9] == "·█"
    _, down, _ = (line.plain for line in strip([0.0, -5.0], width=40))
    assert down[7:9] == "·█"


def test_a_layer_chosen_without_a_gain_is_marked_in_no_colour() -> None:
    _, axis, _ = strip([0.0, 5.0], width=40, chosen=0)
    assert [span.style for span in axis.spans if span.start == 7] == ["bold"]
    _, axis, _ = strip([0.0, 5.0], width=40, chosen=1)
    assert "bold green reverse" in [span.style for span in axis.spans]


def test_every_layer_has_a_place_when_folded() -> None:
    lines = strip([float(layer) for layer in range(80)], width=47)
    bars = [line.plain[7:] for line in lines if line.plain.startswith(" +79.0")]
    assert sum(map(len, bars)) == 80


def test_a_layer_that_was_not_scored_is_blank() -> None:
    up, _, _ = (line.plain for line in strip([1.0, None], width=40))
    assert up[8] == " "
