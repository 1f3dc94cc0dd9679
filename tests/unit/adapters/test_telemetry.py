"""Spans, and none."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from perdure.adapters.telemetry import NoSpans, OpenTelemetrySpans, spans
from perdure.ports.spans import TRACEPARENT


@pytest.fixture
def kept():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return OpenTelemetrySpans(provider), exporter


def test_off_unless_configured():
    found = spans("")
    assert isinstance(found, NoSpans) and not found.on
    with found.span("x") as span:
        span.set("a", 1)
        span.fail("b")
        assert TRACEPARENT.get() == ""
    found.close()


def test_one_inside_the_other(kept):
    made, exporter = kept
    with made.span("outer", kind="server") as outer:
        outer.set("a", 1)
        said = TRACEPARENT.get()
        with made.span("inner", kind="client") as inner:
            inner.fail("communication")
    assert TRACEPARENT.get() == ""
    second, first = exporter.get_finished_spans()
    assert second.parent.span_id == first.context.span_id
    assert said.rpartition("-")[0] == f"00-{first.context.trace_id:032x}-{first.context.span_id:016x}"
    assert first.attributes == {"a": 1} and not second.status.is_ok


def test_an_exception_marks_the_span_without_its_text(kept):
    made, exporter = kept
    with pytest.raises(ValueError), made.span("x"):
        raise ValueError("a user's text")
    [span] = exporter.get_finished_spans()
    assert span.status.description == "ValueError"
    assert not span.events


@pytest.mark.parametrize(
    "parent", ["", "x", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "ff-" + "1" * 32 + "-" + "1" * 16 + "-01"]
)
def test_a_parent_that_is_none_begins_a_new_trace(kept, parent):
    made, exporter = kept
    with made.span("x", parent=parent):
        pass
    assert exporter.get_finished_spans()[0].parent is None


def test_a_parent_that_is_not_sampled_is_respected(kept):
    made, exporter = kept
    with made.span("x", parent="00-" + "1" * 32 + "-" + "1" * 16 + "-00", state="a=1"):
        pass
    assert not exporter.get_finished_spans()


def test_a_real_provider_is_made_and_closed():
    found = spans("http://127.0.0.1:9", version="1")
    assert found.on and "OpenTelemetrySpans" in repr(found)
    found.close()
