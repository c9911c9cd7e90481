"""Is an exported directory what its manifest says, and does it load and compute so?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talo_export.checkpoint.adapter_files import ADAPTER
from talo_export.checkpoint.manifest import Manifest, read_manifest
from talo_export.checkpoint.proof import prove_export
from talo_export.checkpoint.verify import FileReport, verify_files
from talo_export.errors import ProofError
from talo_export.models.reference import resolve
from talo_export.requests.checkpoints import VerifyRequest
from talo_export.requests.settings import model_reference


def run_verify(
    request: VerifyRequest, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """The document of `verify --json`; `ok` is False where anything is not as planned.

    `progress` is called with the bytes hashed so far and the bytes to hash.
    """
    directory = request.directory
    manifest = read_manifest(directory)
    origin = resolve(request.base or base_reference(manifest))
    files = verify_files(directory, origin.place, progress)
    document = {"ok": False, **files.to_json(), "load": {}, "logits": {}}
    problems = _problems(files)
    if not problems:
        # Bytes that are wrong are reported as such; computing with them would prove nothing.
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
            document |= proof.to_json()
            problems += proof.problems
    return document | {"ok": not problems, "problems": problems}


def base_reference(manifest: Manifest) -> str:
    """The reference of the base that a manifest names."""
    base = model_reference(manifest.base)
    return f"{base}@{manifest.revision}" if manifest.revision else base


def _problems(files: FileReport) -> list[str]:
    kinds = {
        "missing": files.missing,
        "not planned": files.extra,
        "changed": files.wrong,
        "tensors neither the base's nor filled as planned": files.tensors_other,
    }
    found = [f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
    found += files.contradictions
    if not files.tensors_filled:
        found.append("no tensor is filled")
    return found
