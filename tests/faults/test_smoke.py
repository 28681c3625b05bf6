from tests.estate import *


def test_it(estate):
    t = time.monotonic()
    r = estate.lzr("plan", estate.documents, "--json", code=6).run
    print("plan", time.monotonic() - t)
    t = time.monotonic()
    for s in r["steps"]:
        print(s["name"], s["seconds"])
    estate.lzr("approve", r["id"])
    print("approve", time.monotonic() - t)
    t = time.monotonic()
    r = estate.lzr("apply", r["id"], "--json").run
    for s in r["steps"]:
        print(s["name"], s["seconds"])
    print("apply", time.monotonic() - t)
    t = time.monotonic()
    for c in estate.calls("PUT") + estate.calls("POST") + estate.calls("PATCH") + estate.calls("DELETE"):
        print(c)
