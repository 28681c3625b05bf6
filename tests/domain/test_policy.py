"""Rules of an approval policy: what they may ask about, what follows from their answers, and what they never override."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain import policy, review
from runner.domain.access import AccessPlan, Addition, Invitation, Removal, Warn
from runner.domain.approval import ApprovalRule
from runner.domain.check import CheckResult
from runner.domain.landing_zone import ApprovalRules
from runner.domain.plan import Action
from runner.domain.policy import Unanswered
from runner.domain.review import Contents, Review, Verdict
from runner.domain.run import Behavior, Run, Status
from tests.domain.documents import OWNER, placed
from tests.domain.test_review import change, made, role

NOW = datetime(2027, 1, 4, 9, 30, tzinfo=UTC)
TAGS = {"projectTags": {"costCenter": ["4711"], "owner": ["a", "b"]}}
Then = Literal["ask", "allow", "deny"]


def run(**more: Any) -> Run:
    return Run(
        id="r1",
        tenant="payments.checkout-dev",
        landing_zone="corp-online",
        behavior=Behavior.APPLY,
        status=Status.PLANNING,
        requested_by="ops@corp.example",
        reason="CHG0042",
        created=NOW,
        updated=NOW,
        **more,
    )


def variables(which: Review, *, scheduled: bool = False, drifted: bool = False) -> dict[str, Any]:
    return policy.variables(which, placed(tenant=TAGS), run(), now=NOW, scheduled=scheduled, drifted=drifted)


def rule(name: str, then: Then) -> ApprovalRule:
    return ApprovalRule(name=name, when="true", then=then, message=f"said by {name}")


def everything() -> Review:
    group = change(
        "resource_group_network", Action.CREATE, after={"type": "Microsoft.Resources/resourceGroups@2024-03-01"}
    )
    people = AccessPlan(
        additions=(Addition(alias="user", group_name="g-user", person="dev@corp.example", object_id="1"),),
        removals=(
            Removal(
                alias="user", kind="user", group_name="g-user", group_id="2", object_id="3", label="old@corp.example"
            ),
        ),
        invitations=(
            Invitation(
                person="dev2", email="dev2@partner.example", display_name="", redirect_url="https://x", send_mail=False
            ),
        ),
    )
    found = made(group, role(f"admin/{OWNER}"), change("groups", Action.DELETE, before={}), access=people)
    check = CheckResult(name="infracost", blocks=False, outcome="passed", cost=12.5, currency="EUR")
    return found.model_copy(update={"checks": (check,), "warnings": (Warn(code="person-not-found", text="x"),)})


def test_every_variable_is_documented_with_an_example_of_its_shape() -> None:
    found = variables(everything())
    assert found.keys() == policy.VARIABLES.keys()
    for name, variable in policy.VARIABLES.items():
        example, real = shape(variable.example), shape(found[name])
        assert variable.open or name == "steps" or example == real, name
        assert f"`{name}`" in policy.table()


def shape(value: Any) -> Any:
    """Types and keys, without what is in them."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value)


def test_variables_tell_what_the_plan_would_do() -> None:
    found = variables(everything(), scheduled=True, drifted=True)
    assert found["counts"]["destroy"] == 1
    assert [one["resource"] for one in found["changes"] if one["resource"]] == ["Microsoft.Resources/resourceGroups"]
    assert {one["action"] for one in found["changes"]} == {"create", "delete"}
    (given_role,) = found["roles"]
    assert (given_role["name"], given_role["to"], given_role["highest"]) == ("Owner", "admin", True)
    assert found["members"]["removed"] == [{"person": "old@corp.example", "group": "g-user"}]
    assert found["guests"] == ["dev2@partner.example"]
    assert found["tags"] == {"costCenter": "4711", "owner": "a,b"}
    assert found["cost"] == {"known": True, "monthly": 12.5, "currency": "EUR"}
    assert found["checks"] == {"infracost": "passed"}
    assert (found["scheduled"], found["drift"], found["asker"], found["reason"]) == (
        True,
        True,
        "ops@corp.example",
        "CHG0042",
    )
    json.dumps(found)


def test_a_role_that_goes_is_not_given() -> None:
    assert variables(made(role(f"admin/{OWNER}", Action.DELETE)))["roles"] == []


def test_without_a_check_that_tells_it_the_cost_is_not_known() -> None:
    assert variables(made())["cost"] == {"known": False, "monthly": 0.0, "currency": ""}


def test_the_first_true_rule_decides() -> None:
    rules = [rule("one", "ask"), rule("two", "allow"), rule("three", "deny")]
    assert policy.verdict(rules, [False, True, True]) == Verdict(rule="two", then="allow", message="said by two")
    assert policy.verdict(rules, [False, False, False]) is None


def test_a_rule_that_cannot_be_evaluated_asks_a_person() -> None:
    found = policy.verdict([rule("one", "allow"), rule("two", "allow")], [Unanswered(why="x"), True])
    assert found is not None
    assert (found.rule, found.then) == ("one", "ask")


