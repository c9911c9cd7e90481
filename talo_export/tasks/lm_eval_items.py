"""From the documents of an lm-eval or lmms-eval task to items, worded as those harnesses word them.

lm-eval builds a request as description + text + delimiter + choice without a chat template: such
items are verbatim prompts, whose choices are scored by their text. lmms-eval's text goes through
the chat template, after the pictures. `num_fewshot` is not read: examples are asked for with
--few-shot, and come from the YAML's own split for them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from talo_export.errors import TaloError, UsageError
from talo_export.tasks.fields import read_accepted
from talo_export.tasks.grouping import grouped_by_images
from talo_export.tasks.item import LETTERS, Item, ItemImage, Task
from talo_export.tasks.lm_eval_pictures import made_pictures, open_pictures, picture_columns
from talo_export.tasks.lm_eval_yaml import Function, TaskYaml, read_task_yaml
from talo_export.tasks.problems import FieldError, Problems
from talo_export.tasks.prompts import Style
from talo_export.tasks.row_items import content_id
from talo_export.tasks.rows import Row, read_rows
from talo_export.tasks.split_files import Location
from talo_export.tasks.table import Table, find_split
from talo_export.tasks.templates import fill_template

Document = Mapping[str, Any]


def load_yaml_task(
    path: Path, *, data: Path | None = None, trust_remote_code: bool = False
) -> Task:
    """The task of a YAML, its documents from `data`, from local files it names, or from the Hub.

    `data` is a local copy of the data set (Parquet as the Hub serves it) or one file of rows.

    Raises: UsageError for what is not supported or not trusted, by name; TaloError for documents
    that cannot be had or do not fit the YAML.
    """
    task = read_task_yaml(path, trust_remote_code=trust_remote_code)
    split = task.get("test_split", "validation_split")
    if split is None:
        raise UsageError(f"{path} names neither a test_split nor a validation_split.")
    items, source = _read_split(task, str(split), data)
    name = str(task.get("task", default=path.stem))
    return Task(name=name, items=items, source=f"{path} on {source}")


def load_yaml_examples(
    path: Path, *, data: Path | None = None, trust_remote_code: bool = False
) -> tuple[Item, ...]:
    """Items of the split that the YAML sets apart for few-shot examples.

    Raises: UsageError if it names none; as `load_yaml_task`.
    """
    task = read_task_yaml(path, trust_remote_code=trust_remote_code)
    split = task.get("fewshot_split", "training_split")
    if split is None:
        raise UsageError(f"{path} has no split to take few-shot examples from.")
    return _read_split(task, str(split), data)[0]


def _read_split(task: TaskYaml, split: str, data: Path | None) -> tuple[tuple[Item, ...], str]:
    rows, images_of, source = _documents(task, split, data)
    problems = Problems(f"{task.path} on {source}")
    items: dict[str, Item] = {}
    for number, row in enumerate(rows):
        try:
            item = _item(task, row.fields, images_of(number))
        except FieldError as error:
            problems.add(row.where, error.field, str(error))
        except TaloError as error:
            problems.add(row.where, None, str(error))
        else:
            # The same document twice is two items, as it is to the harness.
            key, copies = item.id, 2
            while item.id in items:
                item = replace(item, id=f"{key}-{copies}")
                copies += 1
            items[item.id] = item
    problems.raise_if_any()
    return grouped_by_images(items.values()), source


def _documents(
    task: TaskYaml, split: str, data: Path | None
) -> tuple[list[Row], Callable[[int], tuple[ItemImage, ...]], str]:
    """The rows, a function from a row's number to its pictures, and where they are from."""
    visual = task.get("doc_to_image", "doc_to_visual")
    process = task.get("process_docs")
    file = _local_file(task, split, data)
    if file is not None:
        rows, source = _processed(process, read_rows(file)), str(file)
        if isinstance(visual, Function):
            return rows, lambda number: made_pictures(visual, rows[number], source), source
        columns = _image_columns(visual)
        return rows, lambda number: _file_images(rows[number], columns, file), source
    found = find_split(_location(task), split, data)
    made = isinstance(visual, Function)
    columns = picture_columns(found) if made else _image_columns(visual)
    change = partial(process.call, "process_docs") if process is not None else None
    table = Table(found, columns, change)
    rows = [Row(f"row {n + 1}", fields) for n, fields in enumerate(table.rows)]
    if not made:
        return rows, lambda number: table.images(number, columns), table.source
    rows = [
        replace(row, fields=row.fields | {name: table.images(n, [name]) for name in columns})
        for n, row in enumerate(rows)
    ]
    return rows, lambda number: made_pictures(visual, rows[number], table.source), table.source


def _location(task: TaskYaml) -> Location:
    return Location(
        name=str(task.get("dataset_name", default="")) or str(task.get("dataset_path")),
        repositories=(str(task.get("dataset_path")),),
        config=task.get("dataset_name"),
    )


def _processed(process: Function | None, rows: list[Row]) -> list[Row]:
    """The documents after the YAML's `process_docs`, a function from data set to data set."""
    if process is None:
        return rows
    import datasets

    documents = datasets.Dataset.from_list([row.fields for row in rows])
    made = process.call("process_docs", documents)
    return [Row(f"document {n + 1}", dict(fields)) for n, fields in enumerate(made)]


