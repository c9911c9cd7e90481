"""A base and what was cut out of it, asked the same: by stock `generate`, one after the other."""

from __future__ import annotations

import gc
from dataclasses import dataclass, fields, replace
from pathlib import Path

from talo_export.checkpoint.manifest import MANIFEST, RecordedKnockout, read_manifest
from talo_export.codec import Recorded, derived
from talo_export.commands.ask_questions import Questions
from talo_export.errors import TaloError
from talo_export.knockout import Knockout
from talo_export.models.loading import LoadedModel
from talo_export.models.reference import download, parse_reference
from talo_export.probing.scores import ScoreTable
from talo_export.probing.sweep import sweep
from talo_export.reporting import Reporter
from talo_export.requests.checkpoints import ExportRequest
from talo_export.requests.fields import command_line
from talo_export.requests.measurements import AskRequest
from talo_export.requests.settings import InferenceSettings
from talo_export.runs.directory import RunDirectory
from talo_export.runs.loading import base_reference, load_for_inference, revised, settle_dtype
from talo_export.tasks.item import Item
from talo_export.tasks.prompts import right_answer


@dataclass(frozen=True)
class Answer:
    """What one model said. `correct` is None where no right answer is known."""

    text: str
    correct: bool | None


@dataclass(frozen=True)
class Asked:
    """One question, and both answers."""

    id: str
    question: str
    choices: tuple[str, ...]
    """As the model was shown them: none beside a prompt that is sent as it is."""
    images: tuple[str, ...]
    """Where each came from."""
    right_answer: str | None
    base: Answer
    patched: Answer | None
    """None where one model alone was asked."""

    @derived
    def same(self) -> bool | None:
        """Whether the two answers are the same text."""
        return None if self.patched is None else self.base.text == self.patched.text


@dataclass(frozen=True)
class Sides:
    """The models that are asked."""

    base: str
    """What the base, or the one model, is called."""
    base_reference: str
    """What of it is loaded."""
    patched: Path | None = None
    """The checkpoint, adapter or GGUF file on disk, None where the base alone is asked."""
    knockout: Knockout | None = None
    """What was cut out of it."""
    note: str | None = None
    """Why the base alone answers, where a run was named."""
    run: RunDirectory | None = None
    """The run that was named."""

    @property
    def references(self) -> tuple[str, ...]:
        """What is loaded, the base first."""
        patched = () if self.patched is None else (str(self.patched),)
        return (self.base_reference, *patched)


@dataclass(frozen=True)
class AskResult(Recorded):
    """The document of `ask --json`."""

    base: str
    patched: Path | None
    knockout: RecordedKnockout | None
    note: str | None
    dtype: str
    """The number format it was computed in."""
    questions: tuple[Asked, ...]


def sides_of(request: AskRequest) -> Sides:
    """Who is asked. Raises TaloError where the named directory is neither a run nor an export."""
    if request.run is None:
        return Sides(request.model_name, request.model_reference)
    path = _on_disk(request.run)
    if (path / MANIFEST).is_file():
        return _exported(path, request.base)
    run = RunDirectory(path)
    if not run.manifest.is_file():
        raise TaloError(
            f"{path} is neither a run nor an exported checkpoint: name one of these, or give "
            f"--model {path} to ask one model alone."
        )
    if (run.checkpoint / MANIFEST).is_file():
        return replace(_exported(run.checkpoint, request.base), run=run)
    result = run.finished()
    note = f"{path} keeps the base: no layer was cut, so the base alone answers"
    if result.selected_layer is not None:
        line = command_line(ExportRequest(run=path, out="DIR"))
        note = (
            f"{path} holds no checkpoint ({result.verdict}), so the base alone answers; `{line}` "
            "writes one"
        )
    reference = request.base or revised(result.model, result.revision)
    return Sides(result.model, reference, note=note, run=run)


def _on_disk(named: str) -> Path:
    """The directory, or the snapshot of what was published as OWNER/NAME[@REVISION]."""
    path = Path(named).expanduser()
    if path.exists() or named.partition("@")[0].count("/") != 1:
        return path
    reference = parse_reference(named)
    return path if reference.repo_id is None else download(reference.repo_id, reference.revision)


def _exported(directory: Path, base: str | None) -> Sides:
    manifest = read_manifest(directory)
    gguf = manifest.edits[0].file if manifest.storage == "gguf" else ""
    return Sides(
        manifest.base, base or base_reference(manifest), directory / gguf, manifest.knockout
    )


class SideBySide:
    """The models of both sides: one at a time in memory, or with `keep` all of them, from now."""

    def __init__(
        self, request: AskRequest, sides: Sides, reporter: Reporter, *, keep: bool = False
    ) -> None:
        self._sides, self._skip_too_long = sides, request.skip_too_long
        settings = {field.name: getattr(request, field.name) for field in fields(InferenceSettings)}
        for reference in sides.references:
            parse_reference(reference)  # A base that is gone is told before any is loaded.
        self._settings = settle_dtype(
            InferenceSettings(**settings | {"model": sides.base_reference}), reporter
        )
        self._dtype = str(self._settings.dtype)
        self._kept = {name: self._load(name) for name in sides.references if keep}

    def _load(self, reference: str) -> LoadedModel:
        return load_for_inference(replace(self._settings, model=reference))

    def ask(self, questions: Questions, reporter: Reporter) -> AskResult:
        """Put the questions to each side. Raises TaloError for what a model cannot take."""
        tables = [self._answers(name, questions, reporter) for name in self._sides.references]
        base, *patched = tables
        kept = set(base.item_ids)
        return AskResult(
            base=self._sides.base,
            patched=self._sides.patched,
            knockout=self._sides.knockout,
            note=self._sides.note,
            dtype=self._dtype,
            questions=tuple(
                _asked(item, _answer(item, base), *(_answer(item, table) for table in patched))
                for item in questions.items
                if item.id in kept
            ),
        )

    def _answers(self, reference: str, questions: Questions, reporter: Reporter) -> ScoreTable:
        loaded = self._kept.get(reference) or self._load(reference)
        self._dtype = loaded.dtype
        try:
            return sweep(
                loaded,
                questions.items,
                (None,),
                questions.scoring,
                batch_size=self._settings.batch_size,
                engine="naive",
                skip_too_long=self._skip_too_long,
                reporter=reporter,
                phase=f"asking {reference}",
            ).table
        finally:
            del loaded
            gc.collect()


def _has_answer(item: Item) -> bool:
    return bool(item.choices or item.accepted)


def _asked(item: Item, base: Answer, patched: Answer | None = None) -> Asked:
    return Asked(
        id=item.id,
        question=item.question or item.prompt or "",
        choices=() if item.prompt is not None else item.choices,
        images=tuple(image.name for image in item.images),
        right_answer=right_answer(item) if _has_answer(item) else None,
        base=base,
        patched=patched,
    )


def _answer(item: Item, table: ScoreTable) -> Answer:
    column = table.item_ids.index(item.id)
    correct = bool(table.correct[0, column]) if _has_answer(item) else None
    return Answer(table.answers[0][column] or "", correct)
