"""Spans and counts from the request that starts a run through to each call that the run makes, and the run's id on log lines.

A run lives longer than a request, and its calls may be made by another process: one that did not see the start derives
the trace from the run's id, so that all calls of a run still stand in one trace.
"""

import hashlib
import time
import uuid
from collections.abc import Mapping
from typing import Any

from perdure.language.values import Json
from perdure.ports.function import Context, Effect, Function, FunctionFault, Result
from perdure.ports.log import RUN
from perdure.ports.meters import Meters
from perdure.ports.spans import TRACEPARENT, Spans

_REMEMBERED = 50_000


class Traces:
    """Under which span each run was started, for the runs started here."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Traces({len(self._known)} runs)"

    def began(self, run: str, traceparent: str) -> None:
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[run] = traceparent

    def of(self, run: str) -> str:
        """The span that calls of a run stand under."""
        return self._known.get(run) or derived(run)


def derived(run: str) -> str:
    """The same for every process that knows the run's id."""
    digest = hashlib.sha256(run.encode()).hexdigest()
    return f"00-{digest[:32]}-{digest[32:48]}-01"


class TracedFunction:
    """A function whose calls are told."""

    def __init__(self, function: Function, spans: Spans, traces: Traces, meters: Meters) -> None:
        self._function = function
        self._meters = meters
        self._spans = spans
        self._traces = traces
        self.name = function.name
        self.version = function.version
        self.effect: Effect = function.effect
        self.summary = function.summary
        self.input_schema: dict[str, Any] = function.input_schema
        self.output_schema: dict[str, Any] = function.output_schema

    def __repr__(self) -> str:
        return f"TracedFunction({self._function!r})"

    def effect_of(self, arguments: Json, resources: dict[str, Json]) -> Effect:
        return self._function.effect_of(arguments, resources)

    async def execute(self, arguments: Json, context: Context) -> Json | Result:
        token, began, outcome = RUN.set(context.run), time.perf_counter(), "unknown"
        call = self._told if self._spans.on else self._function.execute
        try:
            answer = await call(arguments, context)
            outcome = "completed"
            return answer
        except FunctionFault as fault:
            outcome = fault.outcome
            raise
        finally:
            RUN.reset(token)
            self._meters.add("perdure_calls_total", (self.name, outcome))
            self._meters.observe("perdure_call_seconds", (self.name,), time.perf_counter() - began)

    async def _told(self, arguments: Json, context: Context) -> Json | Result:
        with self._spans.span(f"call {self.name}", kind="client", parent=self._traces.of(context.run)) as span:
            span.set("perdure.run", context.run)
            span.set("perdure.path", context.path)
            span.set("perdure.attempt", context.attempt)
            try:
                return await self._function.execute(arguments, context)
            except FunctionFault as fault:
                span.set("perdure.outcome", fault.outcome)
                span.fail(str(fault.problem.get("type", "")))
                raise


class TracedEngine:
    """An engine that remembers under which span each run was started. Everything else is the engine's own."""

    def __init__(self, engine: Any, spans: Spans, traces: Traces) -> None:
        self._engine = engine
        self._spans = spans
        self._traces = traces

    def __repr__(self) -> str:
        return f"TracedEngine({self._engine!r})"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def start(
        self,
        tenant: str,
        document: Json,
        input: Json,
        *,
        run: str | None = None,
        resources: Mapping[str, Json] | None = None,
    ) -> str:
        """The id is made here when there is none: the run's first call may come before the engine's answer."""
        id = run or str(uuid.uuid4())
        with self._spans.span("start run", kind="producer") as span:
            span.set("perdure.run", id)
            self._traces.began(id, TRACEPARENT.get())
            started: str = await self._engine.start(tenant, document, input, run=id, resources=resources)
            return started
