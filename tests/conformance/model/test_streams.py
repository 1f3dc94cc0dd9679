"""Streamed answers: whole, in any pieces, cut, doubled, out of order. Never a half answer taken for a whole one."""

import asyncio
import json

import pytest
from aiohttp import web

from perdure.adapters.clock import SystemClock
from perdure.adapters.model_configuration import Surroundings, build, load
from perdure.adapters.model_timeouts import Limits, TimedModel
from perdure.adapters.scripted_model import ScriptedModel
from perdure.ports.model import Answer, CallDelta, Message, ModelFailed, TextDelta, Texts
from tests.conformance.model.providers import BY_NAME, SCHEMA, WIRES, drained, pieces, provider, request, whole
from tests.conformance.model.test_answers import each

FILES = ("text", "tools")


async def streamed(wire, *parts, cut=False, wanted=None):
    async with provider(pieces(*parts, cut=cut)) as (serving, egress):
        return await drained(wire.model(egress, serving.url).stream(wanted or request()))


async def answer_of(wire, file):
    async with provider(whole(wire.bytes(f"{file}.json"))) as (serving, egress):
        return await wire.model(egress, serving.url).ask(request())


def check_deltas(chunks):
    *deltas, answer = chunks
    assert isinstance(answer, Answer)
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == answer.text
    calls = {}
    for delta in deltas:
        if isinstance(delta, CallDelta):
            call = calls.setdefault(delta.index, {"id": delta.id, "name": delta.name, "arguments": ""})
            call["arguments"] += delta.arguments
    assert [(call["id"], call["name"], json.loads(call["arguments"])) for call in calls.values()] == [
        (call.id, call.name, call.arguments) for call in answer.tool_calls
    ]
    return answer


@each
@pytest.mark.parametrize("file", FILES)
async def test_a_stream_ends_with_the_answer_that_its_pieces_make(wire, file):
    chunks = await streamed(wire, *wire.events(f"{file}.stream"))
    assert len(chunks) > 3
    assert check_deltas(chunks) == await answer_of(wire, file)


@each
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_in_pieces_of_any_size(wire, size):
    body = wire.bytes("text.stream")
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    assert check_deltas(await streamed(wire, *parts)).text == "Ready: é✓."


@each
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("breaks", [False, True])
async def test_cut_after_any_event_it_is_a_failure(wire, file, breaks):
    events = wire.events(f"{file}.stream")
    # What follows the end of the answer itself (usage, end mark) may be missing on the wires that allow it.
    whole_from = {"chat": len(events) - 2}.get(wire.name, len(events))
    for kept in range(whole_from):
        with pytest.raises(ModelFailed) as failed:
            await streamed(wire, *events[:kept], cut=breaks)
        assert (failed.value.failure, failed.value.sent) == ("communication", True), kept


