"""A person at a terminal is asked: what they, and others meanwhile, may answer, and what becomes of the other tenants."""

from __future__ import annotations

from runner.domain.run import Status
from tests.cli.terminal import at_terminal
from tests.estate import TENANT, Estate, eventually

QUESTION = "Approve and apply exactly this?"
GROUP = "rg-network-checkout-dev"


def statuses(estate: Estate) -> list[Status]:
    """Of all runs, by the names of their tenants."""
    return [run.status for run in sorted(estate.runs(), key=lambda run: run.tenant)]


def test_who_approves_has_it_applied(estate: Estate) -> None:
    with at_terminal(estate, "reconcile", "documents") as person:
        person.reads(QUESTION)
        person.types("y")
        person.ends(0)
    assert statuses(estate) == [Status.APPLIED]


def test_ctrl_c_at_the_question_leaves_the_run_waiting(estate: Estate) -> None:
    estate.add_tenant(2)
    with at_terminal(estate, "reconcile", "documents") as person:
        person.reads(QUESTION)
        person.presses_ctrl_c()
        person.ends(130)
    assert "Stopping" not in person.said
    assert person.said.count(QUESTION) == 1
    for run in estate.runs():
        assert run.status is Status.WAITING
        assert f"{run.tenant} waits for approval: lzr review {run.id}" in person.said


def test_ctrl_c_at_the_question_stops_what_others_have_at_work(estate: Estate) -> None:
    estate.add_tenant(2)
    estate.fault(kind="slow", service="arm", method="PUT", path="resourceGroups", seconds=3)
    with at_terminal(estate, "reconcile", "documents") as person:
        person.reads(QUESTION)
        person.types("y")
        person.reads(QUESTION)
        eventually(lambda: estate.calls("PUT", "resourceGroups"))
        person.presses_ctrl_c()
        person.ends(130)
    assert "Stopping; the engine saves its state first" in person.said
    assert sorted(statuses(estate)) == [Status.CANCELED, Status.WAITING]
    assert estate.engines() == []


def test_what_somebody_else_approved_meanwhile_is_applied(estate: Estate) -> None:
    with at_terminal(estate, "reconcile", "documents") as person:
        person.reads(QUESTION)
        (run,) = estate.runs()
        estate.lzr("approve", run.id, "--comment", "I was quicker")
        person.types("y")
        person.ends(0)
    assert statuses(estate) == [Status.APPLIED]
    assert [approval["comment"] for approval in estate.lzr("run", run.id, "--json").json()["approvals"]] == [
        "I was quicker"
    ]


def test_what_is_refused_about_one_tenant_is_told_and_the_next_one_is_asked_about(estate: Estate) -> None:
    second = estate.add_tenant(2)
    with at_terminal(estate, "reconcile", "documents") as person:
        person.reads(QUESTION)
        first = next(run for run in estate.runs() if f"lzr approve {run.id}" in person.said)
        estate.lzr("reject", first.id)
        person.types("y")
        person.reads("The run does not wait for a decision")
        person.reads(QUESTION)
        person.types("y")
        person.ends(3)
    assert f"{first.tenant}:" in person.said
    by_tenant = {run.tenant: run.status for run in estate.runs()}
    assert by_tenant.pop(first.tenant) is Status.REJECTED
    assert list(by_tenant.values()) == [Status.APPLIED]
    assert {first.tenant, *by_tenant} == {TENANT, second}


def test_a_name_that_is_mistyped_is_asked_for_again_and_after_three_times_the_run_waits(estate: Estate) -> None:
    estate.decided_by("never")
    estate.lzr("reconcile", "documents")
    group = f"/subscriptions/4f1c2d30-0000-4000-8000-000000000001/resourceGroups/{GROUP}"
    vault = f"{group}/providers/Microsoft.Storage/storageAccounts/keepme?api-version=2023-01-01"
    estate.sandbox.drift("PUT", vault, {"location": "westeurope"})
    for names, code, status in (
        (("rg-network", "rg-netwrok-checkout-dev", "y"), 6, Status.WAITING),
        (("rg-network", GROUP), 0, Status.APPLIED),
    ):
        with at_terminal(estate, "destroy", TENANT, "--in", "documents") as person:
            person.reads(QUESTION)
            person.types("y")
            for name in names:
                person.reads("type its name to delete them")
                person.types(name)
            person.ends(code)
        assert estate.runs()[-1].status is status
