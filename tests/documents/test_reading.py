"""Reading good documents: what values become, how documents find each other, and what stays the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import documents, settings
from runner.documents import DocumentErrors, Documents
from runner.domain.configuration import Placed, compose
from runner.domain.document import RUNNERS_OWN
from runner.domain.landing_zone import LandingZone
from runner.errors import InputError
from tests.documents.golden import HERE

BASE = HERE / "base.yaml"
HEAD = "apiVersion: landing-zone-runner/v1\nkind: Tenant\n"


def tenant(name: str, spec: str = "", *, project: str = "p") -> str:
    """A tenant's document with further lines of its spec."""
    number = sum(map(ord, name))
    return (
        f"{HEAD}metadata: {{name: {name}}}\nspec:\n  landingZoneRef: {{name: corp-online}}\n  workspaceIdentifier: w\n"
        f"  projectIdentifier: {project}\n  platformTenantId: 00000000-0000-4000-8000-{number:012}\n{spec}"
    )


def read(folder: Path, text: str) -> Documents:
    """The documents of one text, with the base around."""
    file = folder / "tenants.yaml"
    file.write_text(text, encoding="utf-8")
    return documents.read([file], around=[BASE])


def problems(folder: Path, text: str) -> tuple[documents.Problem, ...]:
    with pytest.raises(DocumentErrors) as caught:
        read(folder, text)
    return caught.value.problems


@pytest.mark.parametrize(
    "text", ["no", "on", "yes", "0123", "1.10", "1e3", "0x1F", "12:30:45", "2024-01-01", "1_000", "Null", "=", ".5"]
)
def test_a_bare_word_is_the_text_it_was_written_as_where_a_text_belongs(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, tenant("t", f"  projectName: {text}\n  projectTags: {{a: {text}, b: [{text}]}}\n"))
    spec = found.tenants["t"].spec
    assert (spec.project_name, spec.project_tags) == (text, {"a": (text,), "b": (text,)})


@pytest.mark.parametrize(("text", "expected"), [("4", 4), ("004", 4), ("010", 10), ("'12'", 12)])
def test_a_number_is_decimal_where_a_number_belongs(tmp_path: Path, text: str, expected: int) -> None:
    found = read(tmp_path, tenant("t", f"  tenantPlatformNumber: {text}\n"))
    assert found.tenants["t"].spec.tenant_platform_number == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("yes", True), ("no", False), ("on", True), ("off", False), ("True", True), ("false", False)]
)
def test_yes_and_no_are_true_and_false_where_those_belong(tmp_path: Path, text: str, expected: bool) -> None:
    found = read(tmp_path, tenant("t", f"  users: [{{username: a, guest: {text}, roles: [admin]}}]\n"))
    assert found.tenants["t"].spec.users[0].guest is expected


@pytest.mark.parametrize("text", ["", " ~", " null"])
def test_nothing_means_not_given(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, tenant("t", f"  contactMail:{text}\n")).tenants["t"].spec.contact_mail is None


def test_quotes_make_a_text_of_the_word_null(tmp_path: Path) -> None:
    found = read(tmp_path, tenant("t", '  users: [{username: a, lastName: "null", roles: [admin]}]\n'))
    assert found.tenants["t"].spec.users[0].last_name == "null"


def test_aliases_repeat_whole_values(tmp_path: Path) -> None:
    found = read(tmp_path, tenant("t", "  workspaceTags: &tags {a: &one x, b: *one}\n  projectTags: *tags\n"))
    assert found.tenants["t"].spec.project_tags == {"a": ("x",), "b": ("x",)}


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff", "%YAML 1.2\n---\n", "# a remark\n\n---\n"])
def test_line_ends_byte_order_marks_and_directives_change_nothing(tmp_path: Path, start: str, ending: str) -> None:
    text = (start + tenant("a") + "---\n" + tenant("b", project="q") + "...\n---\n# nothing\n").replace("\n", ending)
    (tmp_path / "x.yaml").write_bytes(text.encode())
    found = documents.read([tmp_path], around=[BASE])
    assert found.chosen == ("a", "b")
    assert found.source("Tenant", "b").endswith(f":{10 + start.count(chr(10))}")


