"""Somebody else, on another machine, with nothing but the repository's name."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from exports import export
from hub_server import Fault, HubServer, fresh_environment
from transformers import AutoModelForCausalLM

from talo_export.commands import ask
from talo_export.errors import TaloError
from talo_export.models.reference import resolve
from talo_export.publish.push import push
from talo_export.requests.measurements import AskRequest

PROMPTS = [[1, 9, 12, 14], [1, 10, 13]]
ASK = f"""
import json, sys, torch
from transformers import AutoModelForCausalLM
model, report = AutoModelForCausalLM.from_pretrained(
    "owner/tiny", dtype="auto", output_loading_info=True
)
with torch.inference_mode():
    logits = [model(torch.tensor([ids])).logits[0, -1].tolist() for ids in {PROMPTS}]
keys = ("missing_keys", "unexpected_keys", "mismatched_keys")
assert "talo_export" not in sys.modules
print(json.dumps({{"logits": logits, "report": [len(report[key]) for key in keys]}}))
"""


def code_on_the_card(hub: HubServer, repo_id: str) -> str:
    card = hub.files(repo_id)["README.md"].decode()
    match = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert match is not None
    return match.group(1)


def run(hub: HubServer, home: Path, *scripts: str) -> list[str]:
    """Each script in turn in one new process that has never heard of talo_export."""
    home.mkdir()
    paths = []
    for index, script in enumerate(scripts):
        paths.append(home / f"script{index}.py")
        paths[-1].write_text(script)
    runner = "import runpy, sys\nfor path in sys.argv[1:]:\n    runpy.run_path(path)\n"
    done = subprocess.run(
        [sys.executable, "-c", runner, *map(str, paths)],
        cwd=home.parent,
        env=fresh_environment(hub, home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def last_logits(directory: Path) -> list[list[float]]:
    model = AutoModelForCausalLM.from_pretrained(directory, dtype="auto")
    with torch.inference_mode():
        return [model(torch.tensor([ids])).logits[0, -1].tolist() for ids in PROMPTS]


def test_a_fresh_process_loads_both_kinds_by_name_and_runs_the_card_s_code(
    hub: HubServer, language_model: Path, vlm: Path, picture: Path, tmp_path: Path
) -> None:
    exported = export(language_model, tmp_path / "text")
    push(exported, "owner/tiny", progress=False)
    push(export(vlm, tmp_path / "vlm", vlm=True), "owner/tiny-vlm", progress=False)
    # The first download breaks off in the middle; the client goes on from there.
    hub.faults.append(Fault("GET", "_content", after_bytes=10_000))
    cards = [code_on_the_card(hub, name) for name in ("owner/tiny", "owner/tiny-vlm")]
    answer, *printed = run(hub, tmp_path / "home", ASK, *cards)
    seen = json.loads(answer)
    assert seen["report"] == [0, 0, 0]
    assert seen["logits"] == last_logits(exported)
    assert seen["logits"] != last_logits(language_model)
    assert len(printed) == 2
    assert hub.faults[0].times == 0


def test_a_base_is_fetched_by_name_and_revision(
    hub: HubServer, language_model: Path, tmp_path: Path
) -> None:
    files = {file.name: file.read_bytes() for file in language_model.iterdir()}
    repository = hub.store.publish("someone/base", files)
    old = repository.refs["main"]
    repository.refs["v1"] = old
    newer = {**repository.commits[old].files, "extra.json": hub.store.add_blob(b"{}")}
    repository.commit("main", newer, "newer")
    found = resolve("someone/base@v1")
    assert found.name == "someone/base"
    assert found.revision == old
    assert (found.directory / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert not (found.directory / "extra.json").exists()
    assert (resolve("someone/base").directory / "extra.json").exists()


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("someone/nothing", "no model someone/nothing"),
        ("someone/base@v9", "no revision 'v9'"),
        ("someone/gated", "is gated: accept its terms"),
    ],
)
def test_a_base_that_cannot_be_had_is_one_sentence(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, reference: str, says: str
) -> None:
    hub.store.publish("someone/base", {"config.json": b"{}"})
    hub.store.publish("someone/gated", {"config.json": b"{}"}, gated=True)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(TaloError, match=says):
        resolve(reference)


def test_what_was_published_is_asked_by_its_name_as_the_directory_is(
    hub: HubServer, language_model: Path, tmp_path: Path
) -> None:
    exported = export(language_model, tmp_path / "text")
    push(exported, "owner/tiny", progress=False)
    question: dict[str, Any] = {
        "question": "Who?",
        "base": str(language_model),
        "max_new_tokens": 4,
    }
    by_name = ask.run(AskRequest("owner/tiny", **question))
    assert by_name.questions == ask.run(AskRequest(exported, **question)).questions
    with pytest.raises(TaloError, match="the Hub knows no model owner/none"):
        ask.run(AskRequest("owner/none", **question))
