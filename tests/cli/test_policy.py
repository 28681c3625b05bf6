"""A landing zone's policy through the command line: rules that allow and deny, checks that block, and cases that prove a policy."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from runner import cli, settings, wiring
from runner.app.applying import apply_run
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
    assert "Nobody may approve this plan" in refused
    assert "The check looks blocks this: it failed. The rule freeze denies this: No changes for 4711" in refused

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

    policy(estate, [rule("people", "members.added.size() > 0", "ask"), rule("rest", "true", "allow")])
    file = estate.directory / "review.json"
    file.write_text(estate.lzr("review", planned["id"], "--json").stdout, encoding="utf-8")
    told = estate.lzr("policy", "test", "documents", "--review", file, "--run", planned["id"]).stdout
    assert told.count("ask by people; a person decides") == 2


def test_what_was_approved_before_a_freeze_is_not_applied_in_it(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins = datetime.now(UTC) + timedelta(hours=1)
    policy(estate, [rule("freeze", f'now > timestamp("{begins:%Y-%m-%dT%H:%M:%SZ}")', "deny", "Not in the freeze.")])
    planned = estate.lzr("plan", "documents", "--json", code=6).run
    estate.lzr("approve", planned["id"])

    for name, value in estate.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(estate.directory)
    with wiring.open_runner(settings.read()) as runner:
        ports = replace(runner.ports, now=lambda: begins + timedelta(minutes=1))
        ended = apply_run(planned["id"], ports, Event(), lambda _name, action: action())
    assert ended.status is Status.FAILED
    assert ended.failure is not None
    assert ended.failure.code == "policy-denies-now"
    assert ended.failure.detail == "The rule freeze denies this: Not in the freeze. It did not when the plan was made."
    assert not [call for call in estate.calls() if call.method in ("PUT", "PATCH", "DELETE")]


EXAMPLE = Path(__file__).parents[2] / "examples" / "policy"


def tried(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    assert cli.run(["policy", "test", *map(str, arguments)]) == code
    said = capsys.readouterr()
    return said.out + said.err


def test_the_examples_cases_are_as_expected(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(tried(capsys, EXAMPLE / "documents", "--cases", EXAMPLE / "cases.yaml", "--json"))
    assert (told["zone"], len(told["cases"])) == ("corp-online", 8)
    assert {(one["wrong"], len(one["unanswered"])) for one in told["cases"]} == {("", 0)}
    assert {one["then"] for one in told["cases"]} == {"ask", "allow", "deny", "policy"}


def cases(directory: Path, text: str) -> Path:
    file = directory / "cases.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_case_that_is_not_as_expected_is_told_and_fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = cases(
        tmp_path,
        """cases:
  - {name: right, given: {guests: [a@b.example]}, expect: policy}
  - {name: wrong answer, given: {guests: [a@b.example]}, expect: allow}
  - {name: wrong rule, expect: allow, rule: expensive}
""",
    )
    told = tried(capsys, EXAMPLE / "documents", "--cases", file, code=2)
    assert "✓ right   policy" in told
    assert "✗ wrong answer   policy; expected was allow" in told
    assert "✗ wrong rule   allow by harmless; expected was allow by expensive" in told


def test_what_is_wrong_with_cases_is_told_with_file_line_and_field(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wrong = {
        "given: {cuonts: {add: 1}}": "There is no variable cuonts.",
        "given: {counts: {adds: 1}}": "There is no adds there.",
        "given: {counts: {add: many}}": "A whole number belongs here.",
        "given: {changes: {block: tags}}": "A list belongs here.",
        "given: {changes: [{block: [tags]}]}": "A text belongs here.",
        "given: {drift: perhaps}": "True or false belongs here.",
        "given: {now: tomorrow}": "now is a moment with its time zone.",
        "given: {now: 2027-01-04T10:00:00}": "now is a moment with its time zone.",
        "given: {tags: [a]}": "A map belongs here.",
        "expects: ask": "There is no field",
    }
    for text, problem in wrong.items():
        told = tried(
            capsys,
            EXAMPLE / "documents",
            "--cases",
            cases(tmp_path, f"cases:\n  - {{name: a, expect: ask, {text}}}\n"),
            code=2,
        )
        assert problem in told, text
        assert "cases.yaml:2:" in told, text


def test_without_anything_to_try_or_with_a_zone_that_is_not_there_it_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "Give cases, reviews or runs" in tried(capsys, EXAMPLE / "documents", code=2)
    absent = tried(capsys, EXAMPLE / "documents", "--zone", "corp", "--cases", EXAMPLE / "cases.yaml", code=2)
    assert "--zone is one of corp-online." in absent
    assert "The cases cannot be read" in tried(capsys, EXAMPLE / "documents", "--cases", tmp_path / "absent", code=2)
    assert "The review cannot be read" in tried(
        capsys, EXAMPLE / "documents", "--review", cases(tmp_path, "{}"), code=2
    )
