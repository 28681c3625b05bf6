"""The request to a landing zone's function: which headers it has and how values are written."""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain.invocation import colliding_headers, encoded, headers, invocation, kebab
from tests.domain.documents import SUBSCRIPTION, placed

FUNCTION = {"azureFunctionUrl": "https://fn.example/api/onboard", "azureFunctionScope": "api://3b7"}


def test_the_documented_headers_are_sent() -> None:
    where = placed(
        tenant={"tenantPlatformNumber": 4, "projectTags": {"myCustomerTag": ["a"], "costCenter": ["4711"]}},
        zone={"azureFunction": FUNCTION},
    )
    call = invocation(where.zone, where.tenant, subscription_id=SUBSCRIPTION)
    assert call is not None
    assert (call.url, call.scope) == (FUNCTION["azureFunctionUrl"], FUNCTION["azureFunctionScope"])
    assert dict(call.headers) == {
        "x-mesh-customer-identifier": "payments",
        "x-mesh-project-identifier": "checkout-dev",
        "x-mesh-landing-zone-identifier": "corp-online",
        "x-mesh-subscription-id": SUBSCRIPTION,
        "x-mesh-tenant-platform-number": "4",
        "x-mesh-costcenter": "4711",
        "x-mesh-tag-my-customer-tag": "a",
        "x-mesh-tag-cost-center": "4711",
    }
    assert list(call.headers) == sorted(call.headers)


def test_what_is_not_known_is_not_sent() -> None:
    where = placed()
    assert set(headers(where.zone, where.tenant, subscription_id=SUBSCRIPTION)) == {
        "x-mesh-customer-identifier",
        "x-mesh-project-identifier",
        "x-mesh-landing-zone-identifier",
        "x-mesh-subscription-id",
    }


def test_without_a_function_nothing_is_called() -> None:
    where = placed()
    assert invocation(where.zone, where.tenant, subscription_id=SUBSCRIPTION) is None


def test_no_tag_can_take_the_place_of_another_header() -> None:
    where = placed(tenant={"projectTags": {"subscriptionId": ["evil"], "x-mesh-subscription-id": ["evil"]}})
    assert headers(where.zone, where.tenant, subscription_id=SUBSCRIPTION)["x-mesh-subscription-id"] == SUBSCRIPTION


@pytest.mark.parametrize(
    ("tag", "header"),
    [
        ("myCustomerTag", "my-customer-tag"),
        ("costCenter", "cost-center"),
        ("cost_center", "cost-center"),
        ("cmdb-id", "cmdb-id"),
        ("HTTPServer", "http-server"),
        ("tag1Name", "tag1-name"),
        ("Größe", "gr-e"),
        ("a: b\r\nx-evil", "a-b-x-evil"),
        ("___", ""),
    ],
)
def test_tag_names_become_header_names(tag: str, header: str) -> None:
    assert kebab(tag) == header


@given(st.text(max_size=60))
def test_a_tag_name_never_breaks_out_of_its_header_name(tag: str) -> None:
    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", kebab(tag))
    assert kebab(kebab(tag)) == kebab(tag)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80))
def test_a_value_arrives_as_it_was_and_never_breaks_out_of_its_header(value: str) -> None:
    sent = encoded(value)
    assert all(0x20 <= ord(char) < 0x7F for char in sent)
    assert sent == sent.strip()
    if sent != value:
        assert unquote(sent) == value
        assert unquote_plus(sent) == value


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("plain text, 100%", "plain text, 100%"),
        ("Müller", "M%C3%BCller"),
        ("a\r\nb", "a%0D%0Ab"),
        (" a", "%20a"),
        ("ü+ %", "%C3%BC%2B%20%25"),
    ],
)
def test_only_what_is_not_plain_is_encoded(value: str, sent: str) -> None:
    assert encoded(value) == sent


def test_tags_that_would_be_one_header_are_told_as_pairs_with_the_first() -> None:
    tags = {"costCenter": "a", "other": "b", "cost-center": "c", "Cost Center": "d"}
    assert colliding_headers(tags) == [("costCenter", "cost-center"), ("costCenter", "Cost Center")]


def test_tags_of_whose_names_nothing_is_left_are_no_headers_that_could_be_one() -> None:
    assert kebab("ÄÖ") == kebab("___") == ""
    assert colliding_headers({"ÄÖ": "a", "___": "b", "c": "c"}) == []


@given(st.lists(st.text(alphabet="aB-_1", min_size=1, max_size=4).filter(kebab), unique=True))
def test_headers_collide_exactly_when_there_are_fewer_headers_than_tags(names: list[str]) -> None:
    assert len(names) - len({kebab(name) for name in names}) == len(colliding_headers(dict.fromkeys(names, "")))
