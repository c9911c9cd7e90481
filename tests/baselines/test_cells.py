"""One cell: what it may see, and how it ends when it does not end well."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from asking import LIKELIHOOD, QUICK, ask, run
from small_models import learnable_task, write_llama

from talo_export.baselines.cell import in_a_process_of_its_own
from talo_export.baselines.examples import make_example
from talo_export.baselines.request import (
    CellResult,
    ModelSource,
    read_items,
    request_path,
    result_path,
    write_items,
)
from talo_export.baselines.settings import Training
from talo_export.baselines.work import refuse_leaks
from talo_export.codec import from_json
from talo_export.errors import TaloError
from talo_export.models.loading import LoadedModel
from talo_export.models.memory import resident_bytes
from talo_export.tasks.item import Task


def test_what_is_trained_on_is_the_shots_and_nothing_else(
    llama: LoadedModel, tmp_path: Path
) -> None:
    task = learnable_task(18)
    seen: set[tuple[int, ...]] = set()

    def listen(module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        if torch.is_grad_enabled() and module.training:
            seen.add(tuple(kwargs["input_ids"][0].tolist()))

    llama.model.register_forward_pre_hook(listen, with_kwargs=True)
    request = ask(task, "lora", shots=6)
    run(task, "lora", llama, tmp_path, shots=6, training=QUICK)
    items = {item.id: item for item in task.items}

    def tokens(ids: tuple[str, ...]) -> set[tuple[int, ...]]:
        examples = (make_example(llama, items[id_], LIKELIHOOD) for id_ in ids)
        return {tuple(example.inputs["input_ids"][0].tolist()) for example in examples}

    assert seen == tokens(request.train)
    assert not seen & tokens(request.test)


def test_an_item_or_a_picture_on_both_sides_is_refused() -> None:
    task = learnable_task(18)
    items = {item.id: item for item in task.items}
    request = ask(task, "lora", shots=6)
    refuse_leaks(request, items)
    with pytest.raises(TaloError, match=request.test[0]):
        refuse_leaks(replace(request, train=(*request.train, request.test[0])), items)
    shared = replace(items[request.test[0]], group=items[request.train[0]].group)
    with pytest.raises(TaloError, match="nothing was run"):
        refuse_leaks(request, {**items, shared.id: shared})


def test_a_loss_that_explodes_is_a_diverged_cell(llama: LoadedModel, tmp_path: Path) -> None:
    # So far that float32 overflows: how far smaller steps go depends on the processor.
    wild = Training(epochs=4, learning_rate=1e25, batch_size=1)
    result = run(learnable_task(18), "lora", llama, tmp_path, shots=6, training=wild)
    assert result.status == "diverged"
    assert "the loss" in str(result.reason)
    assert result.accuracy is None
    assert result.adapt is not None
    assert result.adapt.backward_passes > 0


def test_items_come_back_from_their_file_with_their_examples(tmp_path: Path) -> None:
    task = learnable_task()
    first, *others = task.items
    example = replace(first, id="example", shown="It is so.", until=(".",))
    shown = replace(task, items=tuple(replace(item, shots=(example,)) for item in others))
    write_items(shown, tmp_path / "items.jsonl")
    assert read_items(tmp_path / "items.jsonl", shown.fingerprint).items == shown.items


@contextmanager
def room_for(more: int) -> Iterator[None]:
    """Let this process, and its forks, map so many bytes more."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + more, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)


def apart(
    task: Task, directory: Path, tmp_path: Path, method: str = "lora", **changes: object
) -> CellResult:
    """Run a cell, of LoRA unless `method` says otherwise, in a process of its own."""
    items = tmp_path / "items.jsonl"
    write_items(task, items)
    source = ModelSource(reference=str(directory), device="cpu")
    request = ask(task, method, shots=6, model=source, items_file=str(items), **changes)
    path = request_path(tmp_path, request)
    path.write_text(json.dumps(request.to_json()))
    in_a_process_of_its_own(path)
    return from_json(CellResult, result_path(path).read_bytes(), "the result")


def test_where_memory_ends_is_recorded_with_what_was_reached(
    llama_directory: Path, tmp_path: Path
) -> None:
    huge = Training(epochs=1, rank=4_000_000)
    with room_for(400 * 2**20):
        result = apart(learnable_task(18), llama_directory, tmp_path, training=huge)
    assert result.status == "out of memory", result.reason
    assert result.adapt is not None
    assert 0 < result.adapt.peak_memory_bytes < resident_bytes()


def test_an_item_that_does_not_fit_while_it_is_answered_is_out_of_memory(tmp_path: Path) -> None:
    wide = write_llama(tmp_path / "wide", positions=20_000, width=8192)
    task = learnable_task(18)
    longest = ask(task, "calibration", shots=6).test[0]
    long = "z" * 16_000
    items = (replace(i, prompt=long) if i.id == longest else i for i in task.items)
    with room_for(500 * 2**20):
        result = apart(replace(task, items=tuple(items)), wide, tmp_path, method="calibration")
    assert result.status == "out of memory", result.reason
    assert result.final
    assert f"item '{longest}'" in str(result.reason)
    assert result.adapt is not None
    assert result.adapt.forward_passes > 0
    assert result.test is not None
    assert result.test.peak_memory_bytes > 0


def test_a_process_of_its_own_leaves_no_memory_behind(
    llama_directory: Path, tmp_path: Path
) -> None:
    before = resident_bytes()
    result = apart(learnable_task(18), llama_directory, tmp_path, training=QUICK)
    assert result.status == "done", result.reason
    assert result.trainable_parameters > 0
    assert abs(resident_bytes() - before) < 2**20
