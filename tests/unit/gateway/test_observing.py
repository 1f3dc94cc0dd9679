"""What is counted, logged and traced of a request."""

import re

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from perdure.adapters.telemetry import OpenTelemetrySpans
from tests.unit.gateway.world import World

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_one_line_a_request():
    world = World()
    await world.ask("GET", "/api/v1/notes/n1?secret=1", headers={"x-request-id": "request-1"})
    [line] = world.log.lines
    assert line.pop("milliseconds") >= 0
    assert line == {
        "level": "info", "event": "request answered", "method": "GET", "route": "/api/v1/notes/{id}", "status": 404,
        "sent": line["sent"], "tenant": "a",
    }  # fmt: skip


async def test_a_method_of_nobody_is_other():
    world = World()
    await world.ask("BREW", "/api/v1/notes")
    assert b'method="other",route="unmatched",status="405"' in world.meters.text("")[0]


async def test_durations_fall_into_buckets():
    world = World()
    await world.ask("GET", "/api/v1/notes")
    text = world.meters.text("")[0].decode()
    counted = re.search(r'perdure_http_request_seconds_count\{method="GET",route="/api/v1/notes"\} (\S+)', text)
    assert counted and float(counted[1]) == 1


async def test_a_span_under_that_of_the_caller():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    world = World(spans=OpenTelemetrySpans(provider))
    await world.ask("POST", "/api/v1/notes/fail?kind=crash", headers={"traceparent": PARENT, "tracestate": "a=1"})
    await world.ask("GET", "/api/v1/notes", headers={"traceparent": "00-nonsense"})
    failed, fine = exporter.get_finished_spans()
    assert f"{failed.context.trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert failed.parent.span_id == 0x00F067AA0BA902B7
    assert failed.attributes["http.route"] == "/api/v1/notes/fail"
    assert failed.attributes["http.response.status_code"] == 500 and not failed.status.is_ok
    assert fine.parent is None and fine.status.is_ok
