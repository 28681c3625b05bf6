"""`lzr doctor` through the command line: each check well and not well, against a sandbox, with the real terraform."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import runner
from runner import wiring
from tests.cli.terminal import at_terminal
from tests.estate import SECRET, Estate

Json = dict[str, Any]

SEED = Path(runner.__file__).parent / "sandbox" / "azure" / "default_seed.yaml"
UNIT = "7d3f0c52-cccc-4a6e-9c55-2a4b6f1d0001"
RUNNER = "7d3f0c52-bbbb-4a6e-9c55-2a4b6f1d0001"
SUBSCRIPTION = "4f1c2d30-0000-4000-8000-000000000001"
SHARED = "4f1c2d30-0000-4000-8000-000000000004"
PLATFORM = "platform azure"
ZONE = "landing zone corp-online"
TENANTS = "1 tenant of platform azure"
NO_ENGINE: Json = {"LZR_ENGINE": "/nonexistent/terraform"}
"""Where only Azure is looked at: trying the engine takes the most time. The exit code is 7 then."""


class Checks:
    """What the doctor said, by check and what it was about."""

    def __init__(self, told: Json) -> None:
        self.told = told
        self.all: list[Json] = told["checks"]
        for check in self.all:
            assert check["text"]
            assert check["fix"] or check["state"] in ("ok", "skipped"), check

    def of(self, name: str, about: str = PLATFORM) -> list[Json]:
        return [check for check in self.all if (check["name"], check["about"]) == (name, about)]

    def one(self, name: str, about: str = PLATFORM) -> Json:
        (found,) = self.of(name, about)
        return found

    def states(self) -> set[str]:
        return {check["state"] for check in self.all}


def examined(estate: Estate, *paths: str, code: int | None = 7, **settings: object) -> Checks:
    return Checks(estate.lzr("doctor", *(paths or ("documents",)), "--json", code=code, **settings).json())


def reseed(estate: Estate, change: Callable[[Json], object]) -> None:
    """Begin the sandbox anew with a changed company."""
    seed = yaml.safe_load(SEED.read_text(encoding="utf-8"))
    change(seed)
    with estate.sandbox.world.lock:
        estate.sandbox.world.seed(seed)


def application(seed: Json, name: str = "landing-zone-runner") -> Json:
    """An application of the workload tenant."""
    (found,) = [app for app in seed["tenants"][0]["applications"] if app["name"] == name]
    assert isinstance(found, dict)
    return found


def secret_ends(at: datetime) -> Callable[[Json], None]:
    def change(seed: Json) -> None:
        application(seed)["secrets"] = [{"value": SECRET, "ends": at.isoformat()}]

    return change


def holds(*actions: str, not_actions: tuple[str, ...] = ()) -> Callable[[Json], None]:
    """Instead of Owner, the runner has a role of its own at the root."""

    def change(seed: Json) -> None:
        seed["azure"]["roleDefinitions"] = [
            {
                "id": "7d3f0c52-eeee-4a6e-9c55-2a4b6f1d0001",
                "name": "replicator",
                "actions": list(actions),
                "notActions": list(not_actions),
            }
        ]
        seed["azure"]["roleAssignments"][0]["role"] = "replicator"

    return change


def test_all_is_well_and_azure_is_as_before(estate: Estate) -> None:
    before = estate.world()
    checks = examined(estate, code=0)
    assert checks.told["healthy"] is True
    assert checks.states() == {"ok"}
    assert {check["name"] for check in checks.all} == {
        "engine",
        "providers",
        "store",
        "state-backend",
        "clock",
        "sign-in",
        "credential-expiry",
        "graph-roles",
        "management-group",
        "management-group-rights",
        "function",
        "subscription-rights",
        "origin-rights",
    }
    assert "the sandbox's stand-ins" in checks.one("providers", "this machine")["text"]
    assert estate.world() == before
    assert not [call for call in estate.calls(service="arm") if call.method not in ("GET", "POST")]
    assert {call.path.partition("?")[0] for call in estate.calls("POST", service="arm")} == {
        "/providers/Microsoft.Management/getEntities"
    }
    assert not estate.calls(service="function")
    with estate.store() as store:
        assert store.states.tenants() == ()
    assert not [path for path in estate.work.iterdir() if path.name.startswith("rehearsal-")]


def test_without_documents_only_this_machine_is_looked_at(estate: Estate) -> None:
    ran = estate.lzr("doctor")
    assert "terraform" in ran.stdout
    assert "a state was written, locked against a second engine, read back and removed" in ran.stdout
    assert "Platform" not in ran.stdout
    assert "All well: 4 checks passed." in ran.stdout
    assert "\x1b" not in ran.stdout + ran.stderr
    assert estate.calls() == []


def test_at_a_terminal_what_is_being_looked_at_is_shown(estate: Estate) -> None:
    with at_terminal(estate, "doctor", "documents", **NO_ENGINE) as terminal:
        terminal.reads("… engine")
        terminal.reads("✗ engine")
        terminal.reads("… sign-in")
        terminal.reads("✓ sign-in")
        terminal.ends(7)


def test_wrong_documents_are_for_validate(estate: Estate) -> None:
    estate.edit("LandingZone", lambda zone: zone["spec"].update(platformRef={"name": "nowhere"}))
    assert "nowhere" in estate.lzr("doctor", "documents", code=2).stderr


class TestThisMachine:
    def test_without_an_engine_the_rest_is_still_looked_at(self, estate: Estate) -> None:
        ran = estate.lzr("doctor", "documents", code=7, **NO_ENGINE)
        assert "✗ engine" in ran.stdout
        assert "LZR_ENGINE names /nonexistent/terraform" in ran.stdout
        assert "Give the path of terraform or tofu" in ran.stdout
        assert "- providers" in ran.stdout
        assert "- state-backend" in ran.stdout
        assert "✓ sign-in" in ran.stdout
        assert "1 thing to mend." in ran.stdout

    def test_providers_that_a_mirror_lacks_are_told(self, estate: Estate, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        ran = estate.lzr("doctor", "--json", code=7, LZR_MIRROR=tmp_path / "empty")
        found = Checks(ran.json()).one("providers", "this machine")
        assert found["state"] == "wrong"
        assert "azapi" in found["text"].lower()
        assert "LZR_MIRROR" in found["fix"]

    def test_a_store_that_does_not_open_is_told(self, estate: Estate) -> None:
        with estate.store():
            pass
        (estate.directory / "key").unlink()
        ran = estate.lzr("doctor", "documents", code=7)
        assert "✗ store" in ran.stdout
        assert "Not looked at: the store does not open." in ran.stdout

    def test_local_states_are_tried_where_they_are_and_leave_nothing(self, estate: Estate, tmp_path: Path) -> None:
        states = tmp_path / "states"
        local = {"type": "local", "directory": str(states)}
        estate.edit("AzurePlatform", lambda platform: platform["spec"].update(stateBackend=local))
        found = examined(estate, code=0).one("state-backend", "this machine")
        assert found["state"] == "ok"
        assert str(states) in found["text"]
        assert list(states.iterdir()) == []

    def test_states_that_cannot_be_kept_are_told(self, estate: Estate, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        local = {"type": "local", "directory": str(tmp_path / "file" / "states")}
        estate.edit("AzurePlatform", lambda platform: platform["spec"].update(stateBackend=local))
        found = examined(estate).one("state-backend", "this machine")
        assert found["state"] == "wrong"
        assert "stateBackend" in found["fix"]

    def test_a_clock_that_is_off_is_told(self, estate: Estate) -> None:
        with estate.sandbox.world.lock:
            estate.sandbox.world.now = lambda: datetime.now(UTC) - timedelta(minutes=20)
        found = examined(estate, **NO_ENGINE).one("clock")
        assert found["state"] == "wrong"
        assert "20 min ahead of Azure's" in found["text"]
        assert "NTP" in found["fix"]


class TestCredentials:
    def test_a_wrong_secret_is_told_once_and_what_needs_it_is_skipped(self, estate: Estate) -> None:
        ran = estate.lzr("doctor", "documents", code=7, LZ_CLIENT_SECRET="wrong-canary-77", **NO_ENGINE)
        assert "AADSTS7000215" in ran.stdout
        assert "store the secret's value, not its id" in ran.stdout
        assert "- graph-roles" in ran.stdout
        assert "- subscription-rights" in ran.stdout
        assert "canary" not in ran.stdout + ran.stderr

    def test_a_secret_that_is_not_there_is_told_by_its_variable(self, estate: Estate) -> None:
        del estate.environment["LZ_CLIENT_SECRET"]
        found = examined(estate, **NO_ENGINE).one("sign-in")
        assert found["fix"] == "export LZ_CLIENT_SECRET=…"

    def test_a_secret_that_ends_soon_is_a_warning(self, estate: Estate) -> None:
        reseed(estate, secret_ends(datetime.now(UTC) + timedelta(days=12, hours=1)))
        checks = examined(estate, code=0)
        found = checks.one("credential-expiry")
        assert found["state"] == "warning"
        assert "in 12 days" in found["text"]
        assert "az ad app credential reset --append" in found["fix"]
        assert checks.told["healthy"] is True

    def test_a_secret_that_has_ended_is_told(self, estate: Estate) -> None:
        reseed(estate, secret_ends(datetime.now(UTC) - timedelta(days=1)))
        assert "AADSTS7000222" in examined(estate, **NO_ENGINE).one("sign-in")["text"]

    def test_an_end_that_may_not_be_read_is_a_warning(self, estate: Estate) -> None:
        estate.edit("AzurePlatform", lambda platform: platform["spec"].update(administrativeUnitId=UNIT))
        narrow = ["User.Read.All", "AdministrativeUnit.Read.All", "User.Invite.All"]

        def change(seed: Json) -> None:
            for tenant in seed["tenants"]:
                tenant["applications"][0]["graphPermissions"] = narrow

        reseed(estate, change)
        checks = examined(estate, **NO_ENGINE)
        assert checks.one("credential-expiry")["state"] == "warning"
        assert checks.one("graph-roles")["state"] == "ok"
        unit = checks.one("administrative-unit")
        assert unit["state"] == "warning"
        assert "RoleManagement.Read.Directory" in unit["text"]

    def test_a_certificate_tells_its_own_end(self, estate: Estate, tmp_path: Path) -> None:
        key, certificate = made(ends=datetime.now(UTC) + timedelta(days=5, hours=1))
        file = tmp_path / "runner.pem"
        file.write_text(key + certificate, encoding="ascii")
        auth = {"type": "certificate", "certificate": {"file": str(file)}}
        estate.edit("AzurePlatform", lambda platform: platform["spec"]["servicePrincipal"].update(auth=auth))
        reseed(estate, lambda seed: application(seed).update(certificates=[certificate]))
        checks = examined(estate, **NO_ENGINE)
        assert checks.one("sign-in")["state"] == "ok"
        found = checks.one("credential-expiry")
        assert found["state"] == "warning"
        assert "The certificate ends" in found["text"]
        assert "--create-cert" in found["fix"]

    def test_a_home_tenant_that_does_not_know_the_application_is_told(self, estate: Estate) -> None:
        reseed(estate, lambda seed: seed["tenants"][1]["applications"].pop(0))
        checks = examined(estate, **NO_ENGINE)
        found = checks.one("sign-in", "home tenant corp.example of platform azure")
        assert found["state"] == "wrong"
        assert "AADSTS700016" in found["text"]
        assert checks.one("sign-in")["state"] == "ok"
        assert checks.one("graph-roles", "home tenant corp.example of platform azure")["state"] == "skipped"


class TestGraph:
    def test_missing_roles_are_told_with_the_command_that_gives_them(self, estate: Estate) -> None:
        def change(seed: Json) -> None:
            application(seed)["graphPermissions"] = ["Directory.Read.All"]
            seed["tenants"][1]["applications"][0]["graphPermissions"] = []

        reseed(estate, change)
        checks = examined(estate, **NO_ENGINE)
        found = checks.one("graph-roles")
        assert found["state"] == "wrong"
        assert "lacks Group.ReadWrite.All (making groups, and keeping their members), User.Invite.All" in found["text"]
        assert "62a82d76-70ea-41e2-9197-370581804d09=Role" in found["fix"]
        assert "az ad app permission admin-consent" in found["fix"]
        home = checks.one("graph-roles", "home tenant corp.example of platform azure")
        assert "lacks User.Read.All" in home["text"]

    def test_who_invites_nobody_needs_no_right_to(self, estate: Estate) -> None:
        estate.edit("AzurePlatform", lambda platform: platform["spec"].pop("b2bUserInvitation"))
        permitted = ["Directory.Read.All", "Group.ReadWrite.All"]
        reseed(estate, lambda seed: application(seed).update(graphPermissions=permitted))
        assert examined(estate, **NO_ENGINE).one("graph-roles")["state"] == "ok"

    @pytest.mark.parametrize(
        ("unit", "administers", "state", "words"),
        [
            (UNIT, [UNIT], "ok", "may make groups"),
            (UNIT, [], "wrong", "not Groups Administrator"),
            (UNIT.replace("cccc", "dddd"), [UNIT], "wrong", "no administrative unit"),
        ],
    )
    def test_the_administrative_unit_has_to_be_administered(
        self, estate: Estate, unit: str, administers: list[str], state: str, words: str
    ) -> None:
        estate.edit("AzurePlatform", lambda platform: platform["spec"].update(administrativeUnitId=unit))
        reseed(estate, lambda seed: application(seed).update(administers=administers))
        found = examined(estate, **NO_ENGINE).one("administrative-unit")
        assert found["state"] == state
        assert words in found["text"]
        assert ("/administrativeUnits" in found["fix"]) == (state == "wrong")


class TestResourceManager:
    def test_a_display_name_gets_the_id_it_probably_meant(self, estate: Estate) -> None:
        estate.edit("LandingZone", lambda zone: zone["spec"].update(azureManagementGroupId="Corp-Online-Zone"))
        named = {"id": "corp-online", "name": "Corp-Online-Zone", "parent": "landing-zones"}

        def change(seed: Json) -> None:
            seed["azure"]["managementGroups"][2] = named

        reseed(estate, change)
        found = examined(estate, **NO_ENGINE).one("management-group", ZONE)
        assert found["state"] == "wrong"
        assert "azureManagementGroupId: corp-online" in found["fix"]

    def test_the_documented_custom_role_is_enough(self, estate: Estate) -> None:
        """The actions that meshStack's own Terraform module grants its replicator."""
        reseed(
            estate,
            holds(
                "Microsoft.Authorization/permissions/read",
                "Microsoft.Authorization/roleAssignments/*",
                "Microsoft.Authorization/roleDefinitions/read",
                "Microsoft.Management/managementGroups/read",
                "Microsoft.Management/managementGroups/descendants/read",
                "Microsoft.Management/managementGroups/subscriptions/read",
                "Microsoft.Management/managementGroups/subscriptions/write",
                "Microsoft.Management/managementGroups/write",
                "Microsoft.Resources/tags/*",
                "*/register/action",
                "Microsoft.Resources/subscriptions/resourceGroups/*",
            ),
        )
        checks = examined(estate, **NO_ENGINE)
        for name, about in (
            ("management-group-rights", ZONE),
            ("subscription-rights", TENANTS),
            ("origin-rights", TENANTS),
        ):
            assert {check["state"] for check in checks.of(name, about)} == {"ok"}

    def test_missing_actions_are_told_at_each_scope(self, estate: Estate) -> None:
        reseed(estate, holds("*", not_actions=("Microsoft.Authorization/*/WRITE", "*/managementGroups/write")))
        checks = examined(estate, **NO_ENGINE)
        group, below = checks.of("management-group-rights", ZONE)
        assert group["state"] == "wrong"
        assert "Microsoft.Management/managementGroups/write (moving subscriptions into it)" in group["text"]
        assert (
            f"az role assignment create --assignee-object-id {RUNNER} --assignee-principal-type ServicePrincipal "
            "--role 'Management Group Contributor' "
            "--scope /providers/Microsoft.Management/managementGroups/corp-online" in group["fix"]
        )
        assert below["state"] == "warning"  # a role may be given on each subscription instead
        subscription = checks.one("subscription-rights", TENANTS)
        assert subscription["state"] == "wrong"
        assert "roleAssignments/write (giving roles to groups)" in subscription["text"]
        assert f"--role 'User Access Administrator' --scope /subscriptions/{SUBSCRIPTION}" in subscription["fix"]
        assert "sandbox, which subscriptions leave" in checks.one("origin-rights", TENANTS)["text"]
        assert checks.one("origin-rights", TENANTS)["state"] == "wrong"

    def test_a_subscription_that_may_stay_where_it_is_leaves_no_group(self, estate: Estate) -> None:
        estate.edit("LandingZone", lambda zone: zone["spec"].update(azureManagementGroupId="example"))
        assert "sandbox" in examined(estate, **NO_ENGINE).one("origin-rights", TENANTS)["text"]
        below = {"allowHierarchicalManagementGroupAssignment": True}
        estate.edit("AzurePlatform", lambda platform: platform["spec"].update(below))
        found = examined(estate, **NO_ENGINE).one("origin-rights", TENANTS)
        assert (found["state"], "sandbox" in found["text"]) == ("ok", False)

    def test_subscriptions_that_are_alike_share_a_line(self, estate: Estate) -> None:
        estate.add_tenant(2)
        estate.add_tenant(3)
        owner_there = {"principal": "landing-zone-runner", "role": "Owner", "scope": f"/subscriptions/{SUBSCRIPTION}"}

        def change(seed: Json) -> None:
            seed["azure"]["roleAssignments"][0]["role"] = "Reader"
            seed["azure"]["roleAssignments"].append(owner_there)

        reseed(estate, change)
        found = examined(estate, **NO_ENGINE).of("subscription-rights", "3 tenants of platform azure")
        assert sorted(check["state"] for check in found) == ["ok", "wrong"]
        (wrong,) = [check for check in found if check["state"] == "wrong"]
        assert "payments.project-2, payments.project-3" in wrong["text"]
        assert "The same for the other one." in wrong["fix"]

    def test_the_identity_that_plans_is_looked_at_as_well(self, estate: Estate) -> None:
        planner = {
            "clientId": "7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d0003",
            "auth": {"type": "credential", "credential": {"env": "PLANNER"}},
        }
        estate.edit("AzurePlatform", lambda one: one["spec"].update(planServicePrincipal=planner))
        about = "planServicePrincipal of platform azure"
        checks = examined(estate, PLANNER="sandbox-auditor-secret", **NO_ENGINE)
        assert checks.one("sign-in", about)["state"] == "ok"
        assert checks.one("plan-rights", about)["state"] == "ok"
        assert "PLANNER" in examined(estate, **NO_ENGINE).one("sign-in", about)["text"]

    def test_a_subscription_that_is_not_there_is_told(self, estate: Estate) -> None:
        gone = SUBSCRIPTION.replace("0001", "00ff")
        estate.edit("Tenant", lambda tenant: tenant["spec"].update(platformTenantId=gone))
        found = examined(estate, **NO_ENGINE).one("subscription-rights", TENANTS)
        assert found["state"] == "wrong"
        assert "payments.checkout-dev" in found["text"]

    @pytest.mark.parametrize(("role", "state"), [("Owner", "ok"), ("Reader", "wrong")])
    def test_the_parent_subscription_of_resource_groups_is_looked_at(
        self, estate: Estate, role: str, state: str
    ) -> None:
        def platform(document: Json) -> None:
            document["spec"].update(
                type="azurerg", subscriptionId=SHARED, resourceGroupNamePattern="rg-#{projectIdentifier}"
            )

        def zone(document: Json) -> None:
            document["spec"].pop("azureManagementGroupId")
            document["spec"].pop("resourceGroups")
            document["spec"]["azureRgLocation"] = "westeurope"

        estate.edit("AzurePlatform", platform)
        estate.edit("LandingZone", zone)
        estate.edit("Tenant", lambda tenant: tenant["spec"].pop("platformTenantId"))
        reseed(estate, lambda seed: seed["azure"]["roleAssignments"][0].update(role=role))
        checks = examined(estate, **NO_ENGINE)
        found = checks.one("subscription-rights")
        assert found["state"] == state
        assert SHARED in found["text"]
        assert ("resourceGroups/write" in found["text"]) == (state == "wrong")
        assert not checks.of("management-group", ZONE)

    def test_azure_that_does_not_answer_is_no_traceback(self, estate: Estate) -> None:
        estate.fault(kind="fail", method="GET", path="/providers/Microsoft.Authorization/permissions", status=400)
        found = examined(estate, **NO_ENGINE).one("subscription-rights", TENANTS)
        assert found["state"] == "wrong"
        assert "Azure refuses the request" in found["text"]


