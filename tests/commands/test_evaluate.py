"""What `evaluate` says beside the accuracy."""

from __future__ import annotations

import json
from pathlib import Path

from probe_models import loaded_llama
from tiny_models import byte_tokenizer
from typer.testing import CliRunner

from talo_export.cli.app import app

THINKS = "{% for turn in messages %}{{ turn.content }}\n{% endfor %}<think>\n"


def test_a_budget_that_ends_in_the_thoughts_gives_the_hint_in_every_mode(tmp_path: Path) -> None:
    loaded = loaded_llama(2, byte_tokenizer(THINKS))
    loaded.model.save_pretrained(tmp_path / "model")
    loaded.tokenizer.save_pretrained(tmp_path / "model")
    rows = [{"question": f"{n}?", "choices": ["a", "b"], "answer": "AB"[n % 2]} for n in range(4)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for mode in ([], ["--json"], ["--quiet"]):
        line = ["evaluate", "--model", tmp_path / "model", "--task", tmp_path / "t.jsonl", "--out"]
        done = CliRunner().invoke(app, [*map(str, line), str(tmp_path / "answers"), *mode])
        assert done.exit_code == 0
        assert (
            "warning: Nothing could be read in 4 of 4 answers of t: give the model more room with "
            "--max-new-tokens"
        ) in done.stderr
