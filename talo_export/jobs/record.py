"""What an export's manifest keeps of base and run, so that a card can be written from it.

Nothing here says where anything lies on this machine: manifests are published.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any

from talo_export.checkpoint.foreign import describes_images, is_foreign
from talo_export.checkpoint.layout import read_layout
from talo_export.checkpoint.manifest import Manifest
from talo_export.models.reference import ResolvedModel
from talo_export.models.stock import is_vision_language

_OF_TASK = (
    "task", "task_items", "chance", "scoring", "seed", "shots", "command",
)  # fmt: skip

_OF_COMPARISON = ("test_n", "methods", "verdicts", "break_even")


@dataclass(frozen=True)
class Record:
    """The manifest's fields about base and measurement, JSON values; None where there was none."""

    model: Any = None
    task: Any = None
    selection: Any = None
    confirmation: Any = None
    side_effects: Any = None
    comparison: Any = None

    def fields(self) -> dict[str, Any]:
        """As `write_export` and `write_adapter` take them."""
        return asdict(self)


def about_model(base: ResolvedModel, n_layers: int) -> dict[str, Any]:
    """What a card says of the base. A model that brings its own code does not run it for this."""
    if base.gguf_file is not None:
        # What transformers reads out of one GGUF file is a language model.
        return {"vlm": False, "layers": n_layers, "architecture": None, "chat_template": False}
    config = read_layout(base.directory).config
    return {
        "vlm": _takes_images(config),
        "layers": n_layers,
        "architecture": next(iter(config.get("architectures") or ()), None),
        "chat_template": _has_chat_template(base.directory),
    }


def _takes_images(config: Mapping[str, Any]) -> bool:
    if is_foreign(config):
        return describes_images(config)
    return is_vision_language(SimpleNamespace(**{"model_type": None, **config}))


def _has_chat_template(directory: Path) -> bool:
    names = ("chat_template.jinja", "chat_template.json")
    if any((directory / name).is_file() for name in names):
        return True
    settings = directory / "tokenizer_config.json"
    return settings.is_file() and bool(json.loads(settings.read_bytes()).get("chat_template"))


def record_of_run(
    document: Mapping[str, Any],
    *,
    comparison: Any = None,
    date: str | None = None,
) -> Record:
    """What to keep of a finished run; `document` is that of `probe --json`.

    `date` is the day of the measurement (ISO), by default today.
    """
    task = {key: document[key] for key in _OF_TASK}
    task["task_source"] = without_folders(document["task_source"])
    task["command"] = shlex.join(map(without_folders, shlex.split(document["command"])))
    task["date"] = date or datetime.now(timezone.utc).date().isoformat()
    return Record(
        task=task,
        selection=dict(document["probe"]),
        confirmation=_confirmation(document),
        side_effects=document.get("side_effects"),
        comparison=None if comparison is None else _comparison(comparison),
    )


def _comparison(document: Mapping[str, Any]) -> dict[str, Any]:
    """Table and sentences; why a cell failed may name a log on this machine, and stays here."""
    kept = {key: document[key] for key in _OF_COMPARISON if key in document}
    rows = [{k: v for k, v in row.items() if k != "reasons"} for row in kept["methods"]]
    return kept | {"methods": rows}


def _confirmation(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The `confirm` object, with the gain that is left once each answer's prior is corrected."""
    if document["confirm"] is None:
        return None
    calibration = (document.get("evidence") or {}).get("calibration")
    left = None if calibration is None else calibration["calibrated"]["gain"]
    return {**document["confirm"], "calibrated_gain": left}


def record_of_manifest(manifest: Manifest) -> Record:
    """What an earlier export kept."""
    return Record(
        manifest.model,
        manifest.task,
        manifest.selection,
        manifest.confirmation,
        manifest.side_effects,
        manifest.comparison,
    )


def without_folders(text: str) -> str:
    """The text with every absolute path in it cut down to its last part, word by word."""
    return " ".join(
        PurePath(word).name if PurePath(word).is_absolute() else word for word in text.split(" ")
    )
