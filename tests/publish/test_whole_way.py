"""From a base on the Hub to a stranger who loads the result, by the commands alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_server import TOKEN, HubServer, fresh_environment
from huggingface_hub import ModelCard
from planted_case import PLANTED, STOCK_CHOICE, Planted, plant, plant_two_tasks, talo_export
from transformers import AutoModelForCausalLM

from talo_export.checkpoint.verify import verify_files
from talo_export.commands import push
from talo_export.commands.probe_tasks import run_probes
from talo_export.errors import TaloError
from talo_export.reporting import SILENT
from talo_export.requests.checkpoints import PushRequest
from talo_export.requests.measurements import ProbeRequest

OPTIONS = ("--scoring", "likelihood", "--criterion", "accuracy", "--shots", 30)

STRANGER = f"""{STOCK_CHOICE}
tokenizer = AutoTokenizer.from_pretrained("owner/planted")
rows = [json.loads(line) for line in open(sys.argv[1])]
for loading in sys.argv[2:]:
    names = {{}}
    exec(loading, names)  # what a push printed last
    print(json.dumps({{row["id"]: "ABCD"[choice(names["model"], tokenizer, row)] for row in rows}}))
assert "talo_export" not in sys.modules
"""


@dataclass(frozen=True)
class Published:
    """A run on a Hub base at a revision, and the machine it was made on."""

    hub: HubServer
    planted: Planted
    folder: Path
    commit: str

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def command(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """One of our commands, as the owner of the token runs it here."""
        env = fresh_environment(self.hub, self.folder / "home", HF_TOKEN=TOKEN)
        return talo_export(*arguments, cwd=self.folder, env=env)

    def stranger(self, *loading: str, home: Path) -> list[dict[str, str]]:
        """The answers of somebody elsewhere, no token, nothing cached, after each loading."""
        done = subprocess.run(
            [sys.executable, "-c", STRANGER, str(self.planted.task), *loading],
            cwd=self.folder,
            env=fresh_environment(self.hub, home),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Knocking out one layer makes nine answers in ten right."""
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture
def published(hub: HubServer, planted: Planted, tmp_path: Path) -> Published:
    """`someone/base` on the Hub: the planted model at `v1`, something else on main."""
    files = {path.name: path.read_bytes() for path in planted.model.iterdir()}
    repository = hub.store.publish("someone/base", files)
    commit = repository.refs["v1"] = repository.refs["main"]
    repository.commit("main", {"README.md": hub.store.add_blob(b"# Emptied\n")}, "newer")
    return Published(hub, planted, tmp_path, commit)


def accuracy(answers: dict[str, str], planted: Planted, probed: list[str]) -> float:
    rows = [json.loads(line) for line in planted.task.read_text().splitlines()]
    unseen = [row for row in rows if row["id"] not in probed]
    return sum(answers[row["id"]] == row["answer"] for row in unseen) / len(unseen)


def test_a_stranger_gets_the_accuracy_that_the_card_states(
    published: Published, tmp_path: Path
) -> None:
    hub, planted = published.hub, published.planted
    probed = published.command(
        "probe", "--model", "someone/base@v1", "--task", planted.task, *OPTIONS,
        "--out", published.run, "--json",
    )  # fmt: skip
    assert probed.returncode == 0, probed.stderr
    found = json.loads(probed.stdout)
    assert (found["revision"], found["selected_layer"]) == (published.commit, PLANTED)
    assert found["confirm"]["verdict"] == "confirmed"

    pushed = published.command("push", published.run, "owner/planted")
    assert pushed.returncode == 0, pushed.stderr
    *_, address, _, first, second, third = pushed.stdout.splitlines()
    assert address == f"{hub.url}/owner/planted"
    assert TOKEN not in pushed.stdout + pushed.stderr

    # The same run as an adapter of a few kilobytes, on the base at the revision that was probed.
    request = PushRequest(published.run, "owner/adapter", form="adapter")
    adapter = push.run(request)
    assert adapter.files["adapter_model.safetensors"] < 10_000

    answers, answers_of_adapter = published.stranger(
        "\n".join((first, second, third)), adapter.snippet, home=tmp_path / "elsewhere"
    )
    card = ModelCard(hub.files("owner/planted")["README.md"].decode())
    (result,) = card.data.eval_results
    assert accuracy(answers, planted, found["probe"]["ids"]) == pytest.approx(
        result.metric_value, abs=1e-6
    )
    assert answers_of_adapter == answers
    assert card.data.base_model == "someone/base"
    assert f"at revision `{published.commit}`" in card.text
    manifest = json.loads(hub.files("owner/planted")["talo_export.json"])
    assert (manifest["base"], manifest["revision"]) == ("someone/base", published.commit)
    edited = {edit["file"] for edit in manifest["edits"]}
    assert edited == set(re.findall(r"^- `(\S+)`: `[0-9a-f]{64}`$", card.text, re.MULTILINE))
    assert str(tmp_path) not in str(hub.files("owner/planted"))


