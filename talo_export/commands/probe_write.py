"""Write the checkpoint that a run chose, and prove that it answers as the probe did."""

from __future__ import annotations

import shutil
from dataclasses import replace

from talo_export.checkpoint.verify import verify_files
from talo_export.commands.evaluate import Note
from talo_export.commands.export import plan_on, write_patched
from talo_export.errors import ProofError
from talo_export.models.loading import LoadedModel
from talo_export.models.reference import resolve
from talo_export.requests.measurements import ProbeRequest
from talo_export.runs.comparison import comparison_of
from talo_export.runs.directory import RunDirectory
from talo_export.runs.measuring import Findings
from talo_export.runs.record import record_of_run
from talo_export.runs.replay import replay
from talo_export.runs.result import ProbeResult, Proof
from talo_export.tasks.splits import Split


def write_and_prove(
    request: ProbeRequest,
    loaded: LoadedModel,
    findings: Findings,
    result: ProbeResult,
    run: RunDirectory,
    split: Split,
    note: Note,
) -> ProbeResult:
    """Export the chosen knockout and prove it; nothing for a knockout that harms or is none."""
    knockout = result.knockout
    if knockout is None or result.verdict == "harmful":
        return result
    assert findings.confirmed is not None
    base = resolve(request.model_reference)
    plan, n_layers = plan_on(base, knockout, trust_remote_code=request.trust_remote_code)
    # What a killed run left is ours and unfinished: the run has no result yet.
    shutil.rmtree(run.checkpoint, ignore_errors=True)
    write_patched(
        base,
        plan,
        run.checkpoint,
        name=request.model_name,
        n_layers=n_layers,
        record=record_of_run(result, comparison=comparison_of(run.path, result)),
        plot=run.plot.read_bytes(),
    )
    note(f"wrote {run.checkpoint}; proving it in a fresh process")
    files = verify_files(run.checkpoint, base.directory)
    if not files.ok:
        wrong = (*files.wrong, *files.missing, *files.extra, *files.tensors.other)
        raise ProofError(
            f"{run.checkpoint} is not what was planned ({', '.join(wrong[:5])}). "
            "Check the disk, then run the same line again."
        )
    known = set(findings.confirmed.table.item_ids)
    answered = [item for item in split.confirm if item.id in known]
    answers = replay(
        loaded, run.checkpoint, answered, findings.confirmed.table, knockout, request.to_scoring()
    )
    if not answers.ok:
        raise ProofError(
            f"{run.checkpoint}, loaded by stock transformers, does not answer as the probe did: "
            f"{answers.sentence}"
        )
    proof = Proof(
        tensors_filled=len(files.tensors.filled),
        tensors_identical=files.tensors.identical,
        answers=answers.n,
        answers_equal=answers.equal,
        answers_within_rounding=len(answers.rounding),
    )
    return replace(result, checkpoint=run.checkpoint, proof=proof)
