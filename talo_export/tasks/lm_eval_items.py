"""From the documents of an lm-eval or lmms-eval task to items, worded as those harnesses word them.

lm-eval builds a request as description + text + delimiter + choice without a chat template: such
items are verbatim prompts, whose choices are scored by their text. lmms-eval's text goes through
the chat template, after the pictures. The YAML's own `num_fewshot` examples stand before each.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from talo_export.errors import UsageError
from talo_export.tasks.building import build_items
from talo_export.tasks.fields import read_accepted
from talo_export.tasks.item import LETTERS, Item, Task
from talo_export.tasks.lm_eval_documents import Documents, opened, read_documents
from talo_export.tasks.lm_eval_shots import few_shot_documents
from talo_export.tasks.lm_eval_yaml import Function, TaskYaml, read_task_yaml
from talo_export.tasks.problems import FieldError, brief
from talo_export.tasks.prompts import Style
from talo_export.tasks.rows import Row
from talo_export.tasks.templates import fill_template

Document = Mapping[str, Any]

HARNESS_TOKENS = 256
"""What lm-eval's own Hugging Face model generates at most where the file does not say."""


def load_yaml_task(
    path: Path,
    *,
    data: Path | None = None,
    trust_remote_code: bool = False,
    own_examples: bool = True,
) -> Task:
    """The task of a YAML, its documents from `data`, from local files it names, or from the Hub.

    `data` is a local copy of the data set (Parquet as the Hub serves it) or one file of rows.
    Without `own_examples` none are shown before the items.

    Raises: UsageError for what is not supported or not trusted, by name; TaloError for documents
    that cannot be had or do not fit the YAML.
    """
    task = read_task_yaml(path, trust_remote_code=trust_remote_code)
    split = task.get("test_split", "validation_split")
    if split is None:
        raise UsageError(f"{path} names neither a test_split nor a validation_split.")
    documents = read_documents(task, str(split), data)
    items = _items(task, documents)
    if own_examples and (examples := few_shot_documents(task, str(split), documents, data)):
        pool = _items(task, examples[0])
        items = tuple(
            replace(item, shots=tuple(pool[number] for number in drawn))
            for item, drawn in zip(items, examples[1], strict=True)
        )
    name = str(task.get("task", default=path.stem))
    return Task(name, items, source=f"{path} on {documents.source}")


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
    return _items(task, read_documents(task, str(split), data))


def _items(task: TaskYaml, documents: Documents) -> tuple[Item, ...]:
    """An item a document; the same document twice is two items, as it is to the harness."""
    source = f"{task.path} on {documents.source}"
    read = partial(_read, task, documents)
    return build_items(
        documents.rows, source, read, base=documents.folder, number_repeats=True
    ).items


def _read(task: TaskYaml, documents: Documents, row: Row) -> dict[str, Any]:
    """A document under our field names."""
    document = opened(row) if task.trusted else row.fields
    images = documents.images(row)
    text = _string(task, "doc_to_text", document)
    choices = _choices(task, document)
    target = _target(task, document, choices)
    answer: dict[str, Any]
    shown = None
    if choices:
        answer = {"answer_index": _index(target, choices)}
    else:
        accepted = _accepted(task, target)
        answer = {"answer": accepted}
        said = str(target[0] if isinstance(target, (list, tuple)) else target)
        shown = said if said != accepted[0] else None
    templated = task.is_lmms or bool(images)
    delimiter = str(task.get("target_delimiter", default=" "))
    if templated:
        # Pictures come first in the user's turn, wherever the text marks their place.
        text, delimiter = text.replace("<image>", "").strip(), " "
    elif prefix := _field(task.get("gen_prefix", default=""), document):
        text += "" if not text or text[-1:].isspace() or prefix[0].isspace() else delimiter
        text += prefix
    generation = task.get("generation_kwargs") or {}
    until = generation.get("until", ())
    given_id = row.fields.get("id")
    return answer | {
        "question" if templated else "prompt": text,
        "content": (text,),
        "hint": str(_field(task.get("description", default=""), document)),
        "choices": choices,
        "images": images,
        "lettered": bool(choices) and choices == tuple(LETTERS[: len(choices)]),
        "wordings": tuple((style, text) for style in get_args(Style)) if templated else (),
        "delimiter": delimiter,
        "until": (until,) if isinstance(until, str) else tuple(until),
        "shown": shown,
        "max_new_tokens": None if choices else _longest(generation, templated),
        "id": given_id if isinstance(given_id, (str, int)) else None,
    }


def _longest(generation: dict[str, Any], templated: bool) -> int | None:
    """Tokens of an answer at most, as the file says it or as the harness has it of itself."""
    for key in ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"):
        if isinstance(generation.get(key), int):
            return int(generation[key])
    return None if templated else HARNESS_TOKENS


def _string(task: TaskYaml, key: str, document: Document) -> str:
    value = _value(task, key, document)
    if isinstance(value, str) and not (value.isdigit() and task.get("doc_to_choice")):
        return value
    raise FieldError(key, f"gives {brief(value)}: one context per choice is not supported")


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
        value = _literal(value)
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        raise FieldError("doc_to_choice", f"gives {brief(value)}, no list of choices")
    return tuple(str(choice) for choice in value)


def _target(task: TaskYaml, document: Document, choices: tuple[str, ...]) -> Any:
    value = _value(task, "doc_to_target", document)
    if isinstance(value, str) and value.isdigit() and choices:
        return int(value[:9])
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        return _literal(value)
    return value


def _index(target: Any, choices: tuple[str, ...]) -> int:
    if isinstance(target, int) and 0 <= target < len(choices):
        return target
    if isinstance(target, str) and target in choices:
        return choices.index(target)
    raise FieldError("doc_to_target", f"gives {brief(target)}, which is none of the choices")


def _accepted(task: TaskYaml, target: Any) -> list[str]:
    """Accepted texts, after what exact_match is told to ignore (`regexes_to_ignore`)."""
    accepted = read_accepted(target, "doc_to_target")
    metrics = [m for m in task.get("metric_list", default=()) if isinstance(m, Mapping)]
    ignored = [r for m in metrics if m.get("metric") == "exact_match"
               for r in m.get("regexes_to_ignore") or ()]  # fmt: skip
    for pattern in ignored:
        accepted = tuple(re.sub(pattern, "", text).strip() or text for text in accepted)
    return list(accepted)


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


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
