"""Stage one: vision transformer and projector learn alone what lies in each patch of a map.

As in LLaVA, the decoder meets a vision tower that can see already. The targets are dense and come
from the drawing itself: how much of a patch each colour covers, which place the largest coloured
piece of it belongs to, and whether a line runs through. A place in a colour that is held out is
left out of the second.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from architecture import PATCH, WIDTH
from curriculum import training_scene
from PIL import Image, ImageDraw
from torch import Tensor, nn

from talo_export.demo.drawing import COLOURS, OVERSAMPLING, SIZE, Scene, draw
from talo_export.demo.places import askable, places
from talo_export.demo.questions import is_held_out, mark_key

GRID = SIZE // PATCH
NAMES = (*askable("us"), *askable("world"))
LINES = ("latitude", "longitude")
NO_PLACE = -100
SMALLEST_PIECE = 0.04
"""Share of a patch that a place must cover to be named."""


@dataclass(frozen=True)
class Patches:
    """Pictures with what each of their patches shows."""

    pixels: Tensor
    """(pictures, 3, SIZE, SIZE) in [-1, 1]."""
    coverage: Tensor
    """(pictures, patches, 1 + colours): shares of the patch, the first uncoloured."""
    place: Tensor
    """(pictures, patches): index into `NAMES`, or `NO_PLACE`."""
    line: Tensor
    """(pictures, patches): 0, or 1 + the index into `LINES` of the line that runs through."""

    def to(self, device: str) -> Patches:
        """The same pictures on another device."""
        return Patches(*(getattr(self, field.name).to(device) for field in fields(self)))


class PatchReader(nn.Module):
    """Linear heads on the patches' features; thrown away after the stage.

    Patches that show nothing are drawn to one common vector. Most patches show nothing, each in
    its own way, and a decoder that starts by looking everywhere would hear little else.
    """

    def __init__(self) -> None:
        super().__init__()
        self.coverage = nn.Linear(WIDTH, 1 + len(COLOURS))
        self.place = nn.Linear(WIDTH, len(NAMES))
        self.line = nn.Linear(WIDTH, 1 + len(LINES))
        self.nothing = nn.Parameter(torch.randn(WIDTH))

    def loss(self, features: Tensor, patches: Patches) -> Tensor:
        """Cross-entropies and a squared distance. `features`: (n, patches, width)

        Coverage counts half by the empty patches and half by the others, which are one in twenty.
        The heads see the features' direction only, as the decoder does behind its RMS norm.
        """
        features = nn.functional.rms_norm(features, features.shape[-1:]).flatten(0, 1)
        coverage = patches.coverage.flatten(0, 1)
        place, line = patches.place.flatten(), patches.line.flatten()
        empty = (coverage[:, 0] > 0.999) & (line == 0)
        nothing = nn.functional.rms_norm(self.nothing, self.nothing.shape)
        return (
            nn.functional.cross_entropy(self.coverage(features)[empty], coverage[empty])
            + nn.functional.cross_entropy(self.coverage(features)[~empty], coverage[~empty])
            + nn.functional.cross_entropy(self.place(features), place, ignore_index=NO_PLACE)
            + nn.functional.cross_entropy(self.line(features), line)
            + nn.functional.mse_loss(features[empty], nothing.expand_as(features[empty]))
        )


def label(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coverage (patches, 1 + colours), place (patches,) and line (patches,) of a scene."""
    coverage = np.zeros((GRID * GRID, 1 + len(COLOURS)), dtype=np.float32)
    place = np.full(GRID * GRID, NO_PLACE)
    largest = np.full(GRID * GRID, SMALLEST_PIECE)
    for name, colour in scene.marks:
        canvas = Image.new("L", (SIZE * OVERSAMPLING, SIZE * OVERSAMPLING))
        pencil = ImageDraw.Draw(canvas)
        for ring in places(scene.map)[name].rings:
            pencil.polygon([scene.project(*point) for point in ring], fill=255, outline=255)
        share = np.asarray(canvas.resize((GRID, GRID), Image.Resampling.BOX)).flatten() / 255
        coverage[:, 1 + list(COLOURS).index(colour)] = share
        index = NAMES.index(name)
        target = NO_PLACE if is_held_out(mark_key(name, colour)) else index
        place = np.where(share > largest, target, place)
        largest = np.maximum(share, largest)
    coverage[:, 0] = np.clip(1 - coverage.sum(axis=1), 0, 1)
    line = np.zeros((GRID, GRID), dtype=np.int64)
    if scene.line is not None:
        x, y = scene.project(scene.line.degrees, scene.line.degrees)
        row, column = int(y / OVERSAMPLING / PATCH), int(x / OVERSAMPLING / PATCH)
        if scene.line.kind == "latitude":
            line[np.clip(row, 0, GRID - 1), :] = 1
        else:
            line[:, np.clip(column, 0, GRID - 1)] = 2
    return coverage / coverage.sum(axis=1, keepdims=True), place, line.flatten()


def labelled_pictures(seed: int, step: int, count: int) -> Patches:
    """Batch number `step` of the stage, always the same."""
    scenes = list(_scenes(seed, step, count))
    pixels = np.stack([np.asarray(draw(scene), dtype=np.float32) for scene in scenes])
    coverage, place, line = zip(*map(label, scenes), strict=True)
    return Patches(
        torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1,
        torch.from_numpy(np.stack(coverage)),
        torch.from_numpy(np.stack(place)),
        torch.from_numpy(np.stack(line)),
    )


def _scenes(seed: int, step: int, count: int) -> Iterator[Scene]:
    rng = random.Random(f"talo-export demo vision {seed} {step}")
    for _ in range(count):
        yield training_scene(rng)
