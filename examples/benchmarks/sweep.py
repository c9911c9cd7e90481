"""How fast a sweep is: the shared engine against a naive hook loop and against the bare layers.

    python examples/benchmarks/sweep.py smollm2 --lengths 64 256 --batches 1 8
    python examples/benchmarks/sweep.py demo --batches 1 8
    python examples/benchmarks/sweep.py smollm2 --lengths 64 --generate 8
    python examples/benchmarks/sweep.py --shapes qwen2-vl-2b llava-next-8b decoder-40b --batches 1
    python examples/benchmarks/sweep.py smollm2 --whole --write       # this page's table, in one go

The *hook loop* is what one would write by hand: for the base and for every layer a stock pass over
a batch of items, the layer's attention output set to zero by a hook. *Shared* is the product's
engine, measured without its check, as wide as it runs where there is memory enough; *one at a time*
is the same with one variant a pass. The *bound* is the time of the evaluations it counted, run
bare: the model's own layers in the same shapes, its vision tower, and nothing around them.
Everything is measured in one process, in turns, `--repeat` times; each number is the smallest. On a
machine that does other work too, `--clock cpu` counts this process's processor time in place of the
wall's.

`--shapes` builds models of true sizes with random weights (`shapes.py`), on an accelerator where
there is one; `--small` makes them small enough for any machine. Peak memory is then the device's.

`--passes N` runs only N of the hook loop's passes, evenly chosen, and `--items N` only N of a
batch's items by the engine, which takes one after the other; both are scaled: they cost the same.
`--whole` runs the lines of `WHOLE` one after the other, some 20 minutes of one core.
"""

from __future__ import annotations

import argparse
import os
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talo_export.models.threads import share_processors

share_processors()  # Before torch is imported, as the command does.

import torch
from shapes import SHAPES, built
from torch import Tensor

from talo_export.models.loading import LoadedModel
from talo_export.models.switching import output_modules
from talo_export.models.targets import knockout_targets
from talo_export.probing.cost import metered
from talo_export.probing.encoding import Encoded, encode, is_per_token
from talo_export.probing.engines.passes import SharedModel
from talo_export.probing.engines.plan import schedule
from talo_export.probing.engines.shared import Shared, prompt_inputs
from talo_export.probing.engines.width import most_tokens
from talo_export.probing.forwards import Forward, all_replaced
from talo_export.probing.settings import Scoring
from talo_export.probing.sweep import all_knockouts
from talo_export.probing.vision import vision_entries
from talo_export.requests.settings import InferenceSettings, TaskChoice
from talo_export.runs.chosen_task import load_chosen
from talo_export.runs.loading import load_for_inference
from talo_export.tasks.item import Item

WIDTHS = {"one at a time": 1, "shared": None}
"""Way -> how many variants run at once, None for as many as are worth it."""
MIB = 2**20
HEAD = (
    "| tokens | batch | way | seconds | layer evaluations | vision | peak MiB | x hook loop "
    "| over bound |\n|--:|--:|---|--:|--:|--:|--:|--:|--:|"
)


@dataclass(frozen=True)
class Cell:
    """One line of the table. Seconds and MiB; counts are for the whole batch."""

    way: str
    seconds: float
    layers: int
    vision: int
    memory: float
    bound: float | None = None


WHOLE = {
    "SmolLM2, letters scored": "MODEL --lengths 16 64 256 --batches 1 --passes 8",
    "SmolLM2, batches of eight":
        "MODEL --lengths 64 256 --batches 8 --passes 2 --items 1 --ways shared",
    "SmolLM2, generating eight tokens":
        "MODEL --lengths 64 --batches 1 8 --generate 8 --passes 3 --items 1 --ways shared",
    "The demo, a vision-language model": "demo --batches 1 8 --repeat 5",
    "The demo, generating eight tokens": "demo --batches 8 --generate 8 --repeat 5 --ways shared",
    "SmolVLM-256M's shape, random weights":
        "--shapes smolvlm-256m --batches 1 --passes 1 --repeat 1 --ways shared",
}  # fmt: skip
"""Title -> arguments of this script, in which MODEL is what was given."""
PAGE = Path(__file__).with_suffix(".md")
BEGIN, END = "<!-- table: sweep.py --whole --write -->", "<!-- end of the table -->"


