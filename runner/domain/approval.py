"""What a landing zone says about approvals beside its policy: rules in CEL (https://cel.dev), and checks that look at the plan first."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from runner.domain.document import Value

RULE_NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"
CHECK_NAME = r"^[a-z0-9]+([._-][a-z0-9]+)*$"
LONGEST_EXPRESSION = 2000
MOST_RULES = 20
MOST_CHECKS = 10

RuleName = Annotated[str, StringConstraints(pattern=RULE_NAME, max_length=60)]
CheckName = Annotated[str, StringConstraints(pattern=CHECK_NAME, max_length=60)]


class ApprovalRule(Value):
    """A rule of the approval policy: where its expression is true, it says who decides."""

    name: RuleName
    """Its name: lower case letters, digits and dashes. Approvals by the rule are recorded as policy:<landing zone>/<name>."""
    when: str = Field(min_length=1, max_length=LONGEST_EXPRESSION)
    """A CEL expression over the review that is true or false, as counts.destroy == 0 && size(roles) == 0."""
    then: Literal["ask", "allow", "deny"]
    """ask: a person decides. allow: it runs on, but where a person is always asked. deny: nobody may approve this plan."""
    message: str = Field(default="", max_length=500)
    """What the review says where the rule decides."""


class ExternalCheck(Value):
    """A check command that looks at the plan. Zones only name it: what is run is a file of that name in the server's LZR_CHECKS."""

    name: CheckName
    """Name of the file in the directory of checks."""
    blocks: bool = False
    """Whether nobody may approve a plan that the check did not pass, which includes that it could not be run."""
