"""What the Hub has to say before anything is sent: token, target, base, card."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import HfApi, constants, get_token, hf_hub_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from talo_export.checkpoint.placing import CARD
from talo_export.errors import TaloError
from talo_export.publish.base_card import BaseCard
from talo_export.publish.card import read_card
from talo_export.publish.hub_errors import LOG_IN
from talo_export.publish.parcel import Parcel
from talo_export.requests.checkpoints import Terms
from talo_export.wording import first_of, one_line

OF_THE_HUB = ".gitattributes"
"""The one file every new repository has."""


@dataclass(frozen=True)
class Target:
    """The repository as it was found."""

    exists: bool
    commit: str | None
    """What the branch stands at, None where there is nothing yet."""
    warnings: tuple[str, ...]


def check_target(parcel: Parcel, repo_id: str, terms: Terms) -> Target:
    """Ask the Hub whether this push may begin. Nothing is written there.

    Without a token, which a dry run does not need, everybody's view of the target is checked.

    Raises `TaloError` for whatever stands in the way, and lets huggingface_hub's own errors pass.
    """
    api = HfApi()
    warnings: tuple[str, ...] = ()
    if get_token() is not None or not terms.dry_run:
        _check_token(api)
    else:
        warnings = (
            f"There is no token, so nobody asked whether {repo_id} may be written: to push, "
            f"{LOG_IN}.",
        )
    if parcel.carries_weights and not (terms.private or terms.accept_base_terms):
        _check_base_terms(api, parcel.base)
    target = _look(api, parcel, repo_id, terms)
    _check_card(parcel.folder)
    return replace(target, warnings=(*warnings, *target.warnings))


def _check_token(api: HfApi) -> None:
    if get_token() is None:
        raise TaloError(f"There is no token for {constants.ENDPOINT}: {LOG_IN}.")
    me = api.whoami()
    role = me.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise TaloError(
            f"The token of {me['name']} may only read: make one with the role `write` at "
            f"{constants.ENDPOINT}/settings/tokens, then {LOG_IN}."
        )


def _check_base_terms(api: HfApi, base: BaseCard) -> None:
    """A copy of weights that stand behind terms is not made public by default."""
    why = None
    if base.gated or (base.hub_id and _is_gated(api, base.hub_id)):
        why = "is gated: whoever downloads it has to accept its terms first"
    elif base.license and ("-nd-" in base.license or base.license.endswith("-nd")):
        why = f"is licensed {base.license}, which allows no modified copies"
    if why:
        raise TaloError(
            f"The base {base.hub_id or base.short_name} {why}. Push with --private, or as an "
            "adapter (--as adapter carries none of its weights), or, if its terms allow you to "
            "pass it on, with --accept-base-terms."
        )


def _is_gated(api: HfApi, base: str) -> bool:
    try:
        return bool(api.model_info(base).gated)
    except GatedRepoError:
        return True
    except (RepositoryNotFoundError, RevisionNotFoundError):
        # Deleted, renamed, or on another Hub: then its own card in the directory has to do.
        return False


def _look(api: HfApi, parcel: Parcel, repo_id: str, terms: Terms) -> Target:
    warnings = []
    if parcel.base.license is None:
        warnings.append(
            f"The base {parcel.base.short_name} states no licence: make sure that its "
            "weights may be passed on."
        )
    try:
        info = api.model_info(repo_id)
    except RepositoryNotFoundError:
        return Target(exists=False, commit=None, warnings=tuple(warnings))
    if terms.private and not info.private:
        raise TaloError(f"{repo_id} exists and is public: --private needs a new name.")
    at, commit = constants.DEFAULT_REVISION, info.sha
    if (revision := terms.revision) is not None:
        heads = {
            branch.name: branch.target_commit for branch in api.list_repo_refs(repo_id).branches
        }
        at, commit = (revision, heads[revision]) if revision in heads else (at, commit)
    present = {
        entry.path: entry
        for entry in api.list_repo_tree(repo_id, revision=at, recursive=True)
        if isinstance(entry, RepoFile) and entry.path != OF_THE_HUB
    }
    if present and not _is_ours(parcel, repo_id, at, present):
        some = first_of(sorted(present), 3)
        raise TaloError(f"{repo_id} already holds something else ({some}): push to another name.")
    return Target(exists=True, commit=commit, warnings=tuple(warnings))


def _is_ours(parcel: Parcel, repo_id: str, revision: str, present: Collection[str]) -> bool:
    """Whether the repository holds this parcel, an earlier one of the same, or a part of it.

    A part, because an upload that was cut off may have committed some of the files: then nothing
    is there that would not be sent.
    """
    if parcel.marker not in present:
        return all(path in parcel.files for path in present)
    there = Path(hf_hub_download(repo_id, parcel.marker, revision=revision))
    try:
        theirs = json.loads(there.read_text(encoding="utf-8"))
        ours = json.loads((parcel.folder / parcel.marker).read_text(encoding="utf-8"))
        return parcel.same(theirs, ours)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _check_card(folder: Path) -> None:
    """The Hub's own validator, which knows its licences and fields better than any list here."""
    card = read_card((folder / CARD).read_text(encoding="utf-8"))
    try:
        card.validate()
    except ValueError as error:
        raise TaloError(
            f"The Hub does not accept the card's metadata: {one_line(str(error))}"
        ) from error
