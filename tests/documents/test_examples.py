"""The examples and the starter set are documents one can use."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import documents, packaged
from runner.domain.configuration import compose, groups_of

ROOT = Path(__file__).parents[2]
FOLDERS = [*sorted((ROOT / "examples" / "documents").iterdir()), packaged.templates() / "init"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_set_can_be_used_and_composes_without_a_warning(folder: Path) -> None:
    found = documents.read([folder])
    assert found.warnings == ()
    assert found.chosen
    for name in found.chosen:
        assert compose(found.placed(name)).warnings == ()


def test_the_subscription_example_makes_the_names_its_patterns_promise() -> None:
    placed = documents.read([ROOT / "examples" / "documents" / "subscriptions"]).placed("payments.checkout-dev")
    assert [group.name for group in groups_of(placed)] == [
        f"payments.checkout-dev-{role}" for role in ("admin", "user", "reader")
    ]
    assert compose(placed).inputs["tags"] == {
        "lz_workspace": "payments",
        "lz_project": "Checkout (development) (checkout-dev)",
        "lz_landingZone": "corp-online",
        "lz_costCenter": "4712",
        "lz_environment": "dev",
        "lz_payment": "Digital channels, until 2027-12-31",
        "lz_owner": "Jane Doe",
        "lz_contact": "payments@corp.example",
    }


def test_the_sovereign_clouds_have_their_own_addresses() -> None:
    platforms = documents.read([ROOT / "examples" / "documents" / "sovereign-cloud"]).platforms
    assert platforms["azure-usgov"].spec.endpoints.arm_scope == "https://management.usgovcloudapi.net/.default"
    assert platforms["azure-sealed"].spec.endpoints.arm_scope == "https://management.core.sealed.example/.default"


def test_the_home_tenants_have_an_identity_each() -> None:
    spec = documents.read([ROOT / "examples" / "documents" / "home-tenants"]).platforms["shared-azure"].spec
    assert [home.entra_tenant for home in spec.home_tenants] == ["corp.example", "subsidiary.example"]
    assert len({home.service_principal.client_id for home in spec.home_tenants}) == 2


def test_the_starter_set_explains_at_least_every_third_line() -> None:
    for file in (packaged.templates() / "init").rglob("*.yaml"):
        lines = file.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("# ")
        assert sum("# " in line for line in lines) >= len(lines) / 3, file.name
