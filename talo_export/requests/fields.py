"""How a request declares a setting, once: its flag, its keyword and its place on a command line.

A request is a frozen dataclass. Every field is `Annotated[TYPE, Flag(...)]`, or `Argument(...)`
where the command takes the value by its place. From these come the command's options
(`cli/flags.py`), the keywords of the Python function (`api.py`) and the line that asks for the same
again (`command_line`). A value that cannot be is refused when the request is made, before anything
heavy is imported.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from talo_export.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: object) -> Callable[[Any], Any]:
        return lambda decorator: decorator


Class = TypeVar("Class", bound=type)
Given = TypeVar("Given")
Kept = TypeVar("Kept")
REQUIRED: Any = object()
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""What Python makes of bytes that are no UTF-8."""


class Flag:
    """A field as an option: `Flag("--out -o DIR", PANEL, "What it is for.")`.

    A bool may have a name for either value, `--yes/--no`. `default` says in words what a None
    stands for. `parse` and `write` turn the option's text into the value and back, where the type
    alone does not; of a `repeated` option they turn each of its texts into one of the values.
    `least` is the smallest number. `python` is the help where the value is not written as on the
    command line.
    """

    def __init__(
        self,
        spelling: str,
        panel: str | None,
        help: str,
        *,
        default: str | None = None,
        parse: Callable[[str], Any] | None = None,
        write: Callable[[Any], str] = str,
        repeated: bool = False,
        least: int | None = None,
        python: str | None = None,
    ) -> None:
        words = spelling.split()
        self.names = tuple(word for word in words if word.startswith("-"))
        self.metavar = next((word for word in words if not word.startswith("-")), None)
        self.panel, self.help, self.default, self.least = panel, help, default, least
        self.parse, self.write, self.python = parse, write, python or help
        self.repeated = repeated


class Argument(Flag):
    """A field that the command takes by its place: `Argument("DIR", "What it is.")`."""

    def __init__(self, metavar: str, help: str, *, default: str | None = None) -> None:
        super().__init__(metavar, None, help, default=default)


class Coerced(Generic[Given, Kept]):
    """A field that accepts more than it holds: `Given` to the constructor, `Kept` when read."""

    def __init__(self, convert: Callable[[Given], Kept], *, default: Given = REQUIRED) -> None:
        self._convert, self._default = convert, default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, request: object, owner: type | None = None) -> Kept:
        if request is not None:
            return cast(Kept, vars(request)[self._name])
        if self._default is REQUIRED:
            raise AttributeError(self._name)  # So a dataclass sees that there is no default.
        return self._convert(self._default)

    def __set__(self, request: object, value: Given) -> None:
        vars(request)[self._name] = self._convert(value)


OnePath = Coerced[str | Path, Path]
MaybePath = Coerced[str | Path | None, Path | None]
Paths = Coerced[Sequence[str | Path], tuple[Path, ...]]
OneReference = Coerced[str | Path, str]
MaybeReference = Coerced[str | Path | None, str | None]


def path(given: str | Path) -> Path:
    """A path, with `~` as the home directory."""
    return Path(reference(given))


def paths(given: Sequence[str | Path]) -> tuple[Path, ...]:
    """As `path`, of each."""
    return tuple(map(path, given))


def reference(given: str | Path) -> str:
    """What names a model or a task: `~` is the home directory, all else stays as written."""
    return os.path.expanduser(given)


def if_any(convert: Callable[[str | Path], Kept]) -> Callable[[str | Path | None], Kept | None]:
    """As `convert`; None stays None."""
    return lambda given: None if given is None else convert(given)


path_if_any, reference_if_any, as_written = if_any(path), if_any(reference), if_any(str)


@dataclass_transform(field_specifiers=(Coerced,))
def frozen(declared: Class) -> Class:
    """Make the class a frozen dataclass. Checkers read `Coerced` fields as what they hold."""
    return cast(Class, dataclass(frozen=True)(declared))


