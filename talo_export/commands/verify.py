"""Is an exported directory what its manifest says, and does it load and compute so?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import WrapSerializer

from talo_export.checkpoint.adapter_files import ADAPTER
from talo_export.checkpoint.manifest import Manifest, read_manifest
from talo_export.checkpoint.proof import LoadReport, prove_export
from talo_export.checkpoint.verify import FileReport, FileVerdicts, TensorVerdicts, verify_files
from talo_export.codec import Recorded
from talo_export.errors import ProofError
from talo_export.models.reference import resolve
from talo_export.requests.checkpoints import VerifyRequest
from talo_export.requests.settings import model_reference


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


def run_verify(
    request: VerifyRequest, progress: Callable[[int, int], None] | None = None
) -> VerifyResult:
    """Compare every file and tensor, then load it in a fresh process and compare logits.

    `progress` is called with the bytes hashed so far and the bytes to hash.
    """
    directory = request.directory
    manifest = read_manifest(directory)
    origin = resolve(request.base or base_reference(manifest))
    files = verify_files(directory, origin.place, progress)
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


def base_reference(manifest: Manifest) -> str:
    """The reference of the base that a manifest names."""
    base = model_reference(manifest.base)
    return f"{base}@{manifest.revision}" if manifest.revision else base


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
