"""Where an evaluation keeps its answers as they come, so that no kill and no closed pipe loses any.

A file holds what was asked of one model in one way; its name comes from all that the answers
depend on, so another model, task, scoring or version has another file, and none is ever refused.
"""

from __future__ import annotations

import hashlib
import json

from talo_export.checkpoint.manifest import current_versions
from talo_export.models.identity import model_fingerprint
from talo_export.models.loading import LoadedModel
from talo_export.models.reference import follow_adapter, resolve
from talo_export.probing.journal import Journal
from talo_export.requests.measurements import EvaluateRequest
from talo_export.runs.directory import default_directory
from talo_export.runs.request import score_identity
from talo_export.tasks.answers import RULES
from talo_export.tasks.item import Task


def open_answers(request: EvaluateRequest, task: Task, loaded: LoadedModel) -> Journal:
    """The journal of this evaluation, emptied where the request is `fresh`.

    Raises `TaloError` where it cannot be written.
    """
    identity = {
        **score_identity(request, task, _fingerprint(request.model_reference)),
        "dtype": loaded.dtype,
        "rules": RULES,
        **current_versions(),
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    usual = default_directory(request.model_name, task.name)
    folder = request.out or usual.with_name(f"{usual.name}.evaluate")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"answers-{digest[:16]}.sqlite"
    if request.fresh:
        path.unlink(missing_ok=True)
    return Journal.open(path, identity)


def _fingerprint(reference: str) -> str:
    """Of the model, and of the adapter on it."""
    base, adapter = follow_adapter(reference)
    model = resolve(base)
    known = model_fingerprint(model.directory, model.revision)
    return known if adapter is None else f"{known} {model_fingerprint(adapter, None)}"
