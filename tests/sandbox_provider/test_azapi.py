"""azapi's stand-in under the real engine: what goes wrong, what is kept, and hostile input."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox_provider.double import SUBSCRIPTION, Answer, Azure, Store
from tests.sandbox_provider.engine import Workspace

SUB = f"/subscriptions/{SUBSCRIPTION}"
THING = f"{SUB}/providers/Contoso.Things/things/one"
NOT_VISIBLE = Answer(404, {"error": {"code": "ResourceNotFound", "message": "not yet"}})


def thing(body: str = "{}", more: str = "") -> str:
    return f"""
resource "azapi_resource" "thing" {{
  type                      = "Contoso.Things/things@2024-01-01"
  parent_id                 = "{SUB}"
  name                      = "one"
  schema_validation_enabled = false
  body                      = {body}
  {more}
}}
"""


def test_an_object_that_exists_is_refused_with_its_import_id(terraform: Workspace, store: Store) -> None:
    store.objects[THING] = {"id": THING}
    terraform.write(thing())
    ran = terraform.apply()
    assert ran.code == 1
    assert f'A resource with the ID "{THING}" already exists' in ran.text
    assert "Resource already exists" in ran.text


def test_an_object_whose_create_failed_half_way_is_tainted_and_replaced(
    terraform: Workspace, store: Store, azure: Azure
) -> None:
    failed = {"id": THING, "properties": {"provisioningState": "Failed"}}
    store.answer_next("PUT", "things", Answer(201, {"id": THING, "properties": {"provisioningState": "Creating"}}))
    store.answer_next("GET", "things", NOT_VISIBLE, Answer(200, failed), Answer(200, failed))
    terraform.write(thing("{ properties = { a = 1 } }"))
    assert terraform.apply().code == 1
    assert terraform.is_tainted("azapi_resource.thing")
    store.objects[THING] = failed
    assert terraform.plan().code == 2
    assert terraform.actions() == {"azapi_resource.thing": ["delete", "create"]}


def test_a_create_that_azure_refuses_leaves_nothing_behind(terraform: Workspace, store: Store) -> None:
    store.answer_next("PUT", "things", Answer(403, {"error": {"code": "AuthorizationFailed", "message": "no"}}))
    terraform.write(thing())
    ran = terraform.apply()
    assert ran.code == 1
    assert "RESPONSE 403: 403 Forbidden ERROR CODE: AuthorizationFailed" in ran.text
    assert terraform.addresses() == []


def test_an_update_that_azure_refuses_is_planned_again(terraform: Workspace, store: Store) -> None:
    terraform.variables = {"value": 1}
    terraform.write('variable "value" {}\n' + thing("{ properties = { a = var.value } }"))
    assert terraform.apply().code == 0
    store.answer_next("PUT", "things", Answer(409, {"error": {"code": "Conflict", "message": "locked"}}))
    terraform.variables = {"value": 2}
    assert terraform.apply().code == 1
    assert terraform.state("azapi_resource.thing")["body"]["value"]["properties"]["a"] == 1
    assert terraform.plan().code == 2


def test_a_location_is_followed_to_the_end_of_a_deletion(terraform: Workspace, store: Store, azure: Azure) -> None:
    terraform.write(thing())
    assert terraform.apply().code == 0
    place = {"Location": f"{azure.url}/operations/1"}
    store.answer_next("DELETE", "things", Answer(202, None, place))
    store.answer_next("GET", "operations", Answer(202, None, place), Answer(202, None, place), Answer(200))
    assert terraform.destroy().code == 0
    assert azure.sent().count("GET /operations/1") == 3


def test_a_server_that_says_when_to_come_back_is_obeyed(terraform: Workspace, store: Store, azure: Azure) -> None:
    operation = {"Azure-AsyncOperation": f"{azure.url}/operations/1", "Retry-After": "1"}
    store.answer_next("PUT", "things", Answer(202, {"id": THING}, operation))
    store.answer_next(
        "GET",
        "operations",
        Answer(200, {"status": "Running"}, {"Retry-After": "1"}),
        Answer(200, {"status": "Succeeded"}),
    )
    store.answer_next("GET", "things", NOT_VISIBLE, Answer(200, {"id": THING}), Answer(200, {"id": THING}))
    terraform.write(thing())
    assert terraform.apply().code == 0
    put, first, second, *_ = [call.at for call in azure.calls if call.method == "PUT" or "operations" in call.path]
    assert first - put > 0.9
    assert second - first > 0.9


def test_no_wait_is_added_where_azure_asks_for_none(terraform: Workspace, store: Store, azure: Azure) -> None:
    creating = {"id": THING, "properties": {"provisioningState": "Creating"}}
    store.answer_next("PUT", "things", Answer(201, creating))
    store.answer_next("GET", "things", NOT_VISIBLE, *[Answer(200, creating)] * 3, *[Answer(200, {"id": THING})] * 2)
    terraform.write(thing())
    assert terraform.apply().code == 0
    assert azure.calls[-1].at - azure.calls[0].at < 10  # the real provider waits 10 s after each of the three looks


def test_an_operation_that_fails_says_why(terraform: Workspace, store: Store, azure: Azure) -> None:
    operation = {"Azure-AsyncOperation": f"{azure.url}/operations/1"}
    store.answer_next("PUT", "things", Answer(201, {"id": THING}, operation))
    store.answer_next(
        "GET",
        "operations",
        Answer(200, {"status": "Failed", "error": {"code": "QuotaExceeded", "message": "too many"}}),
    )
    terraform.write(thing())
    ran = terraform.apply()
    assert ran.code == 1
    assert "ERROR CODE: QuotaExceeded" in ran.text
    assert "too many" in ran.text


@pytest.mark.parametrize(
    "address",
    [
        "https://management.azure.com/operations/1",
        "https://127.0.0.1:99999/",
        "http://127.0.0.1/",
        "/operations/1",
        "https://[",
        "nonsense",
    ],
)
def test_an_address_outside_the_sandbox_is_never_followed(terraform: Workspace, store: Store, address: str) -> None:
    store.answer_next(
        "PUT",
        "things",
        Answer(201, {"id": THING}, {"Azure-AsyncOperation": address}),
    )
    terraform.write(thing())
    ran = terraform.apply()
    assert ran.code == 1
    assert "refuses this address" in ran.text


def test_a_new_object_may_take_a_moment_to_be_visible(terraform: Workspace, store: Store) -> None:
    store.answer_next("GET", "things", NOT_VISIBLE, NOT_VISIBLE, NOT_VISIBLE)  # one before the create, two after it
    terraform.write(thing())
    assert terraform.apply().code == 0


def test_a_connection_that_breaks_is_made_again(terraform: Workspace, store: Store, azure: Azure) -> None:
    store.answer_next("PUT", "things", Answer(0), Answer(0))
    terraform.write(thing())
    ran = terraform.apply()
    assert ran.code == 0, ran.output
    assert azure.sent("PUT") == [f"PUT {THING}"] * 3


def test_a_throttled_request_is_sent_again(terraform: Workspace, store: Store, azure: Azure) -> None:
    store.answer_next(
        "PUT", "things", Answer(429, {"error": {"code": "TooManyRequests"}}, {"Retry-After": "0"}), Answer(503)
    )
    terraform.write(thing())
    assert terraform.apply().code == 0
    assert azure.sent("PUT") == [f"PUT {THING}"] * 3


def test_a_retry_ends_with_the_timeout_of_the_resource(terraform: Workspace, store: Store, azure: Azure) -> None:
    refusal = Answer(400, {"error": {"code": "PrincipalNotFound", "message": "who?"}})
    store.answer_next("PUT", "things", *[refusal] * 20)
    retry = 'retry = { error_message_regex = ["PrincipalNotFound"], interval_seconds = 1 }\n timeouts { create = "6s" }'
    terraform.write(thing(more=retry))
    ran = terraform.apply()
    assert ran.code == 1
    assert "PrincipalNotFound" in ran.text
    assert len(azure.sent("PUT")) in (2, 3)  # after 1 and 3 s; the next pause of 7 s would be too long


def test_headers_and_query_parameters_are_sent_with_their_operation(
    terraform: Workspace, store: Store, azure: Azure
) -> None:
    terraform.write(thing(more='create_query_parameters = { "b" = ["2"], "a" = ["1", "x y"] }'))
    assert terraform.apply().code == 0
    put = next(call for call in azure.calls if call.method == "PUT")
    assert put.url == f"{THING}?a=1%2Cx+y&api-version=2024-01-01&b=2"


def test_a_change_of_retry_or_timeouts_asks_azure_for_nothing(terraform: Workspace, store: Store, azure: Azure) -> None:
    terraform.write(thing())
    assert terraform.apply().code == 0
    terraform.write(
        thing(more='timeouts { create = "9m" }\n retry = { error_message_regex = ["x"] }\n read_headers = { h = "v" }')
    )
    assert terraform.apply().code == 0
    assert azure.sent("PUT") == [f"PUT {THING}"]
    assert terraform.plan().code == 0


def test_a_new_api_version_that_says_nothing_new_changes_nothing(
    terraform: Workspace, store: Store, azure: Azure
) -> None:
    terraform.write(thing("{ properties = { a = 1 } }"))
    assert terraform.apply().code == 0
    terraform.write(thing("{ properties = { a = 1 } }").replace("2024-01-01", "2025-01-01"))
    assert terraform.plan().code == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name                      = "one"', 'name = "two"'),
        ("Contoso.Things/things@", "Contoso.Things/others@"),
        (f'parent_id                 = "{SUB}"', f'parent_id = "{SUB}/resourceGroups/rg"'),
        ('location = "westeurope"', 'location = "northeurope"'),
        ("replace_triggers_external_values = [1]", "replace_triggers_external_values = [2]"),
        ("properties = { a = 1 }", "properties = { a = 2 }"),
    ],
)
def test_what_cannot_be_changed_in_place_is_replaced(terraform: Workspace, store: Store, old: str, new: str) -> None:
    more = 'location = "westeurope"\n replace_triggers_external_values = [1]\n replace_triggers_refs = ["properties.a"]'
    before = thing("{ properties = { a = 1 } }", more)
    assert old in before
    terraform.write(before)
    assert terraform.apply().code == 0
    terraform.write(before.replace(old, new))
    assert terraform.plan().code == 2
    assert terraform.actions() == {"azapi_resource.thing": ["delete", "create"]}


def test_a_location_spelled_otherwise_is_no_change(terraform: Workspace, store: Store) -> None:
    terraform.write(thing(more='location = "West Europe"'))
    assert terraform.apply().code == 0
    terraform.write(thing(more='location = "westeurope"'))
    assert terraform.plan().code == 0


def test_an_identity_that_is_taken_away_is_sent_as_none(terraform: Workspace, store: Store, azure: Azure) -> None:
    terraform.write(thing(more='identity { type = "SystemAssigned" }'))
    assert terraform.apply().code == 0
    terraform.write(thing())
    assert terraform.apply().code == 0
    assert [call.body["identity"] for call in azure.calls if call.method == "PUT"] == [
        {"type": "SystemAssigned"},
        {"type": "None"},
    ]
    assert terraform.plan().code == 0


def test_a_sensitive_body_is_sent_and_never_stored(terraform: Workspace, store: Store, azure: Azure) -> None:
    terraform.variables = {"secret": "hunter2"}
    terraform.write(
        'variable "secret" { ephemeral = true }\n'
        + thing("{ properties = { a = 1 } }", "sensitive_body = { properties = { s = var.secret } }")
    )
    assert terraform.apply().code == 0
    assert next(call.body for call in azure.calls if call.method == "PUT")["properties"] == {"a": 1, "s": "hunter2"}
    assert "hunter2" not in (terraform.directory / "terraform.tfstate").read_text(encoding="utf-8")
    assert terraform.plan().code == 0
    terraform.variables = {"secret": "changed"}
    assert terraform.plan().code == 2


def test_versions_say_which_part_of_a_sensitive_body_is_sent_again(
    terraform: Workspace, store: Store, azure: Azure
) -> None:
    def configuration(version: str) -> str:
        secret = 'sensitive_body = { properties = { s = "one", t = ["two"] } }'
        return thing(
            "{}", secret + f'\n sensitive_body_version = {{ "properties.s" = "1", "properties.t[0]" = "{version}" }}'
        )

    terraform.write(configuration("1"))
    assert terraform.apply().code == 0
    terraform.write(configuration("2"))
    assert terraform.apply().code == 0
    sent = [call.body for call in azure.calls if call.method == "PUT"]
    assert sent == [{"properties": {"s": "one", "t": ["two"]}}, {"properties": {"t": ["two"]}}]
    assert terraform.plan().code == 0


def test_nulls_of_a_body_can_be_left_out(terraform: Workspace, store: Store, azure: Azure) -> None:
    terraform.write(thing("{ properties = { a = null, b = { c = null, d = 1 } } }", "ignore_null_property = true"))
    assert terraform.apply().code == 0
    assert next(call.body for call in azure.calls if call.method == "PUT") == {"properties": {"b": {"d": 1}}}
    assert terraform.plan().code == 0


def test_locks_let_one_request_through_at_a_time(terraform: Workspace, store: Store, azure: Azure) -> None:
    terraform.write(
        f"""
