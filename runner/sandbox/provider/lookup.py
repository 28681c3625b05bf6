"""Looking one thing up in the directory: which argument names it, that there is exactly one, what Graph says if it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner.sandbox.provider.contract import Failed, Object, Problem
from runner.sandbox.provider.graph import Graph, GraphFailed


def explained(read: Callable[[Any, Graph, Object], Object]) -> Callable[[Any, Graph, Object], Object]:
    """Turn an answer of Graph that is an error into a diagnostic."""

    def reading(source: Any, session: Graph, config: Object) -> Object:
        try:
            return read(source, session, config)
        except GraphFailed as failure:
            raise Failed("Graph cannot be read", failure.text) from failure

    return reading


def exactly_one(*names: str) -> Callable[[Object], list[Problem]]:
    """Check that one of these arguments is given, and no other of them."""

    def checks(config: Object) -> list[Problem]:
        given = [name for name in names if config[name] is not None]
        if len(given) == 1:
            return []
        detail = (
            f"one of `{','.join(names)}` must be specified"
            if not given
            else f"only one of `{','.join(names)}` can be specified"
        )
        return [Problem("Invalid combination of arguments", detail, (given[-1],) if given else ())]

    return checks


def only(found: list[Any], what: str, how: str, argument: str) -> Any:
    """Return the only one found."""
    if len(found) == 1:
        return found[0]
    raise Failed(f"More than one {what} found {how}" if found else f"No {what} found {how}", path=(argument,))