def main() -> None:
    args = arguments()
    if args.whole:
        lines = whole(args)
        if args.write:
            head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
            tail = rest.partition(END)[2]
            text = "\n".join((BEGIN, *lines, END))
            PAGE.write_text(f"{head}{text}{tail}", encoding="utf-8")
    else:
        measure(args)


def whole(args: argparse.Namespace) -> list[str]:
    """The lines of every title's table, in Markdown."""
    lines = [
        "",
        f"float32, {args.threads} of {os.cpu_count()} processors, {args.clock} clock, "
        f"torch {torch.__version__}.",
    ]
    for title, words in WHOLE.items():
        given = shlex.split(words.replace("MODEL", shlex.quote(args.model)))
        print(f"\n{title}\n", flush=True)
        rest = ["--threads", str(args.threads), "--clock", args.clock]
        found = measure(arguments([*given, *rest]))
        shown = words.replace("MODEL", "smollm2")
        lines += ["", f"**{title}** (`sweep.py {shown}`)", "", *found]
    return [*lines, ""]


def measure(args: argparse.Namespace) -> list[str]:
    """The lines of one run's tables, printed as they come."""
    torch.set_num_threads(args.threads)
    scoring = Scoring(max_new_tokens=args.generate) if args.generate else Scoring("likelihood")
    clock = time.process_time if args.clock == "cpu" else time.perf_counter
    lines = [*HEAD.splitlines()]
    if args.shapes:
        for name in args.shapes:
            print(f"\n{name}{' (small)' if args.small else ''}\n\n{HEAD}")
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            loaded, encoded = built(name, device, small=args.small)
            lines += table(loaded, encoded, scoring, args, clock)
            del loaded, encoded
        return lines
    loaded = load_for_inference(InferenceSettings(args.model, dtype=args.dtype))
    # Every answer to its full length, so that all ways do the same work.
    loaded.model.generation_config.eos_token_id = None
    print(HEAD)
    for length in args.lengths or [None]:
        lines += table(loaded, example(loaded, scoring, length), scoring, args, clock)
    return lines


def table(
    loaded: LoadedModel,
    encoded: Encoded,
    scoring: Scoring,
    args: argparse.Namespace,
    clock: Callable[[], float],
) -> list[str]:
    """The lines of one prompt, for every batch."""
    lines = []
    for batch in args.batches:
        cells = measured(loaded, encoded, scoring, batch, args, clock)
        for cell in cells:
            lines.append(row(cell, cells[0], encoded.length, batch))
            print(lines[-1], flush=True)
    return lines


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="demo", help="a model's directory, or demo")
    parser.add_argument("--shapes", nargs="*", choices=list(SHAPES), help="models of true sizes")
    parser.add_argument("--small", action="store_true", help="the same shapes, much smaller")
    parser.add_argument("--lengths", type=int, nargs="*", help="tokens; as they are for pictures")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--generate", type=int, help="new tokens; without it letters are scored")
    parser.add_argument("--ways", nargs="+", default=list(WIDTHS), choices=list(WIDTHS))
    parser.add_argument("--passes", type=int, help="of the hook loop's passes, run only so many")
    parser.add_argument("--items", type=int, help="of a batch's items, run only so many")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--whole", action="store_true", help="every line of the page's table")
    parser.add_argument("--write", action="store_true", help=f"with --whole: into {PAGE.name}")
    return parser.parse_args(words)


