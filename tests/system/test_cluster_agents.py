"""Agents on several gateways and workers: an answer goes on, streams and is counted once, whoever is killed meanwhile."""

import asyncio
import contextlib
import itertools
import json
import signal

import pytest

from perdure.client import Client, agents, contexts, inbox, usage, workflows
from tests.servers.model_endpoint import endpoints
from tests.system.cluster import Cluster, until

_numbers = itertools.count(1)
WORDS = 30
TEXT = "".join(f"word{number} " for number in range(WORDS))
LOOKUP = b"""
document: { dsl: 1.0.3, namespace: shop, name: lookup, version: 1.0.0 }
do:
  - answer: { set: { stock: '${ .id * 2 }' } }
"""
HELPER = {"instruction": "You are the helper.", "model": "m"}
CLERK = {
    "instruction": "Use your tools.", "model": "m", "approval": ["charge"],
    "tools": ["effect", "charge", {"workflow": "shop.lookup"}, {"agent": "helper"}],
}  # fmt: skip
PAYER = {"instruction": "Pay.", "model": "m", "tools": ["alone"]}
TURNS = (
    [("effect", {"label": "a"}), ("lookup", {"id": 2}), ("helper", {"request": "Help."})],
    [("charge", {"label": "b"})],
)
"""What the model wants of who says `work`; then, and to all else, it answers word by word."""
PAYMENT = ([("alone", {"label": "c"})],)


class Provider:
    """Streams, and pauses for a moment at each word when it is told to go `slowly`."""

    def __init__(self):
        self.keys = []

    async def stream(self, body, request):
        from aiohttp import web

        self.keys.append(request.headers["Idempotency-Key"])
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        asked = next(str(said["content"]) for said in reversed(body["messages"]) if said["role"] == "user")
        for piece in self.pieces(body["messages"], asked):
            if "slowly" in asked and piece["choices"] and "content" in piece["choices"][0]["delta"]:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), 0.15)
            await response.write(f"data: {json.dumps(piece)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    def pieces(self, messages, asked):
        said = list(itertools.takewhile(lambda one: one["role"] != "user", reversed(messages)))
        turn = sum(one["role"] == "assistant" for one in said)
        deltas = [{"role": "assistant", "content": word} for word in TEXT.split(" ")[:-1]]
        deltas = [{**delta, "content": delta["content"] + " "} for delta in deltas]
        turns = {"work": TURNS, "pay": PAYMENT}.get(asked, ())
        calls = turn < len(turns)
        if calls:
            made = [
                {"index": number, "id": f"c{turn}{number}", "function": {"name": name, "arguments": json.dumps(given)}}
                for number, (name, given) in enumerate(turns[turn])
            ]
            deltas = [{"role": "assistant", "tool_calls": made}]
        head = {"id": "c", "object": "chat.completion.chunk", "model": "m"}
        for delta in deltas:
            yield {**head, "choices": [{"index": 0, "delta": delta}]}
        yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}]}
        yield {**head, "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}


@pytest.fixture(scope="module")
def provider():
    """In a thread of its own, for as long as the module."""
    made = Provider()
    with endpoints(made.stream) as (place,):
        made.url = place.url
        yield made


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, provider, postgres_server, valkey_server, temporal_server):
    made = Cluster(
        tmp_path_factory.mktemp("agents"),
        PERDURE_DATABASE_URL=postgres_server.database(f"cluster_agents_{next(_numbers)}"),
        PERDURE_REDIS_URL=valkey_server.url,
        PERDURE_TEMPORAL_ADDRESS=temporal_server.target,
        PERDURE_MODEL_URL=f"{provider.url}/v1",
        PERDURE_MODEL_NAME="m",
    )
    try:
        made.start()
        with client(made, 0) as one:
            one.do(workflows.publish(LOOKUP))
            one.do(agents.create("helper", HELPER))
            one.do(agents.create("clerk", CLERK))
            one.do(agents.create("payer", PAYER))
        yield made
    finally:
        made.close()


def client(cluster, number):
    return Client(f"http://127.0.0.1:{cluster.gateways[number].port}", cluster.key)


class Heard:
    """What a stream told, in how many pieces, and where it stopped."""

    def __init__(self):
        self.text, self.pieces, self.last, self.end = "", 0, "", None
        self.tools = []

    def hear(self, cluster, number, run, most=None):
        with (
            client(cluster, number) as one,
            contextlib.closing(one.stream(agents.follow("clerk", run), after=self.last)) as events,
        ):
            for event in events:
                data = json.loads(event.data)
                self.last = event.id or self.last
                assert event.type != "reset", data
                if event.type == "text":
                    self.text += data["text"]
                    self.pieces += 1
                elif event.type == "tool":
                    self.tools.append((data["tool"], data["state"]))
                elif event.type == "end":
                    self.end = data
                if most is not None and self.pieces >= most:
                    break
        return self