@dataclass(frozen=True)
class Setting:
    """One declared field, read: the dataclass's own, what it accepts and holds, and its flag."""

    field: Field[Any]
    accepts: Any
    holds: Any
    flag: Flag

    @property
    def name(self) -> str:
        """The field's name, which is the keyword in Python."""
        return self.field.name

    @property
    def default(self) -> Any:
        """The default value, `REQUIRED` where there is none."""
        return REQUIRED if self.field.default is MISSING else self.field.default

    @property
    def shown(self) -> str:
        """What to call it in a sentence: `--layer`, or the argument's metavar."""
        return self.flag.names[0].split("/")[0] if self.flag.names else str(self.flag.metavar)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The words there are, empty where the type does not name them."""
        kinds = (self.holds, *get_args(self.holds))
        return tuple(x for kind in kinds if get_origin(kind) is Literal for x in get_args(kind))

    def check(self, value: Any) -> None:
        """Raises UsageError for a value that is none of the choices, less than the least, or no
        UTF-8: neither a manifest nor a card could hold it."""
        least, choices = self.flag.least, self.choices
        for text in _texts(value):
            if LONE_SURROGATE.search(text):
                raise UsageError(
                    f"{self.shown} is {text!r}, which is not UTF-8: write it so, and rename what "
                    "has such a name."
                )
        if least is not None and isinstance(value, int) and value < least:
            raise UsageError(f"{self.shown} is {value}: {least} is the least.")
        if choices and isinstance(value, str) and value not in choices:
            raise UsageError(f"{self.shown} is {value!r}; choose one of {', '.join(choices)}.")

    def words(self, value: Any) -> list[str]:
        """The words of a command line that give this value."""
        flag = self.flag
        if isinstance(flag, Argument):
            return [flag.write(x) for x in (value if isinstance(value, tuple) else (value,))]
        if isinstance(value, bool):
            yes, _, no = flag.names[0].partition("/")
            return [yes if value else no]
        several = isinstance(value, tuple) and (flag.repeated or flag.parse is None)
        return [w for x in (value if several else (value,)) for w in (flag.names[0], flag.write(x))]


def _texts(value: Any) -> Iterator[str]:
    """Every text in the value of a setting, paths among them."""
    if isinstance(value, (str, Path)):
        yield str(value)
    elif isinstance(value, Mapping):
        yield from _texts((*value, *value.values()))
    elif isinstance(value, tuple):
        for part in value:
            yield from _texts(part)


class Request:
    """What every request checks of itself."""

    def __post_init__(self) -> None:
        """Raises UsageError for a value that cannot be, naming the option."""
        for setting in settings(type(self)):
            setting.check(getattr(self, setting.name))


def settings(declared: type) -> tuple[Setting, ...]:
    """The declared fields of a request class, inherited ones first."""
    # To Python 3.10 the marker of dataclasses, itself an annotation, is not one.
    hints = get_type_hints(declared, include_extras=True, localns={"KW_ONLY": None})
    return tuple(_setting(field, hints[field.name]) for field in fields(declared))


def _setting(field: Field[Any], hint: Any) -> Setting:
    kind, flag = get_args(hint)
    if get_origin(kind) is not Coerced:
        return Setting(field, kind, kind, flag)
    accepts, holds = get_args(kind)
    return Setting(field, accepts, holds, flag)


def verb_of(declared: type) -> str:
    """`ProbeRequest` -> `probe`, `LoadTaskRequest` -> `load_task`."""
    return re.sub(r"\B([A-Z])", r"_\1", declared.__name__.removesuffix("Request")).lower()


def command_line(request: Request) -> str:
    """The line that asks for the same again: every value that is not its default, quoted."""
    given = [
        (setting, getattr(request, setting.name))
        for setting in settings(type(request))
        if getattr(request, setting.name) != setting.default
    ]
    places: list[str] = []
    options: list[str] = []
    for setting, value in given:
        (places if isinstance(setting.flag, Argument) else options).extend(setting.words(value))
    # A word that looks like an option is read as none only behind a double dash.
    dashed = any(word.startswith("-") for word in places)
    words = [*options, "--", *places] if dashed else [*places, *options]
    return shlex.join(["talo-export", verb_of(type(request)), *words])
