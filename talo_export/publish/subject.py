"""What a card is about: an export, by its manifest and by the base's own card.

A fact that is not known is None (or empty), and the card then leaves it out or says that it is
unknown; it never invents one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from talo_export.checkpoint.adapter_files import ADAPTER
from talo_export.checkpoint.manifest import Manifest
from talo_export.checkpoint.placing import BASE_CARD, CARD
from talo_export.errors import TaloError
from talo_export.evidence.confirmation import Confirmation
from talo_export.knockout import Knockout
from talo_export.publish.base_card import BaseCard, read_base_card
from talo_export.requests.checkpoints import ExportRequest, Form
from talo_export.requests.fields import command_line
from talo_export.requests.settings import DEMO
from talo_export.runs.record import (
    BaseRecord,
    Record,
    TaskRecord,
    record_of_manifest,
    without_folders,
)
from talo_export.runs.result import LayerConfirmation
from talo_export.tasks.hub_source import HubSource, hub_source

PLOT = "layers.png"

HERE = "path/to/this/directory"
"""What the snippets load before the card has a repository; a push puts its name there."""

BASE = "path/to/the/base"
"""What an adapter's snippet loads under it where the base is on no Hub."""


@dataclass(frozen=True)
class Subject:
    """One export, as a card tells of it."""

    manifest: Manifest
    base: BaseCard
    repo_id: str | None = None
    subfolder: str | None = None
    """Where an adapter lies in a repository of several."""
    example_question: str | None = None
    """What the snippets ask; None asks what a model of this kind can be asked."""

    @cached_property
    def record(self) -> Record:
        """What the manifest keeps of base and run."""
        return record_of_manifest(self.manifest)

    @property
    def model(self) -> BaseRecord:
        """Raises `TaloError` where the manifest does not say."""
        if self.record.model is None:
            raise TaloError("the manifest says nothing about the base: export it again.")
        return self.record.model

    @property
    def kind(self) -> Form:
        return "adapter" if self.manifest.storage == ADAPTER else "checkpoint"

    @property
    def knockout(self) -> Knockout:
        return self.manifest.knockout

    @property
    def gguf_file(self) -> str | None:
        """The one file that holds all, where the weights are stored as GGUF."""
        edited = (edit.file for edit in self.manifest.edits)
        return next(edited, None) if self.manifest.storage == "gguf" else None

    @property
    def task(self) -> TaskRecord | None:
        """None where the layer was named by hand."""
        return self.record.task

    @property
    def data_set(self) -> HubSource | None:
        """The Hub's data set that the items came from."""
        return None if self.task is None else hub_source(self.task.task_source)

    @property
    def confirmation(self) -> LayerConfirmation | None:
        return self.record.confirmation

    @property
    def side_effects(self) -> Mapping[str, Confirmation] | None:
        """By task; None where no other task was measured."""
        effects = self.record.side_effects
        return None if effects is None else effects.tasks

    @property
    def probe_gain(self) -> float | None:
        """The layer's gain on the items that chose it: optimistic."""
        probe = self.record.selection
        return None if probe is None else probe.gains[self.knockout.layer]

    @property
    def edited_files(self) -> tuple[tuple[str, str], ...]:
        """Every file of the base that was edited, with its SHA-256 before."""
        files = self.manifest.files.items()
        return tuple((name, file.sha256) for name, file in files if file.edited and file.sha256)

    @property
    def has_base_card(self) -> bool:
        return self.kind == "checkpoint" and CARD in self.manifest.files

    @property
    def question(self) -> str:
        """What the snippets ask the model."""
        if self.example_question is not None:
            return self.example_question
        if self.model.vlm:
            return "What is shown here?"
        # Without a chat template a text is gone on with, not answered.
        asked = self.model.chat_template
        return "What is the capital of Australia?" if asked else "The capital of Australia is"

    @property
    def auto_class(self) -> str:
        """The transformers class that loads this model."""
        return "AutoModelForImageTextToText" if self.model.vlm else "AutoModelForCausalLM"

    @property
    def where(self) -> str:
        """What the snippets load: the repository, or a placeholder before there is one."""
        return self.repo_id or HERE

    @property
    def reproduce(self) -> tuple[str, ...]:
        """The commands that give this export again, in order."""
        if self.task is not None:
            again = (self.task.command,)
            if self.kind == "checkpoint":
                return again
            return (*again, command_line(ExportRequest(run="RUN", out="OUT", form="adapter")))
        model = None if self.base.name == DEMO else without_folders(self.base.name)
        return (self.export_command(model, "OUT", self.kind),)

    def export_command(self, model: str | None, out: str, form: Form = "checkpoint") -> str:
        """The line that cuts the same out of `model`."""
        return command_line(ExportRequest.of(self.knockout, model, out, form))


def read_subject(directory: Path, manifest: Manifest, *, card: str | None = None) -> Subject:
    """What `manifest` is of, with the base's card as the export in `directory` keeps it.

    `card` is the file that states the base's licence: an adapter's own card, or the base's beside
    a checkpoint.
    """
    name = manifest.base if manifest.revision else without_folders(manifest.base)
    card = card or (CARD if manifest.storage == ADAPTER else BASE_CARD)
    base = read_base_card(directory, name, manifest.revision, card=card)
    return Subject(manifest, base)