resource "azapi_resource" "thing" {{
  count                     = 4
  type                      = "Contoso.Things/things@2024-01-01"
  parent_id                 = "{SUB}"
  name                      = "n${{count.index}}"
  schema_validation_enabled = false
  locks                     = ["{SUB}", "other"]
}}
"""
    )
    assert terraform.apply().code == 0
    assert len(azure.sent("PUT")) == 4


# azapi_update_resource and azapi_resource_action


UPDATE = f"""
resource "azapi_update_resource" "u" {{
  type                   = "Contoso.Things/things@2024-01-01"
  resource_id            = "{THING}"
  body                   = {{ properties = {{ ours = 2 }} }}
  response_export_values = ["properties.theirs"]
}}
"""


def test_an_update_of_what_is_not_there_is_an_error(terraform: Workspace, store: Store) -> None:
    terraform.write(UPDATE)
    ran = terraform.apply()
    assert ran.code == 1
    assert "checking for presence of existing" in ran.text


def test_an_update_keeps_what_others_set_and_deletes_nothing(terraform: Workspace, store: Store, azure: Azure) -> None:
    store.objects[THING] = {"id": THING, "name": "one", "properties": {"theirs": 1}}
    terraform.write(UPDATE)
    assert terraform.apply().code == 0
    assert terraform.state("azapi_update_resource.u")["output"]["value"] == {"properties": {"theirs": 1}}
    assert terraform.plan().code == 0
    assert terraform.destroy().code == 0
    assert store.objects[THING]["properties"].items() >= {"theirs": 1, "ours": 2}.items()


ACTION = f"""
variable "value" {{ default = 1 }}
resource "azapi_resource_action" "a" {{
  type                   = "Contoso.Things/things@2024-01-01"
  resource_id            = "{THING}"
  action                 = "start"
  body                   = {{ value = var.value }}
  response_export_values = {{ sent = "echo.value" }}
  when                   = "WHEN"
}}
"""


def test_an_action_on_apply_runs_again_when_its_body_changes(terraform: Workspace, store: Store, azure: Azure) -> None:
    terraform.write(ACTION.replace("WHEN", "apply"))
    assert terraform.apply().code == 0
    assert terraform.plan().code == 0
    terraform.variables = {"value": 2}
    assert terraform.apply().code == 0
    assert azure.sent() == [f"POST {THING}/start"] * 2
    assert terraform.state("azapi_resource_action.a")["output"]["value"] == {"sent": 2}
    assert terraform.destroy().code == 0
    assert azure.sent() == [f"POST {THING}/start"] * 2


def test_a_changed_body_of_an_action_on_destroy_fails_once_as_with_the_real_provider(
    terraform: Workspace, store: Store
) -> None:
    terraform.write(ACTION.replace("WHEN", "destroy"))
    assert terraform.apply().code == 0
    terraform.variables = {"value": 2}
    ran = terraform.apply()
    assert ran.code == 1
    assert "invalid result object after apply" in ran.text
    assert terraform.apply().code == 0


def test_an_action_on_what_is_gone_can_be_let_go(terraform: Workspace, store: Store) -> None:
    store.answer_next("POST", "start", Answer(404, {"error": {"code": "NotFound"}}))
    terraform.write(
        ACTION.replace("WHEN", "apply").replace(
            'action                 = "start"', 'action = "start"\n ignore_not_found = true'
        )
    )
    assert terraform.apply().code == 0
    assert terraform.state("azapi_resource_action.a")["exist"] is False


# Data sources


def test_pages_are_read_to_the_last(terraform: Workspace, store: Store, azure: Azure) -> None:
    following = f"{azure.url}{SUB}/providers/Contoso.Things/things?page=2"
    store.answer_next(
        "GET",
        "things$",
        Answer(200, {"value": [{"name": "a"}], "nextLink": following}),
        Answer(200, {"value": [{"name": "b"}]}),
    )
    terraform.write(
        f"""
