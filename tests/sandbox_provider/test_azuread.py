"""azuread's stand-in under the real engine, beyond what the recordings show."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.sandbox_provider.double import CALLER, CLIENT, TENANT, Answer, Azure, not_found
from tests.sandbox_provider.engine import Workspace

ALICE, BOB = "00000000-0000-0000-0000-00000000a000", "00000000-0000-0000-0000-00000000b000"
UNIT, OTHER_UNIT = "aaaaaaaa-0000-0000-0000-00000000000a", "aaaaaaaa-0000-0000-0000-00000000000b"


@dataclass
class Directory:
    """A store of directory objects with links between them."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: dict[str, list[str]] = field(default_factory=dict)
    hidden: int = 0
    """How many looks at a new object still miss it."""

    def add(self, kind: str, id_: str, **fields: Any) -> None:
        self.objects[id_] = {"@odata.type": f"#microsoft.graph.{kind}", "id": id_, **fields}

    def __call__(self, method: str, url: str, body: Any) -> Answer:
        _, _, *segments = urlsplit(url).path.split("/")
        query = parse_qs(urlsplit(url).query)
        match segments:
            case ["invitations"]:
                return self._invited(body)
            case ["groups" | "users" | "servicePrincipals" as kind]:
                return self._created(body) if method == "POST" else self._listed(query, kind)
            case ["directory", "administrativeUnits", *rest]:
                return self._within(method, rest, body, query)
            case [_, *rest]:
                return self._within(method, rest, body, query)
        return not_found(url)

    def _within(self, method: str, segments: list[str], body: Any, query: dict[str, list[str]]) -> Answer:
        match segments:
            case [id_]:
                return self._single(method, id_, body)
            case [id_, "memberOf"]:
                owners = [
                    key.split("/")[0]
                    for key, members in self.links.items()
                    if key.endswith("/members") and id_ in members
                ]
                return Answer(200, {"value": [self.objects[owner] for owner in owners]})
            case [_, "manager"]:
                return not_found("manager")
            case [id_, link]:
                if method == "POST":
                    made = self._created(body)
                    self.links.setdefault(f"{id_}/members", []).append(made.body["id"])
                    return made
                wanted = re.search(r"id eq '(.*)'", query.get("$filter", [""])[0])
                found = [self.objects[member] for member in self.links.get(f"{id_}/{link}", [])]
                return Answer(200, {"value": [each for each in found if not wanted or each["id"] == wanted.group(1)]})
            case [id_, link, "$ref"]:
                self.links.setdefault(f"{id_}/{link}", []).append(body["@odata.id"].rpartition("/")[2])
                return Answer(204)
            case [id_, link, member, "$ref"]:
                self.links[f"{id_}/{link}"].remove(member)
                return Answer(204)
        return not_found("/".join(segments))

    def _single(self, method: str, id_: str, body: Any) -> Answer:
        if id_ not in self.objects:
            return not_found(id_)
        if self.hidden:
            self.hidden -= 1
            return not_found(id_)
        if method == "PATCH":
            self.objects[id_] |= body
            return Answer(204)
        if method == "DELETE":
            del self.objects[id_]
            return Answer(204)
        return Answer(200, self.objects[id_])

    def _created(self, body: Any) -> Answer:
        id_ = str(uuid.uuid4())
        owners = [address.rpartition("/")[2] for address in body.pop("owners@odata.bind", [])]
        self.add("group", id_, **{key: value for key, value in body.items() if key != "@odata.type"})
        self.links[f"{id_}/owners"] = owners
        return Answer(201, self.objects[id_])

    def _invited(self, body: Any) -> Answer:
        guest = str(uuid.uuid4())
        self.add("user", guest, mail=body["invitedUserEmailAddress"], userType=body["invitedUserType"])
        return Answer(201, {"id": "invite-1", "inviteRedeemUrl": "https://redeem", "invitedUser": {"id": guest}})

    def _listed(self, query: dict[str, list[str]], kind: str) -> Answer:
        singular = {"groups": "group", "users": "user", "servicePrincipals": "servicePrincipal"}[kind]
        found = [each for each in self.objects.values() if each["@odata.type"].endswith(f".{singular}")]
        for name, value in re.findall(r"(\w+) eq '((?:[^']|'')*)'", query.get("$filter", [""])[0]):
            found = [each for each in found if each.get(name) == value.replace("''", "'")]
        return Answer(200, {"value": found})


@pytest.fixture
def directory(azure: Azure) -> Directory:
    azure.respond = found = Directory()
    found.add(
        "user",
        ALICE,
        userPrincipalName="alice@contoso.test",
        mail="alice@contoso.test",
        displayName="Alice O'Hara",
        employeeId="7",
    )
    found.add("user", BOB, userPrincipalName="bob@contoso.test", mail="bob@contoso.test")
    found.add("servicePrincipal", CALLER, appId=CLIENT, displayName="runner", tags=["HideApp"])
    found.add("administrativeUnit", UNIT)
    found.add("administrativeUnit", OTHER_UNIT)
    return found


