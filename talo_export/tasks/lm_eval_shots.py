"""The examples that a YAML's `num_fewshot` shows before each document, drawn as lm-eval draws them.

lm-eval takes them from one generator, document after document, in the order of the split: which
a document gets depends on its place. Its own seed for that is 1234.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from talo_export.errors import UsageError
from talo_export.tasks.lm_eval_documents import Documents, read_documents
from talo_export.tasks.lm_eval_yaml import Function, TaskYaml
from talo_export.tasks.rows import Row

SEED = 1234
DELIMITER = "\n\n"
READ = ("sampler", "split", "samples", "fewshot_delimiter")
"""What of `fewshot_config` is read."""


def few_shot_documents(
    task: TaskYaml, split: str, documents: Documents, data: Path | None
) -> tuple[Documents, list[list[int]]] | None:
    """The documents to draw from, and the numbers of those drawn for each document of the task;
    None for a task that shows none.

    Raises: UsageError for what is not supported, by name, or where there are too few.
    """
    count = int(task.get("num_fewshot", default=0))
    if not count:
        return None
    config: Mapping[str, Any] = task.get("fewshot_config", default={})
    sampler = config.get("sampler", "default")
    unread = [name for name in config if name not in READ]
    delimiter = config.get("fewshot_delimiter", task.get("fewshot_delimiter", default=DELIMITER))
    if unread or sampler not in ("default", "first_n") or delimiter != DELIMITER:
        named = ", ".join(unread) or f"sampler {sampler}, fewshot_delimiter {delimiter!r}"
        raise UsageError(f"{task.path}: fewshot_config with {named} is not supported.")
    pool = _pool(task, config, split, documents, data)
    generator = random.Random(SEED)
    drawn = []
    for row in documents.rows:
        own = pool is documents
        numbers: Sequence[int] = range(len(pool.rows))
        if sampler == "default":
            numbers = generator.sample(numbers, min(count + own, len(numbers)))
        others = [n for n in numbers if not own or pool.rows[n].fields != row.fields][:count]
        if len(others) < count:
            raise UsageError(f"{task.path} shows {count} examples, but there are {len(others)}.")
        drawn.append(others)
    return pool, drawn


def _pool(
    task: TaskYaml, config: Mapping[str, Any], split: str, documents: Documents, data: Path | None
) -> Documents:
    chosen = config.get("split") or task.get("fewshot_split")
    samples = config.get("samples")
    if chosen is None and samples is not None:
        if isinstance(samples, Function):
            if not task.trusted:
                raise UsageError(
                    f"{task.path} needs code of its own (samples: {samples.name}): read "
                    f"{task.path.parent}, and pass --trust-remote-code if you trust it."
                )
            samples = samples.load()()
        rows = [Row(f"sample {n}", dict(fields)) for n, fields in enumerate(samples, start=1)]
        return Documents(rows, f"{task.path}", documents.visual, task.path.parent)
    chosen = chosen or task.get("training_split", "validation_split", default=split)
    if chosen == split:
        return documents
    if data is not None and data.is_file():
        raise UsageError(
            f"{task.path} shows {task.get('num_fewshot')} examples of its split {chosen}, and "
            f"{data} is one file: pass the folder that holds both splits."
        )
    return read_documents(task, str(chosen), data)
