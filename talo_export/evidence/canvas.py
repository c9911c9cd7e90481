"""The look all figures share, and the one place where they are written to disk.

matplotlib is imported when something is drawn: analyses are also computed where nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from talo_export.wording import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

# Okabe and Ito's palette: told apart with any of the common colour-vision deficiencies.
GAIN = "#0072B2"
LOSS = "#D55E00"
CHOSEN = "#009E73"
NEUTRAL = "#8A8A8A"
INK = "#222222"
FAINT = "#DDDDDD"

_STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    # The axes write minus as the captions do.
    "axes.unicode_minus": False,
    "axes.edgecolor": NEUTRAL,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
    # Names of tasks and models are text, whatever stands in them.
    "text.parse_math": False,
    "svg.hashsalt": "talo-export",
    "svg.fonttype": "none",
}


@contextmanager
def figure(
    path: Path, width: float, height: float, *, title: str | None = None, svg: bool = False
) -> Iterator[Figure]:
    """A constrained-layout figure of this size in inches, written to `path` (PNG) on success.

    With `svg`, the same drawing is also written beside it, with the suffix `.svg`. The bytes
    depend on the drawing alone, not on the date.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        drawing = Figure(figsize=(width, height), dpi=160, layout="constrained", facecolor="white")
        if title is not None:
            drawing.suptitle(one_line(title), x=0.01, ha="left", fontsize=11, fontweight="bold")
        yield drawing
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasAgg(drawing).print_png(str(path), metadata={"Software": None})
        if svg:
            FigureCanvasSVG(drawing).print_svg(
                str(path.with_suffix(".svg")), metadata={"Date": None}
            )


def zero_line(axes: Axes, *, vertical: bool = False) -> None:
    """Mark "no change"."""
    draw = axes.axvline if vertical else axes.axhline
    draw(0, color=INK, linewidth=0.8, zorder=1)


def note(axes: Axes, text: str, at: Any, offset: tuple[float, float], **style: Any) -> None:
    """Write beside a place of the drawing, so many points to the right of it and above."""
    axes.annotate(text, at, xytext=offset, textcoords="offset points", **style)


def span_at_least(axes: Axes, low: float, high: float, *, horizontal: bool = False) -> None:
    """Widen what is shown to `low` and `high`: an axis that fits noise makes cliffs of it."""
    limits, widen = (
        (axes.get_xlim(), axes.set_xlim) if horizontal else (axes.get_ylim(), axes.set_ylim)
    )
    widen(min(limits[0], low), max(limits[1], high))


def layer_ticks(depth: int, most: int = 20) -> list[int]:
    """Round layer numbers to label, at most about `most` of them."""
    step = next((step for step in (1, 2, 5, 10, 20, 50) if depth <= step * most), 100)
    return list(range(0, depth, step))


@cache
def _diverging() -> Colormap:
    """Vermilion loses, blue gains, grey was not measured."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = [LOSS, "#F7F7F7", GAIN]
    return LinearSegmentedColormap.from_list("loss-gain", colours).with_extremes(bad="#BBBBBB")


def heat_map(axes: Axes, points: NDArray[np.float64], **options: Any) -> AxesImage:
    """Draw gains in points, colours symmetric about 0, 97 % of them in range, at least 5 points.

    One layer that no task can do without must not wash all others out.
    """
    known = np.abs(points[np.isfinite(points)])
    limit = max(5.0, float(np.quantile(known, 0.97))) if len(known) else 5.0
    return axes.imshow(points, cmap=_diverging(), vmin=-limit, vmax=limit, **options)


def colour_bar(drawing: Figure, image: AxesImage, label: str, **options: Any) -> None:
    """What the colours of a heat map mean."""
    bar = drawing.colorbar(image, ax=image.axes, extend="both", **options)
    bar.set_label(label, fontsize=8)
    bar.outline.set_visible(False)


def shortened(text: str, most: int = 34) -> str:
    """A label that leaves room for the figure. Its end stays: it often tells two tasks apart."""
    text = one_line(text)
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 1]}…{text[-tail:]}"
