"""The settings that several requests share, each written once: one word means one thing everywhere.

A request inherits what it takes, so it can be given to whatever needs a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Annotated, Literal

from talo_export.knockout import Fill, Scope
from talo_export.requests.fields import (
    Coerced,
    Flag,
    MaybePath,
    MaybeReference,
    Request,
    frozen,
    path_if_any,
    reference_if_any,
)
from talo_export.requests.values import read_batch_size, read_columns, read_memory, write_pairs

if TYPE_CHECKING:
    from talo_export.probing.settings import Scoring

MODEL, TASK, SEARCH = "Model", "Task", "Knockout"
RIVALS, TRAINING, HUB, OUTPUT = "Methods", "Training", "Hub", "Output"
PANELS = (MODEL, TASK, SEARCH, RIVALS, TRAINING, HUB, OUTPUT)
"""The groups of a help page, in their order."""

DEMO = "demo"
DEFAULT_TASK = "maps"
DEFAULT_PROMPT: Literal["lmms-eval"] = "lmms-eval"

Model = Annotated[MaybeReference, Flag(
    "--model -m REF", MODEL, "A local directory or a Hub id, OWNER/NAME or OWNER/NAME@REVISION.",
    default="the bundled demo"
)]  # fmt: skip
TrustCode = Annotated[bool, Flag(
    "--trust-remote-code", MODEL,
    "Run the code that the model's repository or the task's YAML names. Else never."
)]  # fmt: skip
Data = Annotated[MaybePath, Flag(
    "--data DIR", TASK, "A local copy of the catalogue's data sets: Parquet files as on the Hub."
)]  # fmt: skip
Seed = Annotated[int, Flag("--seed N", TASK, "Seed of the split and the bootstrap.")]
ScopeName = Annotated[Scope, Flag(
    "--scope SCOPE", SEARCH,
    "attention: q, k, v and output; o_proj: the output alone, which answers the same and can be "
    "tuned again; mlp: the feed-forward's output; layer: both blocks."
)]  # fmt: skip
FillName = Annotated[Fill, Flag(
    "--fill FILL", SEARCH, "What takes the weights' place: zero, uniform or mean."
)]  # fmt: skip


@frozen
class ModelChoice(Request):
    """Which model, None for the bundled demo, and whether its own code may run."""

    model: Model = Coerced(reference_if_any, default=None)
    _: KW_ONLY
    trust_remote_code: TrustCode = False

    @property
    def is_demo(self) -> bool:
        """Whether it is the bundled demo."""
        return self.model is None or self.model == DEMO

    @property
    def model_name(self) -> str:
        """What the model is called in results: the demo's name, or the user's reference."""
        return DEMO if self.is_demo else str(self.model)

    @property
    def model_reference(self) -> str:
        """What is loaded: a path or a Hub id with its revision."""
        return model_reference(self.model)


@frozen
class ModelSettings(ModelChoice):
    """A model and how it is loaded."""

    _: KW_ONLY
    dtype: Annotated[Literal["auto", "float32", "bfloat16", "float16"], Flag(
        "--dtype DTYPE", MODEL,
        "Compute in float32, bfloat16 or float16; auto is as stored, or float32 where the "
        "processor would emulate that."
    )] = "auto"  # fmt: skip
    device: Annotated[str, Flag(
        "--device DEVICE", MODEL, "auto, cpu, cuda, cuda:N or mps."
    )] = "auto"  # fmt: skip
    device_map: Annotated[str | None, Flag(
        "--device-map MAP", MODEL,
        "Spread a large model over devices: auto, balanced, sequential, or disk."
    )] = None  # fmt: skip
    offload: Annotated[MaybePath, Flag(
        "--offload DIR", MODEL, "Directory for the layers that fit on no device."
    )] = Coerced(path_if_any, default=None)  # fmt: skip


@frozen
class InferenceSettings(ModelSettings):
    """A model and how it answers."""

    _: KW_ONLY
    max_memory: Annotated[Mapping[str, str] | None, Flag(
        "--max-memory LIMITS", MODEL,
        "With --device-map: at most so much on each device, 0=20GB,cpu=50GB.",
        parse=read_memory, write=write_pairs,
        python='With --device-map: the most on each device, {"0": "20GB", "cpu": "50GB"}.'
    )] = None  # fmt: skip
    batch_size: Annotated[int | Literal["auto"], Flag(
        "--batch-size N|auto", MODEL,
        "Items in work at a time; the results are the same for any number.",
        parse=read_batch_size, least=1
    )] = "auto"  # fmt: skip


@frozen
class TaskChoice(Request):
    """Which items. `task` None is `maps`."""

    task: Annotated[MaybeReference, Flag(
        "--task -t TASK", TASK,
        "A task's name (see `talo-export tasks`) or a file of items; FILE:CATEGORY picks one, "
        "FILE:* or 'demo/*' means each.", default=DEFAULT_TASK
    )] = Coerced(reference_if_any, default=None)  # fmt: skip
    _: KW_ONLY
    data: Data = Coerced(path_if_any, default=None)
    columns: Annotated[Mapping[str, str] | None, Flag(
        "--columns OURS=THEIRS", TASK,
        "Your data's own names of the fields: question=stem, choices=options.text.",
        parse=read_columns, write=write_pairs,
        python='Item field to your data\'s own name of it: {"question": "stem"}.'
    )] = None  # fmt: skip
    choices_from: Annotated[Literal["answer"] | None, Flag(
        "--choices-from answer", TASK,
        "answer: every answer in the data becomes a choice of each item.", default="the items' own"
    )] = None  # fmt: skip
    trust_remote_code: TrustCode = False


@frozen
class TaskWithShots(TaskChoice):
    """Which items, and what is drawn for them."""

    _: KW_ONLY
    few_shot: Annotated[int | None, Flag(
        "--few-shot N", TASK,
        "Answered examples shown before every item, from the benchmark's own split.",
        least=0, default="a YAML's own, else none"
    )] = None  # fmt: skip
    seed: Seed = 0


@frozen
class PromptSettings(Request):
    """How an item is worded."""

    _: KW_ONLY
    prompt: Annotated[Literal["lmms-eval", "vlmevalkit"], Flag(
        "--prompt STYLE", TASK, "Whose wording of the questions: lmms-eval or vlmevalkit."
    )] = DEFAULT_PROMPT  # fmt: skip
    system: Annotated[str | None, Flag(
        "--system TEXT", TASK,
        "A system message before everything else, through the model's chat template."
    )] = None  # fmt: skip


@frozen
class ScoringSettings(PromptSettings):
    """How an answer is scored."""

    _: KW_ONLY
    scoring: Annotated[Literal["generate", "likelihood"], Flag(
        "--scoring KIND", TASK, "generate: read the answer. likelihood: compare the choices."
    )] = "generate"  # fmt: skip
    choice_text: Annotated[bool | None, Flag(
        "--choice-text/--choice-letter", TASK,
        "With likelihood: compare the choices' texts, or their letters.",
        default="text for verbatim prompts"
    )] = None  # fmt: skip
    normalise: Annotated[Literal["none", "tokens", "characters"], Flag(
        "--normalise UNIT", TASK,
        "With --choice-text: divide by a choice's tokens or characters, or none."
    )] = "none"  # fmt: skip
    max_new_tokens: Annotated[int | None, Flag(
        "--max-new-tokens N", TASK,
        "Length of an answer; a model that thinks first needs thousands.",
        least=1, default="the task's own; else 16, or 64 without choices"
    )] = None  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        self.to_scoring()

    def to_scoring(self) -> Scoring:
        """The settings as the engines and a run's manifest know them. Raises UsageError."""
        from talo_export.probing.settings import Scoring

        return Scoring(
            kind=self.scoring,
            choice_text=self.choice_text,
            normalise=self.normalise,
            max_new_tokens=self.max_new_tokens,
            prompt_style=None if self.prompt == DEFAULT_PROMPT else self.prompt,
            system=self.system,
        )


def model_reference(model: str | None) -> str:
    """The path of the bundled demo, or what the user wrote."""
    if model is None or model == DEMO:
        from talo_export.demo.bundled import demo_model_directory

        return str(demo_model_directory())
    return model