@pytest.mark.slow
def test_a_stream_goes_on_at_another_gateway_when_its_own_is_killed(cluster, provider, took_part):
    took_part("agents on two gateways and two workers")
    before = len(provider.keys)
    with client(cluster, 0) as one:
        begun = one.do(agents.chat("clerk", "slowly", wait=False))
    heard = Heard().hear(cluster, 0, begun.run, most=2)
    cluster.gateways[0].end(signal.SIGKILL)
    try:
        heard.hear(cluster, 1, begun.run)
    finally:
        cluster.gateways[0].start()
        cluster.gateways[0].until_ready()
    assert (heard.text, heard.end["state"], heard.end["output"]) == (TEXT, "completed", TEXT)
    assert heard.pieces >= 4, "it is heard while it is said"
    assert len(provider.keys) == before + 1
    with client(cluster, 1) as other:
        said = other.do(contexts.messages(begun.context)).items
        assert [(one.role, one.content) for one in said] == [("user", "slowly"), ("assistant", TEXT)]


@pytest.mark.slow
def test_an_answer_whose_worker_is_killed_is_counted_once(cluster, provider, took_part):
    took_part("agents on two gateways and two workers")
    before = len(provider.keys)
    with client(cluster, 0) as one:
        begun = one.do(agents.chat("clerk", "slowly", wait=False))
    heard = Heard().hear(cluster, 0, begun.run, most=1)
    for worker in cluster.workers:  # one of them makes the request
        worker.end(signal.SIGKILL)
        worker.start()
    heard.hear(cluster, 1, begun.run)
    for worker in cluster.workers:
        worker.until_ready()
    assert (heard.text, heard.end["state"]) == (TEXT, "completed"), "the same again is not told again"
    assert len(set(provider.keys[before:])) == 1
    assert len(provider.keys) == before + 2
    with client(cluster, 0) as one:
        rows = one.do(usage.find(run=begun.run)).items
        assert [(row.agent, row.input, row.output) for row in rows] == [("clerk", 10, 5)]


@pytest.mark.slow
def test_what_is_asked_at_one_gateway_is_answered_at_the_other(cluster, provider, took_part):
    took_part("agents on two gateways and two workers")
    with client(cluster, 0) as one, client(cluster, 1) as other:
        begun = one.do(agents.chat("clerk", "work", wait=False))

        def asked():
            return next((item for item in other.do(inbox.find()).items if item.run == begun.run), None)

        question = until(asked, "nobody is asked")
        other.do(inbox.decide(question.id, question.hash, approved=True))
        heard = Heard().hear(cluster, 0, begun.run)
        assert (heard.text, heard.end["state"]) == (TEXT, "completed")
        tools = {"effect", "lookup", "helper", "charge"}
        assert {tool for tool, state in heard.tools if state == "completed"} == tools
        assert len(one.do(usage.find(run=begun.run)).items) == 4
        assert heard.end["usage"]["outputTokens"] == 4 * 5
        again = other.do(agents.chat("clerk", "Thanks.", context=begun.context))
        assert (again.state, again.context) == ("completed", begun.context)
        assert len(one.do(contexts.messages(begun.context)).items) == 4
        branch = one.do(contexts.branch(begun.context, 2))
        other.do(contexts.delete(begun.context))
        assert len(other.do(contexts.messages(branch.id)).items) == 2


@pytest.mark.slow
def test_an_unsafe_tool_that_was_cut_is_asked_about_and_the_answer_comes(cluster, provider, took_part):
    took_part("agents on two gateways and two workers")
    with client(cluster, 0) as one, client(cluster, 1) as other:
        begun = one.do(agents.chat("payer", "pay", wait=False))
        until(lambda: "alone" in cluster.ledger.read_text(), "the tool is never called")
        for worker in cluster.workers:
            worker.end(signal.SIGKILL)
            worker.start()

        def asked():
            return next((item for item in other.do(inbox.find()).items if item.run == begun.run), None)

        question = until(asked, "nobody is asked")
        assert question.kind == "repair"
        other.do(inbox.decide(question.id, question.hash, approved=True, data={"action": "skip", "output": "paid"}))
        until(lambda: one.do(agents.execution("payer", begun.run)).state == "completed", "there is no answer")
        assert [said.content for said in one.do(contexts.messages(begun.context)).items] == ["pay", TEXT]
        assert cluster.ledger.read_text().count("alone") == 1
        assert len(other.do(usage.find(run=begun.run)).items) == 2
