"""Score task files of lm-eval with lm-eval and with talo-export, and compare item by item.

    pip install lm-eval
    python examples/tasks/harness_agreement.py MODEL                # six of lm-eval's own files
    python examples/tasks/harness_agreement.py MODEL TASK.yaml --rows FILE

Both see the same rows: lm-eval through its own task and its own Hugging Face model, talo-export
through `--task TASK.yaml`, likelihood of the choices' texts. acc compares the summed
log-probabilities, acc_norm the same divided by the choice's characters.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness_tasks import TASKS, task_file, write_documents
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml

from talo_export.models.loading import LoadedModel, load_model
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import sweep
from talo_export.tasks.sources import load_task

METRICS = {"acc": "none", "acc_norm": "characters"}
"""lm-eval's names, and our normalisation of the choices' log-probabilities."""


@dataclass(frozen=True)
class Agreement:
    """One task on both sides: a dict per document, of log-likelihoods (`sums`) and metrics."""

    theirs: list[dict[str, Any]]
    ours: list[dict[str, Any]]

    @property
    def metrics(self) -> list[str]:
        """The metrics that the task file asks lm-eval for, among those that both sides have."""
        return [name for name in METRICS if name in self.theirs[0]]

    def same(self, metric: str) -> int:
        """On how many items both sides say the same."""
        return sum(a[metric] == b[metric] for a, b in zip(self.theirs, self.ours, strict=True))

    def mean(self, side: list[dict[str, Any]], metric: str) -> float:
        return float(sum(result[metric] for result in side)) / len(side)

    @property
    def gap(self) -> float:
        """Largest difference of a choice's log-likelihood, in nats."""
        pairs = zip(self.theirs, self.ours, strict=True)
        return max(abs(x - y) for a, b in pairs for x, y in zip(a["sums"], b["sums"], strict=True))


def compare(loaded: LoadedModel, path: Path, rows: Path) -> Agreement:
    """Score the documents in `rows` by the task file `path`, on both sides."""
    return Agreement(theirs(loaded, path, rows), ours(loaded, path, rows))


def harness_task(path: Path, rows: Path, **changes: Any) -> ConfigurableTask:
    """lm-eval's own task of a file, on local documents."""
    config = load_yaml(path) | {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "training_split": None,
        "validation_split": None,
        "test_split": "test",
    }
    return ConfigurableTask(config=config | changes)


def theirs_generated(loaded: LoadedModel, path: Path, rows: Path) -> list[tuple[str, float]]:
    """(text, exact_match) of every document, after the examples that the file asks for."""
    task = harness_task(path, rows)
    harness = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=1)
    results = []
    for document in task.eval_docs:
        context = task.fewshot_context(document, task.config.num_fewshot)
        request = task.construct_requests(document, context, metadata=("", 0, 1))
        (text,) = harness.generate_until([request], disable_tqdm=True)
        results.append((text, task.process_results(document, [text])["exact_match"]))
    return results


def ours_generated(loaded: LoadedModel, path: Path, rows: Path) -> list[float]:
    """Whether talo-export calls the base's answer right, for every document."""
    task = load_task(str(path), data=rows)
    table = sweep(loaded, task.items, [None], Scoring()).table
    return [float(right) for right in table.correct[0]]


def theirs(loaded: LoadedModel, path: Path, rows: Path) -> list[dict[str, Any]]:
    """A dict per document: lm-eval's log-likelihoods, and its metrics by name."""
    task = harness_task(path, rows, fewshot_split=None, fewshot_config=None)
    harness = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=1)
    results = []
    for document in task.eval_docs:
        context = task.fewshot_context(document, 0)
        requests = task.construct_requests(document, context, metadata=("", 0, 1))
        answers = harness.loglikelihood(requests, disable_tqdm=True)
        sums = tuple(float(score) for score, _ in answers)
        results.append({"sums": sums, **task.process_results(document, answers)})
    return results


def ours(loaded: LoadedModel, path: Path, rows: Path) -> list[dict[str, Any]]:
    """The same from talo-export: a sweep of the base alone, once for each normalisation."""
    task = load_task(str(path), data=rows)
    tables = {
        name: sweep(
            loaded,
            task.items,
            [None],
            Scoring(kind="likelihood", choice_text=True, normalise=normalise),  # type: ignore[arg-type]
        ).table
        for name, normalise in METRICS.items()
    }
    results = []
    for column, item in enumerate(task.items):
        assert tables["acc"].scores is not None
        sums = tuple(tables["acc"].scores[0, column, : len(item.choices)].tolist())
        marks = {name: float(table.correct[0, column]) for name, table in tables.items()}
        results.append({"sums": sums, **marks})
    return results


def report(name: str, found: Agreement) -> None:
    """A line for each metric, and how far the log-likelihoods are apart."""
    n = len(found.ours)
    for metric in found.metrics:
        there, here = found.mean(found.theirs, metric), found.mean(found.ours, metric)
        print(
            f"{name}: {metric} lm-eval {there:.4f}, talo-export {here:.4f}, the same on "
            f"{found.same(metric)} of {n} items; largest difference {found.gap:.1e} nats"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("task", type=Path, nargs="?", help="a task file; six of lm-eval's if none")
    parser.add_argument("--rows", type=Path, help="the task's documents, as JSON lines")
    parser.add_argument("--limit", type=int, help="documents of each of lm-eval's own task files")
    arguments = parser.parse_args()
    loaded = load_model(arguments.model, dtype="float32")
    if arguments.task is not None:
        report(arguments.task.stem, compare(loaded, arguments.task, arguments.rows))
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in TASKS:
            rows = write_documents(name, Path(folder), arguments.limit)
            report(Path(name).stem, compare(loaded, task_file(name), rows))


if __name__ == "__main__":
    main()
