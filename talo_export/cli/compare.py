"""`talo-export compare`: why not just fine-tune? Every method on the same items, one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talo_export.cli import options
from talo_export.cli.failures import told
from talo_export.cli.output import Sink

METHODS = "Methods"
TRAINING = "Training"


def compare(
    model: options.Model = None,
    task: options.TaskName = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            rich_help_panel=options.OUTPUT,
            show_default="runs/<model>/<task>.compare",
            help="Where finished cells are kept.",
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES|all",
            rich_help_panel=METHODS,
            show_default="knockout, calibration, knockout+calibration, few-shot, lora",
            help="Also knockout+lora, dora, rslora, ia3, oft, prompt-tuning, ln-tuning.",
        ),
    ] = None,
    shots: Annotated[
        str,
        typer.Option(
            metavar="N,N,...",
            rich_help_panel=METHODS,
            help="Labelled items to learn from; several numbers draw a curve.",
        ),
    ] = "20",
    seeds: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=METHODS, help="How many seeds: 0, 1, ...")
    ] = 3,
    test_limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", rich_help_panel=METHODS, help="Test on N of the other items only."
        ),
    ] = None,
    epochs: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=TRAINING, help="At most so many passes.")
    ] = 20,
    lr: Annotated[
        float | None,
        typer.Option(
            "--lr",
            metavar="RATE",
            rich_help_panel=TRAINING,
            show_default="the adapter's own",
            help="Learning rate.",
        ),
    ] = None,
    rank: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=TRAINING, help="Rank of LoRA and its kin.")
    ] = 8,
    batch_size: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=TRAINING, help="Items an optimizer step.")
    ] = 4,
    gradient_checkpointing: Annotated[
        bool,
        typer.Option(
            "--gradient-checkpointing",
            rich_help_panel=TRAINING,
            help="Recompute activations: less memory, more time.",
        ),
    ] = False,
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate",
            rich_help_panel=METHODS,
            help="Run nothing: predict the memory from the model's config alone.",
        ),
    ] = False,
    tokens: Annotated[
        int,
        typer.Option(
            metavar="N", rich_help_panel=METHODS, help="With --estimate: tokens of a prompt."
        ),
    ] = 512,
    load_in_4bit: Annotated[
        bool,
        typer.Option(
            "--load-in-4bit",
            rich_help_panel=options.MODEL,
            help="The decoder's matrices as NF4; running it needs bitsandbytes.",
        ),
    ] = False,
    data: options.Data = None,
    columns: options.Columns = None,
    prompt: options.PromptStyle = "lmms-eval",
    system: options.System = None,
    scoring: options.ScoringKind = "generate",
    choice_text: options.ChoiceText = None,
    normalise: options.Normalise = "none",
    dtype: options.Dtype = "auto",
    device: options.Device = "auto",
    device_map: options.DeviceMap = None,
    offload: options.Offload = None,
    trust_remote_code: options.TrustRemoteCode = False,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh", rich_help_panel=options.OUTPUT, help="Run finished cells again as well."
        ),
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Base, knockout, LoRA and friends on the same items: accuracy, peak memory, time.

    Every cell (a method, a number of shots, a seed) runs in a process of its own and is kept:
    interrupt it whenever you like, the same line goes on, and more methods, more seeds and fewer
    shots add to it. More shots than before leave fewer items to test on, so they start anew.
    """  # fmt: skip
    with told():
        sink = Sink(json_mode=json, quiet=quiet)
        from talo_export.baselines.methods import DEFAULT_METHODS, parse_methods
        from talo_export.baselines.settings import Training
        from talo_export.cli.show_compare import CellProgress, show_compare, show_estimate
        from talo_export.jobs.asking import Setup, scoring_of
        from talo_export.jobs.compare import CompareRequest, run_compare, run_estimate
        from talo_export.jobs.task_words import TaskWords, with_columns

        training = Training(
            epochs=epochs,
            learning_rate=lr,
            rank=rank,
            batch_size=batch_size,
            gradient_checkpointing=gradient_checkpointing,
        )
        asked = parse_methods(methods or ",".join(DEFAULT_METHODS))
        if estimate:
            predicted = run_estimate(
                model,
                dtype=dtype,
                tokens=tokens,
                adapter=next((one.adapter for one in asked if one.adapter), "lora"),
                training=training,
                four_bit=load_in_4bit,
                trust_remote_code=trust_remote_code,
            )
            peak = predicted.footprints[0].training
            sink.result(
                predicted,
                summary=f"{peak / 2**30:.2f} GiB to train",
                show=lambda to: show_estimate(predicted, to),
            )
            return
        request = CompareRequest(
            setup=Setup(
                model=model,
                dtype=dtype,
                device=device,
                device_map=device_map,
                offload=offload,
                trust_remote_code=trust_remote_code,
                load_in_4bit=load_in_4bit,
            ),
            methods=asked,
            words=with_columns(
                TaskWords(task, data=data, trust_remote_code=trust_remote_code), columns
            ),
            out=out,
            shots=parse_numbers(shots),
            seeds=seeds,
            test_limit=test_limit,
            scoring=scoring_of(
                scoring,
                choice_text=choice_text,
                normalise=normalise,
                prompt=prompt,
                system=system,
            ),
            training=training,
            fresh=fresh,
        )
        result = run_compare(request, note=sink.note, watcher=CellProgress(sink))
        sink.result(result, summary=result.summary, show=lambda to: show_compare(result, to))


def parse_numbers(text: str) -> tuple[int, ...]:
    """`10,20,50` -> (10, 20, 50), each once, ascending. Raises UsageError."""
    from talo_export.errors import UsageError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise UsageError(f"--shots is {text!r}; give whole numbers from 1, such as 10,20,50.")
    return tuple(sorted({int(part) for part in parts}))
