"""From an exported directory to a repository on the Hub.

Everything that can be refused is refused before a byte of the weights is sent: the directory's
own state, the verdict, the base's terms, the token, the target's content, the card. The upload
itself is huggingface_hub's: it streams, deduplicates, and goes on where it stopped when the same
line is run again. Afterwards the checksums the Hub reports are held against the files here.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants
from huggingface_hub.utils.tqdm import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from talo_export.errors import ProofError, UsageError
from talo_export.publish.hub_errors import told_plainly
from talo_export.publish.preflight import Target, check_target
from talo_export.publish.publication import Publication, open_publication, stage
from talo_export.publish.snippets import short_snippet

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class PushResult:
    """What was sent, or with `dry_run` would have been."""

    repo_id: str
    url: str
    revision: str
    """The branch, or the pull request's ref."""
    commit: str | None
    """None for a dry run."""
    pull_request: str | None
    files: dict[str, int]
    """Path in the repository -> bytes."""
    verified: int
    """Files whose checksum on the Hub was compared with the one here."""
    dry_run: bool
    snippet: str
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The document of `push --json`."""
        return asdict(self) | {"bytes_total": sum(self.files.values())}


def push(
    directory: Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    dry_run: bool = False,
    allow_unconfirmed: bool = False,
    accept_base_terms: bool = False,
    progress: bool = True,
) -> PushResult:
    """Publish the checkpoint or adapter in `directory` as `repo_id` (`OWNER/NAME`).

    `revision` is a branch, created where it does not exist. `accept_base_terms` says that the
    base's terms allow its weights to be passed on. Raises `UsageError` for a request that makes no
    sense, `TaloError` for whatever stands in the way, before anything is sent, and `ProofError`
    where the Hub holds other bytes than were sent.
    """
    if not REPO_ID.fullmatch(repo_id):
        raise UsageError(f"{repo_id!r} is no repository on the Hub: write OWNER/NAME.")
    if create_pr and revision is not None:
        raise UsageError("A pull request is always against main: leave out --revision or --pr.")
    publication = open_publication(directory, allow_unconfirmed=allow_unconfirmed)
    with tempfile.TemporaryDirectory(prefix="talo-export-push-") as temporary:
        staged = Path(temporary)
        files = stage(publication, repo_id, staged)
        with told_plainly("checking the target", repo_id):
            target = check_target(
                publication,
                staged,
                repo_id,
                private=private,
                revision=revision,
                accept_base_terms=accept_base_terms,
            )
        result = PushResult(
            repo_id=repo_id,
            url=f"{constants.ENDPOINT}/{repo_id}",
            revision=revision or constants.DEFAULT_REVISION,
            commit=None,
            pull_request=None,
            files=files,
            verified=0,
            dry_run=dry_run,
            snippet=short_snippet(repo_id, auto_class=publication.auto_class),
            warnings=target.warnings,
        )
        if dry_run:
            return result
        with _progress(progress):
            return _send(publication, staged, result, target, private, create_pr)


def _send(
    publication: Publication,
    staged: Path,
    planned: PushResult,
    target: Target,
    private: bool,
    create_pr: bool,
) -> PushResult:
    api, repo_id = HfApi(), planned.repo_id
    with told_plainly("creating the repository", repo_id):
        if not target.exists:
            api.create_repo(repo_id, private=private, exist_ok=True)
        if planned.revision != constants.DEFAULT_REVISION:
            api.create_branch(repo_id, branch=planned.revision, exist_ok=True)
    with told_plainly("uploading", repo_id):
        info = api.upload_folder(
            repo_id=repo_id,
            folder_path=staged,
            revision=None if create_pr else planned.revision,
            create_pr=create_pr,
            commit_message=_title(publication),
            # Files of an earlier export that this one no longer has.
            delete_patterns="*" if target.exists else None,
        )
    at = info.pr_revision if create_pr and info.pr_revision else info.oid
    with told_plainly("comparing checksums", repo_id):
        found = api.verify_repo_checksums(repo_id, revision=at, local_dir=staged)
    foreign = [path for path in found.missing_paths if path != ".gitattributes"]
    if found.mismatches or found.extra_paths or foreign:
        paths = [*(wrong["path"] for wrong in found.mismatches), *found.extra_paths, *foreign]
        raise ProofError(
            f"{repo_id} does not hold what was sent ({', '.join(paths[:3])}): run the same "
            "command again, and do not use the repository until it passes."
        )
    return PushResult(
        **{
            **planned.__dict__,
            "commit": info.oid,
            "pull_request": info.pr_url,
            "revision": info.pr_revision or planned.revision,
            "verified": found.checked_count,
        }
    )


def _title(publication: Publication) -> str:
    knockout = publication.manifest.knockout
    task = publication.manifest.task or {}
    what = f" for {task['task']}" if task.get("task") else ""
    return f"Layer {knockout.layer} ({knockout.scope}) knocked out{what}"


@contextmanager
def _progress(wanted: bool) -> Iterator[None]:
    """The uploader's own bars on or off, and afterwards as they were."""
    before = are_progress_bars_disabled()
    if not wanted:
        disable_progress_bars()
    try:
        yield
    finally:
        if not wanted and not before:
            enable_progress_bars()
