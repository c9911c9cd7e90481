"""What every engine here is held against: stock transformers on the same exported directory.

An engine script answers the questions with its own runtime and hands its next-token logits to
`compare`: they must be those of the exported checkpoint, and they must not be the base's.
Nothing here imports talo_export: an export is a checkpoint like any other.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

PROMPTS = (
    "The capital of France is",
    "Question: Which is larger, Texas or Rhode Island?\nAnswer:",
    "Water boils at a temperature of",
)
QUESTION = "Which letter is shown here?"
COLOURS = ((200, 40, 40), (40, 160, 60), (60, 60, 200))
SIZE = 56
"""Side of the pictures in pixels; processors resize them to what their model takes."""


@dataclass(frozen=True)
class Asked:
    """What one model was asked: the tensors of each question, and how a model takes them."""

    inputs: list[dict[str, torch.Tensor]]
    is_vlm: bool


def directories() -> tuple[Path, Path]:
    """The export and its base, directories or GGUF files, from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("export", type=Path, help="a directory, or GGUF file, of talo-export")
    parser.add_argument("base", type=Path, help="the model it was made from")
    given = parser.parse_args()
    return given.export, given.base


def questions(directory: Path) -> Asked:
    """Three prompts for a language model; one question about three pictures for a VLM."""
    if not _is_vlm(directory):
        where, options = _stock(directory)
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
        rows = [dict(tokenizer(prompt, return_tensors="pt")) for prompt in PROMPTS]
        return Asked([{"input_ids": row["input_ids"]} for row in rows], is_vlm=False)
    if (directory / "preprocessor_config.json").is_file():
        return Asked([_patches(directory, colour) for colour in COLOURS], is_vlm=True)
    processor = AutoProcessor.from_pretrained(directory)
    content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    rows = [processor(text=text, images=picture(colour), return_tensors="pt") for colour in COLOURS]
    return Asked([_tensors(row) for row in rows], is_vlm=True)


def _is_vlm(model: Path) -> bool:
    return model.is_dir() and "vision_config" in json.loads((model / "config.json").read_text())


def _stock(model: Path) -> tuple[Path, dict[str, str]]:
    """What `from_pretrained` is given for a directory, or for one GGUF file.

    Of a file's name alone it would read the one that lies in the working directory.
    """
    if model.is_file():
        return model.parent, {"gguf_file": str(model.absolute())}
    return model, {}


def _patches(directory: Path, colour: tuple[int, int, int]) -> dict[str, torch.Tensor]:
    """A question to a Qwen2-VL, whose whole processor would need torchvision for its videos."""
    config = AutoConfig.from_pretrained(directory)
    pictures = AutoImageProcessor.from_pretrained(directory, backend="pil")
    seen = pictures(images=[picture(colour)], return_tensors="pt")
    words = AutoTokenizer.from_pretrained(directory)(QUESTION)["input_ids"]
    merged = int(seen["image_grid_thw"].prod()) // config.vision_config.spatial_merge_size**2
    ids = [
        config.vision_start_token_id,
        *[config.image_token_id] * merged,
        config.vision_end_token_id,
        *words,
    ]
    input_ids = torch.tensor([ids])
    return {
        "input_ids": input_ids,
        "pixel_values": seen["pixel_values"],
        "image_grid_thw": seen["image_grid_thw"],
        "mm_token_type_ids": (input_ids == config.image_token_id).long(),
    }


def picture(colour: tuple[int, int, int]) -> Image.Image:
    """A plain picture with a darker square in it."""
    image = Image.new("RGB", (SIZE, SIZE), colour)
    image.paste(tuple(part // 3 for part in colour), (SIZE // 4, SIZE // 4, SIZE // 2, SIZE // 2))
    return image


def _tensors(inputs: Any) -> dict[str, torch.Tensor]:
    wanted = ("input_ids", "pixel_values", "image_grid_thw", "mm_token_type_ids")
    return {name: inputs[name] for name in wanted if name in inputs}


def load(directory: Path) -> torch.nn.Module:
    """The model in float32, by stock transformers."""
    auto = AutoModelForImageTextToText if _is_vlm(directory) else AutoModelForCausalLM
    where, options = _stock(directory)
    return auto.from_pretrained(
        where, dtype=torch.float32, attn_implementation="eager", **options
    ).eval()


class Logits(torch.nn.Module):
    """The whole model, vision tower included, as a function from tensors to logits, no cache."""

    def __init__(self, directory: Path, example: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.model = load(directory)
        self.grid = example.get("image_grid_thw")
        self.positions = None
        if self.grid is not None:
            self.positions = self._positions(example)
            # All patches of the one picture attend to each other.
            self.ends = np.array([0, int(self.grid.prod())])

    def _positions(self, example: dict[str, torch.Tensor]) -> torch.Tensor:
        """Qwen2-VL numbers tokens by where they lie in a picture: by its size alone.

        Pictures of one size share the numbers, so they are a constant of the function, like the
        grid itself: no exporter follows the loops that work them out.
        """
        given = {name: value for name, value in example.items() if name != "pixel_values"}
        return self.model.model.get_rope_index(**given)[0]

    def forward(
        self, input_ids: torch.Tensor, pixel_values: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(1, tokens) and a picture's pixels -> (1, tokens, vocabulary)."""
        more = {} if pixel_values is None else {"pixel_values": pixel_values}
        if self.grid is not None:
            more = {"position_ids": self.positions, "mm_encoder_outputs": self._seen(pixel_values)}
        return self.model(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            use_cache=False,
            **more,
        ).logits

    def _seen(self, pixel_values: torch.Tensor) -> dict[str, SimpleNamespace]:
        """What the vision tower makes of one picture."""
        seen = self.model.model.visual(pixel_values, grid_thw=self.grid, cu_seqlens=self.ends)
        return {"image": SimpleNamespace(pooler_output=(seen.pooler_output,))}


def arguments(question: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """What `Logits` takes of a question, in order."""
    return tuple(question[name] for name in ("input_ids", "pixel_values") if name in question)


def next_token_logits(directory: Path, asked: Asked) -> NDArray[np.float32]:
    """(questions, vocabulary) logits of the token after each question, by stock transformers."""
    model = load(directory)
    with torch.inference_mode():
        rows = [model(**question).logits[0, -1] for question in asked.inputs]
    return torch.stack(rows).numpy()


def compare(
    engine: str,
    logits: NDArray[np.floating],
    export: Path,
    base: Path,
    asked: Asked,
    *,
    tolerance: float = 1e-2,
) -> None:
    """Print the engine's row of the table in README.md; fail if it does not answer as the export.

    Compared are log-probabilities, since an engine may return those instead of logits. Every
    difference to the export must be below the tolerance, and the largest to the base well above
    the largest to the export.
    """
    ours, wanted, unwanted = (
        _log_softmax(rows)
        for rows in (
            logits,
            next_token_logits(export, asked),
            next_token_logits(base, asked),
        )
    )
    to_export = float(np.abs(ours - wanted).max())
    to_base = float(np.abs(ours - unwanted).max())
    same = int((ours.argmax(axis=1) == wanted.argmax(axis=1)).sum())
    print(
        f"| `{Path(sys.argv[0]).name}` | {engine} | {export.name} | {to_export:.1g} | "
        f"{to_base:.1f} | {same} of {len(wanted)} |"
    )
    if to_export > tolerance or to_base < 10 * to_export or same < len(wanted):
        raise SystemExit(f"{engine} does not compute what the export does.")


def _log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
