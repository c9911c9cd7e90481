"""What can be asked of a model: probe it, evaluate it, compare what one could do with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Annotated, Literal

from talo_export.baselines.methods import DEFAULT_METHODS, Method, methods_named
from talo_export.errors import UsageError
from talo_export.requests.fields import (
    Argument,
    Coerced,
    Flag,
    MaybePath,
    MaybeReference,
    Paths,
    Request,
    as_written,
    frozen,
    path_if_any,
    paths,
    reference_if_any,
)
from talo_export.requests.settings import (
    MODEL,
    OUTPUT,
    RIVALS,
    SEARCH,
    TASK,
    TRAINING,
    FillName,
    InferenceSettings,
    ModelSettings,
    PromptSettings,
    ScopeName,
    ScoringSettings,
    TaskChoice,
    TaskWithShots,
)
from talo_export.requests.values import (
    read_list,
    read_numbers,
    read_points,
    read_shots,
    write_list,
    write_points,
    write_shots,
)

if TYPE_CHECKING:
    from talo_export.baselines.settings import Training

SkipTooLong = Annotated[bool, Flag(
    "--skip-too-long", TASK,
    "Leave out items that the model's context does not hold, and count them."
)]  # fmt: skip


@frozen
class ProbeRequest(ScoringSettings, TaskWithShots, InferenceSettings):
    """Find the layer that hurts a task, confirm it on other items, write the patched checkpoint.

    Without --model and --task the bundled demo answers its own maps. Interrupt it whenever you
    like: the same line goes on where it stopped, and a finished run is shown, not redone. Started
    by `accelerate launch -m talo_export probe ...` or torchrun, several processes share the items.
    """

    _: KW_ONLY
    shots: Annotated[int | None, Flag(
        "--shots N|all", SEARCH,
        "Items to probe with; the others confirm. `all` sweeps every item, selects none.",
        parse=read_shots, write=write_shots, least=1,
        python="Items to probe with; the others confirm. None sweeps every item, selects none."
    )] = 20  # fmt: skip
    min_gain: Annotated[float | None, Flag(
        "--min-gain POINTS", SEARCH,
        "Keep the base unless a layer gains more than this, in points of accuracy.",
        default="what --criterion asks", parse=read_points, write=write_points,
        python="Keep the base unless a layer gains more than this share: 0.05 is five points."
    )] = None  # fmt: skip
    criterion: Annotated[str, Flag(
        "--criterion NAME", SEARCH,
        "What makes a layer the best one: kept-t, accuracy, margin, probability, ...; auto is "
        "kept-t where choices are scored, else accuracy."
    )] = "auto"  # fmt: skip
    scope: ScopeName = "attention"
    fill: FillName = "zero"
    engine: Annotated[Literal["auto", "naive"], Flag(
        "--engine NAME", SEARCH,
        "naive runs a whole stock pass for every layer and item: slower, same answers."
    )] = "auto"  # fmt: skip
    skip_too_long: SkipTooLong = False
    out: Annotated[MaybePath, Flag(
        "--out -o DIR", OUTPUT, "Directory of the run.", default="runs/<model>/<task>"
    )] = Coerced(path_if_any, default=None)  # fmt: skip
    checkpoint: Annotated[bool, Flag(
        "--checkpoint/--no-checkpoint", OUTPUT,
        "Write the patched checkpoint when a layer earns it."
    )] = True  # fmt: skip
    fresh: Annotated[bool, Flag("--fresh", OUTPUT, "Start over an earlier run in --out.")] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.criterion != "auto":
            from talo_export.evidence.criteria import criterion_of

            criterion_of(self.criterion)
        if self.min_gain is not None and not -1 <= self.min_gain < 1:
            raise UsageError(
                f"--min-gain is {100 * self.min_gain:g}: give points of accuracy, below 100."
            )


@frozen
class EvaluateRequest(ScoringSettings, TaskWithShots, InferenceSettings):
    """Measure the accuracy of any checkpoint on any task, item for item.

    Answers are kept as they come: interrupt it whenever you like, the same line goes on.
    """

    _: KW_ONLY
    limit: Annotated[int | None, Flag(
        "--limit N", TASK, "Only N items, drawn by the seed.", least=1
    )] = None  # fmt: skip
    skip_too_long: SkipTooLong = False
    out: Annotated[MaybePath, Flag(
        "--out -o DIR", OUTPUT, "Where answers are kept.", default="runs/<model>/<task>.evaluate"
    )] = Coerced(path_if_any, default=None)  # fmt: skip
    fresh: Annotated[bool, Flag("--fresh", OUTPUT, "Ask again what was answered before.")] = False


@frozen
class AskRequest(PromptSettings, TaskWithShots, InferenceSettings):
    """Ask the base and the patched model, side by side, about your own picture.

    `talo-export ask RUN --image x.png "What is this?"` loads the base, then the checkpoint that
    lies on disk, never both at once. Without a question a terminal asks for one after the other;
    for that both are held. With --task a file's questions are asked; with --model, one model alone.
    """

    run: Annotated[MaybeReference, Argument(
        "RUN", "A run, an exported checkpoint or adapter, or one's Hub id; it names its base."
    )] = Coerced(as_written, default=None)  # fmt: skip
    question: Annotated[str | None, Argument(
        "QUESTION", "Sent as it is, through the chat template; with --model it comes first."
    )] = None  # fmt: skip
    _: KW_ONLY
    images: Annotated[Paths, Flag(
        "--image -i FILE", TASK, "A picture that goes before the question; several are allowed."
    )] = Coerced(paths, default=())  # fmt: skip
    model: Annotated[MaybeReference, Flag(
        "--model -m REF", MODEL,
        "Ask this model alone, in place of RUN: a directory, OWNER/NAME or OWNER/NAME@REVISION."
    )] = Coerced(reference_if_any, default=None)  # fmt: skip
    base: Annotated[MaybeReference, Flag(
        "--base REF", MODEL, "The checkpoint that RUN's was made from.",
        default="the base in the manifest"
    )] = Coerced(reference_if_any, default=None)  # fmt: skip
    task: Annotated[MaybeReference, Flag(
        "--task -t TASK", TASK, "Ask the questions of a task or of a file of items, answers known."
    )] = Coerced(reference_if_any, default=None)  # fmt: skip
    items: Annotated[Coerced[Sequence[str], tuple[str, ...]], Flag(
        "--item ID", TASK,
        "This item, asked as the probe did: of --task, else of RUN's own; several are allowed."
    )] = Coerced(tuple, default=())  # fmt: skip
    limit: Annotated[int | None, Flag(
        "--limit N", TASK, "With --task: the first N items.", least=1
    )] = None  # fmt: skip
    max_new_tokens: Annotated[int | None, Flag(
        "--max-new-tokens N", TASK, "Length of an answer.",
        least=1, default="256; with --task 16, or 64 without choices"
    )] = None  # fmt: skip
    skip_too_long: SkipTooLong = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model is not None and self.question is None:
            # The one word that is there can only be the question.
            vars(self).update(question=self.run, run=None)
        vars(self).update(run=reference_if_any(self.run))
        if (self.run is None) == (self.model is None):
            raise UsageError("ask needs a run or an exported checkpoint, or --model REF.")
        if self.of_a_task and (self.question is not None or self.images):
            raise UsageError("items have questions and pictures of their own: leave out others.")
        if self.items and self.task is None and self.run is None:
            raise UsageError("--item needs a run whose item it is, or --task.")
        if self.base is not None and self.run is None:
            raise UsageError("--base is what RUN was made from: name RUN as well.")

    @property
    def of_a_task(self) -> bool:
        """Whether items are asked, and no question of the user's own."""
        return self.task is not None or bool(self.items)


