"""Microsoft Graph as the directory uses it: filters, batches of look-ups, and where v1.0 does not do.

Knows Graph's addresses and how it answers in bulk, not what is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.azure.http import BUSY, Client, Json, Reply, Tries, addressed, refused, segment, unexpected
from runner.errors import RemoteFailed
from runner.network.posting import retry_after

BATCH = 20  # https://learn.microsoft.com/graph/json-batching: at most 20 requests
USER = (
    "id,displayName,userPrincipalName,mail,otherMails,employeeId,accountEnabled,userType,externalUserState,identities"
)


class Graph:
    """One Entra tenant's Graph."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def users(self, filters: Sequence[str]) -> list[list[Json]]:
        """The users that each filter finds, in the order of the filters."""
        return self._find("/users", filters, USER)

    def groups(self, filters: Sequence[str]) -> list[list[Json]]:
        """The groups that each filter finds, in the order of the filters."""
        return self._find("/groups", filters, "id,displayName,securityEnabled,groupTypes,onPremisesSyncEnabled")

    def members(self, group_id: str) -> Iterator[Json]:
        """The direct members; none when there is no such group.

        From beta, because v1.0 leaves service principals out (https://learn.microsoft.com/graph/known-issues, 25984).
        """
        path = f"/beta/groups/{segment(group_id)}/members"
        return self._client.pages(path, {"$select": "id,displayName,userPrincipalName", "$top": "999"}, also=(404,))

    def is_member(self, group_id: str, object_id: str) -> bool:
        """Whether it is a direct member now."""
        query = {"$filter": f"id eq {quoted(object_id)}", "$select": "id"}
        found = self._client.pages(f"/beta/groups/{segment(group_id)}/members", query, also=(404,))
        return any(str(member.get("id", "")).lower() == object_id.lower() for member in found)

    def add_member(self, group_id: str, object_id: str) -> Reply:
        """204; 400 when Graph objects, which it also does to a member; 404 when group or member is not there (yet)."""
        reference = {"@odata.id": f"{self._client.base}/v1.0/directoryObjects/{segment(object_id)}"}
        path = f"/v1.0/groups/{segment(group_id)}/members/$ref"
        return self._client.post(path, body=reference, harmless=True, also=(400, 404))

    def remove_member(self, group_id: str, object_id: str) -> None:
        """Fine when it is no member or there is no such group. Without `$ref` Graph would delete the member itself."""
        self._client.delete(f"/v1.0/groups/{segment(group_id)}/members/{segment(object_id)}/$ref", also=(404,))

    def invite(self, body: Json) -> Json:
        """The invitation as Graph took it. Not repeated when the outcome is unclear: each one may send a mail."""
        return self._client.post("/v1.0/invitations", body=body, harmless=False).body

    def _find(self, path: str, filters: Sequence[str], select: str) -> list[list[Json]]:
        urls = [addressed(path, {"$filter": text, "$select": select}) for text in filters]
        found: dict[int, list[Json]] = {}
        tries = Tries(self._client.patience)
        while waiting := [place for place in range(len(urls)) if place not in found]:
            throttled: list[tuple[RemoteFailed, float | None]] = []
            for start in range(0, len(waiting), BATCH):
                throttled += self._ask(urls, waiting[start : start + BATCH], found)
            if throttled:
                tries.wait_or_raise(
                    throttled[0][0], after=max((after or 0.0 for _, after in throttled), default=0.0) or None
                )
        return [found[place] for place in range(len(urls))]

    def _ask(
        self, urls: Sequence[str], places: Sequence[int], found: dict[int, list[Json]]
    ) -> Iterator[tuple[RemoteFailed, float | None]]:
        """Put the answers of one batch into `found`; yield what has to be asked again, and after how many seconds."""
        requests = [{"id": str(place), "method": "GET", "url": urls[place]} for place in places]
        reply = self._client.post("/v1.0/$batch", body={"requests": requests}, harmless=True)
        answers = {str(answer.get("id")): answer for answer in reply.body.get("responses") or ()}
        for place in places:
            answer: Mapping[str, Any] = answers.get(str(place), {})
            status, body = answer.get("status"), answer.get("body")
            if status == 200 and isinstance(body, dict):
                found[place] = list(self._client.items(body))
                continue
            if not isinstance(status, int):
                raise unexpected(f"{self._client.base}/v1.0/$batch left a request without an answer.")
            error = refused("GET", f"{self._client.base}/v1.0{urls[place]}", status, body)
            if status not in BUSY:
                raise error
            headers = {name.lower(): str(value) for name, value in (answer.get("headers") or {}).items()}
            yield error, retry_after(headers.get("retry-after"), now=self._client.patience.now)


def quoted(value: str) -> str:
    """An OData string literal: an apostrophe is doubled (OData 4.01 URL conventions, 5.1.1.6.1)."""
    return "'" + value.replace("'", "''") + "'"