class TestFunction:
    def function(self, estate: Estate, change: Callable[[Json], object]) -> Json:
        reseed(estate, change)
        return examined(estate, **NO_ENGINE).one("function", ZONE)

    def test_a_token_of_version_2_is_told(self, estate: Estate) -> None:
        found = self.function(estate, lambda seed: application(seed, "landing-zone-hooks").update(tokenVersion=2))
        assert found["state"] == "ok"
        assert found["text"].endswith("SPP-Access), version 2.")

    def test_who_is_not_assigned_gets_no_token_and_hears_of_the_pitfalls(self, estate: Estate) -> None:
        found = self.function(estate, lambda seed: application(seed).pop("assignedRoles"))
        assert found["state"] == "wrong"
        assert "AADSTS501051" in found["text"]
        for words in ("SPP-Access", "admin consent", "accessTokenAcceptedVersion", "Terraform"):
            assert words in found["fix"]

    def test_a_token_without_the_role_is_told(self, estate: Estate) -> None:
        def change(seed: Json) -> None:
            application(seed).pop("assignedRoles")
            application(seed, "landing-zone-hooks")["assignmentRequired"] = False

        found = self.function(estate, change)
        assert "lacks the application role Access (SPP-Access)" in found["text"]
        assert "appRoles" not in found["fix"]

    def test_an_application_without_the_role_is_told_to_offer_it(self, estate: Estate) -> None:
        def change(seed: Json) -> None:
            application(seed).pop("assignedRoles")
            application(seed, "landing-zone-hooks").update(assignmentRequired=False, appRoles=[])

        assert '"displayName": "SPP-Access"' in self.function(estate, change)["fix"]

    def test_an_application_that_lets_everybody_in_is_a_warning(self, estate: Estate) -> None:
        found = self.function(
            estate, lambda seed: application(seed, "landing-zone-hooks").update(assignmentRequired=False)
        )
        assert found["state"] == "warning"
        assert "Assignment required" in found["fix"]

    def test_an_application_that_is_not_there_is_told(self, estate: Estate) -> None:
        unknown = {"azureFunctionScope": "7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d00ff"}
        estate.edit("LandingZone", lambda zone: zone["spec"]["azureFunction"].update(unknown))
        assert "AADSTS500011" in self.function(estate, lambda seed: None)["text"]


def made(*, ends: datetime) -> tuple[str, str]:
    """A key and its certificate, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "runner")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=365))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private.decode(), certificate.public_bytes(Encoding.PEM).decode()


def test_the_place_of_a_store_is_shown_without_a_password() -> None:
    assert (
        wiring.shown("postgresql://lzr:canary@db.example/lzr?password=canary") == "postgresql://lzr:***@db.example/lzr"
    )
    assert wiring.shown("/var/lib/lzr") == "/var/lib/lzr"
