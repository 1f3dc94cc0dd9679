"""Spans by OpenTelemetry, sent over OTLP; or none, at no cost. Off unless an endpoint is configured."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from perdure.errors import extra
from perdure.ports.spans import TRACEPARENT, Span, Spans

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class _Nothing:
    """A span that nobody hears of, and its own context."""

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *raised: object) -> None:
        return

    def set(self, name: str, value: str | float | bool) -> None:
        return

    def fail(self, reason: str) -> None:
        return


_NOTHING = _Nothing()


class NoSpans:
    """Nothing is traced."""

    on = False

    def span(
        self, name: str, *, kind: str = "internal", parent: str = "", state: str = ""
    ) -> AbstractContextManager[Span]:
        return _NOTHING

    def close(self) -> None:
        return


class _Opened:
    """One span of the library."""

    def __init__(self, span: Any) -> None:
        self._span = span
        self.has_failed = False

    def set(self, name: str, value: str | float | bool) -> None:
        self._span.set_attribute(name, value)

    def fail(self, reason: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        self.has_failed = True
        self._span.set_status(Status(StatusCode.ERROR, reason))


class OpenTelemetrySpans:
    """Batches spans and sends them from a thread; what cannot be sent is dropped, never waited for."""

    on = True

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("perdure")

    def __repr__(self) -> str:
        return f"OpenTelemetrySpans({self._provider!r})"

    @contextmanager
    def span(self, name: str, *, kind: str = "internal", parent: str = "", state: str = "") -> Iterator[Span]:
        from opentelemetry.trace import SpanKind

        context = _context(parent or TRACEPARENT.get(), state)
        opened = self._tracer.start_span(name, context=context, kind=SpanKind[kind.upper()])
        told = _Opened(opened)
        token = TRACEPARENT.set(_traceparent(opened))
        try:
            yield told
        except Exception as error:
            if not told.has_failed:
                told.fail(type(error).__name__)
            raise
        finally:
            TRACEPARENT.reset(token)
            opened.end()

    def close(self) -> None:
        self._provider.shutdown()


def _context(parent: str, state: str) -> Any:
    """The context that a `traceparent` means; one that is malformed begins a new trace (W3C Trace Context, 3.2)."""
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

    if not _TRACEPARENT.fullmatch(parent):
        return Context()
    _, trace, span, flags = parent.split("-")
    context = SpanContext(
        int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)),
        trace_state=TraceState.from_header([state]) if state else TraceState(),
    )  # fmt: skip
    return set_span_in_context(NonRecordingSpan(context), Context())


def _traceparent(span: Any) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def spans(endpoint: str, *, service: str = "perdure", version: str = "", ratio: float = 1.0) -> Spans:
    """Spans that go to an OTLP endpoint (`http://collector:4318`), or none when it is empty."""
    if not endpoint:
        return NoSpans()
    with extra("telemetry", "Tracing"):  # slow to import: only where something is traced
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    address = endpoint if endpoint.endswith("/v1/traces") else endpoint.rstrip("/") + "/v1/traces"
    resource = Resource.create({"service.name": service, "service.version": version})
    provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(ratio)))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address)))
    return OpenTelemetrySpans(provider)
