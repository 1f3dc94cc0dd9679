"""`try`: a list whose faults may be caught (language.md B22, T17, T21 to T26). What is caught, `retry.py` decides."""

from typing import Any

from perdure.interpreter import dataflow, keys, retry
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.events import Event
from perdure.interpreter.outcomes import ENTERED, Outcome
from perdure.interpreter.program import CONTINUE, Frame, Node, Site
from perdure.interpreter.state import Run
from perdure.language.values import Json


class Try:
    """A compiled `try` with its `catch`."""

    __slots__ = ("do", "errors", "except_when", "has_then", "list", "name", "retry", "then", "when")

    def __init__(self, list_: str, name: str, errors: dict[str, Json]) -> None:
        self.list = list_
        self.name = name
        self.errors = errors
        self.when: Site | None = None
        self.except_when: Site | None = None
        self.retry: Policy | None = None
        self.do: str | None = None
        self.has_then = False
        self.then = CONTINUE


class Policy:
    """A compiled retry policy (B23)."""

    __slots__ = (
        "attempt_limit", "backoff", "count", "delay", "except_when", "factor", "jitter", "limit", "max_delay", "when",
    )  # fmt: skip

    def __init__(self) -> None:
        self.when: Site | None = None
        self.except_when: Site | None = None
        self.delay: Site | None = None
        self.backoff = "constant"
        self.factor: float | None = None
        self.max_delay: Site | None = None
        self.count: int | None = None
        self.attempt_limit: Site | None = None
        self.limit: Site | None = None
        self.jitter: tuple[Site, Site] | None = None


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    list_ = builder.tasks(node.definition["try"], node.pointer + "/try", around)
    catch = node.definition.get("catch") or {}
    pointer = node.pointer + "/catch"
    name = catch.get("as", "error")
    body = Try(list_, name, (catch.get("errors") or {}).get("with") or {})
    body.when = _condition(builder, catch.get("when"), around, pointer + "/when", name)
    body.except_when = _condition(builder, catch.get("exceptWhen"), around, pointer + "/exceptWhen", name)
    if catch.get("do") is not None:
        body.do = builder.tasks(catch["do"], pointer + "/do", around.adding(name))
    if catch.get("then") is not None:
        body.has_then = True
        body.then = builder.directive(catch["then"], targets, pointer)
    policy = catch.get("retry")
    if isinstance(policy, str):
        policy = builder.named("retries", policy, pointer + "/retry")
    if policy is not None:
        body.retry = _policy(builder, policy, around, pointer + "/retry", name)
    node.body = body


def _condition(builder: Builder, text: Any, around: Surroundings, pointer: str, name: str) -> Site | None:
    return None if text is None else builder.field(text, "body", around, pointer, own=(name,))


def _policy(builder: Builder, definition: dict[str, Any], around: Surroundings, pointer: str, name: str) -> Policy:
    policy = Policy()

    def duration(value: Any, place: str, *own: str) -> Site | None:
        return None if value is None else builder.duration(value, "body", around, pointer + place, own=own)

    policy.when = _condition(builder, definition.get("when"), around, pointer + "/when", name)
    policy.except_when = _condition(builder, definition.get("exceptWhen"), around, pointer + "/exceptWhen", name)
    policy.delay = duration(definition.get("delay"), "/delay", name)
    for kind, settings in (definition.get("backoff") or {}).items():
        policy.backoff = kind
        factor = (settings or {}).get("factor")
        policy.factor = factor if isinstance(factor, int | float) else None
        policy.max_delay = duration((settings or {}).get("maxDelay"), f"/backoff/{kind}/maxDelay", name)
    limit = definition.get("limit") or {}
    attempt = limit.get("attempt") or {}
    policy.count = attempt.get("count")
    policy.attempt_limit = duration(attempt.get("duration"), "/limit/attempt/duration")
    policy.limit = duration(limit.get("duration"), "/limit/duration")
    jitter = definition.get("jitter")
    if jitter is not None:
        low, high = (
            builder.duration(jitter.get(key), "body", around, f"{pointer}/jitter/{key}", own=(name,))
            for key in ("from", "to")
        )
        policy.jitter = (low, high)
    return policy


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    frame["attempt"] = 1
    policy = node.body.retry
    if policy is not None and policy.limit is not None:
        frame["until"] = run.now + dataflow.duration(run, frame, policy.limit, frame["input"])
    retry.attempt(run, frame)
    return ENTERED


def list_done(run: Run, node: Node, frame: Frame, value: Json) -> Outcome:
    keys.forget(run, frame)
    return value


def answered(run: Run, node: Node, frame: Frame, purpose: str, event: Event) -> Outcome:
    """The delay between two attempts is over."""
    retry.attempt(run, frame)
    return ENTERED
