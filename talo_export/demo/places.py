"""The places on the demo's maps: outlines, areas, neighbours, and where the middle of each lies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Literal

MapName = Literal["us", "world"]
Ring = tuple[tuple[float, float], ...]

SMALLEST_STATE_KM2 = 60_000
"""Smaller states are drawn but never marked: on a 96 pixel map they are a dot."""


@dataclass(frozen=True)
class Place:
    """A state or country. `rings` are (longitude, latitude) in degrees, the largest first."""

    name: str
    area_km2: int
    neighbours: frozenset[str]
    rings: tuple[Ring, ...]
    capital: str | None
    continent: str | None

    @cached_property
    def centre(self) -> tuple[float, float]:
        """Centroid (longitude, latitude) of the largest ring, by the shoelace formula."""
        ring = self.rings[0]
        twice_area = x_moment = y_moment = 0.0
        for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1], strict=True):
            cross = x1 * y2 - x2 * y1
            twice_area += cross
            x_moment += (x1 + x2) * cross
            y_moment += (y1 + y2) * cross
        return x_moment / (3 * twice_area), y_moment / (3 * twice_area)

    @cached_property
    def extents(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Least and greatest longitude, then latitude, of the whole outline."""
        longitudes, latitudes = zip(*(point for ring in self.rings for point in ring), strict=True)
        return (min(longitudes), max(longitudes)), (min(latitudes), max(latitudes))


def _extent_of(ring: Ring) -> float:
    longitudes, latitudes = zip(*ring, strict=True)
    return (max(longitudes) - min(longitudes)) * (max(latitudes) - min(latitudes))


@cache
def places(map_name: MapName) -> dict[str, Place]:
    """Every place drawn on a map, by name, in alphabetical order."""
    source = files("talo_export.demo") / "geography" / f"{map_name}.json"
    found = {}
    for name, facts in json.loads(source.read_text(encoding="utf-8")).items():
        rings = [
            tuple(zip((x / 100 for x in flat[::2]), (y / 100 for y in flat[1::2]), strict=True))
            for flat in facts["rings"]
        ]
        found[name] = Place(
            name,
            facts["area"],
            frozenset(facts["neighbours"]),
            tuple(sorted(rings, key=_extent_of, reverse=True)),
            facts.get("capital"),
            facts.get("continent"),
        )
    return found


@cache
def askable(map_name: MapName) -> tuple[str, ...]:
    """The places that are marked and asked about: states of some size, countries we place on a
    continent."""
    if map_name == "us":
        return tuple(n for n, p in places("us").items() if p.area_km2 >= SMALLEST_STATE_KM2)
    return tuple(n for n, p in places("world").items() if p.continent is not None)
