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

from talo_export import commands
from talo_export.cli.notebook import as_html, notebook_reporter
from talo_export.codec import shown_in_notebooks_by
from talo_export.models.threads import share_processors
from talo_export.reporting import Reporter
from talo_export.requests.checkpoints import (
    DiffRequest,
    ExportRequest,
    InspectRequest,
    PushRequest,
    UndoRequest,
    VerifyRequest,
)
from talo_export.requests.fields import Request, settings, verb_of
from talo_export.requests.measurements import (
    AskRequest,
    CompareRequest,
    EvaluateRequest,
    ProbeRequest,
)
from talo_export.requests.readings import (
    AnalyzeRequest,
    DoctorRequest,
    LoadTaskRequest,
    ReportRequest,
    TasksRequest,
)
from talo_export.runs.chosen_task import load_chosen
from talo_export.tasks.item import Task

shown_in_notebooks_by(as_html)

P = ParamSpec("P")
RequestT = TypeVar("RequestT", bound=Request)
Result = TypeVar("Result")


def verb(
    request: Callable[P, RequestT], run: Callable[[RequestT, Reporter], Result]
) -> Callable[P, Result]:
    """A function that takes the request's fields and runs it, documented by their declarations."""

    def call(*args: P.args, **kwargs: P.kwargs) -> Result:
        share_processors()
        with notebook_reporter() as reporter:
            return run(request(*args, **kwargs), reporter)

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


def _load_task(request: LoadTaskRequest, reporter: Reporter) -> Task:
    return load_chosen(request, model_is_demo=False)


probe = verb(ProbeRequest, commands.probe.run)
ask = verb(AskRequest, commands.ask.run)
export = verb(ExportRequest, commands.export.run)
verify = verb(VerifyRequest, commands.verify.run)
push = verb(PushRequest, commands.push.run)
undo = verb(UndoRequest, commands.undo.run)
diff = verb(DiffRequest, commands.diff.run)
evaluate = verb(EvaluateRequest, commands.evaluate.run)
compare = verb(CompareRequest, commands.compare.run)
analyze = verb(AnalyzeRequest, commands.analyze.run)
report = verb(ReportRequest, commands.report.run)
tasks = verb(TasksRequest, commands.tasks.run)
inspect = verb(InspectRequest, commands.inspect.run)
doctor = verb(DoctorRequest, commands.doctor.run)
load_task = verb(LoadTaskRequest, _load_task)