@frozen
class TrainingSettings(Request):
    """How adapters are trained."""

    _: KW_ONLY
    epochs: Annotated[
        int, Flag("--epochs N", TRAINING, "At most so many passes over the items.", least=1)
    ] = 20
    lr: Annotated[float | None, Flag(
        "--lr RATE", TRAINING, "Learning rate.", default="the adapter's own"
    )] = None  # fmt: skip
    rank: Annotated[int, Flag("--rank N", TRAINING, "Rank of LoRA and its kin.", least=1)] = 8
    batch_size: Annotated[int, Flag(
        "--batch-size N", TRAINING, "Items in an optimizer step.", least=1
    )] = 4  # fmt: skip
    gradient_checkpointing: Annotated[bool, Flag(
        "--gradient-checkpointing", TRAINING, "Recompute activations: less memory, more time."
    )] = False  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        self.to_training()

    def to_training(self) -> Training:
        """The settings as a cell of a comparison knows them. Raises UsageError."""
        from talo_export.baselines.settings import Training

        return Training(
            epochs=self.epochs,
            learning_rate=self.lr,
            rank=self.rank,
            batch_size=self.batch_size,
            gradient_checkpointing=self.gradient_checkpointing,
        )


@frozen
class CompareRequest(ScoringSettings, TrainingSettings, TaskChoice, ModelSettings):
    """Compare base, knockout, LoRA and friends on the same items: accuracy, peak memory, time.

    Every cell (a method, a number of shots, a seed) runs in a process of its own and is kept:
    interrupt it whenever you like, the same line goes on, and more methods, more seeds and fewer
    shots add to it. More shots than before leave fewer items to test on, so they start anew.
    """

    _: KW_ONLY
    methods: Annotated[Coerced[Sequence[str], tuple[str, ...]], Flag(
        "--methods NAMES|all", RIVALS,
        "Also knockout+lora, dora, rslora, ia3, oft, prompt-tuning, ln-tuning.",
        default="knockout, calibration, knockout+calibration, few-shot, lora", parse=read_list,
        write=write_list
    )] = Coerced(tuple, default=DEFAULT_METHODS)  # fmt: skip
    shots: Annotated[Coerced[Sequence[int], tuple[int, ...]], Flag(
        "--shots N,N,...", RIVALS, "Labelled items to learn from; several numbers draw a curve.",
        parse=read_numbers, write=write_list
    )] = Coerced(tuple, default=(20,))  # fmt: skip
    seeds: Annotated[int, Flag("--seeds N", RIVALS, "How many seeds, from 0 on.", least=1)] = 3
    test_limit: Annotated[int | None, Flag(
        "--test-limit N", RIVALS, "Test on N of the other items only.", least=1
    )] = None  # fmt: skip
    estimate: Annotated[bool, Flag(
        "--estimate", RIVALS, "Run nothing: predict the memory from the model's config alone."
    )] = False  # fmt: skip
    tokens: Annotated[int, Flag(
        "--tokens N", RIVALS,
        "With --estimate: tokens of a prompt's text; a picture's come on top.", least=1
    )] = 512  # fmt: skip
    load_in_4bit: Annotated[bool, Flag(
        "--load-in-4bit", MODEL,
        "Hold the decoder's matrices as NF4; all but --estimate needs bitsandbytes."
    )] = False  # fmt: skip
    out: Annotated[MaybePath, Flag(
        "--out -o DIR", OUTPUT, "Where finished cells are kept.",
        default="runs/<model>/<task>.compare"
    )] = Coerced(path_if_any, default=None)  # fmt: skip
    fresh: Annotated[bool, Flag("--fresh", OUTPUT, "Run finished cells again as well.")] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.shots or min(self.shots) < 1:
            raise UsageError("--shots needs whole numbers from 1, such as 10,20,50.")
        self.to_methods()

    def to_methods(self) -> tuple[Method, ...]:
        """The methods that were named, in the table's order, the base first. Raises UsageError."""
        return methods_named(self.methods)
