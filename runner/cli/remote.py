"""Runs on a server, over its API: the same questions and wishes as of this machine's store.

What is only read is asked again where the server does not answer for a moment, and so are requests that carry a key; nothing else is
ever sent twice.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx

from runner.app.reviewing import expect_digest
from runner.app.telling import Told
from runner.domain.events import Event as Entry
from runner.domain.events import Kind, Step
from runner.domain.run import APPLY, Behavior, Run, Status
from runner.errors import Canceled, EngineFailed, InputError, Refused, RemoteFailed, RunnerError
from runner.ports import Approval

if TYPE_CHECKING:
    from runner.settings import Settings

_FAMILIES = {one.family: one for one in (InputError, Refused, EngineFailed, RemoteFailed, Canceled)}
_PATIENCE = 60.0  # seconds that a server may be away
_PAUSE = 1.0  # seconds before it is asked again
_AT_ONCE = 500  # items of one answer
_SILENCE = 60.0  # seconds; a stream says at least that it is there


@contextmanager
def connected(settings: Settings) -> Iterator[Remote]:
    """The server of these settings."""
    from runner.wiring import outside

    assert settings.server is not None  # noqa: S101 - whoever calls has looked
    network = outside(settings)
    with network.client(network.tls()) as client:
        client.base_url = httpx.URL(f"{settings.server}/api/v1/")
        client.auth = _Bearer(settings, client)
        yield Remote(client)


class Remote:
    """Runs of a server. Fulfils `Place`."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def run(self, run_id: str) -> Run:
        try:
            return _run(self._get(_path("runs", run_id)))
        except InputError as error:
            if error.code != "run-not-found":
                raise
            newest = self.runs(limit=_AT_ONCE)
            meant = [run for run in newest if run.id.startswith(run_id)]
            meant = meant or [run for run in newest if len(run_id) >= 5 and run.id.endswith(run_id)]
            if len(meant) == 1:
                return meant[0]
            if not meant:
                raise InputError(error.summary, code=error.code, detail=error.detail, hint="lzr runs") from None
            raise InputError(
                "Several runs are meant",
                code="run-ambiguous",
                detail=f"{meant[0].id} and {meant[1].id} are called {run_id}.",
                hint="Give more of the id.",
            ) from None

    def runs(self, *, tenant: str | None = None, statuses: Sequence[Status] | None = None, limit: int) -> Sequence[Run]:
        found: list[Run] = []
        asked: dict[str, Any] = {"tenant": tenant} if tenant is not None else {}
        asked |= {"status": [status.value for status in statuses]} if statuses else {}
        cursor = None
        while len(found) < limit:
            page = self._get(
                "runs", asked | {"limit": min(_AT_ONCE, limit - len(found))} | ({"cursor": cursor} if cursor else {})
            )
            found += map(_run, page["items"])
            cursor = page["next"]
            if cursor is None:
                break
        return found

    def review(self, run: Run) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._get(_path("runs", run.id, "review"))
        except InputError as error:
            if error.code != "no-review":
                raise
            return None
        return found

    def told(self, run: Run) -> Told:
        found = self._get(_path("runs", run.id))
        return Told(
            run=_run(found),
            approvals=tuple(
                Approval(
                    run=run.id,
                    digest=one["digest"],
                    by=one["by"],
                    at=datetime.fromisoformat(one["at"]),
                    expires=datetime.fromisoformat(one["expires"]),
                    comment=one["comment"],
                )
                for one in found["approvals"]
            ),
            steps=tuple(Step.model_validate(step) for step in found["steps"]),
            warnings=tuple(found["warnings_told"]),
            outputs=found["outputs"],
            function=found["function"],
        )

    def journal(self, run: Run, *, after: int = 0, through: Collection[Status] = ()) -> Iterator[Entry]:
        if through:
            yield from self._followed(run, after, through)
            return
        while True:
            page = self._get(_path("runs", run.id, "events"), {"after": after})
            yield from map(_entry, page["items"])
            if page["after"] == after:
                return
            after = page["after"]

    def approve(
        self, run: Run, *, digest: str | None, confirmed: tuple[str, ...], comment: str, apply: bool | None = None
    ) -> Run:
        if digest is not None and run.digest:
            expect_digest(run, digest, run.digest)
        wish = {"digest": run.digest or "0" * 64, "confirmed": list(confirmed), "comment": comment, "apply": apply}
        return self._decided(run, "approve", wish)

    def reject(self, run: Run, *, comment: str) -> Run:
        return self._decided(run, "reject", {"comment": comment})

    def cancel(self, run: Run) -> Run:
        return self._decided(run, "cancel")

    def apply(self, run: Run) -> Run:
        """Have the server apply an approved run."""
        return self._decided(run, "apply")

    def start(
        self, tenants: Sequence[str], *, behavior: Behavior, plan_only: bool, move_to: str | None, reason: str
    ) -> tuple[list[Run], dict[str, RunnerError]]:
        """Start a run of each tenant, once however often it has to be sent; and why others were not, by tenant."""
        wish = {
            "tenants": list(tenants),
            "behavior": behavior.value,
            "plan_only": plan_only,
            "move_to": move_to,
            "reason": reason,
        }
        told = self._sent("POST", "runs", json=wish, headers={"Idempotency-Key": uuid4().hex}, again=True).json()
        return [_run(one) for one in told["runs"]], {one["tenant"]: _error(one["problem"]) for one in told["refused"]}

    def _decided(self, run: Run, what: str, wish: Mapping[str, Any] | None = None) -> Run:
        return _run(self._sent("POST", _path("runs", run.id, what), json=wish).json())

    def _get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        return self._sent("GET", path, params=params, again=True).json()

    def _sent(self, method: str, path: str, *, again: bool = False, **more: Any) -> httpx.Response:
        """The answer; what it says where it is an error."""
        since = time.monotonic()
        while True:
            try:
                return _good(self._client.request(method, path, **more))
            except httpx.TransportError as error:
                failed: RunnerError = _unreachable(self._client, error)
            except RunnerError as error:
                if not (isinstance(error, RemoteFailed) or error.code == "request-under-way"):
                    raise
                failed = error
            if not again or time.monotonic() - since > _PATIENCE:
                raise failed
            Event().wait(_PAUSE)

    def _followed(self, run: Run, after: int, through: Collection[Status]) -> Iterator[Entry]:
        """The journal as a stream, taken up again wherever it breaks off, perhaps by another server."""
        heard = time.monotonic()
        while True:
            try:
                if self.run(run.id).status not in through:  # a stream would be silent about what was before
                    yield from self.journal(run, after=after)
                    return
                for name, data in self._streamed(run, after):
                    heard = time.monotonic()
                    if name == "end":
                        return
                    entry = _entry(data)
                    after = entry.seq
                    yield entry
                    at_rest = entry.kind is Kind.STATUS and entry.data.get("status") not in through
                    if at_rest and self.run(run.id).status not in through:
                        yield from self.journal(run, after=after)
                        return
                heard = time.monotonic()  # one stream does not last forever
            except (httpx.TransportError, RemoteFailed) as error:
                if time.monotonic() - heard > _PATIENCE:
                    raise _unreachable(self._client, error) from None
            Event().wait(_PAUSE)

    def _streamed(self, run: Run, after: int) -> Iterator[tuple[str, Any]]:
        path, headers = _path("runs", run.id, "events", "stream"), {"Last-Event-ID": str(after)} if after else {}
        timeout = httpx.Timeout(_SILENCE, connect=self._client.timeout.connect)
        with self._client.stream("GET", path, headers=headers, timeout=timeout) as answer:
            if answer.is_error:
                answer.read()
            _good(answer)
            event: dict[str, str] = {}
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if line:
                    event[name] = value
                else:
                    if "data" in event:
                        yield event.get("event", ""), json.loads(event["data"])
                    event = {}


