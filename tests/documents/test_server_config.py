"""A server's configuration: every mistake with its line and field, and what its rights and claims mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runner.documents import server
from runner.documents.problems import DocumentErrors
from runner.documents.schema import schema_of_server
from runner.domain.actor import Role, SignedIn
from runner.domain.server_config import ServerConfig, Workload
from runner.errors import InputError

EXAMPLE = Path(__file__).parents[2] / "examples" / "server" / "server.yaml"
ISSUER = "https://login.example/v2.0"
WHO = SignedIn(id=f"oidc:{ISSUER}#ada", name="Ada", issuer=ISSUER, subjects=("ada", "0id"), groups=("g1",))


def test_the_example_is_right_and_fits_its_schema() -> None:
    config = server.read(EXAMPLE)
    assert config.origin == "https://lzr.example.com"
    assert [one.role for one in config.access] == [Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN]
    assert config.workloads[0].claims["repository_id"] == ("123456",)  # without quotes it is a number
    jsonschema.Draft202012Validator(schema_of_server()).validate(yaml.safe_load(EXAMPLE.read_text()))


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("publicUrl: lzr.example", 1, "publicUrl"),
        ("publicUrl: http://lzr.example", 1, "publicUrl"),
        ("publicUrl: https://lzr.example/below", 1, "publicUrl"),
        ("publicUrl: https://ada@lzr.example", 1, "publicUrl"),
        ("publicUrl: https://l.example\nlimits:\n  signIns: 0", 3, "limits.signIns"),
        ("publicUrl: https://l.example\nsignin: {}", 2, "signin"),
        ("publicUrl: https://l.example\naccess: [{role: viewer, groups: [a]}]", 2, "access"),
        ("publicUrl: https://l.example\nsignIn: {issuer: 'http://i.example', clientId: a}", 2, "signIn.issuer"),
        (
            "publicUrl: https://l.example\nsignIn: {issuer: 'https://i', clientId: a, scopes: [email]}",
            2,
            "signIn.scopes",
        ),
        (
            "publicUrl: https://l.example\nsignIn:\n  issuer: https://i\n  clientId: a\n  clientSecret: hunter2",
            5,
            "signIn.clientSecret",
        ),
        (
            "publicUrl: https://l.example\nsignIn: {issuer: 'https://i', clientId: a}\naccess:\n- role: boss\n  groups: [a]",
            4,
            "access[0].role",
        ),
        (
            "publicUrl: https://l.example\nsignIn: {issuer: 'https://i', clientId: a}\naccess:\n- role: viewer",
            4,
            "access[0]",
        ),
        (
            "publicUrl: https://l.example\nworkloads:\n- {name: a, role: viewer, issuer: 'https://i', audience: b, claims: {}}",
            3,
            "workloads[0].claims",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, line: int, field: str) -> None:
    file = tmp_path / "server.yaml"
    file.write_text(text + "\n")
    with pytest.raises(DocumentErrors) as told:
        server.read(file)
    (problem,) = told.value.problems
    assert (problem.file, problem.line, problem.field) == (str(file), line, field), problem
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("content", [b"", b"a: 1\n---\nb: 2\n", b"a: [", b"&a [*a]", b"- 1"])
def test_what_is_no_configuration_is_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "server.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError):
        server.read(file)


@pytest.mark.parametrize("name", ["missing.yaml", "binary.yaml", "."])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError) as told:
        server.read(tmp_path / name)
    assert told.value.code == "server-config-unreadable"


# --- Rights ----------------------------------------------------------------------------------------------------------


def config(*access: dict[str, Any]) -> ServerConfig:
    return ServerConfig.model_validate(
        {"publicUrl": "https://l.example", "signIn": {"issuer": ISSUER, "clientId": "a"}, "access": access}
    )


def test_rights_add_up_and_each_keeps_its_place() -> None:
    found = config(
        {"role": "viewer", "groups": ["g1"]},
        {"role": "approver", "subjects": ["0id"], "zones": ["corp"]},
        {"role": "admin", "groups": ["g2"]},
        {"role": "viewer", "subjects": ["ada"]},
    ).grants(WHO)
    assert [(grant.role, grant.zones) for grant in found] == [(Role.VIEWER, ()), (Role.APPROVER, ("corp",))]


def test_a_group_is_no_subject_and_no_role() -> None:
    assert not config(
        {"role": "admin", "groups": ["ada"]}, {"role": "admin", "subjects": ["g1"], "roles": ["g1"]}
    ).grants(WHO)


def test_somebody_of_another_issuer_or_of_none_has_no_rights() -> None:
    rights = config({"role": "admin", "groups": ["g1"]})
    assert rights.grants(WHO)
    for issuer in ("", "https://login.example", f"{ISSUER}/"):
        assert not rights.grants(WHO.model_copy(update={"issuer": issuer}))


@pytest.mark.parametrize(
    ("given_", "origin"),
    [
        ("https://LZR.example/", "https://lzr.example"),
        ("https://lzr.example:443", "https://lzr.example"),
        ("https://lzr.example:8443", "https://lzr.example:8443"),
        ("http://127.0.0.1:8460", "http://127.0.0.1:8460"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_the_public_address_is_known_as_browsers_name_it(given_: str, origin: str) -> None:
    assert ServerConfig.model_validate({"publicUrl": given_}).origin == origin


# --- Claims ----------------------------------------------------------------------------------------------------------


def workload(**claims: Any) -> Workload:
    values = {"name": "a", "role": "viewer", "issuer": "https://i", "audience": "b", "claims": claims}
    return Workload.model_validate(values)


def test_every_claim_has_to_fit_and_one_value_is_enough_for_each() -> None:
    needed = workload(repository_id=7, ref=["main", "release/*"])
    assert needed.fits({"repository_id": "7", "ref": "release/1"})
    assert needed.fits({"repository_id": 7, "ref": "main", "more": True})
    for claims in ({"repository_id": "7"}, {"ref": "main"}, {"repository_id": "77", "ref": "main"}, {}):
        assert not needed.fits(claims)


def test_a_flag_is_fitted_by_its_json_name() -> None:
    assert workload(protected="true").fits({"protected": True})
    assert not workload(protected="true").fits({"protected": False})


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_only_a_star_is_a_pattern(pattern: str, value: str) -> None:
    fits = workload(ref=pattern).fits({"ref": value})
    if "*" not in pattern:
        assert fits == (pattern == value)
    elif fits:
        parts = pattern.split("*")
        assert value.startswith(parts[0])
        assert value.endswith(parts[-1])


@given(st.text(min_size=1).filter(lambda text: "*" not in text))
def test_a_value_without_a_star_fits_itself(value: str) -> None:
    assert workload(ref=value[:500]).fits({"ref": value[:500]})
