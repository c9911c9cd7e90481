"""A cell: one method, one number of shots, one seed. What it is asked and what it answers.

It runs in a process of its own, so all of it is files. A task file of the user goes through
readers that normalise; what a cell is given must be the very items that were split, so they are
stored field by field, pictures as base64.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from talo_export.baselines.settings import Training
from talo_export.codec import Recorded
from talo_export.errors import TaloError
from talo_export.probing.settings import Scoring
from talo_export.tasks.item import Item, ItemImage, Task

Status = Literal["done", "diverged", "out of memory", "not applicable", "failed"]

FORMAT: Literal[2] = 2


@dataclass(frozen=True, slots=True)
class ModelSource:
    """How a process of its own loads the model; the arguments of `models.loading.load_model`."""

    reference: str
    dtype: str = "auto"
    device: str = "auto"
    device_map: str | None = None
    offload_folder: Path | None = None
    trust_remote_code: bool = False
    load_in_4bit: bool = False


@dataclass(frozen=True, slots=True)
class CellRequest(Recorded):
    """Everything a cell depends on. `train` and `test` are item ids, disjoint, in order."""

    model: ModelSource
    model_fingerprint: str
    """Of `models.identity`: changes when the model does."""
    method: str
    shots: int
    seed: int
    train: tuple[str, ...]
    test: tuple[str, ...]
    items_file: str
    task_fingerprint: str
    scoring: Scoring = field(default_factory=Scoring)
    training: Training = field(default_factory=Training)
    criterion: str = "accuracy"
    min_gain: float | None = None

    @property
    def name(self) -> str:
        """`lora-20-1-` and a hash of all that the outcome depends on: the same cell, the same
        name."""
        text = json.dumps({"format": FORMAT, **self.to_json(), "items_file": None}, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f"{self.method}-{self.shots}-{self.seed}-{digest}"


@dataclass(frozen=True, slots=True)
class Phase:
    """What a phase of a cell took. Memory in bytes, see `memory.Peak`."""

    seconds: float
    peak_memory_bytes: int
    peak_reserved_bytes: int | None = None
    forward_passes: int = 0
    backward_passes: int = 0


@dataclass(frozen=True, slots=True)
class CellResult(Recorded):
    """What came of a cell. Everything after `reason` is empty unless the status is "done" (a
    diverged or starved cell still says what it took until then)."""

    status: Status
    reason: str | None = None
    """Why it is not "done", one sentence."""
    correct: dict[str, bool] = field(default_factory=dict)
    """Test item id -> answered rightly."""
    unparsed: int = 0
    adapt: Phase | None = None
    """Probing, training, fitting: all that comes before the first test item."""
    test: Phase | None = None
    trainable_parameters: int = 0
    artifact_bytes: int = 0
    """Bytes to ship beside the base."""
    layer: int | None = None
    """The layer knocked out; None also where the base was kept."""
    details: dict[str, Any] = field(default_factory=dict)
    """What is particular to the method: losses, learning rate, examples shown, ..."""
    format: Literal[2] = FORMAT
    """Of its document: a result of another is none, and its cell runs again."""

    @property
    def final(self) -> bool:
        """Whether running the same cell again would be a waste."""
        return self.status != "failed"

    @property
    def accuracy(self) -> float | None:
        """Share of test items answered rightly."""
        return sum(self.correct.values()) / len(self.correct) if self.correct else None

    @property
    def peak_memory_bytes(self) -> int:
        """The larger of the phases' peaks."""
        return max((p.peak_memory_bytes for p in (self.adapt, self.test) if p), default=0)


def request_path(directory: Path, request: CellRequest) -> Path:
    """Where a cell's request lies in the journal of a comparison."""
    return directory / f"{request.name}.request.json"


def result_path(request_file: Path) -> Path:
    """Where the result of a request file goes."""
    return request_file.with_name(request_file.name.replace(".request.json", ".result.json"))


def write_items(task: Task, path: Path) -> None:
    """One JSON object a line, the task's name and source first."""
    rows: list[dict[str, Any]] = [{"name": task.name, "source": task.source}]
    rows += [_item_json(item) for item in task.items]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_items(path: Path, fingerprint: str) -> Task:
    """Inverse of `write_items`. Raises TaloError where the task is not the one fingerprinted."""
    head, *rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    task = Task(head["name"], tuple(_item(row) for row in rows), head["source"])
    if task.fingerprint != fingerprint:
        raise TaloError(f"{path} does not hold the items that were asked for: start over.")
    return task


def _item_json(item: Item) -> dict[str, Any]:
    row = {field.name: getattr(item, field.name) for field in fields(item)}
    row["shots"] = [_item_json(shot) for shot in item.shots]
    row["images"] = [
        {"name": image.name, "data": base64.b64encode(image.read()).decode("ascii")}
        for image in item.images
    ]
    return row


def _item(row: dict[str, Any]) -> Item:
    images = tuple(
        ItemImage(name=image["name"], data=base64.b64decode(image["data"]))
        for image in row["images"]
    )
    tuples = {name: tuple(row[name]) for name in ("choices", "accepted", "until")}
    wordings = tuple((style, text) for style, text in row["wordings"])
    shots = tuple(_item(shot) for shot in row["shots"])
    return Item(**{**row, **tuples, "images": images, "wordings": wordings, "shots": shots})
