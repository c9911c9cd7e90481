"""Gains by layer as a bar strip: one character a layer, up for a gain, down for a loss.

Drawn with block characters alone, so that it reads the same in a pipe. Folds to the width at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

_UP = "▁▂▃▄▅▆▇█"
_DOWN = "▔▀█"
_LABEL = 7  # columns left of the bars: "+12.5 "


def strip(gains: Sequence[float | None], *, width: int, chosen: int | None = None) -> list[Text]:
    """Lines of the strip for `gains` (points, one a layer; None for a layer not scored).

    Bars up and bars down have each their own scale, named at the left; a dot is a gain of 0.
    `chosen` is marked, in green where it gains.
    """
    finite = [gain for gain in gains if gain is not None and isfinite(gain)]
    top, bottom = max([0.0, *finite]), min([0.0, *finite])
    across = max(10, width - _LABEL)
    lines: list[Text] = []
    for start in range(0, len(gains), across):
        lines += _rows(gains[start : start + across], start, top, bottom, chosen)
    return lines


def _rows(
    gains: Sequence[float | None], start: int, top: float, bottom: float, chosen: int | None
) -> list[Text]:
    from rich.text import Text

    two_sided, upwards = top > 0 > bottom, top > 0 or not bottom
    up = Text(f"{top:+6.1f} " if top > 0 else f"{'0.0':>6} ")
    axis = Text(f"{'layer':>6} ", style="dim")
    down = Text(f"{bottom:+6.1f} ")
    for offset, gain in enumerate(gains):
        layer = start + offset
        known = gain if gain is not None and isfinite(gain) else None
        up.append(_block(known, top, _UP), style="green" if known else "dim")
        down.append(" " if two_sided and not known else _block(known, bottom, _DOWN),
                    style="magenta" if known else "dim")  # fmt: skip
        if layer == chosen:
            axis.append("^", style="bold green reverse" if known and known > 0 else "bold")
        else:
            axis.append("┼" if layer % 5 == 0 else "─")
    numbers = Text(" " * _LABEL + _numbers(start, len(gains)), style="dim")
    return [*([up] if upwards else []), axis, *([down] if bottom else []), numbers]


def _block(gain: float | None, extreme: float, blocks: str) -> str:
    """The block for a gain on the side of `extreme`; a space on the other side, a dot for 0."""
    if gain == 0:
        return "·"
    if gain is None or not extreme or gain / extreme <= 0:
        return " "
    return blocks[min(len(blocks) - 1, int(gain / extreme * len(blocks) - 1e-9))]


def _numbers(start: int, count: int) -> str:
    """Layer numbers under the ticks, every ten layers (every five where they fit)."""
    step = 5 if start + count < 100 else 10
    line = [" "] * count
    for layer in range(start, start + count):
        # A number that would stick out at the right is left out: it would begin a line of its own.
        if layer % step == 0 and layer - start + len(str(layer)) <= count:
            for position, digit in enumerate(str(layer)):
                line[layer - start + position] = digit
    return "".join(line).rstrip()
