"""A push, with the real client, against a Hub on loopback."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import pytest
from exports import export
from hub_server import READ_TOKEN, TOKEN, Fault, HubServer
from hub_store import Commit, Repository
from results import CONFIRMED, TASK

from talo_export.checkpoint.manifest import MANIFEST
from talo_export.errors import ProofError, TaloError, UsageError
from talo_export.publish.push import Terms, push
from talo_export.publish.subject import HERE

REPO = "owner/tiny-maps"
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="session")
def exported(language_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A confirmed export of the tiny language model. Read only."""
    return export(language_model, tmp_path_factory.mktemp("export") / "out")


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The client's waits between tries, noted instead of slept."""
    waits: list[float] = []
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", waits.append)
    return waits


def nothing_was_sent(hub: HubServer, repo_id: str = REPO) -> bool:
    writes = ("repos/create", "preupload", "commit", "branch", "_upload", "objects/batch")
    return not any(hub.count(method, path) for method in ("POST", "PUT") for path in writes)


def test_a_push_leaves_the_repository_with_the_directory_s_bytes(
    hub: HubServer, exported: Path
) -> None:
    result = push(exported, REPO, progress=False)
    there = hub.files(REPO)
    for name in (WEIGHTS, "config.json", "tokenizer.json"):
        assert there[name] == (exported / name).read_bytes()
    assert set(there) == {*result.files, ".gitattributes"}
    assert result.verified == len(result.files)
    assert result.commit == hub.store.repositories[REPO].refs["main"]
    assert result.url == f"{hub.url}/{REPO}"


def test_the_card_that_is_sent_names_the_repository(hub: HubServer, exported: Path) -> None:
    push(exported, REPO, progress=False)
    card = hub.files(REPO)["README.md"].decode()
    assert f'from_pretrained("{REPO}"' in card
    assert HERE not in card
    assert HERE in (exported / "README.md").read_text(encoding="utf-8")


def test_the_manifest_that_is_sent_has_no_path_of_this_machine(
    hub: HubServer, exported: Path, language_model: Path
) -> None:
    push(exported, REPO, progress=False)
    manifest = json.loads(hub.files(REPO)["talo_export.json"])
    assert manifest["base"] == language_model.name
    assert str(language_model.parent) not in json.dumps(manifest)


def test_results_of_a_task_that_is_no_hub_data_set_stay_at_home(
    hub: HubServer, language_model: Path, tmp_path: Path
) -> None:
    task = replace(TASK, task="mine", task_source="mine.jsonl")
    local = export(language_model, tmp_path / "local", task=task)
    assert (local / ".eval_results" / "mine.yaml").is_file()
    push(local, REPO, progress=False)
    assert not any(path.startswith(".eval_results") for path in hub.files(REPO))
    assert ".eval_results/mine.yaml" not in json.loads(hub.files(REPO)["talo_export.json"])["added"]


def test_results_on_a_hub_data_set_are_sent(hub: HubServer, exported: Path) -> None:
    push(exported, REPO, progress=False)
    assert ".eval_results/maps.yaml" in hub.files(REPO)


def test_a_private_push_makes_a_private_repository(hub: HubServer, exported: Path) -> None:
    push(exported, REPO, Terms(private=True), progress=False)
    assert hub.store.repositories[REPO].private


def test_a_revision_is_a_branch_and_main_stays(hub: HubServer, exported: Path) -> None:
    result = push(exported, REPO, Terms(revision="maps"), progress=False)
    assert set(hub.files(REPO)) == {".gitattributes"}
    assert WEIGHTS in hub.files(REPO, "maps")
    assert result.revision == "maps"


def test_a_pull_request_leaves_main_as_it_was(hub: HubServer, exported: Path) -> None:
    hub.store.create(REPO)
    result = push(exported, REPO, Terms(create_pr=True), progress=False)
    assert set(hub.files(REPO)) == {".gitattributes"}
    assert WEIGHTS in hub.files(REPO, "refs/pr/1")
    assert result.pull_request == f"{hub.url}/{REPO}/discussions/1"
    assert result.revision == "refs/pr/1"


