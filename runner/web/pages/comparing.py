"""What is different between two reviews: for who looked at one and is to decide on the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runner.domain.harmless import plain
from runner.web.pages import reviews

MOST = 100


@dataclass(frozen=True)
class Different:
    """Something that only the newer review has (`new`), only the older one had (`gone`), or that is `other` in it. `number` is the place
    of the change in the newer one, by which it is linked; None where there is none."""

    kind: Literal["new", "gone", "other"]
    text: str
    number: int | None = None


def compared(older: Mapping[str, Any], newer: Mapping[str, Any]) -> tuple[Different, ...]:
    """What is different, in the newer one's order, and then what is gone."""
    before, after = dict(_things(older)), dict(_things(newer))
    found: list[Different] = []
    for key, (text, content, number) in after.items():
        if key not in before:
            found.append(Different("new", text, number))
        elif before[key][1] != content:
            found.append(Different("other", text, number))
    found += [Different("gone", text) for key, (text, _, _) in before.items() if key not in after]
    found += [
        Different("other", f"{name}: {now or 'none'}")
        for (name, now), was in zip(_facts(newer).items(), _facts(older).values(), strict=True)
        if now != was
    ]
    return tuple(found)


def _things(kept: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], tuple[str, Any, int | None]]]:
    """Everything that happens: by kind and name its text, its content, and its number among the changes."""
    by_address = {one["address"]: one for one in kept.get("changes") or ()}
    for number, one in enumerate(kept.get("sentences") or ()):
        content = (one["sign"], by_address.pop(one["address"], None))
        yield ("change", one["address"]), (plain(f"{one['sign']} {one['text']}"), content, number)
    for address, change in by_address.items():
        yield ("record", address), (plain(address), change, None)
    for person in reviews.people(kept):
        way = "into" if person.sign == "+" else "out of"
        text = f"{person.sign} {person.who} {way} {person.group}"
        yield ("person", text), (text, person, None)
    for kind, told in (("step", reviews.steps(kept)), ("beside", reviews.beside(kept))):
        for sign, text in told:
            yield (kind, text), (f"{sign} {text}", None, None)
    if (function := kept.get("function")) is not None:
        yield ("function", ""), ("the function's call", function["invocation"], None)
    for one in kept.get("contents") or ():
        text = plain(f"- {one['resource_group']} with {len(one['resources'])} resources in it")
        yield ("contents", one["resource_group"]), (text, one, None)
    for one in kept.get("checks") or ():
        yield ("check", one["name"]), (plain(f"the check {one['name']}: {one['outcome']}"), one, None)


def _facts(kept: Mapping[str, Any]) -> dict[str, str]:
    """What it was planned with."""
    told = dict(reviews.bound_to(kept))
    shown = {name: told.get(name, "") for name in ("Subscription", "Documents", "Azure")}
    return {**shown, "Engine and providers": reviews.providers(kept), "Code": "; ".join(reviews.sources(kept))}
