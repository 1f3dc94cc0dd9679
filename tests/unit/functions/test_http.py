"""`call: http` against local servers (language.md B2, B26, T29)."""

import asyncio
import json

import pytest
from aiohttp import web

from perdure.functions.http import Http
from perdure.ports.function import FunctionFault
from perdure.ports.spans import TRACEPARENT
from tests.servers.calls import context, handle
from tests.servers.recorder import recording


async def faulted(http, arguments, given=None):
    with pytest.raises(FunctionFault) as caught:
        await http.execute(arguments, given or context())
    return caught.value


async def test_content_raw_and_response(http):
    answer = lambda asked: web.json_response({"id": 1}, headers={"X-A": "b"})  # noqa: E731
    async with recording(answer) as server:
        call = {"method": "get", "endpoint": {"uri": f"{server.url}/x"}}
        assert await http.execute(call, context()) == {"id": 1}
        assert await http.execute({**call, "output": "raw"}, context()) == "eyJpZCI6IDF9"
        whole = await http.execute({**call, "output": "response", "headers": {"X-B": 1, "X-C": None}}, context())
    assert whole["request"]["method"] == "GET"
    assert whole["request"]["uri"] == f"{server.url}/x"
    assert whole["request"]["headers"]["x-b"] == "1"
    assert "x-c" not in server.asked[-1].headers
    assert (whole["statusCode"], whole["headers"]["x-a"], whole["content"]) == (200, "b", {"id": 1})


async def test_an_endpoint_may_be_plain_text(http):
    async with recording() as server:
        assert await http.execute({"method": "GET", "endpoint": server.url}, context()) == {}


async def test_query_values_go_behind_those_of_the_address(http):
    async with recording() as server:
        query = {"a": "x y&", "b": 1, "c": True, "d": None, "e": ["1", 2]}
        await http.execute({"method": "get", "endpoint": f"{server.url}/p?z=0#f", "query": query}, context())
    assert server.asked[0].target == "/p?z=0&a=x%20y%26&b=1&c=true&e=1&e=2"


@pytest.mark.parametrize(
    ("body", "headers", "sent", "kind"),
    [
        ({"a": 1}, {}, b'{"a":1}', "application/json"),
        ("hello", {}, b"hello", "text/plain; charset=utf-8"),
        (
            {"a": "b c"},
            {"content-type": "application/x-www-form-urlencoded"},
            b"a=b+c",
            "application/x-www-form-urlencoded",
        ),
        (None, {}, b"", None),
    ],
)
async def test_bodies_go_by_their_type(http, body, headers, sent, kind):
    async with recording() as server:
        await http.execute({"method": "post", "endpoint": server.url, "body": body, "headers": headers}, context())
    assert (server.asked[0].body, server.asked[0].headers.get("content-type")) == (sent, kind)


async def test_a_multipart_body_gets_its_boundary(http):
    async with recording() as server:
        await http.execute(
            {
                "method": "post",
                "endpoint": server.url,
                "body": {"a": 1},
                "headers": {"Content-Type": "multipart/form-data"},
            },
            context(),
        )
    assert server.asked[0].headers["content-type"].startswith("multipart/form-data; boundary=perdure-")


@pytest.mark.parametrize("method", ["post", "PUT", "patch", "delete"])
async def test_what_changes_something_carries_the_idempotency_key(http, method):
    async with recording() as server:
        await http.execute({"method": method, "endpoint": server.url}, context(key="k-9"))
        await http.execute(
            {"method": method, "endpoint": server.url, "headers": {"idempotency-key": "own"}}, context(key="k-9")
        )
        await http.execute({"method": "get", "endpoint": server.url}, context(key="k-9"))
    assert [asked.headers.get("idempotency-key") for asked in server.asked] == ["k-9", "own", None]


async def test_the_trace_goes_along_when_there_is_one(http):
    own = {"method": "get", "headers": {"Traceparent": "own"}}
    async with recording() as server:
        await http.execute({"method": "get", "endpoint": server.url}, context())
        token = TRACEPARENT.set("00-" + "1" * 32 + "-" + "2" * 16 + "-01")
        await http.execute({"method": "get", "endpoint": server.url}, context())
        await http.execute({**own, "endpoint": server.url}, context())
        TRACEPARENT.reset(token)
    traces = [asked.headers.get("traceparent") for asked in server.asked]
    assert traces == [None, "00-" + "1" * 32 + "-" + "2" * 16 + "-01", "own"]


def test_effects_follow_the_method():
    http = Http(None)
    effects = {
        method: http.effect_of({"method": method}, {}) for method in ("get", "HEAD", "put", "DELETE", "post", "patch")
    }
    assert effects == {
        "get": "read",
        "HEAD": "read",
        "put": "idempotent",
        "DELETE": "idempotent",
        "post": "unsafe",
        "patch": "unsafe",
    }
    assert http.effect_of({"method": "post", "headers": {"Idempotency-Key": "order-7"}}, {}) == "idempotent"
    assert http.effect_of(None, {}) == http.effect_of({"method": 3}, {}) == "unsafe"


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
async def test_an_error_status_is_a_communication_fault(http, status):
    async with recording(lambda asked: web.Response(status=status, text="because " + "x" * 5000)) as server:
        fault = await faulted(http, {"method": "post", "endpoint": f"{server.url}/x"})
    assert fault.problem["type"].endswith("/communication")
    assert (fault.problem["status"], fault.outcome) == (status, "definite")
    assert fault.problem["title"]
    assert "because" in fault.problem["detail"]
    assert len(fault.problem["detail"]) < 1200