def test_pushing_again_sends_no_weights_and_makes_no_commit(hub: HubServer, exported: Path) -> None:
    first = push(exported, REPO, progress=False)
    uploads = hub.count("PUT", "_upload")
    second = push(exported, REPO, progress=False)
    assert second.commit == first.commit
    assert hub.count("PUT", "_upload") == uploads


def test_a_new_export_of_the_same_knockout_replaces_the_old_one(
    hub: HubServer, exported: Path, language_model: Path, tmp_path: Path
) -> None:
    push(exported, REPO, progress=False)
    better = export(language_model, tmp_path / "again", confirmation=replace(CONFIRMED, n=400))
    push(better, REPO, progress=False)
    assert b"On 400 items never probed" in hub.files(REPO)["README.md"]


def test_files_of_an_earlier_export_that_are_gone_are_removed(
    hub: HubServer, exported: Path, language_model: Path, tmp_path: Path
) -> None:
    push(exported, REPO, progress=False)
    without = export(language_model, tmp_path / "bare", confirmation=None)
    push(without, REPO, Terms(allow_unconfirmed=True), progress=False)
    assert ".eval_results/maps.yaml" not in hub.files(REPO)


def test_a_dry_run_names_every_file_and_sends_nothing(hub: HubServer, exported: Path) -> None:
    result = push(exported, REPO, Terms(dry_run=True), progress=False)
    assert nothing_was_sent(hub)
    assert result.commit is None
    assert result.files[WEIGHTS] == (exported / WEIGHTS).stat().st_size
    assert hub.count("POST", "validate-yaml") == 1


def test_the_snippet_has_three_lines_that_load_the_repository(
    hub: HubServer, exported: Path
) -> None:
    result = push(exported, REPO, Terms(dry_run=True), progress=False)
    assert len(result.snippet.splitlines()) == 3
    assert f'AutoModelForCausalLM.from_pretrained("{REPO}"' in result.snippet


# What is refused, each before anything is sent.


def refused(hub: HubServer, directory: Path, *, says: str, **options: object) -> str:
    with pytest.raises(TaloError, match=says) as caught:
        push(directory, REPO, Terms(**options), progress=False)  # type: ignore[arg-type]
    assert nothing_was_sent(hub)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("repo_id", ["name", "a/b/c", "owner/", "owner/na me", "../x"])
def test_a_name_that_is_no_repository_is_a_usage_error(exported: Path, repo_id: str) -> None:
    with pytest.raises(UsageError, match="OWNER/NAME"):
        push(exported, repo_id)


def test_a_directory_that_is_no_export_is_refused(hub: HubServer, language_model: Path) -> None:
    refused(hub, language_model, says=r"has no talo_export.json")