@each
async def test_cut_within_its_last_event_it_is_a_failure(wire):
    events = wire.events("text.stream")
    last = {"chat": len(events) - 3}.get(wire.name, len(events) - 1)
    with pytest.raises(ModelFailed):
        await streamed(wire, *events[:last], events[last][: len(events[last]) // 2])


@pytest.mark.parametrize("wire", WIRES[:4], ids=lambda wire: wire.name)
async def test_line_ends_comments_and_other_fields(wire):
    body = b"\xef\xbb\xbf: hello\n\n" + wire.bytes("text.stream").replace(b"\n\n", b"\nid: 7\nretry: 5\n\n: ping\n\n")
    for end in (b"\r\n", b"\r"):
        assert check_deltas(await streamed(wire, body.replace(b"\n", end) + end)).text == "Ready: é✓."


async def test_an_end_mark_and_usage_may_be_missing_where_the_wire_is_often_spoken_so():
    events = BY_NAME["chat"].events("text.stream")
    answer = check_deltas(await streamed(BY_NAME["chat"], *events[:-2]))
    assert (answer.text, answer.usage["inputTokens"]) == ("Ready: é✓.", 0)


@pytest.mark.parametrize("file", FILES)
async def test_numbered_events_that_come_twice_count_once(file):
    wire = BY_NAME["responses"]
    doubled = [event for event in wire.events(f"{file}.stream") for _ in range(2)]
    assert check_deltas(await streamed(wire, *doubled)) == await answer_of(wire, file)


@pytest.mark.parametrize("file", FILES)
async def test_numbered_events_out_of_order_never_make_another_answer(file):
    wire = BY_NAME["responses"]
    right = await answer_of(wire, file)
    events = wire.events(f"{file}.stream")
    failures = 0
    for index in range(len(events) - 1):
        swapped = [*events[:index], events[index + 1], events[index], *events[index + 2 :]]
        try:
            given = (await streamed(wire, *swapped))[-1]
        except ModelFailed:
            failures += 1
        else:
            assert given == right
    assert failures > 0


@pytest.mark.parametrize("file", FILES)
async def test_blocks_that_come_twice_or_out_of_order_are_a_failure(file):
    wire = BY_NAME["messages"]
    events = wire.events(f"{file}.stream")
    structure = [i for i, event in enumerate(events) if b"content_block_st" in event or b"message_start" in event]
    for index in structure:
        with pytest.raises(ModelFailed, match="not whole"):
            await streamed(wire, *events[: index + 1], *events[index:])
        with pytest.raises(ModelFailed, match="not whole"):
            await streamed(wire, *events[:index], *events[index + 1 :])


@pytest.mark.parametrize("name", ["chat", "gemini"])
async def test_more_after_the_end_is_a_failure(name):
    wire = BY_NAME[name]
    events = wire.events("text.stream")
    last = next(index for index, event in enumerate(events) if b'"stop"' in event or b'"STOP"' in event)
    with pytest.raises(ModelFailed, match="after its end"):
        await streamed(wire, *events[: last + 1], events[1])


@each
async def test_an_error_in_the_stream_is_told(wire):
    async with provider(pieces(*wire.events("error.stream"))) as (serving, egress):
        seen = []
        with pytest.raises(ModelFailed, match="Overloaded") as failed:
            async for chunk in wire.model(egress, serving.url).stream(request()):
                seen.append(chunk)
    assert (seen, failed.value.sent, failed.value.again) == ([TextDelta("Rea")], True, False)


@each
async def test_an_error_before_anything_was_said_may_be_tried_again(wire):
    error = wire.events("error.stream")[-1]
    with pytest.raises(ModelFailed) as failed:
        await streamed(wire, error)
    assert failed.value.again


@each
@pytest.mark.parametrize(
    "junk", [b"data: {\n\n", b"data: 7\n\n", b"data: [1]\n\n", b"data: \xff\n\n", b'data: {"type": 1}\n\n']
)
async def test_what_is_no_event(wire, junk):
    part = junk.removeprefix(b"data: ").replace(b"\n\n", b"\n") if wire.is_lines else junk
    with pytest.raises(ModelFailed) as failed:
        await streamed(wire, part)
    assert failed.value.sent


@each
async def test_an_event_that_never_ends_is_cut_off(wire):
    with pytest.raises(ModelFailed, match="not whole: a line is longer"):
        await streamed(wire, *(b"data: " + b"x" * 1_000_000 for _ in range(5)))


@each
async def test_a_refusal_instead_of_a_stream(wire):
    async with provider(whole(b'{"error": "busy"}', 429)) as (serving, egress):
        with pytest.raises(ModelFailed, match="429: busy") as failed:
            await drained(wire.model(egress, serving.url).stream(request()))
    assert (failed.value.again, failed.value.sent) == (True, False)


@each
@pytest.mark.parametrize("said", [0, 2])
async def test_a_stream_that_stands_still(wire, said):
    held = asyncio.Event()

    async def stuck(request):
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for event in wire.events("text.stream")[: said and -2]:
            await response.write(event)
        await held.wait()
        return response

    async with provider(stuck) as (serving, egress):
        model = TimedModel(wire.model(egress, serving.url), Limits(first=0.5 if said else 0.05, idle=0.05, total=9))
        seen = []
        with pytest.raises(ModelFailed) as failed:
            async for chunk in model.stream(request()):
                seen.append(chunk)
        held.set()
    assert (failed.value.failure, failed.value.sent, bool(seen)) == ("timeout", True, bool(said))


async def test_a_connection_is_used_again_after_a_stream():
    wire = BY_NAME["chat"]
    ports = set()

    def answer(request):
        ports.add(request.transport.get_extra_info("peername")[1])
        return pieces(*wire.events("text.stream"))(request)

    async with provider(answer) as (serving, egress):
        for _ in range(3):
            await drained(wire.model(egress, serving.url).stream(request()))
    assert len(ports) == 1


async def test_a_structured_answer_by_way_of_a_tool_is_text_as_it_comes():
    wire = BY_NAME["messages"]
    body = wire.bytes("tools.stream").replace(b'"weather"', b'"final_answer"')
    events = [part + b"\n\n" for part in body.split(b"\n\n") if part]
    one = [event for event in events if b'"index": 2' not in event]
    chunks = await streamed(wire, *one, wanted=request(schema=SCHEMA))
    assert [chunk.text for chunk in chunks[:-1]] == ['{"city": ', '"Lisbon"}']
    assert json.loads(chunks[-1].text) == {"city": "Lisbon"}
    chunks = await streamed(wire, *one, wanted=request(schema={"type": "array"}))
    assert len(chunks) == 2


async def test_the_scripted_model_is_held_to_the_same(tmp_path):
    script = tmp_path / "script.json"
    calls = [{"name": "weather", "arguments": {"city": "Lisbon"}}, {"name": "note"}]
    script.write_text(json.dumps(["Ready: é✓. And a little longer.", {"text": "Looking.", "toolCalls": calls}]))
    model = ScriptedModel(script)
    for asked in (request(), request(messages=(Message("user", "Hi."), Message("assistant", "Hm.")))):
        assert check_deltas(await drained(model.stream(asked))) == await model.ask(asked)
    made = await model.embed(Texts(texts=("a", "b", "a"), key="k", dimensions=40))
    first, second, third = made.vectors
    assert (first == third, first == second, len(first)) == (True, False, 40)
    with pytest.raises(ModelFailed, match="no answer number 3"):
        await drained(model.stream(request(messages=(Message("user", "Hi."), *(Message("assistant", "x"),) * 2))))


@each
async def test_around_any_provider_stands_the_same_model(wire, tmp_path):
    """Priced, retried, balanced, guarded, timed, trimmed, named: nothing of an answer is lost on the way."""
    file = tmp_path / "models.yaml"
    kinds = {"chat": "openai", "responses": "openai-responses", "messages": "anthropic"}
    async with provider(whole(b"{}", 529), pieces(*wire.events("tools.stream"))) as (
        serving,
        egress,
    ):
        place = f"{{kind: {kinds.get(wire.name, wire.name)}, models: [m-1], deployments: [{{url: '{serving.url}'}}, {{url: '{serving.url}'}}]}}"
        file.write_text(
            f"providers: {{p: {place}}}\nroutes: {{r: {{use: [p/m-1]}}}}\ndefault: r\nprices: {{m-1: {{input: 1}}}}"
        )
        around = Surroundings(egress=egress, clock=SystemClock(), environ={}, secret=None, directory=tmp_path)  # type: ignore[arg-type]
        chunks = await drained(build(load(file), around).stream(request()))
    answer = check_deltas(chunks)
    assert [call.name for call in answer.tool_calls] == ["weather", "note"]
    assert (answer.usage["provider"], answer.usage["cost"], len(serving.bodies)) == ("p", pytest.approx(20e-6), 2)