GROUP = """
variable "more"    { default = {} }
variable "members" { default = null }
variable "owners"  { default = null }
variable "units"   { default = null }
resource "azuread_group" "g" {
  display_name            = "it's ours"
  security_enabled        = true
  owners                  = var.owners
  members                 = var.members
  administrative_unit_ids = var.units
  description             = lookup(var.more, "description", null)
}
"""


def test_a_group_is_made_changed_and_unmade(terraform: Workspace, directory: Directory, azure: Azure) -> None:
    terraform.variables = {"members": [ALICE], "owners": [ALICE, BOB], "units": [UNIT, OTHER_UNIT]}
    terraform.write(GROUP)
    ran = terraform.apply()
    assert ran.code == 0, ran.output
    assert terraform.plan().code == 0
    group = terraform.state("azuread_group.g")["object_id"]
    terraform.variables = {"members": [BOB], "owners": [BOB], "units": [OTHER_UNIT], "more": {"description": "new"}}
    assert terraform.apply().code == 0
    assert terraform.plan().code == 0
    assert directory.links[f"{group}/members"] == [BOB]
    assert directory.links[f"{group}/owners"] == [BOB]
    assert group not in directory.links[f"{UNIT}/members"]
    assert directory.objects[group]["description"] == "new"
    assert terraform.destroy().code == 0
    assert group not in directory.objects


def test_whoever_makes_a_group_owns_it_if_nobody_else_is_named(terraform: Workspace, directory: Directory) -> None:
    terraform.write(GROUP)
    assert terraform.apply().code == 0
    assert terraform.state("azuread_group.g")["owners"] == [CALLER]
    assert terraform.plan().code == 0


def test_leaving_out_what_was_empty_is_no_change(terraform: Workspace, directory: Directory) -> None:
    terraform.write(
        GROUP.replace(
            "security_enabled        = true",
            "security_enabled = true\n mail_enabled = false\n assignable_to_role = false",
        )
    )
    assert terraform.apply().code == 0
    terraform.write(GROUP)
    assert terraform.plan().code == 0


NEVER_ASKED_FOR = ("administrative_unit_ids", "behaviors", "provisioning_options", "types")


@pytest.mark.parametrize("kind", ["azuread_group", "azuread_group_without_members"])
def test_lists_that_were_not_asked_for_are_null_when_applied_and_empty_when_refreshed(
    terraform: Workspace, directory: Directory, kind: str
) -> None:
    terraform.write(f'resource "{kind}" "g" {{\n display_name = "g"\n security_enabled = true\n}}')
    assert terraform.apply().code == 0
    assert {name: terraform.state(f"{kind}.g")[name] for name in NEVER_ASKED_FOR} == dict.fromkeys(NEVER_ASKED_FOR)
    assert terraform.plan().code == 0
    (drift,) = terraform.drift().values()
    assert {name for name in drift["after"] if drift["before"][name] != drift["after"][name]} == set(NEVER_ASKED_FOR)
    assert [drift["after"][name] for name in NEVER_ASKED_FOR] == [[], [], [], []]
    assert terraform.run("apply", "-refresh-only", "-auto-approve").code == 0
    assert terraform.plan().code == 0
    assert terraform.drift() == {}


def test_a_group_that_vanishes_after_the_plan_to_delete_it_is_an_error(
    terraform: Workspace, directory: Directory
) -> None:
    terraform.write(GROUP)
    assert terraform.apply().code == 0
    assert terraform.plan("-destroy").code == 2
    del directory.objects[terraform.state("azuread_group.g")["object_id"]]
    ran = terraform.run("apply", "-input=false", "tfplan")
    assert ran.code == 1
    assert "group was not found" in ran.text
    assert terraform.addresses() == ["azuread_group.g"]


def test_a_group_that_graph_shows_late_is_waited_for(terraform: Workspace, directory: Directory) -> None:
    directory.hidden = 3
    terraform.write(GROUP)
    ran = terraform.apply()
    assert ran.code == 0, ran.output


def test_a_group_is_imported_by_its_path(terraform: Workspace, directory: Directory) -> None:
    group = str(uuid.uuid4())
    directory.add("group", group, displayName="it's ours", securityEnabled=True)
    directory.links[f"{group}/owners"] = [CALLER]
    terraform.write(GROUP + f'import {{\n to = azuread_group.g\n id = "/groups/{group}"\n}}')
    assert terraform.apply().code == 0
    assert terraform.plan().code == 0


def test_an_import_id_of_another_form_is_refused(terraform: Workspace, directory: Directory) -> None:
    terraform.write(GROUP + 'import {\n to = azuread_group.g\n id = "some-group"\n}')
    ran = terraform.plan()
    assert ran.code == 1
    assert 'Expected an ID like "/groups/' in ran.text


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('owners = ["nobody"]\n security_enabled = true', "valid UUID"),
        ("", "mail_enabled,security_enabled"),
        ('security_enabled = true\n timeouts { create = "x" }', "Time Duration"),
    ],
)
def test_a_wrong_argument_of_a_group_is_a_diagnostic(
    terraform: Workspace, directory: Directory, more: str, says: str
) -> None:
    terraform.write(f'resource "azuread_group" "g" {{\n display_name = "g"\n {more}\n}}')
    ran = terraform.run("validate")
    assert ran.code == 1
    assert says in ran.text