def example(loaded: LoadedModel, scoring: Scoring, length: int | None) -> Encoded:
    """A lettered question of so many tokens; where the model sees, one of the demo's with a map."""
    if loaded.is_vlm:
        item = load_chosen(TaskChoice("demo/maps"), model_is_demo=False).items[0]
        return encode(loaded, item, scoring)
    words = "The quick brown fox jumps over the lazy dog and runs away. " * (length or 64)
    item = Item(id="x", group="x", question=words, choices=("yes", "no", "both"), answer=0)
    encoded = encode(loaded, item, scoring)
    cut = encoded.length - (length or 64)
    inputs = {
        name: value[:, cut:] if is_per_token(value, encoded.inputs["input_ids"]) else value
        for name, value in encoded.inputs.items()
    }
    return Encoded(item, inputs, encoded.length - cut, encoded.continuations, encoded.lettered)


def measured(
    loaded: LoadedModel,
    encoded: Encoded,
    scoring: Scoring,
    batch: int,
    args: argparse.Namespace,
    clock: Callable[[], float],
) -> list[Cell]:
    """The hook loop's line, then the engine's."""
    best: dict[str, Cell] = {}
    for _ in range(args.repeat):
        for way in ("hook loop", *args.ways):
            if way == "hook loop":
                cell = hook_loop(loaded, encoded, scoring, batch, args.passes, clock)
            else:
                cell = by_engine(loaded, encoded, scoring, batch, args.items, way, clock)
            best[way] = min(best.get(way, cell), cell, key=lambda one: one.seconds)
    return list(best.values())


