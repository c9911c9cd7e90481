"""What `estimate` predicts, as a document."""

from __future__ import annotations

from dataclasses import dataclass

from talo_export.codec import Recorded


@dataclass(frozen=True, slots=True)
class Footprint:
    """Predicted bytes for one prompt length and number of items a pass."""

    parameters: int
    weights: int
    inference: int
    """Peak of one forward pass without gradients, weights included."""
    probing: int
    """Peak of knockout probing: one item at a time, all its variants together. Where memory is
    short the sweep takes fewer variants at once, down to what `inference` takes."""
    training: int
    """Peak of training the adapter."""
    trainable_parameters: int
    gradients: int
    optimizer: int
    activations: int
    """What training keeps for the backward pass, at its peak."""
    tokens: int
    """Of the prompt's text."""
    image_tokens: int
    """Of one picture beside it, in a vision-language model."""
    batch: int
    dtype: str
    adapter: str
    four_bit: bool


@dataclass(frozen=True)
class Estimate(Recorded):
    """Predicted memory, one footprint a batch: the document of `compare --estimate --json`."""

    model: str
    footprints: tuple[Footprint, ...]
