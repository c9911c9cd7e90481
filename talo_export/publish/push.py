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
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import CommitInfo, HfApi, constants
from huggingface_hub.utils._verification import FolderVerification
from huggingface_hub.utils.tqdm import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from talo_export.codec import Recorded, derived
from talo_export.errors import ProofError, UsageError
from talo_export.publish.hub_errors import told_plainly
from talo_export.publish.parcel import Parcel
from talo_export.publish.patience import patiently
from talo_export.publish.preflight import Target, check_target
from talo_export.publish.publication import open_publication, stage
from talo_export.requests.checkpoints import Terms
from talo_export.wording import first_of

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class PushResult(Recorded):
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

    @derived
    def bytes_total(self) -> int:
        """Of all files."""
        return sum(self.files.values())


def push(
    directory: Path,
    repo_id: str,
    terms: Terms | None = None,
    *,
    shown: Path | None = None,
    progress: bool = True,
) -> PushResult:
    """Publish the checkpoint or adapter in `directory` as `repo_id` (`OWNER/NAME`).

    `shown` is what an error calls the directory. Raises `UsageError` for a request that makes no
    sense, `TaloError` for whatever stands in the way, before anything is sent, and `ProofError`
    where the Hub holds other bytes than were sent.
    """
    terms = terms or Terms()
    check_request(repo_id, terms)
    publication = open_publication(
        directory, allow_unconfirmed=terms.allow_unconfirmed, shown=shown
    )
    with tempfile.TemporaryDirectory(prefix="talo-export-push-") as temporary:
        return deliver(stage(publication, repo_id, Path(temporary)), repo_id, terms, progress)


def check_request(repo_id: str, terms: Terms) -> None:
    """Raises `UsageError` for what cannot be meant."""
    if not REPO_ID.fullmatch(repo_id):
        raise UsageError(f"{repo_id!r} is no repository on the Hub: write OWNER/NAME.")
    if terms.create_pr and terms.revision is not None:
        raise UsageError("A pull request is always against main: leave out --revision or --pr.")


def deliver(parcel: Parcel, repo_id: str, terms: Terms, progress: bool) -> PushResult:
    """Ask the Hub whether the parcel may be sent, send it, compare checksums."""
    if terms.dry_run:
        target = patiently(lambda: _checked(parcel, repo_id, terms))
        return _planned(parcel, repo_id, terms, target)
    with _progress(progress):
        return _send(parcel, repo_id, terms)


def _checked(parcel: Parcel, repo_id: str, terms: Terms) -> Target:
    with told_plainly("checking the target", repo_id):
        return check_target(parcel, repo_id, terms)


def _planned(parcel: Parcel, repo_id: str, terms: Terms, target: Target) -> PushResult:
    return PushResult(
        repo_id=repo_id,
        url=f"{constants.ENDPOINT}/{repo_id}",
        revision=terms.revision or constants.DEFAULT_REVISION,
        commit=None,
        pull_request=None,
        files=parcel.files,
        verified=0,
        dry_run=terms.dry_run,
        snippet=parcel.snippet,
        warnings=(*parcel.warnings, *target.warnings),
    )


def _send(parcel: Parcel, repo_id: str, terms: Terms) -> PushResult:
    """Check, upload and compare.

    After a wait everything is checked again, and a commit is refused that is not on top of what
    was checked: what somebody else has put there meanwhile is not overwritten.
    """
    planned, info = patiently(lambda: _upload(parcel, repo_id, terms))
    at = info.pr_revision if terms.create_pr and info.pr_revision else info.oid

    def compared() -> FolderVerification:
        with told_plainly("comparing checksums", repo_id):
            return HfApi().verify_repo_checksums(repo_id, revision=at, local_dir=parcel.folder)

    found = patiently(compared)
    foreign = [path for path in found.missing_paths if path != ".gitattributes"]
    if found.mismatches or found.extra_paths or foreign:
        paths = [*(wrong["path"] for wrong in found.mismatches), *found.extra_paths, *foreign]
        raise ProofError(
            f"{repo_id} does not hold what was sent ({first_of(paths, 3)}): run the same "
            "command again, and do not use the repository until it passes."
        )
    return replace(
        planned,
        commit=info.oid,
        pull_request=info.pr_url,
        revision=info.pr_revision or planned.revision,
        verified=found.checked_count,
    )


def _upload(parcel: Parcel, repo_id: str, terms: Terms) -> tuple[PushResult, CommitInfo]:
    api, target = HfApi(), _checked(parcel, repo_id, terms)
    planned = _planned(parcel, repo_id, terms, target)
    with told_plainly("creating the repository", repo_id):
        if not target.exists:
            api.create_repo(repo_id, private=terms.private, exist_ok=True)
        if planned.revision != constants.DEFAULT_REVISION:
            api.create_branch(repo_id, branch=planned.revision, exist_ok=True)
    with told_plainly("uploading", repo_id):
        return planned, api.upload_folder(
            repo_id=repo_id,
            folder_path=parcel.folder,
            revision=None if terms.create_pr else planned.revision,
            create_pr=terms.create_pr,
            commit_message=parcel.title,
            parent_commit=target.commit,
            # Files of an earlier export that this one no longer has.
            delete_patterns="*" if target.exists else None,
        )


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
