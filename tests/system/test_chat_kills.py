"""A platform that is killed while an agent answers: the provider sees what it would have seen, and the stream goes on.

A request that was cut off is sent again with the same idempotency key; one whose answer is known never is.
"""

import asyncio
import contextlib
import json
import threading

import pytest

from perdure.client import agents, contexts, usage, workflows
from tests.servers.model_endpoint import endpoints
from tests.system.platform_process import PATIENCE, PlatformProcess
from tests.system.test_cli_kill import until

LOOKUP = b"""
document: { dsl: 1.0.3, namespace: shop, name: lookup, version: 1.0.0 }
do:
  - answer: { set: { stock: '${ .id * 2 }' } }
"""
DEFINITION = {"instruction": "Use your tools.", "tools": [{"workflow": "shop.lookup"}], "model": "m"}
TURNS = 3
ANSWER = [f"word{number} " for number in range(12)]
TEXT = "".join(ANSWER)


class Provider:
    """Two turns that call a tool, and one that answers word by word. Holds once at a piece of a turn, until the process
    that asked is dead."""

    def __init__(self, hold):
        self.hold = hold
        self.held = threading.Event()
        self.asked = []

    async def stream(self, body, request):
        from aiohttp import web

        turn = 1 + sum(message["role"] == "assistant" for message in body["messages"])
        self.asked.append((turn, request.headers["Idempotency-Key"]))
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number, piece in enumerate(self.pieces(turn)):
            if self.hold == (turn, number):
                self.hold = None
                self.held.set()
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), PATIENCE)  # the killed process hangs up
            await response.write(f"data: {json.dumps(piece)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    def pieces(self, turn):
        deltas = [{"role": "assistant", "content": word} for word in ANSWER]
        if turn < TURNS:
            call = {"index": 0, "id": f"c{turn}", "function": {"name": "lookup", "arguments": json.dumps({"id": turn})}}
            deltas = [{"role": "assistant", "tool_calls": [call]}]
        head = {"id": "c", "object": "chat.completion.chunk", "model": "m"}
        for delta in deltas:
            yield {**head, "choices": [{"index": 0, "delta": delta}]}
        reason = "stop" if turn == TURNS else "tool_calls"
        yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
        yield {**head, "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}


def chat(platform):
    with platform.client() as client:
        client.do(workflows.publish(LOOKUP))
        client.do(agents.create("clerk", DEFINITION))
        return client.do(agents.chat("clerk", "How much is there?", wait=False))


def heard(platform, run, after="", most=None):
    """Texts and the last id of a stream, to its end or until so many texts."""
    texts, last, end = [], after, None
    with (
        platform.client() as client,
        contextlib.closing(client.stream(agents.follow("clerk", run), after=after)) as events,
    ):
        for event in events:
            data = json.loads(event.data)
            last = event.id or last
            if event.type == "text":
                texts.append(data["text"])
            assert event.type != "reset", data
            if event.type == "end":
                end = data
            if most is not None and len(texts) >= most:
                break
    return "".join(texts), last, end


@pytest.mark.slow
@pytest.mark.parametrize(
    "hold", [None, (1, 0), (1, 1), (2, 0), (2, 2), (3, 0), (3, 5), (3, 12), (3, 13)], ids=lambda hold: f"at-{hold}"
)
def test_a_chat_killed_anywhere_asks_for_what_it_would_have_asked(tmp_path, took_part, hold):
    took_part("perdure up, killed while an agent answers")
    provider = Provider(hold)
    with endpoints(provider.stream) as (place,):
        platform = PlatformProcess(tmp_path, PERDURE_MODEL_URL=f"{place.url}/v1", PERDURE_MODEL_NAME="m")
        try:
            platform.up()
            begun = chat(platform)
            before, last = "", ""
            if hold is not None:
                if hold[0] == TURNS and hold[1] > 3:
                    before, last, _end = heard(platform, begun.run, most=2)
                assert provider.held.wait(PATIENCE)
                platform.kill()
                platform.up()
            after, _last, end = heard(platform, begun.run, last)
            assert before + after == TEXT
            assert (end["state"], end["output"]) == ("completed", TEXT)
            keys = [key for _turn, key in provider.asked]
            assert len(set(keys)) == TURNS
            again = {hold[0]} if hold is not None else set()
            assert {turn for turn, key in provider.asked if keys.count(key) > 1} == again
            assert len(keys) == TURNS + len(again)
            with platform.client() as client:
                assert len(client.do(usage.find()).items) == TURNS
                said = client.do(contexts.messages(begun.context)).items
                assert [one.role for one in said] == ["user", "assistant"]
                assert said[1].content == TEXT
        finally:
            platform.kill()


@pytest.mark.slow
def test_a_chat_killed_at_its_end_has_one_answer(tmp_path, took_part):
    took_part("perdure up, killed when an agent has answered")
    provider = Provider(None)
    with endpoints(provider.stream) as (place,):
        platform = PlatformProcess(tmp_path, PERDURE_MODEL_URL=f"{place.url}/v1", PERDURE_MODEL_NAME="m")
        try:
            platform.up()
            begun = chat(platform)
            until(lambda: len(provider.asked) == TURNS)
            platform.kill()
            platform.up()
            _text, _last, end = heard(platform, begun.run)
            assert end["output"] == TEXT
            with platform.client() as client:
                assert len(client.do(contexts.messages(begun.context)).items) == 2
                assert len(client.do(usage.find()).items) == TURNS
        finally:
            platform.kill()