class _Bearer(httpx.Auth):
    """Shows the token; one that a pipeline hands out is asked for again when it has expired."""

    def __init__(self, settings: Settings, client: httpx.Client) -> None:
        self._settings = settings
        self._client = client
        self._token = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        self._token = self._token or self._fetched()
        if not (self._token.isascii() and self._token.isprintable()):
            raise _unreadable("what is given is no token")
        request.headers["Authorization"] = f"Bearer {self._token}"
        answer = yield request
        if answer.status_code == 401 and _given(self._settings) is None:
            self._token = self._fetched()
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _fetched(self) -> str:
        given = _given(self._settings)
        if given is not None:
            return given
        where, secret = os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"), os.environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
        if not where or not secret:
            raise InputError(
                "No token for the server",
                code="server-token-missing",
                detail=f"{self._settings.server} has to know who asks.",
                hint="Set LZR_SERVER_TOKEN or LZR_SERVER_TOKEN_FILE; lzr token create makes one on the server's machine.",
            )
        # docs.github.com, "OpenID Connect reference"; the address has a query already
        address = httpx.URL(where).copy_merge_params({"audience": str(self._settings.server)})
        answer = self._client.get(address, headers={"Authorization": f"Bearer {secret}"}, auth=None)
        token = answer.json().get("value") if answer.is_success else None
        if not isinstance(token, str):
            raise RemoteFailed(
                "GitHub gives no identity token",
                code="identity-token-missing",
                detail=f"It answered with {answer.status_code}.",
                hint="The job needs the permission  id-token: write.",
            )
        return token


