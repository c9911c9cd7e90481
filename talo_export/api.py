"""What the commands do, for Python: `from talo_export import probe, compare, export, ...`.

Every function takes a command's settings by keyword (a setting is declared once, in `requests/`),
raises `TaloError` with a sentence for a person, and returns what the command shows.

    >>> from talo_export import export, load_task
    >>> task = load_task("demo/maps")
    >>> len(task), task.chance
    (300, 0.25)
    >>> plan = export(layer=2, dry_run=True)
    >>> [edit.tensor.rpartition("layers.")[2] for edit in plan.edits][:2]
    ['2.self_attn.k_proj.bias', '2.self_attn.k_proj.weight']

The numbered scripts in `examples/` are longer ones.
"""

from __future__ import annotations

import inspect as introspection
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from talo_export.cli.notebook import as_html
from talo_export.codec import shown_in_notebooks_by
from talo_export.commands.analyze import run_analysis
from talo_export.commands.compare import Estimate, run_compare, run_estimate
from talo_export.commands.diff import run_diff
from talo_export.commands.evaluate import EvaluateResult, run_evaluate
from talo_export.commands.evaluate_many import EvaluationsResult, run_evaluations
from talo_export.commands.export import run_export
from talo_export.commands.inspect import run_inspect
from talo_export.commands.many import means_many
from talo_export.commands.probe import run_probe
from talo_export.commands.probe_many import ManyResult, run_probes
from talo_export.commands.push import run_push
from talo_export.commands.report import run_report
from talo_export.commands.tasks import run_tasks
from talo_export.commands.undo import run_undo
from talo_export.commands.verify import run_verify
from talo_export.publish.doctor import Examination, examine
from talo_export.publish.push import PushResult
from talo_export.requests.checkpoints import (
    DiffRequest,
    ExportRequest,
    InspectRequest,
    PushRequest,
    UndoRequest,
    VerifyRequest,
)
from talo_export.requests.fields import Request, settings, verb_of
from talo_export.requests.measurements import CompareRequest, EvaluateRequest, ProbeRequest
from talo_export.requests.readings import (
    AnalyzeRequest,
    DoctorRequest,
    LoadTaskRequest,
    ReportRequest,
    TasksRequest,
)
from talo_export.runs.chosen_task import load_chosen
from talo_export.runs.comparison import Comparison
from talo_export.runs.result import ProbeResult
from talo_export.tasks.item import Task

shown_in_notebooks_by(as_html)

P = ParamSpec("P")
RequestT = TypeVar("RequestT", bound=Request)
Result = TypeVar("Result")


def verb(request: Callable[P, RequestT], run: Callable[[RequestT], Result]) -> Callable[P, Result]:
    """A function that takes the request's fields and runs it, documented by their declarations."""

    def call(*args: P.args, **kwargs: P.kwargs) -> Result:
        return run(request(*args, **kwargs))

    declared: Any = request
    call.__name__ = call.__qualname__ = verb_of(declared)
    call.__doc__ = _documentation(declared)
    call.__signature__ = _signature(declared)  # type: ignore[attr-defined]
    return call


def _signature(declared: type[Request]) -> introspection.Signature:
    accepts = {setting.name: setting.accepts for setting in settings(declared)}
    signature = introspection.signature(declared)
    return signature.replace(
        parameters=[p.replace(annotation=accepts[p.name]) for p in signature.parameters.values()],
        return_annotation=introspection.Signature.empty,
    )


def _documentation(declared: type[Request]) -> str:
    """The command's own sentences, then a line a keyword; flags are called by their keywords."""
    keywords = {
        name: setting.name
        for setting in settings(declared)
        for flag in setting.flag.names
        for name in flag.split("/")
        if name.startswith("--")
    }

    def in_python(text: str) -> str:
        # What stands between backticks is a command line, and stays one.
        flag = re.compile(r"(`[^`]*`)|(--[a-z][\w-]*)")
        return flag.sub(lambda m: m[1] or f"`{keywords.get(m[2], m[2])}`", text)

    lines = [in_python(introspection.cleandoc(declared.__doc__ or "")), ""]
    for setting in settings(declared):
        words, flag = setting.choices, setting.flag
        choices = f" One of {', '.join(words)}." if not all(x in flag.help for x in words) else ""
        usual = f" None: {in_python(flag.default)}." if flag.default else ""
        lines.append(f"{setting.name}: {in_python(flag.python)}{choices}{usual}")
    return "\n".join(lines)


def _probe(request: ProbeRequest) -> ProbeResult | ManyResult:
    return run_probes(request) if means_many(request.task) else run_probe(request)


def _evaluate(request: EvaluateRequest) -> EvaluateResult | EvaluationsResult:
    return run_evaluations(request) if means_many(request.task) else run_evaluate(request)


def _compare(request: CompareRequest) -> Comparison | Estimate:
    return run_estimate(request) if request.estimate else run_compare(request)


def _push(request: PushRequest) -> PushResult:
    return run_push(request, progress=False)


def _doctor(request: DoctorRequest) -> Examination:
    return examine()


def _load_task(request: LoadTaskRequest) -> Task:
    return load_chosen(request, model_is_demo=False)


probe = verb(ProbeRequest, _probe)
export = verb(ExportRequest, run_export)
verify = verb(VerifyRequest, run_verify)
push = verb(PushRequest, _push)
undo = verb(UndoRequest, run_undo)
diff = verb(DiffRequest, run_diff)
evaluate = verb(EvaluateRequest, _evaluate)
compare = verb(CompareRequest, _compare)
analyze = verb(AnalyzeRequest, run_analysis)
report = verb(ReportRequest, run_report)
tasks = verb(TasksRequest, run_tasks)
inspect = verb(InspectRequest, run_inspect)
doctor = verb(DoctorRequest, _doctor)
load_task = verb(LoadTaskRequest, _load_task)
