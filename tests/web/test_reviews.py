"""A review as a page shows it, what is different between two, and what a landing zone's document says in words and in a picture."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import documents
from runner.domain.access import AccessPlan, Addition, Removal
from runner.domain.block_review import BlockReview
from runner.domain.facts import BlockFacts, Facts, Source
from runner.domain.landing_zone import ApprovalRules, LandingZone
from runner.domain.plan import Action
from runner.domain.review import Contents, Review, StaleTags
from runner.domain.subscription import Step
from runner.web.pages import documented, policies, reviews
from runner.web.pages.comparing import compared
from runner.web.pages.picture import Box, picture
from runner.web.pages.rendering import ago, every, who
from tests.domain.documents import placed
from tests.domain.test_review import change, made
from tests.web.filling import a_block, a_plan, thing

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "documents"
NOW = datetime(2026, 3, 4, tzinfo=UTC)


def kept(made: Review | BlockReview) -> dict[str, Any]:
    return made.model_dump(mode="json")


def test_changes_are_grouped_by_what_they_are_about_worst_first() -> None:
    shown = reviews.changes(kept(a_plan(placed())))
    assert shown.parts[0].title == "Resource groups"
    assert {part.title for part in shown.parts} >= {"Entra groups", "Role assignments", "Tags", "Management group"}
    assert list(shown.signs) == ["-", "~", "+"]
    assert sum(shown.signs.values()) == shown.total


@pytest.mark.parametrize(
    ("address", "title"),
    [
        ("module.blueprint_network.azapi_resource.this", "Blueprints"),
        ("module.stack_baseline.azapi_resource.this", "Deployment stacks"),
        ("module.block_log.azapi_resource.this", "Building block log"),
        ("module.resource_group_network[0].azapi_resource.this", "Resource groups"),
        ("module.other_thing.x.y", "Other thing"),
        ("azapi_resource.this", "Resources"),
    ],
)
def test_a_block_of_the_configuration_has_a_name_for_people(address: str, title: str) -> None:
    assert reviews.group_of(address) == title


def test_a_search_finds_sentences_addresses_and_what_is_inside() -> None:
    found = kept(a_plan(placed()))
    assert reviews.changes(found, search="LEGACY").found == 1
    assert reviews.changes(found, search="azuread_group").found == 3
    assert reviews.changes(found, search="notin").found == 1
    assert reviews.changes(found, search="hunter2").found == 0
    assert reviews.changes(found, search="group", sign="-").found == 1


def test_of_many_changes_some_are_shown_at_once() -> None:
    found = kept(made(*(change("groups", Action.CREATE, key=str(number)) for number in range(450))))
    first = reviews.changes(found)
    assert (first.after, sum(len(part.changes) for part in first.parts)) == (200, 200)
    last = reviews.changes(found, begin=400)
    assert (last.after, last.parts[0].changes[-1].number) == (None, 449)
    assert sum(len(part.changes) for part in reviews.changes(found, most=None).parts) == 450


def test_a_change_is_found_by_its_number_and_nothing_by_any_other() -> None:
    found = kept(a_plan(placed()))
    for number, sentence in enumerate(found["sentences"]):
        told = reviews.change_at(found, number)
        assert told is not None
        assert told["address"] == sentence["address"]
    assert reviews.change_at(found, -1) is None
    assert reviews.change_at(found, len(found["sentences"])) is None


def test_everything_that_happens_beside_the_engine_is_told() -> None:
    review = made(adopts={"shop-admin": "99"}).model_copy(
        update={
            "stale_tags": StaleTags(scope="/x", tags={"lz_old": "1"}),
            "steps": (Step(kind="rename", subscription="s", before="a", name="b"),),
            "facts": Facts(
                subscription_name="b",
                source=Source(how="created", stage="to-create"),
                blocks={"log": BlockFacts(called="Log", source="git::x", commit="c" * 40, digest="d" * 64)},
            ),
        }
    )
    told = " ".join(text for _, text in (*reviews.beside(kept(review)), *reviews.steps(kept(review))))
    assert "shop-admin that exists already (99)" in told
    assert "lz_old = 1" in told
    assert "Rename the subscription" in told
    assert reviews.sources(kept(review)) == ("building block Log: git::x at cccccccccccc, code dddddddddddd",)
    assert reviews.is_preview(kept(review))


def test_people_are_told_with_what_identifies_them() -> None:
    admin, guest, former = reviews.people(kept(a_plan(placed())))
    assert (admin.sign, admin.who, admin.note) == ("+", "dev1@corp.example", "")
    assert "object id a1" in admin.ids
    assert guest.note == "is invited as a guest first, mail sent"
    assert "https://portal.azure.com/workloads.example" in guest.ids
    assert (former.sign, former.who) == ("-", "former@corp.example")


def test_a_building_blocks_review_is_shown_alike() -> None:
    block = a_block("b", "x", thing("x", ["create"], after={}))
    found = kept(block)
    assert reviews.changes(found).total == 1
    assert not [*reviews.people(found), *reviews.beside(found), *reviews.steps(found)]
    assert reviews.providers(found) == "tofu 1.10.0"
    assert reviews.sources(found) == ("building block Storage: https://git.example/x at cccccccccccc",)


def test_nothing_is_different_between_a_review_and_itself() -> None:
    found = kept(a_plan(placed()))
    assert compared(found, found) == ()


def test_what_is_different_between_two_reviews_is_told_thing_by_thing() -> None:
    ada = Addition(alias="admin", group_name="admins", person="ada", object_id="1")
    bert = Removal(alias="admin", group_name="admins", group_id="g", object_id="2", kind="user", label="bert")
    older = made(
        change("resource_group_a", Action.CREATE, after={"name": "a", "location": "x"}),
        change("resource_group_b", Action.CREATE, after={"name": "b", "location": "x"}),
        access=AccessPlan(additions=(ada,)),
    )
    newer = made(
        change("resource_group_a", Action.CREATE, after={"name": "a", "location": "x", "tags": {"t": "1"}}),
        change("resource_group_c", Action.CREATE, after={"name": "c", "location": "x"}),
        access=AccessPlan(removals=(bert,)),
        contents=(Contents(resource_group="b", resources=("vm",)),),
    ).model_copy(update={"documents": "e" * 64})
    told = [(one.kind, one.text, one.number) for one in compared(kept(older), kept(newer))]
    assert told == [
        ("other", "+ Create the resource group a in x", 0),
        ("new", "+ Create the resource group c in x", 1),
        ("new", "- bert out of admins", None),
        ("new", "- b with 1 resources in it", None),
        ("gone", "+ Create the resource group b in x", None),
        ("gone", "+ ada into admins", None),
        ("other", f"Documents: {'e' * 64}", None),
    ]


def test_who_decides_is_told_in_words() -> None:
    assert policies.approval(ApprovalRules(policy="never")).who == "nobody: what is planned runs on"
    four_eyes = policies.approval(ApprovalRules(policy="always", four_eyes=True))
    assert four_eyes.who.endswith("and never who asked")
    rule = {"name": "no-owners", "when": "size(roles) > 0", "then": "deny"}
    ruled = policies.approval(
        ApprovalRules.model_validate({"rules": [rule], "checks": [{"name": "cost", "blocks": True}]})
    )
    assert ruled.rules == ("no-owners: nobody may approve it where size(roles) > 0",)
    assert ruled.checks == ("cost, which blocks what it does not pass",)


def read(example: str) -> tuple[LandingZone, Any]:
    found = documents.read([EXAMPLES / example])
    (zone,) = list(found.zones.values())[:1]
    return zone, found.platforms.get(zone.spec.platform_ref.name)


def inside(inner: Box, outer: Box) -> bool:
    return (
        outer.x <= inner.x
        and outer.y <= inner.y
        and inner.x + inner.width <= outer.x + outer.width
        and inner.y + inner.height <= outer.y + outer.height
    )


def test_a_landing_zone_is_drawn_with_what_it_does() -> None:
    found = picture(placed().zone, placed().platform)
    kinds = {
        kind: [box for box in found.boxes if box.kind == kind]
        for kind in ("above", "scope", "thing", "people", "function")
    }
    (above,), (scope,) = kinds["above"], kinds["scope"]
    assert inside(scope, above)
    assert all(inside(thing, scope) for thing in kinds["thing"])
    assert kinds["people"][0].lines == ("Owner",)
    assert len(found.arrows) == len(kinds["people"]) + len(kinds["function"])
    assert "has Owner there" in found.words


@pytest.mark.parametrize(
    "example", ["deployments", "building-blocks", "resource-groups", "sovereign-cloud", "home-tenants"]
)
def test_every_example_is_drawn_within_its_frame_and_no_box_covers_another(example: str) -> None:
    found = picture(*read(example))
    frame = Box(0, 0, found.width, found.height, "", "")
    assert all(inside(box, frame) for box in found.boxes)
    for number, one in enumerate(found.boxes):
        for other in found.boxes[number + 1 :]:
            apart = (
                one.x + one.width <= other.x
                or other.x + other.width <= one.x
                or one.y + one.height <= other.y
                or other.y + other.height <= one.y
            )
            assert apart or inside(other, one) or inside(one, other)


def test_versions_are_listed_with_what_is_documented_no_longer_at_the_end() -> None:
    listed = policies.versions({"b": "2", "a": "1"}, {"b": {"2": 10, "1": 1}, "gone": {"x": 1}})
    assert listed == [("b", "2", "2 (10 tenants), 1 (1 tenant)"), ("a", "1", ""), ("gone", "", "x (1 tenant)")]


def test_what_the_documents_want_of_a_tenant_is_told_without_azure() -> None:
    found = documents.read([EXAMPLES.parent / "demo"]).placed("payments.checkout-dev")
    wanted = documented.wanted_of(found)
    assert ("Group", "payments.checkout-dev-admin: Owner") in wanted
    assert ("Resource group", "rg-network-checkout-dev in westeurope") in wanted
    assert ("Tag", "lz_costCenter = 4711") in wanted
    assert ("dev1@corp.example", "Project Admin") in documented.people_of(found)


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (timedelta(seconds=0), "just now"),
        (timedelta(seconds=1), "1 second ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(hours=25), "1 day ago"),
        (timedelta(days=400), "400 days ago"),
        (-timedelta(hours=1), "just now"),
    ],
)
def test_how_long_ago_something_was_is_told_in_one_unit(before: timedelta, told: str) -> None:
    assert ago(NOW - before, NOW) == told


def test_how_often_something_is_done_is_told() -> None:
    assert every(timedelta(0)) == "only when somebody asks"
    assert every(timedelta(days=1)) == "every day"
    assert every(timedelta(hours=12)) == "every 12 hours"


def test_whom_a_record_names_is_told_by_name_with_the_id_beside() -> None:
    assert who("Ada (oidc:https://id.example#ada)") == '<span title="Ada (oidc:https://id.example#ada)">Ada</span>'
    assert who("schedule") == "schedule"


@given(st.text())
def test_no_name_is_more_than_text(name: str) -> None:
    told = str(who(f"{name} (oidc:x)"))
    assert told.count("<") == 2
    assert "\u202e" not in told
