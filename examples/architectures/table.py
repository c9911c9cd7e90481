"""Examine every class of transformers' two auto mappings and write the table `coverage.md`.

    python examples/architectures/table.py [--cache FILE] [TYPE ...]

With types given, prints their findings and writes no table. All of them take some ten minutes
on one core; with a cache an interrupted run goes on where it was. The same cache takes findings
from other environments, which the table then names: `fast_vlm`, `gemma3n` and `perception_lm` need
`timm` beside transformers, and `llama4`'s forward fails in transformers 5.24.0, not in 5.23.0.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
import warnings
from dataclasses import asdict
from pathlib import Path

import transformers
from proving import Finding, examine, libraries
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from talo_export.wording import percent

PLAINLY = {
    ("image-text-to-text", "pi0"): "a robot's policy: what it puts out are movements, not text",
    ("image-text-to-text", "shieldgemma2"): "a classifier: transformers loads none of its weights "
    "into the class for text that its mapping names",
    ("causal-lm", "blt"): "its code cannot be followed without values: the bytes' entropies decide "
    "how many patches there are",
    ("causal-lm", "gemma4_assistant"): "a drafter: it has no keys and values of its own and reads "
    "those of the model that it drafts for",
    ("causal-lm", "gemma4_unified_assistant"): "a drafter, as gemma4_assistant",
}
"""Why a type is not examined or declined, where what transformers raises does not tell."""

SUBJECTS = [
    *(("image-text-to-text", name) for name in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES),
    *(("causal-lm", name) for name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
]


def verdict(finding: Finding) -> str:
    """One cell: what came of it."""
    if finding.wrong:
        return f"WRONG: {finding.wrong}"
    if not finding.proved:
        said = finding.unusable or finding.refused
        why = PLAINLY.get((finding.mapping, finding.model_type), said)
        return f"{'not examined' if finding.unusable else 'declined'}: {why}"
    return "proved" if finding.libraries == libraries() else f"proved ({finding.libraries})"


def heads(finding: Finding) -> str:
    """Another: how many heads can be cut one by one."""
    if finding.heads:
        counts = dict.fromkeys(finding.heads)
        return f"{' or '.join(map(str, counts))}, proved"
    return "as a whole only" if finding.headless else ""


def table(findings: list[Finding]) -> str:
    """The whole page."""
    rows = [
        f"| {f.mapping} | {f.model_type} | {f.architecture} | {f.layers or ''} | {f.mixers} "
        f"| {heads(f)} | {verdict(f)} |".replace("|  |", "| |")
        for f in findings
    ]
    examined = [f for f in findings if not f.unusable]
    with_attention = [f for f in examined if "self-attention" in f.mixers or not f.mixers]
    proved = [f for f in findings if f.proved and not f.wrong]
    share = percent(len(proved) / max(1, len(with_attention)))
    return "\n".join(
        [
            "# Every architecture",
            "",
            f"Written by `table.py` with transformers {transformers.__version__}: every type in "
            "the image-text-to-text and causal-lm auto mappings, built tiny with random weights, "
            "saved, read, cut on disk, loaded with stock `from_pretrained`, compared with the live "
            "knockout. What exactly is checked, the head of `proving.py` says. Where a verdict "
            "names libraries, the type was examined with those: `table.py` says why. Heads: how "
            "many can be cut one by one; empty where that was not tried.",
            "",
            f"- types: {len(findings)}; can be built, saved and loaded small: {len(examined)}",
            f"- of these, with self-attention in their decoder: {len(with_attention)}; "
            f"knockout proved: {len(proved)} ({share})",
            f"- heads cut one by one, proved: {sum(bool(f.heads) for f in findings)}",
            f"- wrong: {sum(bool(f.wrong) for f in findings)}",
            "",
            "| mapping | type | architecture | layers | mixers | heads | knockout |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def read_cache(file: Path | None) -> dict[tuple[str, str], Finding]:
    """Findings of earlier runs, by mapping and type; the last one of each counts."""
    if file is None or not file.exists():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    findings = [Finding(**json.loads(line)) for line in lines]
    return {(finding.mapping, finding.model_type): finding for finding in findings}


def main() -> None:
    """Run the command line of the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("types", nargs="*", help="examine these only (again)")
    parser.add_argument("--cache", type=Path, help="keep findings here; what is there stands")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    known = read_cache(arguments.cache)
    for mapping, model_type in SUBJECTS:
        if model_type not in arguments.types if arguments.types else (mapping, model_type) in known:
            continue
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            finding = examine(mapping, model_type, Path(folder) / "base")
        known[mapping, model_type] = finding
        if arguments.cache:
            with arguments.cache.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(finding)) + "\n")
        print(
            f"{mapping} {model_type}: {verdict(finding)} [{finding.layers}: {finding.mixers}] "
            f"heads: {heads(finding) or finding.headless or 'none'} "
            f"{time.perf_counter() - started:.1f} s",
            flush=True,
        )
        gc.collect()
    if not arguments.types:
        page = table([known[subject] for subject in SUBJECTS])
        Path(__file__).with_name("coverage.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
