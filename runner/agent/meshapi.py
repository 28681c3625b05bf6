"""meshStack's API as a runner uses it: sign in, claim, register, report, fetch a saved plan.

What may be sent again differs by call (TFP client/client.go, BBR-PR64): signing in and registering are repeated, a claim never is, for
its replay would take a second run while the first lies there; a report is the next one's business.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from runner.agent.config import Config
from runner.agent.contract import MEDIA_TYPE, RUNS
from runner.errors import Canceled, RemoteFailed, RunnerError

NAME = "landing-zone-runner"
_VERSION = version(NAME)
LARGEST_PLAN = 128 * 1024 * 1024
LARGEST_RUN = 20 * 1024 * 1024
_EARLY = timedelta(seconds=30)  # before a token ends a new one is asked for
_TRIES = 12
_TEMPORARY = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Claim:
    """A claimed run as long as it is not over: what is needed to speak about it, and nothing of what it is to do."""

    run: str
    token: str = field(repr=False)
    register: str
    update: str
    plan: str
    base: str


@dataclass(frozen=True)
class Heard:
    """meshStack's answer to a report: whether it was taken, and whether somebody aborted the run."""

    taken: bool
    aborted: bool = False
    retry_after: float | None = None
    status: int = 0


class MeshApi:
    """One meshStack. Safe to share between threads. `wait` takes seconds and ends early when the agent stops."""

    def __init__(
        self,
        client: httpx.Client,
        config: Config,
        *,
        now: Callable[[], datetime],
        wait: Callable[[float], object],
        hide: Callable[[str], None],
        unhide: Callable[[str], None],
    ) -> None:
        self._client = client
        self._config = config
        self._now = now
        self._wait = wait
        self._hide = hide
        self._unhide = unhide
        self._token = ""
        self._until: datetime | None = None
        self._signing_in = threading.Lock()
        self.base = config.api.url

    # --- credentials

    def own_credential(self, *, fresh: bool = False) -> str:
        """The header value of the runner itself: a token of its API key, or its user and password."""
        api = self._config.api
        if not api.client_id:
            pair = f"{api.username}:{api.password.get_secret_value()}"
            return "Basic " + base64.b64encode(pair.encode()).decode()
        with self._signing_in:
            if fresh or self._until is None or self._now() >= self._until:
                self._sign_in()
            return f"Bearer {self._token}"

    def _sign_in(self) -> None:
        api = self._config.api
        body = {"clientId": api.client_id, "clientSecret": api.client_secret.get_secret_value()}
        response = self._again(
            lambda: self._client.post(
                f"{self.base}/api/login", json=body, headers={**self._named(), "Accept": "application/json"}
            ),
            what="sign in",
        )
        if response.status_code in (400, 401, 403):
            raise RemoteFailed(
                "meshStack does not accept the runner's API key",
                code="meshstack-login-refused",
                detail=f"{self._host()} answered the sign-in with {response.status_code}.",
                hint="Check api.clientId and api.clientSecret; keys expire.",
                status=response.status_code,
            )
        before = self._token
        try:
            answer = response.raise_for_status().json()
            self._token = str(answer["access_token"])
            lasts = float(answer.get("expires_in", 60))
        except (httpx.HTTPStatusError, ValueError, KeyError, TypeError):
            raise self._failed("sign in", response) from None
        self._hide(self._token)
        self._unhide(before)  # every few minutes there is another, for months
        self._until = self._now() + max(timedelta(seconds=lasts) - _EARLY, timedelta(seconds=1))

    # --- runs

    def claim(self) -> bytes | None:
        """The next run for this runner, taken for good; None when there is none. Asked once, whatever becomes of it."""
        response = self._claim(self.own_credential())
        if response.status_code == 401 and self._config.api.client_id:
            response = self._claim(self.own_credential(fresh=True))  # it was certainly not carried out
        if response.status_code in (404, 409):
            return None
        if response.status_code not in (200, 201):
            raise self._failed("claim a run", response)
        return response.content

    def _claim(self, credential: str) -> httpx.Response:
        headers = self._headers(credential, node=f"{self._config.runner_uuid}-worker-1")
        try:
            return self._client.post(
                f"{self.base}{RUNS}/create",
                params={"forRunnerUuid": self._config.runner_uuid},
                headers=headers,
            )
        except httpx.HTTPError as error:
            raise self._unreachable("claim a run", error) from None

    def register(self, claim: Claim, steps: list[dict[str, Any]]) -> None:
        """Say that this runner reports for the run; being registered already is as good."""
        body = {"source": {"id": self._config.runner_uuid}, "steps": steps}
        response = self._again(lambda: self._sent(claim, "POST", claim.register, body), what="register for the run")
        if response.status_code not in (200, 201, 204, 409):
            raise self._failed("register for the run", response)

    def report(self, claim: Claim, body: Mapping[str, Any]) -> Heard:
        """Tell meshStack how the run stands. Never raises: what was not taken is told again by the next report."""
        try:
            response = self._sent(claim, "PATCH", claim.update, body)
        except RunnerError:  # also when the agent is asked to stop while it signs in
            return Heard(taken=False)
        aborted = _aborted(response)
        if response.status_code == 409:
            # without the word it is over all the same: updates are taken only while it is in progress
            return Heard(taken=True, aborted=True, status=409)
        return Heard(
            taken=response.is_success,
            aborted=aborted,
            retry_after=_seconds(response.headers.get("Retry-After")),
            status=response.status_code,
        )

    def fetch_plan(self, claim: Claim, target: Path) -> None:
        """The saved plan of the run's predecessor, at most 128 MiB of it; never another one in its place."""
        headers = {**self._headers(f"Bearer {claim.token}"), "Accept": "application/octet-stream"}
        del headers["Content-Type"]
        written = 0
        try:
            with self._client.stream("GET", claim.plan, headers=headers) as response:
                if response.status_code != 200:
                    raise self._failed("fetch the approved plan", response)
                target.touch(mode=0o600)
                with target.open("wb") as file:
                    for chunk in response.iter_bytes():
                        written += len(chunk)
                        if written > LARGEST_PLAN:
                            raise RemoteFailed(
                                "The approved plan is too large",
                                code="plan-too-large",
                                detail=f"It has more than {LARGEST_PLAN // 1024 // 1024} MiB.",
                                hint="Plan the building block again, and make it smaller.",
                            )
                        file.write(chunk)
        except httpx.HTTPError as error:
            raise self._unreachable("fetch the approved plan", error) from None

    # --- how it is sent

    def _sent(self, claim: Claim, method: str, url: str, body: Mapping[str, Any]) -> httpx.Response:
        """With the run's token; with the runner's own where that one is not accepted (any more), and only at its own meshStack."""
        content = json.dumps(body).encode()
        credentials: list[Callable[[], str]] = [lambda: f"Bearer {claim.token}"] if claim.token else []
        if urlsplit(url)[:2] == urlsplit(self.base)[:2] and self._config.run_json_file is None:
            credentials += [self.own_credential, lambda: self.own_credential(fresh=True)]
        response: httpx.Response | None = None
        for given in credentials:
            try:
                credential = given()
                response = self._client.request(method, url, content=content, headers=self._headers(credential))
            except httpx.HTTPError as error:
                raise self._unreachable("report", error) from None
            if response.status_code not in (401, 403):
                break
        if response is None:
            raise RemoteFailed(
                "There is no credential for the run", code="run-token-missing", detail=urlsplit(url).netloc
            )
        return response

    def _again(self, send: Callable[[], httpx.Response], *, what: str) -> httpx.Response:
        pause = 1.0
        for left in reversed(range(_TRIES)):
            after = None
            try:
                response = send()
                if response.status_code not in _TEMPORARY or not left:
                    return response
                after = _seconds(response.headers.get("Retry-After"))
            except httpx.HTTPError as error:
                if not left:
                    raise self._unreachable(what, error) from None
            except RemoteFailed as failed:
                if not failed.temporary or not left:
                    raise
            if self._wait(after if after is not None else pause):
                raise Canceled
            pause = min(pause * 2, 30.0)
        raise AssertionError("unreachable")

    def _headers(self, credential: str, *, node: str = "") -> dict[str, str]:
        return {
            **self._named(),
            "Authorization": credential,
            "Accept": MEDIA_TYPE,
            "Content-Type": MEDIA_TYPE,
            "X-Block-Runner-Node-Id": node or self._config.runner_uuid,
        }

    def _named(self) -> dict[str, str]:
        return {
            "User-Agent": f"{NAME}/{_VERSION}",
            "X-Meshcloud-Runner-Name": NAME,
            "X-Meshcloud-Runner-Version": _VERSION,
        }

    def _host(self) -> str:
        return urlsplit(self.base).netloc

    def _failed(self, what: str, response: httpx.Response) -> RemoteFailed:
        status = response.status_code
        hints = {
            401: "Check the runner's credential.",
            403: "Give the API key MANAGED_BUILDINGBLOCKRUN_LIST, MANAGED_BUILDINGBLOCKRUN_SAVE and MANAGED_BUILDINGBLOCKRUNSOURCE_SAVE.",
            406: "Look whether meshStack still speaks version 1 of building-block runs.",
        }
        return RemoteFailed(
            "meshStack did not do it",
            code="meshstack-refused",
            detail=f"To {what}, {self._host()} answered {status}.",
            hint=hints.get(status, "Try again later; look into meshStack's own log."),
            temporary=status in _TEMPORARY or status >= 500,
            status=status,
        )

    def _unreachable(self, what: str, error: httpx.HTTPError) -> RemoteFailed:
        return RemoteFailed(
            "meshStack cannot be reached",
            code="meshstack-unreachable",
            detail=f"To {what}, {self._host()} was asked: {type(error).__name__}.",
            hint="Check api.url, the network, LZR_PROXY and LZR_CA_FILE.",
            temporary=True,
        )


def claimed(document: Mapping[str, Any], *, base: str, source: str) -> Claim:
    """Where a run that was claimed wants to hear of it, by its links; where it has none, by the API's usual places. ValueError without
    an id."""
    run = str((document.get("metadata") or {}).get("uuid") or "")
    if not run:
        raise ValueError("no id")
    usual = f"{base}{RUNS}/{quote(run, safe='')}/status/source"
    links = document.get("_links") or {}

    def link(name: str) -> str:
        found = links.get(name)
        return str(found.get("href") or "") if isinstance(found, dict) else ""

    return Claim(
        run=run,
        token=str((document.get("spec") or {}).get("runToken") or ""),
        register=link("registerSource") or usual,
        update=(link("updateSource") or f"{usual}/{{sourceId}}").replace("{sourceId}", quote(source, safe="")),
        plan=link("planArtifact"),
        base=link("meshstackBaseUrl") or base,
    )


def _aborted(response: httpx.Response) -> bool:
    try:
        body = response.json()
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("runAborted") is True


def _seconds(value: str | None) -> float | None:
    return float(value) if value and value.strip().isascii() and value.strip().isdigit() else None
