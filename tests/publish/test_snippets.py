"""The code on the card runs as it stands, in a process that knows nothing of talo_export."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peft import IA3Config, get_peft_model
from publish_models import save_tiny_language_model, save_tiny_vlm
from results import subject
from transformers import AutoModelForCausalLM

from talo_export.publish.base_card import BaseCard
from talo_export.publish.snippets import engines, loading_snippet, short_snippet
from talo_export.publish.subject import BASE, HERE, Subject
from talo_export.runs.record import BaseRecord


def shown(*, vlm: bool = False, template: bool = True, **changes: Any) -> Subject:
    """A layer of a tiny model, named by hand."""
    return subject(
        base=BaseCard(name="tiny"),
        model=BaseRecord(vlm=vlm, layers=3, architecture=None, chat_template=template),
        task=None,
        example_question='which way is "north" ?',
        **changes,
    )


def save_adapter(base: Path, directory: Path) -> Path:
    model = AutoModelForCausalLM.from_pretrained(base)
    config = IA3Config(
        task_type="CAUSAL_LM", target_modules=["layers.1.self_attn.o_proj"], feedforward_modules=[]
    )
    get_peft_model(model, config).save_pretrained(directory)
    return directory


def test_every_snippet_runs_in_a_fresh_process(
    vlm: Path, language_model: Path, picture: Path, tmp_path: Path
) -> None:
    adapter = save_adapter(language_model, tmp_path / "adapter")
    plain = save_tiny_language_model(tmp_path / "plain", chat=False)
    plain_vlm = save_tiny_vlm(tmp_path / "plain_vlm", chat=False)
    kinds = {
        "vlm": shown(vlm=True, repo_id=str(vlm)),
        "vlm_without_template": shown(vlm=True, template=False, repo_id=str(plain_vlm)),
        "text": shown(repo_id=str(language_model)),
        "text_without_template": shown(template=False, repo_id=str(plain)),
        "adapter": shown(storage="adapter", repo_id=str(adapter)),
    }
    scripts = []
    for name, kind in kinds.items():
        script = tmp_path / f"{name}.py"
        script.write_text(loading_snippet(kind).replace(BASE, str(language_model)))
        scripts.append(str(script))
    # One process for all of them: each still runs alone, in its own namespace.
    runner = (
        "import runpy, sys\n"
        "for script in sys.argv[1:]:\n"
        "    runpy.run_path(script)\n"
        "    print('ran', script)\n"
        "assert 'talo_export' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", runner, *scripts],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ran ") == len(kinds)


@pytest.mark.parametrize("is_vlm", [True, False])
def test_the_short_snippet_is_three_lines_naming_class_and_repository(is_vlm: bool) -> None:
    auto = "AutoModelForImageTextToText" if is_vlm else "AutoModelForCausalLM"
    code = short_snippet("owner/name", auto_class=auto)
    assert len(code.splitlines()) == 3
    assert f'{auto}.from_pretrained("owner/name"' in code


def test_engines_are_called_on_a_directory_that_is_here_without_downloading_it() -> None:
    code = "\n".join(engine.code for engine in engines(shown(vlm=True)))
    assert "hf download" not in code
    assert f"convert_hf_to_gguf.py {HERE} " in code
    there = "\n".join(engine.code for engine in engines(shown(vlm=True, repo_id="owner/name")))
    assert "hf download owner/name --local-dir model" in there
    assert "convert_hf_to_gguf.py model " in there


def test_a_language_model_is_not_asked_about_a_picture() -> None:
    pictured, alone = (replace(shown(vlm=vlm), example_question=None) for vlm in (True, False))
    assert "What is shown here?" in loading_snippet(pictured)
    assert "shown" not in loading_snippet(alone)
    assert all("shown" not in engine.code for engine in engines(alone))