def hook_loop(
    loaded: LoadedModel,
    encoded: Encoded,
    scoring: Scoring,
    batch: int,
    passes: int | None,
    clock: Callable[[], float],
) -> Cell:
    """Stock passes over a batch, one for the base and one for each layer."""
    inputs = {
        name: value.repeat(batch, *[1] * (value.dim() - 1)) if isinstance(value, Tensor) else value
        for name, value in encoded.inputs.items()
    }
    variants = [None, *all_knockouts(loaded.decoder)]
    run = variants if passes is None else variants[:: max(1, len(variants) // passes)][:passes]
    with metered(loaded.model, loaded.decoder) as meter, torch.inference_mode(), peak() as memory:
        started = clock()
        for variant in run:
            handles = []
            if variant is not None:
                targets = knockout_targets(loaded.decoder, variant)
                handles = [
                    loaded.model.get_submodule(path).register_forward_hook(silence)
                    for path in output_modules(loaded.model, targets.outputs)
                ]
            with meter.item(encoded.length):
                if scoring.kind == "generate":
                    loaded.model.generate(
                        **inputs, max_new_tokens=scoring.new_tokens(encoded.item), do_sample=False,
                        pad_token_id=loaded.tokenizer.pad_token_id,
                    )  # fmt: skip
                else:
                    loaded.model(**inputs, use_cache=False, logits_to_keep=1)
            for handle in handles:
                handle.remove()
        synchronise()
        seconds = clock() - started
    scale = len(variants) / len(run)
    counts = (meter.layer_evaluations, meter.vision_evaluations * batch)
    return Cell("hook loop", scale * seconds, *(round(scale * n) for n in counts), memory[0])


def silence(module: Any, args: Any, output: Tensor) -> Tensor:
    return torch.zeros_like(output)


def by_engine(
    loaded: LoadedModel,
    encoded: Encoded,
    scoring: Scoring,
    batch: int,
    items: int | None,
    way: str,
    clock: Callable[[], float],
) -> Cell:
    """A batch of items by the product's engine, and its layers run bare."""
    variants = (None, *all_knockouts(loaded.decoder))
    width = WIDTHS[way] or widest(loaded, encoded)
    ran = min(batch, items or batch)
    with metered(loaded.model, loaded.decoder) as meter:
        shared = SharedModel(loaded.model, loaded.decoder)
        with shared.installed(), peak() as memory:
            engine = Shared(loaded, scoring, meter, shared)
            started = clock()
            for _ in range(ran):
                list(engine.answer(encoded, variants, width))
            synchronise()
            seconds = clock() - started
        seconds *= batch / ran
        counts = (n * batch // ran for n in (meter.layer_evaluations, meter.vision_evaluations))
    bound = None
    if scoring.kind == "likelihood":
        layers = [loaded.model.get_submodule(layer.path) for layer in loaded.decoder.layers]
        with torch.inference_mode():
            calls, looks = bare_calls(loaded, encoded, scoring, width)
            started = clock()
            for index, positional, named in calls:
                layers[index](*positional, **named)
            for looked, positional, named in looks:
                looked(*positional, **named)
            synchronise()
            bound = batch * (clock() - started)
    return Cell(way, seconds, *counts, memory[0], bound)


def widest(loaded: LoadedModel, encoded: Encoded) -> int:
    """Variants that run at once where memory is no matter."""
    return max(1, most_tokens(loaded.model, loaded.device) // encoded.length)


def bare_calls(
    loaded: LoadedModel, encoded: Encoded, scoring: Scoring, width: int
) -> tuple[list[tuple[int, tuple[Any, ...], dict[str, Any]]], list[tuple[Forward, Any, Any]]]:
    """The calls of decoder layers that an engine makes for one item, and those of the tower."""
    calls: list[tuple[int, tuple[Any, ...], dict[str, Any]]] = []
    depth = len(loaded.decoder)

    def note(index: int) -> Callable[..., None]:
        def hook(module: Any, args: Any, kwargs: Any) -> None:
            calls.append((index, args, kwargs))

        return hook

    handles = [
        loaded.model.get_submodule(layer.path).register_forward_pre_hook(
            note(layer.index), with_kwargs=True
        )
        for layer in loaded.decoder.layers
    ]
    looks: list[tuple[Forward, Any, Any]] = []

    def seen(forward: Forward) -> Forward:
        def look(*args: Any, **kwargs: Any) -> Any:
            looks.append((forward, args, kwargs))
            return forward(*args, **kwargs)

        return look

    entries = vision_entries(loaded.model, loaded.decoder)
    with all_replaced([(module, method, seen) for module, method in entries]):
        loaded.model(**prompt_inputs(encoded, scoring), use_cache=False, logits_to_keep=1)
    for handle in handles:
        handle.remove()
    assert [index for index, _, _ in calls] == list(range(depth))
    found = []
    for plan in schedule((None, *all_knockouts(loaded.decoder)), width):
        end = depth if plan.variants or plan.handover is None else plan.handover
        for index, args, kwargs in calls[plan.start : end]:
            hidden, rest = (args[0], args[1:]) if args else (kwargs["hidden_states"], ())
            named = {name: value for name, value in kwargs.items() if name != "hidden_states"}
            whole = hidden.expand(len(plan.active(index)), *hidden.shape[1:])
            found.append((index, (whole.clone(), *rest), named))
    return found, looks


@contextmanager
def peak() -> Iterator[list[float]]:
    """MiB at most above what was there before: the accelerator's, or the process's resident set."""
    found = [0.0]
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = float(torch.cuda.memory_allocated())
    else:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the high-water mark starts anew.
        before = resident("VmRSS")
    yield found
    after = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else resident("VmHWM")
    found[0] = max(0.0, after - before) / MIB


def resident(name: str) -> float:
    """Bytes of one line of this process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return 1024.0 * int(line.split()[1])


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def row(cell: Cell, naive: Cell, length: int, batch: int) -> str:
    """A line of the table."""
    over = "" if cell.bound is None else f"{100 * (cell.seconds / cell.bound - 1):+.0f} %"
    return (
        f"| {length} | {batch} | {cell.way} | {cell.seconds:.2f} | {cell.layers:,} | {cell.vision} "
        f"| {cell.memory:.0f} | {naive.seconds / cell.seconds:.2f} | {over} |"
    )


if __name__ == "__main__":
    main()