def test_a_rule_that_denies_does_so_although_one_before_it_could_not_be_evaluated() -> None:
    found = policy.verdict([rule("one", "allow"), rule("two", "deny")], [Unanswered(why="x"), True])
    assert found is not None
    assert (found.rule, found.then) == ("two", "deny")


EVALUATED = st.sampled_from([True, False, Unanswered(why="x")])


@pytest.mark.parametrize(
    ("whens", "later"),
    [
        ({"deny": "now.getMonth() == 11"}, True),
        ({"allow": "now.getHours() < 7", "deny": "true"}, True),  # what is allowed at night is denied by day
        ({"allow": "now.getHours() < 7", "ask": "true"}, False),
        ({"deny": "tags.known == 'nowhere'"}, False),
    ],
)
def test_only_rules_that_ask_about_the_time_may_deny_later(whens: dict[Then, str], later: bool) -> None:
    rules = [ApprovalRule(name=then, when=when, then=then) for then, when in whens.items()]
    assert policy.may_deny_later(rules) is later


RULES = st.lists(st.tuples(st.sampled_from(["ask", "allow", "deny"]), EVALUATED), max_size=8)


@given(RULES)
def test_a_plan_is_only_allowed_by_a_rule_that_is_true_after_others_that_are_false(
    found: list[tuple[Then, Any]],
) -> None:
    rules = [rule(f"r{index}", then) for index, (then, _) in enumerate(found)]
    answers = [answer for _, answer in found]
    said = policy.verdict(rules, answers)
    decisive = next((index for index, answer in enumerate(answers) if answer is not False), None)
    if decisive is None:
        assert said is None
    else:
        assert said is not None
        allowed = answers[decisive] is True and rules[decisive].then == "allow"
        assert (said.then == "allow") == allowed


def with_verdict(which: Review, then: Then) -> Review:
    return which.model_copy(update={"verdict": Verdict(rule="x", then=then)})


def test_a_rule_decides_instead_of_the_policy() -> None:
    harmless, harmful = made(change("tags", Action.UPDATE)), made(change("groups", Action.DELETE, before={}))
    assert review.decision(ApprovalRules(policy="always"), with_verdict(harmful, "allow")) == "policy"
    assert review.decision(ApprovalRules(policy="never"), with_verdict(harmless, "ask")) == "person"
    assert review.decision(ApprovalRules(policy="never"), with_verdict(harmless, "deny")) == "person"


def test_no_rule_overrides_what_always_asks_a_person() -> None:
    contents = made(contents=(Contents(resource_group="rg", resources=("x",)),))
    takes_over = made(change("resource_group_network", Action.UPDATE, importing="/x", before={"name": "rg"}))
    adopts = made(adopts={"shop-admin": "9"})
    leaves = made(change("groups", Action.DELETE, before={})).model_copy(update={"behavior": Behavior.DESTROY})
    for which in (contents, takes_over, adopts, leaves):
        assert review.decision(ApprovalRules(), with_verdict(which, "allow")) == "person"
    assert review.decision(ApprovalRules(four_eyes=True), with_verdict(made(), "allow")) == "person"


@pytest.mark.parametrize("outcome", ["failed", "could-not-run"])
def test_what_a_check_blocks_never_runs_on(outcome: Literal["failed", "could-not-run"]) -> None:
    for blocks in (True, False):
        check = CheckResult(name="conftest", blocks=blocks, outcome=outcome)
        which = with_verdict(made(change("tags", Action.UPDATE)), "allow").model_copy(update={"checks": (check,)})
        assert bool(which.stops) == blocks
        assert review.decision(ApprovalRules(policy="never"), which) == ("person" if blocks else "policy")


def test_checks_and_verdict_are_under_the_digest_and_reviews_from_before_keep_theirs() -> None:
    before = made(change("tags", Action.UPDATE))
    kept = {key: value for key, value in before.model_dump(mode="json").items() if key not in ("checks", "verdict")}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    assert Review.model_validate(kept).digest == hashlib.sha256(text.encode()).hexdigest()
    checked = before.model_copy(update={"checks": (CheckResult(name="a", blocks=True, outcome="passed"),)})
    digests = {
        Review.model_validate(which.model_dump()).digest
        for which in (before, checked, with_verdict(before, "allow"), with_verdict(before, "deny"))
    }
    assert len(digests) == 4


def test_names_that_macros_introduce_are_known() -> None:
    assert policy.bound('changes.all(c, c.type == "x") && roles . exists( r , r.highest)') == {"c", "r"}


def test_samples_have_the_tags_and_checks_that_an_expression_asks_for() -> None:
    full, empty = policy.samples('tags.costCenter == "1" && checks[\'conf-test\'] == "passed" && tags ["x y"] != ""')
    for sample in (full, empty):
        assert sample["tags"].keys() >= {"costCenter", "x y"}
        assert "conf-test" in sample["checks"]
    assert empty["changes"] == []
    assert empty["counts"]["add"] == 0
