"""Task files that lm-eval itself ships, and documents for them: capitals in each one's columns.

Their own data sets are on the Hub; the wording, the choices and the metrics are in the files. So
the questions of examples/smollm2/capitals.jsonl are laid out as each data set lays out its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CAPITALS = Path(__file__).parents[1] / "smollm2" / "capitals.jsonl"
LETTERS = "ABCD"

Row = dict[str, Any]


def _country(row: Row) -> str:
    return str(row["prompt"]).removeprefix("The capital of ").removesuffix(" is")


def _question(row: Row) -> str:
    return f"What is the capital of {_country(row)}?"


def _arc(row: Row) -> Row:
    choices = {"text": row["choices"], "label": list(LETTERS)}
    return {"question": _question(row), "choices": choices, "answerKey": LETTERS[row["answer"]]}


def _openbookqa(row: Row) -> Row:
    choices = {"text": row["choices"], "label": list(LETTERS)}
    stem = {"question_stem": row["prompt"]}
    return stem | {"choices": choices, "answerKey": f" {LETTERS[row['answer']]}"}


def _sciq(row: Row) -> Row:
    wrong = [text for n, text in enumerate(row["choices"]) if n != row["answer"]]
    support = f"  Cities of {_country(row)}: {', '.join(sorted(row['choices']))}."
    document = {"question": _question(row), "support": support}
    document |= {f"distractor{n}": text for n, text in enumerate(wrong, start=1)}
    return document | {"correct_answer": row["choices"][row["answer"]]}


def _piqa(row: Row) -> Row:
    right = row["answer"]
    wrong = (right + 1) % len(LETTERS)
    first, second = sorted((right, wrong))
    goal = f"To see the capital of {_country(row)}"
    ends = {"sol1": f"go to {row['choices'][first]}.", "sol2": f"go to {row['choices'][second]}."}
    return {"goal": goal, **ends, "label": int(right == second)}


def _swag(row: Row) -> Row:
    start = {"startphrase": f"The parliament of {_country(row)} meets in"}
    ends = {f"ending{n}": f"{city}." for n, city in enumerate(row["choices"])}
    return start | ends | {"label": row["answer"]}


def _mmlu(row: Row) -> Row:
    return {"question": f" {_question(row)} ", "choices": row["choices"], "answer": row["answer"]}


TASKS: dict[str, Callable[[Row], Row]] = {
    "arc/arc_easy.yaml": _arc,
    "openbookqa/openbookqa.yaml": _openbookqa,
    "sciq/sciq.yaml": _sciq,
    "piqa/piqa.yaml": _piqa,
    "swag/swag.yaml": _swag,
    "mmlu/default/mmlu_high_school_geography.yaml": _mmlu,
}
"""Paths below lm-eval's folder of tasks, each with how it lays out a question."""


def task_file(name: str) -> Path:
    """Where the installed lm-eval has this file."""
    spec = find_spec("lm_eval")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "tasks" / name


def write_documents(name: str, folder: Path, limit: int | None = None) -> Path:
    """The first `limit` capitals as documents of the task, in a file of JSON lines."""
    rows = [json.loads(line) for line in CAPITALS.read_text(encoding="utf-8").splitlines()]
    path = folder / f"{Path(name).stem}.jsonl"
    documents = (json.dumps(TASKS[name](row), ensure_ascii=False) for row in rows[:limit])
    path.write_text("".join(f"{document}\n" for document in documents), encoding="utf-8")
    return path
