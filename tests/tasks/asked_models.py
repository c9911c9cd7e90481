"""Tiny models on disk to ask the command line's questions with, and the command itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from probe_models import loaded_llama, loaded_llava
from typer.testing import CliRunner, Result

from talo_export.cli.app import app


def saved_llava(folder: Path) -> Path:
    """A random vision-language model with its processor and chat template."""
    loaded = loaded_llava()
    loaded.model.save_pretrained(folder)
    loaded.processor.save_pretrained(folder)
    return folder


def saved_llama(folder: Path) -> Path:
    """A random language model with a chat template."""
    loaded = loaded_llama(max_position_embeddings=2048)
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return folder


def run(*arguments: object) -> Result:
    """The command with these words, in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def document(*arguments: object, status: int = 0) -> dict[str, Any]:
    """What the command prints with --json."""
    result = run(*arguments, "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def refusal(*arguments: object) -> str:
    """The sentence of a command that was used wrongly."""
    result = run(*arguments, "--quiet")
    assert result.exit_code == 2, result.output
    # In one process with other tests, libraries may have written before.
    said = result.stderr.strip().splitlines()[-1]
    assert said.startswith("error: ")
    return said
