"""A split's Parquet files from the Hub: those alone, at one resolved commit.

The commit is part of the source that a task then names. Without a network an earlier download in
the Hub's cache is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

from talo_export.errors import TaloError
from talo_export.tasks.hub_source import HubSource
from talo_export.tasks.split_files import (
    Location,
    SplitFiles,
    files_below,
    how_to_download,
    split_files,
)

# The error of the HTTP client that huggingface_hub is built on, which has changed with its
# versions. Lost connections are raised as it, refusals by the server as HfHubHTTPError.
CLIENT_ERROR: type[Exception] = next(
    base for base in HfHubHTTPError.__bases__ if base.__module__.startswith("httpx")
)


def hub_split(location: Location, split: str) -> SplitFiles:
    """The split from the first repository that has it.

    Raises: TaloError with each repository's reason, saying what to download, if none does.
    """
    reasons: dict[str, str] = {}
    for repository in location.repositories:
        try:
            found = _download(repository, location, split)
        except HfHubHTTPError as error:
            found = f"{type(error).__name__}, {str(error).splitlines()[0]}"
        except (OSError, CLIENT_ERROR) as error:
            found = _cached(repository, location, split) or (
                f"the Hub cannot be reached ({type(error).__name__})"
            )
        if isinstance(found, SplitFiles):
            return found
        reasons[repository] = found
    raise TaloError(
        f"{location.name} could not be loaded: {_why(reasons)}. {how_to_download(location, split)}"
    )


def _why(reasons: Mapping[str, str]) -> str:
    """Each repository's reason, said once where they share it."""
    if len(set(reasons.values())) == 1:
        return f"{next(iter(reasons.values()))} for {' or '.join(reasons)}"
    return "; ".join(f"{repository}: {reason}" for repository, reason in reasons.items())


def _download(repository: str, location: Location, split: str) -> SplitFiles | str:
    """The files, or why there are none in this repository."""
    info = huggingface_hub.HfApi().dataset_info(
        repository, revision=location.revision_of(repository)
    )
    listed = [entry.rfilename for entry in info.siblings or []]
    names = split_files(listed, location.config, split)
    if not names:
        return f"no Parquet files of the split {split}"
    root = huggingface_hub.snapshot_download(
        repository, repo_type="dataset", revision=info.sha, allow_patterns=list(names)
    )
    files = tuple(Path(root) / name for name in names)
    return SplitFiles(files, str(HubSource(repository, str(info.sha))))


def _cached(repository: str, location: Location, split: str) -> SplitFiles | None:
    """The split in the Hub's cache, if an earlier download left all of it there.

    Files downloaded by commit leave no note of what branch it was, so without a revision the
    newest snapshot that has the split is taken.
    """
    folder = Path(constants.HF_HUB_CACHE) / f"datasets--{repository.replace('/', '--')}"
    snapshots = [path for path in folder.glob("snapshots/*") if path.is_dir()]
    revision = location.revision_of(repository)
    if revision is not None:
        reference = folder / "refs" / revision
        commit = reference.read_text("utf-8") if reference.is_file() else revision
        snapshots = [path for path in snapshots if path.name == commit.strip()]
    for snapshot in sorted(snapshots, key=lambda path: path.stat().st_mtime, reverse=True):
        files = files_below(snapshot, location, split)
        if files:
            return SplitFiles(files, str(HubSource(repository, snapshot.name)))
    return None
