"""The engine's plan for other programs: the same document, and no secret of it anywhere."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runner.domain import masked_plan
from runner.domain.plan import SENSITIVE

SECRET = "canary-in-the-plan"


def document() -> dict[str, Any]:
    """What terraform 1.11 writes, shortened, with a secret in every place that may have one."""
    return {
        "format_version": "1.2",
        "terraform_version": "1.11.4",
        "variables": {
            "password": {"value": SECRET},
            "location": {"value": "westeurope"},
            "undeclared": {"value": SECRET},
        },
        "planned_values": {
            "outputs": {"key": {"sensitive": True, "value": SECRET}, "id": {"sensitive": False, "value": "7"}},
            "root_module": {
                "child_modules": [
                    {
                        "address": "module.a",
                        "resources": [
                            {
                                "address": "module.a.x.y",
                                "values": {
                                    "name": "n",
                                    "password": SECRET,
                                    "list": [{"inner": SECRET}, {"inner": "open"}],
                                },
                                "sensitive_values": {"password": True, "list": [{"inner": True}, {}]},
                            }
                        ],
                    }
                ]
            },
        },
        "resource_changes": [
            {
                "address": "module.a.x.y",
                "type": "x",
                "change": {
                    "actions": ["update"],
                    "before": {"password": SECRET, "tags": {"a": "b"}},
                    "after": {"password": SECRET, "note": f"it is {SECRET}!"},
                    "after_unknown": {"id": True},
                    "before_sensitive": {"password": True},
                    "after_sensitive": {"password": True},
                    "of_a_newer_engine": SECRET,
                },
            }
        ],
        "resource_drift": [
            {
                "address": "z",
                "change": {
                    "actions": ["update"],
                    "before": SECRET,
                    "after": None,
                    "before_sensitive": True,
                    "after_sensitive": False,
                },
            }
        ],
        "output_changes": {
            "key": {
                "actions": ["create"],
                "before": None,
                "after": SECRET,
                "before_sensitive": False,
                "after_sensitive": True,
            }
        },
        "prior_state": {
            "format_version": "1.0",
            "values": {
                "outputs": {"key": {"sensitive": True, "value": {"nested": [SECRET]}}},
                "root_module": {
                    "resources": [{"address": "q", "values": {"p": SECRET}, "sensitive_values": {"p": True}}]
                },
            },
        },
        "configuration": {
            "root_module": {
                "variables": {"password": {"sensitive": True}, "location": {}},
                "module_calls": {"a": {"expressions": {"text": {"constant_value": f"prefix {SECRET}"}}}},
            }
        },
        "of_a_newer_engine": {"value": SECRET},
    }


def test_no_secret_is_left_anywhere() -> None:
    assert SECRET not in json.dumps(masked_plan.read(document()))


def test_everything_else_stays_as_checks_know_it() -> None:
    found = masked_plan.read(document())
    assert found["format_version"] == "1.2"
    assert found["variables"]["location"] == {"value": "westeurope"}
    (change,) = found["resource_changes"]
    assert change["address"] == "module.a.x.y"
    assert change["change"]["actions"] == ["update"]
    assert change["change"]["before"] == {"password": SENSITIVE, "tags": {"a": "b"}}
    assert change["change"]["after"]["note"] == f"it is {SENSITIVE}!"
    (module,) = found["planned_values"]["root_module"]["child_modules"]
    assert module["resources"][0]["values"] == {
        "name": "n",
        "password": SENSITIVE,
        "list": [{"inner": SENSITIVE}, {"inner": "open"}],
    }
    assert found["planned_values"]["outputs"] == {
        "key": {"sensitive": True, "value": SENSITIVE},
        "id": {"sensitive": False, "value": "7"},
    }
    assert "of_a_newer_engine" not in found


def test_a_short_secret_leaves_ordinary_words_alone() -> None:
    short = {"variables": {"pin": {"value": "12"}}, "configuration": {"a": ["12", "year 2012"]}}
    assert masked_plan.read(short)["configuration"] == {"a": [SENSITIVE, "year 2012"]}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(min_size=4, max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_whatever_is_marked_as_a_whole_is_nowhere_in_the_result(value: Any) -> None:
    change = {
        "actions": ["create"],
        "before": None,
        "after": {"s": value, "o": [value, "open"]},
        "after_sensitive": {"s": True},
    }
    found = masked_plan.read({"resource_changes": [{"address": "a", "change": change}]})
    after = found["resource_changes"][0]["change"]["after"]
    assert after["s"] == SENSITIVE
    secret = [text for text in texts(value) if text not in SENSITIVE and text not in "open"]
    assert not any(text in left for text in secret for left in texts(after["o"]))


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in texts(part)]
