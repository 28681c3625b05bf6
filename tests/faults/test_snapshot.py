"""What is read of a Terraform state: its header, and what in it is half made."""

from __future__ import annotations

import json

import pytest

from runner.terraform import snapshot

FIRST = b"""{
  "version": 4,
  "serial": 0,
  "lineage": "",
  "outputs": {"lineage": {"value": "", "serial": 0}},
  "resources": [{"instances": [{"attributes": {"big": 12345678901234567890123, "exact": 0.10000000000000000001}}]}]
}
"""


def test_a_first_state_gets_a_lineage_and_a_serial_and_nothing_else_is_touched() -> None:
    given = snapshot.with_lineage(FIRST)
    read = json.loads(given)
    assert read["serial"] == 1
    assert len(read["lineage"]) == 36
    assert given.replace(read["lineage"].encode(), b"", 1).replace(b'"serial": 1', b'"serial": 0', 1) == FIRST


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"serial": 3, "lineage": "l"}', b'{"serial": 3, "lineage": ""}']
)
def test_any_other_content_stays_as_it_is(content: bytes) -> None:
    assert snapshot.with_lineage(content) == content


def test_what_may_not_be_made_anew_is_kept_when_it_is_half_made() -> None:
    def resource(module: str, type_: str, *, status: str = "tainted", **more: object) -> dict[str, object]:
        instance = {"status": status, "attributes": {"type": type_}, **more}
        return {"module": module, "type": "azapi_resource", "name": "this", "instances": [instance]}

    state = {
        "resources": [
            resource("module.resource_group_a", "Microsoft.Resources/resourceGroups@2022-09-01"),
            resource("module.resource_group_b", "Microsoft.Resources/resourceGroups@2022-09-01", status=""),
            resource("module.roles", "Microsoft.Authorization/roleAssignments@2022-04-01", index_key='a "b"'),
            resource("module.tags", "Microsoft.Resources/tags@2021-04-01"),
        ]
    }
    assert snapshot.half_made(json.dumps(state).encode()) == [
        "module.resource_group_a.azapi_resource.this",
        'module.roles.azapi_resource.this["a \\"b\\""]',
    ]
    assert snapshot.half_made(b"{}") == []
