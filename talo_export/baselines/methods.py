"""What is compared: the methods, and the cells of methods x shots x seeds with their items.

A method is a small value: which means it combines, nothing else. It sees the labelled items of a
cell (its shots) and then answers the test items. It may train an adapter, switch a layer off,
correct the prior of the answers, or show the items in the prompt; the named methods are the
combinations worth a row in the table.

One split a seed, drawn for the largest number of shots: its confirmation items are the test items
of every cell of that seed, so that curves over shots are read on the same items, and fewer shots
are drawn from its probing items. With a single number of shots this is exactly the split that
`probe` makes for the same seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from talo_export.baselines.request import CellRequest
from talo_export.baselines.settings import Training
from talo_export.errors import UsageError
from talo_export.tasks.item import Item, Task
from talo_export.tasks.splits import split_task


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the comparison. `adapter` is a name of `adapters.ADAPTERS`, None for none."""

    name: str
    says: str
    """What it does, for a person, in a few words."""
    adapter: str | None = None
    knockout: bool = False
    """Sweep the shots, select a layer, answer without it (the base where none earns it)."""
    calibrated: bool = False
    """Subtract each answer's mean log-probability over the shots before comparing."""
    in_context: bool = False
    """Show the shots, answered, before each test item."""

    @property
    def learns(self) -> bool:
        """Whether it uses the labelled items at all; the base does not, and has no shots."""
        return self.adapter is not None or self.knockout or self.calibrated or self.in_context


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("base", "the model as it is"),
        Method("knockout", "one layer's attention switched off", knockout=True),
        Method("calibration", "the answers' prior corrected", calibrated=True),
        Method(
            "knockout+calibration", "a layer off, the prior corrected", knockout=True,
            calibrated=True,
        ),
        Method("few-shot", "the items as examples in the prompt", in_context=True),
        Method("lora", "low-rank updates of the decoder's matrices", adapter="lora"),
        Method("dora", "LoRA with magnitude and direction apart", adapter="dora"),
        Method("rslora", "LoRA scaled by the root of its rank", adapter="rslora"),
        Method("ia3", "learned scales on attention and feed-forward", adapter="ia3"),
        Method("oft", "orthogonal rotations of the decoder's matrices", adapter="oft"),
        Method("prompt-tuning", "learned vectors before the prompt", adapter="prompt-tuning"),
        Method("ln-tuning", "the decoder's norms alone", adapter="ln-tuning"),
        Method("knockout+lora", "LoRA on the model without the layer", adapter="lora",
               knockout=True),
    )
}  # fmt: skip

DEFAULT_METHODS = ("base", "knockout", "calibration", "knockout+calibration", "few-shot", "lora")
"""What a plain `compare` runs: ours, its training-free rivals, and the usual fine-tuning."""


def methods_named(names: Sequence[str]) -> tuple[Method, ...]:
    """The named methods in the table's order, the base always first; `all` names every one.

    Raises UsageError for an unknown name, naming all there are.
    """
    unknown = [name for name in names if name not in METHODS and name != "all"]
    if unknown:
        raise UsageError(
            f"There is no method {unknown[0]!r}. Choose among: {', '.join(METHODS)}, or all."
        )
    wanted = {"base", *(METHODS if "all" in names else names)}
    return tuple(method for name, method in METHODS.items() if name in wanted)


@dataclass(frozen=True, slots=True)
class Draw:
    """One seed's items: nested training sets by number of shots, and the test set of them all."""

    seed: int
    train: dict[int, tuple[Item, ...]]
    test: tuple[Item, ...]


def draw(task: Task, shots: Sequence[int], seed: int, test_limit: int | None = None) -> Draw:
    """Split the task for one seed. `test_limit` keeps that many test items, drawn by hash.

    Raises UsageError where the task is too small, or a limit below 1 is asked for.
    """
    if test_limit is not None and test_limit < 1:
        raise UsageError(f"--test-limit is {test_limit}: at least 1 item is needed.")
    most = max(shots)
    whole = split_task(task, most, seed)
    pool = Task(task.name, whole.probe, task.source)
    train = {
        n: whole.probe if n == most else split_task(pool, n, seed).probe for n in sorted(set(shots))
    }
    test = whole.confirm
    if test_limit is not None and test_limit < len(test):
        ranked = sorted(test, key=lambda i: hashlib.sha256(f"{seed}\n{i.id}".encode()).digest())
        test = tuple(sorted(ranked[:test_limit], key=lambda item: item.id))
    return Draw(seed, train, test)


def plan_cells(
    template: CellRequest, methods: Sequence[Method], draws: Sequence[Draw]
) -> tuple[CellRequest, ...]:
    """Every cell, cheapest first within a seed: the base (once, with 0 shots), then by shots.

    A cell says only what it depends on: how adapters are trained is no part of a method that
    trains none, which is therefore not run again for another learning rate.
    """
    untrained = replace(template, training=Training())

    def cell(method: Method, of: Draw, shots: int = 0) -> CellRequest:
        return replace(
            untrained if method.adapter is None else template,
            method=method.name,
            shots=shots,
            seed=of.seed,
            train=tuple(item.id for item in of.train.get(shots, ())),
            test=tuple(item.id for item in of.test),
        )

    cells: list[CellRequest] = []
    for one in draws:
        cells += [cell(method, one) for method in methods if not method.learns]
        for shots in one.train:
            cells += [cell(method, one, shots) for method in methods if method.learns]
    return tuple(cells)
