"""Tenants that share new guests, reconciled at once: each guest is invited once, however late the directory shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.domain.run import Status
from tests.estate import TENANT, Estate, opened_estate

GUESTS = {"dev1@corp.example", "dev2@partner.example", "lead@corp.example"}
LATE = {"kind": "lag", "of": "users", "hiddenFrom": "directory", "seconds": 12}


@pytest.fixture(params=["sqlite", "postgresql"])
def estate(request: pytest.FixtureRequest, tmp_path: Path, sandbox_certificates: Path) -> Iterator[Estate]:
    where = request.getfixturevalue("postgres_database") if request.param == "postgresql" else None
    with opened_estate(tmp_path / "estate", sandbox_certificates, where=where) as found:
        found.decided_by("never")
        found.fault(**LATE)
        yield found


def expect_invited_once(estate: Estate, *tenants: str) -> None:
    assert [run.status for run in estate.runs()] == [Status.APPLIED] * len(tenants)
    sent = [invitation["mail"] for tenant in estate.world()["tenants"] for invitation in tenant["invitations"]]
    assert sorted(sent) == sorted(GUESTS)
    members = {
        group["displayName"]: {member["id"] for member in group["members"]}
        for tenant in estate.world()["tenants"]
        for group in tenant["groups"]
    }
    assert members[f"{tenants[0]}-user"] == members[f"{tenants[1]}-user"]
    assert len(members[f"{tenants[0]}-user"]) == 2


def test_runs_of_one_process_invite_each_guest_once(estate: Estate) -> None:
    other = estate.add_tenant(2)

    estate.lzr("reconcile", estate.documents)

    expect_invited_once(estate, TENANT, other)


def test_processes_on_one_store_invite_each_guest_once(estate: Estate) -> None:
    other = estate.add_tenant(2)

    started = [estate.start("reconcile", estate.documents, "--tenant", tenant) for tenant in (TENANT, other)]
    for process in started:
        estate.ended(process)

    expect_invited_once(estate, TENANT, other)