def test_a_directory_that_was_changed_is_refused(
    hub: HubServer, exported: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(exported, changed)
    with (changed / WEIGHTS).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    refused(hub, changed, says=WEIGHTS)


def test_a_verdict_that_its_numbers_contradict_is_never_pushed(
    hub: HubServer, language_model: Path, tmp_path: Path
) -> None:
    lie = replace(CONFIRMED, ci95=(-0.02, 0.12))
    directory = export(language_model, tmp_path / "out", confirmation=lie)
    refused(hub, directory, allow_unconfirmed=True, says="its verdict is 'confirmed' where")


@pytest.mark.parametrize(
    ("confirmation", "says"),
    [
        (None, "no accuracy was measured"),
        (replace(CONFIRMED, verdict="unconfirmed", ci95=(-0.02, 0.12)), "is unconfirmed: .5.0"),
        (
            replace(CONFIRMED, verdict="harmful", accuracy=0.51, gain=-0.05, ci95=(-0.09, -0.01)),
            "is harmful: .5.0 points on 180",
        ),
    ],
)
def test_an_unconfirmed_knockout_is_refused_unless_asked_for(
    hub: HubServer, language_model: Path, tmp_path: Path, confirmation: object, says: str
) -> None:
    directory = export(language_model, tmp_path / "out", confirmation=confirmation)  # type: ignore[arg-type]
    assert "--allow-unconfirmed" in refused(hub, directory, says=says)
    push(directory, REPO, Terms(allow_unconfirmed=True), progress=False)
    assert WEIGHTS in hub.files(REPO)


def test_a_dry_run_needs_no_token_and_says_what_it_could_not_ask(
    hub: HubServer, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    hub.store.create("owner/hidden", private=True)
    for repo_id in (REPO, "owner/hidden"):
        result = push(exported, repo_id, Terms(dry_run=True), progress=False)
        assert result.files[WEIGHTS] == (exported / WEIGHTS).stat().st_size
        assert f"no token, so nobody asked whether {repo_id} may be written" in result.warnings[0]
    hub.store.publish(REPO, {"pytorch_model.bin": b"x"})
    refused(hub, exported, dry_run=True, says="already holds something else")


def test_a_dry_run_without_a_token_does_not_pass_on_a_gated_base(
    hub: HubServer, language_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    hub.store.create("someone/base", gated=True)
    directory = export(language_model, tmp_path / "out", hub_id="someone/base")
    refused(hub, directory, dry_run=True, says="someone/base is gated")


def test_no_token_is_refused(
    hub: HubServer, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    refused(hub, exported, says="There is no token .*hf auth login")


def test_a_token_the_hub_does_not_know_is_refused(
    hub: HubServer, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_someoneElsesToken0123456789")
    told = refused(hub, exported, says="does not accept the token")
    assert "hf_someone" not in told


def test_a_token_that_may_only_read_is_refused(
    hub: HubServer, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", READ_TOKEN)
    refused(hub, exported, says="may only read")


def test_somebody_else_s_name_is_refused_without_weights(hub: HubServer, exported: Path) -> None:
    with pytest.raises(TaloError, match="may not write to someone/tiny"):
        push(exported, "someone/tiny", progress=False)
    assert hub.received == {}


def test_a_repository_with_other_content_is_refused(hub: HubServer, exported: Path) -> None:
    hub.store.publish(REPO, {"pytorch_model.bin": b"x", "README.md": b"# Mine\n"})
    refused(hub, exported, says="already holds something else .*pytorch_model.bin")


def test_a_repository_with_another_knockout_is_refused(
    hub: HubServer, exported: Path, language_model: Path, tmp_path: Path
) -> None:
    other = {"base": "other", "knockout": {"layer": 0}, "task": {"task": "maps"}}
    hub.store.publish(REPO, {"talo_export.json": json.dumps(other).encode()})
    refused(hub, exported, says="already holds something else")


def test_private_does_not_hide_a_public_repository(hub: HubServer, exported: Path) -> None:
    hub.store.create(REPO)
    refused(hub, exported, says="exists and is public", private=True)


def test_an_edited_card_is_refused_and_of_an_earlier_version_checked_by_the_hub(
    hub: HubServer, exported: Path, tmp_path: Path
) -> None:
    edited = tmp_path / "edited"
    shutil.copytree(exported, edited)
    card = (edited / "README.md").read_text(encoding="utf-8")
    (edited / "README.md").write_text(card.replace("---\n", "---\nlicense: My Own\n", 1))
    refused(hub, edited, says=r"not what talo-export wrote \(README\.md\)")
    manifest = json.loads((edited / MANIFEST).read_bytes())
    del manifest["added_sha256"]
    (edited / MANIFEST).write_text(json.dumps(manifest))
    refused(hub, edited, says="does not accept the card's metadata.*license")


def test_a_gated_base_is_not_made_public_unless_its_terms_allow_it(
    hub: HubServer, language_model: Path, tmp_path: Path
) -> None:
    hub.store.create("someone/base", gated=True)
    directory = export(language_model, tmp_path / "out", hub_id="someone/base")
    refused(hub, directory, says="someone/base is gated.*--accept-base-terms")
    push(directory, REPO, Terms(accept_base_terms=True), progress=False)
    push(directory, "owner/hidden", Terms(private=True), progress=False)
    assert WEIGHTS in hub.files(REPO)


def test_a_base_without_derivatives_is_not_made_public(
    hub: HubServer, language_model: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(language_model, base)
    (base / "README.md").write_text("---\nlicense: cc-by-nc-nd-4.0\n---\n# Base\n")
    refused(hub, export(base, tmp_path / "out"), says="allows no modified copies")


def test_an_unknown_licence_is_a_warning(hub: HubServer, exported: Path) -> None:
    (warning,) = push(exported, REPO, Terms(dry_run=True), progress=False).warnings
    assert "states no licence" in warning


def test_no_network_is_one_sentence(
    hub: HubServer,
    exported: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_waiting: list[float],
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    refused(hub, exported, says="http://127.0.0.1:9 could not be reached while checking")


def test_offline_mode_is_one_sentence(
    hub: HubServer, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused(hub, exported, says="HF_HUB_OFFLINE is set")


# What breaks on the way.


def test_a_rate_limit_is_waited_out_as_the_server_asks(
    hub: HubServer, exported: Path, no_waiting: list[float]
) -> None:
    hub.faults.append(Fault("POST", "preupload", 429, times=2, headers={"Retry-After": "7"}))
    push(exported, REPO, progress=False)
    assert [wait for wait in no_waiting if wait >= 7] == [8.0, 8.0]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "whoami"),
        ("GET", f"/api/models/{REPO}"),
        ("POST", "validate-yaml"),
        ("POST", "repos/create"),
        ("POST", "/branch/"),
        ("POST", "preupload"),
        ("POST", "objects/batch"),
        ("POST", "/commit/"),
        ("GET", "/tree/"),
    ],
)
def test_a_rate_limit_is_waited_out_wherever_it_strikes(
    hub: HubServer, exported: Path, no_waiting: list[float], method: str, path: str
) -> None:
    hub.faults.append(Fault(method, path, 429, times=2, headers={"Retry-After": "30"}))
    result = push(exported, REPO, Terms(revision="maps"), progress=False)
    assert [wait for wait in no_waiting if wait >= 30] == [31.0, 31.0]
    assert result.verified == len(result.files)


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "a date"},
        {"RateLimit": '"api";r=0;t=90'},
    ],
    ids=["date", "window"],
)
def test_the_time_to_wait_is_read_however_the_hub_writes_it(
    hub: HubServer, exported: Path, no_waiting: list[float], headers: dict[str, str]
) -> None:
    if "Retry-After" in headers:
        later = datetime.now(timezone.utc) + timedelta(seconds=90)
        headers = {"Retry-After": format_datetime(later)}
    hub.faults.append(Fault("POST", "repos/create", 429, headers=headers))
    push(exported, REPO, progress=False)
    assert 1 < max(no_waiting) <= 91


@pytest.mark.parametrize("path", ["repos/create", "preupload"])
def test_a_wait_of_hours_is_left_to_the_user(
    hub: HubServer, exported: Path, no_waiting: list[float], path: str
) -> None:
    hub.faults.append(Fault("POST", path, 429, headers={"Retry-After": "7200"}))
    with pytest.raises(TaloError, match="run the same command in 7200 seconds"):
        push(exported, REPO, progress=False)
    assert no_waiting == []


def test_a_rate_limit_without_an_end_is_not_waited_for_for_ever(
    hub: HubServer, exported: Path, no_waiting: list[float]
) -> None:
    hub.faults.append(Fault("POST", "repos/create", 429, times=99))
    with pytest.raises(TaloError, match="limits the rate of requests: run the same command later"):
        push(exported, REPO, progress=False)
    assert len(no_waiting) == 5
    assert sum(no_waiting) < 300


@pytest.mark.parametrize(
    "fault",
    [Fault("PUT", "_upload", 500), Fault("PUT", "_upload", after_bytes=5000)],
    ids=["500", "dropped"],
)
def test_one_failure_in_mid_upload_is_tried_again(
    hub: HubServer, exported: Path, no_waiting: list[float], fault: Fault
) -> None:
    hub.faults.append(replace(fault))
    result = push(exported, REPO, progress=False)
    assert result.verified == len(result.files)
    assert hub.count("PUT", "_upload") > len(hub.received)


def test_an_upload_that_fails_for_good_is_resumed_by_the_same_line(
    hub: HubServer, exported: Path, no_waiting: list[float]
) -> None:
    broken = Fault("POST", f"api/models/{REPO}/commit", 500, times=99)
    hub.faults.append(broken)
    with pytest.raises(TaloError, match=r"failed while uploading \(status 500\): run the same"):
        push(exported, REPO, progress=False)
    digest = hashlib.sha256((exported / WEIGHTS).read_bytes()).hexdigest()
    sent = hub.received[digest]
    broken.times = 0
    push(exported, REPO, progress=False)
    assert hub.received[digest] == sent
    assert WEIGHTS in hub.files(REPO)


@pytest.mark.parametrize("status", [409, 412])
def test_a_commit_in_between_is_tried_again(
    hub: HubServer, exported: Path, no_waiting: list[float], status: int
) -> None:
    hub.faults.append(Fault("POST", "/commit/", status, message="A commit has happened since."))
    result = push(exported, REPO, progress=False)
    assert result.verified == len(result.files)
    assert len(no_waiting) == 1


def test_a_commit_by_somebody_else_in_between_is_never_written_over(
    hub: HubServer,
    exported: Path,
    language_model: Path,
    tmp_path: Path,
    no_waiting: list[float],
) -> None:
    push(exported, REPO, progress=False)
    changed = export(language_model, tmp_path / "again", confirmation=replace(CONFIRMED, n=400))

    def somebody_else() -> None:
        files = {"theirs.bin": hub.store.add_blob(b"theirs")}
        hub.store.repositories[REPO].commit("main", files, "Mine")

    hub.before_commit = somebody_else
    with pytest.raises(TaloError, match=r"already holds something else \(theirs.bin"):
        push(changed, REPO, progress=False)
    assert set(hub.files(REPO)) == {"theirs.bin"}


def test_a_repository_that_never_rests_is_said(
    hub: HubServer, exported: Path, no_waiting: list[float]
) -> None:
    hub.faults.append(Fault("POST", "/commit/", 409, times=99, message="A commit has happened."))
    with pytest.raises(TaloError, match=r"changed by somebody else.*A commit has happened"):
        push(exported, REPO, progress=False)
    assert len(no_waiting) == 5


def test_a_second_try_opens_no_second_pull_request(
    hub: HubServer, exported: Path, no_waiting: list[float]
) -> None:
    repository = hub.store.create(REPO)
    busy = Fault("GET", "/tree/refs%2Fpr", 429)
    hub.faults.append(busy)
    push(exported, REPO, Terms(create_pr=True), progress=False)
    assert busy.times == 0
    assert repository.pull_requests == 1


def test_other_bytes_on_the_hub_than_were_sent_are_an_error(hub: HubServer, exported: Path) -> None:
    def tamper(repository: Repository, commit: Commit) -> None:
        files = {**commit.files, "config.json": hub.store.add_blob(b"{}")}
        repository.commits[commit.oid] = Commit(commit.oid, files, commit.title)

    hub.after_commit = tamper
    with pytest.raises(ProofError, match=r"does not hold what was sent \(config.json\)"):
        push(exported, REPO, progress=False)


def test_the_token_appears_nowhere(
    hub: HubServer,
    exported: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub.faults.append(Fault("POST", "repos/create", 403, message=f"Forbidden for {TOKEN}"))
    with caplog.at_level("INFO"), pytest.raises(TaloError) as caught:
        push(exported, REPO)
    result = push(exported, REPO)
    output = capfd.readouterr()
    seen = [str(caught.value), str(result.to_json()), output.out, output.err, caplog.text]
    seen += [content.decode("latin-1") for content in hub.files(REPO).values()]
    assert not any(TOKEN in text for text in seen)
