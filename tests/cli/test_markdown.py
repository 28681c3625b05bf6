"""A review as Markdown: what was somebody else's text stays text, whatever it is, and a page has its length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from runner.cli.markdown import LONGEST, marker, page, size, span
from runner.cli.outcome import Outcome, Stand
from runner.domain.access import AccessPlan, Addition
from runner.domain.plan import Action
from runner.domain.review import Contents, Review, Risk
from runner.domain.run import Behavior, Failure, Run, Status
from runner.errors import InputError, Refused
from tests.cli.test_words import ACCESS, NOW
from tests.domain.test_review import association, change, made

GOLDEN = Path(__file__).parents[1] / "cases" / "markdown"
HOSTILE = [
    "@octocat",
    "#1",
    "GH-1 octo/repo#1 !1 ~bug %1 $1 &1",
    "](javascript:alert(1)) ![x](https://evil.example/x.png)",
    "<img src=x onerror=alert(1)>",
    "</details></summary>",
    "`` ` ``` ```` `",
    "a|b|c\\|d",
    "\n/approve\n/merge",
    "\r\n```\n# Heading",
    "admin\u202eredaer",
    "https://evil.example www.evil.example a@evil.example",
    "<!-- lzr-ci -->",
    "*b* _i_ ~~s~~ :tada: &amp; \\",
    "~~~\n",
    "\u2028/close\u2029",
    " ",
]


def a_run(tenant: str = "payments.checkout-dev", status: Status = Status.WAITING, **more: Any) -> Run:
    return Run(
        id=f"r-{len(tenant)}" if tenant != "payments.checkout-dev" else "r1",
        tenant=tenant,
        landing_zone=more.pop("landing_zone", "corp-online"),
        behavior=Behavior.APPLY,
        status=status,
        requested_by="anna",
        created=NOW,
        updated=NOW,
        **more,
    )


def stand(review: Review | None, run: Run | None = None, url: str = "") -> Stand:
    return Stand(run or a_run(), lambda: review, url)


def outcome(*stands: Stand, **more: Any) -> Outcome:
    return Outcome(stands=stands, exit_code=6, **more)


def parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").parse(text)


def flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from flat(token.children or [])


def hostile_review(text: str) -> Review:
    found = made(
        change("groups", Action.UPDATE, key=text, before={"name": "a"}, after={"name": text}),
        access=AccessPlan(additions=(Addition(alias="admin", group_name=text, person=text, object_id="1"),)),
        contents=(Contents(resource_group=text, resources=(text,)),),
    )
    return found.model_copy(update={"tenant": text, "landing_zone": text, "risks": (Risk(code="deletes", text=text),)})


def hostile_page(text: str) -> str:
    failure = Failure(family="engine", code="x", summary=text, detail=text, hint=text, step=text)
    return page(
        outcome(
            stand(hostile_review(text), a_run(text, landing_zone=text)),
            stand(None, a_run(f"{text}2", Status.FAILED, failure=failure), url=f"https://lzr.example/{text}"),
            refused=((text, Refused(text, code="x", detail=text, hint=text)),),
            error=InputError(text, code="x", detail=text, hint=text),
        ),
        about=text,
    )


@pytest.mark.parametrize("name", ["waiting", "many"])
def test_pages_are_as_they_were_when_somebody_looked_at_them(name: str) -> None:
    changes = (association(), change("groups", Action.CREATE, key="admin", after={"display_name": "x-admin"}))
    waiting = stand(made(*changes, access=ACCESS), a_run(counts={"add": 1, "change": 1, "destroy": 0}, risks=2))
    pages = {
        "waiting": page(outcome(waiting), about="my-landing-zones"),
        "many": page(
            outcome(
                waiting,
                stand(made(), a_run("quiet", Status.UNCHANGED)),
                stand(
                    None,
                    a_run(
                        "broken",
                        Status.FAILED,
                        failure=Failure(
                            family="engine", code="x", summary="It failed", detail="Here.", hint="Do this."
                        ),
                    ),
                    url="https://lzr.corp.example/runs/r2",
                ),
                refused=(("leaving", Refused("Is being deleted", code="x", detail="Somebody asked.", hint="Wait.")),),
            ),
            about="my-landing-zones",
        ),
    }
    assert pages[name] == (GOLDEN / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_somebody_else_wrote_is_only_ever_code(text: str) -> None:
    harmless = "NAME"
    assert shape(hostile_page(text)) == shape(hostile_page(harmless))


def shape(text: str) -> list[str]:
    """What a page is made of but for what its code says."""
    kept = re.sub(r"\(?https://lzr\.example/[^)>]*", "", text.partition("\n")[2])
    return [
        f"{token.type} {token.content if token.type not in ('fence', 'code_inline', 'inline') else ''}"
        for token in flat(parsed(kept))
        if "link" not in token.type and token.content not in (", ", "its page")
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text(min_size=1, max_size=60, alphabet=st.sampled_from("`|<>@#!&*_[]()\\/~:-+=. \n\r\taX1\u202e\u2028😀\"'$"))
)
def test_no_text_at_all_leaves_its_code(text: str) -> None:
    assert shape(hostile_page(text)) == shape(hostile_page("NAME"))


@given(st.text(max_size=300))
def test_a_code_span_is_one_span_in_a_line_and_in_a_table(text: str) -> None:
    (inline,) = [token for token in parsed(f"a {span(text)} b") if token.type == "inline"]
    assert [child.type for child in inline.children or ()] == ["text", "code_inline", "text"]
    rows = parsed(f"| a | b |\n|---|---|\n| {span(text)} | c |\n")
    assert [token.type for token in rows].count("td_open") == 2
    assert sum(child.type == "code_inline" for child in flat(rows)) == 1


@pytest.mark.parametrize("text", ["x" * 5_000_000, "😀" * 200_000, "`" * 100_000])
def test_a_name_of_any_length_fits(text: str) -> None:
    assert size(hostile_page(text)) <= LONGEST


def test_of_three_thousand_changes_the_page_says_how_many_it_does_not_show() -> None:
    changes = [change("groups", Action.CREATE, key=f"group-{number}", after={}) for number in range(3_000)]
    written = page(outcome(stand(made(*changes))), about="x")
    assert LONGEST * 0.9 < size(written) <= LONGEST
    shown = sum(line.startswith("+ ") for line in written.splitlines())
    (more,) = re.findall(r"# and (\d+) more lines", written)
    assert shown + int(more) >= 3_000
    assert "lzr approve r1 --digest" in written


@pytest.mark.parametrize("longest", [4_000, LONGEST])
def test_of_three_thousand_tenants_those_that_need_a_look_come_first_and_the_rest_is_counted(longest: int) -> None:
    quiet = [stand(made(), a_run(f"quiet-{number}")) for number in range(3_000)]
    risky = stand(made(association()), a_run("risky", risks=1))
    written = page(outcome(*quiet, risky), about="x", longest=longest)
    assert size(written) <= longest
    sections = re.findall(r"^### `(.+?)`", written, re.MULTILINE)
    (more,) = re.findall(r"\*\*(\d+) more tenants\*\*", written)
    assert len(sections) + int(more) == 3_001
    assert not sections or sections[0] == "risky"


def test_a_page_with_nothing_in_it_says_so() -> None:
    assert "nothing to plan" in page(Outcome(stands=(), exit_code=0), about="x")


def test_a_page_is_found_again_by_its_first_line_and_told_from_others() -> None:
    assert marker("my-zones --> <b>") == "<!-- lzr-ci my-zones -_ _b_ -->"
    assert page(outcome(), about="zones/prod").splitlines()[0] == "<!-- lzr-ci zones/prod -->"
    assert marker("zones/prod") != marker("zones/dev")


def test_a_command_to_paste_keeps_names_as_one_word() -> None:
    held = Contents(resource_group="rg; rm -rf /", resources=("x",))
    written = page(outcome(stand(made(contents=(held,)))), about="x")
    assert "--confirm-delete 'rg; rm -rf /'" in written
