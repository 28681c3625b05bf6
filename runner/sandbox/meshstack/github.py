"""GitHub Actions as an app meets them: sign in by a signed statement, dispatch a workflow, find its run and follow it."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from runner.sandbox.meshstack.pipelines import Pipeline, Pipelines, stamp
from runner.sandbox.meshstack.wire import Answer, Call, Json, Rejection

LONGEST_INPUT = 65_535


class Github:
    """`/github` or `/github/api/v3`. One installation for each owner, which has the apps that runs named."""

    def __init__(self, pipelines: Pipelines, base: str) -> None:
        self._pipelines = pipelines
        self._base = base
        self._apps: dict[str, rsa.RSAPublicKey] = {}
        self._owners: list[str] = []
        self._tokens: dict[str, str] = {}

    def learn(self, implementation: Json) -> None:
        """The app of an implementation, by its private key."""
        try:
            key = load_pem_private_key(str(implementation.get("appPem")).encode(), password=None)
        except ValueError:
            return  # then nobody signs in with it
        if isinstance(key, rsa.RSAPrivateKey):
            self._apps[str(implementation.get("appId"))] = key.public_key()
            if implementation.get("owner") not in (*self._owners, None):
                self._owners.append(str(implementation["owner"]))

    def answer(self, call: Call) -> Answer:
        """One call of an app."""
        path = call.segments[1:]
        match call.method, path[2:] if path[:2] == ("api", "v3") else path:
            case "GET", ("repos", owner, _, "installation"):
                self._check_app(call)
                if owner not in self._owners:
                    raise Rejection(404, f"the app is not installed at {owner}")
                return Answer(200, {"id": 1 + self._owners.index(owner), "account": {"login": owner}})
            case "POST", ("app", "installations", number, "access_tokens"):
                self._check_app(call)
                return self._token(number)
            case "POST", ("repos", owner, repository, "actions", "workflows", workflow, "dispatches"):
                self._check(call, owner)
                return self._dispatch(call, {"owner": owner, "repository": repository, "workflow": workflow})
            case "GET", ("repos", owner, repository, "actions", "workflows", workflow, "runs"):
                self._check(call, owner)
                return self._listed(call, {"owner": owner, "repository": repository, "workflow": workflow})
            case "GET", ("repos", owner, repository, "actions", "runs", number, *more) if more in ([], ["jobs"]):
                self._check(call, owner)
                found = self._pipelines.found("github", number, owner=owner, repository=repository)
                return self._jobs(found) if more else self._run(found)
            case "POST", ("repos", owner, repository, "actions", "runs", number, "cancel"):
                self._check(call, owner)
                self._pipelines.found("github", number, owner=owner, repository=repository).cancel()
                return Answer(202, {})
        raise Rejection(404, f"GitHub has no {call.method} {call.path} here")

    def _check_app(self, call: Call) -> None:
        token = _bearer(call)
        try:
            issuer = str(jwt.decode(token, options={"verify_signature": False}).get("iss"))
            claims: dict[str, Any] = jwt.decode(
                token,
                self._apps[issuer],
                algorithms=["RS256"],
                options={"require": ["iat", "exp", "iss"], "verify_exp": False, "verify_iat": False},
            )
            issued, ends = float(claims["iat"]), float(claims["exp"])
        except (jwt.PyJWTError, KeyError, TypeError, ValueError) as error:
            raise Rejection(401, f"the app's statement is wrong: {type(error).__name__}") from None
        now = self._pipelines.now().timestamp()
        if issued > now or ends <= now or ends > now + 600:
            raise Rejection(401, "the app's statement was not issued in the past, or does not end within ten minutes")

    def _token(self, number: str) -> Answer:
        if not number.isdigit() or not 1 <= int(number) <= len(self._owners):
            raise Rejection(404, f"there is no installation {number}")
        token = f"ghs_{secrets.token_hex(18)}"
        self._tokens[token] = self._owners[int(number) - 1]
        ends = stamp(self._pipelines.now() + timedelta(hours=1))
        return Answer(201, {"token": token, "expires_at": ends, "permissions": {"actions": "write"}})

    def _check(self, call: Call, owner: str) -> None:
        known = self._tokens.get(_bearer(call))
        if known is None:
            raise Rejection(401, "the installation's token is wrong")
        if known != owner:
            raise Rejection(404, f"the token is not for {owner}")

    def _dispatch(self, call: Call, where: Json) -> Answer:
        body = call.json()
        inputs = body.get("inputs") or {}
        if not isinstance(body.get("ref"), str) or not isinstance(inputs, dict):
            raise Rejection(422, "ref and inputs are wanted")
        for name, value in inputs.items():
            if not isinstance(value, str):
                raise Rejection(422, f"the input {name} is no string")
            if len(value) > LONGEST_INPUT:
                raise Rejection(422, f"the input {name} has more than {LONGEST_INPUT} characters")
        self._pipelines.start("github", where, {"ref": body["ref"], "inputs": inputs})
        return Answer(204)

    def _listed(self, call: Call, where: Json) -> Answer:
        """The newest first. To be listed is to be looked at."""
        branch = call.query.get("branch")
        found = [
            one
            for one in reversed(self._pipelines.started)
            if one.kind == "github" and one.where == where and branch in (None, one.sent["ref"])
        ]
        for one in found:
            one.poll()
        return Answer(200, {"total_count": len(found), "workflow_runs": [self._described(one) for one in found]})

    def _run(self, run: Pipeline) -> Answer:
        run.poll()
        return Answer(200, self._described(run))

    def _described(self, run: Pipeline) -> Json:
        place = f"{run.where['owner']}/{run.where['repository']}"
        return {
            "id": run.id,
            "name": run.where["workflow"],
            "path": f".github/workflows/{run.where['workflow']}",
            "event": "workflow_dispatch",
            "head_branch": run.sent["ref"],
            "run_number": run.id,
            "status": run.state,
            "conclusion": _conclusion(run),
            "created_at": stamp(run.started),
            "updated_at": stamp(self._pipelines.now()),
            "html_url": f"{self._base}/github/{place}/actions/runs/{run.id}",
            "jobs_url": f"{self._base}/github/repos/{place}/actions/runs/{run.id}/jobs",
        }

    def _jobs(self, run: Pipeline) -> Answer:
        jobs: list[Json] = [
            {
                "id": run.id * 10 + number,
                "run_id": run.id,
                "name": name,
                "status": run.state,
                "conclusion": _conclusion(run),
                "started_at": stamp(run.started),
                "html_url": f"{self._described(run)['html_url']}/job/{run.id * 10 + number}",
                "steps": [],
            }
            for number, name in enumerate(("plan", "deploy"), start=1)
        ]
        return Answer(200, {"total_count": len(jobs), "jobs": jobs})


def _conclusion(run: Pipeline) -> str | None:
    return run.conclusion if run.state == "completed" else None


def _bearer(call: Call) -> str:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() in ("bearer", "token") else ""
