"""From the start of a run to its calls, in one trace."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from perdure.adapters.metrics import PrometheusMeters
from perdure.adapters.telemetry import NoSpans, OpenTelemetrySpans
from perdure.adapters.tracing import TracedEngine, TracedFunction, Traces, derived
from perdure.functions.table import Table
from perdure.ports.function import Context, FunctionFault
from perdure.ports.log import RUN
from perdure.ports.spans import TRACEPARENT


class Echo:
    """A function that says under which run and span it is called."""

    name, version, effect, summary = "echo", "1.0.0", "read", "Echo."
    input_schema: dict = {}
    output_schema: dict = {}

    def effect_of(self, arguments, resources):
        return "read"

    async def execute(self, arguments, context):
        if arguments == "fail":
            raise FunctionFault({"type": "urn:x", "status": 500}, "unknown")
        return [RUN.get(), TRACEPARENT.get()]


class Engine:
    """Calls a function of its table for every run, at once."""

    def __init__(self, table) -> None:
        self.table = table
        self.other = "its own"

    async def start(self, tenant, document, input, *, run=None, resources=None):
        self.answer = await self.table.get("echo", None).execute(input, context(run))
        return run


def context(run: str) -> Context:
    return Context(
        tenant="t", run=run, path="/do/0/x", ref="", key="k", attempt=2, deadline=None, resources={},
        secret=lambda path: None, progress=lambda told: None,
    )  # fmt: skip


@pytest.fixture
def kept():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return OpenTelemetrySpans(provider), exporter


async def test_a_call_stands_under_the_request_that_started_the_run(kept):
    spans, exporter = kept
    traces = Traces()
    table = Table([Echo()])
    table.surround(lambda function: TracedFunction(function, spans, traces, PrometheusMeters()))
    engine = TracedEngine(Engine(table), spans, traces)
    with spans.span("POST", kind="server"):
        run = await engine.start("t", {}, {})
    call, start, request = exporter.get_finished_spans()
    assert [span.name for span in (call, start, request)] == ["call echo", "start run", "POST"]
    assert call.parent.span_id == start.context.span_id and start.parent.span_id == request.context.span_id
    assert call.attributes == {"perdure.run": run, "perdure.path": "/do/0/x", "perdure.attempt": 2}
    assert engine.answer[0] == run and f"{call.context.span_id:016x}" in engine.answer[1]
    assert engine.other == "its own"


async def test_another_process_derives_the_trace(kept):
    spans, exporter = kept
    for _ in range(2):
        await TracedFunction(Echo(), spans, Traces(), PrometheusMeters()).execute({}, context("run-1"))
    first, second = exporter.get_finished_spans()
    assert first.context.trace_id == second.context.trace_id == int(derived("run-1").split("-")[1], 16)


async def test_a_fault_marks_its_span(kept):
    spans, exporter = kept
    with pytest.raises(FunctionFault):
        await TracedFunction(Echo(), spans, Traces(), PrometheusMeters()).execute("fail", context("run-1"))
    [span] = exporter.get_finished_spans()
    assert span.status.description == "urn:x" and span.attributes["perdure.outcome"] == "unknown"


async def test_without_spans_the_run_is_still_on_the_log_lines():
    function = TracedFunction(Echo(), NoSpans(), Traces(), PrometheusMeters())
    assert await function.execute({}, context("run-1")) == ["run-1", ""]
    assert RUN.get() == "" and function.effect_of({}, {}) == "read"


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr("perdure.adapters.tracing._REMEMBERED", 2)
    traces = Traces()
    for number in range(5):
        traces.began(str(number), "p")
    assert repr(traces) == "Traces(2 runs)" and traces.of("4") == "p" and traces.of("0") == derived("0")


async def test_calls_are_counted_by_what_became_of_them():
    meters = PrometheusMeters()
    function = TracedFunction(Echo(), NoSpans(), Traces(), meters)
    await function.execute({}, context("run-1"))
    with pytest.raises(FunctionFault):
        await function.execute("fail", context("run-1"))
    text = meters.text("")[0].decode()
    assert 'perdure_calls_total{function="echo",outcome="completed"} 1.0' in text
    assert 'perdure_calls_total{function="echo",outcome="unknown"} 1.0' in text
    assert 'perdure_call_seconds_count{function="echo"} 2.0' in text
