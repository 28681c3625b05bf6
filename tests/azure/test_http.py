"""Requests: what is repeated and when, what an error says, and what it never says."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.azure.http import Client, Patience, addressed, segment
from runner.errors import Canceled, RemoteFailed
from runner.network.posting import retry_after
from runner.network.way_out import Network
from tests.azure.conftest import SECRET, Connected, Waiting
from tests.azure.loopback import TOKEN, Loopback, Received, Reply, issue

Serve = Callable[..., Loopback]
Connect = Callable[[Loopback], Connected]


def script(*replies: Reply) -> Callable[[Received], Reply]:
    """Answer with each reply in turn, then with the last one again and again."""
    left = list(replies)
    return lambda received: left.pop(0) if len(left) > 1 else left[0]


def test_a_request_carries_token_agent_and_an_id_of_its_own(serve: Serve, connected: Connect) -> None:
    server = serve(script(Reply(body={"name": "x"})))
    client = connected(server).client

    assert client.get("/thing").body == {"name": "x"}
    client.get("/thing")

    first, second = server.requests
    assert first.header("Authorization") == f"Bearer {TOKEN}".encode()
    assert first.header("User-Agent") == b"landing-zone-runner"
    assert first.header("client-request-id") != second.header("client-request-id")


def test_one_token_serves_all_requests(serve: Serve, connected: Connect) -> None:
    server = serve(script(Reply(body={})))
    client = connected(server).client

    for _ in range(5):
        client.get("/thing")

    assert len(server.token_requests) == 1


def test_a_busy_token_service_is_waited_for_and_a_refusal_is_final(
    serve: Serve, connected: Connect, waiting: Waiting
) -> None:
    answers = [Reply(503, headers={"Retry-After": "11"}), None, Reply(401, body={"error": "invalid_client"})]

    def tokens(received: Received) -> Reply:
        return (answers.pop(0) if received.method == "POST" else None) or issue(received)

    server = serve(script(Reply(body={})), tokens=tokens)

    connected(server).client.post("/thing", body={}, harmless=False)
    with pytest.raises(RemoteFailed) as failure:
        connected(server).client.get("/thing")

    assert failure.value.code == "token-refused"
    assert [11 <= seconds <= 13.2 for seconds in waiting.seconds] == [True]
    assert len(server.requests) == 1


def test_a_throttled_request_waits_as_long_as_it_is_told(serve: Serve, connected: Connect, waiting: Waiting) -> None:
    server = serve(script(Reply(429, headers={"Retry-After": "17"}), Reply(body={"ok": True})))

    assert connected(server).client.get("/thing").body == {"ok": True}

    (waited,) = waiting.seconds
    assert 17 <= waited <= 17 * 1.2


def test_retry_after_may_be_a_date(serve: Serve, connected: Connect, waiting: Waiting) -> None:
    later = format_datetime(waiting.now() + timedelta(seconds=40), usegmt=True)
    server = serve(script(Reply(503, headers={"Retry-After": later}), Reply(body={})))

    connected(server).client.get("/thing")

    assert 40 <= waiting.seconds[0] <= 48


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0.0), ("120", 120.0), ("", None), (None, None), ("soon", None), ("-5", None), ("1e9", None), ("٣", None)],
)
def test_a_retry_after_that_says_nothing_is_ignored(
    header: str | None, seconds: float | None, waiting: Waiting
) -> None:
    assert retry_after(header, now=waiting.now) == seconds


def test_a_date_in_the_past_means_at_once(waiting: Waiting) -> None:
    assert retry_after("Mon, 05 Jan 2015 09:00:00 GMT", now=waiting.now) == 0.0


def test_waits_grow_until_the_attempts_are_used_up(serve: Serve, connected: Connect, waiting: Waiting) -> None:
    server = serve(script(Reply(503)))

    with pytest.raises(RemoteFailed) as failure:
        connected(server).client.get("/thing")

    assert failure.value.temporary
    assert failure.value.code == "azure-unavailable"
    assert len(server.requests) == 7
    assert [round(seconds // 1) for seconds in waiting.seconds][:3] == [1, 2, 4]


def test_a_wait_beyond_the_limit_is_not_begun(serve: Serve, connected: Connect, waiting: Waiting) -> None:
    server = serve(script(Reply(429, headers={"Retry-After": "3600"})))

    with pytest.raises(RemoteFailed, match="throttles") as failure:
        connected(server).client.get("/thing")

    assert failure.value.status == 429
    assert waiting.seconds == []
    assert len(server.requests) == 1


def test_stop_ends_a_wait_at_once(serve: Serve, connected: Connect) -> None:
    server = serve(script(Reply(429, headers={"Retry-After": "200"})))
    stop = threading.Event()
    made = connected(server)
    client = Client(
        made.http, base=server.url, scope="https://x/.default", credential=made.credential, patience=Patience(stop)
    )
    threading.Timer(0.2, stop.set).start()

    with pytest.raises(Canceled):
        client.get("/thing")


def test_nothing_is_sent_after_stop(serve: Serve, connected: Connect, waiting: Waiting) -> None:
    server = serve(script(Reply(body={})))
    client = connected(server).client
    waiting.stop.set()

    with pytest.raises(Canceled):
        client.get("/thing")

    assert server.requests == []


@pytest.mark.parametrize("reply", [Reply(503), Reply(502), Reply(504), Reply(500), Reply(drop=True)], ids=str)
def test_a_post_with_an_unclear_outcome_is_sent_once(reply: Reply, serve: Serve, connected: Connect) -> None:
    server = serve(script(reply))

    with pytest.raises(RemoteFailed) as failure:
        connected(server).client.post("/thing", body={}, harmless=False)

    assert failure.value.temporary
    assert len(server.requests) == 1


@pytest.mark.parametrize("reply", [Reply(503), Reply(drop=True)], ids=str)
def test_a_harmless_post_is_sent_again(reply: Reply, serve: Serve, connected: Connect) -> None:
    server = serve(script(reply, Reply(201, body={"id": "1"})))

    assert connected(server).client.post("/thing", body={}, harmless=True).status == 201


def test_a_throttled_post_was_not_carried_out_and_is_sent_again(serve: Serve, connected: Connect) -> None:
    server = serve(script(Reply(429), Reply(201, body={})))

    assert connected(server).client.post("/thing", body={}, harmless=False).status == 201


def test_a_server_that_is_not_there_is_tried_again_and_then_reported(
    serve: Serve, connected: Connect, waiting: Waiting
) -> None:
    server = serve(script(Reply(body={})))
    made = connected(server)
    made.credential.get_token("https://x/.default")
    client = Client(
        made.http,
        base="https://127.0.0.1:1",
        scope="https://x/.default",
        credential=made.credential,
        patience=waiting.patience,
    )

    with pytest.raises(RemoteFailed) as failure:
        client.post("/thing", body={}, harmless=False)

    assert failure.value.code == "azure-unreachable"
    assert failure.value.temporary
    assert len(waiting.seconds) == 6


def test_a_certificate_that_is_not_trusted_is_reported_and_not_tried_again(
    serve: Serve, connected: Connect, waiting: Waiting
) -> None:
    server = serve(script(Reply(body={})))
    made = connected(server)
    made.credential.get_token("https://x/.default")
    public = Network()
    with public.client(public.tls()) as http:
        client = Client(
            http, base=server.url, scope="https://x/.default", credential=made.credential, patience=waiting.patience
        )
        with pytest.raises(RemoteFailed) as failure:
            client.get("/thing")

    assert "private CA" in failure.value.hint
    assert not failure.value.temporary
    assert waiting.seconds == []


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "azure-refused"),
        (401, "azure-unauthorized"),
        (403, "azure-forbidden"),
        (404, "azure-not-found"),
        (409, "azure-conflict"),
        (422, "azure-refused"),
        (302, "azure-refused"),
        (501, "azure-unavailable"),
    ],
)
def test_a_refusal_is_an_error_at_once(status: int, code: str, serve: Serve, connected: Connect) -> None:
    body = {"error": {"code": "AuthorizationFailed", "message": "The client may not."}}
    server = serve(script(Reply(status, body=body, headers={"Location": "https://example.com/"})))

    with pytest.raises(RemoteFailed) as failure:
        connected(server).client.get("/thing")

    assert failure.value.code == code
    assert failure.value.status == status
    assert "AuthorizationFailed: The client may not." in failure.value.detail
    assert len(server.requests) == 1


def test_a_status_that_the_caller_expects_is_an_answer(serve: Serve, connected: Connect) -> None:
    server = serve(script(Reply(404, body={"error": {"code": "NotFound"}})))

    assert connected(server).client.get("/thing", also=(404,)).status == 404


def test_a_long_error_is_cut_and_kept_on_one_line(serve: Serve, connected: Connect) -> None:
    server = serve(script(Reply(400, body=("a\nb" * 1000).encode())))

    with pytest.raises(RemoteFailed) as failure:
        connected(server).client.get("/thing")

    assert "\n" not in failure.value.detail
    assert len(failure.value.detail) < 400


def test_an_error_that_echoes_the_token_does_not_show_it(serve: Serve, connected: Connect) -> None:
    server = serve(lambda received: Reply(400, body=received.header("Authorization")))

    with pytest.raises(RemoteFailed) as failure:
        connected(server).client.get("/thing")

    shown = "".join(traceback.format_exception(failure.value)) + repr(failure.value) + failure.value.detail
    assert TOKEN not in shown
    assert SECRET not in shown


def test_an_answer_without_json_is_not_azures(serve: Serve, connected: Connect) -> None:
    server = serve(script(Reply(200, body=b"<html>Please sign in to the network</html>")))

    with pytest.raises(RemoteFailed) as failure:
        connected(server).client.get("/thing")

    assert failure.value.code == "azure-answer-unexpected"


def test_all_pages_are_read(serve: Serve, connected: Connect) -> None:
    def pages(received: Received) -> Reply:
        page = int(received.query.get("$skiptoken", "0"))
        body: dict[str, object] = {"value": [{"id": 2 * page}, {"id": 2 * page + 1}]}
        if page < 4:
            body["nextLink" if page % 2 else "@odata.nextLink"] = (
                f"https://{received.text('Host')}/things?$skiptoken={page + 1}"
            )
        return Reply(body=body)

    server = serve(pages)

    assert [item["id"] for item in connected(server).client.pages("/things")] == list(range(10))


@pytest.mark.parametrize(
    "link", ["https://evil.example/things", "http://127.0.0.1/things", "//evil.example/x", "/things"]
)
def test_a_next_page_elsewhere_is_not_followed_with_the_token(link: str, serve: Serve, connected: Connect) -> None:
    server = serve(script(Reply(body={"value": [], "nextLink": link})))

    with pytest.raises(RemoteFailed) as failure:
        list(connected(server).client.pages("/things"))

    assert failure.value.code == "azure-answer-unexpected"
    assert len(server.requests) == 1


def test_pages_that_never_end_are_given_up(serve: Serve, connected: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.azure.http.MOST_PAGES", 5)
    server = serve(lambda received: Reply(body={"value": [], "nextLink": f"https://{received.text('Host')}/things"}))

    with pytest.raises(RemoteFailed, match="more than 5 pages"):
        list(connected(server).client.pages("/things"))


@pytest.mark.parametrize("body", [{"value": "text"}, {"value": ["text"]}, {"value": {"id": 1}}])
def test_a_list_of_something_else_is_not_azures(body: object, serve: Serve, connected: Connect) -> None:
    server = serve(script(Reply(body=body)))

    with pytest.raises(RemoteFailed) as failure:
        list(connected(server).client.pages("/things"))

    assert failure.value.code == "azure-answer-unexpected"


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_every_value_reaches_the_server_as_it_is(value: str) -> None:
    url = httpx.URL("https://127.0.0.1" + addressed("/users", {"$filter": f"mail eq '{value}'", "$top": "2"}))

    query = parse_qs(url.query.decode(), keep_blank_values=True, strict_parsing=True)
    assert query == {"$filter": [f"mail eq '{value}'"], "$top": ["2"]}


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(lambda text: text.strip(".")))
def test_a_segment_stays_one_segment(value: str) -> None:
    url = httpx.URL("https://127.0.0.1/groups/" + segment(value) + "/members")

    assert url.raw_path.count(b"/") == 3
    assert b"?" not in url.raw_path
    assert b"#" not in url.raw_path


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_segment_that_would_address_something_else_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="path segment"):
        segment(value)


@pytest.mark.parametrize(
    ("within", "at_most", "pauses"),
    [(0, 30, []), (1, 30, [1]), (20, 30, [1, 2, 4, 8, 5]), (12, 5, [1, 2, 4, 5])],
)
def test_looks_grow_apart_and_the_last_is_when_the_time_is_up(
    within: int, at_most: float, pauses: list[float], waiting: Waiting
) -> None:
    looks = list(waiting.patience.looks(timedelta(seconds=within), at_most=at_most))

    assert waiting.seconds == pauses
    assert len(looks) == len(pauses) + 1


def test_looks_end_when_the_run_is_stopped(waiting: Waiting) -> None:
    looks = waiting.patience.looks(timedelta(minutes=2))
    next(looks)
    waiting.stop.set()

    with pytest.raises(Canceled):
        next(looks)
