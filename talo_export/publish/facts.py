"""What a card says, as plain values: the card and its metadata are pure functions of `CardFacts`.

Nothing here is measured or looked up. A fact that is not known is None (or empty), and the card
then leaves it out or says that it is unknown; it never invents one. Accuracies and gains are
fractions (0.05 is five points); the card prints points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from talo_export.knockout import Knockout

Kind = Literal["checkpoint", "adapter"]
Verdict = Literal["confirmed", "unconfirmed", "harmful"]

HERE = "path/to/this/directory"
"""What the snippets load before the card has a repository; a push puts its name there."""

BASE = "path/to/the/base"
"""What an adapter's snippet loads under it where the base is on no Hub."""


@dataclass(frozen=True)
class BaseFacts:
    """The model that was cut. `hub_id` is None where the base is only a directory."""

    name: str
    hub_id: str | None = None
    revision: str | None = None
    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None
    language: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    gated: bool = False
    """Whether the base's card asks people to accept terms before they may download it."""

    @property
    def short_name(self) -> str:
        """The last part of the name. A card never shows where a directory lies on a machine."""
        return self.name.replace("\\", "/").rstrip("/").split("/")[-1] or "the base"


@dataclass(frozen=True)
class TaskFacts:
    """What was asked. `dataset_id` is set only where the items came from a Hub data set."""

    name: str
    source: str
    scoring: str
    chance: float
    n_items: int | None = None
    dataset_id: str | None = None
    dataset_revision: str | None = None
    dataset_config: str | None = None
    dataset_split: str | None = None


@dataclass(frozen=True)
class ProbeFacts:
    """How the layer was chosen. `gain` is the chosen layer's on the probing items: optimistic."""

    n: int
    seed: int
    gain: float
    shots: int | None = None


@dataclass(frozen=True)
class ConfirmationFacts:
    """What the chosen layer did on items never probed: the only number a card may claim."""

    n: int
    base_accuracy: float
    accuracy: float
    gain: float
    ci95: tuple[float, float]
    p_value: float
    verdict: Verdict
    calibrated_gain: float | None = None
    """The gain with each answer's prior corrected on both sides, where it was computed."""


@dataclass(frozen=True)
class EditFacts:
    """One tensor that differs from the base's. `bytes` is how many were overwritten."""

    file: str
    tensor: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int


@dataclass(frozen=True)
class SideEffect:
    """What the same knockout did to another task."""

    task: str
    n: int
    base_accuracy: float
    accuracy: float
    ci95: tuple[float, float] | None = None
    """Of the gain, paired by item."""

    @property
    def gain(self) -> float:
        """Accuracy with the knockout minus accuracy without it."""
        return self.accuracy - self.base_accuracy


@dataclass(frozen=True)
class MethodFacts:
    """One row of the comparison with what else one could have done on the same items."""

    name: str
    accuracy: float | None
    """Mean over seeds; None where no cell of it could be tested."""
    seconds: float | None = None
    peak_memory_bytes: int | None = None
    trainable_parameters: int | None = None
    artifact_bytes: int | None = None
    accuracy_sd: float | None = None
    """Over seeds."""
    ci95: tuple[float, float] | None = None
    """Of the gain over the base, paired by item."""
    not_done: str | None = None
    """`1 of 3 diverged`; None where every seed was tested."""


@dataclass(frozen=True)
class CardFacts:
    """Everything the card may say about one exported knockout."""

    base: BaseFacts
    knockout: Knockout
    n_layers: int
    edits: tuple[EditFacts, ...]
    is_vlm: bool
    kind: Kind = "checkpoint"
    gguf_file: str | None = None
    """The one file that holds all, where the weights are stored as GGUF."""
    storage: str = "plain"
    """How the weights are stored: `plain`, `gguf`, or a quantisation method's name."""
    architecture: str | None = None
    """The class that the base's configuration names."""
    has_chat_template: bool = True
    task: TaskFacts | None = None
    probe: ProbeFacts | None = None
    """None where the layer was named by hand."""
    confirmation: ConfirmationFacts | None = None
    side_effects: tuple[SideEffect, ...] | None = None
    """None where no other task was measured."""
    comparison: tuple[MethodFacts, ...] = ()
    comparison_n: int | None = None
    comparison_says: tuple[str, ...] = ()
    """Who is ahead, and from how many shots on, in sentences."""
    reproduce: tuple[str, ...] = ()
    """Command lines, in order."""
    edited_files_sha256: tuple[tuple[str, str], ...] = ()
    """(file, SHA-256 of the base's file), for every file that was edited."""
    has_plot: bool = False
    has_undo: bool = False
    has_base_card: bool = False
    versions: tuple[tuple[str, str], ...] = ()
    date: str | None = None
    """ISO date of the measurement."""
    repo_id: str | None = None
    subfolder: str | None = None
    """Where an adapter lies in a repository of several."""
    example_question: str | None = None
    """What the snippets ask; None asks what a model of this kind can be asked."""

    @property
    def question(self) -> str:
        """What the snippets ask the model."""
        usual = "What is shown here?" if self.is_vlm else "What is the capital of Australia?"
        return self.example_question or usual

    @property
    def auto_class(self) -> str:
        """The transformers class that loads this model."""
        return "AutoModelForImageTextToText" if self.is_vlm else "AutoModelForCausalLM"

    @property
    def where(self) -> str:
        """What the snippets load: the repository, or a placeholder before there is one."""
        return self.repo_id or HERE
