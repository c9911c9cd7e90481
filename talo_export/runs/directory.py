"""A run: the directory a probe fills, and what makes it resumable.

`manifest.json` holds the request that the run answers and, once it is finished, the result. A
request that differs from the one recorded is refused by naming what differs, so no journal is
ever read under another task, model or seed. Everything is written beside and renamed, hence a
kill leaves either the old file or the new one.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from talo_export.checkpoint.staging import write_atomically
from talo_export.codec import Recorded, from_json, maybe
from talo_export.errors import TaloError
from talo_export.probing.settings import Scoring
from talo_export.runs.result import ProbeResult, read_result

FORMAT = 1
RETIRED: Mapping[str, object] = {"race": None}
"""Options that earlier versions recorded and this one lacks, each with its default."""
LONGEST = 200
"""Bytes of a name; 255 are what file systems take, and `.compare` and the like are added."""


@dataclass(frozen=True)
class TaskWords(Recorded):
    """What leads to a task's items again besides its name; defaults are left out."""

    columns: Annotated[Mapping[str, str] | None, maybe] = None
    choices_from: Annotated[Literal["answer"] | None, maybe] = None
    few_shot: Annotated[int | None, maybe] = None


@dataclass(frozen=True)
class RunRequest:
    """What a run was asked, as far as what is done with it later needs it."""

    scores: Mapping[str, str]
    """Everything an outcome depends on: what the journal is kept under."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"]
    scoring: Scoring
    task_reference: str
    """The task's name, as it is understood from any directory."""
    task_words: TaskWords | None = None


@dataclass(frozen=True)
class _Manifest:
    """As it was written, by whatever version."""

    request: Mapping[str, object]
    result: object = None


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Paths inside one run."""

    path: Path

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.json"

    @property
    def journal(self) -> Path:
        return self.path / "scores.sqlite"

    @property
    def vector(self) -> Path:
        return self.path / "vector.json"

    @property
    def plot(self) -> Path:
        return self.path / "layers.png"

    @property
    def page(self) -> Path:
        return self.path / "report.html"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"

    def result(self) -> ProbeResult | None:
        """The recorded result, None while the run is unfinished."""
        recorded = self._read().result if self.manifest.exists() else None
        return None if recorded is None else read_result(recorded, f"the result in {self.manifest}")

    def finished(self) -> ProbeResult:
        """The recorded result. Raises `TaloError` where this is no run, or an unfinished one."""
        self.request()
        result = self.result()
        if result is None:
            raise TaloError(f"{self.path} is not finished: run its probe line again first.")
        return result

    def request(self) -> RunRequest:
        """The request this run answers. Raises `TaloError` where this is no run."""
        if not self.manifest.exists():
            raise TaloError(
                f"{self.path} is not a run: it has no manifest.json; "
                "name the directory that `talo-export probe` printed."
            )
        return from_json(RunRequest, self._read().request, f"the request in {self.manifest}")

    def open(self, request: Mapping[str, object], *, fresh: bool) -> None:
        """Begin or go on: record the request, or check that it is the one recorded.

        `fresh` empties an earlier run first, and only a directory that is a run or empty.
        """
        if self.manifest.exists():
            if not fresh:
                self._check_same(request)
                return
            self._empty()
        elif self.path.is_dir() and any(self.path.iterdir()):
            raise TaloError(
                f"{self.path} exists and is not a run of talo-export; "
                "name another directory with --out."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self._write(request, None)

    def finish(self, result: ProbeResult) -> None:
        """Record the result: from now on the same request is shown, not redone."""
        self._write(self._read().request, result.to_json())

    def _empty(self) -> None:
        """Remove what a run holds, and nothing else that may lie there."""
        for pattern in ("manifest.json", "scores*.sqlite*", "vector.json", "layers.png",
                        "report.html"):  # fmt: skip
            for path in self.path.glob(pattern):
                path.unlink()
        shutil.rmtree(self.checkpoint, ignore_errors=True)

    def _check_same(self, request: Mapping[str, object]) -> None:
        recorded = dict(self._read().request)
        for name in RETIRED.keys() - request.keys():
            if recorded.pop(name, RETIRED[name]) != RETIRED[name]:
                raise TaloError(
                    f"{self.path} was made with --{name}, which this version no longer has: report "
                    "and analyze read it, but it cannot be gone on with; name another directory "
                    "with --out, or start over with --fresh."
                )
        # A round trip through JSON, so that tuples and lists compare as what is stored.
        asked = json.loads(json.dumps(dict(request)))
        differing = list(dict.fromkeys(_differences(recorded, asked)))
        if differing:
            raise TaloError(
                f"{self.path} holds a run of another request: {'; '.join(differing)}. "
                "Name another directory with --out, or start over with --fresh."
            )

    def _read(self) -> _Manifest:
        try:
            manifest = json.loads(self.manifest.read_text(encoding="utf-8"))
        except ValueError as error:
            raise TaloError(
                f"{self.manifest} is not readable as JSON ({error}); start over with --fresh "
                "or another --out."
            ) from error
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise TaloError(
                f"{self.manifest} is of another format than this version writes ({FORMAT}); "
                "start over with --fresh or another --out."
            )
        return from_json(_Manifest, manifest, str(self.manifest))

    def _write(self, request: Mapping[str, object], result: object) -> None:
        manifest = {"format": FORMAT, "request": request, "result": result}
        write_atomically(self.manifest, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _differences(recorded: Mapping[str, object], asked: Mapping[str, object]) -> Iterator[str]:
    """A phrase for every value that differs, nested ones by their own name."""
    for key in sorted({*recorded, *asked}):
        old, new = recorded.get(key), asked.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new)
        elif str(old) != str(new):
            yield f"{key} (recorded {old}, asked {new})"


def default_directory(model_name: str, task_name: str) -> Path:
    """`runs/<model>/<task>` below the working directory, each part safe as a file name."""
    return Path("runs") / file_name(Path(model_name).name or model_name) / file_name(task_name)


def file_name(text: str) -> str:
    """Letters, digits, dots and dashes; what no file system takes is cut, and told by its hash."""
    name = re.sub(r"[^\w.-]+", "-", text).strip("-.") or "unnamed"
    if len(name.encode()) <= LONGEST:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{name.encode()[: LONGEST - 9].decode(errors='ignore')}-{digest[:8]}"
