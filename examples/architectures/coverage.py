"""Examine every class of transformers' two auto mappings and write the table `coverage.md`.

    python examples/architectures/coverage.py [TYPE ...]

With types given, prints their findings and writes nothing. All of them take some ten minutes.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import warnings
from pathlib import Path

import transformers
from proving import Finding, examine
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

SUBJECTS = [
    *(("image-text-to-text", name) for name in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES),
    *(("causal-lm", name) for name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
]


def verdict(finding: Finding) -> str:
    """One cell: what came of it."""
    if finding.wrong:
        return f"WRONG: {finding.wrong}"
    if finding.unusable:
        return f"not examined: {finding.unusable}"
    if finding.proved:
        return "proved"
    return f"declined: {finding.refused}"


def table(findings: list[Finding]) -> str:
    """The whole page."""
    rows = [
        f"| {f.mapping} | {f.model_type} | {f.architecture} | {f.layers or ''} | {f.mixers} "
        f"| {verdict(f)} |".replace("|  |", "| |")
        for f in findings
    ]
    examined = [f for f in findings if not f.unusable]
    with_attention = [f for f in examined if "self-attention" in f.mixers or not f.mixers]
    proved = [f for f in findings if f.proved and not f.wrong]
    return "\n".join(
        [
            "# Every architecture",
            "",
            f"Written by `coverage.py` with transformers {transformers.__version__}: every type in "
            "the image-text-to-text and causal-lm auto mappings, built tiny with random weights, "
            "saved, read, cut on disk, loaded with stock `from_pretrained`, compared with the live "
            "knockout. What exactly is checked, the head of `proving.py` says.",
            "",
            f"- types: {len(findings)}; can be built, saved and loaded small: {len(examined)}",
            f"- of these, with self-attention in their decoder: {len(with_attention)}; "
            f"knockout proved: {len(proved)} ({len(proved) / max(1, len(with_attention)):.1%})",
            f"- wrong: {sum(bool(f.wrong) for f in findings)}",
            "",
            "| mapping | type | architecture | layers | mixers | knockout |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main(types: list[str]) -> None:
    """Examine `types`, or all of them and write the table."""
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    findings = []
    for mapping, model_type in SUBJECTS:
        if types and model_type not in types:
            continue
        with tempfile.TemporaryDirectory() as folder:
            finding = examine(mapping, model_type, Path(folder) / "base")
        findings.append(finding)
        print(
            f"{mapping} {model_type}: {verdict(finding)} [{finding.layers}: {finding.mixers}]",
            flush=True,
        )
        gc.collect()
    if not types:
        Path(__file__).with_name("coverage.md").write_text(table(findings), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
