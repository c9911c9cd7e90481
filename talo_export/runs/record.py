"""What an export's manifest keeps of base and run, so that a card can be written from it.

Nothing here says where anything lies on this machine: manifests are published.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from pathlib import Path, PurePath

from talo_export.checkpoint.anatomy import model_kind
from talo_export.checkpoint.layout import read_layout
from talo_export.checkpoint.manifest import MANIFEST, Manifest
from talo_export.codec import Recorded, from_json
from talo_export.evidence.analyses.side_effects import SideEffects
from talo_export.evidence.selection import Selection
from talo_export.models.reference import ResolvedModel
from talo_export.probing.settings import Kind
from talo_export.runs.comparison import Compared, Comparison
from talo_export.runs.result import LayerConfirmation, ProbeResult


@dataclass(frozen=True)
class BaseRecord:
    """What a card says of the base."""

    vlm: bool
    layers: int
    architecture: str | None
    """The class that its configuration names."""
    chat_template: bool


@dataclass(frozen=True)
class TaskRecord:
    """What was asked."""

    task: str
    task_items: int
    chance: float
    scoring: Kind
    seed: int
    shots: int | None
    command: str
    """The line that gives the run again, without folders."""
    task_source: str
    date: str | None = None
    """Of the measurement, ISO."""


@dataclass(frozen=True)
class Record(Recorded):
    """The manifest's part about base and measurement; None where there was none."""

    model: BaseRecord | None = None
    task: TaskRecord | None = None
    selection: Selection | None = None
    confirmation: LayerConfirmation | None = None
    side_effects: SideEffects | None = None
    comparison: Compared | None = None


def about_model(base: ResolvedModel, n_layers: int) -> BaseRecord:
    """What a card says of the base. A model that brings its own code does not run it for this."""
    if base.gguf_file is not None:
        # What transformers reads out of one GGUF file is a language model.
        return BaseRecord(vlm=False, layers=n_layers, architecture=None, chat_template=False)
    config = read_layout(base.directory).config
    return BaseRecord(
        vlm=model_kind(config).takes_images,
        layers=n_layers,
        architecture=next(iter(config.get("architectures") or ()), None),
        chat_template=_has_chat_template(base.directory),
    )


def _has_chat_template(directory: Path) -> bool:
    names = ("chat_template.jinja", "chat_template.json")
    if any((directory / name).is_file() for name in names):
        return True
    settings = directory / "tokenizer_config.json"
    return settings.is_file() and bool(json.loads(settings.read_bytes()).get("chat_template"))


def record_of_run(
    result: ProbeResult, *, comparison: Comparison | None = None, date: str | None = None
) -> Record:
    """What to keep of a finished run. `date` is the day of the measurement, by default today."""
    return Record(
        task=TaskRecord(
            task=result.task,
            task_items=result.task_items,
            chance=result.chance,
            scoring=result.scoring,
            seed=result.seed,
            shots=result.shots,
            command=shlex.join(map(without_folders, shlex.split(result.command))),
            task_source=without_folders(result.task_source),
            date=date or datetime.now(timezone.utc).date().isoformat(),
        ),
        selection=result.probe,
        confirmation=result.confirmation,
        side_effects=result.side_effects,
        comparison=None if comparison is None else comparison.kept,
    )


def record_of_manifest(manifest: Manifest) -> Record:
    """What an earlier export kept. Raises TaloError where a part is missing or wrong."""
    kept = {field.name: getattr(manifest, field.name) for field in fields(Record)}
    return from_json(Record, kept, MANIFEST)


def without_folders(text: str) -> str:
    """The text with every absolute path in it cut down to its last part, word by word."""
    return " ".join(
        PurePath(word).name if PurePath(word).is_absolute() else word for word in text.split(" ")
    )
