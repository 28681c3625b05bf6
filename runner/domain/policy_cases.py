"""Cases that prove an approval policy: what is given to its rules, and what they are expected to say."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from runner.domain import policy
from runner.domain.approval import RuleName
from runner.domain.document import Once, Value, check_once, wrong

Expected = Literal["ask", "allow", "deny", "policy"]


class PolicyCase(Value):
    """One case. What is not given is nothing: no changes, no people, every count 0."""

    name: str = Field(min_length=1, max_length=200)
    """What the case is about."""
    given: dict[str, Any] = {}
    """Variables of the rules' expressions, as far as they matter."""
    expect: Expected
    """What the rule says that decides; policy: no rule decides, so the landing zone's policy does."""
    rule: RuleName | None = None
    """The rule that is to decide; without it, any."""

    @model_validator(mode="after")
    def _given_as_variables_are(self) -> Self:
        self.variables("zone")
        return self

    def variables(self, zone: str) -> dict[str, Any]:
        """Every variable that expressions may use, in this landing zone."""
        _, found = policy.samples("true")
        found |= {"tags": {}, "checks": {}, "behavior": "apply", "zone": zone}
        for name, value in self.given.items():
            if name not in policy.VARIABLES:
                raise wrong(
                    f"There is no variable {name}.", field="given", hint=f"One of {', '.join(policy.VARIABLES)}."
                )
            found[name] = _as(policy.VARIABLES[name].example, value, f"given.{name}", open_=policy.VARIABLES[name].open)
        try:
            moment = datetime.fromisoformat(found["now"])
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise wrong("now is a moment with its time zone.", field="given.now", hint="2027-01-04T09:30:00Z")
        return found


class PolicyCases(Value):
    """The cases of one landing zone's policy."""

    cases: tuple[PolicyCase, ...] = Field(min_length=1, max_length=1000)
    """The cases."""

    once: ClassVar = (
        Once(
            entries="cases",
            by="name",
            message='The case "{}" is there twice.',
            hint="Give each its own name.",
            at="name",
        ),
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        check_once(self)
        return self


def _as(example: Any, value: Any, field: str, *, open_: bool = False) -> Any:
    """The value in the shape of the example; what is left out of a map is nothing. Scalars of documents are texts."""
    match example:
        case dict() if isinstance(value, dict) and open_:
            return {key: _as("", part, f"{field}.{key}") for key, part in value.items()}
        case dict() if isinstance(value, dict):
            if strange := [key for key in value if key not in example]:
                raise wrong(f"There is no {strange[0]} there.", field=field, hint=f"One of {', '.join(example)}.")
            given = {key: _as(example[key], part, f"{field}.{key}") for key, part in value.items()}
            return {**policy.emptied(example), **given}
        case list() if isinstance(value, list):
            return [_as(example[0], part, f"{field}.{index}") for index, part in enumerate(value)]
        case bool() if value in ("true", "false"):
            return value == "true"
        case str() if isinstance(value, str):
            return value
        case int() | float() if isinstance(value, str) and not isinstance(example, bool):
            try:
                return type(example)(value)
            except ValueError:
                pass
    kinds = {
        dict: "a map",
        list: "a list",
        bool: "true or false",
        str: "a text",
        int: "a whole number",
        float: "a number",
    }
    raise wrong(f"{kinds[type(example)].capitalize()} belongs here.", field=field)
