"""Where the marks of the report's charts stand, in percent of the chart's height or width.

The page draws with plain boxes, so that text keeps its size on a narrow screen and the colours
follow the reader's light or dark setting. Only the geometry is worked out here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """A linear axis from `low` to `high`, with round ticks that include 0."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Position of a value, 0 at `low` and 100 at `high`, kept on the axis."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 3)

    @property
    def zero(self) -> float:
        """Position of 0."""
        return self.at(0.0)


@dataclass(frozen=True)
class Span:
    """A box between two positions."""

    start: float
    length: float


def scale(values: Sequence[float], *, most_ticks: int = 6) -> Scale:
    """An axis that holds all values and 0, its ends on ticks of 1, 2 or 5 times a power of 10."""
    low, high = min([0.0, *values]), max([0.0, *values])
    reach = max(high - low, 1e-3)
    power = 10.0 ** math.floor(math.log10(reach / most_ticks))
    step = next(
        width * power
        for width in (1, 2, 5, 10, 20, 50)
        if _steps(low, high, width * power) <= most_ticks
    )
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    ticks = tuple(round(index * step, 10) for index in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def span(axis: Scale, start: float, end: float) -> Span:
    """The box from one value to another, whichever is larger."""
    low, high = sorted((axis.at(start), axis.at(end)))
    return Span(low, round(high - low, 3))


def every(n: int, *, most: int) -> int:
    """Label every how manieth of `n` columns so that at most `most` are labelled."""
    return next(step for step in (1, 2, 5, 10, 20, 50, 100, n) if math.ceil(n / step) <= most)


def _steps(low: float, high: float, step: float) -> int:
    return math.ceil(high / step - 1e-9) - math.floor(low / step + 1e-9)
