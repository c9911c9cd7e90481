"""Scenes and their pictures: a map with a few places coloured in, sometimes with a line across.

A picture is a function of its `Scene` alone, so that a task needs no stored images and the
held-out drawings can be told from the training ones by looking at the scene.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from talo_export.demo.places import MapName, askable, places

if TYPE_CHECKING:
    from PIL import Image

SIZE = 96
"""Pixels on each side of a picture."""
OVERSAMPLING = 2

COLOURS = {
    "red": (220, 30, 30),
    "blue": (40, 60, 225),
    "green": (20, 150, 50),
    "yellow": (250, 215, 0),
    "purple": (150, 40, 180),
    "orange": (250, 130, 10),
}
# Land and water; none is near one of the six colours.
PALETTES = (
    ((235, 232, 222), (198, 220, 235)),
    ((255, 255, 255), (205, 212, 220)),
    ((222, 222, 222), (250, 250, 250)),
    ((240, 228, 205), (225, 240, 245)),
)
LINES = ("latitude", "longitude")
CLUSTERED = 0.35
"""Share of scenes whose places touch: by chance alone few would."""
BORDER = (120, 120, 120)
LINE = (0, 0, 0)


@dataclass(frozen=True)
class Projection:
    """Plate carrée with its own aspect: pixels a degree, and the place in the picture's middle.

    Latitude is stretched more than a true-shape map would, to make use of a square picture."""

    x_scale: float
    y_scale: float
    longitude: float
    latitude: float


PROJECTIONS: dict[MapName, Projection] = {
    "us": Projection(1.45, 3.0, -95.8, 37.5),
    "world": Projection(0.28, 0.66, 10.0, 12.0),
}


@dataclass(frozen=True)
class Line:
    """A line of latitude or longitude drawn across the map. Degrees, north and east positive."""

    kind: str
    degrees: float


@dataclass(frozen=True)
class Scene:
    """All that a picture is drawn from. `marks` are (place, colour), each colour at most once;
    `zoom` is in thousandths, `shift` in pixels."""

    map: MapName
    marks: tuple[tuple[str, str], ...]
    palette: int
    zoom: int
    shift: tuple[int, int]
    line: Line | None = None

    @property
    def identity(self) -> str:
        """A text that differs exactly where the drawing does."""
        return repr(self)

    def project(self, longitude: float, latitude: float) -> tuple[float, float]:
        """Where a point lies on the oversampled canvas, x to the right and y down."""
        base, zoom = PROJECTIONS[self.map], self.zoom / 1000
        x = SIZE / 2 + (longitude - base.longitude) * base.x_scale * zoom + self.shift[0]
        y = SIZE / 2 - (latitude - base.latitude) * base.y_scale * zoom + self.shift[1]
        return x * OVERSAMPLING, y * OVERSAMPLING


def draw(scene: Scene) -> Image.Image:
    """The picture of a scene, `SIZE` x `SIZE` RGB."""
    from PIL import Image, ImageDraw

    land, water = PALETTES[scene.palette]
    colours = dict(scene.marks)
    canvas = Image.new("RGB", (SIZE * OVERSAMPLING, SIZE * OVERSAMPLING), water)
    pencil = ImageDraw.Draw(canvas)
    # Marked places last and without a grey border, which would eat up a small one.
    for name, place in sorted(places(scene.map).items(), key=lambda entry: entry[0] in colours):
        fill = COLOURS[colours[name]] if name in colours else land
        edge = fill if name in colours else BORDER
        for ring in place.rings:
            pencil.polygon([scene.project(*point) for point in ring], fill=fill, outline=edge)
    if scene.line is not None:
        x, y = scene.project(scene.line.degrees, scene.line.degrees)
        far = SIZE * OVERSAMPLING
        ends = [(0, y), (far, y)] if scene.line.kind == "latitude" else [(x, 0), (x, far)]
        pencil.line(ends, fill=LINE, width=2)
    return canvas.resize((SIZE, SIZE), Image.Resampling.BOX)


@lru_cache(maxsize=1024)
def draw_png(scene: Scene) -> bytes:
    """The picture of a scene as PNG bytes."""
    stream = io.BytesIO()
    draw(scene).save(stream, format="PNG")
    return stream.getvalue()


def sketch(rng: random.Random, map_name: MapName, marks: int, *, line: bool = False) -> Scene:
    """A random scene: `marks` places in distinct colours, the view shifted and zoomed a little.

    A line, where asked for, crosses one of the marked places and no other.
    """
    names = _neighbourhood(rng, map_name, marks) if rng.random() < CLUSTERED else []
    names = names or rng.sample(askable(map_name), marks)
    colours = rng.sample(list(COLOURS), marks)
    spread = 60 if map_name == "us" else 30
    return Scene(
        map_name,
        tuple(zip(names, colours, strict=True)),
        rng.randrange(len(PALETTES)),
        1000 + rng.randint(-spread, spread),
        (rng.randint(-3, 3), rng.randint(-3, 3)),
        _line_across(rng, map_name, names) if line else None,
    )


def _neighbourhood(rng: random.Random, map_name: MapName, marks: int) -> list[str]:
    """`marks` places, each but the first a neighbour of an earlier one; empty if it gets stuck."""
    everything, candidates = places(map_name), askable(map_name)
    names = [rng.choice(candidates)]
    while len(names) < marks:
        beside = set().union(*(everything[name].neighbours for name in names)) - set(names)
        reachable = [name for name in candidates if name in beside]
        if not reachable:
            return []
        names.append(rng.choice(reachable))
    return names


def _line_across(rng: random.Random, map_name: MapName, names: list[str]) -> Line | None:
    """A line through one place's middle, clear of the others; None if there is none."""
    clearance = 0.7
    kind = rng.choice(LINES)
    axis = 0 if kind == "longitude" else 1
    everything = places(map_name)
    for name in names:
        degrees = round(everything[name].centre[axis], 1)
        others = (everything[other].extents[axis] for other in names if other != name)
        if all(degrees < low - clearance or degrees > high + clearance for low, high in others):
            return Line(kind, degrees)
    return None