def _given(settings: Settings) -> str | None:
    if settings.server_token is not None:
        return settings.server_token.get_secret_value()
    if settings.server_token_file is None:
        return None
    try:
        return settings.server_token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise _unreadable(f"{settings.server_token_file}: {why}") from None


def _unreadable(why: str) -> InputError:
    return InputError(
        "The server's token cannot be read",
        code="server-token-unreadable",
        detail=f"{why[0].upper()}{why[1:]}.",
        hint="Set LZR_SERVER_TOKEN to the token, or LZR_SERVER_TOKEN_FILE to a file that holds it.",
    )


def _good(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        told = answer.json()
        found = _error(told)
    except (ValueError, KeyError, TypeError):
        raise RemoteFailed(
            "This is no answer of such a server",
            code="server-answer-wrong",
            detail=f"{answer.url.copy_with(query=None)} answered with {answer.status_code}.",
            hint="Is --server the address of `lzr serve`?",
            temporary=answer.status_code >= 500,
        ) from None
    raise found


def _error(problem: Mapping[str, Any]) -> RunnerError:
    """The problem as the error that it was."""
    family = _FAMILIES.get(problem["family"], RemoteFailed)
    return family(problem["title"], code=problem["code"], detail=problem["detail"], hint=problem["hint"])


def _unreachable(client: httpx.Client, error: Exception) -> RemoteFailed:
    if isinstance(error, RemoteFailed):
        return error
    return RemoteFailed(
        "The server does not answer",
        code="server-unreachable",
        detail=f"{client.base_url.copy_with(path='/')}: {type(error).__name__}.",
        hint="Is it running, and is the address right?",
        temporary=True,
    )


def _run(told: Mapping[str, Any]) -> Run:
    """A run as far as a server tells of it."""
    options: dict[str, Any] = {"plan_only": True} if told["plan_only"] else {APPLY: True}
    options |= {"scheduled": True} if told["scheduled"] else {}
    options |= {"continues": told["continues"]} if told["continues"] else {}
    named = {name: told[name] for name in Run.model_fields if name in told}
    return Run.model_validate(named | {"options": options})


def _entry(told: Mapping[str, Any]) -> Entry:
    return Entry.model_validate(told)


def _path(*parts: str) -> str:
    from urllib.parse import quote

    return "/".join(quote(part, safe="") for part in parts)
