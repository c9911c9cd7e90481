"""Stage one: vision transformer and projector learn to say what lies in each patch of a map.

As in LLaVA, the decoder meets a vision tower that can see already, and that speaks its language:
it is trained against the decoder's own word embeddings. The targets are dense and come from the
drawing itself: how much of a patch each colour covers, which place the largest coloured piece of
it belongs to, and whether a line runs through. A place in a colour that is held out is left out of
the second.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from architecture import PATCH
from curriculum import training_scene
from PIL import Image, ImageDraw
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from talo_export.demo.drawing import COLOURS, LINES, OVERSAMPLING, SIZE, Scene, draw
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
    line: Tensor
    """(pictures, patches): 0, or 1 + the index into `LINES` of the line that runs through."""

    def to(self, device: str) -> Patches:
        """The same pictures on another device."""
        return Patches(*(getattr(self, field.name).to(device) for field in fields(self)))


class PatchReader:
    """Reads patches with the decoder's own word embeddings, as its output layer reads its states.

    A patch that shows a red Texas should look to the decoder like the words "red" and "Texas": so
    each patch is trained to name what it shows, by its product with the embedding of every token.
    A picture is then, for the decoder, something like a text, and what it learns about words it
    knows about pictures.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, embedding: Tensor) -> None:
        def tokens(words: Iterable[str]) -> Tensor:
            return torch.tensor(tokenizer.convert_tokens_to_ids(list(words)))

        self.embedding = embedding
        self.colours, self.names, self.lines = tokens(COLOURS), tokens(NAMES), tokens(LINES)
        self.nothing = tokenizer.convert_tokens_to_ids("<image>")

    def targets(self, patches: Patches) -> Tensor:
        """What each patch should say: (n * patches, tokens), rows that sum to 1.

        Half of what is coloured goes to the colour and half to the name of the largest place,
        where that may be told; a line takes half of its patches; the rest shows nothing.
        """
        coverage = patches.coverage.flatten(0, 1)
        place, line = patches.place.flatten(), patches.line.flatten()
        said = torch.zeros(len(coverage), len(self.embedding))
        said[:, self.colours] = coverage[:, 1:]
        told = (place != NO_PLACE).nonzero().squeeze(1)
        said[told] *= 0.5
        said[told, self.names[place[told]]] = 0.5 * coverage[told, 1:].sum(1)
        crossed = (line > 0).nonzero().squeeze(1)
        said[crossed] *= 0.5
        said[crossed, self.lines[line[crossed] - 1]] = 0.5
        said[:, self.nothing] += (1 - said.sum(1)).clamp(min=0)
        return said / said.sum(1, keepdim=True)

    def loss(self, features: Tensor, patches: Patches) -> Tensor:
        """Kullback-Leibler divergence from what the patches should say to what they say.

        `features`: (n, patches, width), of which only the direction counts, as it does behind the
        decoder's RMS norms. Patches that show something are one in twenty and count twice as much
        as all the others.
        """
        logits = nn.functional.rms_norm(features, features.shape[-1:]).flatten(0, 1)
        said = nn.functional.log_softmax(logits @ self.embedding.T, dim=-1)
        targets = self.targets(patches)
        divergence = nn.functional.kl_div(said, targets, reduction="none").sum(-1)
        empty = targets[:, self.nothing] > 0.999
        return divergence[empty].mean() + 2 * divergence[~empty].mean()


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
