"""What `doctor` says of a machine."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from talo_export.publish.doctor import (
    HubFacts,
    PackageFacts,
    examine,
    findings,
    without_credentials,
)

HUB = HubFacts("https://huggingface.co", False, True, "/cache", 0, 0)
GOOD = (PackageFacts("torch", "2.13.0", True),)
PLENTY = 10**11
DISK = (("the Hub cache", PLENTY),)


def test_this_machine_is_described_and_can_run_the_package() -> None:
    facts = examine()
    versions = {package.name: package.version for package in facts.packages}
    assert facts.devices[0].name == "cpu"
    assert "float32" in facts.devices[0].dtypes
    assert None not in [package.version for package in facts.packages if package.required]
    assert {"torch", "transformers", "typer", "peft"} <= versions.keys()
    assert facts.memory_bytes > facts.memory_available_bytes > 0
    assert facts.ok
    assert json.loads(json.dumps(facts.to_json()))["ok"] is True


def test_a_token_is_there_or_not_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecretsecret")
    facts = examine()
    assert facts.hub.token
    assert "hf_secret" not in json.dumps(facts.to_json())


def test_a_good_machine_has_no_findings() -> None:
    assert findings(GOOD, HUB, PLENTY, DISK, cuda="works") == ()


def test_a_missing_requirement_is_serious_and_says_what_to_install() -> None:
    missing = (PackageFacts("peft", None, True, install="pip install talo-export"),)
    (finding,) = findings(missing, HUB, PLENTY, DISK, cuda="none")
    assert finding.serious
    assert (finding.what, finding.do) == ("peft is not installed", "pip install talo-export")


def test_what_only_gets_in_the_way_is_not_serious() -> None:
    found = findings(
        (PackageFacts("hf-xet", None, False),),
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
