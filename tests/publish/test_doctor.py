"""What `doctor` says of a machine."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from talo_export.publish.back_ends import package
from talo_export.publish.doctor import (
    HubFacts,
    PackageFacts,
    examine,
    findings,
    without_credentials,
)

HUB = HubFacts("https://huggingface.co", False, True, "/cache", 0, 0)
GOOD = (PackageFacts("torch", "2.13.0"),)
PLENTY = 10**11
DISK = (("the Hub cache", PLENTY),)


def test_this_machine_is_described_and_can_run_the_package() -> None:
    facts = examine()
    versions = {package.name: package.version for package in facts.packages}
    assert facts.devices[0].name == "cpu"
    assert "float32" in facts.devices[0].dtypes
    assert None not in versions.values()
    assert {"torch", "transformers", "typer", "peft"} <= versions.keys()
    assert facts.memory_bytes > facts.memory_available_bytes > 0
    assert facts.ok
    assert json.loads(json.dumps(facts.to_json()))["ok"] is True


def test_back_ends_work_or_say_what_to_install() -> None:
    found = {one.name: one for one in examine().back_ends}
    assert found["sdpa"].works
    assert found["gloo"].works
    assert found["gguf"].works  # an extra that these tests install
    for one in found.values():
        assert not (one.works and one.install)
    missing = package("a-name", "no_such_module_here", "nothing")
    assert (missing.works, missing.install) == (False, "pip install a-name")
    assert package("pytest", "pytest", "tests").works


def test_a_token_is_there_or_not_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecretsecret")
    facts = examine()
    assert facts.hub.token
    assert "hf_secret" not in json.dumps(facts.to_json())


def test_a_good_machine_has_no_findings() -> None:
    assert findings(GOOD, HUB, PLENTY, DISK, cuda="works") == ()


def test_a_missing_requirement_is_serious_and_says_what_to_install() -> None:
    missing = (PackageFacts("peft", None),)
    (finding,) = findings(missing, HUB, PLENTY, DISK, cuda="none")
    assert finding.serious
    assert (finding.what, finding.do) == ("peft is not installed", "pip install talo-export")


def test_what_only_gets_in_the_way_is_not_serious() -> None:
    found = findings(
        GOOD,
        replace(HUB, offline=True, token=False),
        10**8,
        (("the Hub cache", 10**8),),
        cuda="broken",
    )
    assert len(found) == 5
    assert not any(finding.serious for finding in found)


def test_credentials_in_an_endpoint_are_not_shown() -> None:
    shown = without_credentials("https://user:secret@hub.example:8443/hf?token=secret")
    assert shown == "https://hub.example:8443/hf"
