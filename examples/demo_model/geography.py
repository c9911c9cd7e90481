"""Derive the demo's geography from the npm packages us-atlas and world-atlas.

    npm pack us-atlas@3.0.1 world-atlas@2.0.2       # both ISC, see the notices kept beside the data
    for f in *.tgz; do mkdir -p ${f%.tgz} && tar xzf $f -C ${f%.tgz}; done
    python examples/demo_model/geography.py . talo_export/demo/geography

Borders are simplified arc by arc (Douglas-Peucker), so neighbours keep sharing their border, and
two places are neighbours exactly where they share an arc. Coordinates are hundredths of a degree.
Capitals and continents are common knowledge, written down in `facts.py`.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

from facts import CAPITALS, CONTINENTS, RENAMED

EARTH_RADIUS_KM = 6371.0
Point = tuple[float, float]


def decode_arcs(topology: dict[str, Any]) -> list[list[Point]]:
    """Undo TopoJSON's delta encoding and quantisation: one list of (lon, lat) an arc."""
    scale, translate = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for encoded in topology["arcs"]:
        x = y = 0
        arc = []
        for dx, dy in encoded:
            x, y = x + dx, y + dy
            arc.append((x * scale[0] + translate[0], y * scale[1] + translate[1]))
        arcs.append(arc)
    return arcs


def simplify(arc: list[Point], tolerance: float) -> list[Point]:
    """Douglas-Peucker, degrees. A closed arc is split at the point farthest from its start."""
    if len(arc) < 3:
        return arc
    (ax, ay), (bx, by) = arc[0], arc[-1]
    length = math.hypot(bx - ax, by - ay)

    def distance(point: Point) -> float:
        if length == 0:
            return math.hypot(point[0] - ax, point[1] - ay)
        return abs((bx - ax) * (ay - point[1]) - (ax - point[0]) * (by - ay)) / length

    far = max(range(1, len(arc) - 1), key=lambda index: distance(arc[index]))
    if distance(arc[far]) <= tolerance:
        return [arc[0], arc[-1]]
    return simplify(arc[: far + 1], tolerance)[:-1] + simplify(arc[far:], tolerance)


def polygons(geometry: dict[str, Any]) -> list[list[int]]:
    """The outer rings of a geometry, each a list of arc numbers (~n is arc n backwards)."""
    if geometry["type"] == "Polygon":
        return [geometry["arcs"][0]]
    return [polygon[0] for polygon in geometry["arcs"]]


def assemble(ring: list[int], arcs: list[list[Point]]) -> list[Point]:
    """The points of a ring, the join of two arcs only once, the closing point left out.

    A ring that jumps from one edge of the world map to the other goes on past the edge instead.
    """
    points: list[Point] = []
    for number in ring:
        arc = arcs[number] if number >= 0 else arcs[~number][::-1]
        for longitude, latitude in arc[:-1]:
            turns = round((points[-1][0] - longitude) / 360) if points else 0
            points.append((longitude + 360 * turns, latitude))
    return points


def spherical_area(ring: list[Point]) -> float:
    """Square kilometres inside a ring: the line integral of sin(lat) d(lon) on a sphere."""
    total = 0.0
    for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1], strict=True):
        total += math.radians(x2 - x1) * (math.sin(math.radians(y1)) + math.sin(math.radians(y2)))
    return abs(total) / 2 * EARTH_RADIUS_KM**2


def derive(
    topology: dict[str, Any], name: str, tolerance: float, smallest: float
) -> dict[str, Any]:
    """Places by name: `area` (km2), `neighbours`, `rings` (flat lon, lat, in 1/100 degree).

    Rings under `smallest` km2 are left out, except a place's largest.
    """
    full = decode_arcs(topology)
    light = [simplify(arc, tolerance) for arc in full]
    places: dict[str, Any] = {}
    owners: dict[int, set[str]] = {}
    for geometry in topology["objects"][name]["geometries"]:
        place = RENAMED.get(geometry["properties"]["name"], geometry["properties"]["name"])
        rings = polygons(geometry)
        for number in (n for ring in rings for n in ring):
            owners.setdefault(number if number >= 0 else ~number, set()).add(place)
        areas = [spherical_area(assemble(ring, full)) for ring in rings]
        kept = [
            [round(100 * value) for point in assemble(ring, light) for value in point]
            for ring, area in zip(rings, areas, strict=True)
            if area >= smallest or area == max(areas)
        ]
        places[place] = {"area": round(sum(areas)), "rings": [r for r in kept if len(r) >= 6]}
    for place, facts in places.items():
        sharing = (others for others in owners.values() if place in others)
        facts["neighbours"] = sorted(set().union(*sharing) - {place})
    return places


def main(source: Path, target: Path) -> None:
    """Write `us.json`, `world.json` and the two licence notices into `target`."""
    states_file = source / "us-atlas-3.0.1/package/states-10m.json"
    countries_file = source / "world-atlas-2.0.2/package/countries-110m.json"
    states = derive(json.loads(states_file.read_text()), "states", 0.06, 300)
    countries = derive(json.loads(countries_file.read_text()), "countries", 0.3, 9000)
    states = {name: states[name] | {"capital": CAPITALS[name]} for name in sorted(CAPITALS)}
    for facts in states.values():
        facts["neighbours"] = [name for name in facts["neighbours"] if name in CAPITALS]
    del countries["Antarctica"]
    missing = set(CONTINENTS) - set(countries)
    assert not missing, missing
    for name, continent in CONTINENTS.items():
        countries[name]["continent"] = continent
    for stem, places in (("us", states), ("world", dict(sorted(countries.items())))):
        text = json.dumps(places, separators=(",", ":"), ensure_ascii=False)
        (target / f"{stem}.json").write_text(text.replace("},", "},\n") + "\n", encoding="utf-8")
    for package in ("us-atlas-3.0.1", "world-atlas-2.0.2"):
        shutil.copyfile(source / package / "package/LICENSE", target / f"LICENSE.{package}.txt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
