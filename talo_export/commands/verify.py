"""Is an exported directory what its manifest says, and does it load and compute so?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import WrapSerializer

from talo_export.checkpoint.adapter_files import ADAPTER
from talo_export.checkpoint.manifest import read_manifest
from talo_export.checkpoint.proof import LoadReport, prove_export
from talo_export.checkpoint.verify import FileReport, FileVerdicts, TensorVerdicts, verify_files
from talo_export.codec import Recorded
from talo_export.errors import ProofError
from talo_export.models.reference import resolve
from talo_export.reporting import SILENT, Reporter
from talo_export.requests.checkpoints import VerifyRequest
from talo_export.runs.loading import base_reference
from talo_export.wording import count

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class LoadFindings(LoadReport):
    """The keys that did not fit on loading; as clean as the base's own is as clean as can be."""

    as_base: bool = True


@dataclass(frozen=True)
class LogitFindings:
    """How far the logits are from the live knockout's, and from the base's."""

    max_abs_difference_to_knockout: float
    max_abs_difference_to_base: float


def _empty_where_unproved(
    part: object, handler: Callable[[object], dict[str, object]]
) -> dict[str, object]:
    return {} if part is None else handler(part)


@dataclass(frozen=True)
class VerifyResult(Recorded):
    """The document of `verify --json`."""

    ok: bool
    """False where anything is not as planned."""
    files: FileVerdicts
    tensors: TensorVerdicts
    load: Annotated[LoadFindings | None, WrapSerializer(_empty_where_unproved)]
    """None, as the next, where wrong bytes are reported: computing with them proves nothing."""
    logits: Annotated[LogitFindings | None, WrapSerializer(_empty_where_unproved)]
    problems: tuple[str, ...]


def run(request: VerifyRequest, reporter: Reporter = SILENT) -> VerifyResult:
    """Compare every file and tensor, then load it in a fresh process and compare logits."""
    directory = request.directory
    manifest = read_manifest(directory)
    origin = resolve(request.base or base_reference(manifest))
    files = verify_files(directory, origin.place, reporter)
    problems = _problems(files)
    load = logits = None
    if not problems:
        try:
            proof = prove_export(
                directory,
                origin.place,
                manifest.knockout,
                is_adapter=manifest.storage == ADAPTER,
                trust_remote_code=request.trust_remote_code,
            )
        except ProofError as error:
            problems.append(str(error))
        else:
            load = LoadFindings(**asdict(proof.load), as_base=proof.load == proof.base_load)
            logits = LogitFindings(
                proof.max_abs_difference_to_knockout, proof.max_abs_difference_to_base
            )
            problems += proof.problems
    return VerifyResult(
        ok=not problems,
        files=files,
        tensors=files.tensors,
        load=load,
        logits=logits,
        problems=tuple(problems),
    )


def _problems(files: FileReport) -> list[str]:
    kinds = {
        "missing": files.missing,
        "not planned": files.extra,
        "changed": files.wrong,
        "tensors neither the base's nor filled as planned": files.tensors.other,
    }
    found = [f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
    found += files.contradictions
    if not files.tensors.filled:
        found.append("no tensor is filled")
    return found


SHOWN = 4
"""Names given of a list: as many as an attention has projections."""


def show(result: VerifyResult, to: Console) -> None:
    """Files, tensors, loading, logits; what is wrong; the verdict."""
    from rich.text import Text

    def row(name: str, words: str) -> None:
        to.print(Text(f"{name:<8}", style="dim"), words, sep="")

    files, tensors = result.files, result.tensors
    row("files", _lists(
        ("identical", files.identical), ("edited", files.edited), ("missing", files.missing),
        ("not planned", files.extra), ("changed", files.wrong),
        ("without a hash to compare with", files.unchecked),
        ("of another base", files.other_base),
    ))  # fmt: skip
    others = _lists(("filled as planned", tensors.filled), ("neither", tensors.other))
    row("tensors", f"{tensors.identical} identical to the base's, {others}")
    if result.load is not None:
        load = result.load
        keys = _lists(
            ("missing", load.missing_keys),
            ("unexpected", load.unexpected_keys),
            ("mismatched", load.mismatched_keys),
        )
        same = "" if load.as_base else ", not as the base loads"
        row("load", f"{keys or 'every key fits'}{same}")
    if result.logits is not None:
        row(
            "logits",
            f"{_number(result.logits.max_abs_difference_to_knockout)} from the live knockout's, "
            f"{_number(result.logits.max_abs_difference_to_base)} from the base's",
        )
    for problem in result.problems:
        to.print(f"problem: {problem}", style="red")
    to.print(summary(result), style="green" if result.ok else "bold red")


def summary(result: VerifyResult) -> str:
    """The one sentence that `--quiet` prints."""
    if result.ok:
        return "all as planned"
    return f"not as planned: {count(len(result.problems), 'problem')}"


def _lists(*kinds: tuple[str, Sequence[str]]) -> str:
    """Each kind that has members: how many, what, and the first names."""
    return ", ".join(f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds if names)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _number(value: float) -> str:
    return f"{value:.3g}"


def exit_status(result: VerifyResult) -> int:
    """1 where anything is not as planned."""
    return 0 if result.ok else 1