MEMBERS = f"""
resource "azuread_administrative_unit_member" "u" {{
  administrative_unit_object_id = "{UNIT}"
  member_object_id              = "{ALICE}"
}}
"""


def test_a_member_of_a_unit_is_added_seen_missing_and_removed(terraform: Workspace, directory: Directory) -> None:
    terraform.write(MEMBERS)
    assert terraform.apply().code == 0
    assert terraform.plan().code == 0
    directory.links[f"{UNIT}/members"].clear()
    assert terraform.plan().code == 2
    assert terraform.actions() == {"azuread_administrative_unit_member.u": ["create"]}
    assert terraform.apply().code == 0
    assert terraform.destroy().code == 0
    assert directory.links[f"{UNIT}/members"] == []


def test_a_member_that_is_there_already_must_be_imported(terraform: Workspace, directory: Directory) -> None:
    directory.links[f"{UNIT}/members"] = [ALICE]
    terraform.write(MEMBERS)
    ran = terraform.apply()
    assert ran.code == 1
    assert "already exists" in ran.text
    importing = f'import {{\n to = azuread_administrative_unit_member.u\n id = "/directory/administrativeUnits/{UNIT}/members/{ALICE}"\n}}'
    terraform.write(MEMBERS + importing)
    assert terraform.apply().code == 0
    assert terraform.plan().code == 0


def test_a_guest_is_invited_seen_and_removed(terraform: Workspace, directory: Directory, azure: Azure) -> None:
    terraform.write(
        """
resource "azuread_invitation" "i" {
  user_email_address = "guest@example.test"
  redirect_url       = "https://portal.azure.com"
  user_display_name  = "A guest"
  message {
    body                  = "hello"
    additional_recipients = ["cc@example.test"]
  }
}
"""
    )
    ran = terraform.apply()
    assert ran.code == 0, ran.output
    (invitation,) = [call.body for call in azure.calls if call.method == "POST"]
    assert invitation["invitedUserMessageInfo"] == {
        "ccRecipients": [{"emailAddress": {"address": "cc@example.test"}}],
        "customizedMessageBody": "hello",
    }
    assert terraform.plan().code == 0
    guest = terraform.state("azuread_invitation.i")["user_id"]
    assert terraform.destroy().code == 0
    assert guest not in directory.objects


def test_people_groups_and_programs_are_looked_up(terraform: Workspace, directory: Directory) -> None:
    group = str(uuid.uuid4())
    directory.add("group", group, displayName="ours", securityEnabled=True)
    directory.links[f"{group}/members"] = [ALICE]
    terraform.write(
        f"""
data "azuread_client_config" "me" {{}}
data "azuread_group" "by_name" {{
  display_name     = "ours"
  security_enabled = true
}}
data "azuread_group" "by_id" {{ object_id = "{group}" }}
data "azuread_user" "by_name" {{ user_principal_name = "alice@contoso.test" }}
data "azuread_user" "by_number" {{ employee_id = "7" }}
data "azuread_users" "both" {{ mails = ["alice@contoso.test", "bob@contoso.test"] }}
data "azuread_users" "known" {{
  user_principal_names = ["alice@contoso.test", "nobody@contoso.test"]
  ignore_missing       = true
}}
data "azuread_service_principal" "me" {{ client_id = data.azuread_client_config.me.client_id }}
"""
    )
    ran = terraform.apply()
    assert ran.code == 0, ran.output
    me = terraform.state("data.azuread_client_config.me")
    assert (me["tenant_id"], me["client_id"], me["object_id"]) == (TENANT, CLIENT, CALLER)
    for name in ("by_name", "by_id"):
        assert terraform.state(f"data.azuread_group.{name}")["members"] == [ALICE]
    for name in ("by_name", "by_number"):
        assert terraform.state(f"data.azuread_user.{name}")["object_id"] == ALICE
    assert terraform.state("data.azuread_users.both")["object_ids"] == [ALICE, BOB]
    assert terraform.state("data.azuread_users.known")["users"][0]["display_name"] == "Alice O'Hara"
    assert terraform.state("data.azuread_service_principal.me")["feature_tags"][0]["hide"] is True


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ('data "azuread_user" "u" { mail = "nobody@contoso.test" }', 'No user found with mail: "nobody@contoso.test"'),
        ('data "azuread_users" "u" { mails = ["nobody@contoso.test"] }', "No user found with mail"),
        ('data "azuread_group" "g" { display_name = "it\'s nobody\'s" }', "No group found matching"),
        ('data "azuread_user" "u" {}', "must be specified"),
        ('data "azuread_user" "u" {\n mail = "a"\n employee_id = "b"\n}', "only one of"),
        ('data "azuread_service_principal" "s" { display_name = "nothing" }', "No service principal found"),
    ],
)
def test_whoever_is_not_found_is_a_diagnostic(
    terraform: Workspace, directory: Directory, source: str, says: str
) -> None:
    terraform.write(source)
    ran = terraform.plan()
    assert ran.code == 1
    assert says in ran.text
    assert "Internal error" not in ran.text
