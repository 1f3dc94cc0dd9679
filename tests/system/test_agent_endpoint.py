"""An agent from end to end: embedded engine, the function `model`, the adapter, and a real HTTP server in the model's place."""

import asyncio
import contextlib
import json
from pathlib import Path

import msgspec

from perdure import wiring
from perdure.language.read import read
from perdure.settings import Settings
from tests.servers.model_endpoint import completion, endpoint, refusal

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/research-agent"


@contextlib.asynccontextmanager
async def installed(folder, url):
    settings = Settings(model_url=url, model_name="gpt-4o-mini", model_key="sk-canary", egress_allow=("127.0.0.1",))
    installation = wiring.installation(folder, settings, modules=[str(EXAMPLE / "research_functions.py")])
    async with installation.open():
        yield installation.engine


def calls(*made, text=None):
    wire = [
        {"id": f"c{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for index, (name, arguments) in enumerate(made)
    ]
    return lambda body, _: completion(text, finish="tool_calls", tool_calls=wire)


async def run(folder, *script):
    document = read((EXAMPLE / "workflow.yaml").read_bytes()).value
    async with endpoint(*script) as serving, installed(folder, serving.url) as engine:
        id = await engine.start("default", document, {"question": "How long?"}, resources={})
        ended = await asyncio.wait_for(engine.wait("default", id), 30)
        return ended, serving, await engine.history("default", id)


async def test_tools_retries_and_a_corrected_answer(tmp_path):
    answer = {"source": "brooklyn/size", "year": 1883}
    ended, serving, history = await run(
        tmp_path,
        lambda body, _: refusal(429, "busy", {"retry-after": "0"}),
        calls(("search", '{"words": "brooklyn"}'), ("open", "{broken"), ("open", '{"name": "../etc"}')),
        calls(("read", '{"chapter": "brooklyn/size"}'), text="Reading."),
        lambda body, _: completion("In the year 1883."),
        lambda body, _: completion(json.dumps(answer)),
    )
    assert (ended.status, ended.output) == ("completed", answer), ended.error
    assert len(serving.requests) == 5
    assert serving.headers[0]["idempotency-key"] == serving.headers[1]["idempotency-key"]
    assert len({headers["idempotency-key"] for headers in serving.headers}) == 4
    told = [message["content"] for message in serving.requests[2]["messages"] if message["role"] == "tool"]
    assert told[0] == '["brooklyn"]'
    assert told[1] == "Error: The arguments are not a JSON object. The call was not made."
    assert "There is no note" in told[2]
    assert serving.requests[2]["messages"][2]["tool_calls"][1]["function"]["arguments"] == "{broken"
    assert {tool["function"]["name"] for tool in serving.requests[0]["tools"]} == {"search", "open", "read"}
    assert serving.requests[0]["response_format"]["json_schema"]["schema"]["required"] == ["source", "year"]
    assert b"sk-canary" not in msgspec.json.encode(history)
    assert sum(entry.data["usage"]["inputTokens"] for entry in history if "usage" in entry.data) == 4 * 11


async def test_an_endpoint_that_answers_nonsense(tmp_path):
    ended, _, _ = await run(tmp_path, lambda body, _: completion(None, tool_calls=[{"function": "weather"}]))
    assert ended.status == "faulted"
    assert ended.error["type"].endswith("/communication")
    assert "no chat completion" in ended.error["detail"]


async def test_a_run_is_forked_in_the_middle_of_its_agent(tmp_path):
    document = read((EXAMPLE / "workflow.yaml").read_bytes()).value
    final = json.dumps({"source": "x", "year": 1914})
    script = [calls(("search", '{"words": "tram"}')), lambda body, _: completion(final)]
    async with endpoint(*script) as serving, installed(tmp_path, serving.url) as engine:
        first = await engine.start("default", document, {"question": "How long?"}, resources={})
        await asyncio.wait_for(engine.wait("default", first), 30)
        fork = await engine.fork("default", first, path="/do/0/research/try/0/ask/turn#2")
        ended = await asyncio.wait_for(engine.wait("default", fork), 30)
        assert (ended.status, ended.output) == ("completed", {"source": "x", "year": 1914})
        assert len(serving.requests) == 3, "the first turn and its tool are known to the fork"
        assert [m["role"] for m in serving.requests[2]["messages"]] == ["system", "user", "assistant", "tool"]