@pytest.fixture
def runs(published: Published, tmp_path: Path) -> Path:
    """Two tasks probed on the base, each with its run: one confirmed, one not."""
    tasks = plant_two_tasks(published.planted, tmp_path / "tasks.jsonl")
    request = ProbeRequest(
        model="someone/base@v1",
        task=f"{tasks}:*",
        out=tmp_path / "runs",
        shots=30,
        scoring="likelihood",
        criterion="accuracy",
        min_gain=-1.0,
    )
    rows = {row.task: row.verdict for row in run_probes(request, SILENT).tasks}
    assert rows["tasks/planted"] == "confirmed"
    assert rows["tasks/other"] == "unconfirmed"
    return tmp_path / "runs"


def planted_run(runs: Path) -> Path:
    (run,) = (path for path in runs.iterdir() if path.name.endswith("planted"))
    return run


def the_card_says_what_the_knockout_does_to_the_other_task(run: Path) -> None:
    card = (run / "checkpoint" / "README.md").read_text(encoding="utf-8")
    section = card.split("## What got worse")[1].split("\n## ")[0]
    assert "The same knockout on 1 other task" in section
    (row,) = (line for line in section.splitlines() if line.startswith("| tasks/other"))
    result = json.loads((run / "manifest.json").read_text())["result"]
    effects = result["side_effects"]["tasks"]["tasks/other"]
    assert f"| {effects['n']} | {100 * effects['base_accuracy']:.1f} %" in row
    assert effects["n"] >= 30
    manifest = json.loads((run / "checkpoint" / "talo_export.json").read_text())
    assert manifest["side_effects"]["tasks"]["tasks/other"] == effects
    assert verify_files(run / "checkpoint").ok


def test_many_tasks_go_into_one_repository_with_a_table(
    published: Published, runs: Path, tmp_path: Path
) -> None:
    hub = published.hub
    the_card_says_what_the_knockout_does_to_the_other_task(planted_run(runs))

    # The confirmed one alone, and why the other stays at home.
    request = PushRequest(runs, "owner/many", collection=True)
    alone = push.run(request)
    assert "other is left out" in " ".join(alone.warnings)
    assert "is unconfirmed" in " ".join(alone.warnings)
    folders = {name.split("/")[0] for name in alone.files if "/" in name}
    assert folders == {"tasks-planted"}

    both = push.run(replace(request, allow_unconfirmed=True))
    card = ModelCard(hub.files("owner/many")["README.md"].decode())
    rows = [line for line in card.text.splitlines() if line.startswith("| tasks/")]
    assert [row.split(" | ")[0] for row in rows] == ["| tasks/other", "| tasks/planted"]
    assert {result.dataset_name for result in card.data.eval_results} == {
        "tasks/other", "tasks/planted",
    }  # fmt: skip
    assert (card.data.base_model, card.data["base_model_relation"]) == ("someone/base", "adapter")
    assert both.verified == len(both.files)
    assert "1 of the 2 gains below are confirmed" in card.text

    # What the card says to do: the first adapter, then the second beside it, switched to.
    code = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)
    loading = code[0].split("messages =")[0] + code[1] + 'model.set_adapter("tasks-planted")'
    names: dict[str, Any] = {}
    exec(loading, names)
    ids = torch.tensor([[1, 9, 12, 14]])
    with torch.inference_mode():
        found = names["model"](ids).logits
        exported = AutoModelForCausalLM.from_pretrained(planted_run(runs) / "checkpoint")
        assert torch.equal(found, exported(ids).logits)

    # A push that would take adapters away is refused.
    with pytest.raises(TaloError, match="also holds adapters for tasks-other, which would be"):
        push.run(request)