def test_places_are_right_after_any_line_end(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(tenant("ü", "  contactMail: x\n").replace("\n", "\r\n").encode())
    with pytest.raises(DocumentErrors) as caught:
        documents.read([tmp_path], around=[BASE])
    assert [(p.line, p.column, p.field) for p in caught.value.problems] == [
        (3, 18, "metadata.name"),
        (9, 16, "spec.contactMail"),
    ]


def test_json_is_yaml_too(tmp_path: Path) -> None:
    text = '{"apiVersion": "landing-zone-runner/v1", "kind": "LandingZone", "metadata": {"name": "z"},\n\t"spec": %s}'
    spec = '{"platformRef": {"name": "corp"}, "azureManagementGroupId": "m"}'
    assert set(read(tmp_path, text.replace("%s", spec)).zones) == {"z", "corp-online", "playground"}


ZONE = (
    "apiVersion: landing-zone-runner/v1\nkind: LandingZone\nmetadata: {name: z}\nspec:\n  platformRef: {name: corp}\n"
)


def test_a_problem_prints_as_place_field_words_and_what_to_do(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, ZONE + "  azureManagementGroupId: Corp Online\n")
    lines = str(problem).split("\n")
    assert lines[:2] == [
        f"{tmp_path}/tenants.yaml:6:27  spec.azureManagementGroupId",
        '  "Corp Online" is a display name; a management group id has no spaces.',
    ]
    assert lines[2].startswith("  az account management-group list")


def test_a_value_cannot_reach_into_the_terminal(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, tenant("t", '  contactMail: "\\e[2J\\u202e\\r\\n"\n'))
    assert '"\\x1b[2J\\u202e\\r\\n" is not an e-mail address.' in str(problem)


def test_all_files_are_read_before_anything_is_said(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.yaml").write_text(tenant(name, "  contactMail: x\n", project=name))
    with pytest.raises(DocumentErrors) as caught:
        documents.read([tmp_path], around=[BASE])
    assert [Path(p.file).name for p in caught.value.problems] == ["a.yaml", "b.yaml", "c.yaml"]
    assert caught.value.exit_code == 2
    assert all(str(p) in str(caught.value) for p in caught.value.problems)


def test_tenants_around_are_checked_and_not_chosen(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(tenant("one", project="a"))
    (tmp_path / "two.yaml").write_text(tenant("two", project="b"))
    found = documents.read([tmp_path / "one.yaml"], around=[tmp_path, BASE])
    assert found.chosen == ("one",)
    assert set(found.tenants) == {"one", "two"}


def test_a_lone_tenant_is_told_where_its_landing_zone_may_be(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(tenant("one"))
    with pytest.raises(DocumentErrors, match="or the folder with all documents"):
        documents.read([tmp_path / "one.yaml"])


def test_a_tenant_is_found_with_its_landing_zone_and_platform(tmp_path: Path) -> None:
    placed = read(tmp_path, tenant("t")).placed("t")
    assert (placed.platform.name, placed.zone.name, placed.tenant.name) == ("corp", "corp-online", "t")


def test_an_unknown_tenant_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, tenant("payments.checkout")).placed("payments.chekout")
    assert caught.value.hint == "Did you mean payments.checkout?"


def test_a_snapshot_reads_back_as_the_same_documents(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        tenant("t", "  tenantPlatformNumber: 007\n  projectTags: {a: b}\n  users: [{username: x, roles: [admin]}]\n"),
    )
    again = Placed.model_validate(found.snapshot("t"))
    assert again == found.placed("t")
    assert compose(again) == compose(found.placed("t"))
    assert again.model_dump(mode="json", by_alias=True) == found.snapshot("t")


def test_the_digest_changes_exactly_when_what_is_said_about_the_tenant_changes(tmp_path: Path) -> None:
    first = read(tmp_path, tenant("t", "  projectTags: {a: x, b: y}\n"))
    same = read(
        tmp_path,
        "# moved\n\n"
        + tenant("t", "  projectTags:\n    b: [y]\n    a: 'x'\n")
        + "---\n"
        + tenant("other", project="q"),
    )
    changed = read(tmp_path, tenant("t", "  projectTags: {a: x, b: z}\n"))
    assert first.digest("t") == same.digest("t") == documents.digest_of(first.snapshot("t"))
    assert first.digest("t") != changed.digest("t")
    assert len(first.digest("t")) == 64


@pytest.mark.parametrize(
    ("written", "again"), [("90m", "90m"), ("60m", "1h"), ("8h", "8h"), ("24h", "1d"), ("PT8H", "8h")]
)
def test_durations_are_written_down_as_they_are_read(written: str, again: str) -> None:
    zone = LandingZone.model_validate(
        {
            "apiVersion": "landing-zone-runner/v1",
            "kind": "LandingZone",
            "metadata": {"name": "z"},
            "spec": {"platformRef": {"name": "p"}, "approval": {"validFor": written}},
        }
    )
    assert zone.model_dump(mode="json", by_alias=True)["spec"]["approval"]["validFor"] == again


def test_what_is_missing_is_not_asked_for_twice_after_a_mistake(tmp_path: Path) -> None:
    """A role mapping that is wrong is left out for the other rules; that it is then missing must not be said."""
    mapping = (
        "{projectRoleRef: {name: boss}, azureGroupSuffix: boss, azureRoleDefinitions: [{azureRoleDefinitionId: Owner}]}"
    )
    zone = f"{ZONE}  azureManagementGroupId: Corp Online\n  azureRoleMappings: [{mapping}]\n---\n"
    text = zone + tenant("t", "  users: [{username: a, roles: [boss]}]\n").replace("corp-online", "z")
    with pytest.raises(DocumentErrors) as caught:
        read(tmp_path, text)
    assert [p.field.split(".")[1].split("[")[0] for p in caught.value.problems] == [
        "azureManagementGroupId",
        "azureRoleMappings",
    ]
    assert caught.value.warnings == ()


@pytest.mark.parametrize("directory", ["states", "./states", "../states", "~/states", "C:/states"])
def test_a_state_directory_that_depends_on_where_one_stands_is_refused(tmp_path: Path, directory: str) -> None:
    text = TAGGED.replace("${projectNam}", "x").replace(
        "tenantTags:", f"stateBackend: {{type: local, directory: {directory}}}\n  tenantTags:"
    )
    (problem,) = problems(tmp_path, text)
    assert problem.field == "spec.stateBackend.directory"
    assert "/var/lib/lzr/states" in problem.hint


def test_the_prefix_of_the_runners_own_variables_is_that_of_its_settings() -> None:
    assert RUNNERS_OWN == settings.PREFIX


def grouped(*groups: str) -> str:
    """A landing zone with these resource groups, each on a line of its own from the eighth on, and a tenant in it."""
    zone = f"{ZONE}  azureManagementGroupId: m\n  resourceGroups:\n" + "".join(f"    - {group}\n" for group in groups)
    return zone + "---\n" + tenant("t", project="p.").replace("corp-online", "z")


def test_a_name_is_traced_to_its_pattern_as_it_is_written(tmp_path: Path) -> None:
    """The first group is left out for its own mistakes; the second is still the second, and its pattern has a line."""
    left_out = "{key: a, name: 'bad #{name}', location: West Europe}"
    found = problems(tmp_path, grouped(left_out, "{key: b, name: 'rg-#{projectIdentifier}', location: westeurope}"))
    assert [(p.line, p.field) for p in found] == [(8, "spec.resourceGroups[0].location"), (13, "metadata.name")]
    assert found[1].hint.endswith(f"The name is made by spec.resourceGroups[1].name in {tmp_path}/tenants.yaml:9.")


@pytest.mark.parametrize("left_out", ["{key: a, name: x, location: West Europe}", "{key: a, name: '', location: here}"])
def test_names_that_are_alike_are_told_by_their_places_as_written(tmp_path: Path, left_out: str) -> None:
    alike = [f"{{key: {key}, name: '#{{projectIdentifier}}x', location: westeurope}}" for key in "bc"]
    found = problems(tmp_path, grouped(left_out, *alike))
    assert [(p.line, p.field) for p in found][1:] == [(10, "spec.resourceGroups[2].name")]
    assert "as spec.resourceGroups[1].name is" in found[1].message


TAGGED = """apiVersion: landing-zone-runner/v1
kind: AzurePlatform
metadata: {name: tagged}
spec:
  entraTenant: corp.example
  servicePrincipal: {auth: {type: managedIdentity}}
  tenantTags: {tagMappers: [{key: project, valuePattern: "${projectNam}"}]}
---
apiVersion: landing-zone-runner/v1
kind: LandingZone
metadata: {name: z}
spec: {platformRef: {name: tagged}, azureManagementGroupId: corp}
---
"""


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ("  contactMail: x\n", True),  # something else is wrong with the tenant
        ("  contactMail: x\n  projectTags: {projectNam: a}\n", False),
        ("  projectTags: {projectNam: {a: b}}\n", False),  # what was left out may be the tag that is meant
        ("  payment: {tags: {projectNam: a}}\n", False),
    ],
)
@pytest.mark.parametrize("zone", ["z", "nowhere"])
def test_a_variable_is_called_misspelt_only_where_all_tags_are_known(
    tmp_path: Path, tags: str, told: bool, zone: str
) -> None:
    one = tenant("one", project="a").replace("corp-online", "z") + "---\n"
    found = problems(tmp_path, TAGGED + one + tenant("two", tags, project="b").replace("corp-online", zone))
    assert any("neither a variable nor a tag of any tenant" in p.message for p in found) is told


def test_a_document_that_repeats_a_person_without_end_says_that_not_all_is_listed(tmp_path: Path) -> None:
    found = problems(tmp_path, tenant("t", "  users:\n" + "    - {username: x, roles: [a]}\n" * 700))
    assert len(found) == 501
    assert "more than 500 mistakes; not all of them are listed" in found[0].message


def test_entries_that_were_left_out_do_not_shift_the_places_of_others(tmp_path: Path) -> None:
    emails, roles = ["a@b", "x", "x", "a@b", "a@b", "a@b"], ["[a]", "[a]", "[a]", "[a]", "[]", "[a]"]
    people = "".join(f"    - {{username: u{n}, email: {emails[n]}, roles: {roles[n]}}}\n" for n in range(6))
    found = problems(tmp_path, tenant("t", f"  users:\n{people}    - {{username: U5, roles: [a]}}\n"))
    assert [(p.line, p.field) for p in found] == [
        (11, "spec.users[1].email"),
        (12, "spec.users[2].email"),
        (14, "spec.users[4].roles"),
        (16, "spec.users[6]"),
    ]