data "azapi_resource_list" "l" {{
  type                   = "Contoso.Things/things@2024-01-01"
  parent_id              = "{SUB}"
  response_export_values = {{ names = "value[].name" }}
}}
"""
    )
    assert terraform.apply().code == 0
    assert terraform.state("data.azapi_resource_list.l")["output"]["value"] == {"names": ["a", "b"]}


def test_an_id_is_taken_apart_without_asking_anybody(terraform: Workspace, store: Store, azure: Azure) -> None:
    terraform.write(
        f"""
data "azapi_resource_id" "i" {{
  type      = "Contoso.Things/things"
  parent_id = "{SUB}/resourceGroups/rg"
  name      = "one"
}}
data "azapi_client_config" "me" {{}}
"""
    )
    assert terraform.apply().code == 0
    found = terraform.state("data.azapi_resource_id.i")
    assert (found["resource_group_name"], found["subscription_id"], found["provider_namespace"]) == (
        "rg",
        SUBSCRIPTION,
        "Contoso.Things",
    )
    assert found["id"] == f"{SUB}/resourceGroups/rg/providers/Contoso.Things/things/one"
    assert terraform.state("data.azapi_client_config.me")["object_id"] == "99999999-9999-9999-9999-999999999999"
    assert azure.calls == []


def test_a_resource_that_is_not_there_is_an_error_unless_that_is_expected(terraform: Workspace, store: Store) -> None:
    source = f'data "azapi_resource" "d" {{\n type = "Contoso.Things/things@2024-01-01"\n resource_id = "{THING}"\n'
    terraform.write(source + "}")
    ran = terraform.plan()
    assert ran.code == 1
    assert "Resource not found" in ran.text
    terraform.write(source + "ignore_not_found = true\n}")
    assert terraform.apply().code == 0
    assert terraform.state("data.azapi_resource.d")["exists"] is False


# Hostile input


def test_a_large_body_goes_through(terraform: Workspace, store: Store, azure: Azure) -> None:
    terraform.variables = {"big": "x" * 5_000_000}
    terraform.write('variable "big" {}\n' + thing("{ properties = { big = var.big } }"))
    assert terraform.apply().code == 0
    assert len(next(call.body for call in azure.calls if call.method == "PUT")["properties"]["big"]) == 5_000_000
    assert terraform.plan().code == 0


ODD: list[Any] = [
    {"ключ 🔑": "значение\u0000\ud7ff\U0001f600", "": ""},
    {"a": None, "b": [None, {"c": None}], "d": [], "e": {}},
    {"n": [0, -1, 1.5, 12345678901234567890123456789012345678, 0.1]},
    {"t": [[["x"], []], [{"y": [True, "true", 1]}]]},
    {"${var.x}": "%{ if true }"},
]


@pytest.mark.parametrize("body", ODD, ids=["unicode", "nulls", "numbers", "nesting", "templates"])
def test_an_odd_body_arrives_as_it_was_written_and_is_no_drift(
    terraform: Workspace, store: Store, azure: Azure, body: Any
) -> None:
    terraform.variables = {"properties": body}
    terraform.write('variable "properties" { type = any }\n' + thing("{ properties = var.properties }"))
    ran = terraform.apply()
    assert ran.code == 0, ran.output
    assert next(call.body for call in azure.calls if call.method == "PUT")["properties"] == json.loads(json.dumps(body))
    assert terraform.plan().code == 0


def test_a_deeply_nested_body_goes_through(terraform: Workspace, store: Store) -> None:
    body: Any = "bottom"
    for _ in range(60):
        body = {"down": [body]}
    terraform.variables = {"properties": body}
    terraform.write('variable "properties" { type = any }\n' + thing("{ properties = var.properties }"))
    assert terraform.apply().code == 0
    assert terraform.plan().code == 0


def test_a_body_that_is_nested_without_end_is_a_diagnostic(terraform: Workspace, store: Store) -> None:
    body: Any = "bottom"
    for _ in range(700):
        body = [body]
    terraform.variables = {"properties": body}
    terraform.write('variable "properties" { type = any }\n' + thing("{ properties = var.properties }"))
    ran = terraform.plan()
    assert ran.code == 1
    assert "nested too deeply" in ran.text


def test_a_name_with_a_space_is_one_segment_of_the_address(terraform: Workspace, store: Store, azure: Azure) -> None:
    terraform.write(thing().replace('"one"', '"eins zwei/ä?#"'))
    ran = terraform.apply()
    assert ran.code == 0, ran.output
    assert azure.sent("PUT") == [f"PUT {SUB}/providers/Contoso.Things/things/eins%20zwei/%C3%A4%3F%23"]


def test_a_header_that_cannot_be_sent_is_a_diagnostic(terraform: Workspace, store: Store) -> None:
    terraform.write(thing(more='read_headers = { x = "a\\nb" }'))
    ran = terraform.apply()
    assert ran.code == 1
    assert "cannot be sent" in ran.text


def test_an_unknown_deep_in_a_body_is_known_after_apply(terraform: Workspace, store: Store, azure: Azure) -> None:
    terraform.write(
        'resource "terraform_data" "t" { input = "x" }\n'
        + thing(
            "{ properties = { list = [{ a = terraform_data.t.output }], text = jsonencode({ b = terraform_data.t.id }), known = 1 } }"
        )
    )
    assert terraform.plan().code == 2
    after = terraform.changes()["azapi_resource.thing"]
    assert after["after"]["body"]["properties"]["known"] == 1
    assert after["after_unknown"]["body"]["properties"]["list"] == [{"a": True}]
    assert terraform.apply().code == 0
    assert next(call.body for call in azure.calls if call.method == "PUT")["properties"]["list"] == [{"a": "x"}]
    assert terraform.plan().code == 0


@pytest.mark.parametrize(
    ("more", "attribute", "says"),
    [
        ('body = "text"', "body", "must not be a string"),
        ('type = "no version"', "type", "should be like"),
        ('parent_id = "no id"', "parent_id", "must be the ID of an Azure resource"),
        ('retry = { error_message_regex = ["("] }', "error_message_regex", "Invalid regular expression"),
        ('retry = { error_message_regex = ["x"], interval_seconds = 0 }', "interval_seconds", "between 1 and 120"),
        ('timeouts { create = "soon" }', "timeouts", "Time Duration"),
        ("response_export_values = 5", "response_export_values", "list of paths or a map"),
        ('response_export_values = { a = "[?" }', "response_export_values", "not a JMESPath"),
        ('identity { type = "Sometimes" }', "type", "identity type must be one of"),
        ('tags = { a = "b" }\n body = { tags = { a = "b" } }', "tags", "can't specify both"),
    ],
)
def test_a_wrong_argument_is_a_diagnostic_at_its_line(
    terraform: Workspace, store: Store, more: str, attribute: str, says: str
) -> None:
    base = {"type": '"Contoso.Things/things@2024-01-01"', "parent_id": f'"{SUB}"', "name": '"one"'}
    given = {key: value for key, value in base.items() if not more.startswith(key)}
    terraform.write(
        'resource "azapi_resource" "thing" {\n'
        + "".join(f"{key} = {value}\n" for key, value in given.items())
        + more
        + "\n}"
    )
    ran = terraform.run("validate", "-json")
    (diagnostic,) = json.loads(ran.output)["diagnostics"]
    assert attribute in diagnostic["snippet"]["code"]
    assert says in diagnostic["summary"] + diagnostic["detail"]
    assert "Traceback" not in ran.output


def test_a_child_below_the_wrong_parent_is_a_diagnostic(terraform: Workspace, store: Store) -> None:
    terraform.write(thing().replace("Contoso.Things/things@", "Contoso.Things/things/parts@"))
    ran = terraform.apply()
    assert ran.code == 1
    assert "expect ID of `Contoso.Things/things`" in ran.text


def test_a_reply_that_is_no_json_is_a_diagnostic(terraform: Workspace, store: Store) -> None:
    store.answer_next(
        "GET", "things", Answer(500, "text"), Answer(500, "text"), Answer(500, "text"), Answer(500, "text")
    )
    terraform.write(thing())
    ran = terraform.apply()
    assert ran.code == 1
    assert "RESPONSE 500" in ran.text
    assert "Internal error" not in ran.text


@pytest.mark.parametrize(
    "reply", [None, [], "text", 5, {"properties": []}, {"location": None, "tags": None, "identity": []}]
)
def test_a_reply_of_another_shape_is_no_traceback(terraform: Workspace, store: Store, reply: Any) -> None:
    store.answer_next("PUT", "things", Answer(200, reply))
    store.answer_next("GET", "things", NOT_VISIBLE, Answer(200, reply), Answer(200, reply))
    terraform.write(thing("{ properties = { a = 1 } }", 'response_export_values = ["properties.a"]'))
    ran = terraform.apply()
    assert "Internal error" not in ran.text
    assert "Internal error" not in terraform.plan().text


def test_the_secret_is_in_no_output_and_no_state(terraform: Workspace, store: Store, azure: Azure) -> None:
    terraform.environment["TF_LOG"] = "trace"
    terraform.write(thing("{ properties = { a = 1 } }"))
    ran = terraform.apply()
    assert ran.code == 0
    assert azure.token_requests[0]["client_secret"] == "a-secret-that-must-not-show"
    for text in (ran.output, (terraform.directory / "terraform.tfstate").read_text(encoding="utf-8")):
        assert "a-secret-that-must-not-show" not in text
        assert "e30." not in text  # the token
