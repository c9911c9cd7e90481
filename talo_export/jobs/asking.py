"""Who is asked and how: from the user's words to a loaded model and the settings of its answers.

The bundled demo is the default model. What is asked is `task_words.py`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from talo_export.errors import UsageError
from talo_export.jobs.task_words import DEMO

if TYPE_CHECKING:
    from talo_export.models.loading import LoadedModel
    from talo_export.probing.settings import Scoring

DEFAULT_PROMPT = "lmms-eval"


@dataclass(frozen=True, slots=True)
class Setup:
    """The model and how it is run. `model` None is the bundled demo."""

    model: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    device_map: str | None = None
    offload: Path | None = None
    max_memory: Mapping[str, str] | None = None
    batch_size: int | Literal["auto"] = "auto"
    trust_remote_code: bool = False
    load_in_4bit: bool = False

    @property
    def is_demo(self) -> bool:
        return self.model is None or self.model == DEMO

    @property
    def name(self) -> str:
        """What the model is called in results: the demo's name, or the user's reference."""
        return DEMO if self.is_demo else str(self.model)

    @property
    def reference(self) -> str:
        """What is loaded: a path or a Hub id with its revision."""
        return model_reference(self.model)

    def load(self) -> LoadedModel:
        """Load it for inference; a PEFT adapter's directory is loaded on the base it names."""
        from talo_export.models.loading import load_model

        return load_model(
            self.reference,
            dtype=self.dtype,
            device=self.device,
            device_map=self.device_map,
            offload_folder=self.offload,
            max_memory=self.max_memory,
            trust_remote_code=self.trust_remote_code,
            load_in_4bit=self.load_in_4bit,
        )


def model_reference(model: str | None) -> str:
    """The path of the bundled demo, or what the user wrote."""
    if model is None or model == DEMO:
        from talo_export.demo import demo_model_directory

        return str(demo_model_directory())
    return model


def parse_batch_size(text: str) -> int | Literal["auto"]:
    """`auto` or a positive number."""
    if text == "auto":
        return "auto"
    return _positive(text, "--batch-size", "auto")


def parse_memory(text: str | None) -> dict[str, str] | None:
    """`0=20GB,cpu=50GB` as a limit for each device: GPUs by their index, `cpu` for the host."""
    if text is None:
        return None
    limits = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    if len(limits) < len(text.split(",")) or not all(map(_is_limit, limits.items())):
        raise UsageError(f"--max-memory is {text!r}; write 0=20GB,cpu=50GB.")
    return limits


def _is_limit(limit: tuple[str, str]) -> bool:
    device, size = limit
    known = device == "cpu" or device.isdigit()
    return known and re.fullmatch(r"\d+([.]\d+)?[KMGT]i?B", size) is not None


def parse_shots(text: str) -> int | None:
    """A positive number of probing items, or None for `all`."""
    return None if text == "all" else _positive(text, "--shots", "all")


def _positive(text: str, option: str, word: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UsageError(f"{option} is {text!r}; give a whole number from 1, or {word!r}.")
    return int(text)


def scoring_of(
    kind: str,
    *,
    choice_text: bool | None,
    normalise: str,
    prompt: str = DEFAULT_PROMPT,
    system: str | None = None,
) -> Scoring:
    """The scoring settings of the options' words."""
    from talo_export.probing.settings import Scoring

    return Scoring(
        kind=kind,  # type: ignore[arg-type]
        choice_text=choice_text,
        normalise=normalise,  # type: ignore[arg-type]
        prompt_style=None if prompt == DEFAULT_PROMPT else prompt,
        system=system,
    )
