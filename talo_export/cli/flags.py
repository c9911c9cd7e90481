"""From a request class to a command of Typer's: its options, its help, and the request itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any, Protocol, get_args, get_origin

import typer

from talo_export.cli.failures import exit_on_known_errors
from talo_export.cli.output import Sink
from talo_export.cli.progress import TerminalReporter
from talo_export.requests.fields import (
    REQUIRED,
    Argument,
    Flag,
    Request,
    Setting,
    settings,
    verb_of,
)
from talo_export.requests.settings import OUTPUT, PANELS

if TYPE_CHECKING:
    from rich.console import Console

    from talo_export.codec import Recorded
    from talo_export.reporting import Reporter

JSON = Flag("--json", OUTPUT, "One JSON document on stdout.")
QUIET = Flag("--quiet -q", OUTPUT, "Only the sentence that matters.")


class Command(Protocol):
    """What a module in `commands/` has. `warnings` and `exit_status` it may also have."""

    def run(self, request: Any, reporter: Reporter) -> Recorded:
        """Do what was asked."""

    def summary(self, result: Any) -> str | list[str]:
        """What `--quiet` prints: one sentence, or the lines of it."""

    def show(self, result: Any, to: Console) -> None:
        """Show the result to a person."""


def carry_out(request: Request, sink: Sink) -> None:
    """Run the verb of a request and hand its result to the sink; its module is imported here."""
    verb: Command | Any = import_module(f"talo_export.commands.{verb_of(type(request))}")
    with TerminalReporter(sink) as reporter:
        result = verb.run(request, reporter)
    if not _follows():
        for warning in verb.warnings(result) if hasattr(verb, "warnings") else ():
            sink.warn(warning)
        sink.result(result, summary=verb.summary(result), show=partial(verb.show, result))
    if hasattr(verb, "exit_status") and (status := verb.exit_status(result)):
        raise typer.Exit(status)


def _follows() -> bool:
    """Whether another process of several speaks for all."""
    return int(os.environ.get("RANK", "0")) > 0


def command(
    request: type[Request], do: Callable[[Request, Sink], None] = carry_out
) -> Callable[..., None]:
    """Make the command of a request, with all its options.

    A request that cannot be ends in its sentence before anything heavy is imported.
    """

    def called(*, json: bool, quiet: bool, **values: Any) -> None:
        with exit_on_known_errors():
            sink = Sink(json_mode=json, quiet=quiet or _follows())
            do(request(**_given(request, values)), sink)

    parameters = [
        *(_parameter(s.name, _type(s), s.flag, _default(s)) for s in settings(request)),
        _parameter("json", bool, JSON, False),
        _parameter("quiet", bool, QUIET, False),
    ]
    parameters.sort(key=_place)
    called.__name__ = verb_of(request)
    called.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    called.__doc__ = request.__doc__
    return called


def _parameter(name: str, kind: Any, flag: Flag, default: Any) -> Parameter:
    place = isinstance(flag, Argument)
    about: dict[str, Any] = {
        "metavar": flag.metavar,
        "help": flag.help,
        "show_default": flag.default or (default is not None and default is not False),
    }
    if flag.panel:
        about["rich_help_panel"] = flag.panel
    info = typer.Argument(**about) if place else typer.Option(*flag.names, **about)
    return Parameter(
        name,
        Parameter.KEYWORD_ONLY,
        annotation=Annotated[kind, info],
        default=Parameter.empty if default is REQUIRED else default,
    )


def _type(setting: Setting) -> Any:
    """What Typer reads: the words as they are where we read them, else the value's own type."""
    if isinstance(setting.flag, Argument) and setting.choices:
        return str  # The help would fold all the choices into a narrow column.
    if setting.flag.repeated:
        return list[str]
    if setting.flag.parse is not None:
        return str | None
    if get_origin(setting.holds) is tuple:
        return list[get_args(setting.holds)[0]]  # type: ignore[misc]
    return setting.holds


def _default(setting: Setting) -> Any:
    if setting.flag.repeated and not setting.default:
        return None
    if setting.flag.parse is None or setting.default in (None, REQUIRED):
        return setting.default
    return setting.flag.write(setting.default)


def _given(request: type[Request], values: dict[str, Any]) -> dict[str, Any]:
    """The values of the request, read from the words where they are words."""
    read = {s.name: s.flag.parse for s in settings(request)}

    def given(name: str, value: Any) -> Any:
        parse = read[name]
        if parse is not None and isinstance(value, list):
            return [parse(word) for word in value]
        return parse(value) if parse is not None and isinstance(value, str) else value

    return {name: given(name, value) for name, value in values.items()}


def _place(parameter: Parameter) -> int:
    """Arguments first, then the options panel by panel."""
    info = get_args(parameter.annotation)[1]
    return PANELS.index(info.rich_help_panel) if info.rich_help_panel else -1
