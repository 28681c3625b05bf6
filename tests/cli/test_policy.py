"""A landing zone's policy through the command line: rules that allow and deny, checks that block, and cases that prove a policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner.domain.run import Status
from tests.estate import Estate

LOOKS = """#!/bin/sh
# fails while a marker says so; keeps what it was shown
cp "$1" "{kept}"
if [ -e "{marker}" ]; then echo '{{"summary": "not today", "findings": ["the marker is there"]}}'; exit 1; fi
echo '{{"summary": "fine", "monthlyCost": 12.5, "currency": "EUR"}}'
"""


def policy(estate: Estate, rules: list[dict[str, Any]], *, checks: bool = False) -> None:
    given = {"policy": "always", "rules": rules, "checks": [{"name": "looks", "blocks": True}] if checks else []}
    estate.edit("LandingZone", lambda zone: zone["spec"].update(approval=given))


def rule(name: str, when: str, then: str, message: str = "") -> dict[str, Any]:
    return {"name": name, "when": when, "then": then, "message": message}


def test_a_check_blocks_a_rule_denies_and_another_allows(estate: Estate) -> None:
    checks = estate.directory / "checks"
    checks.mkdir()
    marker, kept = estate.directory / "marker", estate.directory / "seen.json"
    (checks / "looks").write_text(LOOKS.format(marker=marker, kept=kept), encoding="utf-8")
    (checks / "looks").chmod(0o755)
    frozen = rule("freeze", 'tags.costCenter == "4711"', "deny", "No changes for 4711 before the audit.")
    cheap = rule("cheap", 'checks.looks == "passed" && cost.known && cost.monthly < 20 && counts.destroy == 0', "allow")
    policy(estate, [frozen, cheap], checks=True)

    marker.touch()
    shown = estate.lzr("plan", "documents", LZR_CHECKS=checks, code=6).stdout
    assert "looks failed and blocks   not today" in shown
    assert "the marker is there" in shown
    assert "rule freeze   No changes for 4711 before the audit." in shown
    assert "Nobody may approve this." in shown
    plan = json.loads(kept.read_text(encoding="utf-8"))
    assert plan["format_version"].startswith("1.")
    assert len(plan["resource_changes"]) > 3
    (blocked,) = estate.runs()
    refused = estate.lzr("approve", blocked.id, code=3).stderr
    assert "A check blocks this plan" in refused
    assert "looks failed" in refused

    marker.unlink()
    denied = estate.lzr("reconcile", "documents", "--json", LZR_CHECKS=checks, code=6).run
    assert denied["review"]["verdict"]["rule"] == "freeze"
    assert "No changes for 4711" in estate.lzr("approve", denied["id"], code=3).stderr
    assert "check looks" in estate.lzr("run", denied["id"]).stdout

    estate.edit("Tenant", lambda tenant: tenant["spec"]["projectTags"].update(costCenter=["0815"]))
    allowed = estate.lzr("reconcile", "documents", "--json", LZR_CHECKS=checks).run
    assert allowed["status"] == Status.APPLIED
    assert [approval["by"] for approval in allowed["approvals"]] == ["policy:corp-online/cheap"]
    assert estate.lzr("reconcile", "documents", "--json").run["status"] == Status.UNCHANGED  # nothing to check


def test_an_expression_that_cannot_be_evaluated_asks_a_person_and_says_why(estate: Estate) -> None:
    policy(estate, [rule("production", 'tags.environment == "production"', "deny"), rule("rest", "true", "allow")])
    planned = estate.lzr("plan", "documents", "--json", code=6).run
    assert planned["review"]["verdict"]["then"] == "ask"
    (warning,) = [one for one in planned["warnings"] if one["code"] == "rule-not-evaluated"]
    assert warning["text"] == "The rule production could not be evaluated: there is no 'environment'."
    estate.lzr("approve", planned["id"])
