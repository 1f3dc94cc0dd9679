"""What a `try` does with a fault: catch it or not, and what then (language.md T21 to T26, 5.4).

The frame of a `try` has the phases "try", "delay" (between two attempts) and "catch". `attempt` counts from 1.
"""

from hashlib import blake2b
from typing import Any

from perdure.interpreter import dataflow
from perdure.interpreter.faults import Problem, is_same_type
from perdure.interpreter.outcomes import begin
from perdure.interpreter.program import Frame
from perdure.interpreter.state import Run
from perdure.language.durations import MAXIMUM
from perdure.language.values import same


def decide(run: Run, frame: Frame, problem: Problem) -> dict[str, Any] | None:
    """Whether this `try` takes the fault: `{"retry": delay}`, `{"catch": True}`, or None. T21, T22."""
    body = run.program.nodes[frame["node"]].body
    for key, expected in body.errors.items():
        actual = problem.get(key)
        if not (is_same_type(actual, expected) if key == "type" else same(actual, expected)):
            return None
    frame["vars"] = {body.name: problem}
    try:
        if body.when is not None and not dataflow.condition(run, frame, body.when, problem):
            return None
        if body.except_when is not None and dataflow.condition(run, frame, body.except_when, problem):
            return None
        delay = None if body.retry is None else _delay(run, frame, problem)
    finally:
        del frame["vars"]
    if delay is not None:
        return {"retry": delay}
    if body.retry is not None and body.do is None and not body.has_then:
        return None  # T22: the last error is raised again
    return {"catch": True}


def _delay(run: Run, frame: Frame, problem: Problem) -> int | None:
    """Milliseconds until the next attempt, or None when the policy refuses one (T24, T25)."""
    policy = run.program.nodes[frame["node"]].body.retry
    if policy.when is not None and not dataflow.condition(run, frame, policy.when, problem):
        return None
    if policy.except_when is not None and dataflow.condition(run, frame, policy.except_when, problem):
        return None
    if policy.count is not None and frame["attempt"] > policy.count:
        return None
    value = frame["input"]
    number = frame["attempt"]
    delay = 0 if policy.delay is None else dataflow.duration(run, frame, policy.delay, value)
    delay = _backoff(policy, delay, number)
    if policy.max_delay is not None:
        delay = min(delay, dataflow.duration(run, frame, policy.max_delay, value))
    if policy.jitter is not None:
        low, high = (dataflow.duration(run, frame, site, value) for site in policy.jitter)
        delay += low + _chance(run, frame) % (max(high - low, 0) + 1)
    if "until" in frame and run.now + delay >= frame["until"]:
        return None
    return delay


def _backoff(policy: Any, delay: int, number: int) -> int:
    """T25: linear grows by `factor` delays each time (1), exponential by `factor` times (2)."""
    if policy.backoff == "linear":
        delay = round(delay * (1 + (1 if policy.factor is None else policy.factor) * (number - 1)))
    elif policy.backoff == "exponential":
        factor = 2 if policy.factor is None else policy.factor
        for _attempt in range(number - 1):
            delay = round(delay * factor)
            if delay >= MAXIMUM or delay == 0:
                break
    return max(0, min(delay, MAXIMUM))


def _chance(run: Run, frame: Frame) -> int:
    """A number that is the same in every replay (6.4)."""
    text = f"{run.state['seed']}\n{frame['path']}\n{frame['attempt']}"
    return int.from_bytes(blake2b(text.encode(), digest_size=6).digest())


def take(run: Run, frame: Frame, problem: Problem, decision: dict[str, Any]) -> Frame | None:
    """Do what `decide` said; everything below the frame is gone by now."""
    body = run.program.nodes[frame["node"]].body
    run.give_up_for(frame, ("attempt",))
    if "retry" in decision:
        frame["attempt"] += 1
        due = run.now + decision["retry"]
        run.tell("task.retried.v1", frame, attempt=frame["attempt"], error=problem, due=due)
        if decision["retry"] > 0:
            frame["phase"] = "delay"
            run.timer(frame, "retry", due)
            return None
        return attempt(run, frame)
    frame["phase"] = "catch"
    _bound(run, frame, [])
    frame["vars"] = {body.name: problem}
    if body.has_then:
        frame["then"] = body.then
    begin(frame, "" if body.do is None else body.do, frame["path"] + "/catch/do", frame["input"])
    return frame


def attempt(run: Run, frame: Frame) -> Frame:
    """Begin an attempt: the whole list again, with the input of the `try` (T26)."""
    body = run.program.nodes[frame["node"]].body
    frame["phase"] = "try"
    number = frame["attempt"]
    mark = "" if number == 1 else f"~{number}"
    if mark:
        frame["tried"] = mark
    begin(frame, body.list, f"{frame['path']}{mark}/try", frame["input"])
    limits = []
    if body.retry is not None and body.retry.attempt_limit is not None:
        limits.append(run.now + dataflow.duration(run, frame, body.retry.attempt_limit, frame["input"]))
    if "until" in frame:
        limits.append(frame["until"])
    if limits:
        run.timer(frame, "attempt", min(limits))
    _bound(run, frame, limits)
    return frame


def _bound(run: Run, frame: Frame, limits: list[int]) -> None:
    """How long what begins now is of any use: the earliest of all limits around it."""
    around = run.frames[frame["parent"]].get("deadline")
    known = [limit for limit in (around, frame.get("limit"), *limits) if limit is not None]
    if known:
        frame["deadline"] = min(known)
    else:
        frame.pop("deadline", None)
