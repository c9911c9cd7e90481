"""Score a task file of lm-eval with lm-eval and with talo-export, and compare item by item.

    pip install lm-eval
    python examples/tasks/harness_agreement.py MODEL examples/tasks/capitals.yaml --rows FILE

Both see the same rows: lm-eval through its own task and its own Hugging Face model, talo-export
through `--task TASK.yaml`, likelihood of the choices' texts. acc compares the summed
log-probabilities, acc_norm the same divided by the choice's characters.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml

from talo_export.models.loading import LoadedModel, load_model
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import sweep
from talo_export.tasks.sources import load_task


def theirs(loaded: LoadedModel, path: Path, rows: Path) -> list[dict[str, Any]]:
    """A dict per document: lm-eval's log-likelihoods, and its metrics by name."""
    config = load_yaml(path) | {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "training_split": None,
        "validation_split": None,
        "test_split": "test",
    }
    task = ConfigurableTask(config=config)
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
            Scoring(kind="likelihood", choice_text=True, normalise=normalise),
        ).table
        for name, normalise in (("acc", "none"), ("acc_norm", "characters"))
    }
    results = []
    for column, item in enumerate(task.items):
        assert tables["acc"].scores is not None
        sums = tuple(tables["acc"].scores[0, column, : len(item.choices)].tolist())
        marks = {name: float(table.correct[0, column]) for name, table in tables.items()}
        results.append({"sums": sums, **marks})
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("task", type=Path)
    parser.add_argument("--rows", type=Path, required=True, help="the documents, as JSON lines")
    arguments = parser.parse_args()
    loaded = load_model(arguments.model, dtype="float32")
    pairs = list(
        zip(
            theirs(loaded, arguments.task, arguments.rows),
            ours(loaded, arguments.task, arguments.rows),
            strict=True,
        )
    )
    for name in ("acc", "acc_norm"):
        there, here = (sum(side[name] for side in sides) for sides in zip(*pairs, strict=True))
        same = sum(a[name] == b[name] for a, b in pairs)
        print(
            f"{name}: lm-eval {there / len(pairs):.4f}, talo-export {here / len(pairs):.4f}, "
            f"the same on {same} of {len(pairs)} items"
        )
    gap = max(abs(x - y) for a, b in pairs for x, y in zip(a["sums"], b["sums"], strict=True))
    print(f"largest difference of a log-likelihood: {gap:.2e} nats")


if __name__ == "__main__":
    main()
