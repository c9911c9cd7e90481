"""Read a task YAML of lm-evaluation-harness or lmms-eval: the declarative kind, and no code.

Both projects let a YAML name Python functions (`!function utils.f`). Such a file is code that
somebody else wrote, so each function is refused by name, unless the user trusts it. An `include`
is read only from beside the file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any

import yaml

from talo_export.errors import TaloError, UsageError
from talo_export.tasks.problems import FieldError

OURS = ("process_results", "filter_list", "doc_to_decontamination_query", "metric_list",
        "doc_to_messages", "fewshot_config")  # fmt: skip
"""Keys whose functions are not run at all: answers are read and scored by our own rules."""

SCORED = {
    "generate_until": {"exact_match", "acc"},
    "multiple_choice": {"acc", "acc_norm", "acc_bytes", "exact_match", "f1", "mcc"},
}
"""Metrics of lm-eval of which one must be asked for: they rest on what is right here too."""

UNREAD = ("custom_dataset", "use_prompt", "doc_to_audio", "doc_to_video")
"""Keys that change what is asked in ways not supported here."""


@dataclass(frozen=True)
class Function:
    """A function that a YAML names, and the directory whose modules it may come from."""

    name: str
    folder: Path

    def load(self) -> Callable[..., Any]:
        """Import it from its file beside the YAML. Only for files that the user trusts.

        Raises: TaloError if there is no such file or function.
        """
        module_name, _, function = self.name.rpartition(".")
        path = self.folder / f"{module_name.replace('.', '/')}.py"
        if not path.is_file():
            raise TaloError(f"The task names !function {self.name}, but there is no file {path}.")
        found = getattr(_module(path), function, None)
        if not callable(found):
            raise TaloError(f"{path} has no function '{function}', which the task names.")
        return found

    def call(self, key: str, *arguments: Any) -> Any:
        """What it gives for a document. Raises: FieldError where it fails; as `load`."""
        function = self.load()
        try:
            return function(*arguments)
        except Exception as error:
            # Somebody else's code raises whatever it likes; the document is named by the caller.
            raise FieldError(key, f"{self.name} fails ({type(error).__name__}: {error})") from error


@cache
def _module(path: Path) -> Any:
    spec = util.spec_from_file_location(f"talo_task_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise TaloError(f"{path} is no Python module.")
    module = util.module_from_spec(spec)
    # Nothing is left beside somebody's files, Python's own cache of them neither.
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise TaloError(
            f"{path}, which the task names, cannot be imported ({type(error).__name__}: {error}): "
            "install what it needs."
        ) from error
    finally:
        sys.dont_write_bytecode = writes
    return module


@dataclass(frozen=True)
class TaskYaml:
    """A YAML's keys, its includes merged in, its functions named but not loaded."""

    path: Path
    keys: Mapping[str, Any]
    trusted: bool

    def get(self, *names: str, default: Any = None) -> Any:
        """The first of these keys that is set."""
        return next((self.keys[n] for n in names if self.keys.get(n) is not None), default)

    @property
    def is_lmms(self) -> bool:
        """Whether it is lmms-eval's: its prompts go through the model's chat template."""
        return bool(self.keys.keys() & {"doc_to_visual", "lmms_eval_specific_kwargs"})

    @property
    def output_type(self) -> str:
        return str(self.get("output_type", default="generate_until"))


def read_task_yaml(path: Path, *, trust_remote_code: bool = False) -> TaskYaml:
    """Read and check a task YAML.

    Raises: UsageError naming every function that it needs and the user does not trust, or a kind
    of task that is not supported; TaloError if it is no such file.
    """
    keys = _merged(path.resolve(), ())
    task = TaskYaml(path=path, keys=keys, trusted=trust_remote_code)
    if "class" in keys:
        raise UsageError(f"{path} is a task made by code of its own ({_name(keys['class'])}).")
    if isinstance(keys.get("task"), list):
        names = ", ".join(_name(entry) for entry in keys["task"])
        raise UsageError(f"{path} is a group of tasks ({names}): name the YAML of one of them.")
    for name in ("doc_to_text", "doc_to_target", "dataset_path"):
        if keys.get(name) is None:
            raise TaloError(f"{path} is no task of lm-eval or lmms-eval: it has no '{name}'.")
    if task.output_type not in ("multiple_choice", "generate_until"):
        raise UsageError(
            f"{path}: output_type {task.output_type} is not supported, only multiple_choice and "
            "generate_until."
        )
    if not task.is_lmms:
        _check_scoring(task)
    for name in UNREAD:
        if keys.get(name) is not None:
            raise UsageError(f"{path}: the key '{name}' is not supported.")
    functions = {n: v for n, v in keys.items() if isinstance(v, Function) and n not in OURS}
    if functions and not trust_remote_code:
        named = ", ".join(f"{key}: {value.name}" for key, value in functions.items())
        raise UsageError(
            f"{path} needs code of its own ({named}): read {path.parent}, and pass "
            "--trust-remote-code if you trust it."
        )
    return task


def _check_scoring(task: TaskYaml) -> None:
    """Raise UsageError where lm-eval would call other answers right than we do."""
    process = task.get("process_results")
    if process is not None:
        raise UsageError(
            f"{task.path} decides by code of its own what is right (process_results: "
            f"{_name(process)}), which is not run here: its score would be another one."
        )
    listed = task.get("metric_list", default=())
    metrics = [_name(m.get("metric") if isinstance(m, Mapping) else m) for m in listed]
    known = SCORED[task.output_type]
    if metrics and not known.intersection(metrics):
        raise UsageError(
            f"{task.path} is scored by {', '.join(metrics)}, none of which is known here: only "
            f"{', '.join(sorted(known))} are."
        )


def _name(value: Any) -> str:
    """A function's or a task's name, as a YAML has it."""
    if isinstance(value, Mapping):
        value = value.get("task", value.get("group"))
    return value.name if isinstance(value, Function) else str(value)


def _merged(path: Path, outer: tuple[Path, ...]) -> dict[str, Any]:
    if path in outer:
        raise TaloError(f"{path} includes itself.")
    try:
        document = yaml.load(path.read_text("utf-8"), Loader=_loader(path.parent))
    except OSError as error:
        raise TaloError(f"The task file {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise TaloError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise TaloError(f"{path} is no task of lm-eval or lmms-eval: it holds no keys.")
    includes = document.pop("include", None) or []
    merged: dict[str, Any] = {}
    for name in [includes] if isinstance(includes, str) else includes:
        if Path(name).name != name:
            raise UsageError(
                f"{path} includes '{name}': only a file beside it is read. Copy it there and name "
                "it without a folder."
            )
        merged |= _merged(path.parent / name, (*outer, path))
    return merged | document


def _loader(folder: Path) -> type[yaml.SafeLoader]:
    class Loader(yaml.SafeLoader):
        """The safe loader, to which `!function` is a name and nothing more."""

    def function(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Function:
        return Function(str(loader.construct_scalar(node)), folder)

    Loader.add_constructor("!function", function)
    return Loader