def _local_file(task: TaskYaml, split: str, data: Path | None) -> Path | None:
    """A file of rows: `data` itself, or what `dataset_kwargs: data_files` names for the split."""
    if data is not None and data.is_file():
        return data
    named = (task.get("dataset_kwargs") or {}).get("data_files")
    if isinstance(named, Mapping):
        named = named.get(split)
    if isinstance(named, list) and len(named) == 1:
        named = named[0]
    if data is not None or not isinstance(named, str) or "://" in named:
        return None
    return task.path.parent / named


def _image_columns(named: Any) -> tuple[str, ...]:
    return tuple([named] if isinstance(named, str) else named or ())


def _file_images(row: Row, columns: tuple[str, ...], file: Path) -> tuple[ItemImage, ...]:
    from talo_export.tasks.pictures import read_image

    values = [(column, row.fields.get(column)) for column in columns]
    return tuple(read_image(value, file.parent, name) for name, value in values if value)


def _item(task: TaskYaml, fields: Document, images: tuple[ItemImage, ...]) -> Item:
    document = open_pictures(fields) if task.trusted else fields
    text = _string(task, "doc_to_text", document)
    choices = _choices(task, document)
    target = _target(task, document, choices)
    answer = _index(target, choices) if choices else None
    accepted = () if choices else _accepted(task, target)
    lettered = bool(choices) and choices == tuple(LETTERS[: len(choices)])
    templated = task.is_lmms or bool(images)
    description = str(_field(task.get("description", default=""), document))
    if not templated:
        prefix = _field(task.get("gen_prefix", default=""), document)
        delimiter = str(task.get("target_delimiter", default=" "))
        if prefix:
            text += "" if not text or text[-1:].isspace() or prefix[0].isspace() else delimiter
            text += prefix
    else:
        # Pictures come first in the user's turn, wherever the text marks their place.
        text = text.replace("<image>", "").strip()
        delimiter = " "
    return Item(
        id=content_id(text, choices, answer, accepted, images),
        group="",
        question=text if templated else None,
        prompt=None if templated else text,
        hint=description or None,
        choices=choices,
        answer=answer,
        accepted=accepted,
        images=images,
        lettered=lettered,
        wordings=tuple((style, text) for style in get_args(Style)) if templated else (),
        delimiter=delimiter,
        until=tuple((task.get("generation_kwargs") or {}).get("until", ())),
    )


def _string(task: TaskYaml, key: str, document: Document) -> str:
    value = _value(task, key, document)
    if isinstance(value, str) and not (value.isdigit() and task.get("doc_to_choice")):
        return value
    raise FieldError(key, f"gives {value!r:.40}: one context per choice is not supported")


def _choices(task: TaskYaml, document: Document) -> tuple[str, ...]:
    given = task.get("doc_to_choice")
    if given is None:
        if task.output_type == "multiple_choice":
            raise FieldError("doc_to_choice", "missing, though output_type is multiple_choice")
        return ()
    if isinstance(given, Mapping):
        given = list(given.values())
    value = given if isinstance(given, list) else _value(task, "doc_to_choice", document)
    if isinstance(value, str):
        value = _literal(value, "doc_to_choice")
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        raise FieldError("doc_to_choice", f"gives {value!r:.40}, no list of choices")
    return tuple(str(choice) for choice in value)


def _target(task: TaskYaml, document: Document, choices: tuple[str, ...]) -> Any:
    value = _value(task, "doc_to_target", document)
    if isinstance(value, str) and value.isdigit() and choices:
        return int(value)
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value
    return value


def _index(target: Any, choices: tuple[str, ...]) -> int:
    if isinstance(target, int) and 0 <= target < len(choices):
        return target
    if isinstance(target, str) and target in choices:
        return choices.index(target)
    raise FieldError("doc_to_target", f"gives {target!r:.40}, which is none of the choices")


def _accepted(task: TaskYaml, target: Any) -> tuple[str, ...]:
    """Accepted texts, after what exact_match is told to ignore (`regexes_to_ignore`)."""
    accepted = read_accepted(target)
    metrics = [m for m in task.get("metric_list", default=()) if isinstance(m, Mapping)]
    ignored = [r for m in metrics if m.get("metric") == "exact_match"
               for r in m.get("regexes_to_ignore") or ()]  # fmt: skip
    for pattern in ignored:
        accepted = tuple(re.sub(pattern, "", text).strip() or text for text in accepted)
    return accepted


def _value(task: TaskYaml, key: str, document: Document) -> Any:
    given = task.get(key)
    if not isinstance(given, Function):
        return _field(given, document)
    wording = task.get("lmms_eval_specific_kwargs")
    if key == "doc_to_text" and isinstance(wording, Mapping) and wording:
        # lmms-eval keeps a wording for each model family; `default` is everybody's.
        return given.call(key, dict(document), wording.get("default", wording))
    return given.call(key, dict(document))


def _field(given: Any, document: Document) -> Any:
    """A column's value where the text is a column's name, else the template filled in."""
    if not isinstance(given, str):
        return given
    return document[given] if given in document else fill_template(given, document)


def _literal(text: str, key: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise FieldError(key, f"gives {text[:40]!r}, which spells no list") from error
