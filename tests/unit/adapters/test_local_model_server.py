"""The HTTP side of the local model over real connections; what computes is a function of the test."""

import contextlib
import http.client
import json
import threading

import pytest

from perdure.adapters.clock import SystemClock
from perdure.adapters.egress import HttpEgress
from perdure.adapters.local_model_answers import Answers, Ledger
from perdure.adapters.local_model_server import Server
from perdure.adapters.openai import OpenAIModel
from perdure.ports.model import Message, ModelFailed, Request


def compute(request):
    if request["messages"][0].get("content") == "break":
        raise ZeroDivisionError("inside")
    said = {"role": "assistant", "content": str(request.get("max_tokens"))}
    return {"choices": [{"message": said, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}


@contextlib.contextmanager
def serving(idle=600.0):
    server = Server(0, Answers(compute, Ledger(None)), token="t0k", model="tiny", idle=idle)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    try:
        yield server, thread
    finally:
        server.stop()
        thread.join(10)
        server.server_close()


async def ask(server, path, body=None, **more):
    egress = HttpEgress(["127.0.0.1"])
    headers = {"authorization": f"Bearer {more.pop('token', 't0k')}", **more}
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    address = f"http://127.0.0.1:{server.server_port}{path}"
    try:
        response = await egress.request("GET" if body is None else "POST", address, headers=headers, body=content)
    finally:
        await egress.close()
    return response.status, json.loads(response.body)


HELLO = {"messages": [{"role": "user", "content": "hello"}]}


async def test_its_routes():
    with serving() as (server, _):
        assert (await ask(server, "/health"))[1]["model"] == "tiny"
        assert (await ask(server, "/v1/models"))[1]["data"][0]["id"] == "tiny"
        status, body = await ask(server, "/v1/chat/completions", {**HELLO, "max_tokens": 5})
        assert (status, body["model"], body["choices"][0]["message"]["content"]) == (200, "tiny", "5")
        assert (await ask(server, "/v1/chat/completions", HELLO))[1]["choices"][0]["message"]["content"] == "1024"
        assert (await ask(server, "/elsewhere"))[0] == 404


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/elsewhere"])
async def test_nothing_without_the_token(path):
    with serving() as (server, _):
        assert (await ask(server, path, token="wrong"))[0] == 401
        assert (await ask(server, "/v1/chat/completions", HELLO, token=""))[0] == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        [],
        {},
        {"messages": []},
        {"messages": "hello"},
        {**HELLO, "max_tokens": "many"},
        {**HELLO, "max_tokens": -1},
    ],
)
async def test_what_is_no_request(body):
    with serving() as (server, _):
        status, told = await ask(server, "/v1/chat/completions", body)
        assert status == 400
        assert told["error"]["message"].endswith(".")
        assert (await ask(server, "/health"))[0] == 200


@pytest.mark.parametrize(("length", "expected"), [("9000000", 413), ("", 411), ("many", 411)])
def test_a_size_that_is_refused_before_it_is_read(length, expected):
    with serving() as (server, _):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("authorization", "Bearer t0k")
        if length:
            connection.putheader("content-length", length)
        connection.endheaders()
        assert connection.getresponse().status == expected
        connection.close()


async def test_a_broken_computation_is_told():
    with serving() as (server, _):
        status, told = await ask(server, "/v1/chat/completions", {"messages": [{"content": "break"}]})
        assert status == 500
        assert "ZeroDivisionError" in told["error"]["message"]


async def test_it_ends_when_told_and_says_so_before():
    with serving() as (server, thread):
        told = []
        server.on_stop = lambda: told.append(True)
        assert (await ask(server, "/shutdown", {}))[0] == 200
        assert told
        thread.join(10)
        assert not thread.is_alive()


async def test_it_ends_when_nobody_asks():
    with serving(idle=0.05) as (_, thread):
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        ({"input": ""}, 400),
        ({"input": "a", "dimensions": 3}, 400),
        ({"input": "too long"}, 400),
        ({"input": "a"}, 200),
    ],
)
async def test_vectors(body, status):
    def embed(request):
        if request["input"] != "a":
            return {"error": {"message": "It is too long."}}
        return {"data": [{"index": 0, "embedding": [1.0]}], "model": request["model"]}

    with serving() as (server, _):
        assert (await ask(server, "/v1/embeddings", {"input": "a"}))[0] == 501
        server.embed = embed
        answered, given = await ask(server, "/v1/embeddings", body)
    assert answered == status
    assert status != 200 or given["model"] == "tiny"


def streamed(request, told):
    said = request["messages"][0]["content"]
    if said == "fail at once":
        return {"error": {"message": "No."}}
    for word in ("Hel", "lo"):
        told({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})
    if said == "fail late":
        return {"error": {"message": "Broken."}}
    told({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"completion_tokens": 2}})
    said = {"role": "assistant", "content": "Hello", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}
    return {"choices": [{"message": said, "finish_reason": "stop"}], "usage": {"completion_tokens": 2}}


async def hear(server, said):
    egress = HttpEgress(["127.0.0.1"])
    model = OpenAIModel(egress, SystemClock(), url=f"http://127.0.0.1:{server.server_port}", key="t0k")
    try:
        request = Request(messages=(Message("user", said),), key=f"key of {said}")
        return [chunk async for chunk in model.stream(request)]
    finally:
        await egress.close()


async def test_a_stream_and_the_same_again_whole():
    with serving() as (server, _):
        server.answers = Answers(compute, Ledger(None), streamed)
        *pieces, last = await hear(server, "hello")
        assert [piece.text for piece in pieces] == ["Hel", "lo"]
        assert (last.text, last.usage["model"], last.usage["outputTokens"]) == ("Hello", "tiny", 2)
        *pieces, last = await hear(server, "hello")  # by its key
        assert (len(pieces), last.text, last.tool_calls[0].name) == (2, "Hello", "f")


async def test_a_stream_that_fails():
    with serving() as (server, _):
        server.answers = Answers(compute, Ledger(None), streamed)
        with pytest.raises(ModelFailed, match="500: No"):
            await hear(server, "fail at once")
        with pytest.raises(ModelFailed, match="Broken"):
            await hear(server, "fail late")