async def test_a_gateway_that_lost_the_answer_leaves_the_outcome_unknown(http):
    async with recording(lambda asked: web.Response(status=504)) as server:
        assert (await faulted(http, {"method": "post", "endpoint": server.url})).outcome == "unknown"
        assert (await faulted(http, {"method": "get", "endpoint": server.url})).outcome == "definite"


async def test_an_unusual_status_has_no_title(http):
    answer = lambda asked: web.Response(status=499, body=b"\x89PNG", content_type="image/png")  # noqa: E731
    async with recording(answer) as server:
        fault = await faulted(http, {"method": "get", "endpoint": server.url})
    assert "title" not in fault.problem
    assert fault.problem["detail"].endswith("answered 499.")


@pytest.mark.parametrize("redirect", [False, True])
async def test_a_redirect_is_an_error_or_the_answer_and_never_followed(http, redirect):
    answer = lambda asked: web.Response(status=302, headers={"Location": "/b"}, text="moved")  # noqa: E731
    async with recording(answer) as server:
        call = {"method": "get", "endpoint": f"{server.url}/a", "redirect": redirect, "output": "response"}
        if redirect:
            whole = await http.execute(call, context())
            assert (whole["statusCode"], whole["headers"]["location"], whole["content"]) == (302, "/b", "moved")
        else:
            fault = await faulted(http, call)
            assert fault.problem["status"] == 302
            assert "to /b" in fault.problem["detail"]
    assert len(server.asked) == 1


async def test_json_that_is_none_is_a_communication_fault(http):
    answer = lambda asked: web.Response(body=b"{", content_type="application/json")  # noqa: E731
    async with recording(answer) as server:
        fault = await faulted(http, {"method": "get", "endpoint": server.url})
        assert await http.execute({"method": "get", "endpoint": server.url, "output": "raw"}, context()) == "ew=="
    assert "not valid JSON" in fault.problem["detail"]
    assert fault.problem["status"] == 500


async def test_a_broken_connection_leaves_the_outcome_unknown(http):
    async def hang_up(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        fault = await faulted(http, {"method": "post", "endpoint": f"http://127.0.0.1:{port}/"})
    assert (fault.problem["status"], fault.outcome) == (500, "unknown")
    fault = await faulted(http, {"method": "post", "endpoint": f"http://127.0.0.1:{port}/"})
    assert (fault.problem["status"], fault.outcome) == (500, "unknown")


async def test_a_refused_address_is_a_communication_fault_with_a_way_out(http):
    fault = await faulted(http, {"method": "get", "endpoint": "http://10.0.0.1/x"})
    assert (fault.problem["status"], fault.outcome) == (403, "definite")
    assert "PERDURE_EGRESS_ALLOW=10.0.0.1:80" in fault.problem["detail"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "must be an object"),
        ({"endpoint": "http://a/"}, "`method`"),
        ({"method": "get"}, "`endpoint`"),
        ({"method": "get", "endpoint": {"uri": 3}}, "`endpoint`"),
        ({"method": "get", "endpoint": "http://a/", "output": "all"}, "`output`"),
        ({"method": "get", "endpoint": "http://a/", "headers": []}, "`headers`"),
        ({"method": "get", "endpoint": "http://a/", "headers": {"a": [1]}}, "The header a"),
        ({"method": "get", "endpoint": "http://a/", "query": "a=b"}, "`query`"),
        ({"method": "get", "endpoint": "http://a/", "query": {"a": {}}}, "query parameter a"),
        ({"method": "post", "endpoint": "http://a/", "body": [1], "headers": {"Content-Type": "text/xml"}}, "text/xml"),
    ],
)
async def test_arguments_that_do_not_fit_are_validation_faults(http, arguments, said):
    fault = await faulted(http, arguments)
    assert fault.problem["type"].endswith("/validation")
    assert said in fault.problem["detail"]


async def test_secrets_go_where_they_are_put_and_show_as_stars(http):
    async with recording() as server:
        whole = await http.execute(
            {
                "method": "post",
                "endpoint": {"uri": {"$perdure.parts": [f"{server.url}/", handle("s", "id")]}},
                "headers": {"X-Key": {"$perdure.parts": ["Key ", handle("s", "key")]}},
                "query": {"q": handle("s", "id")},
                "body": {"inside": handle("s", "key")},
                "output": "response",
            },
            context({"s": {"id": "the-id", "key": "the-key"}}),
        )
        asked = server.asked[0]
    assert (asked.target, asked.headers["x-key"]) == ("/the-id?q=the-id", "Key the-key")
    assert json.loads(asked.body) == {"inside": "the-key"}
    assert whole["request"]["uri"] == f"{server.url}/***?q=***".replace("***?q=***", "***?q=%2A%2A%2A")
    assert whole["request"]["headers"]["x-key"] == "Key ***"
    assert "the-" not in str(whole)


async def test_all_headers_of_one_secret_show_as_stars(http):
    async with recording() as server:
        whole = await http.execute(
            {"method": "get", "endpoint": server.url, "headers": handle("h"), "output": "response"},
            context({"h": {"X-Key": "the-key"}}),
        )
        assert server.asked[0].headers["x-key"] == "the-key"
    assert whole["request"]["headers"]["x-key"] == "***"
    assert "the-key" not in str(whole)


async def test_a_missing_secret_is_an_authorization_fault(http):
    fault = await faulted(http, {"method": "get", "endpoint": "http://a/", "headers": {"k": handle("nope")}})
    assert fault.problem["status"] == 403
