"""From the text after `--task` to tasks.

Tried in this order: a file or `datasets` directory, `FILE:CATEGORY`, an lm-eval or lmms-eval
YAML, `hf://owner/name/split`, and the catalogue's names, `NAME@REVISION` for one revision of its
data. YAMLs and benchmarks are read by code of their own, imported when one is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from talo_export.errors import UsageError
from talo_export.tasks.catalogue import find_entry, match_entries
from talo_export.tasks.files import file_categories, find_task_file, load_task_file
from talo_export.tasks.hub_data import SCHEME, load_hub_task
from talo_export.tasks.item import Item, Task
from talo_export.tasks.rows import READERS

YAML = (".yaml", ".yml")


def load_examples(
    reference: str, *, data: Path | None = None, trust_remote_code: bool = False
) -> tuple[Item, ...]:
    """Items to show, answered, before those of `load_task(reference)` (see `with_shots`).

    Raises: UsageError where the data has no split set apart for examples; as `load_task`.
    """
    if Path(reference).suffix.lower() in YAML:
        from talo_export.tasks.lm_eval_items import load_yaml_examples

        path = Path(reference)
        return load_yaml_examples(path, data=data, trust_remote_code=trust_remote_code)
    if _looks_like_file(reference) or reference.startswith(SCHEME):
        raise UsageError(
            f"{reference} has no split set apart for examples: only benchmarks and YAMLs have one."
        )
    from talo_export.tasks.benchmark_tasks import entry_examples

    name, _, revision = reference.partition("@")
    return entry_examples(find_entry(name), data, revision or None)


def load_task(
    reference: str,
    *,
    data: Path | None = None,
    columns: Mapping[str, str] | None = None,
    choices_from: str | None = None,
    trust_remote_code: bool = False,
    own_examples: bool = True,
    first: int | None = None,
) -> Task:
    """The one task that `reference` names.

    `data` is a local copy of the data set that a name, YAML or Hub reference means; `columns`
    maps fields to the columns of a file or Hub data set (see `parse_columns`), and
    `choices_from="answer"` makes all of its answers the choices of each item;
    `trust_remote_code` lets a YAML run the functions it names, and `own_examples` show the examples
    it names before each item. With `first` the task holds no more than so many items, to be looked
    at: of the others no picture is read, and groups do not know.

    Raises: UsageError for an unknown name (suggesting the nearest) or one that means several, or
    an option that does not go with it; TaloError for data that is missing or malformed.
    """
    if _looks_like_file(reference):
        return load_task_file(reference, columns=columns, choices_from=choices_from, first=first)
    take = None if first is None else lambda drafts: range(len(drafts))[:first]
    if reference.startswith(SCHEME):
        return load_hub_task(
            reference, data=data, columns=columns, choices_from=choices_from, take=take
        )
    if columns or choices_from:
        raise UsageError(
            f"Columns can be named for files and hf:// data sets, not {reference}, and choices "
            "made of answers for them alone."
        )
    if Path(reference).suffix.lower() in YAML:
        from talo_export.tasks.lm_eval_items import load_yaml_task

        return load_yaml_task(
            Path(reference),
            data=data,
            trust_remote_code=trust_remote_code,
            own_examples=own_examples,
        )
    from talo_export.tasks.benchmark_tasks import load_entry

    name, _, revision = reference.partition("@")
    return load_entry(find_entry(name), data, revision or None, take)


def task_references(
    pattern: str, *, columns: Mapping[str, str] | None = None, choices_from: str | None = None
) -> tuple[str, ...]:
    """What `pattern` means, as references that `load_task` takes one at a time.

    So a run over many tasks can load each in its turn, and lose only the one that fails.

    Raises: as `load_task`, except for what only a data set would show.
    """
    if _looks_like_file(pattern):
        found = find_task_file(pattern)
        if found is None or found.category != "*":
            return (pattern,)
        categories = file_categories(found.path, columns, choices_from)
        return tuple(f"{found.path}:{category}" for category in categories)
    if pattern.startswith(SCHEME) or Path(pattern).suffix.lower() in YAML:
        return (pattern,)
    name, at, revision = pattern.partition("@")
    return tuple(f"{entry.name}{at}{revision}" for entry in match_entries(name))


def _looks_like_file(reference: str) -> bool:
    """A file that exists, or a text whose ending says that it was meant as one."""
    if reference.startswith(SCHEME) or Path(reference).suffix.lower() in YAML:
        return False
    if find_task_file(reference) is not None or Path(reference).is_file():
        return True
    head = reference.partition(":")[0]
    return Path(head).suffix.lower() in READERS or Path(reference).suffix.lower() in READERS
