"""Stage one: the vision transformer learns alone what lies in each patch of a map.

As in LLaVA, the decoder meets a vision tower that can see already. The targets are dense and come
from the drawing itself: how much of a patch each colour covers, and which place the largest
coloured piece of it belongs to. A place in a colour that is held out is left out of the second.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

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


class PatchReader(nn.Module):
    """Two linear heads on the patches' features; thrown away after the stage."""

    def __init__(self) -> None:
        super().__init__()
        self.coverage = nn.Linear(WIDTH, 1 + len(COLOURS))
        self.place = nn.Linear(WIDTH, len(NAMES))

    def loss(self, features: Tensor, patches: Patches) -> Tensor:
        """Cross-entropy of the coverage plus that of the places. `features`: (n, patches, width)"""
        coverage = nn.functional.cross_entropy(
            self.coverage(features).flatten(0, 1), patches.coverage.flatten(0, 1)
        )
        place = nn.functional.cross_entropy(
            self.place(features).flatten(0, 1), patches.place.flatten(), ignore_index=NO_PLACE
        )
        return coverage + place


def label(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Coverage (patches, 1 + colours) and place (patches,) of a scene's patches."""
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
    return coverage / coverage.sum(axis=1, keepdims=True), place


def labelled_pictures(seed: int, step: int, count: int) -> Patches:
    """Batch number `step` of the stage, always the same."""
    scenes = list(_scenes(seed, step, count))
    pixels = np.stack([np.asarray(draw(scene), dtype=np.float32) for scene in scenes])
    coverage, place = zip(*map(label, scenes), strict=True)
    return Patches(
        torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1,
        torch.from_numpy(np.stack(coverage)),
        torch.from_numpy(np.stack(place)),
    )


def _scenes(seed: int, step: int, count: int) -> Iterator[Scene]:
    rng = random.Random(f"talo-export demo vision {seed} {step}")
    for _ in range(count):
        yield training_scene(rng)
