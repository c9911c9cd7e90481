"""lm-eval's own task files, on local data: our requests are the ones that lm-eval itself builds."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from talo_export.tasks.prompts import render
from talo_export.tasks.sources import load_task

HARNESS = Path(str(find_spec("lm_eval").submodule_search_locations[0])) / "tasks"

ARC = {"question": "Which is a gas?", "answerKey": "B", "id": "x"}
LETTERED = {"text": ["ice", "steam", "rock"], "label": ["A", "B", "C"]}

# Task file, split, and two documents with the data set's own columns.
TASKS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "arc/arc_easy.yaml": ("test", [
        ARC | {"choices": LETTERED},
        ARC | {"answerKey": "3", "choices": {"text": ["a", "b", "c"], "label": ["1", "2", "3"]}}]),
    "sciq/sciq.yaml": ("test", [
        {"question": "What melts?", "support": support, "distractor1": "iron", "distractor2": "oak",
         "distractor3": "wool", "correct_answer": "ice"}
        for support in ("  Ice is frozen water.", "")]),
    "openbookqa/openbookqa.yaml": ("test", [
        {"id": "1", "question_stem": "The sun is", "answerKey": key, "choices": LETTERED}
        for key in ("A", " C")]),
    "piqa/piqa.yaml": ("validation", [
        {"goal": "To cut bread", "sol1": "use a knife.", "sol2": "use a spoon.", "label": label}
        for label in (0, 1)]),
    "super_glue/boolq/default.yaml": ("validation", [
        {"passage": "Cats are mammals.", "question": "are cats birds", "idx": 0, "label": label}
        for label in (0, 1)]),
    "mmlu/default/mmlu_anatomy.yaml": ("test", [
        {"question": " Where is the heart? ", "choices": ["foot", "chest", "hand", "head"],
         "subject": "anatomy", "answer": answer} for answer in (1, 0)]),
    "commonsense_qa/default.yaml": ("validation", [
        {"question": "Where do fish live?", "answerKey": key,
         "choices": {"label": list("ABCDE"), "text": ["sea", "sky", "sand", "tree", "car"]}}
        for key in ("A", "E")]),
    "truthfulqa/truthfulqa_mc1.yaml": ("validation", [
        {"question": "Is the moon cheese?",
         "mc1_targets": {"choices": ["No", "Yes", "Partly"], "labels": [1, 0, 0]}}]),
    "glue/rte/default.yaml": ("validation", [
        {"sentence1": "It rains.", "sentence2": "It is wet.", "idx": 0, "label": label}
        for label in (0, 1)]),
    "swag/swag.yaml": ("validation", [
        {"startphrase": "She opens the door and", "ending0": "walks in.", "ending1": "flies.",
         "ending2": "melts.", "ending3": "sings.", "label": 0}]),
    "triviaqa/default.yaml": ("validation", [
        {"question": "Who wrote Hamlet", "answer": {"aliases": ["W. S.", "Shakespeare"]}}]),
    "nq_open/nq_open.yaml": ("validation", [
        {"question": "who painted the mona lisa", "answer": ["Leonardo", "da Vinci"]}]),
}  # fmt: skip


def harness_requests(path: Path, file: Path, split: str) -> list[list[tuple[str, Any]]]:
    """(context, continuation) of every request that lm-eval builds, a list a document."""
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    config = load_yaml(path) | {
        "dataset_path": "parquet",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {split: str(file)}},
        "fewshot_config": None,
    }
    # The local file holds one split: the others, from which examples would come, are not there.
    for key in ("training_split", "validation_split", "test_split", "fewshot_split"):
        config[key] = split if config.get(key) == split and key != "fewshot_split" else None
    task = ConfigurableTask(config=config)
    requests = []
    for document in task.eval_docs:
        context = task.fewshot_context(document, 0)
        built = task.construct_requests(document, context, metadata=("", 0, 1))
        requests.append([item.args for item in (built if isinstance(built, list) else [built])])
    return requests


@pytest.mark.parametrize("name", TASKS)
def test_contexts_and_continuations_are_lm_evals(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets
    from lm_eval.tasks._yaml_loader import load_yaml

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    path = HARNESS / name
    split, documents = TASKS[name]
    config = load_yaml(path, resolve_func=False)
    folder = tmp_path / "copies" / config["dataset_path"] / (config.get("dataset_name") or "data")
    folder.mkdir(parents=True)
    file = folder / f"{split}-00000-of-00001.parquet"
    Dataset.from_list(documents).to_parquet(str(file))

    task = load_task(str(path), data=tmp_path / "copies")
    theirs = harness_requests(path, file, split)
    assert len(task) == len(theirs) == len(documents)
    for item, requests in zip(task.items, theirs, strict=True):
        assert {context for context, _ in requests} == {render(item).text}
        if item.choices:
            continuations = [continuation for _, continuation in requests]
            assert continuations == [item.delimiter + choice for choice in item.choices]
        else:
            assert requests[0][1]["until"] == list(item.until)


def test_right_answers_are_lm_evals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Spelt out once, since the requests above do not show which choice is right.
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    expected = {
        "arc/arc_easy.yaml": [1, 2],
        "sciq/sciq.yaml": [3, 3],
        "openbookqa/openbookqa.yaml": [0, 2],
        "super_glue/boolq/default.yaml": [0, 1],
        "commonsense_qa/default.yaml": [0, 4],
    }
    for name, answers in expected.items():
        split, documents = TASKS[name]
        file = tmp_path / f"{Path(name).stem}-{len(documents)}.parquet"
        Dataset.from_list(documents).to_parquet(str(file))
        task = load_task(str(HARNESS / name), data=file)
        assert [item.answer for item in task.items] == answers
        assert split


SUMS = [
    {"question": f"What is {n} + 1?", "answer": f"{n}+1=<<{n}+1={n + 1}>>{n + 1}.\n#### {n + 1}"}
    for n in range(12)
]
TRAINED = [{"question": f"What is {n} - 1?", "answer": f"It is {n - 1}.\n#### {n - 1}"}
           for n in range(20)]  # fmt: skip
GASES = [ARC | {"id": str(n), "question": f"Which is gas {n}?", "choices": LETTERED,
                "answerKey": "ABC"[n % 3]} for n in range(9)]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "extra", "splits"),
    [
        ("gsm8k/gsm8k.yaml", {}, {"train": TRAINED, "test": SUMS}),
        ("arc/arc_easy.yaml", {"num_fewshot": 3}, {"train": GASES[:6], "test": GASES[6:]}),
        ("arc/arc_easy.yaml", {"num_fewshot": 2, "fewshot_split": "test"}, {"test": GASES}),
        ("arc/arc_easy.yaml", {"num_fewshot": 2, "fewshot_config": {"sampler": "first_n"},
                               "fewshot_split": "train"}, {"train": GASES[:6], "test": GASES[6:]}),
        ("gsm8k/gsm8k.yaml", {"num_fewshot": 2, "fewshot_split": None, "fewshot_config": {
            "sampler": "first_n", "samples": TRAINED[:4]}}, {"train": TRAINED, "test": SUMS}),
    ],
)  # fmt: skip
def test_examples_of_num_fewshot_are_lm_evals(
    name: str,
    extra: dict[str, Any],
    splits: dict[str, list[dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same examples, in the same order, worded alike: drawn for each document anew."""
    import datasets
    import yaml
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    config = load_yaml(HARNESS / name, resolve_func=False) | extra
    for key in ("training_split", "validation_split", "test_split"):
        config[key] = config.get(key) if config.get(key) in splits else None
    if extra.get("fewshot_split", "") is None:
        config["fewshot_split"] = None
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    folder = tmp_path / "copies" / config["dataset_path"] / config["dataset_name"]
    folder.mkdir(parents=True)
    files = {}
    for split, documents in splits.items():
        files[split] = str(folder / f"{split}-00000-of-00001.parquet")
        Dataset.from_list(documents).to_parquet(files[split])

    theirs = ConfigurableTask(config=config | {
        "dataset_path": "parquet", "dataset_name": None, "dataset_kwargs": {"data_files": files}
    })  # fmt: skip
    theirs.set_fewshot_seed(1234)
    ours = load_task(str(tmp_path / "own.yaml"), data=tmp_path / "copies")
    count = theirs.config.num_fewshot
    expected = [theirs.fewshot_context(document, count) for document in theirs.eval_docs]
    assert [render(item).text for item in ours.items] == expected
    assert {len(item.shots) for item in ours.items} == {count}
    assert len({item.shots for item in ours.items}) > 1 or "fewshot_config" in extra
